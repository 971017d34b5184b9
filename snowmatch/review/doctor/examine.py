"""The examination of a catalog: all findings in one list, the worst first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from snowmatch.api import Catalog
from snowmatch.catalog.load import CatalogData
from snowmatch.catalog.opened import open_data
from snowmatch.catalog.records import load_records
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.notes import Note
from snowmatch.core.text import counted
from snowmatch.decisions.named import with_rows
from snowmatch.decisions.who import is_name
from snowmatch.identify.catalog_notes import catalog_notes
from snowmatch.review.doctor.decided import findings_of_decisions
from snowmatch.review.doctor.finding import CHECK, HINT, SEVERITIES, Finding, Patient, Source
from snowmatch.review.doctor.judged import judge_names
from snowmatch.review.doctor.labels import findings_of_labels
from snowmatch.review.doctor.matches import findings_of_matches
from snowmatch.review.doctor.paths import findings_of_paths
from snowmatch.review.doctor.photos import findings_of_photos
from snowmatch.review.doctor.stations import read_stations
from snowmatch.review.doctor.times import findings_of_times
from snowmatch.review.doctor.travel import findings_of_travel
from snowmatch.review.identities import Identities, decisions_path, identities_of

# Findings of one severity are in the order of their sources
SOURCES: tuple[Source, ...] = (
    findings_of_decisions,
    findings_of_photos,
    findings_of_paths,
    findings_of_travel,
    findings_of_labels,
    findings_of_times,
)

# The codes of those notes of the loading that the sources look at more closely
CLOSER = {
    "decisions-quarrel",
    "decisions-idle",
    "names-refused",
    "several-names",
    "copies",
    "copies-with-two-names",
    "two-names",
    "individuals-alike",
    "locations-alike",
    "stations-alike",
    "doubtful-names",
    "unnamed-names",
    "camera-folders",
    "no-times",
    "early-times",
    "clock-set-back",
    "long-encounters",
    "named-encounters-long",
    "not-indexed",
}
# The other notes of the loading are hints, but for these
TO_CHECK = {
    "folders-of-years",
    "individuals-together",
    "individuals-rewritten",
    "stations-rewritten",
    "dates-swapped",
    "dates-half-swapped",
    "other-times",
    "times-of-earlier-version",
    "encounters-at-several-places",
    "encounters-half-named",
    "boxes-without-photo",
    "settings-damaged",
    "found-damaged",
    "screening-damaged",
}


@dataclass(frozen=True)
class Examination:
    """The result of `examine`.

    findings: the worst first. unseen: notes on what could not be looked at, and why. annotations, photos, individuals,
    encounters: how many there are. deep: whether the names were compared with the coats.
    """

    folder: Path
    findings: tuple[Finding, ...]
    unseen: tuple[Note, ...]
    annotations: int
    photos: int
    individuals: int
    encounters: int
    deep: bool

    def count(self, severity: str) -> int:
        """Return the number of findings of a severity."""
        return sum(finding.severity == severity for finding in self.findings)


def examine(
    folder: Path,
    decisions: Path | None = None,
    *,
    deep: bool = False,
    progress: Callable[[int, int], None] | None = None,
    now: datetime | None = None,
) -> Examination:
    """Return everything that is wrong with the catalog in `folder`, or likely wrong.

    decisions: their file; None for the catalog's own. deep: also ask about every named encounter, and compare the
    answer with its name; that takes as long as an evaluation. progress: called with (done, total) queries. now: times
    after it are in the future. Nothing is written but damaged settings of features, which are made again.
    """
    data, identities = _read(folder, decisions)
    stations = read_stations(data.folder, data.settings.dates)
    patient = Patient(data, load_records(data.folder), stations, now or datetime.now(), identities)
    findings = [finding for source in SOURCES for finding in source(patient)]
    unseen, checked = list(_unseen(patient)), Catalog(data, decisions).checked()
    if deep:
        try:
            judged, levels, notes = judge_names(checked.session(), progress)
            findings += findings_of_matches(patient, judged, levels)
            unseen += notes
        except SnowmatchError as error:
            deep = False
            text = f"whether the coats agree with the names: {error}"
            unseen.append(Note(error.code or "names-not-asked", text, error.data))
    elif named := sum(a.individual is not None for a in checked.data.annotations):
        text = f"whether the coats agree with the names of {counted(named, 'annotation')}: that takes some time"
        unseen.append(Note("names-unseen", text, {"catalog": str(data.folder), "count": named}))
    findings += _other_notes(patient)
    return Examination(
        data.folder,
        tuple(sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))),
        tuple(unseen),
        len(data.annotations),
        len(patient.photos),
        len({a.individual for a in data.annotations if is_name(a.individual)}),
        len(patient.encounters),
        deep,
    )


def _read(folder: Path, decisions: Path | None) -> tuple[CatalogData, Identities | None]:
    """Return the catalog with the names by all decisions, and who is who by the same reading of both; None without a
    file of decisions.
    """
    data = open_data(folder)
    if not (decisions or decisions_path(folder)).exists():
        return data, None
    identities = identities_of(data, decisions)
    return with_rows(data, identities.rows), identities


def _other_notes(patient: Patient) -> Iterator[Finding]:
    """Yield the notes that the loading of the catalog made about anything else."""
    try:
        notes = catalog_notes(patient.data, patient.records)
    except SnowmatchError:  # damaged features: a finding of their own
        notes = patient.data.notes
    for note in notes:
        if note.code not in CLOSER:
            yield Finding(note.code, CHECK if note.code in TO_CHECK else HINT, note.text, data=note.data)


def _unseen(patient: Patient) -> Iterator[Note]:
    """Yield a note on everything that the catalog does not allow to look at."""
    about = {"catalog": str(patient.data.folder)}
    unread = sum(path not in patient.records.photos for path in patient.photos)
    if unread:
        text = (
            f"whether {counted(unread, 'photo')} can be read, or {'is' if unread == 1 else 'are'} nearly the same as "
            "another one: not indexed"
        )
        yield Note("photos-unseen", text, about | {"count": unread})
    stations = {(a.location, a.station) for a in patient.data.annotations if a.station}
    if len(stations) > 1 and not patient.stations.exists:
        text = "how fast animals travel: there is no stations.csv, so only times within a minute were compared"
        yield Note("no-places", text, about)
    systems = {place.crs for site in stations if (place := patient.stations.position(*site)) is not None}
    if len(systems) > 1:
        text = (
            "how fast animals travel between stations in different coordinate systems (column crs of stations.csv): "
            "only times within a minute were compared there"
        )
        yield Note("several-systems", text, about | {"count": len(systems)})
