"""The reader of stored features: many annotations, from the segments of one extractor's folder."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.files import read_file, unreadable
from snowmatch.core.types import Features
from snowmatch.features.checked import is_trusted, read_checks
from snowmatch.features.segments import COLUMNS, Segment, damaged_entry, features_folder, open_segments


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

    def __contains__(self, key: str) -> bool:
        return key in self._place

    def __len__(self) -> int:
        return len(self.keys)

    def read(self, key: str) -> Features:
        """Return a copy of the features of one annotation, after a check. Raises KeyError for an unknown key."""
        number, row = self._place[key]
        self._segments[number].fetch(row)
        entry = self._segments[number].entry(row)
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


def _folder_or_none(features: Path, described: Mapping[str, Any]) -> Path | None:
    return features_folder(features, described) if isinstance(described.get("name"), str) else None


def list_features(features: Path) -> list[dict[str, Any]]:
    """Return the settings of every extractor with stored features, sorted by the name of the folder."""
    found = []
    for folder in sorted(Path(features).glob("*-*")):
        if not any(folder.glob("features-*.h5")):
            continue
        path = folder / "settings.json"
        try:
            described = json.loads(read_file(path))
        except FileNotFoundError:
            raise _damaged_settings(path) from None
        except OSError as error:
            raise unreadable(path, error) from error
        except (ValueError, RecursionError) as error:
            raise _damaged_settings(path) from error
        if not isinstance(described, dict) or _folder_or_none(features, described) != folder:
            raise _damaged_settings(path)
        found.append(described)
    return found
