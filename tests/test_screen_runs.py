"""Runs of the screening: stopped, repeated, in several processes; photos that fail; tables and pictures."""

import json
import sqlite3
from contextlib import closing

import fake_classifier
import fake_detector
import pytest
from click.testing import CliRunner
from fake_classifier import BOX, Colours, make_catalog, read_table, results, write_rows
from fake_extractor import age

import snowmatch
from snowmatch.catalog.screened import load_screened
from snowmatch.cli import main
from snowmatch.core.files import file_sha256
from snowmatch.core.home import HOME, database_path
from snowmatch.core.plugins import make_plugin
from snowmatch.review import screen
from snowmatch.review.identities import answer_pair, name_sightings, open_identities
from snowmatch.review.identities import decide as store
from snowmatch.review.screen import screen_catalog
from snowmatch.review.traits import trait_drafts
from snowmatch.screening import mapping
from snowmatch.screening.passages import DEFAULT

ROWS = fake_classifier.PASSAGES


@pytest.fixture
def catalog(tmp_path, monkeypatch):
    fake_classifier.use(monkeypatch)
    return make_catalog(tmp_path / "catalog", ROWS)


def run(*words):
    return CliRunner().invoke(main, ["screen", *map(str, words), "--workers", "1"])


def stored(folder):
    """Return the rows of the tables of the database that a screening fills."""
    with closing(sqlite3.connect(database_path(folder))) as database:
        names = ("found", "screened", "screening", "detected", "flanks")
        return [database.execute(f"SELECT * FROM {name} ORDER BY 1, 2, 3").fetchall() for name in names]


def test_notes_of_the_catalog_are_told(tmp_path, monkeypatch):
    fake_classifier.use(monkeypatch)
    for n, folder in enumerate(("_unidentified", "_unidentified", "100RECNX")):
        fake_classifier.draw(tmp_path / folder / f"{n}.jpg", "empty", n)
    (tmp_path / "_unidentified" / "clip.avi").write_bytes(b"")
    for _ in range(2):  # what the screening before left out is told by index and show
        result = run(tmp_path)
        assert result.exit_code == 0, result.output
        assert "1 video was skipped: 1 .avi" in result.output
        assert "100RECNX" in result.output
        assert "of which the last screening kept no photo" not in result.output


# --- what persons decided ---------------------------------------------------------------------------------------------


def decided(catalog, tmp_path, decide):
    """Store decisions elsewhere. Return the note on the threshold before and after, and the rows of the table after."""
    snowmatch.open_catalog(catalog).index("sift", workers=1)
    elsewhere = tmp_path / "elsewhere.sqlite"
    before = run(catalog).output
    who = open_identities(catalog, elsewhere)
    store(who, decide(who))
    result = run(catalog, "--decisions", elsewhere, "--out", tmp_path / "after")
    assert result.exit_code == 0, result.output
    notes = [next(line for line in each.splitlines() if "named animals" in line) for each in (before, result.output)]
    return *notes, read_table(tmp_path / "after.csv")


def test_names_by_decisions_set_the_threshold(catalog, tmp_path):
    def decide(who):
        place = {sighting.encounter: n for n, sighting in enumerate(who.who.sightings)}
        joined = answer_pair(who, place["E04"], place["E07"], "same", "Anna")  # of an animal without a name
        return [name_sightings(who, [place["E00"], place["E03"]], "Bars", "Anna"), joined]

    before, after, _ = decided(catalog, tmp_path, decide)
    assert before.endswith("here are 0")
    assert after.endswith("here are 2 (0 of them with a lower score)")


def test_a_species_by_decision_is_not_that_of_the_threshold(catalog, tmp_path):
    write_rows(catalog, [(path, station, encounter, "aika") for path, _, station, encounter, _ in ROWS[:4]])

    def decide(who):
        return trait_drafts(who, "species", [a.annotation for a in who.annotations[:2]], "ibex", "Anna")

    before, after, _ = decided(catalog, tmp_path, decide)
    assert "here are 2 (1 of them" in before
    assert "here are 1 (1 of them" in after


