"""Animals that snowmatch found: stored by content and origin, placed where no person drew boxes; stable identifiers."""

from itertools import permutations

import numpy as np
import pytest
from fake_extractor import make_photo

import snowmatch
from snowmatch.catalog.animals import number_animals
from snowmatch.catalog.database import writing
from snowmatch.catalog.found import BY_MAPS, BY_SCREENING, Found, load_found, save_found
from snowmatch.catalog.ids import derived_id, give_ids, load_ids, save_ids, with_ids
from snowmatch.catalog.load import load_catalog
from snowmatch.catalog.records import Fingerprint, Records
from snowmatch.catalog.settings import CatalogSettings
from snowmatch.core.home import database_path
from snowmatch.core.types import Annotation
from snowmatch.identify.calibrate import facts_of

SHA = {name: (letter * 2) * 32 for name, letter in (("a.jpg", "a"), ("b.jpg", "b"), ("c.jpg", "c"), ("copy.jpg", "a"))}
LEFT, RIGHT, LOW = (10, 20, 100, 60), (300, 20, 90, 70), (120, 200, 80, 50)
DRAWN = (5, 6, 70, 80)


def animal(box, by="detector", **fields):
    return Found(box, by, **fields)


def records(*paths):
    return Records({path: Fingerprint(1, 1, 1, 1, SHA[path]) for path in paths or SHA})


def load(folder, text, found=None, origin=BY_SCREENING, known=None, **settings):
    """Return the catalog of a table, after `found` was stored: the animals of each photo, by path."""
    (folder / "catalog.csv").write_text(text)
    if found is not None:
        save_found(folder, origin, {SHA[path]: animals for path, animals in found.items()})
    return load_catalog(folder, records() if known is None else known, settings)


def boxes(data):
    return [(a.path, a.bbox, a.box_by, a.found) for a in data.annotations]


# Storing


def test_found_animals_are_loaded_as_they_were_saved(tmp_path):
    found = {
        SHA["a.jpg"]: (
            animal(LEFT, "isnet", label="snow leopard", confidence=0.75),
            animal(RIGHT, "burst and classifier"),
            animal((0, 0, 1, 1), "снег", label="«кошка»", confidence=0.1 + 0.2),
        ),
        SHA["b.jpg"]: (),
    }
    save_found(tmp_path, BY_SCREENING, found)
    assert load_found(tmp_path) == load_found(tmp_path, BY_SCREENING) == found
    assert load_found(tmp_path, BY_MAPS) == {}


def test_a_photo_without_an_animal_is_not_a_photo_that_was_not_looked_at(tmp_path):
    save_found(tmp_path, BY_MAPS, {SHA["a.jpg"]: ()})
    assert load_found(tmp_path) == {SHA["a.jpg"]: ()}
    save_found(tmp_path, BY_MAPS, {SHA["a.jpg"]: (animal(LEFT),), SHA["b.jpg"]: ()})
    assert load_found(tmp_path) == {SHA["a.jpg"]: (animal(LEFT),), SHA["b.jpg"]: ()}
    save_found(tmp_path, BY_MAPS, {SHA["a.jpg"]: ()})
    assert load_found(tmp_path) == {SHA["a.jpg"]: ()}


def test_a_catalog_without_a_database_has_none_and_gets_none(tmp_path):
    assert load_found(tmp_path) == {}
    save_found(tmp_path, BY_MAPS, {})
    assert not database_path(tmp_path).exists()


def test_saving_replaces_everything_of_one_origin_only(tmp_path):
    one, two = {SHA["a.jpg"]: (animal(LEFT), animal(RIGHT))}, {SHA["b.jpg"]: (animal(LOW),), SHA["c.jpg"]: ()}
    save_found(tmp_path, BY_MAPS, one)
    save_found(tmp_path, BY_SCREENING, two)
    assert (load_found(tmp_path, BY_MAPS), load_found(tmp_path, BY_SCREENING)) == (one, two)
    save_found(tmp_path, BY_SCREENING, {SHA["c.jpg"]: (animal(LEFT),)})
    assert load_found(tmp_path, BY_MAPS) == one
    assert load_found(tmp_path, BY_SCREENING) == {SHA["c.jpg"]: (animal(LEFT),)}
    save_found(tmp_path, BY_MAPS, {SHA["a.jpg"]: (animal(RIGHT),)})
    assert load_found(tmp_path, BY_MAPS) == {SHA["a.jpg"]: (animal(RIGHT),)}
    save_found(tmp_path, BY_MAPS, {})
    save_found(tmp_path, BY_SCREENING, {})
    assert load_found(tmp_path) == {}


