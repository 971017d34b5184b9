"""Screening: which photos may show the animal, by passage, and what batch makes of it."""

import csv
import json

import fake_classifier
import pytest
from click.testing import CliRunner
from fake_classifier import Colours, make_catalog, read_table, write_rows
from hypothesis import given
from hypothesis import strategies as st

import snowmatch
from snowmatch.catalog.screened import load_screened
from snowmatch.cli import main
from snowmatch.screening.passages import DEFAULT, answer_of, choose_threshold, passages_needed

COLUMNS = ("path", "station", "encounter", "individual")
ROWS = [
    ("a1.jpg", "leopard", "S1", "E1", ""),
    ("a2.jpg", "empty", "S1", "E1", ""),
    ("b1.jpg", "empty", "S2", "E2", ""),
    ("b2.jpg", "empty", "S2", "E2", ""),
    ("c1.jpg", "ibex", "S2", "E3", ""),
    ("d1.jpg", "faint", "S3", "E4", "aika"),
]


@pytest.fixture
def catalog(tmp_path, monkeypatch):
    """Return the folder of a catalog of drawn photos; the classifier is that of the tests."""
    fake_classifier.use(monkeypatch)
    return make_catalog(tmp_path / "catalog", ROWS)


def run(*words):
    return CliRunner().invoke(main, [str(word) for word in words])


def test_a_passage_is_judged_as_one_and_nothing_is_written_into_the_catalog(catalog, tmp_path):
    before = sorted(path.name for path in catalog.iterdir())
    result = run("screen", catalog, "--out", tmp_path / "out", "--explain", tmp_path / "why", "--workers", 1)
    assert result.exit_code == 0, result.output
    rows = read_table(tmp_path / "out.csv")
    answers = {path: row["answer"] for path, row in rows.items()}
    assert answers == {
        "a1.jpg": "kept",
        "a2.jpg": "kept",
        "b1.jpg": "nothing",
        "b2.jpg": "nothing",
        "c1.jpg": "other mammal",
        "d1.jpg": "kept",
    }
    assert "3 photos (50 %) not kept" in result.output
    assert (
        "to promise 99 % of the passages of the species takes 99 passages of named animals, here are 1" in result.output
    )
    assert sorted(path.name for path in (tmp_path / "why").iterdir()) == [
        "kept-0001.jpg",
        "kept-0004.jpg",
        "nothing-0002.jpg",
        "other-mammal-0003.jpg",
    ]
    assert sorted(path.name for path in catalog.iterdir() if path.name != ".snowmatch") == before
    assert len(load_screened(catalog).answers) == len(ROWS)


def test_named_passages_that_are_mostly_left_out_get_a_note(tmp_path, monkeypatch):
    fake_classifier.use(monkeypatch)
    kinds = ("ibex", "ibex", "empty", "leopard", "leopard")
    rows = [(f"{n}.jpg", what, "S1", f"E{n}", f"cat{n}") for n, what in enumerate(kinds)]
    text = run("screen", make_catalog(tmp_path / "most", rows), "--workers", 1).output
    assert "keeps only passages of the species snow leopard: 3 of 5 passages of animals with names are left out" in text
    assert "(other mammal 2, nothing 1); is the catalog of another species? (--species NAME; --learn" in text
    half = make_catalog(tmp_path / "half", rows[1:])
    assert "another species?" not in run("screen", half, "--workers", 1).output


@pytest.mark.parametrize("species", ["snow leopard", "Snow Leopard ", "Panthera uncia", "argali"])
def test_a_named_passage_counts_whichever_name_of_its_species_stands_there(catalog, tmp_path, species):
    write_rows(catalog, [(name, *rest, species) for name, _, *rest in ROWS], (*COLUMNS, "species"))
    asked = [] if species == "argali" else ["--species", species]
    result = run("screen", catalog, "--workers", 1, "--out", tmp_path / "out", *asked)
    assert f"99 passages of named animals, here are {len(asked) // 2}" in result.output
    assert read_table(tmp_path / "out.csv")["d1.jpg"]["species"] == "snow leopard"  # as the classifier has it
    assert load_screened(catalog).species == "snow leopard"


