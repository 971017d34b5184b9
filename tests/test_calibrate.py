"""The command `snowmatch calibrate`, and queries and evaluations that use a calibration."""

import errno
import json
import re
import shlex
import shutil
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import enough, read_rows
from PIL import Image

import snowmatch
from snowmatch.api import Catalog
from snowmatch.catalog.evidence import count_encounter_pairs
from snowmatch.cli import main
from snowmatch.cli.advice import advice
from snowmatch.confidence.cases import make_cases
from snowmatch.confidence.file import calibration_path, load_calibrations, save_calibrations
from snowmatch.confidence.levels import Levels
from snowmatch.confidence.model import expected_new, probabilities
from snowmatch.confidence.quality import Bin, LevelCount, Quality
from snowmatch.confidence.scoring import score_trial
from snowmatch.confidence.trial import make_trial
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.text import percent
from snowmatch.core.types import Annotation
from snowmatch.identify.calibrate import facts_of
from snowmatch.identify.session import named_encounters
from snowmatch.views.calibration import draw_reliability, format_quality

pytestmark = pytest.mark.usefixtures("seen_once")


@pytest.fixture
def few(monkeypatch):
    enough(monkeypatch)


@pytest.fixture(scope="module")
def calibrated(survey, tmp_path_factory):
    """Return a copy of the survey with its own calibration, and the result of the command."""
    folder = tmp_path_factory.mktemp("calibrated") / "survey"
    shutil.copytree(survey, folder, copy_function=shutil.copy2)
    with pytest.MonkeyPatch.context() as patch:
        enough(patch)
        result = CliRunner().invoke(main, ["calibrate", str(folder / "catalog")])
    assert result.exit_code == 0, result.output
    return folder, result


def ask(folder, row, **settings):
    catalog = snowmatch.open_catalog(folder / "catalog")
    box = tuple(int(v) for v in row["bbox"].split(","))
    return catalog.query(folder / "queries" / row["path"], body_part=row["body_part"], bbox=box, **settings)


def a_row(folder):
    return read_rows(folder / "queries" / "queries.csv")[0]


def test_the_command_prints_the_pairs_the_levels_and_the_quality(calibrated):
    folder, result = calibrated
    pairs = count_encounter_pairs(snowmatch.open_catalog(folder / "catalog").data.annotations)
    assert f"{pairs} pairs of encounters of one animal; models for: photos with a box or a mask" in result.stdout
    assert not [line for line in result.stdout.splitlines() if line != line.rstrip()]
    for mark, level in zip("🔵🟢🟡🔴", ("excellent", "good", "fair", "uncertain"), strict=True):
        assert re.search(rf"{mark} {level} +\d+ %  (\d+ of \d+ answers? \(.* to .* %\)|no answers)", result.stdout)
    assert "Brier score" in result.stdout
    picture = folder / "catalog" / ".snowmatch" / "calibration.png"
    with Image.open(picture) as opened:
        assert opened.size == (620, 620)
    assert str(picture) in result.stderr


def test_queries_use_the_calibration_and_name_its_source(calibrated):
    folder, _ = calibrated
    answer = ask(folder, a_row(folder), top=50)
    (stored,) = load_calibrations(folder / "catalog").methods
    assert answer.calibration == {
        "source": "catalog",
        "encounters": stored.encounters,
        "shipped": ["whole"],
        "levels": {"excellent": 0.99, "good": 0.95, "fair": 0.75},
    }
    named = [c for c in answer.candidates if c.individual is not None]
    assert sum(c.probability for c in answer.candidates) + answer.new_probability == pytest.approx(1)
    assert [c.probability for c in named] == sorted((c.probability for c in named), reverse=True)
    best = max([answer.new_probability, *(c.probability for c in answer.candidates)])
    assert answer.decision.probability == best >= answer.decision.careful
    assert answer.level == Levels().of(answer.decision.careful)
    assert answer.decision.new == (best == answer.new_probability)
    assert not any("calibrated" in note.text for note in answer.notes)


