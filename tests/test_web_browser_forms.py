"""Forms and keys in a real browser: what is sent once, what is forgotten, and keys of another script."""

import re
import shutil
import time

import pytest
from test_web_browser import address, page, until
from web_small import make_catalog

from snowmatch.review.identities import answer_pair
from snowmatch.review.uploads import LARGEST
from snowmatch.web.state import State

__all__ = ["address", "page"]  # fixtures
pytestmark = pytest.mark.browser

KEY = "([key, code]) => document.body.dispatchEvent(new KeyboardEvent('keydown', { key, code, bubbles: true }))"
TWICE = "form => { form.requestSubmit(); form.requestSubmit(); }"  # a double click
LEFT = '.side[data-side="0"] .animal'
AGAIN = "form => { form.requestSubmit(); setTimeout(() => form.requestSubmit(), 200); }"


@pytest.fixture
def state(tmp_path):
    return State(make_catalog(tmp_path), None, "Anna")


def test_forms_are_sent_once_and_keys_work_with_cyrillic_letters(state, page):
    start = page.url
    sent = []
    page.on(
        "request", lambda request: sent.append(request.url.rpartition("/")[2]) if request.method == "POST" else None
    )

    page.goto(start + "photos?lang=ru")
    for key in (["п", "KeyG"], ["ш", "KeyI"]):  # g i on a Russian keyboard
        page.evaluate(KEY, key)
    page.wait_for_url("**/identify")
    photo = state.folder / "images" / "0.jpg"
    page.set_input_files("#files", photo)
    page.wait_for_selector("#strip button.plain")
    assert page.input_value("#question [name=station]") == "st0"  # the photo is in the catalog
    assert page.input_value("#files") == ""  # the same file can be chosen again
    page.fill("#question [name=timestamp]", "2025-04-01T10:00:00")
    page.set_input_files("#files", state.folder / "images" / "1.jpg")
    page.wait_for_selector("#strip li:nth-child(2)")
    page.click("#strip button.plain >> nth=0")
    assert page.input_value("#question [name=station]") == "st1"  # of the photo that is left
    assert page.input_value("#question [name=timestamp]") == "2025-04-01T10:00"
    page.click("#strip button.plain")
    assert page.input_value("#question [name=station]") == ""  # of the photo that was removed
    assert page.input_value("#question [name=timestamp]") == "2025-04-01T10:00"  # of the person

    page.goto(start + "photos?lang=en")
    page.evaluate(
        "document.querySelector('[data-filters]').addEventListener('submit', (e) => e.preventDefault(), { once: true })"
    )
    page.click("[data-filters] button")
    assert page.locator("[data-filters] [name]:disabled").count() == 0  # who goes back can filter again
    page.fill("[data-filters] [name=q]", "images/1")
    page.click("[data-filters] button")
    page.wait_for_url("**/photos?q=images%2F1")

    page.check("[data-photo] >> nth=0")
    page.go_back()
    page.go_forward()
    until(lambda: page.locator("[data-photo]:checked").count() == 1)
    until(lambda: page.is_visible("form[data-photos-bar]"))  # what was chosen can be corrected

    page.goto(start + "photos/" + state.identities().annotations[0].annotation + "?lang=en")
    page.route("**/changes", lambda route: route.abort())
    page.eval_on_selector("form[data-photos-bar]", "form => form.requestSubmit()")
    until(lambda: page.text_content("#said") == "snowmatch does not answer: is it still running?")
    page.unroute("**/changes")
    sent.clear()
    page.eval_on_selector("form[data-photos-bar]", TWICE)
    page.wait_for_selector("#preview[open]")
    assert sent == ["changes"]

    page.goto(start + "?lang=en")
    sent.clear()
    page.route("**/observer", lambda route: (time.sleep(1), route.continue_()))
    with page.expect_navigation():
        page.eval_on_selector("form[action='/observer']", AGAIN)
    assert sent == ["observer"]


def test_undo_shows_the_question_whose_answer_is_taken_back_also_of_another_page(state, page):
    page.goto(page.url + "review?lang=en")
    page.wait_for_selector(".question:not([hidden])", timeout=30_000)
    shown = page.get_attribute(LEFT, "src")
    page.keyboard.press("d")
    until(lambda: len(state.identities().rows) == 1)
    row, who = state.identities().rows[0], state.identities().who
    own = {who.number_of[side[0]] for side in (row.side_a, row.side_b)}
    others = [n for n in range(len(who.sightings)) if n not in own][:2]
    state.append(lambda now: [answer_pair(now, *others, "different", "Anna")])  # in another tab
    page.keyboard.press("u")
    until(lambda: len(state.identities().rows) == 3)
    keys = [state.identities().who.sightings[n].key for n in others]
    until(lambda: page.is_visible(".question") and any(key in page.get_attribute(LEFT, "src") for key in keys))
    page.keyboard.press("u")
    until(lambda: len(state.identities().rows) == 4)
    until(lambda: page.get_attribute(LEFT, "src") == shown)


