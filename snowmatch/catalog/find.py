"""The search for a catalog if the user names none."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.home import HOME


def find_catalog(start: Path, environ: Mapping[str, str]) -> tuple[Path, str]:
    """Return the folder of the catalog to use if the user names none, and the rule that found it.

    The rules, in this order: $SNOWMATCH_CATALOG; the nearest indexed folder among `start` and its parents; the only
    indexed subfolder of `start` or of `start/catalogs`. Raises SnowmatchError if none or several are found.
    """
    if given := environ.get("SNOWMATCH_CATALOG"):
        if not Path(given).is_dir():
            raise SnowmatchError(
                f"$SNOWMATCH_CATALOG is {given!r}, expected a catalog's folder: correct the variable or unset it"
            )
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
            f"found several catalogs below {start}: {', '.join(map(str, found))}; name one of them", "choose-catalog"
        )
    raise SnowmatchError(
        f"found no catalog in {start}, above it or below it: name one, or set $SNOWMATCH_CATALOG; a folder of photos "
        "becomes a catalog when it is indexed",
        "no-catalog",
    )


def _subfolders(folder: Path) -> list[Path]:
    try:
        return sorted(f for f in folder.iterdir() if f.is_dir())
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return []