def test_a_second_calibration_writes_the_same_bytes(calibrated, few):
    folder, result = calibrated
    path = calibration_path(folder / "catalog")
    stored = path.read_bytes(), path.with_suffix(".png").read_bytes()
    again = CliRunner().invoke(main, ["calibrate", str(folder / "catalog")])
    assert again.stdout == result.stdout
    assert (path.read_bytes(), path.with_suffix(".png").read_bytes()) == stored


def test_levels_given_for_a_catalog_are_kept(calibrated, few):
    folder, _ = calibrated
    catalog = folder / "catalog"
    kept = calibration_path(catalog).read_bytes()
    try:
        result = CliRunner().invoke(main, ["calibrate", str(catalog), "--levels", "0.5,0.3,0.1", "--json"])
        output = json.loads(result.stdout)
        assert output["schema"] == "snowmatch.calibrate/1"
        assert output["levels"] == {"excellent": 0.5, "good": 0.3, "fair": 0.1}
        answer = ask(folder, a_row(folder))
        assert answer.calibration["levels"] == output["levels"]
        best = max([answer.new_probability, *(c.probability for c in answer.candidates)])
        assert answer.level == Levels(0.5, 0.3, 0.1).of(best)
        CliRunner().invoke(main, ["calibrate", str(catalog)])
        assert load_calibrations(catalog).levels == Levels(0.5, 0.3, 0.1)
    finally:
        calibration_path(catalog).write_bytes(kept)


def test_levels_are_told_to_be_stored_though_nothing_can_be_learned(own_survey):
    catalog = own_survey / "catalog"
    arguments = ["calibrate", str(catalog), "--levels", "0.5,0.3,0.1"]
    result = CliRunner().invoke(main, [*arguments, "--extractor", "nonsense"])
    assert (result.exit_code, calibration_path(catalog).exists()) == (1, False)
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 1
    assert result.stderr.index("levels stored") < result.stderr.index("calibration needs 30")
    assert load_calibrations(catalog).levels == Levels(0.5, 0.3, 0.1)


@pytest.mark.parametrize("levels", ["0.9", "a,b,c", "0.9,0.99,0.5", "1,0.5,0.1"])
def test_invalid_levels_are_refused(calibrated, levels):
    folder, _ = calibrated
    result = CliRunner().invoke(main, ["calibrate", str(folder / "catalog"), "--levels", levels])
    assert result.exit_code in (1, 2)
    assert "such as 0.99,0.95,0.75" in result.stderr


@pytest.mark.slow
def test_a_calibration_of_another_version_or_other_settings_is_not_used_and_a_note_has_the_command(calibrated, few):
    folder, _ = calibrated
    catalog, row = folder / "catalog", a_row(folder)
    stored = load_calibrations(catalog)
    kept = calibration_path(catalog).read_bytes()
    changed = ask(folder, row, options={"shortlist": "7"})
    assert changed.calibration is None
    assert changed.level is None
    (note,) = [note for note in changed.notes if "is not used, it was made with other settings or weights" in note.text]
    try:
        words = shlex.split(advice(note.code, note.data))
        assert CliRunner().invoke(main, words[1:]).exit_code == 0, words
        redone = ask(folder, row, options={"shortlist": "7"})
        assert redone.calibration["source"] == "catalog"
        assert ask(folder, row).calibration["source"] == "catalog"  # the file has both
        calibration_path(catalog).write_bytes(kept)
        save_calibrations(catalog, replace(stored, methods=tuple(replace(m, version="0.0.1") for m in stored.methods)))
        older = ask(folder, row)
        assert any("made with snowmatch 0.0.1, this is" in note.text for note in older.notes)
        assert older.calibration["source"] == "shipped"
    finally:
        calibration_path(catalog).write_bytes(kept)


