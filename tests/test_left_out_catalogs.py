"""A batch after a screening: what shows no such animal is not asked."""

import shutil

import fake_classifier
import pytest
from click.testing import CliRunner
from fake_classifier import BOX, draw, make_catalog, read_table, results
from PIL import Image

import snowmatch
from snowmatch.cli import main
from snowmatch.review import batch
from snowmatch.review.batch import run_batch
from snowmatch.review.identities import decide, name_sightings, open_identities
from snowmatch.review.rows import format_summary
from snowmatch.review.traits import trait_drafts

ROWS = [
    ("e1a.jpg", "empty", "S1", "E1", ""),  # nothing
    ("e1b.jpg", "empty", "S1", "E1", ""),
    ("e2a.jpg", "empty", "S1", "E2", ""),  # one of two photos is kept
    ("e2b.jpg", "leopard", "S1", "E2", ""),
    ("e3a.jpg", "ibex", "S2", "E3", ""),  # another species
    ("e4a.jpg", "empty", "S2", "E4", ""),  # a person
    ("e5a.jpg", "leopard", "S2", "E5", ""),
    ("known.jpg", "leopard", "S3", "E6", "aika"),
]
QUIET = {"E1": "nothing", "E3": "other species", "E4": "person"}


@pytest.fixture(scope="module")
def indexed(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        fake_classifier.use(patch)
        folder = make_catalog(tmp_path_factory.mktemp("left") / "catalog", ROWS)
        assert not snowmatch.open_catalog(folder).index(workers=1).failed
    return folder


@pytest.fixture
def catalog(indexed, tmp_path, monkeypatch):
    """Return a catalog that is indexed and was not screened."""
    fake_classifier.use(monkeypatch)
    return shutil.copytree(indexed, tmp_path / "catalog")


@pytest.fixture
def asked(monkeypatch):
    """Return a list that gets the names of the photos of every query."""
    queries, ask = [], batch.ask_many

    def counting(session, questions):
        queries.extend([getattr(photo, "path", photo) for photo in question.photos] for question in questions)
        return ask(session, questions)

    monkeypatch.setattr(batch, "ask_many", counting)
    return queries


def screen(catalog, tmp_path):
    """Screen the catalog; a file of results says that there is a person in E4."""
    file = results(tmp_path / "md.json", {name: [] for name, *_ in ROWS} | {"e4a.jpg": [("2", 0.9, BOX)]})
    done = CliRunner().invoke(main, ["screen", str(catalog), "--results", str(file), "--workers", "1"])
    assert done.exit_code == 0, done.output


def decisions(found):
    return {row.encounter: row.decision for row in found.rows}


def test_what_is_left_out_is_not_asked_and_comes_last(catalog, asked, tmp_path):
    screen(catalog, tmp_path)
    calls = []
    found = run_batch(snowmatch.open_catalog(catalog), progress=lambda *now: calls.append(now))
    assert asked == [["e2a.jpg", "e2b.jpg"], ["e5a.jpg"]]
    assert calls[-1] == (2, 2)
    assert [row.encounter for row in found.rows] == ["E2", "E5", "E1", "E3", "E4"]
    told = decisions(found)
    assert {name: told[name] for name in QUIET} == QUIET
    for row in found.rows[2:]:
        assert (row.probability, row.level, row.runner_up, row.new_probability) == (None, None, "", None)
        assert (row.individual, row.same_as) == ("", "")
        assert all(row.annotations)
        assert len(row.annotations) == len(row.photos)
        assert (row.station, row.animal) == ({"E1": "S1"}.get(row.encounter, "S2"), 1)
    reasons = {row.encounter: row.reasons for row in found.rows[2:]}
    assert reasons == {
        "E1": ("the screening sees nothing",),
        "E3": ("the screening sees another species: other mammal",),
        "E4": ("the screening sees person",),
    }


def test_what_a_person_decided_about_is_asked(catalog, asked, tmp_path):
    screen(catalog, tmp_path)
    who = open_identities(catalog)
    nothing = next(a.annotation for a in who.annotations if a.path == "e1a.jpg")
    decide(who, trait_drafts(who, "species", [nothing], "snow leopard", "Anna"))
    found = run_batch(snowmatch.open_catalog(catalog))
    assert asked == [["e1a.jpg", "e1b.jpg"], ["e2a.jpg", "e2b.jpg"], ["e5a.jpg"]]
    assert {name: told for name, told in decisions(found).items() if name in QUIET and told in QUIET.values()} == {
        "E3": "other species",
        "E4": "person",
    }


@pytest.mark.parametrize("by", ["nobody", "name", "species"])
def test_what_a_person_decided_about_is_asked_also_if_a_photo_of_it_was_not_screened(catalog, asked, tmp_path, by):
    screen(catalog, tmp_path)
    draw(catalog / "e1c.jpg", "empty", 77)
    rows = [*ROWS, ("e1c.jpg", "", "S1", "E1", "")]
    fake_classifier.write_rows(catalog, [(name, *rest) for name, _, *rest in rows])
    snowmatch.open_catalog(catalog).index(workers=1)
    who = open_identities(catalog)
    a = next(a for a in who.annotations if a.path == "e1a.jpg")
    if by == "species":
        decide(who, trait_drafts(who, by, [a.annotation], "snow leopard", "Anna"))
    elif by == "name":
        decide(who, [name_sightings(who, [who.who.number_of[a.annotation]], "Umai", "Anna")])
    photos = [catalog / f"e1{n}.jpg" for n in "abc"]
    told = decisions(run_batch(snowmatch.open_catalog(catalog), photos))
    assert (told["E1"] in QUIET.values()) == (by == "nobody")
    assert asked == ([] if by == "nobody" else [["e1a.jpg", "e1b.jpg", "e1c.jpg"]])


def test_the_summary_counts_what_is_left_out(catalog, tmp_path):
    screen(catalog, tmp_path)
    text = format_summary(run_batch(snowmatch.open_catalog(catalog)))
    assert text.startswith("5 animals in 5 encounters: ")
    assert text.endswith("; nothing 1; other species 1; person 1 (the screening keeps the species snow leopard)")
    assert "without a probability 2" in text  # those that were asked; nothing is calibrated


def test_the_second_batch_keeps_its_answers_and_gives_the_same_rows(catalog, asked, tmp_path):
    screen(catalog, tmp_path)
    first = run_batch(snowmatch.open_catalog(catalog), out=tmp_path / "out")
    before = (tmp_path / "out.csv").read_bytes()
    asked.clear()
    assert run_batch(snowmatch.open_catalog(catalog), out=tmp_path / "out").rows == first.rows
    assert asked == []
    assert (tmp_path / "out.csv").read_bytes() == before
    assert read_table(tmp_path / "out.csv", "encounter")["E4"]["decision"] == "person"


def test_without_a_classifier_new_photos_are_asked(catalog, asked, tmp_path, monkeypatch):
    screen(catalog, tmp_path)
    monkeypatch.setattr(fake_classifier.finders, "_classifier", lambda name: None)
    draw(tmp_path / "new.jpg", "empty", 100)
    (row,) = run_batch(snowmatch.open_catalog(catalog), [tmp_path / "new.jpg"]).rows
    assert len(asked) == 1
    assert row.decision != "nothing"


def test_a_new_photo_of_a_known_passage_can_bring_it_back(catalog, tmp_path):
    screen(catalog, tmp_path)
    draw(catalog / "e1c.jpg", "leopard", 77)
    rows = [*ROWS, ("e1c.jpg", "", "S1", "E1", "")]
    fake_classifier.write_rows(catalog, [(name, *rest) for name, _, *rest in rows])
    snowmatch.open_catalog(catalog).index(workers=1)
    assert decisions(run_batch(snowmatch.open_catalog(catalog)))["E1"] not in QUIET.values()


def test_an_empty_gallery_and_a_photo_without_features_are_not_comparable(catalog, tmp_path):
    Image.new("RGB", (80, 60), (230, 20, 20)).save(tmp_path / "flat.png")
    (row,) = run_batch(snowmatch.open_catalog(catalog), [tmp_path / "flat.png"]).rows
    assert (row.decision, row.probability, row.level) == ("not comparable", None, None)
    assert "1 of 1 photo had no features" in row.reasons[-1]
    lone = make_catalog(tmp_path / "lone", [("a.jpg", "leopard", "", "E1", "")])
    snowmatch.open_catalog(lone).index(workers=1)
    (row,) = run_batch(snowmatch.open_catalog(lone)).rows
    assert row.decision == "not comparable"
    assert "nothing to compare: the gallery is empty" in row.reasons
