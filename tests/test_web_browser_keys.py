"""Who uses the app by keys or by ear: the focus stays, and what happens is told. Skipped where no browser is."""

import json
import shutil
import time

import pytest
from test_web_browser import address, page, state, until
from web_small import running_job

from snowmatch.review.identities import answer_pair

__all__ = ["address", "page", "state"]  # fixtures
pytestmark = pytest.mark.browser

STOP = """() => {
  const element = document.activeElement;
  if (element === document.body || element.matches("[data-reached]:not([type=date])")) return [true, true, ""];
  element.dataset.reached = "";
  const style = getComputedStyle(element), box = element.getBoundingClientRect();
  const reach = parseFloat(style.outlineWidth) + parseFloat(style.outlineOffset);
  let cut = false; // above and below, by something that scrolls or is round
  for (let parent = element.parentElement; parent !== document.body; parent = parent.parentElement) {
    const edge = parent.getBoundingClientRect();
    if (getComputedStyle(parent).overflowX !== "visible")
      cut ||= box.top - reach < edge.top - 0.5 && box.bottom + reach > edge.bottom + 0.5;
  }
  const seen = style.outlineStyle !== "none" && box.bottom > 0 && box.top < innerHeight && !cut;
  return [false, seen, element.outerHTML.slice(0, 200)];
}"""
MISSED = """() => [...document.querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex='0']")]
  .filter((each) => each.checkVisibility() && !each.disabled && !each.matches("[data-reached], [type=radio]"))
  .map((each) => each.outerHTML.slice(0, 200))"""


def focused(page, selector):
    return page.evaluate("selector => document.activeElement.matches(selector)", selector)


def told(page):
    return page.text_content("#told")


def ready(page):
    page.wait_for_selector("[aria-busy=true]", state="detached")


@pytest.mark.parametrize("width", [1200, 360])
def test_tab_walks_over_every_page_and_the_focus_is_seen(state, page, width):
    start = page.url
    page.set_viewport_size({"width": width, "height": 800})
    name = next(each.name for each in state.identities().who.individuals if each.name)
    for path in ("", "identify", "photos", "individuals", f"individuals/{name}", "review", "dashboard"):
        page.goto(f"{start}{path}?lang=en")
        if path == "review":
            page.wait_for_selector(".question:not([hidden])", timeout=30_000)
        ready(page)
        ended = False
        while not ended:
            page.keyboard.press("Tab")
            ended, seen, element = page.evaluate(STOP)
            assert seen, (path, element)
        assert page.evaluate(MISSED) == [], path


def test_the_skip_link_leads_past_the_navigation_and_the_page_tells_its_language(page):
    page.goto(page.url + "photos?lang=ru")
    assert page.get_attribute("html", "lang") == "ru"
    assert page.get_attribute("a[hreflang=en]", "lang") == "en"
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert focused(page, "main input[type=search]")


def test_single_keys_can_be_turned_off_and_on_again(page):
    start = page.url
    page.goto(start + "photos?lang=en")
    page.keyboard.press("?")
    assert focused(page, "#help form button")
    page.uncheck("#single")
    page.keyboard.press("Escape")
    page.goto(start + "photos?lang=en")
    for key in "?gix":
        page.keyboard.press(key)
    page.wait_for_timeout(300)
    assert page.url.endswith("photos?lang=en")
    assert not page.is_visible("#help")
    page.set_viewport_size({"width": 360, "height": 740})
    page.focus("[data-help]")
    page.keyboard.press("Enter")
    page.check("#single")
    page.keyboard.press("Escape")
    assert focused(page, "[data-help]")
    page.keyboard.press("g")
    page.keyboard.press("i")
    page.wait_for_url("**/identify")


