"""What a catalog holds, as text for the terminal."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from snowmatch.api import Catalog
from snowmatch.catalog.records import Records, load_records
from snowmatch.catalog.settings import CatalogSettings
from snowmatch.catalog.states import STATES, annotation_states
from snowmatch.core.home import features_path
from snowmatch.core.text import aligned, printable
from snowmatch.core.types import BODY_PARTS, Annotation
from snowmatch.features.reader import list_features, open_features
from snowmatch.identify.method import settings_text


def format_overview(catalog: Catalog) -> str:
    """Individuals by body part and location, encounters, and what is indexed, missing, stale or failed."""
    annotations, records = catalog.data.annotations, load_records(catalog.folder)
    encounters = _by_encounter(annotations)
    named = {a.individual for a in annotations if a.individual is not None}
    lines = [
        f"{catalog.folder}: {len(annotations)} annotations of {len({a.path for a in annotations})} photos, "
        f"{len(named)} individuals, {len(encounters)} encounters",
        "",
        *_individuals(annotations),
        "",
        *_encounters(encounters),
        _rule(catalog.data.settings),
        "",
        *_indexed(catalog, records),
    ]
    if failures := records.failures:
        lines += ["", "Failed:", *(f"  {printable(path)}: {printable(why)}" for path, why in sorted(failures.items()))]
    return "\n".join(line.rstrip() for line in lines)


def _rule(settings: CatalogSettings) -> str:
    """How encounters without a name were made."""
    return (
        f"Encounters that the catalog does not name: photos at most {settings.encounter_gap:g} min apart, at most "
        f"{settings.longest_encounter:g} h long."
    )


def _individuals(annotations: Sequence[Annotation]) -> list[str]:
    """Annotations per individual and location (rows) and body part (columns)."""
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
        times = [a.timestamp for a in members if a.timestamp is not None]
        who = sorted({a.individual or "(unidentified)" for a in members})
        where = sorted({a.station or a.location for a in members})
        rows.append(
            (
                printable(name),
                printable(", ".join(w for w in where if w)) or "-",
                min(times).isoformat(" ", "minutes") if times else "-",
                str(len(members)),
                printable(", ".join(who)),
            )
        )
    return aligned(("encounter", "station", "first photo", "annotations", "individuals"), rows, right=("annotations",))


def _indexed(catalog: Catalog, records: Records) -> list[str]:
    held = list_features(features_path(catalog.folder))
    if not held:
        return ["Nothing is indexed yet."]
    rows = []
    for described in held:
        stored = open_features(features_path(catalog.folder), described).keys
        states = annotation_states(catalog.folder, catalog.data.annotations, records, stored)
        counts = Counter(state.state for state in states)
        rows.append((described["name"], settings_text(described), *(str(counts[state]) for state in STATES)))
    return aligned(("extractor", "settings", *STATES), rows, right=STATES)
