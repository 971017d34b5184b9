"""Open pages in a real browser: what happens is shown without a reload."""

import json

import pytest
from test_web_browser import address, page, state  # noqa: F401, the fixtures
from test_web_live import tell

from snowmatch.core.home import home_of
from snowmatch.review.identities import answer_pair

pytestmark = pytest.mark.browser


def test_the_start_page_shows_a_sighting_and_new_numbers(page, address, state):  # noqa: F811
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(address)
    page.wait_for_selector(".facts b")
    section = page.locator("[data-live=sightings]")
    assert not section.is_visible()
    page.wait_for_timeout(1500)  # the stream is open
    tell(state.folder)
    page.wait_for_selector("[data-live=sightings] li", timeout=30000)
    assert "aika" in section.inner_text()
    assert section.locator(".level.good .mark").bounding_box()["width"] > 5  # a shape, as everywhere
    page.wait_for_selector("[data-poll]:not([aria-busy])", timeout=60000)
    page.wait_for_timeout(2500)
    before = page.locator(".facts li").last.inner_text()
    state.append(lambda i: [answer_pair(i, 0, 1, "different", "Boris")])
    page.wait_for_function(
        "before => document.querySelector('.facts li:last-child').innerText !== before", arg=before, timeout=60000
    )
    assert errors == []


def start_elsewhere(state):  # noqa: F811
    job = home_of(state.folder) / "jobs" / "20260101-000000-index"
    job.mkdir(parents=True)
    (job / "ended.json").write_text(json.dumps({"status": 0, "ended": 2.0}))
    (job / "job.json").write_text(json.dumps({"kind": "index", "arguments": [], "started": 1.0}))


def test_the_page_of_work_shows_work_that_others_start(page, address, state):  # noqa: F811
    with page.expect_response("**/events"):
        page.goto(address.split("/?")[0] + "/jobs")
    page.wait_for_timeout(2500)
    start_elsewhere(state)
    page.wait_for_selector("article.job", timeout=30000)


def test_the_page_of_work_shows_work_that_starts_before_the_stream_is_open(page, address, state):  # noqa: F811
    held = []
    page.route("**/events", lambda route: held.append(route))
    page.goto(address.split("/?")[0] + "/jobs")
    while not held:
        page.wait_for_timeout(50)
    start_elsewhere(state)
    page.wait_for_timeout(1500)  # the first message of the stream already tells of it
    held[0].continue_()
    page.unroute("**/events")
    page.wait_for_selector("article.job", timeout=30000)
    loads = []
    page.on("load", lambda _: loads.append(1))
    page.wait_for_timeout(4000)
    assert loads == []  # the page is loaded again once, not for ever
