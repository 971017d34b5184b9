"""Which catalog is meant where none was named."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.home import HOME


def find_catalog(start: Path, environ: Mapping[str, str]) -> tuple[Path, str]:
    """The catalog meant when none was named, and which rule found it; SnowmatchError if there is none, or several.

    In this order: $SNOWMATCH_CATALOG; the nearest of `start` and its parents that was indexed; the only subfolder of
    `start` or of its `catalogs` folder that was indexed.
    """
    if given := environ.get("SNOWMATCH_CATALOG"):
        if not Path(given).is_dir():
            raise SnowmatchError(f"$SNOWMATCH_CATALOG is {given!r}, expected a catalog's folder: correct or unset it")
        return Path(given), "from $SNOWMATCH_CATALOG"
    start = Path(start).absolute()
    for folder in (start, *start.parents):
        if (folder / HOME).is_dir():
            return (
                folder,
                "the working directory" if folder == start else "the nearest folder above the working directory",
            )
    found = [f for parent in (start, start / "catalogs") for f in _subfolders(parent) if (f / HOME).is_dir()]
    if len(found) == 1:
        return found[0], "the only catalog below the working directory"
    if found:
        raise SnowmatchError(
            f"several catalogs below {start}: {', '.join(map(str, found))}: choose one of them", "choose-catalog"
        )
    raise SnowmatchError(
        f"no catalog in {start}, above or below it: name one, also by $SNOWMATCH_CATALOG; a folder of photos "
        "becomes one when it is indexed",
        "no-catalog",
    )


def _subfolders(folder: Path) -> list[Path]:
    try:
        return sorted(f for f in folder.iterdir() if f.is_dir())
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return []
