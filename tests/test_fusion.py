"""Fusion: the evidence of several extractors in one score."""

import shlex
import shutil
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

import snowmatch
import snowmatch.demo.survey
from snowmatch.cli import main
from snowmatch.cli.advice import advice
from snowmatch.core.errors import SnowmatchError
from snowmatch.matching.fusion import fuse
from snowmatch.matching.scores import Scores

pytestmark = pytest.mark.usefixtures("seen_once")

BOTH = ("hesaff", "sift")


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """Return a small survey indexed with two extractors."""
    folder = tmp_path_factory.mktemp("fusion") / "catalog"
    snowmatch.demo.survey.make_survey(folder, individuals=3, stations=2, encounters=2, seed=3, size=(480, 320))
    catalog = snowmatch.open_catalog(folder)
    for name in BOTH:
        catalog.index(name, workers=1)
    return catalog


def scores(verified, before):
    """Return the scores of three annotations of three individuals."""
    verified, before = np.array(verified, float), np.array(before, float)
    chance = float(np.median(before[before > 0])) if before.any() else 0.0
    return Scores(
        verified,
        before,
        before > 1,
        verified > 0,
        verified,
        before,
        verified > 0,
        (),
        (),
        chance,
        verified < 0,
        np.arange(3),
        np.zeros(3),
    )


def test_one_extractor_is_not_changed():
    alone = scores([3, 0, 1], [4, 2, 2])
    assert fuse([alone]) is alone


def test_scores_are_added_in_the_scale_of_the_first_extractor():
    first = scores([6, 0, 0], [8, 2, 2])
    second = scores([0, 10, 0], [20, 40, 10])  # the chance level is ten times as high: 20 against 2
    fused = fuse([first, second])
    assert fused.scores == pytest.approx([6, 1, 0])
    assert fused.pre_scores == pytest.approx([10, 6, 3])
    assert fused.accepted.tolist() == [True, True, False]
    # these are already divided by the root of their own chance level
    assert fused.individual_scores == pytest.approx([6, np.sqrt(10), 0])
    assert fused.ranking.argsort().tolist() == [2, 1, 0]


def test_matches_of_pairs_have_another_scale_than_the_votes_of_the_shortlist():
    first, second = scores([6, 0, 0], [8, 2, 2]), scores([0, 10, 0], [20, 40, 10])
    fused = fuse([replace(first, chance=3.0), replace(second, chance=1.5)])
    assert fused.scores == pytest.approx([6, 20, 0])
    assert fused.pre_scores == pytest.approx([10, 6, 3])  # the same as without pairs: 20 against 2


def test_an_extractor_without_a_vote_adds_nothing():
    first, nothing = scores([6, 0, 0], [8, 2, 2]), scores([0, 0, 0], [0, 0, 0])
    assert fuse([first, nothing]).scores == pytest.approx(first.scores)
    assert fuse([nothing, first]).scores == pytest.approx(first.scores)


@pytest.mark.slow
def test_a_query_with_two_extractors_has_the_spots_of_both(both):
    seen = 0
    for photo in both.data.annotations[:4]:
        path = both.folder / photo.path
        apart = [both.query(path, extractor=name, top=50) for name in BOTH]
        fused = both.query(path, extractor=BOTH, top=50)
        assert fused.extractor["name"] == "hesaff + sift"
        assert [s["name"] for s in fused.extractor["fused"]] == list(BOTH)
        assert fused.photos[0].features == sum(a.photos[0].features for a in apart)
        first = fused.candidates[0]
        assert len(first.weights) == len(first.keypoints0) == len(first.keypoints1)
        same = [c for a in apart for c in a.candidates if c.best == first.best and c.accepted]
        if first.accepted and len(same) == 2:
            assert len(first.weights) == len(same[0].weights) + len(same[1].weights)
            seen += 1
    assert seen


@pytest.mark.slow
def test_the_order_of_extractors_changes_only_the_scale(both):
    path = both.folder / both.data.annotations[0].path
    there, back = both.query(path, extractor=BOTH, top=50), both.query(path, extractor=BOTH[::-1], top=50)
    assert [c.individual for c in there.candidates] == [c.individual for c in back.candidates]
    ratio = [a.score / b.score for a, b in zip(there.candidates, back.candidates, strict=True) if a.accepted]
    assert ratio == pytest.approx([ratio[0]] * len(ratio), rel=1e-5)