def test_a_second_run_looks_at_nothing_and_gives_the_same(catalog, tmp_path, monkeypatch):
    run("screen", catalog, "--out", tmp_path / "out", "--workers", 1)
    first = (tmp_path / "out.csv").read_bytes()
    monkeypatch.setattr(Colours, "classify", lambda self, photo: pytest.fail("a photo was looked at"))
    assert run("screen", catalog, "--out", tmp_path / "out", "--workers", 1).exit_code == 0
    assert (tmp_path / "out.csv").read_bytes() == first


def test_an_edited_table_is_kept_without_force(catalog, tmp_path):
    run("screen", catalog, "--out", tmp_path / "out", "--workers", 1)
    edited = (tmp_path / "out.csv").read_text() + "mine\n"
    (tmp_path / "out.csv").write_text(edited)
    refused = run("screen", catalog, "--out", tmp_path / "out", "--workers", 1)
    assert refused.exit_code == 1
    assert "somebody has edited it" in refused.output
    assert (tmp_path / "out.csv").read_text() == edited
    assert run("screen", catalog, "--out", tmp_path / "out", "--workers", 1, "--force").exit_code == 0


def test_results_of_another_program_give_boxes_and_persons(catalog, tmp_path):
    box = {"category": "1", "conf": 0.9, "bbox": [0.25, 0.25, 0.5, 0.5]}
    person = {"category": "2", "conf": 0.8, "bbox": [0.1, 0.1, 0.2, 0.5]}
    images = [{"file": name, "detections": []} for name, *_ in ROWS]
    images[0]["detections"], images[4]["detections"] = [box], [person]
    about = {"info": {"format_version": "1.6"}, "detection_categories": {"1": "animal", "2": "person"}}
    (tmp_path / "md.json").write_text(json.dumps({**about, "images": images}))
    result = run(
        "screen", catalog, "--classifier", "none", "--results", tmp_path / "md.json", "--out", tmp_path / "out"
    )
    assert result.exit_code == 0, result.output
    rows = read_table(tmp_path / "out.csv")
    assert [rows[name]["answer"] for name, *_ in ROWS] == ["kept", "kept", "nothing", "nothing", "person", "nothing"]
    assert rows["a1.jpg"]["boxes"] == "20,15,40,30"
    assert "keep them private" in result.output
    found = {a.path: (a.bbox, a.box_by, a.own_box) for a in snowmatch.open_catalog(catalog).data.annotations}
    assert found["a1.jpg"] == ((20, 15, 40, 30), "results", None)
    (tmp_path / "half.json").write_text((tmp_path / "md.json").read_text()[:200])
    for name in ("half.json", "missing.json"):
        bad = run("screen", catalog, "--results", tmp_path / name)
        assert bad.exit_code == 1
        assert len(bad.output.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--species", "snow leopart"], "does not know 'snow leopart'"),
        (["--keep", "1.5"], "the share to keep is 1.5"),
        (["--threshold", "2"], "the threshold is 2.0"),
        (["--classifier", "none"], "set to use no classifier (snowmatch screen CATALOG --classifier auto)"),
        (["--segmenter", "isnett"], "no segmenter called 'isnett'"),
        (["--detector", "nobody"], "no detector called 'nobody'"),
    ],
)
def test_a_wrong_value_is_one_line(catalog, words, told):
    result = run("screen", catalog, *words, "--workers", 1)
    assert result.exit_code == 1
    assert told in result.output
    assert len(result.output.strip().splitlines()) == 1


def test_a_broken_photo_is_listed(catalog):
    (catalog / "b1.jpg").write_bytes(b"no photo")
    (catalog / "c1.jpg").unlink()
    result = run("screen", catalog, "--workers", 1)
    assert result.exit_code == 1
    assert "failed: b1.jpg" in result.output
    assert "failed: c1.jpg" in result.output