def test_a_box_by_decision_is_that_of_the_table(catalog, tmp_path):
    seen = {"p00.jpg": [("1", 0.9, BOX), ("1", 0.8, [0, 0, 0.25, 0.25])], "p01.jpg": [("1", 0.9, BOX)]}
    run(catalog, "--results", results(tmp_path / "md.json", {row[0]: seen.get(row[0], []) for row in ROWS}))

    def decide(who):
        further = next(a for a in who.annotations if a.found)  # the second animal of the first photo
        return [
            *trait_drafts(who, "box", [further.annotation], "5,6,40,30", "Anna"),
            *trait_drafts(who, "box", [who.annotations[1].annotation], "7,8,40,30", "Anna"),
        ]

    *_, rows = decided(catalog, tmp_path, decide)
    found = {name: (rows[name]["boxes"], rows[name]["found_by"]) for name in ("p00.jpg", "p01.jpg")}
    assert found == {"p00.jpg": ("20,15,40,30; 5,6,40,30", "results"), "p01.jpg": ("7,8,40,30", "")}


# --- stopped, repeated, several processes -----------------------------------------------------------------------------


@pytest.mark.parametrize("stop", [1, 7, 15])
def test_a_stopped_run_continues_and_gives_the_same(catalog, tmp_path, monkeypatch, stop):
    expected = (run(catalog, "--out", tmp_path / "whole").exit_code, (tmp_path / "whole.csv").read_bytes())
    again = make_catalog(tmp_path / "again", ROWS)
    seen, classify = [], Colours.classify

    def until(self, photo):
        if len(seen) == stop:
            raise KeyboardInterrupt
        seen.append(1)
        return classify(self, photo)

    monkeypatch.setattr(Colours, "classify", until)
    stopped = run(again, "--out", tmp_path / "again-out")
    assert stopped.exit_code == 1
    assert stopped.output.strip().splitlines()[-1].startswith("Error: stopped; finished work is stored")
    assert not (tmp_path / "again-out.csv").exists()
    looked = []
    monkeypatch.setattr(Colours, "classify", lambda self, photo: looked.append(1) or classify(self, photo))
    result = run(again, "--out", tmp_path / "again-out")
    assert (result.exit_code, (tmp_path / "again-out.csv").read_bytes()) == expected
    assert len(looked) == len(ROWS) - stop
    assert stored(again) == stored(catalog)


def test_a_run_that_was_stopped_while_it_read_keeps_what_it_read(catalog, monkeypatch):
    data = snowmatch.open_catalog(catalog).data

    def stop(done, total):
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        screen_catalog(data, workers=1, reading=stop)
    with closing(sqlite3.connect(database_path(catalog))) as database:
        assert database.execute("SELECT count(*) FROM files").fetchone() == (5,)


def test_nothing_is_read_again_and_nothing_is_written_again(catalog, monkeypatch):
    for path in catalog.glob("*.jpg"):
        age(path)
    run(catalog)
    before = stored(catalog)
    monkeypatch.setattr(screen, "read_small", lambda *_: pytest.fail("a photo was read"))
    monkeypatch.setattr(mapping, "look", lambda *_: pytest.fail("a photo was looked at"))
    calls = []
    screen_catalog(snowmatch.open_catalog(catalog).data, workers=1, reading=lambda *now: calls.append(now))
    assert calls == []
    assert stored(catalog) == before


def test_one_process_and_two_give_the_same_bytes(catalog, tmp_path, monkeypatch):
    other = make_catalog(tmp_path / "other", ROWS)
    monkeypatch.setattr(mapping, "FEW_MAPS", 0)
    monkeypatch.setattr("snowmatch.features.hashing.FEW_PHOTOS", 1)
    assert run(catalog, "--out", tmp_path / "one").exit_code == 0
    two = CliRunner().invoke(main, ["screen", str(other), "--out", str(tmp_path / "two"), "--workers", "2"])
    assert two.exit_code == 0
    for ending in (".csv", ".jsonl"):
        assert (tmp_path / f"one{ending}").read_bytes() == (tmp_path / f"two{ending}").read_bytes()
    assert stored(catalog) == stored(other)


