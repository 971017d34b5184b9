"""Where the animal is, learned from the middles of a catalog's photos."""

import dataclasses
import shutil

import cv2
import fake_classifier
import numpy as np
import pytest
from fake_extractor import Fake
from PIL import Image

import snowmatch
from snowmatch.catalog.ids import all_ids
from snowmatch.catalog.load import CatalogData
from snowmatch.core.arrays import load_arrays, save_arrays
from snowmatch.core.files import file_sha256
from snowmatch.core.home import middle_path
from snowmatch.core.types import Annotation
from snowmatch.features.indexing import index_catalog
from snowmatch.identify import session
from snowmatch.review.identities import append, draft
from snowmatch.review.kept import networks_of
from snowmatch.review.screen import screen_catalog
from snowmatch.screening import finders, mapping, middle
from snowmatch.screening.foreground import map_beside
from snowmatch.screening.middle import Middle, cells_of, learn_middle, load_middle, save_middle
from snowmatch.screening.stored_maps import open_maps

SIZE = (168, 126)  # width, height of a drawn photo; a cell has 4 px
COAT, SCENERY = np.array([90, 200, 90]), np.array([150, 150, 150])
SPOTS = ((84, 63), (70, 60), (95, 70), (84, 50), (60, 66), (110, 63))  # where animals stand


def drawn(where, seed, coat=COAT):
    """Return a photo (H, W, 3) uint8: an animal on scenery of any brightness. where: None for no animal."""
    rng = np.random.default_rng(seed)
    photo = SCENERY * rng.uniform(0.4, 1.4) + rng.normal(0, 25, (SIZE[1], SIZE[0], 3))
    if where is not None:
        animal = np.zeros(SIZE[::-1], np.uint8)
        cv2.ellipse(animal, where, (30, 15), 0, 0, 360, 1, -1)
        photo = np.where(animal[..., None] > 0, coat + rng.normal(0, 25, photo.shape), photo)
    return np.clip(np.rint(photo), 0, 255).astype(np.uint8)