def test_an_answer_keeps_the_focus_and_the_next_question_is_read(state, page):
    page.goto(page.url + "review?lang=en")
    page.wait_for_selector(".question:not([hidden])", timeout=30_000)
    until(lambda: told(page).startswith("left: "))
    before = told(page)
    page.focus("[data-do=different]")
    while page.is_visible(".question"):
        count = len(state.identities().rows)
        page.keyboard.press("Enter")
        until(lambda n=count: len(state.identities().rows) > n)
        until(lambda: page.is_visible(".question") or page.is_visible(".done"))
        if page.is_visible(".question"):
            until(lambda: told(page).startswith("different animals. left: ") and told(page) != before)
            assert focused(page, "[data-do=different]")
    assert focused(page, ".done")
    assert told(page) == "different animals. Nothing is left to ask. Thank you."
    with page.expect_response("**/review/next*"):  # an older count arrives late: nothing is left all the same
        page.evaluate("document.dispatchEvent(new CustomEvent('live-waiting', { detail: { questions: 3 } }))")
    until(lambda: page.is_visible(".done") and focused(page, ".done"))
    assert told(page) == "different animals. Nothing is left to ask. Thank you."
    assert page.inner_text(".left") == ""
    assert page.get_attribute(".done a", "href") == "/"
    page.keyboard.press("u")
    page.wait_for_selector(".question:not([hidden])")
    assert page.text_content("#said") == "Taken back."


def test_keys_of_review_tell_what_they_turn_on(page):
    page.set_viewport_size({"width": 1366, "height": 600})
    page.goto(page.url + "review?lang=en")
    page.wait_for_selector(".question:not([hidden])", timeout=30_000)
    page.keyboard.press("?")
    first = page.evaluate("[help.scrollHeight > help.clientHeight, help.scrollTop]")
    assert first == [True, 0]  # its first keys are seen
    page.keyboard.press("Escape")
    for key, words in (("3", "rather sure: on"), ("3", "rather sure: off"), ("x", "darken the scenery: on")):
        page.keyboard.press(key)
        assert told(page) == words
    page.keyboard.press("n")
    assert focused(page, "textarea")
    page.keyboard.press("Escape")
    assert focused(page, "[data-do=note]")
    page.click("[data-do=zoom-in]")
    assert focused(page, "body")  # else the space bar would zoom again, or answer


def test_a_dialog_gives_the_focus_back_and_a_stored_change_keeps_it(state, page):
    name = next(each.name for each in state.identities().who.individuals if each.name)
    page.goto(page.url + f"individuals/{name}?lang=en")
    ready(page)
    button = "form[data-change=note] button"
    page.fill("form[data-change=note] input", "a scar")
    page.focus(button)
    page.keyboard.press("Enter")
    page.wait_for_selector("#preview[open]")
    page.keyboard.press("Escape")
    assert focused(page, button)
    until(lambda: page.keyboard.down("Enter") or page.is_visible("#preview"))  # until the page knows that it is closed
    page.keyboard.up("Enter")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=a scar")
    until(lambda: page.text_content("#said") == "Stored.")
    assert focused(page, button)


def test_sent_photos_are_told_and_the_strip_keeps_the_focus(survey, page, tmp_path):
    files = sorted((survey / "queries").glob("**/*.jpg"))[:2]
    for number, file in enumerate(files):
        shutil.copy(file, tmp_path / f"{number}.jpg")
    page.goto(page.url + "identify?lang=en")
    page.set_input_files("#files", [str(tmp_path / f"{n}.jpg") for n in range(2)])
    page.wait_for_selector("#strip li:nth-child(2)")
    assert told(page).startswith("Photo 1 / 2. 0.jpg")
    page.focus("#strip li:nth-child(2) button")
    page.keyboard.press("Enter")
    assert told(page).startswith("Photo 2 / 2. 1.jpg")
    assert focused(page, "#strip li:nth-child(2) button[aria-pressed=true]")
    for _ in range(2):
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
    assert focused(page, "#choose")


