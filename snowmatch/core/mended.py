"""The list of files under `.snowmatch` that were damaged and were made again at once, as they had been.

Such damage changes no answer, so nothing else would tell it. But a disk that changes files without a power failure may
be failing. `doctor` tells the list; an index run tells and deletes it.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.files import make_folder, read_file
from snowmatch.core.home import HOME, mended_path
from snowmatch.core.notes import Note
from snowmatch.core.plain import read_summed_json, with_json_sum
from snowmatch.core.text import counted, listed

# Without waiting for the reader of a pipe that somebody has put there
_APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
LARGEST = 1 << 16  # bytes; a disk that damages file after file is told by the first of them as well


def keep_mended(path: Path) -> None:
    """Take note that a file was damaged; not if it is not below `.snowmatch`, or if the disk is full or read-only."""
    places = [above for above in path.parents if above.name == HOME]
    if not places:
        return
    said = {"file": path.relative_to(places[0]).as_posix(), "at": datetime.now(UTC).isoformat(timespec="seconds")}
    line = json.dumps(with_json_sum(said), sort_keys=True) + "\n"
    kept = mended_path(places[0].parent)
    with suppress(OSError, SnowmatchError):
        make_folder(kept.parent)  # not through a link
        if not kept.is_symlink() and (not kept.exists() or kept.stat().st_size < LARGEST):
            with open(os.open(kept, _APPEND, 0o666), "ab") as file:
                file.write(line.encode())


def note_on_mended(folder: Path) -> Note | None:
    """Return a note with the files that were damaged, each once with its last time; None without any.

    A list that is damaged or cannot be read counts as one of them.
    """
    found: dict[str, str] = {}
    kept = mended_path(folder)
    try:
        lines = read_file(kept).splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, SnowmatchError):
        lines = [b""]
    for line in lines:
        try:
            said = read_summed_json(line)
            found[str(said["file"])] = str(said["at"])
        except (ValueError, KeyError):
            found.setdefault(kept.name, "")
    if not found:
        return None
    text = (
        f"{counted(len(found), 'file')} under {HOME} {'was' if len(found) == 1 else 'were'} damaged and made again at "
        f"once ({listed(sorted(found), 3)}): no answer changed. A power failure does that; without one, the disk may "
        "be failing"
    )
    return Note("files-mended", text, {"count": len(found), "files": found})


def forget_mended(folder: Path) -> None:
    """Delete the list, after it was told."""
    with suppress(OSError):
        mended_path(folder).unlink()