def test_an_error_that_a_script_shows_leads_to_the_page_that_helps(state, page):
    start = page.url
    refused = {"error": "nothing is indexed", "code": "not-indexed", "link": "/jobs"}
    page.route(re.compile("/(review/next|identify/ask|changes)"), lambda route: route.fulfill(status=400, json=refused))

    page.goto(start + "review?lang=en")
    until(lambda: page.locator(".status a[href='/jobs']").count() == 1)
    assert page.text_content(".status") == "nothing is indexed Go to the page that helps"

    page.goto(start + "identify?lang=en")
    page.set_input_files("#files", state.folder / "images" / "0.jpg")
    page.wait_for_selector("#strip button.plain")
    page.click("#ask")
    until(lambda: page.locator("#problems a[href='/jobs']").count() == 1)

    page.goto(start + "photos/" + state.identities().annotations[0].annotation + "?lang=en")
    for _ in "12":  # a repeated message has the link once
        before = page.inner_html("#said")  # what is said again differs by a space
        page.eval_on_selector("form[data-photos-bar]", "form => form.requestSubmit()")
        until(lambda before=before: page.inner_html("#said") != before)
        assert page.locator("#said.shown a[href='/jobs']").count() == 1
    page.evaluate("snowmatch.say('Stored.')")
    assert page.locator("#said a").count() == 0

    whole = page.request.get(start + "review?a=x&b=y&lang=en")
    page.route("**/dashboard/figures*", lambda route: route.fulfill(response=whole))
    page.goto(start + "dashboard?lang=en")
    until(lambda: page.locator("#figures .problem a[href='/review']").count() == 1)
    assert page.text_content("#figures").startswith("this is no pair any more")
    page.click("#figures a")
    page.wait_for_selector("#review")


def test_no_answer_is_stored_about_a_photo_that_cannot_be_seen(state, page):
    page.route("**/picture/animal/**", lambda route: route.abort())
    page.goto(page.url + "review?lang=en")
    page.wait_for_selector(".question:not([hidden])")
    until(lambda: "cannot be read" in page.text_content("#said"))
    for key in "sd":
        page.evaluate("snowmatch.say('')")
        page.keyboard.press(key)
        until(lambda: "your answer is not stored" in page.text_content("#said"))
    assert state.identities().rows == ()
    page.keyboard.press("c")
    until(lambda: [row.answer for row in state.identities().rows] == ["cannot_tell"])


def test_scenery_that_cannot_be_darkened_is_told(page):
    gone = {"error": "masks/0.png does not exist", "code": "", "link": ""}
    page.route("**/scenery/**", lambda route: route.fulfill(status=404, json=gone))
    page.goto(page.url + "review?lang=en")
    page.wait_for_selector(".question:not([hidden])")
    page.keyboard.press("x")
    until(lambda: "masks/0.png does not exist" in page.text_content("#said"))


def test_the_link_in_a_message_can_be_reached_by_keys_and_goes_with_the_message(page):
    page.clock.install()
    page.goto(page.url + "photos?lang=en")
    page.evaluate("snowmatch.say('nothing is indexed', '/jobs')")
    page.focus("#said a")
    page.clock.run_for(60_000)
    assert page.is_visible("#said a")  # while it has the focus
    page.focus("#main")
    assert not page.is_visible("#said a")


def test_a_file_that_is_too_large_is_told_before_it_is_sent(state, page, tmp_path):
    page.goto(page.url + "identify?lang=en")
    large = tmp_path / "IMG_7.TIF"
    with large.open("wb") as file:
        file.truncate(LARGEST + 1)
    sent = []
    page.on("request", lambda request: sent.append(request.url) if "/identify/photo?" in request.url else None)
    page.set_input_files("#files", [large, state.folder / "images" / "0.jpg"])
    until(lambda: page.locator("#strip li").count() == 1)
    (told,) = page.locator("#problems li").all_text_contents()
    assert told.startswith("IMG_7.TIF: Too large: this accepts at most 64 MB")
    assert [url.rpartition("=")[2] for url in sent] == ["0.jpg"]  # a server that refuses may cut the sending short


