"""Checks of an importer. They need no file of its format: every importer meets files of other formats."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.imported import Imported
from snowmatch.core.plugins import Importer
from snowmatch.testing.plugins import all_after, is_complete, settings_are_frozen_fields

# Files that no importer fails on, by name
ODD: dict[str, bytes] = {
    "empty.csv": b"",
    "empty.json": b"",
    "half.json": b'{"images": [{"file": "a.jpg", "detections": [',
    "list.json": b"[1, 2]",
    "other.json": b'{"images": 3, "annotations": {}, "categories": null, "predictions": []}',
    "blank.csv": b"\n\n\n",
    "quotes.csv": b'path,individual\n"a.jpg,aika\n',
    "other.csv": b"colour,weight\nred,3\n",
    "latin.csv": "File,Name\nböse.jpg,Zoë\n".encode("latin-1"),
    "zeros.ddb": bytes(4096),
    "half.ddb": b"SQLite format 3\0" + bytes(50),
    "no.xlsx": b"PK\x03\x04 no spreadsheet",
    "photo.jpg": b"\xff\xd8\xff\xe0 half a photo",
}


@contextmanager
def odd_sources() -> Iterator[list[Path]]:
    """Make files and folders of no format at all, and a path that does not exist."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file, content in ODD.items():
            (folder / file).write_bytes(content)
        (folder / "nothing").mkdir()
        (folder / "datapackage.json").write_bytes(b'{"resources": [{"name": "media", "path": "../../secret"}]}')
        yield [*sorted(folder.iterdir()), folder, folder / "missing", folder / "missing.json"]


def importer_is_complete(importer: Importer) -> None:
    """Check that an importer is a dataclass, has every required member, and has methods with the right arguments."""
    is_complete("importers", importer)
    assert isinstance(importer.FORMAT, str), f"FORMAT is {importer.FORMAT!r}, expected what people call the format"
    assert importer.FORMAT.strip(), "FORMAT is empty, expected what people call the format"


def looking_never_fails(importer: Importer) -> None:
    """Check that `looks_like` returns 0 to 1 for anything, and knows that a missing file is of no format."""
    with odd_sources() as sources:
        for source in sources:
            try:
                score = importer.looks_like(source)
            except Exception as error:
                raise AssertionError(f"looks_like raises {type(error).__name__} ({error}) for {source.name}") from error
            assert 0 <= score <= 1, f"looks_like is {score!r} for {source.name}, expected 0 to 1"
            assert source.exists() or not score, f"looks_like is {score!r} for a file that does not exist"


def odd_sources_are_refused_in_words(importer: Importer) -> None:
    """Check that `read` returns rows or raises SnowmatchError, for any file or folder."""
    with odd_sources() as sources:
        for source in sources:
            _read(importer, source)


def reading_changes_nothing(importer: Importer) -> None:
    """Check that `read` and `looks_like` write no file, and give the same again."""
    with odd_sources() as sources:
        folder = sources[0].parent
        before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        for source in sources:
            importer.looks_like(source)
            assert _read(importer, source) == _read(importer, source), f"read gives two answers for {source.name}"
        after = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        assert before == after, f"files were changed: {sorted(set(before) ^ set(after)) or 'their contents'}"


def _read(importer: Importer, source: Path) -> Imported | str:
    try:
        found = importer.read(source)
    except SnowmatchError as error:
        return str(error)
    except Exception as error:
        raise AssertionError(f"read raises {type(error).__name__} ({error}) for {source.name}") from error
    assert isinstance(found, Imported), f"read returns {type(found).__name__} for {source.name}, expected Imported"
    names = [row.source_id for row in found.rows]
    assert len(set(names)) == len(names), f"two rows of {source.name} have one identifier"
    return found


IMPORTER_CHECKS: dict[str, Callable[[Importer], None]] = all_after(
    importer_is_complete,
    (settings_are_frozen_fields, looking_never_fails, odd_sources_are_refused_in_words, reading_changes_nothing),
)
