"""The boxes of animals in foreground maps: stored with the maps, and never those of older maps."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
from PIL import Image

from snowmatch.catalog.found import BY_MAPS, BY_SCREENING, Found, load_found, save_found
from snowmatch.core.types import Annotation
from snowmatch.screening import mapping
from snowmatch.screening.foreground import ForegroundMap
from snowmatch.screening.maps import load_maps, load_marks
from snowmatch.screening.scenes import Companions, Finders, Looked, look

SIZE = (600, 400)
CONTENTS = {f"{n}.jpg": f"{n:02}" * 32 for n in range(6)}
SIZES = dict.fromkeys(CONTENTS, SIZE)
PHOTOS = tuple(Annotation(n, path, encounter=path) for n, path in enumerate(CONTENTS))


@dataclass(frozen=True)
class Version:
    """A classifier that does nothing; another number renews all maps."""

    REVISION: ClassVar[int] = 1

    number: int = 0


def map_of(number, evidence="classifier"):
    """Return a map with an animal of `number` cells in the lower right corner."""
    values = np.zeros((40, 60), np.uint8)
    values[40 - number :, 60 - number :] = 255
    return ForegroundMap(values, evidence)


@pytest.fixture
def looked(monkeypatch):
    """Make the map of a photo depend on the classifier's number only, and return the paths that were looked at."""
    paths = []

    def look(folder, seen, finders, greys):
        paths.append(seen.photo[0])
        number = finders.classifier.number
        return Looked(True, map_of(number) if number else None, {"nothing": 0.5})

    monkeypatch.setattr(mapping, "look", look)
    return paths


def update(folder, number, photos=PHOTOS, contents=CONTENTS, sizes=SIZES, progress=None, recorded=None):
    return mapping.update_maps(
        folder, photos, contents, sizes, 1, progress, Finders(Version(number)), recorded=recorded
    )


def expected(number, contents=CONTENTS):
    """Return the boxes in maps of `number`: the area and a margin of a tenth, as far as the photo goes."""
    (box,) = {tuple(found.bbox) for found in mapping._boxes(map_of(number), SIZE)}
    assert box[0] < SIZE[0] - number * 10 <= box[0] + number * 2 + 10
    return {sha: (Found(box, "classifier"),) for sha in contents.values()}


def test_the_boxes_of_maps_are_stored_by_content(tmp_path, looked):
    assert update(tmp_path, 12) == len(CONTENTS)
    assert load_found(tmp_path) == load_found(tmp_path, BY_MAPS) == expected(12)
    assert update(tmp_path, 12) == 0
    assert len(looked) == len(CONTENTS)
    assert load_found(tmp_path) == expected(12)


def test_new_maps_have_new_boxes_and_results_of_the_screening_stay(tmp_path, looked):
    update(tmp_path, 12)
    screened = {CONTENTS["0.jpg"]: (Found((1, 2, 3, 4), "detector"),)}
    save_found(tmp_path, BY_SCREENING, screened)
    update(tmp_path, 20)
    assert load_found(tmp_path, BY_MAPS) == expected(20)
    assert load_found(tmp_path) == expected(20) | screened
    update(tmp_path, 0)
    assert load_found(tmp_path, BY_MAPS) == dict.fromkeys(CONTENTS.values(), ())


@pytest.mark.usefixtures("looked")
def test_photos_that_left_the_catalog_have_no_boxes(tmp_path):
    update(tmp_path, 12)
    fewer = dict(list(CONTENTS.items())[:2])
    update(tmp_path, 12, PHOTOS[:2], fewer)
    assert load_found(tmp_path) == expected(12, fewer)


def test_photos_that_cannot_be_read_for_a_while_keep_their_maps_and_boxes(tmp_path, looked):
    update(tmp_path, 12)
    fewer = dict(list(CONTENTS.items())[:2])
    assert update(tmp_path, 12, PHOTOS, fewer, recorded=CONTENTS) == 0
    assert load_found(tmp_path) == expected(12)
    assert update(tmp_path, 12) == 0
    assert len(looked) == len(CONTENTS)
    update(tmp_path, 12, PHOTOS[:2], fewer, recorded=CONTENTS)  # no row has the others any more
    assert load_found(tmp_path) == expected(12, fewer)


