"""Score tables that hold only scores that are not 0: the same figures as with a number for each pair, to the bit."""

import io
import zipfile
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snowmatch.confidence import cells
from snowmatch.confidence.cells import Cells, allowed_of, cells_of, held_row
from snowmatch.confidence.measures import measure
from snowmatch.confidence.metrics import average_precision, dynamic_top_k_precision, ranks
from snowmatch.confidence.score_table import ScoreTable, load_table, make_table, save_table, with_scores
from snowmatch.confidence.trial import PROTOCOLS, make_trial
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.types import BODY_PARTS, Annotation, same_part

FEW = st.sampled_from


@st.composite
def catalogs(draw):
    """Annotations of up to four individuals and unnamed ones: few encounters, so that many pairs are not allowed."""
    names = draw(FEW([("aika",), ("aika", "bars"), ("aika", "bars", "cholpon", "d", None)]))
    count = draw(st.integers(1, 24))
    seed = draw(st.integers(0, 10**6))
    rng = np.random.default_rng(seed)

    def one(row):
        encounter = int(rng.integers(1 + count // 2))
        of_encounter = np.random.default_rng([seed, encounter])  # its photos share a station and a passage
        return Annotation(
            row,
            f"{row}.jpg",
            names[rng.integers(len(names))] if row else "aika",
            BODY_PARTS[rng.integers(6)] if rng.random() < 0.3 else "left_flank",
            station=("", "S1", "S2")[of_encounter.integers(3)],
            location=("", "valley", "pass")[of_encounter.integers(3)],
            encounter=f"e{encounter}",
            passage=("", "e0")[int(of_encounter.random() < 0.2)],
            split=("test", "train")[row % 2],
        )

    return [one(row) for row in range(max(count, 2))]


@st.composite
def tables(draw):
    """A table of a drawn catalog with many equal scores, and its scores as a matrix."""
    trial = make_trial(draw(catalogs()), draw(FEW(["cross-encounter", "cross-station"])))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    kinds = draw(FEW([(0.0,), (0.0, 1.0), (0.0, -0.0, 0.5, 2.0, 3.0, -1.0), (-np.inf, 0.0, 1.5), (-np.inf,)]))
    scores = rng.choice(kinds, trial.open_to.shape)
    scores[rng.random(len(scores)) < 0.1] = -np.inf  # queries without features
    scores[:, rng.random(scores.shape[1]) < 0.1] = -np.inf
    return trial, scores


def may_answer(query, answer, protocol):
    """Return whether one annotation may answer another one: the rules, pair by pair."""
    if not same_part(query.body_part, answer.body_part) or query.passage == answer.passage:
        return False
    if protocol != "cross-station":
        return True
    known = query.location and answer.location and query.station
    return query.station != answer.station or bool(known and query.location != answer.location)


@given(catalogs(), FEW(PROTOCOLS))
def test_a_trial_allows_what_the_protocol_allows_pair_by_pair(annotations, protocol):
    if protocol == "split" and not {"test", "train"} <= {a.split for a in annotations if a.individual}:
        with pytest.raises(SnowmatchError, match="protocol split needs"):
            make_trial(annotations, protocol)
        return
    trial = make_trial(annotations, protocol)
    expected = [[may_answer(annotations[q], annotations[g], protocol) for g in trial.gallery] for q in trial.queries]
    assert trial.allowed.tolist() == expected
    assert [trial.open_to.row(query).tolist() for query in range(len(expected))] == expected
    assert trial.open_to.any().tolist() == [any(row) for row in expected]
    again = allowed_of(np.array(expected), len(trial.gallery))
    assert again.dense().tolist() == expected
    assert len(again.bits) == len(set(map(tuple, expected)))


@given(tables())
def test_scores_of_all_pairs_come_back_and_are_found_one_by_one(drawn):
    trial, scores = drawn
    expected = np.where(trial.allowed, scores, np.nan)
    held = make_table(trial, scores).cells
    equal(held.dense(), expected)
    equal([[held.at(q, g) for g in range(len(trial.gallery))] for q in range(len(trial.queries))], expected)
    equal(held.comparable(), np.isfinite(expected).any(axis=1))
    assert (
        sum(len(row.columns) for row in held.rows)
        <= np.count_nonzero(expected[~np.isnan(expected)] != 0) + (np.signbit(scores) & (scores == 0)).sum()
    )
    for row in held.rows:
        assert (np.diff(row.columns) > 0).all()
    some = np.arange(len(trial.queries))[::2]
    equal(held.of(some).dense(), expected[some])


@given(tables(), st.integers(0, 10**6))
def test_annotations_without_features_need_no_cells(drawn, seed):
    trial, scores = drawn
    rng = np.random.default_rng(seed)
    bare, blank = rng.random(len(trial.gallery)) < 0.4, rng.random(len(trial.queries)) < 0.3
    rows = tuple(held_row(each, trial.open_to.row(query), bare) for query, each in enumerate(scores))
    held = Cells(trial.open_to, blank, bare, rows)
    dense = np.where(trial.allowed, np.where(bare | blank[:, None], -np.inf, scores), np.nan)
    assert not any(bare[row.columns].any() for row in rows)
    equal(held.dense(), dense)
    equal([[held.at(q, g) for g in range(len(trial.gallery))] for q in range(len(trial.queries))], dense)
    equal(held.comparable(), np.isfinite(dense).any(axis=1))
    same_figures(replace(make_table(trial, dense_for(trial, dense)), cells=held), dense)


@given(tables())
def test_figures_are_those_of_a_matrix_to_the_last_bit(drawn):
    trial, scores = drawn
    same_figures(make_table(trial, scores), np.where(trial.allowed, scores, np.nan))


@pytest.mark.parametrize("width", [7, 130, 1000, 5000])
def test_figures_of_wide_galleries_are_those_of_a_matrix_to_the_last_bit(width):
    """Sums of many numbers depend on their order in the last bit."""
    rng = np.random.default_rng(width)
    rows = [Annotation(n, f"{n}.jpg", f"cat{n % 3}", "left_flank", encounter=f"e{n // 2}") for n in range(width)]
    trial = make_trial(rows, "cross-encounter", sample=12)
    scores = np.where(rng.random(trial.open_to.shape) < 0.6, 0.0, rng.choice([0.5, 1.0, rng.random()], (1, width)))
    scores += np.where(scores > 0, rng.random(scores.shape) < 0.5, 0.0)
    same_figures(make_table(trial, scores), np.where(trial.allowed, scores, np.nan))


@given(tables())
def test_what_is_derived_for_individuals_is_that_of_a_matrix(drawn):
    trial, scores = drawn
    table = make_table(trial, scores)
    dense, names, numbers = np.where(trial.allowed, scores, np.nan), trial.individual_names, trial.individual_numbers
    best = np.stack([np.fmax.reduce(dense[:, numbers == i], axis=1) for i in range(len(names))], axis=1)
    own = table.individual[table.queries][:, None] == np.array(names)
    # the best of 0 and -0 is either
    np.testing.assert_array_equal(table.individual_scores, best.astype(np.float32))
    np.testing.assert_array_equal(table.left_out_scores, np.where(own, np.nan, best).astype(np.float32))
    ranking = best.astype(np.float32).astype(np.float64) + table.prior[table.groups]
    np.testing.assert_array_equal(table.ranking(np.arange(len(ranking))), ranking)
    equal(table.photo_ranks(), ranks(ranking, own))
    group_own = own[np.unique(table.groups, return_index=True)[1]]
    equal(table.group_ranks(), ranks(table.group_scores.astype(np.float64) + table.prior, group_own))
    for query in range(len(trial.queries)):
        rows = trial.gallery[trial.allowed[query]]
        met = {(table.individual[row], table.passage[row]) for row in rows}
        assert table.sightings(query).tolist() == [sum(name == other for other, _ in met) for name in names]


@given(tables())
def test_a_file_has_the_bytes_of_a_matrix_and_an_old_file_is_read(tmp_path_factory, drawn):
    trial, scores = drawn
    table, folder = make_table(trial, scores), tmp_path_factory.mktemp("files")
    save_table(folder / "new.npz", table)
    (folder / "old.npz").write_bytes(matrix_file(table, np.where(trial.allowed, scores, np.nan)))
    assert (folder / "new.npz").read_bytes() == (folder / "old.npz").read_bytes()
    again = load_table(folder / "old.npz")
    equal(again.scores, table.scores)
    save_table(folder / "again.npz", again)
    assert (folder / "again.npz").read_bytes() == (folder / "old.npz").read_bytes()


def test_a_large_file_has_the_bytes_of_a_matrix(tmp_path):
    """Rows are compressed one by one: more than the compressor holds at once."""
    rng = np.random.default_rng(0)
    rows = [Annotation(n, f"{n}.jpg", f"cat{n % 9}", "left_flank", encounter=f"e{n // 2}") for n in range(700)]
    trial = make_trial(rows, "cross-encounter")
    scores = rng.random(trial.open_to.shape) * (rng.random(trial.open_to.shape) < 0.3)
    table = make_table(trial, scores)
    save_table(tmp_path / "new.npz", table)
    assert (tmp_path / "new.npz").read_bytes() == matrix_file(table, np.where(trial.allowed, scores, np.nan))
    equal(load_table(tmp_path / "new.npz").scores, table.scores)


def test_a_damaged_or_oversized_file_of_scores_raises_an_error(tmp_path, monkeypatch):
    trial = make_trial([Annotation(n, f"{n}.jpg", f"c{n % 2}", encounter=f"e{n}") for n in range(9)], "cross-encounter")
    table = make_table(trial, np.ones(trial.open_to.shape))
    whole = matrix_file(table, table.scores)
    for scores in (
        table.scores.ravel(),
        table.scores[:, 1:],
        table.scores[:, :0],
        np.zeros((1 << 40, 0)),
        table.scores.astype(str),
        np.asfortranarray(table.scores),
    ):
        (tmp_path / "x.npz").write_bytes(matrix_file(table, scores))
        with pytest.raises(SnowmatchError, match="not a valid score table"):
            load_table(tmp_path / "x.npz")
    (tmp_path / "x.npz").write_bytes(matrix_file(table, table.scores.astype(np.float32)))
    equal(load_table(tmp_path / "x.npz").scores, table.scores)
    (tmp_path / "x.npz").write_bytes(whole)
    monkeypatch.setattr(cells, "LARGEST", 100)
    with pytest.raises(SnowmatchError, match="not a valid score table"):
        load_table(tmp_path / "x.npz")


def test_the_scores_of_a_table_are_replaced():
    trial = make_trial([Annotation(n, f"{n}.jpg", f"c{n % 2}", encounter=f"e{n}") for n in range(9)], "cross-encounter")
    table = make_table(trial, np.ones(trial.open_to.shape))
    other = np.where(np.arange(9) % 4 == 0, np.nan, 3.0) * np.ones((9, 1))
    equal(with_scores(table, other).scores, other)
    assert table.scores[0, 1] == 1


def test_a_score_that_counts_must_be_a_number():
    with pytest.raises(ValueError, match="NaN"):
        cells_of(np.array([[1.0, np.nan]]), 2, allowed_of(np.array([[True, True]]), 2))


def same_figures(table, dense):
    """Check all figures of a table against those of its scores as a matrix (Q, G)."""
    right = table.individual[table.queries][:, None] == table.individual[table.gallery]
    rank, mean, first = (of(dense, right) for of in (ranks, average_precision, dynamic_top_k_precision))
    with pytest.MonkeyPatch.context() as patch:  # without intervals, which take most of the time
        patch.setattr("snowmatch.confidence.metrics.intervals.__kwdefaults__", {"replicates": 1, "confidence": 0.95})
        found = measure(table)
    assert found.answerable == (~np.isnan(rank)).sum()
    for name, values in (("annotation_map", mean), ("annotation_dt5ap", first)):
        known = values[~np.isnan(values)]
        equal(found.figures[name].value, known.mean() if len(known) else np.nan)
    equal(found.cmc["annotation"][0], (rank <= 1).sum() / max(found.answerable, 1) if found.answerable else np.nan)
    for query in range(len(dense)):
        places = table.cells.places(query, right[query])
        ahead = [
            np.count_nonzero(dense[query][~right[query]] >= score) for score in -np.sort(-dense[query][right[query]])
            if not np.isnan(score)
        ]  # fmt: skip
        assert places.tolist() == [n + before + 1 for n, before in enumerate(ahead)]


def dense_for(trial, dense):
    """Return scores (Q, G) that are numbers where the trial does not allow a pair."""
    return np.where(trial.allowed, dense, 0.0)


def equal(found, expected):
    """Check that arrays are equal to the last bit, the sign of 0 included."""
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(np.signbit(found), np.signbit(expected))


def matrix_file(table, scores):
    """Return the bytes of the file of a table, all arrays written by numpy."""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        for field in fields(ScoreTable):
            name = "scores" if field.name == "cells" else field.name
            content = io.BytesIO()
            np.lib.format.write_array(content, scores if name == "scores" else getattr(table, name))
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, content.getvalue())
    return written.getvalue()