def test_a_note_advises_to_calibrate_again_after_many_new_names(calibrated):
    folder, _ = calibrated
    catalog = folder / "catalog"
    kept = calibration_path(catalog).read_bytes()
    stored = load_calibrations(catalog)
    try:
        save_calibrations(catalog, replace(stored, methods=tuple(replace(m, named=3) for m in stored.methods)))
        assert any("have names now: calibrate again" in note.text for note in ask(folder, a_row(folder)).notes)
    finally:
        calibration_path(catalog).write_bytes(kept)


def test_a_calibration_of_a_sample_is_not_outgrown_at_once(calibrated, few):
    folder, _ = calibrated
    catalog = folder / "catalog"
    kept = calibration_path(catalog).read_bytes()
    try:
        result = CliRunner().invoke(main, ["calibrate", str(catalog), "--sample", "10"])
        assert result.exit_code == 0, result.output
        (stored,) = load_calibrations(catalog).methods
        assert 1.5 * stored.encounters < named_encounters(snowmatch.open_catalog(catalog).data.annotations)
        assert not any("have names now" in note.text for note in ask(folder, a_row(folder)).notes)
    finally:
        calibration_path(catalog).write_bytes(kept)


def test_a_catalog_that_cannot_be_written_is_told_before_its_photos_are_asked(survey, few, monkeypatch):
    def closed(path, mode):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr("snowmatch.core.files._create", closed)
    monkeypatch.setattr("snowmatch.identify.calibrate.score_trial", None)
    result = CliRunner().invoke(main, ["calibrate", str(survey / "catalog")])
    assert result.exit_code == 1
    assert "Read-only file system; make the folder writable" in result.stderr


def test_a_sample_that_is_too_small_is_told(survey, few):
    result = CliRunner().invoke(main, ["calibrate", str(survey / "catalog"), "--sample", "1"])
    assert result.exit_code == 1
    assert re.search(r"the sample of \d photos? has \d pairs? of encounters .*: ask a larger sample", result.stderr)
    assert result.stderr.endswith(" (--sample N)\n")


def test_with_too_few_pairs_the_shipped_calibration_is_used_with_a_note(survey):
    answer = ask(survey, a_row(survey))
    assert answer.calibration["source"] == "shipped"
    pairs = count_encounter_pairs(snowmatch.open_catalog(survey / "catalog").data.annotations)
    assert any(
        f"the catalog has {pairs} pairs of encounters of one animal, a calibration needs 30" in note.text
        for note in answer.notes
    )
    (note,) = [note for note in answer.notes if note.code == "calibration-shipped"]
    assert not advice(note.code, note.data)  # it would fail
    assert advice(note.code, {**note.data, "pairs": 30}).startswith("snowmatch calibrate ")
    result = CliRunner().invoke(main, ["calibrate", str(survey / "catalog")])
    assert result.exit_code == 1
    assert f"has {pairs} pairs of encounters of one animal, calibration needs 30" in result.stderr
    assert not calibration_path(survey / "catalog").exists()


def relabelled(survey, rename):
    catalog = snowmatch.open_catalog(survey / "catalog")
    rows = tuple(rename(a) for a in catalog.data.annotations)
    return Catalog(replace(catalog.data, annotations=rows))


def test_a_catalog_without_names_or_with_one_individual_cannot_be_calibrated(survey, few):
    with pytest.raises(SnowmatchError, match="no annotation has an individual"):
        relabelled(survey, lambda a: replace(a, individual=None)).calibrate()
    with pytest.raises(SnowmatchError, match="all annotations are of one individual, aika"):
        relabelled(survey, lambda a: replace(a, individual="aika")).calibrate()


def test_two_names_for_one_annotation_are_refused(survey, few):
    catalog = snowmatch.open_catalog(survey / "catalog")
    first = next(a for a in catalog.data.annotations if a.individual is not None)
    twice = (*catalog.data.annotations, replace(first, row=len(catalog.data.annotations), individual="somebody"))
    with pytest.raises(SnowmatchError, match=f"is named {first.individual} and somebody"):
        Catalog(replace(catalog.data, annotations=twice)).calibrate()


