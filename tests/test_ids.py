"""Identifiers of annotations never change: not with names, places or other rows, and not with a corrected box."""

import shutil
from dataclasses import replace
from datetime import datetime

import cv2
import numpy as np
import pytest
from fake_extractor import Fake
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image

import snowmatch
from snowmatch.catalog.ids import KeptId, derived_id, give_ids, load_ids, save_ids, with_ids
from snowmatch.catalog.load import load_catalog
from snowmatch.catalog.records import copy_of, load_records, save_records, take_fingerprint
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.types import Annotation
from snowmatch.features.indexing import index_catalog
from snowmatch.photos.facts import PhotoFacts, are_of_two_photos
from snowmatch.review.identities import decide, name_sightings, open_identities

ONE, TWO = "ab" * 32, "cd" * 32
BOX = (10, 10, 100, 50)


def rows(*each):
    return tuple(Annotation(n, **values) for n, values in enumerate(each))


def names(given_ids):
    return [k.annotation for k in given_ids]


def test_an_identifier_depends_only_on_content_and_box():
    a = rows({"path": "a.jpg", "individual": "aika", "encounter": "e"}, {"path": "b.jpg", "bbox": BOX})
    first = give_ids(a, {"a.jpg": ONE, "b.jpg": ONE}, ())
    assert names(first) == [derived_id(ONE, None), derived_id(ONE, BOX)]
    moved = rows({"path": "x/b.jpg", "bbox": BOX, "station": "S1"}, {"path": "x/a.jpg", "individual": "bars"})
    assert names(give_ids(moved, {"x/a.jpg": ONE, "x/b.jpg": ONE}, ())) == names(first)[::-1]
    assert derived_id(ONE, None).startswith("a")
    assert len({derived_id(c, b, n) for c in (ONE, TWO) for b in (None, BOX) for n in (0, 1)}) == 8


def test_a_photo_of_unknown_content_has_no_identifier_yet():
    assert give_ids(rows({"path": "a.jpg"}, {"path": "b.jpg"}), {"b.jpg": ONE}, ()) == (
        KeptId(derived_id(ONE, None), "b.jpg", None, "", ONE),
    )
    assert give_ids((), {}, ()) == ()


def test_rows_of_equal_content_and_box_get_different_identifiers_and_keep_them():
    both = rows({"path": "a.jpg", "mask": "m.png"}, {"path": "a.jpg", "mask": "n.png"}, {"path": "copy.jpg"})
    contents = {"a.jpg": ONE, "copy.jpg": ONE}
    kept = give_ids(both, contents, ())
    assert names(kept) == [derived_id(ONE, None, n) for n in range(3)]
    turned = tuple(replace(a, row=n) for n, a in enumerate(both[::-1]))
    assert names(give_ids(turned, contents, kept)) == names(kept)[::-1]


def test_a_renamed_photo_a_saved_photo_and_a_corrected_box_keep_their_identifier():
    before = rows({"path": "a.jpg", "bbox": BOX}, {"path": "b.jpg"}, {"path": "c.jpg", "bbox": BOX})
    contents = {"a.jpg": ONE, "b.jpg": TWO, "c.jpg": "ef" * 32}
    kept = give_ids(before, contents, ())
    after = rows({"path": "renamed.jpg", "bbox": BOX}, {"path": "b.jpg"}, {"path": "c.jpg", "bbox": (14, 8, 100, 56)})
    new = {"renamed.jpg": ONE, "b.jpg": "00" * 32, "c.jpg": "ef" * 32}  # b.jpg was saved again
    assert names(give_ids(after, new, kept)) == names(kept)


def test_a_box_far_from_the_old_one_gets_a_new_identifier():
    kept = give_ids(rows({"path": "a.jpg", "bbox": BOX}), {"a.jpg": ONE}, ())
    (other,) = give_ids(rows({"path": "a.jpg", "bbox": (300, 10, 100, 50)}), {"a.jpg": ONE}, kept)
    assert other.annotation not in names(kept)


def test_a_new_box_keeps_the_identifier_of_the_photo_only_if_it_is_the_only_box():
    kept = give_ids(rows({"path": "a.jpg"}), {"a.jpg": ONE}, ())
    assert names(give_ids(rows({"path": "a.jpg", "bbox": BOX}), {"a.jpg": ONE}, kept)) == names(kept)
    two = rows({"path": "a.jpg", "bbox": BOX}, {"path": "a.jpg", "bbox": (300, 10, 100, 50)})
    assert not set(names(give_ids(two, {"a.jpg": ONE}, kept))) & set(names(kept))