def test_each_bar_reaches_its_end(catalog, monkeypatch):
    fake_detector.use(monkeypatch)
    calls = {"reading": [], "looking": [], "detecting": []}
    told = {name: lambda *now, name=name: calls[name].append(now) for name in calls}
    screen_catalog(snowmatch.open_catalog(catalog).data, detector="eyes", workers=1, **told)
    for name, of in calls.items():
        assert of == [(n, len(ROWS)) for n in range(1, len(ROWS) + 1)], name


# --- photos that fail or leave ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [(), ("--classifier", "none")])
def test_broken_and_missing_photos_are_listed(catalog, tmp_path, words):
    if words:
        words = (*words, "--results", results(tmp_path / "md.json", {name: [] for name, *_ in ROWS}))
    (catalog / "p04.jpg").write_bytes(b"no photo")
    (catalog / "p05.jpg").write_bytes((catalog / "p05.jpg").read_bytes()[:40])
    (catalog / "p06.jpg").unlink()
    for _ in range(2):  # a broken photo stays broken
        result = run(catalog, *words, "--out", tmp_path / "out")
        assert result.exit_code == 1
        failed = [line for line in result.output.splitlines() if line.startswith("failed: ")]
        assert [line.split()[1].rstrip(":") for line in failed] == ["p04.jpg", "p05.jpg", "p06.jpg"], result.output
        assert read_table(tmp_path / "out.csv")["p04.jpg"]["answer"] == "unknown"


@pytest.mark.parametrize("how", ["broken", "missing"])
def test_a_passage_with_a_photo_that_the_classifier_cannot_see_is_not_told_to_show_nothing(catalog, tmp_path, how):
    if how == "broken":
        (catalog / "p02.jpg").write_bytes((catalog / "p02.jpg").read_bytes()[:600])
    else:
        (catalog / "p02.jpg").unlink()
    result = run(catalog, "--out", tmp_path / "out")
    assert result.exit_code == 1
    answers = {name: row["answer"] for name, row in read_table(tmp_path / "out.csv").items()}
    assert {name for name, answer in answers.items() if answer == "unknown"} == {"p02.jpg", "p03.jpg"}
    assert "2 photos that no network has seen, or of such a passage: p02.jpg, p03.jpg" in result.output


def test_persons_that_a_classifier_of_the_user_tells_are_private(catalog, tmp_path, monkeypatch):
    names = tuple(name.replace("other mammal", "human") for name in fake_classifier.NAMES)
    monkeypatch.setattr(fake_classifier, "NAMES", names)
    shown = {name for name, what, *_ in ROWS if what == "ibex"}
    for kept in (False, True):
        words = ("--threshold", 0) if kept else ()
        result = run(catalog, "--out", tmp_path / "out", "--explain", tmp_path / "why", *words)
        assert "4 photos with a person or of such a passage: keep them private" in result.output
        table = read_table(tmp_path / "out.csv")
        assert {name for name, row in table.items() if row["persons"] == "1"} == shown
        assert table["p04.jpg"]["answer"] == ("kept" if kept else "person")
        assert len(list((tmp_path / "why").iterdir())) == 6  # of 8 passages


def test_a_photo_that_vanishes_during_the_run_is_listed(catalog):
    def vanish(done, total):
        (catalog / "p09.jpg").unlink(missing_ok=True)

    result = screen_catalog(snowmatch.open_catalog(catalog).data, workers=1, looking=vanish)
    assert [path for path, _ in result.failed] == ["p09.jpg"]


def test_what_another_program_indexes_during_a_screening_keeps_its_boxes(catalog):
    def meanwhile(done, total):
        if done == 1:
            fake_classifier.draw(catalog / "new.jpg", "leopard", 100)
            with (catalog / "catalog.csv").open("a") as file:
                file.write("new.jpg,S9,E99,\n")
            snowmatch.open_catalog(catalog).index("sift", workers=1)

    assert not screen_catalog(snowmatch.open_catalog(catalog).data, workers=1, looking=meanwhile).failed
    session = snowmatch.open_catalog(catalog).session(extractor="sift")
    assert session.data.annotations[-1].path == "new.jpg"
    assert session.data.annotations[-1].box_by == "classifier"
    assert session.states[-1].state == "indexed"


