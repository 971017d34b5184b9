"""Output folders of surveys and exports, with a manifest of what made the files, which is written last."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from mmap import mmap
from pathlib import Path
from typing import Any

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.files import file_sha256, replace_file
from snowmatch.core.outputs import check_folder, check_outside
from snowmatch.core.plain import plain
from snowmatch.core.text import some
from snowmatch.core.version import __version__
from snowmatch.survey.coordinates import Coordinates
from snowmatch.survey.run import Survey

MANIFEST = "manifest.json"
UNFINISHED = "replaced"  # in the manifest of a run that is at work, or was killed: the files before, with their sums
SCHEMA = "snowmatch.files/1"
COUNTED = ("settings", "captures", "individuals", "flanks_left_out", "left_out", "notes")  # in a manifest: of a count


def survey_manifest(survey: Survey, coordinates: Coordinates | None, more: Mapping[str, Any]) -> dict[str, Any]:
    """Return what made some files: version, settings, the hash of the decisions, what was left out and why.

    The hash is that of the decision added last, as it was read: others may have been added since.
    """
    head = survey.identities.stored.head if survey.identities is not None else ""
    return {
        "schema": SCHEMA,
        "snowmatch": __version__,
        **more,
        "catalog": survey.data.folder.resolve().name,
        "decisions_hash": head or None,
        "settings": dict(survey.settings),
        "coordinates": "none" if coordinates is None else coordinates.text,
        "captures": len({c.cell for c in survey.captures}),
        "individuals": len({c.individual for c in survey.captures}),
        "flanks_left_out": len(survey.all_captures) - len(survey.seen),
        "left_out": [
            {
                "individual": e.individual,
                "encounter": e.encounter,
                "station": e.station,
                "location": e.location,
                "reason": e.reason,
            }
            for e in survey.left_out
        ],
        "notes": [note.text for note in survey.notes],
    }


def check_output(
    folder: Path, catalog: Path, names: Sequence[str], manifest: Mapping[str, Any], *, force: bool
) -> None:
    """Raise SnowmatchError unless files with these names may be written in `folder`.

    Files that a manifest there names, unchanged since, may be replaced, if it is of the same command and format as
    `manifest`. force: all may, but nothing in a catalog.
    """
    ours = _own_files(folder)
    if ours:  # an exported catalog.csv makes no catalog of the folder
        check_outside(folder.resolve().parent, catalog)
    else:
        check_folder(folder, catalog)
    other = _kind(_manifest_in(folder))
    if not force and other != _kind(manifest) and any((folder / name).exists() for name in ours):
        raise SnowmatchError(f"{folder} holds {other}: choose another folder", "output-exists")
    foreign = [n for n in (*names, MANIFEST) if (folder / n).exists() and not (n == MANIFEST and ours)]
    foreign = [n for n in foreign if n not in ours or file_sha256(folder / n) not in ours[n]]
    if foreign and not force:
        raise SnowmatchError(
            f"{folder} has {some(foreign)}, which snowmatch did not write or somebody edited: choose another folder",
            "output-exists",
        )


def write_output(
    folder: Path, catalog: Path, files: Mapping[str, bytes | mmap], manifest: Mapping[str, Any], *, force: bool
) -> None:
    """Write files and their manifest into a folder, which is made. Unchanged files of an earlier run of the same
    command and format are removed.

    The manifest is written last. Before the first file, one is written that names the old and the new files: if this
    run is killed, the next one knows whose they are. Raises as `check_output` does.
    """
    check_output(folder, catalog, list(files), manifest, force=force)
    text = manifest_text(manifest, files)
    before = _own_files(folder)
    if _kind(_manifest_in(folder)) != _kind(manifest):
        before = {name: sums for name, sums in before.items() if name in files}  # the others are not ours to remove
    unfinished = {**json.loads(text), UNFINISHED: {name: sorted(sums) for name, sums in before.items()}}
    replace_file(folder / MANIFEST, lambda file: file.write(json.dumps(unfinished).encode()))
    for name, content in files.items():
        replace_file(folder / name, lambda file, content=content: file.write(content))  # type: ignore[misc]
    for name in before.keys() - files.keys():
        if (folder / name).is_file() and file_sha256(folder / name) in before[name]:
            (folder / name).unlink()
    replace_file(folder / MANIFEST, lambda file: file.write(text))


def manifest_text(manifest: Mapping[str, Any], files: Mapping[str, bytes | mmap]) -> bytes:
    """Return the manifest of some files as JSON, with their sums."""
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in sorted(files.items())}
    return (json.dumps(plain({**manifest, "files": sums}), indent=2, ensure_ascii=False) + "\n").encode()


def _manifest_in(folder: Path) -> dict[str, Any]:
    """Return the manifest in `folder`; {} without one of ours."""
    try:
        values: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        return values if values["schema"] == SCHEMA else {}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}


def _kind(manifest: Mapping[str, Any]) -> str:
    """Return what the files of a manifest are, by its command and format."""
    chosen = manifest.get("format")
    name = chosen.get("name") if isinstance(chosen, Mapping) else None
    return f"an export as {name}" if name else f"what snowmatch {manifest.get('command')} writes"


def _own_files(folder: Path) -> dict[str, set[str]]:
    """Return what the manifest in `folder` names: the files and what sha256 they may have; {} without one of ours.

    A file has two of them if a run that replaced it was killed.
    """
    values = _manifest_in(folder)
    try:
        found = {n: {s} for n, s in values["files"].items() if isinstance(s, str) and n == Path(n).name}
        for name, sums in values.get(UNFINISHED, {}).items():
            if name == Path(name).name:
                found.setdefault(name, set()).update(s for s in sums if isinstance(s, str))
        return found
    except (KeyError, TypeError, AttributeError):
        return {}
