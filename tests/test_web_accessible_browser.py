"""Every page, and what shows only at some moments, passes an accessibility engine in light and dark. Skipped without.

The engine is axe-core. It finds missing names, wrong roles and weak contrast; it does not hear what a screen reader
says.
"""

import json
import shutil
from urllib.parse import urljoin

import pytest
from test_web_browser import address, looking, page, serving
from test_web_live import tell
from web_small import running_job

from snowmatch.core.home import home_of
from snowmatch.review import accounts
from snowmatch.review.accounts import add_account
from snowmatch.review.identities import answer_pair, rename
from snowmatch.web.app import app_behind
from snowmatch.web.logins import LoginDoor
from snowmatch.web.page import NAV
from snowmatch.web.state import State

__all__ = ["address", "page"]  # fixtures
pytestmark = pytest.mark.browser
engine = pytest.importorskip("axe_playwright_python.sync_playwright")

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
LIGHT, DARK, PHONE = ("light", 1200), ("dark", 1200), ("dark", 360)  # colours and width (px)


@pytest.fixture(scope="module")
def told(survey, tmp_path_factory):
    """Return a catalog in which people said much and contradict each other, and in which work has ended."""
    folder = tmp_path_factory.mktemp("told") / "catalog"
    shutil.copytree(survey / "catalog", folder)
    (folder / "stations.csv").write_text(
        "station,location,x,y,crs,from,to\nst01,naryn,500000,4600000,32643,2023-01-01,2024-01-01\n"
        "st02,sarychat,504000,4601000,32643,2023-01-01,2024-01-01\n"
        "st03,naryn,501000,4604000,32643,2023-01-01,2024-01-01\n",
        encoding="utf-8",
    )
    state = State(folder, None, "Anna")
    state.evidence()
    who = state.identities().who
    lone = [n for n, sighting in enumerate(who.sightings) if sighting.named is None]
    named = [each for each in who.individuals if each.name]
    pairs = [
        (lone[0], lone[1], "same", "Anna", 4),
        (lone[1], named[0].sightings[0], "same", "Anna", 1),
        (lone[0], named[0].sightings[0], "different", "Anna", 4),
        (named[0].sightings[0], named[1].sightings[0], "same", "Boris", 2),
        (named[2].sightings[0], named[3].sightings[0], "different", "Anna", 3),
        (named[2].sightings[0], named[3].sightings[0], "same", "Boris", 3),
    ]
    for a, b, answer, observer, certainty in pairs:
        state.append(
            lambda i, a=a, b=b, answer=answer, who=observer, sure=certainty: [
                answer_pair(i, a, b, answer, who, certainty=sure, note="the tail")
            ]
        )
    state.append(lambda i: [rename(i, named[4].name, "Aika", "Anna")])
    tell(folder)
    for number, (kind, ended) in enumerate((("index", 0), ("calibrate", 1), ("batch", 0)), 1):
        job = home_of(folder) / "jobs" / f"2026010{number}-000000-{kind}"
        job.mkdir(parents=True)
        (job / "job.json").write_text(json.dumps({"kind": kind, "arguments": [], "started": 1.0}))
        (job / "ended.json").write_text(json.dumps({"status": ended, "ended": 2.0}))
        (job / "stdout").write_text("done\n")
        (job / "stderr").write_text("a message\n")
    return folder


@pytest.fixture
def state(told, tmp_path):
    return State(shutil.copytree(told, tmp_path / "catalog"), None, "Anna")


class Look:
    """Looks at a page with the engine. found: what it found so far, by rule."""

    def __init__(self, page):
        self.page, self.found, self.axe = page, {}, engine.Axe()
        page.set_default_timeout(60_000)

    def go(self, path):
        self.page.goto(urljoin(self.page.url, path))
        self.page.wait_for_selector("[aria-busy=true]", state="detached")

    def __call__(self, what, *ways):
        """Look at what is on the screen now: in light, and on a phone in the dark, which has nearly all of it."""
        for scheme, width in ways or (LIGHT, PHONE):
            self.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            self.page.set_viewport_size({"width": width, "height": 800})
            answer = self.axe.run(self.page, options={"runOnly": RULES, "resultTypes": ["violations"]}).response
            for rule in answer["violations"]:
                for node in rule["nodes"]:
                    where = f"{what}, {scheme}, {width} px: {node['html'][:200]}"
                    self.found.setdefault(rule["id"], []).append(where)
        self.page.set_viewport_size({"width": 1200, "height": 800})

    def check(self):
        lines = [f"{rule} ({len(where)})\n  " + "\n  ".join(where) for rule, where in sorted(self.found.items())]
        assert not lines, "\n".join(lines)