def test_a_photo_that_left_the_catalog_is_no_failure_and_is_not_looked_at(catalog, monkeypatch):
    run(catalog)
    (catalog / "p15.jpg").unlink()
    write_rows(catalog, [(name, *rest) for name, _, *rest in ROWS[:14]])  # p14.jpg is still in the folder
    found = run(catalog)
    assert found.exit_code == 0, found.output
    asked = fake_detector.use(monkeypatch)
    found = run(catalog, "--detector", "eyes")
    assert found.exit_code == 0, found.output
    assert len(asked) == 14
    assert len(load_screened(catalog).answers) == 14


@pytest.mark.parametrize(
    "how",
    ["again", "another classifier", "no classifier", "without detections", "the other card", "another species"],
)
def test_photos_that_are_away_keep_their_answers_and_boxes(catalog, tmp_path, monkeypatch, how):
    names = [name for name, *_ in ROWS]
    seen = {name: [("2" if name in names[2:4] else "1", 0.9, BOX)] for name in names[:6]}
    file = results(tmp_path / "md.json", dict.fromkeys(names, ()) | seen)
    assert run(catalog, "--results", file, "--out", tmp_path / "first").exit_code == 0
    first, before = read_table(tmp_path / "first.csv"), stored(catalog)
    away, sha = names[:8], {name: file_sha256(catalog / name) for name in names}
    for name in away:
        (catalog / name).rename(tmp_path / name)
    words = []
    if how in ("another classifier", "without detections"):
        monkeypatch.setattr(Colours, "REVISION", 2)
    if how == "without detections":
        run(catalog, "--forget-results")
    elif how in ("the other card", "no classifier"):
        words = ["--results", results(tmp_path / "two.json", dict.fromkeys(names[8:], ()))]
        words += ["--classifier", "none"] if how == "no classifier" else []
    elif how == "another species":
        words = ["--species", "other mammal"]
    taken = how in ("another classifier", "no classifier", "without detections")
    told = run(catalog, *words, "--out", tmp_path / "out")
    assert told.exit_code == 1, told.output
    rows = read_table(tmp_path / "out.csv")
    assert [rows[name]["answer"] for name in names[2:4]] == ["person", "person"]
    if how != "another species":
        asked = away if how == "no classifier" else names
        assert [rows[name]["answer"] for name in asked] == [first[name]["answer"] for name in asked]
        kept = [rows[name]["probability"] for name in (*names[:2], *names[4:8])]
        assert kept == ([first[name]["probability"] for name in (*names[:2], *names[4:8])] if not taken else [""] * 6)
        answers = load_screened(catalog).answers
        assert {answers[sha[name]] for name in away} == {"kept", "person", "other mammal"}
    assert ("answers of an earlier screening are used for" in told.output) == taken
    for name in away:
        (tmp_path / name).rename(catalog / name)
    if how in ("again", "the other card"):
        monkeypatch.setattr(Colours, "classify", lambda self, photo: pytest.fail("a photo was looked at"))
        assert run(catalog, "--out", tmp_path / "out").exit_code == 0
        assert read_table(tmp_path / "out.csv") == first
        assert stored(catalog) == before


def test_a_catalog_of_one_photo(tmp_path, monkeypatch):
    fake_classifier.use(monkeypatch)
    folder = make_catalog(tmp_path / "one", [("a.jpg", "empty", "", "", "")])
    result = run(folder, "--out", tmp_path / "out", "--explain", tmp_path / "why")
    assert result.exit_code == 0, result.output
    assert read_table(tmp_path / "out.csv")["a.jpg"]["answer"] == "nothing"
    assert "1 passage: nothing 1; 1 photo (100 %) not kept" in result.output


# --- tables and pictures ----------------------------------------------------------------------------------------------