def test_results_of_the_screening_win_photo_by_photo(tmp_path):
    save_found(tmp_path, BY_MAPS, {SHA[path]: (animal(LEFT, "burst"),) for path in ("a.jpg", "b.jpg", "c.jpg")})
    save_found(tmp_path, BY_SCREENING, {SHA["a.jpg"]: (animal(RIGHT), animal(LOW)), SHA["b.jpg"]: ()})
    assert load_found(tmp_path) == {
        SHA["a.jpg"]: (animal(RIGHT), animal(LOW)),
        SHA["b.jpg"]: (),  # the screening saw that there is no animal
        SHA["c.jpg"]: (animal(LEFT, "burst"),),
    }


def test_the_order_of_animals_is_kept(tmp_path):
    many = tuple(animal((n, 0, 5, 5), confidence=1 - n / 100) for n in range(12))
    save_found(tmp_path, BY_SCREENING, {SHA["a.jpg"]: many})
    assert load_found(tmp_path)[SHA["a.jpg"]] == many


def test_saving_the_same_animals_writes_nothing(tmp_path):
    found = {SHA["a.jpg"]: (animal(LEFT, confidence=1),), SHA["b.jpg"]: ()}
    save_found(tmp_path, BY_MAPS, found)
    before = database_path(tmp_path).stat().st_mtime_ns
    save_found(tmp_path, BY_MAPS, dict(reversed(found.items())))
    assert database_path(tmp_path).stat().st_mtime_ns == before


@pytest.mark.parametrize("confidence", [1, 0, True, np.float32(0.25), np.float64(0.25)], ids=repr)
def test_numbers_of_any_type_are_stored(tmp_path, confidence):
    box = tuple(np.array(LEFT))
    save_found(tmp_path, BY_MAPS, {SHA["a.jpg"]: (animal(box, confidence=confidence),)})
    assert load_found(tmp_path) == {SHA["a.jpg"]: (animal(LEFT, confidence=float(confidence)),)}


def change(folder, statement):
    with writing(folder) as database:
        database.execute(statement)