def test_the_annotation_column_of_the_catalog_goes_before_stored_identifiers():
    kept = give_ids(rows({"path": "a.jpg"}), {"a.jpg": ONE}, ())
    own = rows({"path": "a.jpg", "annotation": "leopard-7"}, {"path": "b.jpg"})
    assert names(give_ids(own, {"a.jpg": ONE, "b.jpg": ONE}, kept))[0] == "leopard-7"
    clash = rows({"path": "b.jpg", "annotation": derived_id(ONE, None)}, {"path": "a.jpg"})
    assert len(set(names(give_ids(clash, {"a.jpg": ONE, "b.jpg": TWO}, ())))) == 2


def test_a_renamed_photo_takes_its_identifier_along_though_its_old_row_is_still_there():
    kept = give_ids(rows({"path": "old/a.jpg"}), {"old/a.jpg": ONE}, ())
    both = rows({"path": "old/a.jpg"}, {"path": "new/a.jpg"})
    contents = {"old/a.jpg": ONE, "new/a.jpg": ONE}
    assert names(give_ids(both, contents, kept)) == [derived_id(ONE, None, n) for n in (0, 1)]  # a copy
    assert names(give_ids(both, contents, kept, {"old/a.jpg"})) == [derived_id(ONE, None, n) for n in (1, 0)]


def test_another_photo_under_the_same_path_does_not_get_the_decisions_of_the_first(tmp_path):
    def take(seed, taken, quality=95):
        exif = Image.Exif()
        exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = taken
        grey = cv2.GaussianBlur(np.random.default_rng(seed).integers(0, 255, (60, 90), np.uint8), (0, 0), 4)
        grey = cv2.normalize(grey, None, 0, 255, cv2.NORM_MINMAX)
        Image.fromarray(grey).convert("RGB").save(tmp_path / "a.jpg", exif=exif, quality=quality)

    def index():
        report = index_catalog(snowmatch.open_catalog(tmp_path).data, Fake(), 1)
        told = [note.data["photos"] for note in report.notes if note.code == "photos-exchanged"]
        after = open_identities(tmp_path)
        return after.named[0].individual, len(after.who.idle), told

    (tmp_path / "catalog.csv").write_text("path,encounter\na.jpg,e1\n", encoding="utf-8")
    take(1, "2021:05:01 10:00:00")
    index()
    who = open_identities(tmp_path)
    decide(who, [name_sightings(who, [0], "Aika", "Anna")])
    take(1, "2021:05:01 10:00:00", quality=60)  # saved again
    assert index() == ("Aika", 0, [])
    take(1, "2021:05:01 11:00:00")  # a program corrected the time
    assert index() == ("Aika", 0, [])
    take(2, "2021:05:01 11:00:00")  # a program painted over it
    assert index() == ("Aika", 0, [])
    take(3, "2022:06:01 03:00:00")  # the next season's card
    assert index() == (None, 1, [["a.jpg"]])
    assert index() == (None, 1, [])
    take(2, "2021:05:01 11:00:00")  # the first photo is there again
    assert index() == ("Aika", 0, [["a.jpg"]])
    take(3, "2022:06:01 03:00:00")
    records = load_records(tmp_path)
    known = copy_of(records)
    records.photos["a.jpg"] = take_fingerprint(tmp_path / "a.jpg", photo=True)
    save_records(tmp_path, records, known)  # as `screen` does, or an index run that is killed later
    assert index() == (None, 1, [])


def test_a_black_photo_whose_time_was_corrected_is_still_the_same_photo():
    black = PhotoFacts(taken=datetime(2021, 5, 1), time_tag="DateTimeOriginal")
    later = black._replace(taken=datetime(2022, 5, 1))
    assert not are_of_two_photos(black, later)
    assert are_of_two_photos(black, later._replace(likeness=bytes(32)))


box = st.none() | st.tuples(*[st.integers(0, 60)] * 2, *[st.integers(1, 80)] * 2)
row = st.tuples(st.sampled_from("abc"), box, st.sampled_from(["", "m", "n"]))


