"""A person reviews by keys in a real browser. Skipped where no browser is."""

import shutil
import threading
import time
from contextlib import contextmanager, nullcontext
from pathlib import Path
from urllib.parse import urljoin

import pytest
import uvicorn

from snowmatch.web.app import make_app
from snowmatch.web.network import listen
from snowmatch.web.routes import identify as routes
from snowmatch.web.state import State

pytestmark = pytest.mark.browser
AWAY = "snowmatch does not answer: is it still running?"
CHROMIUM = next((path for path in ("/usr/bin/chromium", "/usr/bin/google-chrome") if Path(path).exists()), None)


@pytest.fixture
def state(survey, tmp_path):
    return State(shutil.copytree(survey / "catalog", tmp_path / "catalog"), None, "Anna")


@contextmanager
def serving(make):
    """Run the app that `make(port)` returns; the value is its port."""
    listener = listen(0)
    port = listener.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(make(port), log_level="error", ws="none"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    until(lambda: server.started)
    try:
        yield port
    finally:
        server.should_exit = True
        thread.join(10)
        listener.close()


@contextmanager
def looking():
    """Open an empty page in a browser. No script of it may fail, or break the rules for what a page loads."""
    playwright = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("no browser is installed")
    with playwright.sync_playwright() as player:
        browser = player.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1200, "height": 800})
        problems = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on(
            "console", lambda message: problems.append(message.text) if "Content Security" in message.text else None
        )
        try:
            yield page
        finally:
            browser.close()
    assert not problems


@pytest.fixture
def address(state):
    """Return the address of a running server."""
    with serving(lambda port: make_app(state, port, "token")) as port:
        yield f"http://127.0.0.1:{port}/?token=token"


@pytest.fixture
def page(address):
    with looking() as page:
        page.goto(address)
        page.wait_for_url(lambda url: "token" not in url)
        yield page


def until(condition, pause=lambda: time.sleep(0.05)):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        pause()


def test_four_pairs_by_keys_and_two_taken_back(state, page):
    page.goto(page.url + "review?lang=en")
    page.wait_for_selector(".question:not([hidden])", timeout=30_000)
    shown = []
    for number, key in enumerate("sd4sc"):
        if key == "4":
            page.keyboard.press("4")
            assert page.get_attribute('[data-do="sure4"]', "aria-pressed") == "true"
            continue
        page.wait_for_selector(".question:not([hidden])")
        shown.append(page.get_attribute('.side[data-side="0"] .animal', "src"))
        assert page.locator(".over circle").count() == 0  # lines are off until they are asked for
        page.keyboard.press(key)
        until(lambda: len(state.identities().rows) >= len(shown))
        assert number < 5
    rows = state.identities().rows
    assert [row.answer for row in rows] == ["same", "different", "same", "cannot_tell"]
    assert [row.certainty for row in rows] == [None, None, 4, None]
    assert all(row.opened_at and row.opened_at <= row.decided_at for row in rows)
    for n in (1, 2):
        page.keyboard.press("u")
        until(lambda n=n: len(state.identities().rows) == 4 + n)
    undone = [row.answer for row in state.identities().rows[-2:]]
    assert undone == [rows[3].id, rows[2].id]
    page.wait_for_selector(".question:not([hidden])")
    until(lambda: page.get_attribute('.side[data-side="0"] .animal', "src") == shown[2])


def test_a_late_reply_about_a_question_does_not_take_it_away_when_it_is_asked_again(state, page):
    late = []
    page.route("**/review/open", lambda route: route.continue_() if late else late.append(route))
    page.goto(page.url + "review?lang=en")
    page.wait_for_selector(".question:not([hidden])", timeout=30_000)
    shown = page.get_attribute('.side[data-side="0"] .animal', "src")
    for count, key in enumerate("su", start=1):
        page.keyboard.press(key)
        until(lambda count=count: len(state.identities().rows) == count)
    until(lambda: page.get_attribute('.side[data-side="0"] .animal', "src") == shown)
    with page.expect_response("**/review/open"):
        late[0].fulfill(json={"free": False, "answered": True})
    page.wait_for_timeout(300)
    assert page.get_attribute('.side[data-side="0"] .animal', "src") == shown


