"""Boxes and masks in the explorer, and pictures fetched ahead in review, in a real browser. Skipped without one."""

import io
import re

import numpy as np
import pytest
from PIL import Image
from test_web_browser import address, page, state, until  # noqa: F401

pytestmark = pytest.mark.browser


def shown(page, source):  # noqa: F811
    """Return the pixels of a picture of the app."""
    body = page.request.get(page.url.split("/photos")[0] + source).body()
    return np.asarray(Image.open(io.BytesIO(body)).convert("RGB")).astype(int)


def test_every_photo_shows_state_box_and_mask_by_a_key(state, page):  # noqa: F811
    page.goto(page.url + "photos?lang=en&body_part=left_flank")
    page.wait_for_load_state()
    assert page.locator(".tile .badge").count() == 0
    page.keyboard.press("b")
    page.wait_for_url("**view=outline**")
    tiles = page.locator(".tile").count()
    assert tiles == sum(a.body_part == "left_flank" for a in state.identities().named)
    assert page.locator(".tile .badge.indexed").count() == tiles
    assert all("mask" in text for text in page.locator(".tile small").all_inner_texts())
    source = page.locator(".tile img").first.get_attribute("src")
    yellow = [shown(page, each)[:200, :, ::2] @ (1, -1) for each in (source.replace("outline", "photo"), source)]
    assert (yellow[1] - yellow[0] > 40).sum() > 100  # the line round the mask
    page.select_option("select[name=body_part]", "right_flank")
    page.wait_for_url(lambda url: "right_flank" in url)
    assert "view=outline" in page.url  # filters keep it
    page.wait_for_load_state()
    page.keyboard.press("b")
    page.wait_for_url(lambda url: "view" not in url)
    assert "right_flank" in page.url


def test_a_corrected_mask_is_seen_at_once(state, page):  # noqa: F811
    a = next(each for each in state.identities().annotations if each.mask)
    page.goto(page.url + f"photos/{a.annotation}?lang=en")
    source = page.get_attribute("#photo", "src")
    before = shown(page, source)
    mask = state.folder / a.mask
    whole = np.asarray(Image.open(mask))
    Image.fromarray(np.full_like(whole, 255)).save(mask)
    assert np.abs(shown(page, source) - before).mean() > 3


def test_the_next_pair_is_there_before_its_key(state, page):  # noqa: F811
    base = page.url
    page.goto(base + "review?lang=en")
    page.wait_for_selector(".question:not([hidden])", timeout=30_000)
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(800)  # frames of this pair, and the pairs ahead
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    first = (
        page.get_attribute('.side[data-side="0"] .animal', "src"),
        page.get_attribute('.side[data-side="1"] .animal', "src"),
    )
    for _ in range(3):
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowDown")
    page.keyboard.press("d")
    sources = [f'.side[data-side="{n}"] .animal' for n in (0, 1)]
    until(lambda: tuple(page.get_attribute(each, "src") for each in sources) != first)
    for each in sources:
        until(lambda each=each: page.eval_on_selector(each, "image => image.complete && image.naturalWidth > 0"))
    at_once = [url for url in asked if re.search(r"/picture/(animal|photo)/(640|1280|2560)/", url)]
    shown_now = [page.get_attribute(each, "src") for each in sources]
    assert not [url for url in at_once if any(url.endswith(each) for each in shown_now)]
