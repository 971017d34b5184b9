"""The whole way of a new user, from photos without names to a passport, in a real browser. Skipped without one."""

import csv
import re
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest
from test_web_browser import CHROMIUM, until

from snowmatch.decisions.effect import in_effect
from snowmatch.review.identities import open_identities

pytestmark = pytest.mark.browser


@pytest.fixture
def folder(survey, tmp_path):
    """Return an indexed catalog in which nobody has a name."""
    folder = shutil.copytree(survey / "catalog", tmp_path / "catalog")
    with (folder / "catalog.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    with (folder / "catalog.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows({**row, "individual": ""} for row in rows)
    return folder


@pytest.fixture
def page(folder):
    with started("serve", folder) as page:
        yield page


@contextmanager
def started(*arguments):
    """Open the address that a command prints. At the end, Ctrl-C stops it without a word."""
    playwright = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("no browser is installed")
    command = [sys.executable, "-u", "-m", "snowmatch.cli", *map(str, arguments), "--no-browser"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        address = next(word for line in process.stdout for word in line.split() if word.startswith("http"))
        with playwright.sync_playwright() as player:
            browser = player.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            page = browser.new_context(viewport={"width": 1200, "height": 800}, locale="en").new_page()
            page.set_default_timeout(60_000)
            problems = []
            page.on("pageerror", lambda error: problems.append(str(error)))
            page.goto(address)
            page.wait_for_url(lambda url: "token" not in url)
            yield page
            browser.close()
        assert not problems
    finally:
        process.send_signal(signal.SIGINT)  # as Ctrl-C does
        _, errors = process.communicate(timeout=30)
        assert (process.returncode, errors) == (0, ""), errors


class Way:
    """A person at the app. base: its address."""

    def __init__(self, page, folder):
        self.page, self.folder, self.base = page, folder, page.url

    def rows(self):
        return open_identities(self.folder).rows

    def who(self):
        return open_identities(self.folder).who

    def go(self, path):
        self.page.goto(self.base + path)
        self.page.wait_for_load_state()

    def call_oneself(self, name):
        self.go("")
        self.page.fill("#observer", name)
        self.page.click("form:has(#observer) button")
        self.page.wait_for_selector(f".observer:has-text('{name}')")

    def agree(self):
        """Look at what a change would do, and agree."""
        before = len(self.rows())
        self.page.wait_for_selector("#preview[open]")
        assert self.page.inner_text("#preview ul")
        assert len(self.rows()) == before
        with self.page.expect_navigation():  # the page is loaded again when the change is stored
            self.page.keyboard.press("Enter")
        assert len(self.rows()) > before
        self.page.wait_for_selector("#preview:not([open])", state="attached")

    def answer(self, key=None):
        """Answer the question on the screen: by its key, or as the photos look. Returns the new decision."""
        before = len(self.rows())
        self.page.wait_for_selector(".question:not([hidden])")
        likely = re.search(r"([\d.]+) %", self.page.inner_text(".chance"))
        self.page.keyboard.press(key or ("s" if likely and float(likely[1]) > 50 else "d"))
        until(lambda: len(self.rows()) == before + 1)
        return self.rows()[-1]


def test_from_photos_without_names_to_a_passport(page, folder, survey):
    way = Way(page, folder)
    way.call_oneself("Anna")

    # A new photo: sent, asked about, added under a name
    way.go("identify")
    photo = sorted((survey / "queries").glob("**/*.jpg"))[0]
    page.set_input_files("#files", str(photo))
    page.wait_for_selector("#work:not([hidden])")
    page.select_option("[name=body_part]", "left_flank")
    page.click("#ask")
    page.wait_for_url("**/identify/*")
    assert page.locator("article.candidate").count() > 0
    assert page.locator(".verdict .level .mark").count() == 1
    page.fill("#add input[name=name]", "Tau")
    page.click("#add button")
    page.wait_for_url("**/photos/*")
    assert page.inner_text("h1") == "Tau"
    assert way.who().named("Tau") is not None
    added = len(way.rows())

    # Ten pairs by keys, two taken back
    way.go("review")
    given = [way.answer() for _ in range(10)]
    assert {row.answer for row in given} == {"same", "different"}
    assert len({(row.side_a, row.side_b) for row in given}) == 10
    for n in (1, 2):
        page.keyboard.press("u")
        until(lambda n=n: len(way.rows()) == added + 10 + n)
    left = {row.id for row in in_effect(way.rows())}
    assert [row.id in left for row in given] == [True] * 8 + [False] * 2

    # Two animals are merged under a name, one of their sightings is split off under another one
    way.go("individuals?show=lone")
    for n in (0, 1):
        page.locator("[data-pick]").nth(n).check()
    page.fill("form[data-picks] input[name=name]", "Bars")
    page.click("form[data-picks] button")
    way.agree()
    page.wait_for_url("**/individuals/Bars")
    assert len(way.who().named("Bars").sightings) == 2
    sighting = page.locator("article.sighting").nth(1)
    for box in sighting.locator("[data-photo]").all():
        box.check()
    page.fill("form[data-change=split] input[name=name]", "Cholpon")
    page.click("form[data-change=split] button")
    way.agree()
    who = way.who()
    assert [len(who.named(name).sightings) for name in ("Bars", "Cholpon")] == [1, 1]

    # Somebody says that both are one animal: it contradicts, and is taken back where it is shown
    keys = [who.sightings[who.named(name).sightings[0]].key for name in ("Bars", "Cholpon")]
    way.go(f"review?a={keys[0]}&b={keys[1]}")
    wrong = way.answer("s")
    way.go("contradictions")
    assert page.locator("li.voice").count() >= 2
    tops = page.evaluate("[...document.querySelectorAll('.quarrel > div')].map((e) => e.getBoundingClientRect().top)")
    assert len(tops) >= 2
    assert tops[0] == tops[1]  # side by side
    page.locator(f"form[data-ids*='{wrong.id}'] button").click()
    way.agree()
    page.wait_for_selector("text=There are no contradictions")

    # A second observer answers blind, and the page of the agreement counts it
    way.call_oneself("Boris")
    way.go("review?mode=blind")
    blind = [way.answer("d") for _ in range(3)]
    assert {(row.observer, row.mode) for row in blind} == {("Boris", "blind")}
    way.go("agreement")
    rows = [row.inner_text().split("\t")[:2] for row in page.locator("table tbody tr").all()]
    assert rows == [["all", "3"], ["answered independently", "3"], ["Anna – Boris", "3"]]

    # The passport is one page of paper
    way.go("individuals/Tau")
    page.keyboard.press("p")
    page.wait_for_url("**/individuals/Tau/passport")
    page.wait_for_load_state("networkidle")
    assert len(re.findall(rb"/Type\s*/Page[^s]", page.pdf(format="A4"))) == 1


def test_the_demo_is_served_and_answers(tmp_path):
    with started("demo", tmp_path / "demo", "--serve") as page:
        way = Way(page, tmp_path / "demo" / "catalog")
        page.wait_for_selector(".facts b")
        with (tmp_path / "demo" / "queries" / "queries.csv").open(newline="", encoding="utf-8") as file:
            asked = next(row for row in csv.DictReader(file) if row["path"].endswith("st05_20230725_133456_1.jpg"))
        way.go("identify")
        page.set_input_files("#files", str(tmp_path / "demo" / "queries" / asked["path"]))
        page.wait_for_selector("#work:not([hidden])")
        page.select_option("[name=body_part]", asked["body_part"])
        page.click("#ask")
        page.wait_for_url("**/identify/*")
        assert asked["individual"] in page.inner_text("article.candidate h2 >> nth=0")
