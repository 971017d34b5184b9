"""A survey as text for the terminal."""

from __future__ import annotations

import math
from collections import Counter
from datetime import date, datetime

from snowmatch.core.text import aligned, counted, printable
from snowmatch.survey.abundance import Estimate
from snowmatch.survey.captures import MEANING
from snowmatch.survey.draw_tables import captured_individuals, pooled_estimates
from snowmatch.survey.draws import Drawn
from snowmatch.survey.movements import largest_moves, mmdm, movements, spatial_recaptures
from snowmatch.survey.occasions import Session
from snowmatch.survey.run import Survey
from snowmatch.survey.summaries import ASSUMES, estimates, frequencies, individuals

MODELS = {"m0": "M0", "chao": "Mh (Chao)"}
MOST = 40  # rows of a table; the files have all


def format_survey(survey: Survey) -> str:
    """Return the effort, the captures, the individuals and the estimates of a survey as text."""
    animals = individuals(survey.captures)
    cells = {c.cell for c in survey.captures}
    working = sum(survey.effort[s.name].sum() for s in survey.seasons)
    lines = [
        f"{survey.data.folder}: {counted(len(survey.places), 'station')}, {working:.1f} camera-days, "
        f"{counted(len(animals), 'individual')}, {counted(len(cells), 'capture')} (one a station and occasion)",
        "",
        *_sessions(survey),
        "",
        *_flanks(survey),
        "",
        *_individuals(survey),
        "",
    ]
    for s in survey.sessions:
        lines += _session(survey, s)
    used = ", ".join(f"{ASSUMES[model]}" for model in ("m0",)) + ". " + ASSUMES["chao"] + "."
    lines += [used, "Neither tells a density: that needs the positions of the stations (secr)."]
    return "\n".join(line.rstrip() for line in lines)


def format_draws(survey: Survey, drawn: Drawn) -> str:
    """Return the individuals of each session in drawn identities, and the pooled estimates, as text."""
    captured = [
        (f"  session {printable(session)}", str(decided), f"{likely.mean:.1f}", f"{likely.low} to {likely.high}")
        for session, (decided, likely) in captured_individuals(survey, drawn).items()
    ]
    head = ("  captured individuals", "by decisions", "likely", "95 % interval")
    lines = [f"With {counted(len(drawn.captures), 'draw')} of who is who (what photos and answers leave open):"]
    lines += [line.rstrip() for line in aligned(head, captured, right=head[1:3])]
    for name, models in pooled_estimates(survey, drawn).items():
        for model, p in models.items():
            e = Estimate(p.value, p.low, p.high, p.draws)
            lines.append(f"  session {printable(name)}, {MODELS[model]}: {_estimate(e)}")
    facts = "What names and merges join, and splits part, is a fact in all draws; two names count as an answer."
    if survey.unnamed:
        facts += "\nAn unidentified sighting that a draw joins to no other counts in none of these numbers."
    return "\n".join([*lines, facts])


def _sessions(survey: Survey) -> list[str]:
    rows = []
    for s in survey.sessions:
        own = {c.cell for c in survey.captures if c.session == s.name}
        rows.append(
            (
                printable(s.name),
                s.first.isoformat(" ", "minutes"),
                s.span.end.isoformat(" ", "minutes"),
                str(s.occasions),
                f"{survey.effort[s.name].sum():.1f}",
                str(len({cell[3] for cell in own})),
                str(len(own)),
                str(int(survey.unidentified[s.name].sum())),
            )
        )
    head = ("session", "from", "until", "occasions", "camera-days", "individuals", "captures", "unidentified")
    return aligned(head, rows, right=head[3:])


def _flanks(survey: Survey) -> list[str]:
    chosen = survey.settings["flanks"]
    rows = [
        (
            f"{'*' if c.flanks == chosen else ' '} {c.flanks}",
            str(c.individuals),
            str(c.captures),
            str(c.recaptures),
            MEANING[c.flanks],
        )
        for c in survey.choices
    ]
    head = ("  flanks", "individuals", "captures", "recaptures", "which sightings count")
    return [*aligned(head, rows, right=head[1:4]), _two_flanks(survey)]


def _two_flanks(survey: Survey) -> str:
    """Return what models get that take both flanks and do not need to know which of them are one animal."""
    sides = Counter(i.flanks for i in individuals(survey.all_captures))
    linked, left, right = sides["B"] + sides["LR"], sides["L"], sides["R"]
    most = linked + left + right
    between = counted(most, "animal") if min(left, right) == 0 else f"{most - min(left, right)} to {most} animals"
    return (
        f"  models of two flanks (export --format spim, multimark): {counted(linked, 'individual')} known from both, "
        f"{left} from the left only, {right} from the right only, thus {between}"
    )


def _when(moment: date) -> str:
    return moment.isoformat(" ", "minutes") if isinstance(moment, datetime) else moment.isoformat()


def _individuals(survey: Survey) -> list[str]:
    animals = individuals(survey.captures)
    rows = [
        (
            printable(i.name),
            i.sex or "-",
            i.flanks or "-",
            str(i.captures),
            str(len(i.stations)),
            _when(i.first),
            _when(i.last),
        )
        for i in animals[:MOST]
    ]
    head = ("individual", "sex", "flanks", "captures", "stations", "first seen", "last seen")
    more = [f"and {len(animals) - MOST} more (--out writes all)"] if len(animals) > MOST else []
    return aligned(head, rows, right=("captures", "stations")) + more


def _session(survey: Survey, s: Session) -> list[str]:
    times = ", ".join(f"{n} on {counted(t, 'occasion')}" for t, n in frequencies(survey.captures, s).items())
    moved = [m for m in movements(survey.captures, survey.positions) if m.session == s.name]
    further = sum(n for (name, _), n in spatial_recaptures(survey.captures).items() if name == s.name)
    mean = mmdm(survey.captures, survey.positions, s.name)
    lines = [f"Session {printable(s.name)}", f"  captured animals: {times or 'none'}"]
    text = f"  movements between stations: {len(moved)}; spatial recaptures: {further}"
    text += "" if mean is None else f"; mean maximum distance moved: {mean / 1000:.2f} km"
    largest = largest_moves(survey.captures, survey.positions)
    unknown = sum(name == s.name and metres is None for (name, _), metres in largest.items())
    if mean is not None and unknown:
        text += f" (without {counted(unknown, 'animal')} captured at stations without a position)"
    lines.append(text)
    for model, e in estimates(survey.captures, s, survey.worked(s)).items():
        lines.append(f"  {MODELS[model]}: {_estimate(e)}")
    if nameless := int(survey.unidentified[s.name].sum()):
        left = counted(nameless, "unidentified sighting")
        lines.append(f"  not in these numbers: {left}, perhaps of further animals")
    return [*lines, ""]


def _estimate(e: Estimate) -> str:
    if not e.seen:
        return "no animal was captured"
    value, low, high = ("without limit" if math.isinf(v) else f"{v:.1f}" for v in (e.value, e.low, e.high))
    return f"{value} animals, 95 % interval {low} to {high}"