def test_an_answer_about_a_photo_that_has_changed_is_refused_and_another_pair_is_shown(state, page):
    page.goto(page.url + "review?lang=en")
    page.wait_for_selector(".question:not([hidden])", timeout=30_000)
    first = page.get_attribute('.side[data-side="0"] .animal', "src")
    shown = state.annotation(first.split("?")[0].rsplit("/", 1)[1])
    other = next(a for a in state.identities().annotations if a.path != shown.path)
    (state.folder / shown.path).write_bytes((state.folder / other.path).read_bytes())
    with page.expect_response("**/review/next*"):
        page.keyboard.press("s")
    until(lambda: f"{shown.path} has changed since it was indexed" in page.text_content("#said"))
    assert page.get_attribute("#said a", "href") == "/jobs"
    page.wait_for_selector(".question:not([hidden])")
    until(lambda: page.get_attribute('.side[data-side="0"] .animal', "src") != first)
    assert not state.identities().rows
    page.keyboard.press("c")
    until(lambda: len(state.identities().rows) == 1)


def test_lines_marks_and_note_by_keys(state, page):
    page.goto(page.url + "review?lang=ru")
    page.wait_for_selector(".question:not([hidden])", timeout=30_000)
    page.keyboard.press("l")
    page.wait_for_selector(".over circle", state="attached")
    page.keyboard.press("l")
    until(lambda: page.locator(".over circle").count() == 0)
    page.keyboard.press("m")
    for key in ("ArrowRight", "Enter", "ArrowDown", "Enter"):
        page.keyboard.press(key)
    assert page.locator(".over text").count() == 2
    page.keyboard.press("Escape")
    page.keyboard.press("n")
    page.keyboard.type("small spot")
    page.keyboard.press("Enter")
    page.keyboard.press("d")
    until(lambda: len(state.identities().rows) == 1)
    (row,) = state.identities().rows
    assert (row.answer, row.note, len(row.marks)) == ("different", "small spot", 1)


def test_of_a_long_encounter_only_the_next_photos_are_fetched(page):
    asked = []

    def lengthen(route):
        answer = route.fetch()
        values = answer.json()
        for number, question in enumerate(values.get("questions", ())):
            side = question["sides"][0]
            side["frames"] = [{**side["frames"][0], "key": f"{number}-{n}"} for n in range(200)]
            side["first"] = 100
        route.fulfill(response=answer, json=values)

    def picture(route):
        asked.append(route.request.url)
        body = '<svg xmlns="http://www.w3.org/2000/svg" width="3" height="2"/>'
        route.fulfill(content_type="image/svg+xml", body=body)

    def wanted():
        return {int(url.split("?")[0].rsplit("-", 1)[1]) for url in asked if "/photo/640/0-" in url}

    page.route("**/review/next*", lengthen)
    page.route("**/picture/**", picture)
    page.goto(page.url + "review?lang=en")
    until(lambda: page.wait_for_timeout(50) or wanted() == set(range(97, 104)))
    assert shown_in_strip(page)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert shown_in_strip(page)
    until(lambda: page.wait_for_timeout(50) or 105 in wanted())
    page.wait_for_timeout(600)
    assert wanted() == set(range(97, 106))
    until(lambda: page.wait_for_timeout(50) or any("/photo/640/1-100" in url for url in asked))  # of the next question
    assert not any("/photo/640/1-101" in url for url in asked)
    assert len({url for url in asked if "/animal/160/0-" in url}) < 100  # small ones, where they are in sight


def shown_in_strip(page):
    """Return whether the small picture of the photo on the screen is in sight."""
    return page.evaluate(
        """() => {
          const strip = document.querySelector('.side[data-side="0"] .strip').getBoundingClientRect();
          const chosen = document.querySelector('.side[data-side="0"] [aria-pressed=true]').getBoundingClientRect();
          return chosen.left >= strip.left && chosen.right <= strip.right;
        }"""
    )


def test_a_pair_that_another_observer_had_on_the_screen_comes_back_when_it_is_free(page):
    opened = []

    def taken(route):
        opened.append(route.request.post_data_json["pair"])
        route.fulfill(json={"free": len(opened) > 1})

    def looked():  # what the page sends is seen only while the test waits for the page
        page.wait_for_timeout(50)

    page.route("**/review/open", taken)
    page.goto(page.url + "review?lang=en")
    until(lambda: len(opened) > 1, looked)
    for n in range(3, 8):
        if opened[0] not in opened[1:]:
            page.keyboard.press("c")
            until(lambda n=n: len(opened) >= n, looked)
    assert opened[0] in opened[1:]


