"""Checks of an exporter. It meets a small survey without photos."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from mmap import mmap
from pathlib import Path, PurePosixPath

from snowmatch.api import open_catalog
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.plugins import Exporter
from snowmatch.interchange.exporting import Export
from snowmatch.survey.coordinates import Coordinates
from snowmatch.survey.run import Survey, make_survey
from snowmatch.testing.plugins import all_after, is_complete, settings_are_frozen_fields

WAYS = ("needed", "optional", "never")  # whether a format has positions of stations
CATALOG = """path,individual,body_part,location,station,timestamp,encounter
0.jpg,aika,left_flank,naryn,S1,2023-05-02T10:00:00,e1
1.jpg,aika,right_flank,naryn,S2,2023-05-08T03:00:00,e2
2.jpg,bars,left_flank,naryn,S1,2023-05-09T04:00:00,e3
3.jpg,,left_flank,naryn,S2,2023-05-12T05:00:00,e4
"""
STATIONS = """station,location,x,y,from,to
S1,naryn,76.10,41.50,2023-05-01,2023-05-30
S2,naryn,76.20,41.52,2023-05-01,2023-05-30
"""


def exporter_is_complete(exporter: Exporter) -> None:
    """Check that an exporter is a dataclass, has every required member, and has methods with the right arguments."""
    is_complete("exporters", exporter)
    way = exporter.COORDINATES
    assert way in WAYS, f"COORDINATES is {way!r}, expected one of {', '.join(WAYS)}"
    for name in ("COUNTS", "DRAWS"):
        value = getattr(exporter, name, False)
        assert isinstance(value, bool), f"{name} is {value!r}, expected True or False"


@contextmanager
def small_survey() -> Iterator[Survey]:
    """Make the survey of a small catalog without photos."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "catalog.csv").write_text(CATALOG, encoding="utf-8")
        (folder / "stations.csv").write_text(STATIONS, encoding="utf-8")
        yield make_survey(open_catalog(folder).data)


def files_have_names_and_bytes(exporter: Exporter) -> None:
    """Check that `files` returns bytes by relative names, or raises SnowmatchError for what the survey lacks."""
    with small_survey() as survey:
        _files(exporter, survey)


def the_same_survey_gives_the_same_files(exporter: Exporter) -> None:
    """Check that `files` gives the same bytes again, and changes no file of the catalog."""
    with small_survey() as survey:
        before = _contents(survey.data.folder)
        first, again = _files(exporter, survey), _files(exporter, survey)
        assert first.keys() == again.keys(), f"the second export has other files: {sorted(set(first) ^ set(again))}"
        other = [file for file in first if first[file] != again[file]]
        assert not other, f"the second export has other bytes in {', '.join(other)}"
        after = _contents(survey.data.folder)
        assert before == after, f"files were changed: {sorted(set(before) ^ set(after)) or 'their contents'}"


def _files(exporter: Exporter, survey: Survey) -> dict[str, bytes]:
    """Return the files of an export; none if the format needs what the survey lacks."""
    try:
        found = exporter.files(Export(survey, None if exporter.COORDINATES == "never" else Coordinates()))
    except SnowmatchError:
        return {}
    except Exception as error:
        raise AssertionError(f"files raises {type(error).__name__} ({error}), expected SnowmatchError") from error
    assert isinstance(found, Mapping), f"files returns {type(found).__name__}, expected the contents by name"
    for name, content in found.items():
        path = PurePosixPath(name)
        inside = name and not path.is_absolute() and ".." not in path.parts and "\\" not in name
        assert inside, f"a file is called {name!r}, expected a relative name"
        assert isinstance(content, bytes | mmap), f"{name} is {type(content).__name__}, expected bytes"
    return {name: bytes(content) for name, content in found.items()}


def _contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


EXPORTER_CHECKS: dict[str, Callable[[Exporter], None]] = all_after(
    exporter_is_complete,
    (settings_are_frozen_fields, files_have_names_and_bytes, the_same_survey_gives_the_same_files),
)