@given(
    st.lists(row, max_size=7),
    st.lists(row, max_size=7),
    st.dictionaries(st.sampled_from("abc"), st.sampled_from([ONE, TWO])),
)
def test_identifiers_are_unique_and_a_second_call_changes_none(before, after, contents):
    first = give_ids(rows(*({"path": p, "bbox": b, "mask": m} for p, b, m in before)), contents, ())
    assert len(set(names(first))) == len(first)
    changed = rows(*({"path": p, "bbox": b, "mask": m} for p, b, m in after))
    second = give_ids(changed, contents, first)
    assert len(set(names(second))) == len(second) == sum(a.path in contents for a in changed)
    assert give_ids(changed, contents, second) == second
    assert {(k.path, k.bbox, k.mask) for k in second} == {
        (a.path, a.bbox, a.mask) for a in changed if a.path in contents
    }


def test_a_catalog_with_one_identifier_twice_is_refused(tmp_path):
    (tmp_path / "catalog.csv").write_text("path,annotation\na.jpg,x1\nb.jpg,\nc.jpg,x1\n")
    with pytest.raises(SnowmatchError, match=r"catalog\.csv line 4, column annotation: 'x1' .* line 2"):
        load_catalog(tmp_path)


def test_identifiers_are_stored_and_pruned(tmp_path):
    a = rows(
        {"path": "a.jpg"}, {"path": "a.jpg"}, {"path": "b.jpg", "bbox": BOX}, {"path": "c.jpg", "annotation": "own"}
    )
    kept = give_ids(a, {"a.jpg": ONE, "b.jpg": TWO, "c.jpg": TWO}, ())
    save_ids(tmp_path, kept)
    assert set(load_ids(tmp_path)) == set(kept)
    assert load_ids(tmp_path, ["b.jpg"]) == [kept[2]]
    assert [x.annotation for x in with_ids(tmp_path, a, a)] == names(kept)
    assert [x.annotation for x in with_ids(tmp_path, a[1:2], a)] == names(kept)[1:2]
    save_ids(tmp_path, kept[:1], kept)
    assert len(load_ids(tmp_path)) == 4  # without prune, the identifiers of missing photos are kept
    save_ids(tmp_path, kept[:1], kept, prune=True)
    assert load_ids(tmp_path) == [kept[0]]


@pytest.mark.parametrize("later", [False, True])
def test_decisions_follow_a_renamed_folder_whose_old_rows_go_later(tmp_path, later):
    (tmp_path / "old").mkdir()
    for n in range(2):
        pixels = np.random.default_rng(n).integers(0, 255, (40, 60, 3), np.uint8)
        assert cv2.imwrite(str(tmp_path / "old" / f"{n}.png"), pixels)

    def index(*folders, **told):
        shown = ((0, "one"), (0, "two"), (1, "three"))  # two animals without a box in one photo
        lines = [f"{f}/{n}.png,{name},{f}{n}" for f in folders for n, name in shown]
        table = "\n".join(["path,individual,encounter", *lines, ""])
        (tmp_path / "catalog.csv").write_text(table, encoding="utf-8")
        return index_catalog(snowmatch.open_catalog(tmp_path).data, Fake(), 1, **told)

    index("old")
    who = open_identities(tmp_path)
    who, _ = decide(who, [name_sightings(who, [n], name, "Anna") for n, name in enumerate(("Aika", "Bars", "Dog"))])
    shutil.move(tmp_path / "old", tmp_path / "new")
    if later:
        assert len(index("old", "new").failed) == 2
    for prune in (False, True):
        index("new", prune=prune)
        after = open_identities(tmp_path)
        assert after.who.idle == ()
        assert [a.individual for a in after.named] == ["Aika", "Bars", "Dog"]


def test_answers_have_identifiers_and_renaming_all_photos_changes_none(own_survey):
    catalog = own_survey / "catalog"
    opened = snowmatch.open_catalog(catalog)
    asked = opened.data.annotations[0]
    before = [c.best.annotation for c in opened.query(catalog / asked.path).candidates]
    assert all(before)
    (catalog / "images").rename(catalog / "photos")
    table = (catalog / "catalog.csv").read_text(encoding="utf-8")
    (catalog / "catalog.csv").write_text(table.replace("images/", "photos/"), encoding="utf-8")
    moved = snowmatch.open_catalog(catalog)
    assert moved.index().done == 0
    assert [c.best.annotation for c in moved.query(catalog / moved.data.annotations[0].path).candidates] == before