def test_why_a_photo_is_not_shown_stands_on_its_page(state, page):
    a = state.identities().annotations[0]
    photo = state.folder / a.path
    content = photo.read_bytes()
    photo.unlink()
    page.goto(f"{page.url}photos/{a.annotation}?lang=en")
    until(lambda: page.locator(".stacked .problem").count() == 1)
    assert f"{a.path} does not exist" in page.text_content(".stacked .problem")
    photo.write_bytes(content)
    page.click("#outline")  # another picture of it
    until(lambda: page.locator(".stacked .problem").count() == 0)


def test_spots_are_not_drawn_on_a_photo_that_is_not_what_was_indexed(state, page):
    page.goto(page.url + "identify?lang=en")
    page.set_input_files("#files", state.folder / "images" / "1.jpg")
    page.wait_for_selector("#strip button.plain")
    page.click("#ask")
    page.wait_for_url(re.compile("/identify/[0-9a-f]{20}"), timeout=60_000)
    until(lambda: page.eval_on_selector(".candidate img", "image => image.naturalWidth") > 0)
    path = re.search(r"images/\d.jpg", page.text_content(".candidate"))[0]
    (state.folder / path).write_bytes((state.folder / "images" / "4.jpg").read_bytes())
    page.click("[data-kind=plain]")
    until(lambda: page.locator(".candidate .problem").count() > 0)
    assert f"{path} has changed since it was indexed" in page.text_content(".candidate .problem")
    assert page.locator(".candidate .problem a[href='/jobs']").count() == 1


def test_a_question_waits_for_the_photos_that_are_still_being_sent(state, page):
    start, held = page.url, []
    page.route(
        "**/identify/photo?*", lambda route: held.append(route) if "1.jpg" in route.request.url else route.continue_()
    )
    photos = [state.folder / "images" / name for name in ("0.jpg", "1.jpg")]
    asked = []
    page.on("request", lambda request: asked.append(request.post_data_json) if "/identify/ask" in request.url else None)

    page.goto(start + "identify?lang=en")
    page.set_input_files("#files", photos)
    until(lambda: page.locator("#strip li").count() == 1 and held)
    page.click("#ask")
    until(lambda: page.text_content("#asking") == "Reading the photos …")
    held.pop().continue_()
    page.wait_for_url(re.compile("/identify/[0-9a-f]{20}"), timeout=180_000)
    assert [len(each["photos"]) for each in asked] == [2]

    page.goto(start + "identify?lang=en")
    page.set_input_files("#files", photos)
    until(lambda: page.locator("#strip li").count() == 1 and held)
    page.click("#ask")
    until(lambda: page.text_content("#asking") == "Reading the photos …")
    held.pop().abort()  # one that cannot be sent is told, and the person decides
    until(lambda: page.locator("#problems li").count() == 1)
    until(lambda: page.text_content("#asking") == "")
    assert len(asked) == 1
    page.click("#ask")
    page.wait_for_url(re.compile("/identify/[0-9a-f]{20}"), timeout=180_000)
    assert [len(each["photos"]) for each in asked] == [2, 1]


def test_a_chosen_file_that_has_gone_is_told(state, page, tmp_path):
    files = [shutil.copyfile(state.folder / "images" / "0.jpg", tmp_path / name) for name in ("a.jpg", "b.jpg")]
    files[0].write_bytes((state.folder / "images" / "1.jpg").read_bytes())

    def take_card_out(route):
        files[1].unlink(missing_ok=True)
        route.continue_()

    page.goto(page.url + "identify?lang=en")
    page.route("**/identify/photo?name=a.jpg", take_card_out)
    page.set_input_files("#files", files)
    until(lambda: page.locator("#problems li").count() == 1)
    assert page.text_content("#problems li").startswith("b.jpg: This file cannot be read any more")
    assert page.locator("#strip li").count() == 1


def test_an_empty_file_is_refused_by_its_name(state, page):
    page.goto(page.url + "identify?lang=en")
    empty = {"name": "IMG_7.JPG", "mimeType": "image/jpeg", "buffer": b""}
    whole = {"name": "b.jpg", "mimeType": "image/jpeg", "buffer": (state.folder / "images" / "0.jpg").read_bytes()}
    for files, count in (([empty], 0), ([empty, whole], 1)):
        page.set_input_files("#files", files)
        until(lambda: page.locator("#problems li").count() == 1)
        until(lambda count=count: page.locator("#strip li").count() == count)
        assert page.text_content("#problems li").startswith("IMG_7.JPG is empty (0 bytes)")