@pytest.mark.usefixtures("looked")
def test_a_map_without_an_animal_or_a_photo_of_unknown_size_has_no_box(tmp_path, monkeypatch):
    update(tmp_path, 12, sizes={path: size for path, size in SIZES.items() if path != "3.jpg"})
    assert load_found(tmp_path) == expected(12) | {CONTENTS["3.jpg"]: ()}
    monkeypatch.setattr(mapping, "look", lambda *_: Looked(True, map_of(12, ""), None))  # the map only leaves out bars
    update(tmp_path, 13)
    assert load_found(tmp_path) == dict.fromkeys(CONTENTS.values(), ())


def test_lost_boxes_are_made_again_from_the_stored_maps(tmp_path, looked):
    update(tmp_path, 12)
    some = dict(list(expected(12).items())[:3])
    save_found(tmp_path, BY_MAPS, some)
    looked.clear()
    assert update(tmp_path, 12) == 0
    assert looked == []
    assert load_found(tmp_path) == expected(12)


@pytest.mark.parametrize("at", [1, 3, 6])
@pytest.mark.parametrize("end", ["stopped", "killed", "killed before the maps are saved"])
def test_after_a_stopped_run_no_box_is_that_of_an_older_map(tmp_path, looked, monkeypatch, at, end):
    update(tmp_path, 12)
    save_found_before, save_maps_before = mapping.save_found, mapping.save_maps

    def stop(done, total):
        if done == at:
            if end == "killed":
                monkeypatch.setattr(mapping, "save_found", lambda *_: None)
            if end != "stopped":
                monkeypatch.setattr(mapping, "save_maps", lambda *_: None)
            raise KeyboardInterrupt

    monkeypatch.setattr(mapping, "SAVE_SECONDS", -1.0)  # everything is saved after every photo
    monkeypatch.setattr(mapping, "SAVE_SHARE", 1e9)
    with pytest.raises(KeyboardInterrupt):
        update(tmp_path, 20, progress=stop)
    monkeypatch.setattr(mapping, "save_found", save_found_before)
    monkeypatch.setattr(mapping, "save_maps", save_maps_before)
    found = load_found(tmp_path)
    for sha, (mark, values) in load_maps(tmp_path, load_marks(tmp_path)).items():
        assert mark
        if values.values.sum() == map_of(20).values.sum():  # a new map has its new box at once
            assert [found[full] for full in found if full.startswith(sha)] == [expected(20)[sha[:2] * 32]]
    looked.clear()
    assert update(tmp_path, 20) == len(looked) == len(CONTENTS) - at + (end != "stopped")
    assert load_found(tmp_path) == expected(20)


def test_photos_in_which_the_animal_could_not_be_looked_for_are_told_with_the_reason(tmp_path, monkeypatch):
    def failing(folder, seen, finders, greys):
        return Looked(False, None, None, "needs more memory than there is" if seen.photo[0] != "0.jpg" else "")

    monkeypatch.setattr(mapping, "look", failing)
    notes = []
    mapping.update_maps(tmp_path, PHOTOS, CONTENTS, SIZES, 1, finders=Finders(Version(12)), notes=notes)
    (note,) = notes
    assert note.code == "not-looked-for"
    assert note.data["photos"] == dict.fromkeys(sorted(CONTENTS)[1:], "needs more memory than there is")
    assert "1.jpg (needs more memory than there is), 2.jpg" in note.text


def test_the_reason_why_a_network_failed_on_a_photo_is_kept(tmp_path):
    @dataclass(frozen=True)
    class Failing(Version):
        def classify(self, photo):
            raise MemoryError

    Image.fromarray(np.zeros((48, 64, 3), np.uint8)).save(tmp_path / "0.jpg")
    looked = look(tmp_path, Companions(("0.jpg", "0" * 64), (), ()), Finders(Failing(1)))
    assert looked.failure == "needs more memory than there is"
    assert not looked.complete
    assert look(tmp_path, Companions(("1.jpg", "1" * 64), (), ()), Finders()).failure
