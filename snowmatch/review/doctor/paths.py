"""The names of a catalog's photos: whether the catalog can be copied to a computer with another system."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import PureWindowsPath

from snowmatch.catalog.positions import placed_paths
from snowmatch.core.text import counted, same_name
from snowmatch.review.doctor.finding import CHECK, HINT, Finding, Patient

LONGEST = 200  # characters of a path in the catalog: Windows allows 259 with the folders above the catalog
FORBIDDEN = frozenset('<>:"|?*\\')  # characters that no name on Windows can have
# Names that Windows keeps for itself, with any extension. Source: Microsoft, "Naming Files, Paths, and Namespaces"
KEPT = frozenset(["CON", "PRN", "AUX", "NUL", *(f"{port}{n}" for port in ("COM", "LPT") for n in range(1, 10))])


def findings_of_paths(patient: Patient) -> Iterator[Finding]:
    """Yield the findings about paths that differ only in case, that tell a position, or that Windows cannot hold."""
    paths = list(dict.fromkeys([*patient.photos, *(a.mask for a in patient.data.annotations if a.mask)]))
    alike: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        alike[same_name(path).casefold()].append(path)
    groups = [group for group in alike.values() if len(group) > 1]
    if groups:
        about = [a for group in groups for path in group for a in patient.photos.get(path, ())]
        text = f"{counted(len(groups), 'path')} written in two ways: one file on Windows and macOS"
        yield patient.finding("paths-alike", CHECK, text, [" and ".join(group) for group in groups], about)
    if placed := placed_paths(paths):
        text = f"{counted(len(placed), 'path')} with a position: answers and exports have the paths of photos"
        yield patient.finding("paths-with-positions", CHECK, text, sorted(set(placed.values())), (), count=len(placed))
    odd = {path: why for path in paths if (why := not_for_windows(path))}
    if odd:
        about = [a for path in odd for a in patient.photos.get(path, ())]
        text = f"{counted(len(odd), 'path')} that Windows cannot hold"
        yield patient.finding("paths-not-for-windows", HINT, text, [f"{p}: {why}" for p, why in odd.items()], about)


def not_for_windows(path: str) -> str:
    """Return why Windows cannot hold a file with this path inside a catalog; "" if it can."""
    for part in path.split("/"):
        if odd := sorted(c for c in set(part) if c in FORBIDDEN or ord(c) < 32):
            return f"{part!a} has {' '.join(map(ascii, odd))}"
        if part not in (".", "..") and part != part.rstrip(" ."):
            return f"{part!r} ends with a blank or a dot"
        if PureWindowsPath(part).name.split(".")[0].rstrip().upper() in KEPT:
            return f"{part!r} is a name that Windows keeps for itself"
    return f"{len(path)} characters, expected at most {LONGEST}" if len(path) > LONGEST else ""
