"""Boxes are drawn and corrected in a real browser, with the mouse, a finger and keys. Skipped where no browser is."""

import pytest
from test_web_browser import address, page, state, until

__all__ = ["address", "page", "state"]  # fixtures
pytestmark = pytest.mark.browser


def numbers(page, within):
    return [int(each.input_value() or -1) for each in page.locator(f"{within} input[type=number]").all()]


def at(canvas, across, down):
    """Return a point of the page: a share of the width and of the height of the photo."""
    area = canvas.bounding_box()
    return area["x"] + across * area["width"], area["y"] + down * area["height"]


def drag(page, canvas, start, end):
    page.mouse.move(*at(canvas, *start))
    page.mouse.down()
    page.mouse.move(*at(canvas, *((a + b) / 2 for a, b in zip(start, end, strict=True))))
    page.mouse.move(*at(canvas, *end))
    page.mouse.up()


def near(found, expected):
    assert all(abs(a - b) <= 4 for a, b in zip(found, expected, strict=True)), (found, expected)


def test_a_box_is_corrected_as_a_decision_and_taken_back(state, page):
    a = next(a for a in state.identities().annotations if a.bbox is not None)
    page.goto(page.url + f"photos/{a.annotation}?lang=en")
    page.keyboard.press("e")
    canvas = page.locator("#box canvas")
    near(numbers(page, "#box"), a.bbox)
    assert page.is_disabled("#box button.main")
    width, height = 800, 533
    x, y, w, h = a.bbox
    corner = ((x + w - 3) / width, (y + h - 3) / height)
    drag(page, canvas, corner, (0.9, 0.95))  # a corner
    near(numbers(page, "#box"), (x, y, 0.9 * width - x, 0.95 * height - y))
    drag(page, canvas, (0.05, 0.05) if x > 80 else (0.97, 0.97), (0.3, 0.4))  # another box
    canvas.focus()
    before = numbers(page, "#box")
    page.keyboard.press("ArrowRight")
    assert numbers(page, "#box") == [before[0] + 8, *before[1:]]
    page.keyboard.press("Shift+ArrowDown")
    after = numbers(page, "#box")
    assert after == [before[0] + 8, before[1], before[2], before[3] + 8]
    page.click("#box button.main")
    page.wait_for_selector("#preview[open]")
    assert ",".join(map(str, a.bbox)) in page.inner_text("#preview")
    page.keyboard.press("Enter")
    until(lambda: state.identities().who.boxes == {a.annotation: tuple(after)})
    page.wait_for_selector(".badge.indexed")  # it was read again
    page.wait_for_selector("form[data-change=undo] button")
    page.wait_for_load_state()  # the scripts run, too
    page.click("form[data-change=undo] button")
    page.wait_for_selector("#preview[open]")
    page.keyboard.press("Enter")
    until(lambda: not state.identities().who.boxes)


def test_a_box_is_drawn_and_corrected_before_the_question(state, survey, page):
    photo = sorted((survey / "queries").glob("**/*.jpg"))[0]
    page.goto(page.url + "identify?lang=en")
    page.set_input_files("#files", str(photo))
    page.wait_for_selector("#work:not([hidden])")
    canvas = page.locator("#canvas")
    canvas.scroll_into_view_if_needed()
    if numbers(page, "#work")[0] >= 0:
        page.click("#nobox")
    drag(page, canvas, (0.2, 0.2), (0.7, 0.8))
    near(numbers(page, "#work"), (160, 107, 400, 320))
    drag(page, canvas, (0.45, 0.5), (0.5, 0.55))  # inside: it moves
    near(numbers(page, "#work"), (200, 133, 400, 320))
    drag(page, canvas, (0.25, 0.55), (0.15, 0.55))  # the left side
    near(numbers(page, "#work"), (120, 133, 480, 320))
    page.mouse.click(*at(canvas, 0.02, 0.02))  # a click draws nothing
    near(numbers(page, "#work"), (120, 133, 480, 320))
    canvas.focus()
    page.keyboard.press("Delete")
    assert numbers(page, "#work") == [-1] * 4
    page.keyboard.press("Enter")  # a first box
    near(numbers(page, "#work"), (200, 133, 400, 266))
    sent = []
    page.on("request", lambda request: sent.append(request.post_data_json) if "/ask" in request.url else None)
    page.click("#ask")
    page.wait_for_url("**/identify/*", timeout=60_000)
    near(sent[0]["boxes"][0], (200, 133, 400, 266))
    page.check("#add input[value=new]")
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("a")
    assert page.evaluate("document.activeElement.value") == "new"


def test_a_box_of_which_some_numbers_are_typed_is_told(survey, page):
    page.goto(page.url + "identify?lang=en")
    page.set_input_files("#files", str(sorted((survey / "queries").glob("**/*.jpg"))[0]))
    page.wait_for_selector("#work:not([hidden])")
    page.click("#nobox")
    page.fill("#box-x", "10")
    page.fill("#box-w", "100")
    page.click("#ask")
    page.wait_for_selector("#problems li")
    assert "four numbers" in page.inner_text("#problems")
    assert page.evaluate("document.activeElement.id") == "box-y"
    assert page.url.endswith("/identify?lang=en")


def test_a_finger_draws_a_box(state, page):
    a = next(a for a in state.identities().annotations if a.bbox is not None)
    page.goto(page.url + f"photos/{a.annotation}?lang=en")
    page.keyboard.press("e")
    page.locator("#box input").nth(0).fill("600")
    page.locator("#box input").nth(0).press("Tab")
    canvas = page.locator("#box canvas")
    session = page.context.new_cdp_session(page)

    def touch(kind, *where):
        points = [{"x": where[0], "y": where[1]}] if where else []
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", *at(canvas, 0.05, 0.05))
    touch("touchMove", *at(canvas, 0.2, 0.2))
    touch("touchMove", *at(canvas, 0.4, 0.5))
    touch("touchEnd")
    near(numbers(page, "#box"), (40, 27, 280, 240))
