"""The contents of a catalog as text for the terminal."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime

from snowmatch.api import Catalog
from snowmatch.catalog.disk import disk_sizes, told_sizes
from snowmatch.catalog.records import Records, load_records
from snowmatch.catalog.settings import CatalogSettings
from snowmatch.catalog.states import STATES, annotation_states
from snowmatch.core.home import features_path
from snowmatch.core.text import aligned, counted, printable
from snowmatch.core.types import BODY_PARTS, Annotation
from snowmatch.decisions.who import is_name
from snowmatch.features.reader import list_features, open_features
from snowmatch.identify.method import settings_text


def format_overview(catalog: Catalog) -> str:
    """Return the overview of a catalog as aligned text, without a final line break.

    The text has the individuals by location and body part, the encounters, the number of annotations in each state
    (indexed, missing, stale, failed) by extractor, and the photos that failed with the reason.
    """
    annotations, records = catalog.data.annotations, load_records(catalog.folder)
    encounters = _by_encounter(annotations)
    photos = {a.path for a in annotations}
    named = {a.individual for a in annotations if is_name(a.individual)}
    lines = [
        f"{catalog.folder}: {counted(len(annotations), 'annotation')} of {counted(len(photos), 'photo')}, "
        f"{counted(len(named), 'individual')}, {counted(len(encounters), 'encounter')}",
        "",
        *_individuals(annotations),
        "",
        *_encounters(encounters),
        _rule(catalog.data.settings),
        "",
        *_indexed(catalog, records),
        *_disk(catalog),
    ]
    if failures := records.failures:
        lines += ["", "Failed:", *(f"  {printable(path)}: {printable(why)}" for path, why in sorted(failures.items()))]
    return "\n".join(line.rstrip() for line in lines)


def _disk(catalog: Catalog) -> list[str]:
    """Return a sentence with the bytes that snowmatch's files take; nothing if there are none."""
    sizes = disk_sizes(catalog.folder)
    if not sizes:
        return []
    told = told_sizes(sizes, len(catalog.data.annotations))
    return ["", f"On disk: {told}. The search index and previews can be made again."]


def _rule(settings: CatalogSettings) -> str:
    """Return a sentence about how encounters without a name were made."""
    return (
        f"Encounters that the catalog does not name: photos at most {settings.encounter_gap:g} min apart, at most "
        f"{settings.longest_encounter:g} h long."
    )


def _individuals(annotations: Sequence[Annotation]) -> list[str]:
    """Return a table with the number of annotations by individual and location (rows) and body part (columns)."""
    counts = Counter((a.individual, a.location, a.body_part) for a in annotations)
    parts = [p for p in BODY_PARTS if any(key[2] == p for key in counts)]
    animals = sorted({key[:2] for key in counts}, key=lambda k: (k[0] is None, k))
    rows = [
        (
            "(unidentified)" if name is None else printable(name),
            printable(location) or "-",
            *(str(counts[name, location, part] or "-") for part in parts),
        )
        for name, location in animals
    ]
    return aligned(("individual", "location", *parts), rows, right=tuple(parts))


def _by_encounter(annotations: Sequence[Annotation]) -> dict[str, list[Annotation]]:
    groups: dict[str, list[Annotation]] = defaultdict(list)
    for annotation in annotations:
        groups[annotation.encounter].append(annotation)
    return dict(sorted(groups.items()))


def _encounters(groups: dict[str, list[Annotation]]) -> list[str]:
    rows = []
    for name, members in groups.items():
        times = [(a.timestamp, a.dated) for a in members if a.timestamp is not None]
        rows.append(
            (
                printable(name),
                _joined(a.location for a in members),
                _joined(a.station for a in members),
                _when(*min(times)) if times else "-",
                str(len(members)),
                _joined(a.individual or "(unidentified)" for a in members),
            )
        )
    head = ("encounter", "location", "station", "first photo", "annotations", "individuals")
    return aligned(head, rows, right=("annotations",))


def _when(moment: datetime, dated: bool) -> str:
    return moment.date().isoformat() if dated else moment.isoformat(" ", "minutes")


def _joined(names: Iterable[str]) -> str:
    """Return the different names as one printable text, sorted; "-" if all are empty."""
    return printable(", ".join(sorted({name for name in names if name}))) or "-"


def _indexed(catalog: Catalog, records: Records) -> list[str]:
    extractors = list_features(features_path(catalog.folder))
    if not extractors:
        return ["Nothing is indexed yet."]
    rows = []
    for described in extractors:
        stored = open_features(features_path(catalog.folder), described).keys
        states = annotation_states(catalog.folder, catalog.data.annotations, records, stored)
        counts = Counter(state.state for state in states)
        rows.append((described["name"], settings_text(described), *(str(counts[state]) for state in STATES)))
    return aligned(("extractor", "settings", *STATES), rows, right=STATES)