def test_nothing_is_written_outside_the_catalogs_own_folder(catalog, tmp_path):
    before = {path: path.read_bytes() for path in catalog.rglob("*") if path.is_file()}
    run(catalog, "--out", tmp_path / "out", "--explain", tmp_path / "why")
    after = {p: p.read_bytes() for p in catalog.rglob("*") if p.is_file() and HOME not in p.parts}
    assert after == before
    for words in (("--out", catalog / "out"), ("--explain", catalog / "why")):
        refused = run(catalog, *words, "--threshold", "0.5")
        assert refused.exit_code == 1
        assert "lies in the catalog" in refused.output
        assert len(refused.output.strip().splitlines()) == 1
    assert load_screened(catalog).threshold != 0.5  # told before the screening


def test_the_table_has_no_formula_and_its_name_may_have_either_ending(tmp_path, monkeypatch):
    fake_classifier.use(monkeypatch)
    folder = make_catalog(tmp_path / "catalog", [("=1+1.jpg", "leopard", "", "", ""), ("ok.jpg", "ibex", "", "", "")])
    for name in ("out", "out.csv", "out.jsonl"):
        assert run(folder, "--out", tmp_path / name).exit_code == 0  # the same content is replaced
    assert sorted(path.name for path in tmp_path.glob("out*")) == ["out.csv", "out.jsonl"]
    assert "\n=" not in (tmp_path / "out.csv").read_text()
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [(line["path"], line["schema"]) for line in lines] == [
        ("=1+1.jpg", "snowmatch.screen/2"),
        ("ok.jpg", "snowmatch.screen/2"),
    ]


def test_another_answer_replaces_a_table_that_nobody_edited(catalog, tmp_path):
    run(catalog, "--out", tmp_path / "out")
    assert read_table(tmp_path / "out.csv")["p06.jpg"]["answer"] == "kept"
    assert run(catalog, "--out", tmp_path / "out", "--threshold", "0.5").exit_code == 0
    assert read_table(tmp_path / "out.csv")["p06.jpg"]["answer"] == "nothing"
    (tmp_path / "mine.csv").write_text("mine\n")
    assert run(catalog, "--out", tmp_path / "mine").exit_code == 1
    assert (tmp_path / "mine.csv").read_text() == "mine\n"


def test_one_picture_a_passage_and_none_of_a_person(catalog, tmp_path):
    file = results(tmp_path / "md.json", {"p02.jpg": [("2", 0.9, BOX)], "p00.jpg": [("1", 0.9, BOX)]})
    assert run(catalog, "--results", file, "--explain", tmp_path / "why").exit_code == 0
    names = sorted(path.name.rsplit("-", 1)[0] for path in (tmp_path / "why").iterdir())
    assert names == ["kept"] * 4 + ["nothing"] + ["other-mammal"] * 2
    (tmp_path / "why" / "kept-0001.jpg").write_bytes(b"mine")
    again = run(catalog, "--results", file, "--explain", tmp_path / "why")
    assert again.exit_code == 1
    assert (tmp_path / "why" / "kept-0001.jpg").read_bytes() == b"mine"
    assert run(catalog, "--results", file, "--explain", tmp_path / "why", "--force").exit_code == 0


def test_a_species_that_the_classifier_does_not_know_is_refused_before_a_photo_is_looked_at(catalog, monkeypatch):
    looked = []
    monkeypatch.setattr(Colours, "classify", lambda self, photo: looked.append(1))
    result = run(catalog, "--species", "snow leopart")
    assert result.exit_code == 1
    assert "the classifier does not know 'snow leopart'; expected one of" in result.output
    assert not looked
    assert not database_path(catalog).exists()


@pytest.mark.parametrize("name", ["efficientnet_lite0", "mobilenet_v2"])
def test_the_networks_tell_the_species_that_they_know_without_a_photo(name):
    assert make_plugin("classifiers", name).names == fake_classifier.NAMES


def test_without_a_classifier_it_is_told_why_there_are_no_pictures(catalog, tmp_path):
    file = results(tmp_path / "md.json", {name: [("1", 0.9, BOX)] for name, *_ in ROWS})
    result = run(catalog, "--classifier", "none", "--results", file, "--explain", tmp_path / "why")
    assert result.exit_code == 0
    assert "0 pictures in" in result.output
    assert "they show where a classifier sees the species, and none was used" in result.output
    assert "none was used" not in run(catalog, "--classifier", "auto", "--explain", tmp_path / "why").output


