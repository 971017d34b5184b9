"""How captures were identified, draws of identities, pooled estimates, alpha, and the table for reviewers."""

import csv
import json
import math
import shutil
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import read_rows
from drawn_table import HEAD, ROWS, STATIONS, write_catalog
from web_small import make_catalog

from snowmatch.cli import main
from snowmatch.core.errors import SnowmatchError
from snowmatch.decisions.file import append, decisions_path, read_head
from snowmatch.decisions.row import Decision
from snowmatch.interchange.exporting import export_survey
from snowmatch.review import identities
from snowmatch.review.alpha import identification_rate
from snowmatch.review.identities import open_identities
from snowmatch.review.likely import Evidence, Likely
from snowmatch.survey import opening
from snowmatch.survey.abundance import Estimate, m0
from snowmatch.survey.captures import history
from snowmatch.survey.coordinates import Coordinates
from snowmatch.survey.draw_tables import draw_tables
from snowmatch.survey.draws import Drawn, draw_identities, drawn_captures
from snowmatch.survey.folder import survey_manifest
from snowmatch.survey.identification import identify_captures
from snowmatch.survey.opening import draw_survey, open_survey, open_uncounted
from snowmatch.survey.pooling import pool
from snowmatch.survey.practice import practice_table, practice_text
from snowmatch.survey.tables import captures_table
from snowmatch.views.survey import format_draws

BLANK = [(name if name == "cholpon" else "", *row) for name, *row in ROWS]


