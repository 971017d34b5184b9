"""JSON files of other programs: read once, although several importers look at them."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

from snowmatch.core.errors import SnowmatchError

MOST = 1 << 30  # bytes of a file that is looked at; MegaDetector writes about 300 bytes a photo


def read_json(path: Path) -> object:
    """Return the content of a JSON file. Raises SnowmatchError if it cannot be read, or is not complete."""
    try:
        status = path.stat()
        return _loaded(path, status.st_mtime_ns, status.st_size)
    except OSError as error:
        raise SnowmatchError(f"{path} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise SnowmatchError(f"{path} is not text in UTF-8, expected a JSON file: export it again") from error
    except json.JSONDecodeError as error:
        raise SnowmatchError(
            f"{path} is not complete JSON ({error.msg}, line {error.lineno}, column {error.colno}): it may be half a "
            "file; export or copy it again"
        ) from error
    except (ValueError, RecursionError) as error:
        raise SnowmatchError(f"{path} cannot be read as JSON ({error}): export it again") from error


def json_object(path: Path) -> dict[str, object]:
    """Return the object in a JSON file; {} if the file is anything else. Never raises."""
    if path.suffix.lower() != ".json" or not path.is_file():
        return {}
    try:
        found = read_json(path) if path.stat().st_size <= MOST else {}
    except (SnowmatchError, OSError):
        return {}
    return found if isinstance(found, dict) else {}


@lru_cache(maxsize=1)
def _loaded(path: Path, changed: int, size: int) -> object:
    return json.loads(path.read_bytes().decode("utf-8-sig"))