def test_the_level_is_told_where_one_animal_is_likely_and_another_flank_is_marked(page):
    told = {"probability": 0.995, "careful": 0.7461, "level": "uncertain"}

    def changed(route):
        answer = route.fetch()
        values = answer.json()
        values["elsewhere"] = told.get("elsewhere", False)
        for question in values.get("questions", ()):
            question.update(told)
            question["sides"][0]["sightings"] = 2
            for side, part in zip(question["sides"], told.get("parts", ("left_flank", "left_flank")), strict=True):
                side["frames"][side["first"]]["part"] = part
        route.fulfill(response=answer, json=values)

    def question():
        page.goto(start + "review?lang=en")
        page.wait_for_selector(".question:not([hidden])", timeout=30_000)
        return " ".join(page.inner_text(".chance").split())

    start = page.url
    page.route("**/review/next*", changed)
    assert question() == "uncertain 99.5 % one animal, by the photos (at least 74.6 %)"
    assert page.locator(".part.other").count() == 0
    assert page.locator("figcaption a").get_attribute("target") == "_blank"
    assert page.request.get(urljoin(start, page.locator("figcaption a").get_attribute("href"))).ok
    told |= {"elsewhere": True, "probability": 0.0025, "careful": 0.001, "parts": ("left_flank", "right_flank")}
    assert question() == "0.3 % one animal, by the photos (learned elsewhere: not calibrated)"
    assert page.locator(".part.other").count() == 2
    told["parts"] = ("left_flank", "unknown")
    question()
    assert page.locator(".part.other").count() == 0


def test_a_person_sees_that_the_machine_works(page):
    start = page.url

    def late(route):
        time.sleep(0.8)
        route.continue_()

    page.route("**/review/spots*", late)
    page.goto(start + "review?lang=en")
    page.wait_for_selector(".question:not([hidden])", timeout=30_000)
    page.keyboard.press("l")
    until(lambda: page.text_content("#said") == "Looking for matched spots …")
    page.wait_for_selector(".over circle", state="attached")
    # work that has done all its photos, and does not end yet
    job = '<article data-job="x" data-left="{left} left" data-rate="{rate} per second" data-finishing="the end">'
    job += "<progress></progress><p data-progress></p></article>"
    page.route(
        "**/jobs", lambda route: route.fulfill(response=(a := route.fetch()), body=a.text().replace("</main>", job))
    )
    work = {"state": "running", "title": "indexing", "done": 133, "total": 133, "rate": 1.1, "left": 0}
    page.route("**/jobs/x/progress", lambda route: route.fulfill(json=work))
    page.goto(start + "jobs")
    until(lambda: page.text_content("[data-progress]") == "indexing · 133 / 133 · the end")
    page.route("**/jobs/x/progress", lambda route: route.abort())
    until(lambda: page.text_content("[data-progress]") == AWAY)


def test_results_of_training_that_cannot_be_had_are_told(page):
    start = page.url
    page.route("**/review/next*", lambda route: route.fulfill(json={"questions": [], "left": 0, "skipped": 0}))
    page.route("**/review/results", lambda route: route.abort())
    page.goto(start + "review?mode=training&lang=en")
    until(lambda: page.locator(".done .card").all_text_contents() == [AWAY])
    refusal = "<main><h1>Sorry</h1><p class='problem'>the decisions are damaged</p></main>"
    page.route("**/review/results", lambda route: route.fulfill(status=400, content_type="text/html", body=refusal))
    page.reload()
    until(lambda: page.locator(".done .card .problem").all_text_contents() == ["the decisions are damaged"])


def test_a_dropped_folder_without_files_is_told(page):
    page.goto(page.url + "identify?lang=en")
    page.evaluate(
        """() => {
          const folder = { createReader: () => ({ readEntries: (done) => done([]) }) };
          const drop = new Event("drop", { cancelable: true });
          drop.dataTransfer = { items: [{ webkitGetAsEntry: () => folder }], files: [] };
          document.dispatchEvent(drop);
        }"""
    )
    until(lambda: "There is no file in this" in page.text_content("#problems"))


def test_a_dropped_folder_that_cannot_be_read_is_told(page):
    page.goto(page.url + "identify?lang=en")
    page.evaluate(
        """() => {
          const file = { isFile: true, file: (done, failed) => failed(new Error("the card was taken out")) };
          const drop = new Event("drop", { cancelable: true });
          drop.dataTransfer = { items: [{ webkitGetAsEntry: () => file }], files: [] };
          document.dispatchEvent(drop);
        }"""
    )
    until(lambda: page.locator("#problems li").all_text_contents() == ["the card was taken out"])


def test_who_decides_leads_to_the_field(survey, tmp_path):
    state = State(shutil.copytree(survey / "catalog", tmp_path / "catalog"), None, "")
    with serving(lambda port: make_app(state, port, "token")) as port, looking() as page:
        page.goto(f"http://127.0.0.1:{port}/?token=token")
        page.click("a[href='#observer']")
        page.keyboard.type("Anna")
        page.keyboard.press("Enter")
        until(lambda: state.observer == "Anna")


