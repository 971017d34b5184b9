"""Agreement and training of observers, as text for the terminal and as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from snowmatch.core.plain import plain, six_digits
from snowmatch.core.text import aligned, counted, printable
from snowmatch.core.version import __version__
from snowmatch.decisions.row import ANSWERS, Decision
from snowmatch.decisions.who import Who
from snowmatch.review.machine import MachineError
from snowmatch.review.observers import Agreed, Agreement, Disagreement, Repeats, Times
from snowmatch.review.shares import Share
from snowmatch.review.training import Trained

MOST = 20  # disagreements that the text lists; the JSON has all
GROUPS = (
    ("observers", "by_observers"),
    ("flank", "by_flank"),
    ("level", "by_level"),
    ("quality", "by_quality"),
    ("certainty", "by_certainty"),
)
NUMBERS = ("pairs", "agree", "kappa")


def format_agreement(agreement: Agreement, who: Who, machine: MachineError | None = None) -> str:
    """Return the agreement of observers as text, without a final line break.

    It has a table for each kind of group, the disagreements, hidden repetitions, times, and the checked decisions of
    the machine if there are any.
    """
    answered = f"{counted(agreement.pairs, 'pair')} answered by {counted(len(agreement.observers), 'observer')}"
    lines = [f"Answers:  {answered}, {agreement.overall.pairs} of them by two or more"]
    if agreement.gone:
        lines.append(
            f"          {counted(agreement.gone, 'answer')} about photos that are not in the catalog: not counted"
        )
    if agreement.overall.pairs:
        rows = [("all", *_agreed(agreement.overall)), ("independent", *_agreed(agreement.independent))]
        lines += ["", *aligned(("answers", *NUMBERS), rows, right=("pairs",))]
        for title, name in GROUPS:
            groups = getattr(agreement, name)
            rows = [(printable(" and ".join(group.name)), *_agreed(group)) for group in groups]
            lines += ["", *aligned((title, *NUMBERS), rows, right=("pairs",))]
        lines += [
            "",
            "Each observer's first answer to a pair counts, also a corrected one. Disagreements are of the last.",
            "Independent: the later observer did not see the earlier answer. Kappa: agreement beyond chance, 1 at most",
            "A dash: not defined. Brackets contain 95 % intervals.",
            "",
            *_disagreements(agreement, who),
        ]
    else:
        lines += ["", "No pair has answers of two observers: agreement is not known."]
    if agreement.repeats:
        head = ("observer", "opposite answer", "another answer", "earlier one taken back")
        table = [
            (printable(r.observer), _share(r.reversed), _share(r.changed), str(r.alone)) for r in agreement.repeats
        ]
        lines += ["", "Hidden repetitions of an observer's own questions:", *aligned(head, table, right=head[3:])]
    if agreement.times:
        columns = ("observer", "decisions", "median", "quartiles", "over 30 min", "without time")
        lines += [
            "",
            "Seconds for one decision:",
            *aligned(columns, [_time(t) for t in agreement.times], right=columns[1:]),
        ]
    if machine is not None and machine.decisions:
        lines += ["", *_machine(machine)]
    return "\n".join(line.rstrip() for line in lines)


def _agreed(agreed: Agreed) -> tuple[str, str, str]:
    kappa = "-" if agreed.kappa is None else f"{agreed.kappa:.2f}"
    if agreed.interval is not None:
        kappa += f" [{agreed.interval[0]:.2f}, {agreed.interval[1]:.2f}]"
    return str(agreed.pairs), _share(agreed.agreed), kappa


def _share(share: Share) -> str:
    if share.value is None:
        return "-"
    return f"{100 * share.value:.1f} % [{100 * share.low:.1f}, {100 * share.high:.1f}] of {share.of}"


def _disagreements(agreement: Agreement, who: Who) -> list[str]:
    found = agreement.disagreements
    if not found:
        return ["No disagreements."]
    head = ("sighting", "sighting", "answers (certainty)", "adjudicator")
    rows = [(*_places(each, who), _answers(each.answers), _adjudicated(each)) for each in found[:MOST]]
    lines = [f"{counted(len(found), 'disagreement')}, {agreement.waiting} without an adjudicator's answer:"]
    lines += aligned(head, rows)
    return lines + ([f"... and {len(found) - MOST} more"] if len(found) > MOST else [])


def _places(each: Disagreement, who: Who) -> tuple[str, str]:
    if each.a == each.b:  # two sides of one sighting
        return printable(each.sides[0]), printable(each.sides[1])
    return printable(who.sightings[each.a].encounter), printable(who.sightings[each.b].encounter)


def _answers(answers: Sequence[Decision]) -> str:
    return ", ".join(
        f"{printable(row.observer)}: {row.answer.replace('_', ' ')}"
        + ("" if row.certainty is None else f" ({row.certainty})")
        for row in answers
    )


def _adjudicated(each: Disagreement) -> str:
    row = each.adjudicated
    return "-" if row is None else f"{row.answer.replace('_', ' ')} ({printable(row.observer)})"


def _time(times: Times) -> tuple[str, ...]:
    numbers = [None if t is None else f"{t:.1f}" for t in (times.lower, times.median, times.upper)]
    lower, median, upper = numbers
    middle = "-" if median is None else f"{lower} to {upper}"
    return printable(times.observer), str(times.timed), median or "-", middle, str(times.too_long), str(times.untimed)


def _machine(machine: MachineError) -> list[str]:
    lines = [
        f"The machine decided about {counted(machine.decisions, 'pair')}; {machine.sample} are a sample that persons "
        f"check: {machine.checked} checked, {machine.waiting} waiting, {machine.disputed} disputed, "
        f"{machine.cannot_tell} cannot tell"
    ]
    if machine.gone or machine.again or machine.taken_back:
        again = f"{machine.again} decided again later, " if machine.again else ""
        gone = f"{machine.gone} of photos that have gone or are one encounter now"
        lines.append(f"({gone}, {again}{machine.taken_back} taken back: not counted)")
    if machine.checked:
        rows = [
            ("all", _share(machine.wrong)),
            ("same, but two animals", _share(machine.lumped)),
            ("different, but one", _share(machine.split)),
        ]
        lines += aligned(("the machine said", "wrong"), rows)
    return lines


def format_training(trained: Sequence[Trained], accuracy: Mapping[str, float]) -> str:
    """Return the results of training as text, without a final line break. accuracy: of an observer by name."""
    if not trained:
        return "Nobody has answered pairs of known animals yet."
    head = ("observer", "pairs", "one animal called different", "two animals called the same", "cannot tell", "weight")
    rows = [
        (
            printable(each.observer),
            str(each.pairs),
            _share(each.split),
            _share(each.lumped),
            _share(each.cannot_tell),
            f"{accuracy[each.observer]:.3f}" if each.observer in accuracy else "-",
        )
        for each in trained
    ]
    lines = aligned(head, rows, right=("pairs", "weight"))
    levels = [
        (printable(each.observer), "-" if level is None else str(level), _share(wrong))
        for each in trained
        for level, wrong in each.by_certainty
    ]
    lines += ["", *aligned(("observer", "certainty", "wrong"), levels)]
    lines += [
        "",
        "Brackets contain 95 % intervals. Weight: how often the observer's answers are taken to be right, from",
        "training and from pairs that several observers answered independently; few answers change it little.",
    ]
    return "\n".join(line.rstrip() for line in lines)


# --- JSON ------------------------------------------------------------------------------------------------------------


def agreement_to_json(
    agreement: Agreement,
    who: Who,
    *,
    catalog: str = "",
    trained: Sequence[Trained] = (),
    accuracy: Mapping[str, float] | None = None,
    machine: MachineError | None = None,
) -> dict[str, Any]:
    """Return all about the observers as an object, schema "snowmatch.agreement/1". What is not defined is null.

    catalog: its path. A share is an object with count, of, value, low and high. A table has a row for each answer of
    the first observer by name.
    """
    return plain(
        {
            "schema": "snowmatch.agreement/1",
            "catalog": {"path": catalog},
            "snowmatch": __version__,
            "pairs": agreement.pairs,
            "observers": agreement.observers,
            "answers": ANSWERS,
            "overall": _agreed_json(agreement.overall),
            "independent": _agreed_json(agreement.independent),
            **{name: [_agreed_json(group) for group in getattr(agreement, name)] for _, name in GROUPS},
            "disagreements": [_disagreement_json(each, who) for each in agreement.disagreements],
            "waiting": agreement.waiting,
            "repeats": [_repeats_json(each) for each in agreement.repeats],
            "times": [_times_json(each) for each in agreement.times],
            "gone": agreement.gone,
            "training": [_trained_json(each) for each in trained],
            "accuracy": {name: six_digits(value) for name, value in sorted((accuracy or {}).items())},
            "machine": None if machine is None else _machine_json(machine),
        }
    )


def _share_json(share: Share) -> dict[str, Any]:
    value, low, high = (six_digits(each) for each in (share.value, share.low, share.high))
    return {"count": share.count, "of": share.of, "value": value, "low": low, "high": high}


def _agreed_json(agreed: Agreed) -> dict[str, Any]:
    interval = agreed.interval
    return {
        "name": agreed.name,
        "pairs": agreed.pairs,
        "agreed": _share_json(agreed.agreed),
        "table": agreed.table,
        "kappa": six_digits(agreed.kappa),
        "interval": None if interval is None else [six_digits(each) for each in interval],
    }


def _disagreement_json(each: Disagreement, who: Who) -> dict[str, Any]:
    row = each.adjudicated
    return {
        "sides": each.sides,
        "encounters": [who.sightings[n].encounter for n in (each.a, each.b)],
        "opposite": each.opposite,
        "answers": [
            {"observer": said.observer, "answer": said.answer, "certainty": said.certainty, "mode": said.mode}
            for said in each.answers
        ],
        "adjudicated": None if row is None else {"observer": row.observer, "answer": row.answer},
    }


def _repeats_json(each: Repeats) -> dict[str, Any]:
    shares = {"reversed": _share_json(each.reversed), "changed": _share_json(each.changed)}
    return {"observer": each.observer, **shares, "alone": each.alone}


def _times_json(each: Times) -> dict[str, Any]:
    seconds = {name: six_digits(getattr(each, name)) for name in ("lower", "median", "upper")}
    counts = {"timed": each.timed, "too_long": each.too_long, "untimed": each.untimed}
    return {"observer": each.observer, **seconds, **counts}


def _trained_json(each: Trained) -> dict[str, Any]:
    return {
        "observer": each.observer,
        "pairs": each.pairs,
        **{name: _share_json(getattr(each, name)) for name in ("split", "lumped", "cannot_tell")},
        "by_certainty": [{"certainty": level, "wrong": _share_json(wrong)} for level, wrong in each.by_certainty],
    }


def _machine_json(machine: MachineError) -> dict[str, Any]:
    counts = ("decisions", "sample", "checked", "cannot_tell", "disputed", "waiting", "gone", "again", "taken_back")
    return {name: getattr(machine, name) for name in counts} | {
        name: _share_json(getattr(machine, name)) for name in ("wrong", "lumped", "split")
    }