def test_a_photo_without_features_gets_no_probability(calibrated, tmp_path):
    folder, _ = calibrated
    Image.new("RGB", (300, 200), (90, 90, 90)).save(tmp_path / "flat.png")
    answer = snowmatch.open_catalog(folder / "catalog").query(tmp_path / "flat.png")
    assert answer.level is answer.decision is answer.new_probability is None
    assert any("has no features" in note.text for note in answer.notes)
    assert not any("calibrated" in note.text for note in answer.notes)
    row = a_row(folder)
    good = folder / "queries" / row["path"]
    catalog = snowmatch.open_catalog(folder / "catalog")
    both, alone = catalog.query([tmp_path / "flat.png", good]), catalog.query(good)
    assert [c.probability for c in both.candidates] == [c.probability for c in alone.candidates]
    assert [photo.features > 0 for photo in both.photos] == [True, False]


def test_a_whole_photo_against_a_boxed_catalog_is_uncertain_with_a_note(calibrated):
    folder, _ = calibrated
    row = a_row(folder)
    answer = snowmatch.open_catalog(folder / "catalog").query(folder / "queries" / row["path"])
    assert answer.calibration["source"] == "catalog"
    assert answer.level == "uncertain"
    (note,) = [note for note in answer.notes if note.code == "calibration-of-others"]
    kinds = "photos with a box or a mask, but not for photos without a box or mask"
    assert f"this catalog is calibrated for {kinds}" in note.text


def test_a_query_is_judged_like_the_cases_of_calibration(survey):
    """A labelled encounter has the same kind, features, encounters and scores as a query and as a calibration case."""
    catalog = snowmatch.open_catalog(survey / "catalog")
    rows = tuple(replace(a, row=n) for n, a in enumerate(a for a in catalog.data.annotations if a.individual))
    catalog = Catalog(replace(catalog.data, annotations=rows))
    session = catalog.session()
    gallery, matcher, geometry = session.gallery, session.method.matcher, session.method.geometry
    table = score_trial(make_trial(rows, "cross-encounter"), [gallery], matcher, geometry)
    cases = make_cases(table, **facts_of(catalog.data.annotations, gallery))
    seen = []

    def spy(models, scores, named, features, new_share, encounters, spots):
        seen.append((models, scores, features, new_share, encounters))
        return probabilities(models, scores, named, features, new_share, encounters, spots)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("snowmatch.identify.judge.probabilities", spy)
        for case in [c for c in cases if c.together and c.right >= 0][:4]:
            part = case.group.split()[1]
            shown = [a for a in rows if (a.passage, a.individual, a.body_part) == (case.passage, case.individual, part)]
            catalog.query([catalog.folder / a.path for a in shown], body_part=part)
            models, scores, features, new_share, encounters = seen.pop()
            assert models == catalog.session().calibration.groups[case.group.split()[0]]
            assert scores[~np.isnan(scores)] == pytest.approx(case.scores, rel=1e-5)
            assert features == case.features
            assert new_share == expected_new(case.encounters)
            assert encounters[~np.isnan(scores)].tolist() == case.encounters.tolist()


def test_an_empty_gallery_gives_no_decision(calibrated):
    folder, _ = calibrated
    every = [a.encounter for a in snowmatch.open_catalog(folder / "catalog").data.annotations]
    answer = ask(folder, a_row(folder), exclude_encounters=every)
    assert (answer.compared, answer.level, answer.decision) == (0, None, None)


def test_one_session_gives_the_same_answers_as_separate_queries(calibrated):
    folder, _ = calibrated
    catalog = snowmatch.open_catalog(folder / "catalog")
    session = catalog.session()
    for row in read_rows(folder / "queries" / "queries.csv")[:3]:
        path = folder / "queries" / row["path"]
        one, other = catalog.query(path), catalog.query(path, session=session)
        assert [(c.individual, c.score, c.probability) for c in one.candidates] == [
            (c.individual, c.score, c.probability) for c in other.candidates
        ]


