"""A box that a person corrects is a decision: the index, queries and pages use it, and it can be taken back."""

import csv
import shutil

import pytest
from click.testing import CliRunner
from web_small import SETTINGS, client_of, make_catalog

from snowmatch.api import open_catalog
from snowmatch.cli import main
from snowmatch.core.errors import SnowmatchError
from snowmatch.decisions.corrections import read_answer_box, with_corrections
from snowmatch.review.identities import decide, draft, name_sightings, open_identities, undo
from snowmatch.review.traits import said_before, trait_drafts
from snowmatch.views.previews import file_stamp
from snowmatch.web import rereading
from snowmatch.web.jobs import KINDS, commands_of
from snowmatch.web.rereading import rereading_of
from snowmatch.web.state import State

BOX = (60, 40, 200, 150)
TEXT = "60,40,200,150"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make_catalog(tmp_path_factory.mktemp("boxes"))


@pytest.fixture
def catalog(made, tmp_path):
    return shutil.copytree(made, tmp_path / "catalog")


def corrected(folder, value=TEXT, row=0):
    """Correct the box of one row, and return its identifier."""
    who = open_identities(folder)
    name = who.annotations[row].annotation
    decide(who, trait_drafts(who, "box", [name], value, "Anna"))
    return name


def boxes(folder):
    return [a.bbox for a in open_catalog(folder).data.annotations]


def states(folder):
    return [each.state for each in open_catalog(folder).session(extractor="sift").states]


def index(folder):
    catalog = open_catalog(folder)
    from snowmatch.api import indexed_extractors

    ((name, options),) = indexed_extractors(folder)
    return catalog.index(name, options, workers=1)


def test_a_corrected_box_counts_and_the_table_stays(catalog):
    before, table = boxes(catalog), (catalog / "catalog.csv").read_bytes()
    name = corrected(catalog)
    assert boxes(catalog) == [BOX, *before[1:]]
    assert (catalog / "catalog.csv").read_bytes() == table
    assert open_identities(catalog).named[0].bbox == BOX
    assert open_identities(catalog).corrected(0).annotation == name


def test_the_index_reads_only_this_animal_again_and_its_identifier_stays(catalog):
    who = open_identities(catalog)
    names = [a.annotation for a in who.annotations]
    decide(who, [name_sightings(who, [0], "Aika", "Anna")])
    corrected(catalog)
    assert states(catalog)[0] == "stale"
    report = index(catalog)
    assert (report.done, report.reused) == (1, 4)
    assert set(states(catalog)) == {"indexed"}
    after = open_identities(catalog)
    assert [a.annotation for a in after.annotations] == names
    assert after.named[0].individual == "Aika"
    assert index(catalog).done == 0


def test_work_of_the_app_uses_the_decisions_that_the_app_was_given(catalog, tmp_path):
    who = open_identities(catalog)
    decide(who, [name_sightings(who, [4], "Cholpon", "Anna")])
    corrected(catalog)
    elsewhere = tmp_path / "elsewhere.sqlite"
    (catalog / "decisions.sqlite").rename(elsewhere)
    kept = {kind: commands_of(kind, catalog, elsewhere, "sift")[0] for kind in KINDS}
    assert all(("--decisions", str(elsewhere)) == words[at : at + 2] for words in kept.values()
               for at in [words.index("--decisions")])  # fmt: skip
    done = CliRunner().invoke(main, [*kept["index"][:-2], "--workers", "1", *kept["index"][-2:]])
    assert done.exit_code == 0, done.output
    found = open_catalog(catalog, elsewhere).session(extractor="sift", options=SETTINGS).states
    assert {each.state for each in found} == {"indexed"}
    done = CliRunner().invoke(main, list(kept["batch"]))
    assert done.exit_code == 0, done.output
    assert "images/4.jpg" not in done.stdout  # it has a name
    assert CliRunner().invoke(main, list(kept["calibrate"])).exit_code in (0, 1)  # too few animals


def test_a_query_of_the_photo_uses_the_corrected_box(catalog):
    corrected(catalog)
    index(catalog)
    answer = open_catalog(catalog).query(catalog / "images" / "0.jpg", extractor="sift")
    assert answer.photos[0].bbox == BOX
    assert not answer.photos[0].box_by


def test_undo_brings_back_the_box_and_its_features(catalog):
    before = boxes(catalog)
    corrected(catalog)
    index(catalog)
    who = open_identities(catalog)
    decide(who, undo(who, [who.rows[-1].id], "Anna"))
    assert boxes(catalog) == before
    assert set(states(catalog)) == {"indexed"}  # the features of the first box were kept
    assert index(catalog).done == 0


def test_an_empty_answer_is_the_box_of_the_table(catalog):
    before = boxes(catalog)
    corrected(catalog)
    corrected(catalog, "")
    assert boxes(catalog) == before
    with pytest.raises(SnowmatchError, match="nobody corrected"):
        corrected(catalog, "")


