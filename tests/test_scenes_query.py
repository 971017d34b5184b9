"""Foreground maps in queries and evaluation: rocks of a place match no animal."""

import shutil
from collections import Counter
from datetime import timedelta

import numpy as np
import pytest
from drawn_scenes import (
    ANIMALS,
    COAT,
    NOON,
    SHOTS,
    STATIONS,
    catalog,
    coats,
    evidence,
    grey_file,
    new_burst,
    stand_before,
    station_survey,
)
from test_maps import lose
from test_scenery import animal_area

import snowmatch
from snowmatch.core.files import file_sha256
from snowmatch.photos.pixels import read_photo
from snowmatch.screening.scenes import CELL
from snowmatch.screening.stored_maps import open_maps

__all__ = ["catalog", "coats", "new_burst", "station_survey"]  # fixtures

# --- queries ----------------------------------------------------------------------------------------------------------


def said(answer, text):
    return sum(text in note.text for note in answer.notes)


def test_new_photos_of_one_query_are_companions(catalog, new_burst):
    answer = catalog.query(new_burst)
    assert evidence(answer) == ["burst", "burst"]
    first, second = (photo.foreground.values for photo in answer.photos)
    spots = [tuple(slice(s.start // CELL + 2, s.stop // CELL - 2) for s in animal_area(w, length=COAT))
             for w in ((70, 60), (160, 95))]  # fmt: skip
    assert first[spots[0]].mean() > 230
    assert second[spots[1]].mean() > 230
    assert first[-6:].mean() < 30
    assert said(answer, f"no box or mask of {new_burst[0]}, {new_burst[1]}: spots count where something moved") == 1
    assert not said(answer, "centre")


def test_a_single_photo_gets_a_map_from_its_station(catalog, new_burst):
    answer = catalog.query(new_burst[0], station="S0")
    assert evidence(answer) == ["station"]
    assert said(answer, "spots count where other photos of the station show something else, most near the") == 1
    both = catalog.query(new_burst, station="S0")
    assert evidence(both) == ["burst and station"] * 2
    assert (
        said(
            both,
            "spots count where something moved between the frames of the burst and other photos of the station",
        )
        == 1
    )
    assert (both.photos[0].foreground.values <= answer.photos[0].foreground.values).all()


def test_an_animal_far_from_the_centre_counts_if_the_burst_shows_it(catalog, coats, tmp_path):
    for n, where in enumerate([(38, 26), (200, 132)]):
        grey_file(tmp_path / f"{n}.png", stand_before(0, coats[1], where, 0.9, seed=50 + n))
    paths = sorted(tmp_path.glob("*.png"))
    options = {"exclude_encounters": [f"a{animal}s0" for animal in range(ANIMALS)]}
    together = catalog.query(paths, **options).candidates[0]
    alone = [catalog.query(path, **options).candidates[0] for path in paths]
    assert (together.individual, together.accepted) == ("cat1", True)
    assert together.score > 2 * sum(candidate.score for candidate in alone)


@pytest.mark.parametrize("station", [None, "S1", "S9"])
def test_without_companions_weights_depend_on_the_centre(catalog, new_burst, station):
    answer = catalog.query(new_burst[0], station=station)
    assert evidence(answer) == ["centre"]
    assert answer.photos[0].foreground is None
    assert said(answer, f"no box or mask of {new_burst[0]}: spots near the centre of the photo count most") == 1


def test_photos_of_different_places_in_one_query_use_the_centre(catalog, new_burst, tmp_path, coats):
    grey_file(tmp_path / "else.png", stand_before(1, coats[1], (120, 80)))
    assert evidence(catalog.query([new_burst[0], tmp_path / "else.png"])) == ["centre", "centre"]


def test_photos_as_arrays_are_companions_too(catalog, new_burst):
    photos = [read_photo(path) for path in new_burst]
    answer = catalog.query(photos)
    assert evidence(answer) == ["burst", "burst"]
    named = catalog.query(new_burst)
    assert all(
        (a.foreground.values == b.foreground.values).all() for a, b in zip(answer.photos, named.photos, strict=True)
    )
    assert [c.score for c in answer.candidates] == [c.score for c in named.candidates]


def test_only_stations_of_the_chosen_locations_are_used(catalog, new_burst):
    assert evidence(catalog.query(new_burst[0], station="S0", locations=["naryn"])) == ["station"]
    assert evidence(catalog.query(new_burst[0], station="S0", locations=["sarychat"])) == ["centre"]


def test_photos_of_the_same_passage_and_excluded_photos_are_no_companions(catalog, new_burst):
    visits = [f"a{animal}s0" for animal in range(ANIMALS)]
    assert evidence(catalog.query(new_burst[0], station="S0", exclude_encounters=visits[:-1])) == ["station"]
    assert evidence(catalog.query(new_burst[0], station="S0", exclude_encounters=visits)) == ["centre"]
    passage = NOON + timedelta(days=(ANIMALS - 1) * STATIONS, minutes=20)
    answer = catalog.query(new_burst[0], station="S0", timestamp=passage, exclude_encounters=visits[:-1])
    assert evidence(answer) == ["centre"]
    assert visits[-1] in answer.excluded_encounters


def test_with_foreground_given_everything_counts(catalog, new_burst):
    answer = catalog.query(new_burst, station="S0", options={"foreground": "given"})
    assert evidence(answer) == ["given", "given"]
    assert all(photo.foreground is None for photo in answer.photos)
    assert {c.evidence for c in answer.candidates} == {"given"}
    assert all(c.foreground is None for c in answer.candidates)
    assert not said(answer, "counts")
    assert not said(answer, "where the animal is in photos on record")


def test_a_photo_on_record_uses_its_stored_map(catalog, station_survey, monkeypatch, tmp_path):
    path = station_survey / "a2s1n0.png"
    kept = open_maps(station_survey).of_content(file_sha256(path))
    assert kept.evidence == "burst and station"
    monkeypatch.setattr("snowmatch.identify.foreground.read_preview", lambda *_: pytest.fail("a map was made"))
    copy = tmp_path / "copy.png"
    copy.write_bytes(path.read_bytes())
    for photos, station in (
        ([path], None),
        ([path], "S1"),
        ([copy], "S2"),
        ([path, station_survey / "a0s0n1.png"], None),
    ):
        answer = catalog.query(photos, station=station)
        assert answer.photos[0].evidence == kept.evidence
        assert (answer.photos[0].foreground.values == kept.values).all()
        assert (
            said(
                answer,
                "spots count where something moved between the frames of the burst and other photos of the station",
            )
            == 1
        )


def test_the_answer_names_the_evidence_of_photos_on_record(catalog, new_burst, station_survey):
    answer = catalog.query(new_burst)
    allowed = ANIMALS * STATIONS * SHOTS
    assert said(answer, f"shown by: other frames of the burst and other photos of the station ({allowed})") == 1
    maps = open_maps(station_survey)
    for candidate in answer.candidates:
        kept = maps.of_content(file_sha256(station_survey / candidate.best.path))
        assert candidate.evidence == kept.evidence
        assert (candidate.foreground.values == kept.values).all()


def test_masks_do_not_change_and_boxes_lose_scenery_of_other_photos(catalog, new_burst):
    mask = np.zeros((160, 240), bool)
    mask[36:84, 34:106] = True
    alone = catalog.query(new_burst[0], bbox=(34, 36, 72, 48))
    beside = catalog.query(new_burst, bbox=[(34, 36, 72, 48), None], station="S0")
    assert evidence(alone) == ["box"]
    assert evidence(beside) == ["box", "burst and station"]
    assert alone.photos[0].foreground is None  # no other photo of the place was given
    assert beside.photos[0].foreground.evidence == "burst and station"
    assert alone.photos[0].features == beside.photos[0].features
    masked = catalog.query(new_burst[0], mask=mask, station="S0")
    assert evidence(masked) == ["mask"]
    assert masked.photos[0].foreground is None
    assert not said(alone, "no box or mask")
    given = catalog.query(new_burst[0], bbox=(34, 36, 72, 48), station="S0", options={"foreground": "given"})
    assert evidence(given) == ["box"]
    assert given.photos[0].foreground is None


def test_the_rocks_in_a_box_match_no_animal(catalog, tmp_path, coats):
    """A large box, as from a detector: the scenery around the animal is known from other passages."""
    paths = []
    for n, where in enumerate([(60, 60), (170, 90)]):
        grey_file(tmp_path / f"{n}.png", stand_before(1, coats[ANIMALS], where, 0.85, (-2, 1), seed=70 + n))
        paths.append(tmp_path / f"{n}.png")
    boxes = [(5, 5, 230, 150)] * 2
    told = catalog.query(paths, bbox=boxes, station="S1", top=ANIMALS).candidates
    everything = catalog.query(paths, bbox=boxes, options={"foreground": "given"}, top=ANIMALS).candidates
    assert {c.best.station for c in everything} == {"S1"}
    assert everything[0].score > 5 * max(c.score for c in told)


def test_a_new_animal_at_a_known_station_matches_no_animal_by_its_rocks(catalog, tmp_path, coats):
    paths = []
    for n, where in enumerate([(60, 60), (170, 90)]):
        grey_file(tmp_path / f"{n}.png", stand_before(1, coats[ANIMALS], where, 0.85, (-2, 1), seed=70 + n))
        paths.append(tmp_path / f"{n}.png")
    told = catalog.query(paths, station="S1", top=ANIMALS).candidates
    everything = catalog.query(paths, options={"foreground": "given"}, top=ANIMALS).candidates
    assert {c.best.station for c in everything} == {"S1"}
    assert everything[0].score > 5 * max(c.score for c in told)
    assert max(c.inliers for c in told) < min(c.inliers for c in everything)


def test_a_known_animal_is_found_at_a_station_that_others_visited(catalog, new_burst):
    found = catalog.query(new_burst, station="S0", exclude_encounters=["a1s0"]).candidates
    assert found[0].individual == "cat1"
    assert found[0].best.station != "S0"
    given = catalog.query(new_burst, exclude_encounters=["a1s0"], options={"foreground": "given"}).candidates
    assert given[0].individual != "cat1"
    assert given[0].best.station == "S0"


# --- the control ------------------------------------------------------------------------------------------------------


def pairs(table):
    """Return scores (1-D each): different animals at one station, at different stations, and the same animal."""
    station, animal = table.station, table.individual
    same_place = station[table.queries][:, None] == station[table.gallery]
    same_animal = animal[table.queries][:, None] == animal[table.gallery]
    allowed = ~np.isnan(table.scores)
    return (
        table.scores[allowed & same_place & ~same_animal],
        table.scores[allowed & ~same_place & ~same_animal],
        table.scores[allowed & same_animal],
    )


@pytest.fixture(scope="module")
def evaluated(catalog):
    return {mode: pairs(catalog.evaluate(options={"foreground": mode}).table) for mode in ("auto", "given")}


def test_if_everything_counts_the_rocks_of_a_station_raise_scores_of_other_animals(evaluated):
    here, elsewhere, _ = evaluated["given"]
    assert len(here) > 100
    assert len(elsewhere) > 200
    assert np.median(here) > np.quantile(elsewhere, 0.99)
    assert np.median(here) > 3 * max(np.median(elsewhere), 1e-3)


def test_with_maps_different_animals_score_no_higher_at_the_same_station(evaluated):
    here, elsewhere, same = evaluated["auto"]
    hair = 0.03 * np.median(same)
    for share in (0.5, 0.9, 0.95):
        assert np.quantile(here, share) <= np.quantile(elsewhere, share) + hair
    assert here.max() < 0.2 * same.min()
    assert here.mean() < 0.01 * evaluated["given"][0].mean()


def test_with_maps_the_same_animal_is_still_recognised_at_another_station(evaluated):
    here, elsewhere, same = evaluated["auto"]
    assert np.quantile(same, 0.05) > max(here.max(), elsewhere.max())
    given = evaluated["given"][2]
    assert np.median(same) > 0.8 * np.median(given)


def test_evaluation_uses_the_stored_maps(catalog, station_survey, tmp_path, evaluated):
    bare = shutil.copytree(station_survey, tmp_path / "bare")
    lose(bare)
    centre = pairs(snowmatch.open_catalog(bare, boxes=False).evaluate().table)
    assert np.median(evaluated["auto"][2]) > np.median(centre[2])
    counted = Counter(np.sign(evaluated["auto"][0] - centre[0]).astype(int).tolist())
    assert counted[0] < len(centre[0]) / 2