DAMAGE = {
    "box": "UPDATE found SET bbox = '1,2,3,4' WHERE bbox LIKE '10,%'",
    "text in the box": "UPDATE found SET bbox = 'x' WHERE bbox LIKE '10,%'",
    "source": "UPDATE found SET box_by = 'person' WHERE bbox LIKE '10,%'",
    "confidence": "UPDATE found SET confidence = 0.99 WHERE bbox LIKE '10,%'",
    "label": "UPDATE found SET label = NULL WHERE bbox LIKE '10,%'",
    "content": "UPDATE found SET sha256 = 'ff' WHERE bbox LIKE '10,%'",
    "checksum": "UPDATE found SET sum = sum + 1 WHERE bbox LIKE '10,%'",
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_entry_is_skipped_and_made_again(tmp_path, name):
    found = {SHA["a.jpg"]: (animal(LEFT, confidence=0.5),), SHA["b.jpg"]: (animal(RIGHT),), SHA["c.jpg"]: ()}
    save_found(tmp_path, BY_MAPS, found)
    change(tmp_path, DAMAGE[name])
    left = {sha: animals for sha, animals in found.items() if sha != SHA["a.jpg"]}
    assert load_found(tmp_path) == left
    save_found(tmp_path, BY_MAPS, found)
    assert load_found(tmp_path) == found


def test_a_damaged_database_has_no_found_animals_and_is_replaced(tmp_path):
    save_found(tmp_path, BY_MAPS, {SHA["a.jpg"]: (animal(LEFT),)})
    database_path(tmp_path).write_bytes(b"damaged" * 999)
    assert load_found(tmp_path) == {}
    save_found(tmp_path, BY_MAPS, {SHA["b.jpg"]: (animal(LEFT),)})
    assert load_found(tmp_path) == {SHA["b.jpg"]: (animal(LEFT),)}


def test_an_interrupted_save_changes_nothing(tmp_path, monkeypatch):
    found = {SHA["a.jpg"]: (animal(LEFT),)}
    save_found(tmp_path, BY_MAPS, found)

    def stop(row):
        raise KeyboardInterrupt

    monkeypatch.setattr("snowmatch.catalog.found.with_sum", stop)
    with pytest.raises(KeyboardInterrupt):
        save_found(tmp_path, BY_MAPS, {SHA["a.jpg"]: (animal(RIGHT),)})
    monkeypatch.undo()
    assert load_found(tmp_path) == found


# Placing


def test_a_photo_without_a_box_gets_the_best_one_and_its_other_animals(tmp_path):
    text = "path,individual,body_part,location,station,camera,timestamp,encounter,split\n"
    text += "a.jpg,Aika,left_flank,naryn,S1,cam,2020-01-02 03:04:05,e1,train\nb.jpg,,head,naryn,S1,,,e2,\n"
    found = {"a.jpg": (animal(LEFT), animal(RIGHT, "isnet"), animal(LOW)), "b.jpg": (animal(LOW),)}
    data = load(tmp_path, text, found)
    assert boxes(data) == [
        ("a.jpg", LEFT, "detector", False),
        ("b.jpg", LOW, "detector", False),
        ("a.jpg", RIGHT, "isnet", True),
        ("a.jpg", LOW, "detector", True),
    ]
    first, second, *others = data.annotations
    assert (first.individual, first.body_part, second.body_part) == ("Aika", "left_flank", "head")
    for one in others:
        assert (one.individual, one.body_part, one.mask, one.annotation) == (None, "unknown", "", "")
        for name in ("location", "station", "camera", "timestamp", "encounter", "split", "passage"):
            assert getattr(one, name) == getattr(first, name), name
    assert [a.row for a in data.annotations] == [0, 1, 2, 3]
    (note,) = [note for note in data.notes if note.code == "further-animals"]
    assert note.text.startswith("2 further animals found in photos with one row")
    assert note.data == {"count": 2}


def test_boxes_alone_need_no_note(tmp_path):
    data = load(tmp_path, "path\na.jpg\n", {"a.jpg": (animal(LEFT),)})
    assert boxes(data) == [("a.jpg", LEFT, "detector", False)]
    assert "further-animals" not in [note.code for note in data.notes]


@pytest.mark.parametrize(
    "rows",
    [
        'a.jpg,"5,6,70,80",',
        "a.jpg,,m.png",
        'a.jpg,"5,6,70,80",m.png',
        'a.jpg,"5,6,70,80",\na.jpg,,',
        'a.jpg,,\na.jpg,"5,6,70,80",',
        "a.jpg,,m.png\na.jpg,,n.png",
    ],
)
def test_where_a_person_drew_or_wrote_several_rows_nothing_is_placed(tmp_path, rows):
    text = f"path,bbox,mask\n{rows}\n"
    before = boxes(load(tmp_path, text))
    data = load(tmp_path, text, {"a.jpg": (animal(LEFT), animal(RIGHT))})
    assert boxes(data) == before
    assert all(a.box_by == "" and not a.found for a in data.annotations)


def test_a_photo_without_an_animal_keeps_its_row_as_it_is(tmp_path):
    save_found(tmp_path, BY_MAPS, {SHA["a.jpg"]: (animal(LEFT),)})
    data = load(tmp_path, "path\na.jpg\nb.jpg\n", {"a.jpg": ()})
    assert boxes(data) == [("a.jpg", None, "", False), ("b.jpg", None, "", False)]


def test_boxes_of_another_content_or_of_unknown_photos_are_not_placed(tmp_path):
    found = {"a.jpg": (animal(LEFT), animal(RIGHT))}
    text = "path\na.jpg\nb.jpg\n"
    assert boxes(load(tmp_path, text, found, known=records("b.jpg"))) == [
        ("a.jpg", None, "", False),
        ("b.jpg", None, "", False),
    ]
    assert len(boxes(load(tmp_path, text))) == 3
    changed = records()
    changed.photos["a.jpg"] = changed.photos["a.jpg"]._replace(sha256="00" * 32)
    assert [a.bbox for a in load(tmp_path, text, known=changed).annotations] == [None, None]
    assert [a.bbox for a in load_catalog(tmp_path).annotations] == [None, None]


def test_a_copy_of_a_photo_gets_the_same_boxes(tmp_path):
    data = load(tmp_path, "path\na.jpg\ncopy.jpg\n", {"a.jpg": (animal(LEFT), animal(RIGHT))})
    assert sorted(boxes(data)) == sorted(
        (path, box, "detector", more) for path in ("a.jpg", "copy.jpg") for box, more in ((LEFT, False), (RIGHT, True))
    )


def test_with_boxes_false_nothing_is_placed(tmp_path):
    text, found = "path\na.jpg\n", {"a.jpg": (animal(LEFT), animal(RIGHT))}
    data = load(tmp_path, text, found, boxes=False)
    assert boxes(data) == [("a.jpg", None, "", False)]
    assert data.settings == CatalogSettings(boxes=False)
    assert "further-animals" not in [note.code for note in data.notes]
    assert len(load(tmp_path, text).annotations) == 2


def test_folders_as_a_catalog_get_boxes_too(tmp_path):
    (tmp_path / "Aika" / "left_flank").mkdir(parents=True)
    (tmp_path / "_unidentified").mkdir()
    for name in ("Aika/left_flank/1.png", "_unidentified/2.png"):
        make_photo(tmp_path / name, len(name))
    known = Records(
        {
            "Aika/left_flank/1.png": Fingerprint(1, 1, 1, 1, SHA["a.jpg"]),
            "_unidentified/2.png": Fingerprint(1, 1, 1, 1, SHA["b.jpg"]),
        }
    )
    save_found(tmp_path, BY_SCREENING, dict.fromkeys((SHA["a.jpg"], SHA["b.jpg"]), (animal(LEFT), animal(RIGHT))))
    data = load_catalog(tmp_path, known)
    assert [(a.path, a.individual, a.found) for a in data.annotations] == [
        ("Aika/left_flank/1.png", "Aika", False),
        ("_unidentified/2.png", None, False),
        ("Aika/left_flank/1.png", None, True),
        ("_unidentified/2.png", None, True),
    ]


# Numbers of animals


def test_two_animals_in_one_photo_are_told_apart_and_followed(tmp_path):
    text = "path,encounter,timestamp\n" + "".join(f"{n}.jpg,e,2020-01-01 10:00:0{i}\n" for i, n in enumerate("abc"))
    moved = [tuple(side + 4 for side in box[:2]) + box[2:] for box in (LEFT, RIGHT)]
    found = {
        "a.jpg": (animal(LEFT), animal(RIGHT)),
        "b.jpg": (animal(moved[1]), animal(moved[0])),
        "c.jpg": (),
    }
    data = load(tmp_path, text, found)
    numbers = {(a.path, a.bbox): a.animal for a in data.annotations}
    assert numbers["a.jpg", LEFT] != numbers["a.jpg", RIGHT]
    assert numbers["b.jpg", moved[0]] == numbers["a.jpg", LEFT]
    assert numbers["b.jpg", moved[1]] == numbers["a.jpg", RIGHT]
    assert numbers["c.jpg", None] not in (numbers["a.jpg", LEFT], numbers["a.jpg", RIGHT])
    assert "animals-told-apart" in [note.code for note in data.notes]


def test_a_named_animal_with_one_further_animal_is_not_numbered_with_it(tmp_path):
    data = load(
        tmp_path, "path,individual,encounter\na.jpg,Aika,e\nb.jpg,,e\n", {"a.jpg": (animal(LEFT), animal(RIGHT))}
    )
    assert [a.animal for a in data.annotations] == [0, 0, 0]
    three = {"a.jpg": (animal(LEFT), animal(RIGHT), animal(LOW))}
    data = load(tmp_path, "path,individual,encounter\na.jpg,Aika,e\n", three)
    assert [(a.individual, a.animal) for a in data.annotations] == [("Aika", 0), (None, 1), (None, 0)]  # by position


def test_the_numbers_do_not_depend_on_the_order_of_the_rows():
    rows = [
        {"path": "a.jpg", "encounter": "e", "bbox": LEFT, "box_by": "isnet"},
        {"path": "b.jpg", "encounter": "e"},
        {"path": "a.jpg", "encounter": "e", "bbox": RIGHT, "box_by": "isnet", "found": True},
        {"path": "c.jpg", "encounter": "e", "bbox": LEFT, "mask": "m.png"},
    ]
    told = set()
    for order in permutations(range(4)):
        fields = [dict(rows[n]) for n in order]
        assert len(number_animals(fields)) == 1
        told.add(tuple(fields[order.index(n)]["animal"] for n in range(4)))
    assert len(told) == 1


# Identifiers


def identified(folder, text, found=None, **settings):
    """Return the catalog and its identifiers after an index run, which stores them."""
    data = load(folder, text, found, **settings)
    kept = load_ids(folder)
    new = give_ids(data.annotations, {path: SHA[path] for path in SHA}, kept)
    save_ids(folder, new, kept)
    assert [a.annotation for a in with_ids(folder, data.annotations, data.annotations)] == [k.annotation for k in new]
    return data, [k.annotation for k in new]


ROWS = "path\na.jpg\nb.jpg\n"


def test_rows_keep_their_identifiers_when_boxes_are_found_change_and_vanish(tmp_path):
    _, first = identified(tmp_path, ROWS)
    assert first == [derived_id(SHA[path], None) for path in ("a.jpg", "b.jpg")]
    for found in (
        {"a.jpg": (animal(LEFT),)},
        {"a.jpg": (animal(RIGHT),), "b.jpg": (animal(LOW),)},
        {"a.jpg": (animal(RIGHT), animal(LEFT)), "b.jpg": (animal(LOW),)},
        {"a.jpg": (animal(LEFT), animal(RIGHT), animal(LOW))},
        {"a.jpg": (), "b.jpg": ()},
    ):
        data, ids = identified(tmp_path, ROWS, found)
        assert ids[:2] == first
        assert len(set(ids)) == len(ids) == len(data.annotations)
    assert identified(tmp_path, ROWS, {"a.jpg": (animal(LEFT), animal(RIGHT))}, boxes=False)[1] == first


def test_further_animals_have_identifiers_of_content_and_box_and_keep_them(tmp_path):
    _, ids = identified(tmp_path, ROWS, {"a.jpg": (animal(LEFT), animal(RIGHT))})
    assert ids[2] == derived_id(SHA["a.jpg"], RIGHT)
    near = (RIGHT[0] + 3, *RIGHT[1:])
    _, again = identified(tmp_path, ROWS, {"a.jpg": (animal(LEFT), animal(near), animal(LOW))})
    assert again[2] == ids[2]
    _, other = identified(tmp_path, ROWS, {"a.jpg": (animal(LEFT), animal((0, 500, 30, 30)))})
    assert other[2] not in {*ids, *again}
    _, back = identified(tmp_path, ROWS, {"a.jpg": (animal(LEFT), animal(near))})
    assert back == ids


def test_a_row_keeps_its_identifier_if_a_person_draws_its_box(tmp_path):
    for found in ((animal(LEFT),), (animal(LEFT), animal(RIGHT)), (animal(LEFT), animal(RIGHT), animal(LOW))):
        folder = tmp_path / str(len(found))
        folder.mkdir()
        _, ids = identified(folder, ROWS, {"a.jpg": found})
        data, drawn = identified(folder, 'path,bbox\na.jpg,"5,6,70,80"\nb.jpg,\n')
        assert data.annotations[0].bbox == DRAWN
        assert drawn == ids[:2]
        _, undrawn = identified(folder, ROWS)  # the box is removed again
        assert undrawn[:2] == ids[:2]
        assert undrawn[2:] == ids[2:]


def test_a_row_that_lost_its_box_keeps_its_identifier_beside_further_animals(tmp_path):
    _, ids = identified(tmp_path, 'path,bbox\na.jpg,"5,6,70,80"\nb.jpg,\n')
    _, after = identified(tmp_path, ROWS, {"a.jpg": (animal(LEFT), animal(RIGHT))})
    assert after[:2] == ids
    assert len(set(after)) == 3


def test_a_further_animal_does_not_take_the_identifier_of_the_row(tmp_path):
    _, ids = identified(tmp_path, ROWS)
    named = "path,annotation\na.jpg,own-7\nb.jpg,\n"
    _, after = identified(tmp_path, named, {"a.jpg": (animal(LEFT), animal(RIGHT))})
    assert after == ["own-7", ids[1], derived_id(SHA["a.jpg"], RIGHT)]


def test_the_box_of_an_annotation_that_identifies_it():
    assert Annotation(0, "a.jpg", bbox=DRAWN).own_box == DRAWN
    assert Annotation(0, "a.jpg", bbox=LEFT, box_by="isnet").own_box is None
    assert Annotation(0, "a.jpg", bbox=LEFT, box_by="isnet", found=True).own_box == LEFT
    assert Annotation(0, "a.jpg").own_box is None


def test_a_box_that_snowmatch_found_is_not_one_that_a_person_drew():
    assert Annotation(0, "a.jpg", bbox=DRAWN).drawn_box == DRAWN
    assert Annotation(0, "a.jpg", bbox=LEFT, box_by="isnet").drawn_box is None
    assert Annotation(0, "a.jpg", bbox=LEFT, box_by="isnet", found=True).drawn_box is None


# A whole index run


def test_an_index_run_extracts_further_animals_and_identifiers_stay(tmp_path):
    for n in range(2):
        make_photo(tmp_path / f"{n}.png", n)
    (tmp_path / "catalog.csv").write_text("path,individual\n0.png,Aika\n1.png,\n")
    catalog = snowmatch.open_catalog(tmp_path, classifier="none")
    assert catalog.index("sift", workers=1).done == 2
    before = [k.annotation for k in sorted(load_ids(tmp_path), key=lambda k: k.path)]
    sha = {k.path: k.sha256 for k in load_ids(tmp_path)}
    save_found(tmp_path, BY_SCREENING, {sha["1.png"]: (animal((2, 2, 20, 20)), animal((25, 4, 20, 20)))})
    catalog = snowmatch.open_catalog(tmp_path, classifier="none")
    assert [a.bbox for a in catalog.data.annotations] == [None, (2, 2, 20, 20), (25, 4, 20, 20)]
    report = catalog.index("sift", workers=1)
    assert (report.done, report.reused, report.failed) == (2, 1, ())
    kept = {(k.path, k.bbox): k.annotation for k in load_ids(tmp_path)}
    assert [kept["0.png", None], kept["1.png", None]] == before
    assert len(set(kept.values())) == 3
    session = catalog.session()  # all three are photos without a box that a person drew, for queries and calibration
    assert [session.gallery.foreground.evidence(n) for n in range(3)] == ["centre"] * 3
    assert not facts_of(catalog.data.annotations, session.gallery)["outlined"].any()
    further = catalog.data.annotations[2]
    assert catalog.query(further).photos[0].evidence == "centre"
    assert load_found(tmp_path, BY_MAPS) == dict.fromkeys(sha.values(), ())
    assert load_found(tmp_path, BY_SCREENING).keys() == {sha["1.png"]}  # the index run leaves these as they are


def test_what_was_found_in_photos_that_are_away_is_not_pruned(tmp_path):
    home, disk = tmp_path / "catalog", tmp_path / "disk"
    home.mkdir()
    disk.mkdir()
    for n in range(2):
        make_photo(disk / f"{n}.png", n)
        (home / f"{n}.png").symlink_to(disk / f"{n}.png")
    (home / "catalog.csv").write_text("path,individual\n0.png,Aika\n1.png,\n")
    catalog = snowmatch.open_catalog(home, classifier="none")
    catalog.index("sift", workers=1)
    sha = {k.path: k.sha256 for k in load_ids(home)}
    save_found(home, BY_MAPS, {sha["1.png"]: (animal((2, 2, 20, 20)), animal((25, 4, 20, 20)))}, ())
    assert snowmatch.open_catalog(home, classifier="none").index("sift", workers=1).done == 2
    kept, found = load_ids(home), load_found(home)
    disk.rename(tmp_path / "elsewhere")
    report = snowmatch.open_catalog(home, classifier="none").index("sift", workers=1, prune=True)
    assert [path for path, _ in report.failed] == ["0.png", "1.png"]
    assert report.removed == 1  # of the photo without its boxes
    (tmp_path / "elsewhere").rename(disk)
    report = snowmatch.open_catalog(home, classifier="none").index("sift", workers=1)
    assert (report.done, report.reused, report.failed) == (0, 3, ())
    assert load_found(home) == found
    assert load_ids(home) == kept