def test_a_box_survives_a_new_row_and_a_renamed_photo(catalog):
    name = corrected(catalog)
    index(catalog)
    (catalog / "images" / "0.jpg").rename(catalog / "images" / "z.jpg")
    with (catalog / "catalog.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    rows[1][0] = "images/z.jpg"
    with (catalog / "catalog.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([rows[0], *rows[2:], rows[1]])
    index(catalog)
    who = open_identities(catalog)
    assert (who.annotations[-1].annotation, who.named[-1].bbox) == (name, BOX)
    assert set(states(catalog)) == {"indexed"}


def test_two_rows_with_one_box_keep_their_own_identifiers(catalog):
    with (catalog / "catalog.csv").open("a", newline="", encoding="utf-8") as file:
        csv.writer(file).writerow(["images/0.jpg", "bars", "left_flank", "naryn", "st0", "", "e0", "20,20,280,200"])
    index(catalog)
    names = [a.annotation for a in open_identities(catalog).annotations]
    corrected(catalog)
    data = open_catalog(catalog).data
    assert data.annotations[0].annotation == names[0]
    index(catalog)
    assert [a.annotation for a in open_identities(catalog).annotations] == names


@pytest.mark.parametrize("value", ["1,2,3", "a,b,c,d", "0,0,0,10", "5000,10,20,20", "0.1,0.1,0.5,0.5", "1,2,3,4,5"])
def test_what_is_no_box_in_the_photo_is_refused(catalog, value):
    with pytest.raises(SnowmatchError, match="box"):
        corrected(catalog, value)


def test_one_box_for_two_animals_is_refused(catalog):
    who = open_identities(catalog)
    names = [a.annotation for a in who.annotations[:2]]
    with pytest.raises(SnowmatchError, match="choose one"):
        trait_drafts(who, "box", names, TEXT, "Anna")


def test_answers_that_are_no_box_are_ignored(catalog):
    who = open_identities(catalog)
    name = who.annotations[0].annotation
    rows = [draft("box", "Anna", text, side_a=(name,)) for text in (TEXT, "no box", "1,1,-5,5")]
    assert with_corrections(who.annotations, rows)[0].bbox == BOX
    assert read_answer_box("1,2,3,٤") is None  # digits of another script


def test_what_was_said_before_tells_the_box(catalog):
    who = open_identities(catalog)
    name = who.annotations[0].annotation
    assert [(said.value, said.decision) for said in said_before(who, "box", [name])] == [("20,20,280,200", None)]
    corrected(catalog)
    (said,) = said_before(open_identities(catalog), "box", [name])
    assert (said.value, said.decision.observer) == (TEXT, "Anna")


def test_the_page_stores_a_box_and_reads_the_animal_again(catalog):
    state = State(catalog, observer="Anna")
    client = client_of(catalog, observer="Anna")
    key = state.identities().annotations[0].annotation
    picture = client.get(f"/picture/animal/320/{key}")
    same = client.get(f"/picture/animal/320/{key}", headers={"if-none-match": picture.headers["etag"]})
    assert (same.status_code, same.content) == (304, b"")
    file = file_stamp(catalog / state.identities().annotations[0].path)
    address = f"/picture/animal/320/{key}?file={file}&box=20,20,280,200"
    assert "max-age" in client.get(address).headers["cache-control"]
    asked = {"kind": "box", "photos": [key], "value": TEXT, "stay": True}
    told = client.post("/changes", json=asked).json()
    assert "20,20,280,200" in " ".join(told["lines"])
    assert client.post("/changes", json=asked | {"store": True, "head": told["head"]}).json()["stored"]
    own = client.app.state.snowmatch
    while client.get(f"/photos/{key}/state").status_code == 202:
        pass
    assert not rereading_of(own).running
    assert states(catalog) == ["indexed"] * 5
    after = client.get(f"/picture/animal/320/{key}", headers={"if-none-match": picture.headers["etag"]})
    assert after.content not in (b"", picture.content)
    assert "max-age" not in client.get(address).headers["cache-control"]
    page = client.get(f"/photos/{key}?lang=en").text
    assert "60, 40, 200, 150 (corrected)" in page
    assert client.get(f"/found/320/{key}").status_code in (200, 404)


def test_photos_that_cannot_be_read_do_not_keep_a_corrected_box_from_being_read(catalog, monkeypatch):
    with (catalog / "catalog.csv").open("a", encoding="utf-8") as file:
        file.writelines(f"images/gone{n}.jpg,,,,,,,\n" for n in range(3))
    open_catalog(catalog).index("sift", SETTINGS, workers=1)
    monkeypatch.setattr(rereading, "MOST", 2)
    corrected(catalog)
    state = State(catalog, observer="Anna")
    assert [each for each, _ in state.states()] == ["stale", *["indexed"] * 4, *["failed"] * 3]
    reading = rereading_of(state)
    reading._read()
    assert reading.problem == ""
    assert [each for each, _ in state.states()] == [*["indexed"] * 5, *["failed"] * 3]