def test_rename_with_its_preview(state, page):
    old = next(each for each in state.identities().who.individuals if each.name)
    page.goto(page.url + f"individuals/{old.name}?lang=en")
    page.keyboard.press("r")
    page.keyboard.type("Aika")
    page.keyboard.press("Enter")
    page.wait_for_selector("#preview[open]")
    assert f"{old.name} → Aika" in page.inner_text("#preview")
    assert state.identities().rows == ()
    page.keyboard.press("Escape")
    until(lambda: page.keyboard.down("Enter") or page.is_visible("#preview"))  # until the page knows that it is closed
    for _ in range(3):  # it is still held
        page.keyboard.down("Enter")
    page.wait_for_timeout(300)
    assert page.is_visible("#preview")
    assert state.identities().rows == ()
    page.keyboard.up("Enter")
    page.keyboard.press("Enter")
    page.wait_for_url("**/individuals/Aika")
    assert state.identities().who.named("Aika") is not None


def test_what_changes_nothing_cannot_be_stored(state, page):
    old = next(each for each in state.identities().who.individuals if each.name)
    page.goto(page.url + f"individuals/{old.name}?lang=en")
    empty = {"lines": ["No name and no group changes."], "pairs": [], "head": "", "stored": [], "changed": False}
    page.route("**/changes", lambda route: route.fulfill(json={**empty, "empty": True}))
    page.keyboard.press("r")
    page.keyboard.type("Aika")
    page.keyboard.press("Enter")
    page.wait_for_selector("#preview[open]")
    assert not page.is_visible("#preview [value=store]")
    page.keyboard.press("Enter")
    page.wait_for_selector("#preview:not([open])", state="attached")
    page.unroute("**/changes")
    page.focus("form[data-change=rename] button")
    page.keyboard.press("Enter")
    page.wait_for_selector("#preview[open]")
    assert page.is_visible("#preview [value=store]")


def test_photos_are_corrected_and_taken_back_by_keys_alone(state, page):
    page.goto(page.url + "photos?lang=en")
    boxes = page.locator(".pick [data-photo]")
    key = boxes.nth(0).get_attribute("data-photo")
    before = next(a.body_part for a in state.identities().named if a.annotation == key)
    page.locator(".tile a").nth(0).focus()
    page.keyboard.press("x")
    assert boxes.nth(0).is_checked()
    page.keyboard.press("c")
    for press in ("Tab", "ArrowDown"):  # to the value, and another one
        page.keyboard.press(press)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector("#preview[open]")
    assert "the table" in page.inner_text("#preview")
    page.keyboard.press("Enter")
    until(lambda: len(state.identities().rows) == 1)
    (row,) = state.identities().rows
    assert (row.kind, row.side_a, row.observer) == ("body_part", (key,), "Anna")
    assert row.answer != before or row.answer == "right_flank"
    page.wait_for_selector("[data-ids]")
    page.wait_for_load_state()  # the scripts run, too
    page.keyboard.press("u")
    page.keyboard.press("Enter")
    page.wait_for_selector("#preview[open]")
    page.keyboard.press("Enter")
    until(lambda: len(state.identities().rows) == 2)
    assert next(a.body_part for a in state.identities().named if a.annotation == key) == before


def test_the_pages_fold_on_a_phone_and_nothing_is_wider_than_it(page):
    start = page.url
    page.set_viewport_size({"width": 360, "height": 740})
    for language in ("en", "ru"):
        for path in ("", "photos", "individuals", "identify", "jobs", "count", "survey", "agreement", "contradictions"):
            page.goto(f"{start}{path}?lang={language}")
            assert page.evaluate("document.documentElement.scrollWidth") <= 360, (language, path)
            assert page.evaluate("document.querySelector('.top').offsetHeight") < 60, (language, path)
            if path == "count":  # the columns that matter are not out of sight
                page.wait_for_selector("table")
                cut = "[...document.querySelectorAll('.scroll')].filter((e) => e.scrollWidth > e.clientWidth).length"
                assert page.evaluate(cut) == 0, (language, path)
    assert not page.is_visible("#pages")
    page.click(".fold")
    assert page.is_visible("#pages a[href='/doctor']")
    page.keyboard.press("Escape")
    assert not page.is_visible("#pages")