def test_batch_asks_only_what_is_kept(catalog, tmp_path):
    run("screen", catalog, "--workers", 1)
    assert run("index", catalog, "--workers", 1).exit_code == 0
    result = run("batch", catalog, "--unidentified", "--out", tmp_path / "answers")
    assert result.exit_code == 0, result.output
    with open(tmp_path / "answers.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["encounter"] for row in rows] == ["E1", "E2", "E3"]
    assert [row["decision"] for row in rows[1:]] == ["nothing", "other species"]
    assert "other mammal" in rows[2]["reasons"]
    assert rows[0]["decision"] not in ("nothing", "other species", "person")
    assert "nothing 1; other species 1" in result.output


@given(st.lists(st.floats(0, 1), min_size=1, max_size=300), st.sampled_from([0.5, 0.8, 0.9, 0.99]))
def test_the_threshold_keeps_the_promised_share(scores, keep):
    found = choose_threshold(scores, keep)
    assert found.promised == (len(scores) >= round(1 / (1 - keep)) - 1)
    assert found.below == sum(score < found.value for score in scores)
    if found.promised:  # with one more passage, as likely at any rank as the others
        assert found.below <= (1 - keep) * (len(scores) + 1) + 1e-6
    else:
        assert found.value == DEFAULT


def test_the_answer_of_a_passage():
    leopard, ibex, empty = ({"snow leopard": 0.9}, {"other mammal": 0.8}, {"nothing": 0.7})
    assert answer_of([empty, leopard], "snow leopard", 0.5) == ("kept", 0.9)
    assert answer_of([empty, ibex], "snow leopard", 0.5) == ("other mammal", 0.8)
    assert answer_of([empty], "snow leopard", 0.5) == ("nothing", 0.7)
    for name in ("person", "human", "Homo sapiens"):  # a classifier of the user's
        assert answer_of([ibex, {name: 0.6, "nothing": 0.4}], "snow leopard", 0.5) == ("person", 0.6)
    assert answer_of([ibex, {"human": 0.4}], "snow leopard", 0.5) == ("other mammal", 0.8)
    assert answer_of([], "snow leopard", 0.5) == ("unknown", 0.0)
    assert answer_of([leopard], "snow leopard", 0.9) == ("kept", 0.9)  # the threshold itself is enough


@given(st.floats(0.001, 0.999))
def test_so_many_passages_are_needed_for_a_promise_and_no_fewer(keep):
    needed = passages_needed(keep)
    assert choose_threshold([0.5] * needed, keep).promised
    assert needed == 1 or not choose_threshold([0.5] * (needed - 1), keep).promised


@pytest.mark.parametrize("keep", [1e-12, 1 - 1e-12])
@pytest.mark.parametrize("count", [0, 1, 5])
def test_the_smallest_and_largest_shares_cause_no_error(keep, count):
    assert choose_threshold([0.5] * count, keep).promised == (count > 0 and keep < 0.5)


def test_the_name_of_a_species_never_leads_out_of_the_folder_of_pictures(catalog, tmp_path, monkeypatch):
    names = ["snow leopard", "other cat", "Ibex: a/../../b", "other animal", "nothing"]
    monkeypatch.setattr(fake_classifier, "NAMES", tuple(names))
    result = run("screen", catalog, "--explain", tmp_path / "out" / "why", "--out", tmp_path / "table", "--workers", 1)
    assert result.exit_code == 0, result.output
    made = [path.name for path in (tmp_path / "out").rglob("*.jpg")]
    assert sorted(made) == ["Ibex_-a_b-0003.jpg", "kept-0001.jpg", "kept-0004.jpg", "nothing-0002.jpg"]
    assert read_table(tmp_path / "table.csv")["c1.jpg"]["answer"] == names[2]


@pytest.mark.parametrize("option", ["--species", "--keep", "--threshold", "--detector", "--results", "--out"])
def test_an_option_that_teaching_does_not_use_is_refused(catalog, tmp_path, option):
    result = run("screen", catalog, "--learn", tmp_path / "ours.npz", option, "1")
    assert result.exit_code == 2
    assert "--learn only teaches" in result.output
    assert not (tmp_path / "ours.npz").exists()


@given(st.lists(st.floats(0, 1), min_size=2, max_size=60), st.sampled_from([0.5, 0.8, 0.9]))
def test_the_share_that_is_kept_of_passages_that_were_not_seen(scores, keep):
    """Each passage in turn is the one that was not seen: with enough others, the share `keep` of them is kept."""
    others = [scores[:n] + scores[n + 1 :] for n in range(len(scores))]
    limits = [choose_threshold(each, keep) for each in others]
    if limits[0].promised:
        kept = sum(score >= limit.value for score, limit in zip(scores, limits, strict=True))
        assert kept >= keep * len(scores) - 1e-6
