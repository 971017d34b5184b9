"""Text, JSON and pictures of answers that are made in the tests."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import snowmatch
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.notes import Note
from snowmatch.core.text import aligned, printable, transliterated
from snowmatch.core.types import Annotation
from snowmatch.identify.answer import Answer, Candidate, Decision, QueryPhoto
from snowmatch.screening.foreground import ForegroundMap
from snowmatch.views import lettering, pictures
from snowmatch.views import side_by_side as drawing
from snowmatch.views.json import answer_to_json
from snowmatch.views.pictures import draw_answer
from snowmatch.views.text import format_answer, place_texts

GREY = 100
SIZE = (400, 300)
# A whole 400 x 300 photo is enlarged until it is PANEL wide; the second one begins after the first and the gap.
ENLARGED = drawing.PANEL[0] / SIZE[0]
TOP = drawing.HEAD + drawing.CAPTION
SECOND = drawing.PANEL[0] + drawing.GAP


def candidate(rank=1, individual="aika", spots=((100, 150),), others=None, weights=None, scale=8, best=None, **values):
    spots = np.array(spots, np.float32).reshape(-1, 2)
    others = spots if others is None else np.array(others, np.float32).reshape(-1, 2)
    scales = np.full(len(spots), scale, np.float32)
    weights = np.ones(len(spots), np.float32) if weights is None else np.array(weights, np.float32)
    best = best or Annotation(0, "photos/one.jpg", individual, "left_flank", encounter="E1", station="S1")
    values = {"score": 12.345678, "inliers": len(spots), "accepted": True, "checked": True, **values}
    return Candidate(rank, individual, best=best, best_query=0, keypoints0=spots, keypoints1=others, scales0=scales,
                     scales1=scales, weights=weights, **values)  # fmt: skip


def answer(*candidates, photo=None, **values):
    values = {
        "photos": (photo or QueryPhoto("trip/IMG_1.jpg", (1, 2, 30, 40), None, SIZE, 250),),
        "body_part": "left_flank",
        "locations": ("naryn",),
        "excluded_encounters": ("E9",),
        "catalog_path": "cats",
        "annotations": 1234,
        "compared": 310,
        "individuals": 41,
        "extractor": {"name": "sift", "revision": 1, "threshold": 0.02},
        "matcher": {"name": "lnbnn", "revision": 1},
        "candidates": candidates,
        "notes": (),
        **values,
    }
    return Answer(**values)


def write_photo(path, size=SIZE, level=GREY, box=None, colour=(200, 30, 30)):
    pixels = np.full((size[1], size[0], 3), level, np.uint8)
    if box:
        x, y, w, h = box
        pixels[y : y + h, x : x + w] = colour
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, quality=95)
    return pixels


@pytest.fixture
def folders(tmp_path):
    """Return a catalog of one uniform grey photo, and a folder for pictures that does not exist yet."""
    write_photo(tmp_path / "catalog" / "photos" / "one.jpg")
    return tmp_path / "catalog", tmp_path / "pictures"


def grey_query(**values):
    return QueryPhoto(**{
        "path": "", "bbox": None, "mask": None, "image_size": SIZE, "features": 9,
        "image": np.full((SIZE[1], SIZE[0], 3), GREY, np.uint8), **values,
    })  # fmt: skip


def pixels(path):
    with Image.open(path) as picture:
        return np.asarray(picture).astype(int)


def shown(x, y, second=False):
    """Return where pixel (x, y) of a whole photo is in a picture, as (row, column)."""
    return round((y + 0.5) * ENLARGED - 0.5 + TOP), round((x + 0.5) * ENLARGED - 0.5 + SECOND * second)


def coloured(pixel):
    return pixel.max() - pixel.min() > 60


# ---------------------------------------------------------------------------------------------------------- text


def test_text_has_the_query_the_gallery_and_the_candidates():
    unknown = Annotation(5, "photos/b.jpg", None, encounter="E7")
    text = format_answer(
        answer(
            candidate(level="good", probability=0.97),
            candidate(2, None, best=unknown, score=3.0, inliers=8),
            candidate(3, "Барс", score=5.5, accepted=False, inliers=0),
            notes=(Note("stale-annotations", "2 photos are stale"),),
            new_probability=0.02,
            expected_new=0.2,
            decision=Decision("aika", False, 0.97, "good", 0.96),
        )
    )
    assert text == (
        "Query:    trip/IMG_1.jpg, 250 features (sift + lnbnn)\n"
        "Filters:  body part left_flank or unknown; location naryn; without encounter E9\n"
        "Compared: 310 of 1234 annotations, 41 individuals, in cats\n"
        "\n"
        "rank  individual          score                 inliers  level         best photo      encounter  station\n"
        "   1  aika                12.35                       1  🟢 good 97 %  photos/one.jpg  E1         S1\n"
        "   2  unidentified (E7)    3.00                       8                photos/b.jpg    E7         -\n"
        "   3  Барс               (5.50)  no consistent geometry                photos/one.jpg  E1         S1\n"
        "\n"
        "Answer: 🟢 good: aika 97 % (at least 96 %), a new individual 2 % (before looking: 20 %)"
    )


def test_text_of_an_empty_gallery_still_has_the_filters():
    text = format_answer(answer(compared=0, individuals=0, locations=(), excluded_encounters=(), body_part="unknown"))
    assert text.splitlines()[1:] == [
        "Filters:  every body part; every location",
        "Compared: 0 of 1234 annotations, 0 individuals, in cats",
        "",
        "Nothing to compare: no annotation of the catalog passes the filters.",
    ]


def test_an_encounter_named_after_its_photo_is_left_out_where_the_path_is_shown():
    named = Annotation(0, "photos/b.jpg", "aika", encounter="E7", station="S1")
    assert place_texts(named) == ["encounter E7", "station S1"]
    assert place_texts(replace(named, encounter="photo photos/b.jpg")) == ["station S1"]
    assert place_texts(Annotation(0, "photos/b.jpg")) == []


def test_text_of_an_encounter_counts_all_its_photos():
    photos = tuple(QueryPhoto(f"{n}.jpg", None, None, SIZE, 10) for n in range(5))
    text = format_answer(answer(photos=photos, annotations=1, compared=1, individuals=1))
    assert "0.jpg, 1.jpg, 2.jpg and 2 more (5 photos of one encounter), 50 features" in text
    assert "1 of 1 annotation, 1 individual, in" in text


def test_columns_stay_aligned_with_wide_and_combining_characters():
    rows = [("雪豹", "1"), ("Ö\u0308", "2"), ("🟢", "3"), ("Ак барс", "10")]  # widths 4, 1, 2, 7
    assert aligned(("name", "n"), rows, right=("n",)) == [
        "name      n",
        "雪豹      1",
        "Ö\u0308         2",
        "🟢        3",
        "Ак барс  10",
    ]


def test_control_characters_in_names_do_not_reach_the_terminal():
    evil = "a\x1b[31m\nb\r\u202ec\x9b2J\u2028d\ud800"
    text = format_answer(
        answer(
            candidate(individual=evil, level=evil, best=Annotation(0, evil, evil, encounter=evil, station=evil)),
            notes=(Note("evil", evil),),
            photo=QueryPhoto(evil, None, None, SIZE, 1),
            catalog_path=evil,
            locations=(evil,),
            excluded_encounters=(evil,),
        )
    )
    assert not set(text) & set("\x1b\r\u202e\x9b\u2028\ud800")
    assert len(text.splitlines()) == len(text.split("\n")) == 6
    assert r"a\x1b[31m\nb\r\u202ec\x9b2J\u2028d\ud800" in text
    text.encode()
    assert printable("Ак барс 雪豹 Ö") == "Ак барс 雪豹 Ö"


# ---------------------------------------------------------------------------------------------------------- JSON


def test_json_has_the_documented_keys_in_order():
    unknown = Annotation(5, "photos/b.jpg", None, "right_flank", encounter="E7")
    known = Annotation(
        0, "photos/one.jpg", "aika", "left_flank", encounter="E1", station="S1", bbox=(5, 6, 70, 80), annotation="a1"
    )
    result = answer_to_json(
        answer(
            candidate(level="good", probability=0.9712345678, careful=0.96, best=known),
            candidate(2, None, best=unknown, score=3.0, inliers=0, accepted=False),
            new_probability=0.02,
            expected_new=0.2,
            decision=Decision("aika", False, 0.971234567, "good", 0.961234567),
            calibration={"source": "shipped"},
            notes=(Note("code", "a", {"data": 1}),),
        )
    )
    assert json.dumps(result) == json.dumps(
        {
            "schema": "snowmatch.query/1",
            "query": {
                "photos": ["trip/IMG_1.jpg"],
                "body_part": "left_flank",
                "locations": ["naryn"],
                "bbox": [[1, 2, 30, 40]],
                "foreground": [""],
                "excluded_encounters": ["E9"],
            },
            "catalog": {"path": "cats", "annotations": 1234, "compared": 310, "individuals": 41},
            "method": {
                "extractor": {"name": "sift", "revision": 1, "threshold": 0.02},
                "matcher": {"name": "lnbnn", "revision": 1},
                "calibration": {"source": "shipped"},
                "snowmatch": snowmatch.__version__,
            },
            "candidates": [
                {
                    "rank": 1,
                    "individual": "aika",
                    "score": 12.3457,
                    "probability": 0.971235,
                    "careful": 0.96,
                    "level": "good",
                    "inliers": 1,
                    "covered": None,
                    "best": {
                        "annotation": "a1",
                        "path": "photos/one.jpg",
                        "bbox": [5, 6, 70, 80],
                        "foreground": "",
                        "encounter": "E1",
                        "station": "S1",
                        "body_part": "left_flank",
                    },
                },
                {
                    "rank": 2,
                    "individual": None,
                    "score": 3.0,
                    "probability": None,
                    "careful": None,
                    "level": None,
                    "inliers": 0,
                    "covered": None,
                    "best": {
                        "annotation": None,
                        "path": "photos/b.jpg",
                        "bbox": None,
                        "foreground": "",
                        "encounter": "E7",
                        "station": "",
                        "body_part": "right_flank",
                    },
                },
            ],
            "new_individual": {"probability": 0.02, "expected": 0.2},
            "decision": {
                "individual": "aika",
                "new": False,
                "encounter": None,
                "probability": 0.971235,
                "careful": 0.961235,
                "level": "good",
            },
            "level": "good",
            "notes": [{"code": "code", "text": "a"}],
        }
    )


def test_json_is_valid_for_any_values():
    matcher = {"name": "x", "a": np.float32(0.5), "b": np.int64(3), "c": float("inf"), "d": (np.bool_(True), None)}
    odd = answer(candidate(score=float("nan"), individual="Ак\ud800\x1b"), matcher=matcher, photo=grey_query())
    result = answer_to_json(odd)
    text = json.dumps(result, allow_nan=False, ensure_ascii=False)
    assert json.loads(text.encode()) == result
    assert result["method"]["matcher"] == {"name": "x", "a": 0.5, "b": 3, "c": None, "d": [True, None]}
    assert result["query"]["photos"] == [""]
    assert result["query"]["bbox"] == [None]
    assert result["candidates"][0]["score"] is None
    assert result["candidates"][0]["individual"] == "Ак\\ud800\x1b"
    assert "\x1b" not in text


# ------------------------------------------------------------------------------------------------------ pictures


def test_a_line_joins_the_spots_and_the_plain_picture_has_none(folders):
    catalog, pictures = folders
    one = candidate(spots=[(100, 150)], others=[(300, 50)])
    matches, plain = draw_answer(answer(one, photo=grey_query()), pictures, catalog, 5)
    lines, flat = pixels(matches), pixels(plain)
    assert lines.shape == flat.shape
    assert lines.shape[1] == 2 * drawing.PANEL[0] + drawing.GAP <= 2000
    start, stop = np.array(shown(100, 150)), np.array(shown(300, 50, second=True))
    for part in (0.1, 0.25, 0.75, 0.9):  # the gap is in the middle
        row, column = np.rint(start + part * (stop - start)).astype(int)
        assert coloured(lines[row - 1 : row + 2, column].reshape(-1, 3).T[:, 1]), part
        assert not coloured(lines[row - 9, column])
    radius = round(4 * ENLARGED)
    for row, column in (start, stop):
        ring = lines[row, column - radius - 1 : column - radius + 2]
        assert any(map(coloured, ring))  # the circle has the size of the spot
        assert not coloured(lines[row, column])  # and the spot itself stays visible
    assert np.abs(flat[TOP:, : drawing.PANEL[0]][: round(300 * ENLARGED)] - GREY).max() < 12


def test_colour_and_order_follow_the_weight(folders):
    catalog, pictures = folders
    weak, strong = (100, 60), (100, 240)
    crossing = candidate(spots=[strong, weak], others=[weak, strong], weights=[1, 0.1])
    parallel = candidate(2, spots=[strong, weak], weights=[1, 0.1])
    paths = draw_answer(answer(crossing, parallel, photo=grey_query()), pictures, catalog, 5)
    level = pixels(paths[2])
    red, blue = (level[shown(*spot)[0], drawing.PANEL[0] - 100] for spot in (strong, weak))
    assert red[0] > red[2] + 60
    assert blue[2] > blue[0] + 60
    middle = pixels(paths[0])[:, drawing.PANEL[0] - 4 : drawing.PANEL[0] - 2]
    hot = middle[..., 0] - middle[..., 2]
    assert hot.max() > 100  # where lines cross, the stronger one is on top


def test_only_the_strongest_lines_are_drawn(folders):
    catalog, pictures = folders
    spots = [(200, 30)] + [(200, 100 + n) for n in range(drawing.LINES)]
    many = candidate(spots=spots, weights=[0.5] + [1] * drawing.LINES)
    few = candidate(2, spots=spots[:1], weights=[0.5])
    paths = draw_answer(answer(many, few, photo=grey_query()), pictures, catalog, 5)
    row = shown(200, 30)[0]
    drawn = [any(coloured(p) for p in pixels(path)[row - 1 : row + 2, drawing.PANEL[0] - 50]) for path in paths[::2]]
    assert drawn == [False, True]


def test_animals_of_different_size_are_shown_at_one_height(folders):
    catalog, pictures = folders
    small, large = (30, 40, 60, 50), (500, 200, 700, 600)
    photo = write_photo(catalog / "unused.jpg", box=small)
    write_photo(catalog / "big.png", (1600, 1200), box=large)
    best = Annotation(0, "big.png", "aika", bbox=large)
    asked = grey_query(image=photo, bbox=small)
    _, plain = draw_answer(answer(candidate(spots=[], best=best), photo=asked), pictures, catalog, 5)
    red = pixels(plain)[TOP:, :, 0] - pixels(plain)[TOP:, :, 1] > 80
    halves = [half.any(1).sum() for half in np.array_split(red, [drawing.NARROWEST], axis=1)]
    assert abs(halves[0] - halves[1]) <= 4
    assert halves[0] > 280


def test_box_and_mask_are_outlined_only_beside_the_lines(folders):
    catalog, pictures = folders
    mask = np.zeros((SIZE[1], SIZE[0]), bool)
    mask[100:200, 100:300] = True
    Image.fromarray(mask.astype(np.uint8) * 255).save(catalog / "mask.png")
    for asked, best in [
        (grey_query(bbox=(100, 100, 200, 100)), Annotation(0, "photos/one.jpg", "a", bbox=(100, 100, 200, 100))),
        (grey_query(mask=mask), Annotation(0, "photos/one.jpg", "a", mask="mask.png")),
    ]:
        matches, plain = draw_answer(answer(candidate(spots=[], best=best), photo=asked), pictures, catalog, 5)
        change = np.abs(pixels(matches) - pixels(plain))[TOP:].max(2) > 40
        for half in np.array_split(change, 2, axis=1):
            rows, columns = np.nonzero(half)
            assert np.ptp(columns) / np.ptp(rows) == pytest.approx(2, abs=0.05)
            assert half.sum() < 4 * (np.ptp(rows) + np.ptp(columns))  # a thin line around it, nothing inside


def test_rejected_candidates_are_drawn_with_a_remark(folders):
    catalog, pictures = folders
    yes, no = candidate(), candidate(2, accepted=False, inliers=0)
    paths = draw_answer(answer(yes, no, photo=grey_query()), pictures, catalog, 5)
    warned = [bool((np.abs(pixels(p)[:56] - drawing.WARNING).max(2) < 30).any()) for p in paths]
    assert warned == [False, False, True, True]


def test_a_candidate_without_spots_and_one_with_zero_weights_can_be_drawn(folders):
    catalog, pictures = folders
    none, zero = candidate(spots=[], accepted=False), candidate(2, weights=[0], accepted=False)
    assert len(draw_answer(answer(none, zero, photo=grey_query()), pictures, catalog, 5)) == 4


def test_without_candidates_to_draw_no_files_are_written(folders):
    catalog, pictures = folders
    assert draw_answer(answer(photo=grey_query()), pictures, catalog, 5) == []
    assert draw_answer(answer(candidate(), photo=grey_query()), pictures, catalog, 0) == []
    assert not pictures.exists()


def test_file_names_are_safe_everywhere_and_nothing_is_written_elsewhere(folders, tmp_path):
    catalog, pictures = folders
    names = ["../../up", "Ак барс", 'C:\\x<>:"|?*\x1b\n', "雪豹", "a" * 300, "CON", "..", "aika", "AIKA"]
    before = {p for p in tmp_path.rglob("*") if p.is_file()}
    odd = tmp_path / "an odd: näme?.jpg"
    write_photo(odd)
    asked = QueryPhoto(str(odd), None, None, SIZE, 1)
    found = draw_answer(
        answer(*(candidate(n + 1, name) for n, name in enumerate(names)), photo=asked), pictures, catalog, 99
    )
    assert {p for p in tmp_path.rglob("*") if p.is_file()} - before - {odd} == set(found)
    assert all(p.parent == pictures for p in found)
    assert len({p.name.lower() for p in found}) == 2 * len(names)
    assert all(set(p.stem) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") for p in found)
    assert max(len(p.name) for p in found) < 150
    assert [re.sub("-[0-9a-f]{8}-", "-", p.name, count=1) for p in found[:4]] == [
        "an_odd_name-01-up-matches.jpg",
        "an_odd_name-01-up-plain.jpg",
        "an_odd_name-02-Ak_bars-matches.jpg",
        "an_odd_name-02-Ak_bars-plain.jpg",
    ]


def test_an_unidentified_animal_is_named_after_its_encounter(folders):
    catalog, pictures = folders
    best = Annotation(0, "photos/one.jpg", None, encounter="E/7")
    found = draw_answer(answer(candidate(individual=None, best=best), photo=grey_query()), pictures, catalog, 1)
    assert [re.sub("-[0-9a-f]{8}-", "-", p.name) for p in found] == [
        f"query-01-unidentified_E_7-{kind}.jpg" for kind in ("matches", "plain")
    ]


def test_a_missing_photo_is_an_error_after_the_others_are_drawn(folders):
    catalog, pictures = folders
    gone = candidate(best=Annotation(0, "photos/gone.jpg", "aika"))
    text = r"pictures of 1 of 2 candidates not written: candidate 1: .*gone\.jpg"
    with pytest.raises(SnowmatchError, match=text) as caught:
        draw_answer(answer(gone, candidate(2, "bars"), photo=grey_query()), pictures, catalog, 5)
    assert "\n" not in str(caught.value)
    drawn = sorted(re.sub("-[0-9a-f]{8}-", "-", p.name) for p in pictures.iterdir())
    assert drawn == ["query-02-bars-matches.jpg", "query-02-bars-plain.jpg"]


def test_a_folder_that_cannot_be_written_is_an_error_of_one_line(folders):
    catalog, pictures = folders
    pictures.write_text("a file")
    with pytest.raises(SnowmatchError, match="is a file, expected a folder: choose another name") as caught:
        draw_answer(answer(candidate(), photo=grey_query()), pictures, catalog, 5)
    assert "\n" not in str(caught.value)


def test_two_photos_of_one_name_never_share_a_picture(folders, tmp_path):
    catalog, pictures = folders
    for n, card in enumerate(("card1", "card2")):
        path = tmp_path / card / "IMG_0001.JPG"
        path.parent.mkdir()
        write_photo(path)
        path.write_bytes(path.read_bytes() + bytes([n]))  # another content
        draw_answer(answer(candidate(), photo=QueryPhoto(str(path), None, None, SIZE, 1)), pictures, catalog, 1)
    assert len(list(pictures.glob("IMG_0001-*-01-*-matches.jpg"))) == 2


def test_no_picture_is_drawn_into_a_catalog_or_over_the_file_of_somebody(folders, tmp_path):
    catalog, pictures = folders
    (tmp_path / "link").symlink_to(catalog, target_is_directory=True)
    for folder in (catalog, catalog / "new", tmp_path / "link" / "deep"):
        with pytest.raises(SnowmatchError, match="lies in the catalog"):
            draw_answer(answer(candidate(), photo=grey_query()), folder, catalog, 1)
    (path, *_) = draw_answer(answer(candidate(), photo=grey_query()), pictures, catalog, 1)
    path.write_bytes(b"a file of somebody")
    with pytest.raises(SnowmatchError, match="snowmatch did not write it"):
        draw_answer(answer(candidate(), photo=grey_query()), pictures, catalog, 1)
    assert path.read_bytes() == b"a file of somebody"
    target = tmp_path / "precious.txt"
    target.write_text("precious")
    path.unlink()
    path.symlink_to(target)
    draw_answer(answer(candidate(), photo=grey_query()), pictures, catalog, 1, force=True)
    assert target.read_text() == "precious"
    assert not path.is_symlink()


def test_the_same_answer_gives_the_same_bytes(folders, tmp_path):
    catalog, pictures = folders
    same = answer(candidate(), photo=grey_query())
    first = [p.read_bytes() for p in draw_answer(same, pictures, catalog, 5)]
    assert first == [p.read_bytes() for p in draw_answer(same, tmp_path / "again", catalog, 5)]


@pytest.mark.parametrize(
    ("name", "ascii_name"),
    [("Ак барс", "Ak bars"), ("Щука Өмүр", "Shchuka Omur"), ("Čiğdem Ñ", "Cigdem N"), ("雪", "?"), ("й\u0306", "y")],
)
def test_transliteration(name, ascii_name):
    assert transliterated(name) == ascii_name


def test_names_without_a_font_are_transliterated_in_pictures(folders, monkeypatch):
    catalog, pictures = folders
    monkeypatch.setattr(lettering, "FONTS", ("no-such-font.ttf",))
    lettering._system_fonts.cache_clear()
    drawn = {}
    for name in ("Ак барс", "Ak bars", "雪豹"):
        best = replace(candidate().best, encounter=name)
        _, plain = draw_answer(
            answer(candidate(individual=name, best=best), photo=grey_query()), pictures / name, catalog, 1
        )
        drawn[name] = Path(plain).read_bytes()
    lettering._system_fonts.cache_clear()
    assert drawn["Ак барс"] == drawn["Ak bars"] != drawn["雪豹"]


def test_long_and_unusual_names_fit_into_the_picture(folders):
    catalog, pictures = folders
    name = "very long name \x1b[2J\n" * 30
    best = Annotation(0, "photos/one.jpg", name, encounter=name, station=name)
    found = draw_answer(
        answer(candidate(individual=name, best=best, level="good"), photo=grey_query()), pictures, catalog, 1
    )
    assert pixels(found[0]).shape == pixels(found[1]).shape


def test_unverified_weights_do_not_set_the_colour_scale(folders):
    catalog, pictures = folders
    sure, unsure = candidate(weights=[0.1]), candidate(2, weights=[9], accepted=False)
    first, *_ = draw_answer(answer(sure, unsure, photo=grey_query()), pictures, catalog, 5)
    red, _, blue = pixels(first)[shown(100, 150)[0], drawing.PANEL[0] - 100]
    assert red > blue + 60


LEFT_IS_SCENERY = ForegroundMap(np.array([[0, 255]], np.uint8), "burst")


def kinds(paths):
    return [path.stem.rsplit("-", 1)[-1] for path in paths]


@pytest.mark.parametrize("evidence", ["", "given", "box", "mask"])
def test_if_everything_counts_there_is_no_foreground_picture(folders, evidence):
    catalog, pictures = folders
    pair = answer(candidate(evidence=evidence), photo=grey_query(evidence=evidence))
    assert kinds(draw_answer(pair, pictures, catalog, 5)) == ["matches", "plain"]


def test_a_map_that_darkens_nothing_inside_the_boxes_makes_no_picture(folders):
    catalog, pictures = folders
    values = np.full((30, 40), 255, np.uint8)
    values[-2:] = 0  # a bar with text
    bars = ForegroundMap(values, "")
    boxed = {"bbox": (60, 60, 200, 120), "evidence": "box", "foreground": bars}
    pair = answer(candidate(spots=[], evidence="given"), photo=grey_query(**boxed))
    assert kinds(draw_answer(pair, pictures, catalog, 5)) == ["matches", "plain"]
    whole = answer(candidate(spots=[], evidence="given"), photo=grey_query(**{**boxed, "bbox": None}))
    assert kinds(draw_answer(whole, pictures, catalog, 5)) == ["matches", "plain", "foreground"]


@pytest.mark.parametrize("second", [False, True])
def test_the_side_with_a_map_has_dark_scenery_and_an_unchanged_animal(folders, second):
    catalog, pictures = folders
    told = {"evidence": "burst", "foreground": LEFT_IS_SCENERY}
    pair = answer(candidate(spots=[], **(told if second else {})), photo=grey_query(**({} if second else told)))
    paths = draw_answer(pair, pictures, catalog, 5)
    assert kinds(paths) == ["matches", "plain", "foreground"]
    plain, counting = pixels(paths[1]), pixels(paths[2])
    assert plain.shape == counting.shape
    for x, y in [(10, 10), (150, 280), (190, 150)]:
        assert np.abs(counting[shown(x, y, second)] - 0.2 * GREY).max() < 6, (x, y)
    for x, y in [(210, 10), (390, 290), (250, 150)]:
        assert np.abs(counting[shown(x, y, second)] - GREY).max() < 6, (x, y)
    (row, first), (last, end) = shown(0, 0, not second), shown(SIZE[0] - 1, SIZE[1] - 1, not second)
    assert np.abs(counting - plain)[row:last, first:end].max() < 6  # the other side is unchanged
    assert np.abs(counting - plain)[: drawing.HEAD].max() < 6


def test_without_a_map_the_picture_fades_from_the_centre(folders):
    catalog, pictures = folders
    pair = answer(candidate(spots=[], evidence="centre"), photo=grey_query(evidence="centre"))
    *_, path = draw_answer(pair, pictures, catalog, 5)
    counting = pixels(path)
    for second in (False, True):
        light = [counting[shown(x, 150, second)].mean() for x in (200, 230, 270, 320, 395)]
        assert light == sorted(light, reverse=True)
        assert light[0] == pytest.approx(GREY, abs=4)
        assert light[-1] == pytest.approx(0.2 * GREY, abs=4)
        assert light[1] > light[2] + 5 > light[3] + 10


def test_a_map_of_the_station_has_the_highest_weights_near_the_centre(folders):
    catalog, pictures = folders
    everywhere = ForegroundMap(np.full((3, 4), 255, np.uint8), "station")
    pair = answer(candidate(spots=[], evidence="station", foreground=everywhere), photo=grey_query())
    *_, path = draw_answer(pair, pictures, catalog, 5)
    assert path.stem.endswith("foreground")
    counting = pixels(path)
    assert counting[shown(200, 150, True)].mean() == pytest.approx(GREY, abs=4)
    assert counting[shown(10, 10, True)].mean() == pytest.approx(0.2 * GREY, abs=4)


def test_the_map_has_the_right_position_in_a_cropped_animal(folders):
    catalog, pictures = folders
    # The query is cut out by its box, so the pair is not at one scale; the gallery's photo is whole, in portrait
    write_photo(catalog / "tall.png", (150, 600))
    best = Annotation(0, "tall.png", "aika")
    top = ForegroundMap(np.array([[255], [0]], np.uint8), "burst and station")
    pair = candidate(spots=[], best=best, evidence="burst and station", foreground=top)
    *_, path = draw_answer(answer(pair, photo=grey_query(bbox=(10, 10, 50, 40), evidence="box")), pictures, catalog, 5)
    rows = pixels(path)[TOP:, -drawing.NARROWEST // 2].mean(axis=1)
    height = drawing.PANEL[1]
    assert rows[: height // 2 - 10].mean() == pytest.approx(GREY, abs=4)
    assert rows[height // 2 + 10 : height].mean() == pytest.approx(0.2 * GREY, abs=4)


def test_maps_do_not_change_the_other_pictures(folders, tmp_path):
    catalog, pictures = folders
    told = {"evidence": "centre"}
    with_maps = draw_answer(answer(candidate(**told), photo=grey_query()), pictures, catalog, 5)
    without = draw_answer(answer(candidate(), photo=grey_query()), tmp_path / "without", catalog, 5)
    assert [path.read_bytes() for path in with_maps[:2]] == [path.read_bytes() for path in without]


def test_the_same_map_gives_the_same_picture(folders, tmp_path):
    catalog, pictures = folders
    same = answer(candidate(evidence="burst", foreground=LEFT_IS_SCENERY), photo=grey_query(evidence="centre"))
    first = [path.read_bytes() for path in draw_answer(same, pictures, catalog, 5)]
    assert len(first) == 3
    assert first == [path.read_bytes() for path in draw_answer(same, tmp_path / "again", catalog, 5)]


def test_a_picture_shows_that_the_answer_is_a_new_individual():
    photos = (grey_query(), grey_query())
    told = {"decision": Decision(None, True, 0.81, "fair", 0.78), "new_probability": 0.81, "expected_new": 0.2}
    new = pictures._query_side(answer(candidate(), photos=photos, **told), 1).caption
    known = Decision("aika", False, 0.9, "fair", 0.8)
    known = pictures._query_side(answer(candidate(), photos=photos, decision=known), 1).caption
    assert new[1] == "photo 2 of 2   answer: fair, a new individual 81 %"
    assert known[1] == "photo 2 of 2"
    alone = pictures._query_side(answer(candidate(), photo=grey_query(), **told), 0).caption
    assert alone[1] == "answer: fair, a new individual 81 %"