def texture(photo):
    """Return mean colours of cells, as see_texture returns features."""
    size = (photo.shape[1] // 4, photo.shape[0] // 4)
    return cv2.resize(photo, size, interpolation=cv2.INTER_AREA).transpose(2, 0, 1).astype(np.float32)


def use_colours(patch):
    """Use colours as texture, and few photos."""
    patch.setattr(middle, "see_texture", texture)
    patch.setattr(middle, "FEATURES", 3)
    patch.setattr(finders, "texture_is_here", lambda: True)
    patch.setattr(session, "texture_is_here", lambda: True)
    patch.setattr(mapping, "texture_weights", lambda: None)
    patch.setattr(mapping, "LEAST_PHOTOS", 12)
    fake_classifier.use(patch)


@pytest.fixture(autouse=True)
def plain(monkeypatch):
    use_colours(monkeypatch)


def draw_catalog(folder, count, first=0, **fields):
    """Draw photos of animals, and return the rows of the table."""
    folder.mkdir(exist_ok=True)
    rows = []
    for n in range(first, first + count):
        Image.fromarray(drawn(SPOTS[n % len(SPOTS)], n)).save(folder / f"{n}.png")
        rows.append(Annotation(n, f"{n}.png", encounter=f"E{n}", **fields))
    return rows


def index(folder, rows):
    return index_catalog(CatalogData(folder, tuple(rows), ()), Fake(), 1)


def evidences(folder, rows):
    return open_maps(folder).evidence([file_sha256(folder / a.path) for a in rows])


def inside_and_outside(values, where):
    """Return the mean values of a map on the animal, and elsewhere."""
    place = np.zeros(SIZE[::-1], np.uint8)
    cv2.ellipse(place, where, (30, 15), 0, 0, 360, 1, -1)
    share = cv2.resize(place.astype(np.float32), values.shape[::-1], interpolation=cv2.INTER_AREA)
    return values[share > 0.99].mean(), values[share == 0].mean()


# --- what is learned --------------------------------------------------------------------------------------------------


def test_the_animal_is_found_also_away_from_the_centre():
    learned = learn_middle([cells_of(drawn(SPOTS[n % 6], n), f"{n:064x}") for n in range(40)])
    assert learned.photos == 40
    for where in ((84, 63), (45, 60), (120, 75)):
        on, off = inside_and_outside(learned.animal(drawn(where, 99)), where)
        assert on > 0.8
        assert off < 0.4  # the centre, mostly
    assert learned.animal(drawn(None, 98)).mean() < 0.4


def test_the_same_photos_give_the_same_model():
    photos = [cells_of(drawn(SPOTS[n % 6], n), f"{n:064x}") for n in range(12)]
    one, other = learn_middle(photos), learn_middle(photos)
    assert one.mark == other.mark
    assert learn_middle(photos[:-1]).mark != one.mark


def test_photos_of_one_colour_are_learned_from_without_an_error():
    plain = np.full((126, 168, 3), 90, np.uint8)
    learned = learn_middle([cells_of(plain, "0" * 64)])
    values = learned.animal(plain)
    assert np.isfinite(values).all()
    assert values[15, 21] > values[0, 0]  # the place is all that is left


def test_a_small_photo_gives_all_its_cells():
    cells = cells_of(np.zeros((20, 24, 3), np.uint8), "1" * 64)
    assert cells.texture.shape == (30, 3)
    assert cells.places.min() > -0.5
    assert cells.places.max() < 0.5


def test_what_was_learned_is_kept(tmp_path):
    assert load_middle(tmp_path) is None
    made = Middle(np.array([0.5, -1.25, 2], np.float32), 0.75, 321)
    save_middle(tmp_path, made)
    found = load_middle(tmp_path)
    assert (found.mark, found.offset, found.photos) == (made.mark, 0.75, 321)
    middle_path(tmp_path).write_bytes(middle_path(tmp_path).read_bytes()[:-9])
    with pytest.raises(snowmatch.SnowmatchError, match="learned map"):
        load_middle(tmp_path)


# --- index runs -------------------------------------------------------------------------------------------------------


def test_an_index_run_learns_from_enough_photos(tmp_path):
    rows = draw_catalog(tmp_path / "c", 11)
    assert index(tmp_path / "c", rows).mapped == 11
    assert evidences(tmp_path / "c", rows) == [None] * 11
    assert not middle_path(tmp_path / "c").exists()
    rows += draw_catalog(tmp_path / "c", 1, 11)
    assert index(tmp_path / "c", rows).mapped == 12  # the new one, then all with what was learned
    assert evidences(tmp_path / "c", rows) == ["middle"] * 12
    assert index(tmp_path / "c", rows).mapped == 0


def test_photos_that_cannot_be_read_when_it_learns_are_told(tmp_path, monkeypatch):
    rows = draw_catalog(tmp_path / "c", 14)
    away = tmp_path / "c" / "3.png"

    def vanishing(photo, content):
        away.unlink(missing_ok=True)
        return cells_of(photo, content)

    monkeypatch.setattr(mapping, "cells_of", vanishing)
    notes = [note.text for note in index(tmp_path / "c", rows).notes if note.code == "middle-photos-unread"]
    assert notes == [
        "1 photo could not be read again, to learn what the middles of the photos have in common: 3.png (does not "
        "exist: put the file back, or remove it from the catalog)"
    ]


def test_it_learns_again_from_four_times_as_many(tmp_path):
    rows = draw_catalog(tmp_path / "c", 12)
    index(tmp_path / "c", rows)
    first = load_middle(tmp_path / "c")
    rows += draw_catalog(tmp_path / "c", 35, 12)
    assert index(tmp_path / "c", rows).mapped == 35
    assert load_middle(tmp_path / "c").mark == first.mark
    rows += draw_catalog(tmp_path / "c", 1, 47)
    assert index(tmp_path / "c", rows).mapped == 48
    again = load_middle(tmp_path / "c")
    assert (first.photos, again.photos) == (12, 48)
    assert again.mark != first.mark
    assert index(tmp_path / "c", rows).mapped == 0


def test_networks_look_once_at_a_photo(tmp_path, monkeypatch):
    looked = []
    whole = fake_classifier.Colours.classify
    monkeypatch.setattr(fake_classifier.Colours, "classify", lambda self, p: (looked.append(1), whole(self, p))[1])
    index(tmp_path / "c", draw_catalog(tmp_path / "c", 12))
    assert len(looked) == 12


def test_boxes_masks_and_what_others_show_need_nothing_learned(tmp_path):
    rows = draw_catalog(tmp_path / "c", 12)
    boxed = draw_catalog(tmp_path / "c", 1, 20, bbox=(40, 40, 80, 40))
    Image.fromarray(np.full(SIZE[::-1], 255, np.uint8)).save(tmp_path / "c" / "mask.png")
    masked = draw_catalog(tmp_path / "c", 1, 21, mask="mask.png")
    Image.fromarray(np.full((126, 168, 3), (230, 20, 20), np.uint8)).save(tmp_path / "c" / "cat.png")
    cat = [Annotation(22, "cat.png", encounter="E22")]
    every = [dataclasses.replace(a, row=n) for n, a in enumerate([*rows, *boxed, *masked, *cat])]
    index(tmp_path / "c", every)
    assert evidences(tmp_path / "c", every) == ["middle"] * 12 + [None, None, "classifier"]
    assert load_middle(tmp_path / "c").photos == 12
    assert index(tmp_path / "c", every).mapped == 0


def test_a_photo_that_gets_a_box_loses_what_was_learned(tmp_path):
    rows = draw_catalog(tmp_path / "c", 13)
    index(tmp_path / "c", rows)
    rows[3] = dataclasses.replace(rows[3], bbox=(40, 40, 80, 40))
    assert index(tmp_path / "c", rows).mapped == 1
    assert evidences(tmp_path / "c", rows)[2:5] == ["middle", None, "middle"]
    rows[3] = dataclasses.replace(rows[3], bbox=None)
    assert index(tmp_path / "c", rows).mapped == 1
    assert evidences(tmp_path / "c", rows) == ["middle"] * 13


def test_it_learns_again_when_half_of_the_photos_are_left(tmp_path):
    rows = draw_catalog(tmp_path / "c", 26)
    index(tmp_path / "c", rows)
    assert load_middle(tmp_path / "c").photos == 26
    index(tmp_path / "c", rows[:14])
    assert load_middle(tmp_path / "c").photos == 26
    out = [dataclasses.replace(a, left_out="nothing") for a in rows[:13]]
    assert index(tmp_path / "c", [*out, *rows[13:]]).mapped == 26
    assert load_middle(tmp_path / "c").photos == 13
    assert evidences(tmp_path / "c", rows) == [None] * 13 + ["middle"] * 13
    index(tmp_path / "c", rows[:6])  # too few to learn from
    assert not middle_path(tmp_path / "c").exists()
    assert evidences(tmp_path / "c", rows[:6]) == [None] * 6
    assert index(tmp_path / "c", rows[:6]).mapped == 0


def test_the_screening_learns_nothing_and_looks_once(tmp_path, monkeypatch):
    draw_catalog(tmp_path / "c", 12)
    table = ["path,encounter", *(f"{n}.png,E{n}" for n in range(12))]
    (tmp_path / "c" / "catalog.csv").write_text("\n".join(table) + "\n", encoding="utf-8")
    screen_catalog(snowmatch.open_catalog(tmp_path / "c").data, workers=1)
    assert load_middle(tmp_path / "c") is None
    looked = []
    monkeypatch.setattr(fake_classifier.Colours, "classify", lambda self, p: looked.append(1))
    screen_catalog(snowmatch.open_catalog(tmp_path / "c").data, workers=1)  # photos that were left out stay as they are
    assert looked == []


def test_the_steps_of_all_passes_are_told_as_one_run(tmp_path):
    told = []
    rows = draw_catalog(tmp_path / "c", 12)
    data = CatalogData(tmp_path / "c", tuple(rows), ())
    index_catalog(data, Fake(), 1, mapping=lambda done, total: told.append((done, total)))
    assert [done for done, _ in told] == list(range(1, 37))  # a look, cells, and a look with what was learned
    assert [total for _, total in told] == [12] * 12 + [24] * 12 + [36] * 12


def test_without_the_networks_weights_nothing_is_learned(tmp_path, monkeypatch):
    monkeypatch.setattr(finders, "texture_is_here", lambda: False)
    rows = draw_catalog(tmp_path / "c", 12)
    assert index(tmp_path / "c", rows).notes == ()
    assert evidences(tmp_path / "c", rows) == [None] * 12


def test_a_computer_without_the_weights_keeps_the_maps_of_another(tmp_path, monkeypatch):
    rows = draw_catalog(tmp_path / "c", 12)
    index(tmp_path / "c", rows)
    rows += draw_catalog(tmp_path / "c", 1, 12)
    with monkeypatch.context() as patch:
        patch.setattr(finders, "texture_is_here", lambda: False)
        report = index(tmp_path / "c", rows)
        assert report.mapped == 1
        assert [note.code for note in report.notes] == ["no-texture"]
        assert evidences(tmp_path / "c", rows) == ["middle"] * 12 + [None]
        assert index(tmp_path / "c", rows).mapped == 0
    assert index(tmp_path / "c", rows).mapped == 1
    assert evidences(tmp_path / "c", rows) == ["middle"] * 13


def test_a_damaged_file_is_told_and_made_again(tmp_path):
    rows = draw_catalog(tmp_path / "c", 12)
    index(tmp_path / "c", rows)
    whole = middle_path(tmp_path / "c").read_bytes()
    middle_path(tmp_path / "c").write_bytes(whole[:40] + b"no" + whole[42:])
    (note,) = index(tmp_path / "c", rows).notes
    assert note.code == "middle-mended"
    assert middle_path(tmp_path / "c").read_bytes() == whole
    assert index(tmp_path / "c", rows).notes == ()


def test_photos_that_were_there_before_change_nothing(tmp_path):
    rows = draw_catalog(tmp_path / "c", 12)
    shutil.copytree(tmp_path / "c", tmp_path / "d")
    index(tmp_path / "c", rows)
    index(tmp_path / "d", rows[:5])
    index(tmp_path / "d", rows)
    assert middle_path(tmp_path / "c").read_bytes() == middle_path(tmp_path / "d").read_bytes()
    one, other = (open_maps(tmp_path / name) for name in "cd")
    assert one.checksums.tolist() == other.checksums.tolist()


@pytest.fixture(scope="module")
def twelve(tmp_path_factory):
    """A folder of twelve photos that are indexed, and their rows."""
    folder = tmp_path_factory.mktemp("middle") / "c"
    rows = draw_catalog(folder, 12)
    with pytest.MonkeyPatch.context() as patch:
        use_colours(patch)
        index(folder, rows)
    return folder, rows


@pytest.mark.parametrize(
    "changes",
    [
        {"weights": np.ones(4, np.float32)},
        {"weights": np.array([np.nan, 1, 1], np.float32)},
        {"weights": np.array(["a", "b", "c"])},
        {"offset": np.zeros(0)},
        {"about": np.array([1])},
        {"about": np.array([1.0, 12.0])},
        {"about": np.array([middle.REVISION, 0, 1])},
        {"about": np.array([middle.REVISION, 12, 2])},
    ],
)
def test_files_of_another_shape_are_damaged(twelve, tmp_path, changes):
    folder, rows = twelve
    shutil.copytree(folder, tmp_path / "c")
    whole = middle_path(tmp_path / "c").read_bytes()
    known = load_arrays(middle_path(tmp_path / "c"), ("about", "weights", "offset"), "", "")
    save_arrays(middle_path(tmp_path / "c"), known | changes)
    with pytest.raises(snowmatch.SnowmatchError, match="index again"):
        load_middle(tmp_path / "c")
    assert [note.code for note in index(tmp_path / "c", rows).notes] == ["middle-mended"]
    assert middle_path(tmp_path / "c").read_bytes() == whole


def test_what_another_version_learned_is_learned_again(tmp_path, monkeypatch):
    rows = draw_catalog(tmp_path / "c", 12)
    with monkeypatch.context() as patch:
        patch.setattr(middle, "REVISION", 99)
        index(tmp_path / "c", rows)
    assert load_middle(tmp_path / "c") is None
    report = index(tmp_path / "c", rows)
    assert (report.mapped, report.notes) == (12, ())
    assert load_middle(tmp_path / "c").photos == 12


def test_damage_with_too_few_photos_is_told_once(tmp_path):
    rows = draw_catalog(tmp_path / "c", 12)
    index(tmp_path / "c", rows)
    middle_path(tmp_path / "c").write_bytes(b"no")
    assert [note.code for note in index(tmp_path / "c", rows[:9]).notes] == ["middle-mended"]
    assert evidences(tmp_path / "c", rows[:9]) == [None] * 9
    assert index(tmp_path / "c", rows[:9]).notes == ()


def test_a_run_that_was_stopped_tells_damage_again(tmp_path, monkeypatch):
    rows = draw_catalog(tmp_path / "c", 12)
    index(tmp_path / "c", rows)
    middle_path(tmp_path / "c").write_bytes(b"no")
    with monkeypatch.context() as patch:
        patch.setattr(mapping, "save_maps", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            index(tmp_path / "c", rows)
    assert [note.code for note in index(tmp_path / "c", rows).notes] == ["middle-mended"]


def test_a_run_that_was_killed_after_learning_goes_on(tmp_path, monkeypatch):
    rows = draw_catalog(tmp_path / "c", 12)
    with monkeypatch.context() as patch:

        def stop(folder, made):
            save_middle(folder, made)
            raise KeyboardInterrupt

        patch.setattr(mapping, "save_middle", stop)
        with pytest.raises(KeyboardInterrupt):
            index(tmp_path / "c", rows)
    assert evidences(tmp_path / "c", rows) == [None] * 12
    assert not load_middle(tmp_path / "c").complete
    assert index(tmp_path / "c", rows).mapped == 12
    assert load_middle(tmp_path / "c").complete
    assert evidences(tmp_path / "c", rows) == ["middle"] * 12
    assert index(tmp_path / "c", rows).mapped == 0


def test_photos_that_were_left_out_teach_nothing(tmp_path):
    rows = draw_catalog(tmp_path / "c", 12)
    out = draw_catalog(tmp_path / "c", 8, 12, left_out="nothing")
    index(tmp_path / "c", [*rows, *out])
    assert load_middle(tmp_path / "c").photos == 12
    assert evidences(tmp_path / "c", [*rows, *out]) == ["middle"] * 12 + [None] * 8


def test_decisions_about_photos_count(tmp_path):
    folder = tmp_path / "c"
    rows = [*draw_catalog(folder, 12), *draw_catalog(folder, 2, 12, left_out="nothing")]
    index(folder, rows)
    names = all_ids(folder, rows)
    named = draft("name", "Anna", "Bars", side_a=names[12:13])
    boxed = draft("box", "Anna", "40,40,80,40", side_a=names[:1])
    append(tmp_path / "elsewhere.sqlite", [named, boxed])
    index_catalog(CatalogData(folder, tuple(rows), ()), Fake(), 1, decisions=tmp_path / "elsewhere.sqlite")
    assert evidences(folder, rows) == [None, *["middle"] * 12, None]


def test_a_copy_with_a_box_leaves_the_other_row_its_map(tmp_path):
    rows = draw_catalog(tmp_path / "c", 12)
    shutil.copyfile(tmp_path / "c" / "3.png", tmp_path / "c" / "0copy.png")
    copy = Annotation(12, "0copy.png", encounter="E3", bbox=(40, 40, 80, 40))
    index(tmp_path / "c", [*rows, copy])
    assert evidences(tmp_path / "c", rows) == ["middle"] * 12


# --- queries ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def indexed(tmp_path_factory):
    """An indexed catalog without boxes: what was learned tells where its animals are."""
    folder = tmp_path_factory.mktemp("middle") / "c"
    rows = draw_catalog(folder, 12)
    table = ["path,individual,encounter", *(f"{a.path},cat{n % 4},E{n}" for n, a in enumerate(rows))]
    (folder / "catalog.csv").write_text("\n".join(table) + "\n", encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        use_colours(patch)
        snowmatch.open_catalog(folder).index("sift", {"max_features": 200}, workers=1)
    return folder


@pytest.fixture
def catalog(indexed, tmp_path):
    """A copy of it."""
    return shutil.copytree(indexed, tmp_path / "c")


def test_a_new_photo_uses_what_was_learned(catalog, tmp_path):
    Image.fromarray(drawn((60, 70), 77)).save(tmp_path / "new.png")
    answer = snowmatch.open_catalog(catalog).query(tmp_path / "new.png")
    (photo,) = answer.photos
    assert photo.evidence == "middle"
    on, off = inside_and_outside(photo.foreground.values / 255, (60, 70))
    assert on > 0.8
    assert off < 0.4
    assert photo.bbox is None
    text = "spots count where the middles of the catalog's photos show what an animal looks like"
    assert any(text in note.text for note in answer.notes)
    assert any("what is in the middle of the catalog's photos (12)" in note.text for note in answer.notes)


@pytest.mark.parametrize("damage", [lambda p: p.unlink(), lambda p: p.write_bytes(b"no")])
def test_without_the_file_a_query_tells_it(catalog, tmp_path, damage):
    Image.fromarray(drawn((60, 70), 77)).save(tmp_path / "new.png")
    damage(middle_path(catalog))
    answer = snowmatch.open_catalog(catalog).query(tmp_path / "new.png")
    assert answer.photos[0].evidence == "centre"
    assert [note.code for note in answer.notes].count("no-middle") == 1


def test_a_box_that_a_person_drew_needs_nothing_learned(catalog, tmp_path):
    box = (10, 10, 60, 40)
    rows = (catalog / "catalog.csv").read_text(encoding="utf-8").splitlines()
    table = [f"{rows[0]},bbox", *(f"{row}," for row in rows[1:]), f'3.png,cat3,E3,"{",".join(map(str, box))}"']
    (catalog / "catalog.csv").write_text("\n".join(table) + "\n", encoding="utf-8")
    snowmatch.open_catalog(catalog).index("sift", {"max_features": 200}, workers=1)
    gallery = snowmatch.open_catalog(catalog).session(extractor="sift").gallery
    places = {(a.path, a.bbox): n for n, a in enumerate(gallery.annotations)}
    assert gallery.foreground.evidence(places["3.png", None]) == "middle"
    assert gallery.foreground.map_of(places["3.png", None]) is not None
    assert gallery.foreground.evidence(places["3.png", box]) == "box"
    assert gallery.foreground.map_of(places["3.png", box]) is None
    (photo,) = snowmatch.open_catalog(catalog).query(catalog / "5.png", bbox=box, extractor="sift").photos
    assert (photo.evidence, photo.foreground) == ("box", None)


def test_bars_with_text_do_not_count_inside_a_box(catalog):
    photo = np.asarray(Image.open(catalog / "3.png")).copy()
    photo[-12:] = 0
    cv2.putText(photo, "12:41 -7C 3/9", (4, 123), cv2.FONT_HERSHEY_PLAIN, 0.8, (255, 255, 255), 1, cv2.LINE_AA)
    Image.fromarray(photo).save(catalog / "3.png")
    snowmatch.open_catalog(catalog).index("sift", {"max_features": 200}, workers=1)
    gallery = snowmatch.open_catalog(catalog).session(extractor="sift").gallery
    number = next(n for n, a in enumerate(gallery.annotations) if a.path == "3.png")
    whole = gallery.foreground.map_of(number)
    assert whole.evidence == "middle"
    assert (whole.values[-3:] == 0).all()
    assert (whole.values[:-3] > 0).all()
    beside = map_beside(whole, masked=False, boxed=True)
    assert beside.evidence == ""
    assert set(np.unique(beside.values)) == {0, 255}
    assert ((beside.values == 0) == (whole.values == 0)).all()
    (asked,) = snowmatch.open_catalog(catalog).query(catalog / "3.png", bbox=(0, 0, 168, 126), extractor="sift").photos
    assert asked.evidence == "box"
    assert (asked.foreground.values == beside.values).all()


def test_a_computer_without_the_texture_tells_it(catalog, tmp_path, monkeypatch):
    monkeypatch.setattr(finders, "texture_is_here", lambda: False)
    Image.fromarray(drawn((60, 70), 77)).save(tmp_path / "new.png")
    answer = snowmatch.open_catalog(catalog).query(tmp_path / "new.png")
    assert answer.photos[0].evidence == "centre"
    assert [note.code for note in answer.notes].count("no-texture") == 1


def test_a_computer_without_the_network_tells_it(catalog, tmp_path, monkeypatch):
    monkeypatch.setattr(finders, "_classifier", lambda name: None)
    Image.fromarray(drawn((60, 70), 77)).save(tmp_path / "new.png")
    answer = snowmatch.open_catalog(catalog).query(tmp_path / "new.png")
    assert answer.photos[0].evidence == "centre"
    assert [note.code for note in answer.notes].count("no-classifier") == 1


def test_answers_of_a_batch_are_asked_again_after_something_was_learned(catalog):
    before = networks_of(snowmatch.open_catalog(catalog).session(extractor="sift"))
    known = load_middle(catalog)
    save_middle(catalog, dataclasses.replace(known, offset=known.offset + 1))
    assert networks_of(snowmatch.open_catalog(catalog).session(extractor="sift")) != before
    save_middle(catalog, dataclasses.replace(known, complete=False))  # an index run is at work
    assert networks_of(snowmatch.open_catalog(catalog).session(extractor="sift")) != before
    save_middle(catalog, known)
    assert networks_of(snowmatch.open_catalog(catalog).session(extractor="sift")) == before