def test_pairs_of_encounters_with_a_common_body_part_are_counted():
    def row(individual, encounter, part):
        return Annotation(0, f"{individual}{encounter}{part}", individual, part, encounter=encounter)

    rows = [
        row("aika", "e0", "left_flank"),
        row("aika", "e0", "right_flank"),
        row("aika", "e1", "left_flank"),  # a pair with e0
        row("aika", "e2", "right_flank"),  # a pair with e0
        row("aika", "e3", "unknown"),  # a pair with each of the three
        row("bars", "e4", "head"),
        row("bars", "e5", "tail"),
        row(None, "e6", "left_flank"),
    ]
    assert count_encounter_pairs(rows) == 5


# -------------------------------------------------------------------------------------------------------------- report


HAND = Quality(
    40,
    0.1,
    0.3,
    0.05,
    (
        LevelCount("excellent", 20, 0, 0.0, 0.168, 0, 0),
        LevelCount("good", 0, 0, 0.0, 1.0, 0, 0),
        LevelCount("fair", 10, 2, 0.025, 0.556, 4, 1),
        LevelCount("uncertain", 10, 6, 0.262, 0.878, 5, 5),
    ),
    (Bin(10, 0.45, 4, 0.122, 0.738), Bin(10, 0.85, 8, 0.444, 0.975), Bin(20, 0.995, 20, 0.832, 1.0)),
)


def test_the_table_of_levels_shows_shares_intervals_and_new():
    lines = format_quality(HAND, Levels())
    assert [line.rstrip() for line in lines[:5]] == [
        'level         answers  wrong (95 % interval)             wrong of "new"',
        "🔵 excellent     50 %  0 of 20 answers (0.0 to 16.8 %)   -",
        "🟢 good           0 %  no answers                        -",
        "🟡 fair          25 %  2 of 10 answers (2.5 to 55.6 %)   1 of 4",
        "🔴 uncertain     25 %  6 of 10 answers (26.2 to 87.8 %)  5 of 5",
    ]
    assert format_quality(replace(HAND, decisions=1), Levels())[6].startswith("1 answer: ")
    for shipped, words in (
        (0, "without it. The calibration was learned from the encounters of other individuals ("),
        (40, "without it. The calibration is the shipped one: nothing was learned from this catalog ("),
        (
            4,
            "without it. The calibration was learned from the encounters of other individuals; for 4 answers it is the",
        ),
    ):
        assert format_quality(replace(HAND, shipped=shipped), Levels())[7].startswith(words)
    assert format_quality(Quality(0, *[float("nan")] * 3, (), ()), Levels())[0].startswith("No probabilities")


def test_the_diagram_has_a_dot_at_the_place_of_every_bin(tmp_path):
    draw_reliability(HAND, tmp_path / "diagram.png")
    pixels = np.asarray(Image.open(tmp_path / "diagram.png")).astype(int)
    for of in HAND.bins:
        x, y = round(70 + 480 * of.stated), round(70 + 480 * (1 - of.right / of.answers))
        assert pixels[y, x - 2].tolist() == [66, 135, 245]
    first = (tmp_path / "diagram.png").read_bytes()
    draw_reliability(HAND, tmp_path / "diagram.png")
    assert (tmp_path / "diagram.png").read_bytes() == first


@pytest.mark.parametrize(
    ("probability", "text"),
    [
        (None, ""),
        (0.5, "50 %"),
        (0.99, "99 %"),
        (0.9951, "99.51 %"),
        (1.0, "99.99 %"),
        (0.004, "0.4 %"),
        (0, "below 0.1 %"),
    ],
)
def test_probabilities_are_never_shown_as_certain(probability, text):
    assert percent(probability) == text