@pytest.fixture
def look(page):
    look = Look(page)
    yield look
    look.check()


def test_every_page(state, look):
    who = state.identities().who
    name = next(each.name for each in who.individuals if each.name and len(each.sightings) > 1)
    photo = next(a.annotation for a in state.identities().annotations if a.annotation and a.bbox)
    more = (f"/individuals/{name}", f"/individuals/{name}/passport", f"/photos/{photo}", "/photos?view=outline&q=st01")
    below = ("/review", "/jobs", "/dashboard")
    for path in (*(path for path, _, _ in NAV if path not in below), *more):
        look.go(path)
        look(path)
    look.go("/no-such-page")
    look("a page that is not there", LIGHT, DARK)


def test_dialogs_keys_and_what_is_chosen(state, look):
    page = look.page
    look.go("/")
    page.keyboard.press("?")
    look("the keys")
    page.keyboard.press("Escape")
    state.observer = ""
    look.go("/")
    look("nobody said who decides")
    look.go("/review")
    look("review without a name")
    state.observer = "Anna"
    look.go("/photos")
    page.keyboard.press("a")
    page.wait_for_selector(".acts:not([hidden])")
    look("all photos chosen")
    page.click(".acts button.main")
    page.wait_for_selector("#preview[open]")
    look("what a correction changes")
    look.go("/individuals?show=lone")
    for box in page.locator("[data-pick]").all()[:2]:
        box.check()
    look("two individuals chosen")
    look.go("/individuals/Aika")
    page.locator("article [data-photo]").first.check()
    look("a photo of an individual chosen")
    look.go(f"/photos/{next(a.annotation for a in state.identities().annotations if a.bbox)}")
    page.keyboard.press("e")
    page.wait_for_selector("#box:not([hidden])")
    look("a box is corrected")
    page.set_viewport_size({"width": 360, "height": 800})
    look.go("/")
    page.click(".fold")
    look("the pages unfolded")


def test_figures_with_their_tables(look):
    page = look.page
    look.go("/dashboard")
    for each in page.locator("details").all():
        each.evaluate("details => details.open = true")
    look("the dashboard with its tables")
    look.go("/report")
    look("the report")
    look.go("/report?coordinates=exact")
    look("the report with positions")


def test_work_that_runs(state, look):
    with running_job(state.folder, title="photos", done=3, total=10, seconds=2):
        look.go("/jobs")
        look.page.wait_for_selector("article progress")
        look("work that runs")


def test_photos_that_are_sent_and_the_answer(state, survey, look):
    page = look.page
    look.go("/identify")
    page.set_input_files("#files", [__file__, *sorted((survey / "queries").glob("**/*.jpg"))[:2]])
    page.wait_for_selector("#strip li:nth-child(2)")
    page.wait_for_selector("#problems li")
    look("photos that were sent, and one that is none")
    page.click("#ask")
    page.wait_for_url("**/identify/*")
    look("the answer")


def test_questions_of_review(look):
    page = look.page
    for way in ("open", "blind", "training", "adjudicate"):
        look.go(f"/review?mode={way}")
        page.wait_for_selector(".question:not([hidden])")
        look(f"a question, {way}")
    page.keyboard.press("n")
    page.keyboard.press("Escape")
    for key in "ml3":
        page.keyboard.press(key)
    page.wait_for_selector(".said.shown")
    look("a question with a note, spots and a message", LIGHT, DARK)
    look.go("/review?mode=training")
    while True:
        page.wait_for_selector(".question:not([hidden]), .done:not([hidden])")
        if page.is_visible(".done"):
            break
        page.keyboard.press("s")
        page.wait_for_timeout(100)
    page.wait_for_selector(".done h2")
    look("the results of training")


def test_the_pages_of_logins(state, monkeypatch):
    monkeypatch.setattr(accounts, "COST", (16, 8, 1))
    for name, role in (("Anna", "administrator"), ("Boris", "observer")):
        add_account(state.folder, name, role, "snow on the pass")
    several = State(state.folder)
    with serving(lambda port: app_behind(LoginDoor(state.folder, port, "http"), several)) as port, looking() as page:
        look = Look(page)
        page.goto(f"http://127.0.0.1:{port}/login")
        look("/login")
        for name, password in (("Anna", "a wrong one"), ("Anna", "snow on the pass")):
            page.fill("input[name=name]", name)
            page.fill("input[name=password]", password)
            page.click("main button")
            page.wait_for_load_state()
            if password == "a wrong one":
                look("a wrong password")
        look.go("/account")
        look("/account")
        look.check()
