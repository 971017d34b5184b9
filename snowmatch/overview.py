"""What a catalog holds and what the program can do, as text for the terminal."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import fields

from snowmatch.api import Catalog, options_text
from snowmatch.catalog.records import read_failures
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.home import HOME
from snowmatch.core.plugins import plugin_class, plugin_names
from snowmatch.core.types import BODY_PARTS, Annotation
from snowmatch.features.reader import list_features
from snowmatch.features.states import catalog_state
from snowmatch.matching.geometry.frames import Geometry
from snowmatch.models.cache import VARIABLE, Held, given_folder, held_weights, weights_folder
from snowmatch.report import aligned, printable

STATES = ("indexed", "missing", "stale", "failed")


def format_overview(catalog: Catalog) -> str:
    """Individuals by body part and location, encounters, and what is indexed, missing, stale or failed."""
    annotations = catalog.data.annotations
    encounters = _by_encounter(annotations)
    named = {a.individual for a in annotations if a.individual is not None}
    lines = [
        f"{catalog.folder}: {len(annotations)} annotations of {len({a.path for a in annotations})} photos, "
        f"{len(named)} individuals, {len(encounters)} encounters",
        "",
        *_individuals(annotations),
        "",
        *_encounters(encounters),
        "",
        *_indexed(catalog),
    ]
    failures = read_failures(catalog.folder)
    if failures:
        lines += ["", "Failed:", *(f"  {printable(path)}: {printable(why)}" for path, why in sorted(failures.items()))]
    return "\n".join(line.rstrip() for line in lines)


def format_plugins() -> str:
    """Every extractor and matcher with its settings and their defaults, and the settings of the geometric check."""
    lines = []
    for kind in ("extractors", "matchers"):
        lines.append(f"{kind.capitalize()}:")
        for name in plugin_names(kind):
            try:
                cls = plugin_class(kind, name)
            except SnowmatchError as error:
                lines.append(f"  {name}: {error}")
                continue
            lines.append(f"  {name}: {cls.__doc__.strip().splitlines()[0]}")
            lines += [f"    -o {f.name}={f.default}" for f in fields(cls)]
    lines += ["Geometric check:", *(f"    -o {f.name}={f.default:g}" for f in fields(Geometry))]
    return "\n".join(lines)


def format_weights() -> str:
    """Every pretrained network with what this machine has of it, what is wrong with that, addresses and folders."""
    held = held_weights()
    rows = [
        (
            printable(entry.weights.name),
            _state(entry),
            _where(entry),
            _megabytes(entry.size or entry.weights.files[0].size),
            f"{entry.weights.network}, {entry.weights.what}",
            entry.weights.licence,
        )
        for entry in held
    ]
    lines = aligned(("name", "state", "file", "MB", "what", "licence"), rows, right=("MB",))
    problems = [f"{entry.weights.name}: {printable(entry.problem)}" for entry in held if entry.problem]
    lines += ["", "official files, their addresses and sha256, as far as these are known:"]
    for file in (file for entry in held for file in entry.weights.files if file.addresses):
        lines += [f"  {file.name}  {file.sha256 or '(sum not known)'}", *(f"    {a}" for a in file.addresses)]
    lines += ["", *problems, *([""] if problems else []), format_folders()]
    return "\n".join(line.rstrip() for line in lines)


def format_folders() -> str:
    """Where weights are looked for, in that order."""
    given = given_folder()
    return "\n".join(
        [
            f"${VARIABLE}: {'not set' if given is None else printable(str(given))}",
            f"cache folder: {printable(str(weights_folder()))}",
        ]
    )


def _state(held: Held) -> str:
    if held.path is None:
        return "not here"
    if held.problem:
        return "unusable"
    return "checked" if held.checked else "here"


def _where(held: Held) -> str:
    if held.path is None:
        return "-"
    place = "cache folder" if held.path.parent == weights_folder() else f"${VARIABLE}"
    return f"{printable(held.path.name)} in {place}"


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f}" if size else "-"


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


def _indexed(catalog: Catalog) -> list[str]:
    held = list_features(catalog.folder / HOME / "features")
    if not held:
        return [f"Nothing is indexed yet: run snowmatch index {catalog.folder}"]
    rows = []
    for described in held:
        counts = Counter(state.state for state in catalog_state(catalog.data, described))
        rows.append((described["name"], options_text(described), *(str(counts[state]) for state in STATES)))
    return aligned(("extractor", "settings", *STATES), rows, right=STATES)
