"""What the program can do and which networks are here, as text for the terminal."""

from __future__ import annotations

from dataclasses import fields

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.plugins import missing_packages, plugin_class, plugin_names
from snowmatch.core.text import aligned, printable
from snowmatch.matching.geometry.frames import Geometry
from snowmatch.models.cache import VARIABLE, Held, given_folder, held_weights, weights_folder


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
            about = (cls.__doc__ or "").strip().partition("\n")[0]
            lacking = " (needs pip install 'snowmatch[deep]')" if missing_packages(cls) else ""
            lines.append(f"  {name}: {about}{lacking}")
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
