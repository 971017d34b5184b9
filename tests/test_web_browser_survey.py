"""The map and the downloads in a real browser, and nothing wider than a phone. Skipped where no browser is."""

import csv
import io

import pytest
from test_web_browser import address, page, state

__all__ = ["address", "page", "state"]  # fixtures
pytestmark = pytest.mark.browser


@pytest.fixture(autouse=True)
def stations(state):
    (state.folder / "stations.csv").write_text(
        "station,location,x,y,from,to\nst01,naryn,76.15,41.45,2023-01-01,2024-01-01\n"
        "st02,sarychat,76.26,41.5,2023-01-01,2024-01-01\nst03,naryn,76.2,41.43,2023-01-01,2024-01-01\n",
        encoding="utf-8",
    )


def test_the_map_leads_to_photos_and_tables_are_saved(state, page):
    start = page.url
    page.goto(f"{start}survey?lang=en")
    assert page.locator(".map circle.seen").count() == 3
    with page.expect_download() as saved:
        page.click("button[formaction$='captures.csv']")
    rows = list(csv.DictReader(io.StringIO(saved.value.path().read_text("utf-8-sig"))))
    assert rows
    assert {row["individual_id"] for row in rows} <= {each.name for each in state.identities().who.individuals}
    page.click("button[formaction$='secr.zip']")  # positions were not chosen
    assert "positions" in page.inner_text("main")
    page.go_back()
    page.select_option("select[name=coordinates]", "rounded:5")
    with page.expect_download() as saved:
        page.click("button[formaction$='secr.zip']")
    assert saved.value.suggested_filename == "secr.zip"
    page.locator(".map a").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/photos?*station=st0*")


def test_an_animal_has_its_way_on_the_map_and_its_passport_has_none(state, page):
    who = state.identities().who
    places = {each.name: {who.sightings[n].station for n in each.sightings} for each in who.individuals if each.name}
    name = max(places, key=lambda each: len(places[each]))
    start = page.url
    page.goto(f"{start}individuals/{name}?lang=ru")
    assert page.locator(".map .way").count() >= 1
    assert page.locator(".map circle.seen").count() == len(places[name])
    page.goto(f"{start}individuals/{name}/passport")
    assert page.locator(".map").count() == 0
    page.set_viewport_size({"width": 360, "height": 740})
    photo = next(a.annotation for a in state.identities().annotations if a.annotation)
    for path in ("survey", f"individuals/{name}", f"photos/{photo}"):
        page.goto(f"{start}{path}?lang=ru")
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, path