@pytest.mark.slow
def test_an_evaluation_fuses_several_extractors(both):
    table = both.evaluate(extractor=BOTH).table
    alone = [both.evaluate(extractor=name).table for name in BOTH]
    assert (np.isnan(table.scores) == np.isnan(alone[0].scores)).all()
    voted = np.nan_to_num(table.scores) > 1e-6
    assert (voted == ((np.nan_to_num(alone[0].scores) > 1e-6) | (np.nan_to_num(alone[1].scores) > 1e-6))).all()


def test_an_annotation_that_one_extractor_lacks_is_not_compared_and_gets_a_note(both, tmp_path):
    folder = shutil.copytree(both.folder, tmp_path / "catalog")
    snowmatch.open_catalog(folder).index("hesaff", workers=1)  # the copy has new time stamps
    new = np.random.default_rng(0).integers(0, 255, (120, 160, 3)).astype(np.uint8)
    from PIL import Image

    Image.fromarray(new).save(folder / "new.png")
    lines = (folder / "catalog.csv").read_text(encoding="utf-8").splitlines()
    columns = lines[0].split(",")
    row = ",".join({"path": "new.png", "individual": "nova"}.get(name, "") for name in columns)
    (folder / "catalog.csv").write_text("\n".join([*lines, row]) + "\n", encoding="utf-8")
    catalog = snowmatch.open_catalog(folder)
    catalog.index("hesaff", workers=1)
    answer = catalog.query(folder / catalog.data.annotations[0].path, extractor=BOTH, top=100)
    assert "nova" not in {c.individual for c in answer.candidates}
    (note,) = [note for note in answer.notes if note.text.startswith("1 annotation not indexed yet")]
    index = f"snowmatch index {shlex.quote(str(folder))}"
    assert advice(note.code, note.data) == f"{index} --extractor hesaff; {index} --extractor sift"
    alone = catalog.query(folder / catalog.data.annotations[0].path, extractor="hesaff", top=100)
    assert "nova" in {c.individual for c in alone.candidates}


def test_the_note_on_a_missing_calibration_names_the_extractor(both):
    path = both.folder / both.data.annotations[0].path
    for name, options in (("hesaff", ""), ("sift", " --extractor sift")):
        notes = both.query(path, extractor=name).notes
        (note,) = [note for note in notes if note.code == "calibration-shipped"]
        assert advice(note.code, note.data) == ""  # too few pairs to learn from
        enough = {**note.data, "pairs": note.data["needed"]}
        assert advice(note.code, enough) == f"snowmatch calibrate {shlex.quote(str(both.folder))}{options}"


def test_extractors_must_differ_and_be_indexed(both):
    path = both.folder / both.data.annotations[0].path
    with pytest.raises(SnowmatchError, match="expected at least one, each once"):
        both.query(path, extractor=("sift", "sift"))
    with pytest.raises(SnowmatchError, match="indexed with these settings") as refused:
        both.query(path, extractor="sift", options={"chip_size": "500"})
    command = advice(refused.value.code, refused.value.data)
    assert command == f"snowmatch index {shlex.quote(str(both.folder))} --extractor sift -o chip_size=500"
    with pytest.raises(SnowmatchError, match="neither hesaff nor sift nor the matcher has a setting 'chipsize'"):
        both.query(path, extractor=BOTH, options={"chipsize": "700"})


def test_the_command_line_accepts_several_extractors(both):
    path = both.folder / both.data.annotations[0].path
    run = CliRunner().invoke(
        main, ["query", str(path), "--catalog", str(both.folder), "--extractor", "hesaff", "--extractor", "sift"]
    )
    assert run.exit_code == 0, run.output
    assert "hesaff + sift + lnbnn" in run.output


def test_a_setting_changes_only_the_extractor_that_has_it(both):
    first, second = both.method(extractor=BOTH, options={"affine": "no"}).extractors
    assert not first.affine
    assert replace(first, affine=True) == both.method(extractor="hesaff").extractors[0]
    assert second == both.method(extractor="sift").extractors[0]
