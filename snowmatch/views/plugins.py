"""The plugins and the pretrained networks as text for the terminal."""

from __future__ import annotations

from dataclasses import fields

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.plugins import KINDS, installed_by, missing_packages, plugin_class, plugin_names, usable_plugins
from snowmatch.core.text import aligned, printable
from snowmatch.matching.geometry.frames import Geometry
from snowmatch.models.cache import VARIABLE, Held, given_folder, held_weights, weights_folder


def format_plugins() -> str:
    """Return every plugin, and the geometric check, with their settings and defaults, as text."""
    lines = []
    for kind in KINDS:
        lines.append(f"{kind.capitalize()}:")
        for name in plugin_names(kind):
            try:
                cls = plugin_class(kind, name)
            except SnowmatchError as error:
                lines.append(f"  {name}: {error}")
                continue
            about = (cls.__doc__ or "").strip().partition("\n")[0]
            missing = missing_packages(cls)
            lacking = f" (needs pip install {installed_by(missing[0])})" if missing else ""
            lines.append(f"  {name}: {about}{lacking}")
            lines += [f"    -o {f.name}={f.default}" for f in fields(cls)]
    lines += ["Geometric check:", *(f"    -o {f.name}={f.default:g}" for f in fields(Geometry))]
    return "\n".join(lines)


def extractor_names() -> list[str]:
    """Return the names of all extractors that can be loaded and whose packages are installed."""
    return list(usable_plugins("extractors"))


def format_weights() -> str:
    """Return a table of the pretrained networks, and under it addresses, problems and the folders for weights.

    The table shows whether this computer has the file of each network.
    """
    held = held_weights()
    rows = [
        (
            printable(entry.weights.name),
            entry.state,
            _where(entry),
            _megabytes(entry.size or entry.weights.files[0].size),
            f"{entry.weights.network}, {entry.weights.what}",
            entry.weights.licence,
        )
        for entry in held
    ]
    lines = aligned(("name", "state", "file", "MB", "what", "licence"), rows, right=("MB",))
    problems = [f"{entry.weights.name}: {printable(entry.problem)}" for entry in held if entry.problem]
    lines += ["", "Official files with checksum (sha256) and addresses:"]
    for file in (file for entry in held for file in entry.weights.files if file.addresses):
        lines += [f"  {file.name}  {file.sha256 or '(checksum unknown)'}", *(f"    {a}" for a in file.addresses)]
    lines += ["", *problems, *([""] if problems else []), format_folders()]
    return "\n".join(line.rstrip() for line in lines)


def format_folders() -> str:
    """Return the places that are searched for weights, in the order of the search."""
    given = given_folder()
    return "\n".join(
        [
            f"${VARIABLE}: {'not set' if given is None else printable(str(given))}",
            f"cache folder: {printable(str(weights_folder()))}",
        ]
    )


def _where(held: Held) -> str:
    if held.path is None:
        return "-"
    if held.path.parent == weights_folder():
        place = "cache folder"
    else:
        place = f"${VARIABLE}" if held.path.parent == given_folder() else "installed package"
    return f"{printable(held.path.name)} in {place}"


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f}" if size else "-"
