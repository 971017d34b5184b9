"""The reader of stored features: many annotations, from the segments of one extractor's folder."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.files import read_file, replace_json, unreadable
from snowmatch.core.mended import keep_mended
from snowmatch.core.notes import Note
from snowmatch.core.text import counted, some
from snowmatch.core.types import Features
from snowmatch.features.checked import doubt, is_trusted, read_checks
from snowmatch.features.segments import (
    COLUMNS,
    Segment,
    damaged_entry,
    features_folder,
    open_segments,
    settings_in,
)

_NAME = re.compile(r".+-[0-9a-f]{12}")  # of a folder of features: the extractor, and the key of its settings


class FeatureReader:
    """The features that were stored when the reader was opened. Later writes do not change them.

    described: the settings of the extractor. keys: (A,) 32 hex digits each, sorted.
    counts: (A,) int64, number of keypoints. image_sizes: (A, 2) int32.
    dimension, dtype, frames: of the descriptors, and whether there are shapes; 0, uint8 and False without keys.
    trusted: whether each file need not be checked.
    """

    def __init__(self, described: Mapping[str, Any], segments: Sequence[Segment], trusted: Sequence[bool]) -> None:
        self._segments, self._trusted = segments, trusted
        keys = np.concatenate([np.zeros(0, "S32"), *(s.keys for s in segments)])
        number = np.concatenate([np.zeros(0, np.int64), *(np.full(len(s.keys), i) for i, s in enumerate(segments))])
        row = np.concatenate([np.zeros(0, np.int64), *(np.arange(len(s.keys)) for s in segments)])
        counts = np.concatenate([np.zeros(0, np.int64), *(np.diff(s.offsets) for s in segments)])
        sizes = np.concatenate([np.zeros((0, 2), np.int32), *(s.image_sizes for s in segments)])
        keys, first = np.unique(keys, return_index=True)  # a key in two segments has the same content in both
        self.keys: tuple[str, ...] = tuple(keys.astype("U32").tolist())
        self.counts = counts[first]
        self.image_sizes = sizes[first]
        self._place = dict(zip(self.keys, zip(number[first].tolist(), row[first].tolist(), strict=True), strict=True))
        descriptors = segments[0].columns["descriptors"] if segments else np.zeros((0, 0), np.uint8)
        self.dimension, self.dtype = descriptors.shape[1], descriptors.dtype
        self.frames = bool(segments) and "shapes" in segments[0].columns
        self.described = dict(described)
        self._checked: dict[str, list[np.ndarray]] = {}  # by column: which annotations of each segment were checked

    def __reduce__(self) -> tuple[Any, ...]:
        """In another process, it reads the same files, and what was stored since."""
        if not self._segments:
            return FeatureReader, (self.described, (), ())
        return open_features, (self._segments[0].path.absolute().parent.parent, self.described)

    @property
    def files(self) -> tuple[tuple[str, tuple[int, ...]], ...]:
        """What changes when a file is written anew, also one of the same name."""
        return tuple((segment.path.name, segment.stamp) for segment in self._segments)

    def __contains__(self, key: str) -> bool:
        return key in self._place

    def __len__(self) -> int:
        return len(self.keys)

    def read(self, key: str) -> Features:
        """Return a copy of the features of one annotation, after a check. Raises KeyError for an unknown key."""
        number, row = self._place[key]
        segment = self._segments[number]
        segment.fetch(row)
        try:
            entry = segment.entry(row)
        except SnowmatchError:
            doubt(segment.path)
            raise
        arrays = {name: np.array(array) for name, array in entry.arrays.items()}
        shapes = arrays.pop("shapes", None)
        size = (int(entry.image_size[0]), int(entry.image_size[1]))
        return Features(**arrays, shapes=shapes, image_size=size)

    def column(self, name: str, keys: Iterable[str]) -> list[np.ndarray]:
        """Return one array of each annotation, as read-only views of the mapped files. No keys give [].

        name: keypoints, descriptors, scores, scales, oris or (if `frames`) shapes. Each array is checked when it is
        read for the first time, unless its file is trusted (see `checked.py`). Raises KeyError for an unknown key, and
        SnowmatchError for a damaged array.
        """
        if name not in COLUMNS or (name == "shapes" and self.keys and not self.frames):
            raise ValueError(f"no column {name!r}, there are {', '.join(COLUMNS[: 6 if self.frames else 5])}")
        if name not in self._checked:
            pairs = zip(self._segments, self._trusted, strict=True)
            self._checked[name] = [np.full(len(segment.keys), trusted) for segment, trusted in pairs]
        checked = self._checked[name]
        found = []
        for number, row in (self._place[key] for key in keys):
            segment = self._segments[number]
            if not checked[number][row]:
                segment.fetch(row, [name])
                if not segment.is_sound(row, [name]):
                    doubt(segment.path)
                    raise damaged_entry(segment.path, segment.described)
                checked[number][row] = True
            found.append(segment.columns[name][segment.offsets[row] : segment.offsets[row + 1]])
        return found

    def places(self, name: str, keys: Sequence[str]) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
        """Return the arrays of one column in all files, and for each of K annotations the number of its array (K,) and
        its first row there (K,). Nothing is checked: `column` checks. Raises KeyError for an unknown key.
        """
        placed = np.array([self._place[key] for key in keys], np.int64).reshape(-1, 2)
        firsts = [segment.offsets for segment in self._segments]
        first = np.zeros(len(placed), np.int64)
        for number in np.unique(placed[:, 0]):
            mine = placed[:, 0] == number
            first[mine] = firsts[number][placed[mine, 1]]
        return [segment.columns[name] for segment in self._segments], placed[:, 0], first


def open_features(features: Path, described: Mapping[str, Any]) -> FeatureReader:
    """Return a reader for the extractor with these settings. Without stored features it has no keys.

    features: the folder of all extractors. Raises SnowmatchError if a file is damaged or a newer snowmatch wrote it.
    """
    folder = features_folder(features, described)
    segments, checks = open_segments(folder, described), read_checks(folder)
    return FeatureReader(described, segments, [is_trusted(s.path, checks.get(s.path.name)) for s in segments])


def _damaged_settings(path: Path) -> SnowmatchError:
    name = path.parent.name.rpartition("-")[0]
    return SnowmatchError(
        f"{path} is missing or damaged: index again with the extractor {name} and its settings, which writes the file "
        "again and keeps the features",
        "damaged-settings",
        extractor=name,
    )


def _settings_of(folder: Path) -> dict[str, Any] | None:
    """Return the settings that belong to a folder of features; None if none do. A damaged file of settings is written
    again from what the files of features hold.
    """
    if _NAME.fullmatch(folder.name) is None:
        return None
    path = folder / "settings.json"
    try:
        described = json.loads(read_file(path))
    except FileNotFoundError:
        described = None
    except OSError as error:
        raise unreadable(path, error) from error
    except (ValueError, RecursionError):
        described = None
    if _belong(described, folder):
        return dict(described)
    for segment in sorted(folder.glob("features-*.h5")):
        described = settings_in(segment)
        if described is not None and _belong(described, folder):
            with suppress(SnowmatchError, OSError):  # on a read-only disk it stays as it is
                replace_json(path, described)
                keep_mended(path)
            return described
    return None


def _belong(described: Any, folder: Path) -> bool:
    """Return whether these are the settings of the features in a folder: its name tells."""
    named = isinstance(described, dict) and isinstance(described.get("name"), str)
    return named and features_folder(folder.parent, described) == folder


def unused_features(features: Path) -> list[Path]:
    """Return the folders with features that are not used, because no settings belong to them."""
    return [folder for folder in _folders(features) if _settings_of(folder) is None]


def unused_note(folders: Sequence[Path]) -> Note:
    """Return the note on folders of `unused_features`."""
    text = f"{counted(len(folders), 'folder')} of features not used, because no settings belong to them: remove "
    return Note("features-unused", text + some(folders), {"folders": [str(folder) for folder in folders]})


def _folders(features: Path) -> list[Path]:
    return [folder for folder in sorted(Path(features).glob("*-*")) if any(folder.glob("features-*.h5"))]


def list_features(features: Path) -> list[dict[str, Any]]:
    """Return the settings of every extractor with stored features, sorted by the name of the folder.

    Folders of `unused_features` are left out. Raises SnowmatchError if there are no others.
    """
    folders = _folders(features)
    found = [described for folder in folders if (described := _settings_of(folder)) is not None]
    if folders and not found:
        raise _damaged_settings(folders[0] / "settings.json")
    return found
