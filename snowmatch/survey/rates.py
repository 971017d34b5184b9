"""How often stations saw animals for the time that their cameras worked."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from snowmatch.survey.captures import Capture, Unnamed
from snowmatch.survey.occasions import Session
from snowmatch.survey.run import Survey

PER = 100.0  # camera-days that rates are given for


@dataclass(frozen=True)
class Rate:
    """What one station saw in some sessions. session: "" for all together. days: camera-days.

    sightings: of identified animals and of unidentified ones. individuals: different animals.
    """

    session: str
    place: str
    days: float
    sightings: int
    unidentified: int
    individuals: int

    @property
    def sightings_rate(self) -> float | None:
        """Sightings for PER camera-days; None without effort."""
        return PER * self.sightings / self.days if self.days > 0 else None

    @property
    def individuals_rate(self) -> float | None:
        """Different animals for PER camera-days; None without effort. It falls as a survey gets longer."""
        return PER * self.individuals / self.days if self.days > 0 else None


def session_rates(survey: Survey) -> list[Rate]:
    """Return the rates of each session and station, in their order. Stations without effort are among them."""
    return [
        rate
        for s in survey.sessions
        for rate in _rates(
            survey,
            s.name,
            [c for c in survey.captures if c.session == s.name],
            [u for u in survey.unnamed if u.session == s.name],
            [s],
        )
    ]


def station_rates(survey: Survey) -> list[Rate]:
    """Return the rates of each station over all sessions, in the order of the stations."""
    return _rates(survey, "", survey.seen, survey.seen_unnamed, survey.seasons)


def _rates(
    survey: Survey, told: str, captures: Iterable[Capture], unnamed: Iterable[Unnamed], sessions: Iterable[Session]
) -> list[Rate]:
    seen: dict[str, int] = defaultdict(int)
    unknown: dict[str, int] = defaultdict(int)
    animals: dict[str, set[str]] = defaultdict(set)
    for c in captures:
        seen[c.place] += 1
        animals[c.place].add(c.individual)
    for u in unnamed:
        unknown[u.place] += 1
    days = sum(survey.effort[s.name].sum(axis=1) for s in sessions)
    return [
        Rate(
            told, p.label, round(float(d), 6), seen[p.label] + unknown[p.label], unknown[p.label], len(animals[p.label])
        )
        for p, d in zip(survey.places, days, strict=True)
    ]