def test_a_pair_may_be_asked_again_but_not_by_a_fetch_that_did_not_know_of_the_answer(state, page):
    first, fetches = [], []

    def next_questions(route):
        if first:
            fetches.append(route)
            return
        found = route.fetch().json()
        if "questions" in found:
            first.extend(found["questions"][:2])
            assert not set(first[0]["groups"]) & set(first[1]["groups"])
            found["questions"] = first
        route.fulfill(json=found)

    def answer(number, *questions):
        until(lambda: len(fetches) > number, lambda: page.wait_for_timeout(50))
        fetches[number].fulfill(json={"questions": questions, "left": 9, "skipped": 0, "elsewhere": False})

    page.route("**/review/next*", next_questions)
    page.route("**/review/open", lambda route: route.fulfill(json={"free": True}))
    page.goto(page.url + "review?lang=en")
    page.wait_for_selector(".question:not([hidden])", timeout=30_000)
    page.keyboard.press("s")
    until(lambda: len(fetches) == 1, lambda: page.wait_for_timeout(50))
    page.keyboard.press("d")  # the other pair; the fetch after the first answer is still under way
    page.wait_for_selector(".question[hidden]", state="attached")
    until(lambda: len(fetches) == 2, lambda: page.wait_for_timeout(50))
    answer(0, first[1])
    page.wait_for_timeout(300)
    assert not page.is_visible(".question")
    answer(1, first[0])  # a hidden repetition, or taken back on another page
    page.wait_for_selector(".question:not([hidden])")
    page.keyboard.press("c")
    until(lambda: len(state.identities().rows) == 3, lambda: page.wait_for_timeout(50))
    sides = [[min(row.side_a), min(row.side_b)] for row in state.identities().rows]
    assert sides[2] == sides[0] == first[0]["pair"] != sides[1]


def test_a_page_that_was_open_before_another_person_came_stores_nothing(state, page):
    page.goto(page.url + "review?lang=en")
    page.wait_for_selector(".question:not([hidden])", timeout=30_000)
    state.observer = "Bek"
    page.keyboard.press("s")
    page.wait_for_selector("#said.shown >> text=Bek decides now: load the page again")
    assert not state.identities().rows


def test_a_double_click_answers_one_question(state, page):
    page.goto(page.url + "review?lang=en")
    page.wait_for_selector(".question:not([hidden])", timeout=30_000)
    page.wait_for_load_state("networkidle")  # the next questions are there
    page.dblclick("[data-do=same]")
    page.wait_for_timeout(600)
    assert [row.answer for row in state.identities().rows] == ["same"]
    page.evaluate(  # as a screen that is touched tells it: each click is the first
        """() => {
          const button = document.querySelector("[data-do=different]");
          for (const n of [1, 2]) button.dispatchEvent(new MouseEvent("click", { bubbles: true, detail: 1 }));
        }"""
    )
    page.wait_for_timeout(600)
    assert [row.answer for row in state.identities().rows] == ["same", "different"]
    page.click("[data-do=cannot_tell]")
    until(lambda: len(state.identities().rows) == 3)


def test_all_buttons_of_review_are_in_the_window(page):
    page.goto(page.url + "review?lang=ru")
    page.wait_for_selector(".question:not([hidden])", timeout=30_000)
    for width, height in ((1024, 768), (1366, 768), (3840, 2160)):
        page.set_viewport_size({"width": width, "height": height})
        until(
            lambda high=height: page.evaluate("document.querySelector('.tools').getBoundingClientRect().bottom") <= high
        )
        panes = page.evaluate("[...document.querySelectorAll('.pane')].map((pane) => pane.clientHeight)")
        assert panes[0] == panes[1] > height / 4


def test_the_guess_of_a_flank_follows_the_box_until_a_person_chooses(survey, page, monkeypatch):
    told = {None: ("left_flank", 0.95), 20: ("right_flank", 0.93), 30: None}
    monkeypatch.setattr(routes, "guess_body_part", lambda path, box: told[box and box[0]])
    part = "document.querySelector('[name=body_part]').value"
    page.goto(page.url + "identify?lang=en")
    page.set_input_files("input[type=file]", next((survey / "queries").rglob("*.jpg")))
    until(lambda: page.evaluate(part) == "left_flank")
    assert "95 %" in page.text_content("#guess")

    def draw(x):
        with page.expect_response("**/identify/guess") if x < 50 else nullcontext():
            for name, value in zip("xywh", (x, 10, 100, 80), strict=True):
                page.fill(f"#box-{name}", str(value))
            page.keyboard.press("Tab")

    draw(20)
    until(lambda: page.evaluate(part) == "right_flank")
    draw(30)
    until(lambda: page.evaluate(part) == "")
    assert page.text_content("#guess") == ""
    page.select_option("[name=body_part]", "tail")
    draw(60)
    assert page.evaluate(part) == "tail"
