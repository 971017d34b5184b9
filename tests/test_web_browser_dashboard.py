"""The dashboard in a real browser: filters, tables that stay open while figures are renewed, files, paper, a phone."""

import csv
import io

import pytest
from test_web_browser import AWAY, address, page, state, until

from snowmatch.review.identities import rename

__all__ = ["address", "page", "state"]  # fixtures
pytestmark = pytest.mark.browser


@pytest.fixture(autouse=True)
def stations(state):
    (state.folder / "stations.csv").write_text(
        "station,location,x,y,crs,from,to\nst01,naryn,500000,4600000,32643,2023-01-01,2024-01-01\n"
        "st02,sarychat,504000,4601000,32643,2023-01-01,2024-01-01\n"
        "st03,naryn,501000,4604000,32643,2023-01-01,2024-01-01\n",
        encoding="utf-8",
    )


def ready(page):
    page.wait_for_selector("#figures:not([aria-busy]) .figures", timeout=30_000)


def test_filters_by_keys_are_shared_in_the_address_and_narrow_the_files(state, page):
    name = next(each.name for each in state.identities().who.individuals if each.name)
    page.goto(page.url + "dashboard?lang=en")
    ready(page)
    assert page.locator(".map polygon.hex").count() > 20
    before = page.inner_text(".facts")
    page.focus("input[name=individual]")
    page.keyboard.type(name)
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/dashboard?*individual={name}*")
    ready(page)
    assert page.inner_text(".facts") != before
    page.locator("summary", has_text="Individuals").focus()
    page.keyboard.press("Enter")
    with page.expect_download() as saved:
        page.click("a[href^='/dashboard/table/individuals.csv']")
    rows = list(csv.DictReader(io.StringIO(saved.value.path().read_text("utf-8"))))
    assert [row["individual_id"] for row in rows] == [name]


def test_new_figures_come_by_themselves_and_open_tables_stay_open(state, page):
    old = next(each.name for each in state.identities().who.individuals if each.name)
    page.clock.install()
    page.goto(page.url + "dashboard?lang=en")
    page.clock.run_for(3000)
    ready(page)
    page.click("details[data-keep='individuals.csv'] summary")
    state.append(lambda who: [rename(who, old, "Zarina", "Anna")])
    page.locator("main").focus()
    page.clock.run_for(61_000)
    until(lambda: "Zarina" in page.inner_text("details[data-keep='individuals.csv']"))
    assert page.get_attribute("details[data-keep='individuals.csv']", "open") is not None
    page.route("**/dashboard/figures*", lambda route: route.abort())
    page.clock.run_for(60_000)
    until(lambda: page.text_content("#said").strip() == AWAY)
    assert "Zarina" in page.inner_text("details[data-keep='individuals.csv']")  # what was shown stays
    refusal = "<main><p class='problem'>the decisions are damaged</p></main>"
    page.route("**/dashboard/figures*", lambda route: route.fulfill(status=400, content_type="text/html", body=refusal))
    page.clock.run_for(60_000)
    until(lambda: page.text_content("#said").strip() == "the decisions are damaged")
    assert page.get_attribute("details[data-keep='rates.csv']", "open") is None


def test_nothing_is_wider_than_a_phone_and_the_report_is_paper(state, page):
    start = page.url
    page.set_viewport_size({"width": 360, "height": 740})
    for language in ("en", "ru"):
        page.goto(f"{start}dashboard?lang={language}")
        ready(page)
        for each in page.locator("details.behind summary").all():
            each.click()
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, language
        page.goto(f"{start}report?lang={language}")
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, language
    assert page.locator(".map").count() == 0
    page.emulate_media(media="print")
    assert not page.is_visible(".top")
    assert not page.is_visible("[data-print]")
    page.set_viewport_size({"width": 690, "height": 1000})  # the width of A4 between its margins
    assert page.evaluate("document.documentElement.scrollWidth") <= 690
    assert page.pdf(prefer_css_page_size=True).startswith(b"%PDF")