@pytest.mark.parametrize("order", [("EA", "EB"), ("EB", "EA")])
@pytest.mark.parametrize("answer", ["person", "unknown"])
def test_of_a_photo_with_a_copy_in_an_empty_passage_it_stays_known_that_a_person_may_be_there(
    tmp_path, monkeypatch, order, answer
):
    fake_classifier.use(monkeypatch)
    rows = [("a.jpg", "empty", "", order[0], ""), ("b.jpg", "empty", "", "EA", ""), ("c.jpg", "empty", "", "EB", "")]
    folder = make_catalog(tmp_path / "catalog", rows)
    (folder / "z.jpg").write_bytes((folder / "a.jpg").read_bytes())
    write_rows(folder, [*((name, *rest) for name, _, *rest in rows), ("z.jpg", "", order[1], "")])
    seen = {name: [] for name in ("a.jpg", "b.jpg", "c.jpg", "z.jpg")}
    if answer == "person":
        seen["b.jpg"] = [("2", 0.9, BOX)]
    else:
        del seen["b.jpg"]  # nothing has looked at it
    words = ["--classifier", "none", "--results", results(tmp_path / "md.json", seen), "--out", tmp_path / "out"]
    run(folder, *words)
    told = {row["encounter"]: row["answer"] for row in read_table(tmp_path / "out.csv").values()}
    assert told == {"EA": answer, "EB": "nothing"}
    stored = load_screened(folder).answers
    assert stored[file_sha256(folder / "a.jpg")] == answer


@pytest.mark.parametrize("taught", [0, 2, 5, None])
def test_nothing_is_promised_by_passages_that_the_classifier_learned_from(tmp_path, monkeypatch, taught):
    fake_classifier.use(monkeypatch)
    rows = [(f"{n}{side}.jpg", "leopard", "", f"E{n:02}", "aika") for n in range(12) for side in "ab"]
    folder = make_catalog(tmp_path / "named", rows)
    (folder / "copy.jpg").write_bytes((folder / "0a.jpg").read_bytes())
    write_rows(folder, [*((name, *rest) for name, _, *rest in rows), ("copy.jpg", "", "EX", "aika")])
    contents = None if taught is None else frozenset(file_sha256(folder / f"{n}a.jpg") for n in range(taught))
    monkeypatch.setattr(screen, "learned_from", lambda classifier: contents)
    result = screen_catalog(snowmatch.open_catalog(folder).data, keep=0.9, workers=1)
    left = {0: 13, 2: 10, 5: 7, None: 0}[taught]  # the copy is one of those that were learned from
    assert (result.threshold.known, result.threshold.promised) == (left, left >= 9)
    told = [note.text for note in result.notes if note.code == "passages-learned-from"]
    assert bool(told) == (taught != 0)
    if taught:
        assert told == [
            f"{13 - left} passages of named animals that the classifier learned from: the threshold does not follow "
            "from them"
        ]
    if left < 9:
        assert result.threshold.value == DEFAULT
    given = screen_catalog(snowmatch.open_catalog(folder).data, keep=0.9, threshold=0.5, workers=1)
    assert not [note for note in given.notes if note.code == "passages-learned-from"]


def test_the_threshold_is_that_of_the_named_passages_or_the_given_one(tmp_path, monkeypatch):
    fake_classifier.use(monkeypatch)
    rows = [(f"{n}.jpg", "leopard" if n % 3 else "faint", "", f"E{n:02}", "aika") for n in range(9)]
    folder = make_catalog(tmp_path / "named", [*rows, ("x.jpg", "faint", "", "EX", "")])
    promised = run(folder, "--keep", "0.9")
    assert (
        "these are 90 % of the passages of the species, as far as 9 passages of named animals tell" in promised.output
    )
    assert "to promise" not in promised.output
    short = run(folder, "--keep", "0.97")
    assert "takes 33 passages of named animals, here are 9" in short.output
    given = run(folder, "--threshold", "0.5", "--out", tmp_path / "out")
    assert "promise" not in given.output
    assert read_table(tmp_path / "out.csv")["x.jpg"]["answer"] == "nothing"
    assert load_screened(folder).threshold == 0.5