def test_arrows_in_a_filter_do_not_load_the_page(page):
    page.goto(page.url + "photos?lang=en")
    page.focus("select[name=body_part]")
    for _ in range(2):
        page.keyboard.press("ArrowDown")
    page.wait_for_timeout(300)
    assert "body_part" not in page.url
    page.focus("[data-filters] button")
    page.keyboard.press("Enter")
    page.wait_for_url("**body_part=*")


def test_a_repeated_message_is_another_text_and_a_dialog_leaves_none_behind(page):
    page.goto(page.url + "review?lang=en")
    page.wait_for_selector(".question:not([hidden])", timeout=30_000)
    for part, tell in (("#said", "say"), ("#told", "tell")):  # a screen reader is silent where a text stays as it was
        texts = [
            page.evaluate(f"snowmatch.{tell}('spot on'), document.querySelector('{part}').textContent") for _ in "123"
        ]
        assert texts[0] != texts[1] != texts[2]
        assert {text.strip() for text in texts} == {"spot on"}
    page.keyboard.press("?")
    page.wait_for_selector("#help[open]")
    assert (page.text_content("#said"), told(page)) == ("", "")


@pytest.mark.parametrize(("path", "first"), [("count", "comparison"), ("doctor", "photos")])
def test_what_was_computed_is_told_in_short(page, path, first):
    page.goto(page.url + f"{path}?lang=en")
    ready(page)
    assert first in told(page)
    assert len(told(page)) < len(page.inner_text("main")) / 2
    assert page.locator("[data-poll][aria-live]").count() == 0  # else all of it would be read


def test_the_end_of_work_is_told(state, page):
    with running_job(state.folder, title="photos", done=3, total=10, seconds=2) as job:
        page.goto(page.url + "jobs?lang=en")
        page.wait_for_selector("article progress")
        assert page.text_content("#said") == ""
        (job / "stdout").write_text("done\n")
        (job / "stderr").write_text("")
        (job / "ended.json").write_text(json.dumps({"status": 0, "ended": time.time()}))
    page.wait_for_selector("article .done")
    until(lambda: page.text_content("#said") == "Read the photos (index) done")


def test_actions_of_the_pages_have_keys_and_the_window_of_keys_tells_them(state, page):
    who = state.identities().who
    first = next(each for each in who.individuals if each.name and len(each.sightings) > 1)
    other = next(each for each in who.individuals if each.name and each is not first).sightings[0]
    one, another, *_ = first.sightings
    state.append(lambda i: [answer_pair(i, one, other, "same", "Anna")])
    state.append(lambda i: [answer_pair(i, another, other, "different", "Boris")])
    base = page.url
    keys = {
        "": {"w": ".waits button"},
        "jobs": {"s": "button.main"},
        "individuals": {"m": "[name=name]"},
        f"individuals/{first.name}": {"s": "[data-change=split] input", "n": "[data-change=name] input",
                                "q": "[data-change=quality] select", "f": "[data-change=portrait] button",
                                "x": "[data-change=sex] select",
                                "t": "[data-change=note] input", "u": "[data-change=undo] button"},
        "contradictions": {"u": "[data-change=undo] button", "r": None},
        "count": {"r": None},
        "survey": {"t": "[name=days]"},
    }  # fmt: skip
    for path, wanted in keys.items():
        for key, focused in wanted.items():
            page.goto(f"{base}{path}?lang=en")
            page.wait_for_load_state()
            page.wait_for_selector("[aria-busy=true]", state="detached")
            for box in page.locator("[data-photo], [data-pick]").all()[:2]:
                box.check()
            page.evaluate("document.activeElement.blur()")
            page.keyboard.press(key)
            if focused is None:
                page.wait_for_url(lambda address, path=path: not address.startswith(f"{base}{path}?"))
            else:
                assert page.evaluate("selector => document.activeElement.matches(selector)", focused), (path, key)
                page.evaluate("document.activeElement.blur()")
                page.keyboard.press("?")
                assert key.upper() in page.locator("dialog[open] kbd").all_inner_texts(), (path, key)
