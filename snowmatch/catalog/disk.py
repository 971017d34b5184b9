"""What the files that snowmatch keeps about a catalog take on disk."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from snowmatch.core.home import database_path, features_path, home_of, indexes_path, opened_path


def disk_sizes(folder: Path) -> dict[str, int]:
    """Return the bytes of each kind of kept files, by its name; nothing for kinds that take none."""
    parts = {
        "features": features_path(folder),
        "search index": indexes_path(folder),
        "database": database_path(folder),
        "opened catalog": opened_path(folder),
        "previews": home_of(folder) / "previews",
    }
    return {name: size for name, path in parts.items() if (size := _bytes_of(path))}


def told_sizes(sizes: dict[str, int], annotations: int) -> str:
    """Return sizes as text, with the bytes an annotation."""
    told = ", ".join(f"{name} {size / 1e6:.1f} MB" for name, size in sizes.items()) or "nothing"
    return f"{told}; {sum(sizes.values()) / max(annotations, 1) / 1e3:.0f} kB an annotation"


def _bytes_of(path: Path) -> int:
    """Return the size of a file, or of all files in a folder; 0 if it does not exist."""
    size = 0
    for file in [path] if path.is_file() else [Path(at, name) for at, _, names in os.walk(path) for name in names]:
        with suppress(FileNotFoundError):  # the app, or another run, has deleted it meanwhile
            size += file.stat().st_size
    return size