def catalog(tmp_path, rows=BLANK):
    """Write a catalog whose annotations have identifiers: a0, a1, ... in the order of the rows."""
    folder = write_catalog(tmp_path / "catalog", rows, STATIONS)
    table = read_rows(folder / "catalog.csv")
    with (folder / "catalog.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [*HEAD, "annotation"])
        writer.writeheader()
        writer.writerows({**row, "annotation": f"a{n}"} for n, row in enumerate(table))
    return folder


def decide(folder, *drafts):
    append(decisions_path(folder), drafts)


def pair(a, b, answer="same", observer="ann", **values):
    return Decision("", "2026-05-04T09:00:00.000Z", observer, "pair", (f"a{a}",), (f"a{b}",), answer, **values)


def told(folder, draws=None):
    survey = open_survey(folder)
    found = identify_captures(survey.captures, survey.identities, draws)
    return {c.encounters[0]: each for c, each in zip(survey.captures, found, strict=True)}


def test_a_survey_is_never_drawn_with_the_photos_of_another_reading(tmp_path):
    folder = make_catalog(tmp_path)
    survey = open_survey(folder)
    assert len(draw_survey(survey, 2).labels) == 2
    head, *rows = (folder / "catalog.csv").read_text(encoding="utf-8").splitlines()
    (folder / "catalog.csv").write_text("\n".join([head, *reversed(rows)]) + "\n", encoding="utf-8")
    with pytest.raises(SnowmatchError, match="changed at this very moment"):
        draw_survey(survey, 2)


@pytest.mark.parametrize("changed", [lambda rows: rows[::-1], lambda rows: rows[:2]])
def test_a_survey_has_one_reading_of_the_catalog(tmp_path, monkeypatch, changed):
    folder = catalog(tmp_path)
    decide(folder, Decision("", "", "ann", "name", ("a3",), (), "dastan"))
    before = captures_table(open_survey(folder))
    table, read = folder / "catalog.csv", opening.open_data

    def read_before_a_change(folder):
        data = read(folder)
        head, *rows = table.read_text(encoding="utf-8").splitlines()
        table.write_text("\n".join([head, *changed(rows)]) + "\n", encoding="utf-8")
        return data

    monkeypatch.setattr(identities, "open_data", read_before_a_change)
    monkeypatch.setattr(opening, "open_data", read_before_a_change)
    assert captures_table(open_survey(folder)) == before


# --- how captures were identified ------------------------------------------------------------------------------------


def test_who_identified_a_capture_and_whether_they_agree(tmp_path):
    folder = catalog(tmp_path)
    decide(
        folder,
        pair(0, 2),  # e1, e2: two observers
        pair(0, 2, observer="ben", mode="blind"),
        pair(4, 5),  # e4, e5: one
        pair(2, 3, role="machine", observer="snowmatch", shown={"probability": 0.9}),
        Decision("", "2026-05-04T09:00:00.000Z", "ann", "quality", ("a4",), answer="poor"),
    )
    found = told(folder)
    assert {e: (f.status, f.observers, f.decided_by) for e, f in found.items()} == {
        "e1": ("agreed", 2, ("ann", "ben")),
        "e2": ("agreed", 2, ("ann", "ben")),
        "e3": ("machine", 0, ("snowmatch",)),
        "e4": ("single", 1, ("ann",)),
        "e5": ("single", 1, ("ann",)),
        "e7": ("import", 0, ("catalog",)),
    }
    assert found["e3"].probability == 0.9
    assert found["e1"].probability == pytest.approx(0.999, abs=1e-3)  # 0.97 twice
    assert found["e4"].probability == pytest.approx(0.97, abs=0.005)
    assert found["e7"].probability is None


def test_camtrap_dp_tells_persons_from_the_machine(tmp_path):
    folder, later = catalog(tmp_path), "2026-05-05T10:00:00.250Z"
    decide(
        folder,
        pair(0, 2),
        pair(0, 2, observer="ben", mode="blind")._replace(decided_at=later),
        pair(4, 5, role="machine", observer="machine", shown={"probability": 0.9})._replace(decided_at=later),
    )
    given = {"options": {"timezone": "+06:00"}, "coordinates": Coordinates()}
    export_survey(open_survey(folder), "camtrap_dp", tmp_path / "out", **given)
    columns = [f"classifi{name}" for name in ("cationMethod", "edBy", "cationTimestamp", "cationProbability")]
    told = {}
    for row in read_rows(tmp_path / "out" / "observations.csv"):
        told.setdefault(row["eventID"].partition("#")[0], set()).add(tuple(row[column] for column in columns))
    assert {encounter: rows.pop() for encounter, rows in told.items() if len(rows) == 1} == {
        **dict.fromkeys(("e1", "e2"), ("human", "ann; ben", "2026-05-05T10:00:00+00:00", "")),
        **dict.fromkeys(("e4", "e5"), ("machine", "snowmatch", "2026-05-05T10:00:00+00:00", "0.9")),
        "e7": ("", "", "", ""),  # the name came with the catalog: nobody knows how
    }


def test_camtrap_dp_does_not_tell_who_decided_in_another_program(tmp_path):
    folder = catalog(tmp_path, ROWS)
    imported = {"role": "import", "observer": "wbia"}
    decide(folder, pair(0, 2, **imported), pair(0, 2, "different"))  # e1, e2: a person disputes what was imported
    decide(folder, pair(4, 5, **imported), pair(4, 5), pair(4, 5, "different", observer="ben"))  # e4, e5: two persons
    decide(folder, pair(5, 6, **imported))
    assert {e: (f.status, f.decided_by) for e, f in told(folder).items()} == {
        **dict.fromkeys(("e1", "e2"), ("disputed", ("wbia",))),
        **dict.fromkeys(("e3", "e7"), ("import", ("catalog",))),
        **dict.fromkeys(("e4", "e5"), ("disputed", ("ann",))),
        "e6": ("import", ("wbia",)),
    }
    given = {"options": {"timezone": "+06:00"}, "coordinates": Coordinates()}
    export_survey(open_survey(folder), "camtrap_dp", tmp_path / "out", **given)
    rows = read_rows(tmp_path / "out" / "observations.csv")
    assert {(row["eventID"].partition("#")[0], row["classifiedBy"]) for row in rows if row["classificationMethod"]} == {
        ("e4", "ann"),
        ("e5", "ann"),
    }
    assert {bool(row["classificationTimestamp"]) for row in rows if not row["classificationMethod"]} == {False}


def test_a_split_is_a_decision_about_what_it_takes_out_and_what_stays(tmp_path):
    folder = catalog(tmp_path)
    machine = {"role": "machine", "observer": "snowmatch"}
    said = ("", "2026-05-04T09:00:00.000Z", "ann", "split")
    decide(
        folder,
        *(pair(0, 2, **machine), pair(2, 3, **machine), pair(3, 4, **machine), pair(4, 5, **machine)),
        Decision(*said, ("a3",), ("a0", "a1", "a2", "a4", "a5"), "Bars"),  # e3; e1, e2, e4 and e5 stay
        Decision(*said, ("a4", "a5"), ("a0", "a1", "a2")),  # e4 and e5 get no name
    )
    assert {e: (f.status, f.observers, f.decided_by) for e, f in told(folder).items()} == {
        **dict.fromkeys(("e1", "e2"), ("single", 1, ("ann",))),
        **dict.fromkeys(("e3", "e4", "e5"), ("single", 1, ("ann",))),
        "e7": ("import", 0, ("catalog",)),
    }
    decide(folder, Decision("", "2026-05-04T09:00:00.000Z", "ben", "name", ("a3",), answer="Umut"))
    assert told(folder)["e3"].decided_by == ("ben",)


def test_sex_and_quality_are_those_that_persons_decided(tmp_path):
    folder = catalog(tmp_path)  # the table says that a0 (e1) is a female, and a4 (e4) a male
    said = "2026-05-04T09:00:00.000Z"
    decide(
        folder,
        pair(0, 2),
        pair(4, 5),
        Decision("", said, "ann", "quality", ("a4",), answer="poor"),
        Decision("", said, "ann", "sex", ("a2",), answer="male"),
        Decision("", said, "ann", "sex", ("a7",), answer="female"),
        Decision("", said, "ann", "sex", ("a4",), answer="unknown"),
    )
    survey = open_survey(folder)
    head, rows = captures_table(survey)
    found = {str(row[1]).partition("#")[0]: dict(zip(head, row, strict=True)) for row in rows}
    assert {e: found[e]["sex"] for e in ("e1", "e2", "e4", "e5", "e7")} == {
        "e1": "male", "e2": "male", "e4": "", "e5": "", "e7": "female",
    }  # fmt: skip
    assert (found["e4"]["quality"], found["e1"]["quality"]) == ("poor", "")
    export_survey(survey, "catalog", tmp_path / "out")
    table = {row["annotation"]: row for row in read_rows(tmp_path / "out" / "catalog.csv")}
    assert [table[f"a{n}"]["sex"] for n in (0, 2, 4, 7)] == ["male", "male", "", "female"]
    assert [table[f"a{n}"]["quality"] for n in (0, 4)] == ["", "poor"]
    who = survey.identities.who
    (drawn_once,) = drawn_captures(survey, survey.identities, np.array([who.of]))
    assert [c.sex for c in drawn_once] == [c.sex for c in survey.captures]
    export_survey(survey, "secr", tmp_path / "secr", coordinates=Coordinates())
    assert " M\n" in (tmp_path / "secr" / "captures.txt").read_text()


def test_a_dispute_is_told_until_an_adjudicator_decides(tmp_path):
    folder = catalog(tmp_path)
    decide(folder, pair(4, 5), pair(4, 5, "different", "ben"))
    assert told(folder)["e4"].status == "disputed"
    decide(folder, pair(4, 5, observer="judge", role="adjudicator"))
    assert told(folder)["e4"].status == "agreed"


def test_two_names_of_two_observers_are_a_dispute_until_an_adjudicator_decides(tmp_path):
    folder = catalog(tmp_path)
    decide(folder, *(Decision("", "", who, "name", ("a4",), answer=name) for who, name in (("ann", "A"), ("ben", "B"))))
    assert (told(folder)["e4"].status, told(folder)["e4"].decided_by) == ("disputed", ("ben",))
    decide(folder, Decision("", "", "judge", "name", ("a4",), answer="A", role="adjudicator"))
    assert told(folder)["e4"].status == "agreed"


def test_a_survey_tells_decisions_that_make_its_numbers_doubtful_and_an_export_without_names_does_not(tmp_path):
    folder = catalog(tmp_path, ROWS)
    named = [a for a in open_identities(folder).annotations if a.individual is not None]
    one, other = (next(a for a in named if a.individual == name) for name in sorted({a.individual for a in named})[:2])
    free = next(a for a in open_identities(folder).annotations if a.individual is None)
    assert not {note.code for note in open_survey(folder).notes} & {"several-names", "decisions-quarrel"}
    same = [Decision("", "", "ann", "pair", (a.annotation,), (free.annotation,), "same") for a in (one, other)]
    decide(folder, *same, same[0]._replace(side_b=(other.annotation,), answer="different"))
    survey = open_survey(folder)
    told = {note.code: note.text for note in survey.notes}
    assert one.individual in told["several-names"]
    assert other.individual in told["several-names"]
    assert "contradict" in told["decisions-quarrel"]
    assert {note.code: note.text for note in open_uncounted(folder).notes} == {
        code: told[code] for code in ("several-names", "decisions-quarrel")
    }
    export_survey(survey, "darwin_core", tmp_path / "out", options={"timezone": "+06:00"}, coordinates=Coordinates())
    manifest = (tmp_path / "out" / "manifest.json").read_text("utf-8")
    assert not [a.individual for a in named if a.individual in manifest]


def test_names_merges_and_undone_answers(tmp_path):
    folder = catalog(tmp_path)
    decide(folder, Decision("", "", "ann", "name", ("a4",), answer="Bars"), pair(5, 6))
    assert (told(folder)["e4"].status, told(folder)["e5"].decided_by) == ("single", ("ann",))
    undone = open_identities(folder).rows[-1]
    decide(folder, Decision("", "", "ann", "undo", answer=undone.id))
    assert set(told(folder)) == {"e4", "e7"}


def test_probabilities_come_from_draws(tmp_path):
    folder = catalog(tmp_path)
    decide(folder, pair(0, 2), pair(4, 5))
    who = open_identities(folder).who
    of = {s.encounter: n for n, s in enumerate(who.sightings)}
    draws = np.tile(np.array(who.of), (4, 1))
    draws[0, of["e5"]] = 99  # in one draw of four, e5 is another animal
    found = told(folder, draws)
    assert (found["e5"].probability, found["e1"].probability) == (0.75, 1.0)


# --- draws -----------------------------------------------------------------------------------------------------------


def drawn(folder, labels, **options):
    survey = open_survey(folder, **options)
    captures = tuple(drawn_captures(survey, survey.identities, labels, **options))
    return survey, Drawn(labels, captures, 0)


def test_a_draw_that_is_the_decisions_gives_the_captures_of_the_survey(tmp_path):
    folder = catalog(tmp_path, ROWS)
    decide(folder, pair(4, 8, "different"))
    who = open_identities(folder).who
    survey, found = drawn(folder, np.array([who.of, who.of]))
    assert found.captures == (survey.captures, survey.captures)


def test_two_names_stay_two_animals_if_no_photo_speaks_for_a_pair(tmp_path):
    rows = [(name, "left_flank", "S1", f"2023-05-{day:02}T10:00:00", f"e{day}", "") for day, name in
            enumerate(["aika", "aika", "bars", "cholpon", ""], start=2)]  # fmt: skip
    identities = open_identities(catalog(tmp_path, rows))
    nothing_known = Evidence({(0, 1): Likely(0, 1, 2.0, 0.5, 0.4, 30, ("a0", "a1"))}, 0.2, -2.0, 0)
    draws = draw_identities(identities, nothing_known, 400)
    names = [identities.who.individuals[number].name for number in identities.who.of]
    at = [names.index(name) for name in ("aika", "bars", "cholpon")]
    joined = [len(set(row)) < len(at) for row in draws[:, at].tolist()]
    assert np.mean(joined) < 0.1  # three pairs, each an answer of a person, which is right in 97 %
    free = names.index(None)
    assert any(row[free] in row[at] for row in draws)  # nobody has said that this one is another animal


def test_an_answer_that_says_nothing_leaves_two_names_apart(tmp_path):
    rows = [("aika", "left_flank", "S1", "2023-05-02T10:00:00", "e1", ""),
            ("bars", "left_flank", "S1", "2023-05-03T10:00:00", "e2", "")]  # fmt: skip
    folder = catalog(tmp_path, rows)
    alike = Evidence({(0, 1): Likely(0, 1, 2.0, 0.5, 0.4, 30, ("a0", "a1"))}, 0.2, -2.0, 0)
    before = draw_identities(open_identities(folder), alike, 400)
    decide(folder, pair(0, 1, "cannot_tell"))
    assert (draw_identities(open_identities(folder), alike, 400) == before).all()


def test_draws_join_and_divide_animals_but_single_unidentified_ones_stay_so(tmp_path):
    folder = catalog(tmp_path)
    decide(folder, pair(0, 2), pair(4, 5))
    who = open_identities(folder).who
    of = {s.encounter: n for n, s in enumerate(who.sightings)}
    divided, joined = np.array(who.of), np.array(who.of)
    divided[of["e5"]] = 90
    joined[of["e8"]] = joined[of["e7"]]
    _, found = drawn(folder, np.stack([divided, joined]))
    first, second = ({c.individual for c in captures} for captures in found.captures)
    assert len(first) == 4  # cholpon, aika, and bars as two
    assert {c.encounters[0] for c in found.captures[0]} == {"e1", "e2", "e4", "e5", "e7"}
    assert len(second) == 3
    assert {c.individual for c in found.captures[1] if c.encounters[0] in ("e7", "e8")} == {"cholpon"}


def test_the_individuals_of_each_session_are_told_with_an_interval(tmp_path):
    folder = catalog(tmp_path)
    decide(folder, pair(0, 2), pair(4, 5))  # e1 and e2; e4 and e5
    who = open_identities(folder).who
    of = {s.encounter: n for n, s in enumerate(who.sightings)}
    labels = np.array([who.of, who.of, who.of])
    labels[1, [of["e3"], of["e6"]]] = 90  # one animal more in each session
    labels[2, [of["e4"], of["e5"]]] = labels[2, of["e1"]]  # one animal less in the first one
    survey, found = drawn(folder, labels, sessions=["early=2023-05-01..2023-05-10", "late=2023-05-11..2023-05-30"])
    tables = draw_tables(survey, found)
    assert [row[2] for row in tables["draws.csv"][1]] == [2, 2, 3, 3, 1, 2]
    head, rows = tables["individuals-draws.csv"]
    assert head == ("session", "by_decisions", "likely", "low", "high", "draws")
    assert rows == [("early", 2, 2.0, 1, 3, 3), ("late", 2, 2.3333, 2, 3, 3)]
    text = format_draws(survey, found)
    assert text.splitlines()[1:4] == [
        "  captured individuals  by decisions  likely  95 % interval",
        "  session early                    2     2.0  1 to 3",
        "  session late                     2     2.3  2 to 3",
    ]
    assert "An unidentified sighting that a draw joins to no other counts in none" in text
    survey, found = drawn(catalog(tmp_path, ROWS[:8]), np.array([range(7)] * 2))
    assert "An unidentified sighting" not in format_draws(survey, found)


def test_a_divided_animal_never_takes_the_name_of_another(tmp_path):
    rows = [(name, "left_flank", "S1", f"2023-05-{day:02}T10:00:00", f"e{day}", "") for day, name in
            enumerate(["F1", "F1", "F1 (2)"], start=2)]  # fmt: skip
    folder = catalog(tmp_path, rows)
    _, found = drawn(folder, np.array([[0, 1, 2]]))
    assert len({c.individual for c in found.captures[0]}) == 3


@pytest.mark.parametrize(("name", "ending"), [("secr", "txt"), ("mark", "inp")])
def test_each_draw_is_a_file_and_a_script_pools_them(tmp_path, name, ending):
    folder = catalog(tmp_path, ROWS)
    who = open_identities(folder).who
    labels = np.array([who.of, who.of, who.of])
    labels[1] = np.arange(len(who.sightings))
    survey, found = drawn(folder, labels)
    export_survey(survey, name, tmp_path / "out", coordinates=Coordinates(), drawn=found)
    files = [(tmp_path / "out" / f"captures-{n:03}.{ending}").read_text() for n in (1, 2, 3)]
    assert files[0] == files[2] != files[1]
    if name == "secr":
        assert files[0] == (tmp_path / "out" / "captures.txt").read_text()
        assert len({line.split()[1] for line in files[1].splitlines()[1:]}) == 7
    else:
        lines = files[1].splitlines()[1:]
        assert sorted(line.split("*/ ")[1][:6] for line in lines) == sorted(
            "".join(str(int(v)) for v in row) for row in history(found.captures[1], "1", 6)[1]
        )
    assert "1:3" in (tmp_path / "out" / "pool.R").read_text()
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["draws"] == {"number": 3, "seed": 0}


def test_the_commands_draw(own_survey, tmp_path):
    folder, out = own_survey / "catalog", tmp_path / "out"
    words = ["survey", str(folder), "--draws", "3", "--out", str(out), "--no-figures"]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    assert "With 3 draws of who is who" in result.output
    assert {row["draw"] for row in read_rows(out / "histories.csv")} == {"1", "2", "3"}
    assert len(read_rows(out / "estimates-draws.csv")) == 2
    (seen,) = read_rows(out / "individuals-draws.csv")
    assert f"  session {seen['session']}  " in result.stdout
    assert int(seen["low"]) <= float(seen["likely"]) <= int(seen["high"])
    counted = CliRunner().invoke(main, ["identities", str(folder), "count", "--draws", "20"])
    assert counted.exit_code == 0, counted.output
    assert f"of each session: snowmatch survey {folder} --draws 100" in counted.stderr
    first = {p.name: p.read_bytes() for p in out.iterdir()}
    assert CliRunner().invoke(main, words).exit_code == 0
    assert {p.name: p.read_bytes() for p in out.iterdir()} == first
    result = CliRunner().invoke(main, ["export", str(folder), str(tmp_path / "x"), "--format", "oscr", "--draws", "3"])
    assert "expected one of mark, secr" in result.output
    shutil.rmtree(folder / ".snowmatch")
    result = CliRunner().invoke(main, ["survey", str(folder), "--draws", "3"])
    assert result.exit_code == 1
    assert "snowmatch index" in result.output


# --- pooled estimates ------------------------------------------------------------------------------------------------


def test_equal_draws_give_about_the_interval_of_one():
    table = np.random.default_rng(0).random((20, 6)) < 0.3
    e = m0(table)
    p = pool([e] * 30)
    assert p.value == pytest.approx(e.value, rel=1e-5)
    assert (p.low, p.high) == (pytest.approx(e.low, rel=1e-3), pytest.approx(e.high, rel=1e-3))
    assert p.rubin_low < e.value < p.rubin_high


def test_draws_that_differ_give_a_wider_interval():
    one = Estimate(20.0, 18.0, 26.0, 17)
    other = Estimate(30.0, 27.0, 37.0, 26)
    p = pool([one, other] * 10)
    assert p.low < 19
    assert p.high > 35
    assert p.rubin_high - p.rubin_low > 20
    assert 20 < p.value < 30
    assert pool([one, one, other] * 10).value < p.value < pool([one, other, other] * 10).value


def test_draws_without_captures_or_without_a_limit():
    assert math.isnan(pool([]).value)
    assert pool([Estimate(math.nan, math.nan, math.nan, 0)]).draws == 0
    endless = Estimate(math.inf, 4.0, math.inf, 4)
    p = pool([endless] * 3 + [Estimate(5.0, 4.0, 9.0, 4)])
    assert p.infinite == 3
    assert math.isinf(p.high)
    assert math.isinf(p.value)


def test_a_draw_without_recaptures_does_not_make_the_number_infinite():
    draws = [Estimate(20.0, 18.0, 26.0, 17)] * 19
    p = pool([*draws, Estimate(math.inf, 4.0, math.inf, 4)])
    assert p.infinite == 1
    assert p.low < p.value < p.high
    assert pool(draws).value < p.value < 21  # the infinite one counts as a large one


# --- alpha and the table for reviewers -------------------------------------------------------------------------------


def test_alpha_is_of_audited_machine_decisions_and_of_second_readings(tmp_path):
    folder = catalog(tmp_path)
    decide(
        folder,
        pair(0, 2, role="machine", observer="m", tags=("sample",)),
        pair(0, 2),
        pair(2, 4, role="machine", observer="m", tags=("sample",)),
        pair(2, 4, "different"),
        pair(4, 5),
        pair(4, 5, observer="ben", mode="blind"),
        pair(5, 6),
        pair(5, 6, "different", "ben", mode="blind"),
        pair(3, 7, "different"),
        pair(3, 7, "same", "ben", mode="blind"),
        pair(3, 7, "different", "judge", role="adjudicator"),
        pair(0, 8),
        pair(0, 8, observer="ben"),  # not blind
    )
    identities = open_identities(folder)
    alpha = identification_rate(identities.rows, identities.who)
    assert (alpha.machine.count, alpha.machine.of) == (1, 2)
    assert (alpha.persons.count, alpha.persons.of, alpha.waiting) == (2, 3, 1)
    table = {row[0]: row[1:] for row in practice_table(open_survey(folder), identities)[1]}
    assert table["alpha, machine"][0] == 0.5
    assert table["alpha, first answers of persons"][3] == 3
    assert table["pairs about which observers disagree"][0] == 2
    assert table["of these, pairs that no adjudicator has decided"][0] == 1
    assert "By their last answers, observers disagreed about 2 pairs" in practice_text(open_survey(folder), identities)
    assert table["photos"][0] == 9
    assert table["observers"][0] == 3
    assert "figures are as of 2026-05-04." in practice_text(open_survey(folder), identities)


def test_the_table_of_a_catalog_without_decisions(tmp_path):
    survey = open_survey(catalog(tmp_path, ROWS))
    table = {row[0]: row[1] for row in practice_table(survey, survey.identities)[1]}
    assert table["sightings that count by status import"] == table["sightings that count"] == len(survey.captures) == 7
    assert table["captures"] == 6  # two of the sightings are of one animal, station and occasion
    assert table["alpha, machine"] is None
    assert table["usable sightings"] == 8
    plain = replace(survey, identities=None)
    assert plain.captures == survey.captures


def test_the_manifest_tells_the_decisions_that_were_counted(tmp_path, monkeypatch):
    folder = catalog(tmp_path, ROWS)
    assert survey_manifest(open_survey(folder), None, {})["decisions_hash"] is None
    decide(folder, Decision("", "", "ann", "name", ("a8",), (), "dastan"))
    head = read_head(decisions_path(folder))
    named = opening.with_rows

    def others_decide(data, rows):
        decide(folder, Decision("", "", "ann", "name", ("a8",), (), "elmira"))
        return named(data, rows)

    monkeypatch.setattr(opening, "with_rows", others_decide)
    survey = open_survey(folder)
    assert "dastan" in {c.individual for c in survey.captures}
    assert survey_manifest(survey, None, {})["decisions_hash"] == head != read_head(decisions_path(folder))


@pytest.mark.parametrize("flanks", ["both", "left", "right", "hybrid", "sessions"])
def test_usable_sightings_do_not_depend_on_the_choice_of_flanks(tmp_path, flanks):
    more = [("", part, "S2", f"2023-05-2{n}T05:00:00", part, "") for n, part in ((3, "right_flank"), (4, "head"))]
    rows = [*ROWS, *more]
    survey = open_survey(catalog(tmp_path, rows), flanks=flanks)
    table = {row[0]: row[1] for row in practice_table(survey, survey.identities)[1]}
    told = ("usable sightings", "identified sightings", "unidentified sightings")
    assert [table[name] for name in told] == [10, 7, 3]


def test_with_flanks_as_sessions_a_sighting_of_both_counts_once(tmp_path):
    folder = catalog(tmp_path, ROWS)
    survey = open_survey(folder, flanks="sessions")
    assert len(survey.captures) == 8  # one shows both sides
    table = {row[0]: row[1] for row in practice_table(survey, survey.identities)[1]}
    assert table["sightings that count by status import"] == table["sightings that count"] == 7
    assert survey_manifest(survey, None, {})["flanks_left_out"] == 0
