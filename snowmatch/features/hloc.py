"""Stored features as an HDF5 file of hloc. Source: cvg/Hierarchical-Localization, extract_features.py."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from mmap import ACCESS_READ, mmap

import h5py
import numpy as np

from snowmatch.core.types import Features
from snowmatch.features.reader import FeatureReader

NORM = 512  # of uint8 descriptors


def hloc_file(reader: FeatureReader, photos: Mapping[str, Sequence[str]]) -> mmap:
    """Return the content of a file with a group for each photo, in the order of `photos`.

    photos: the keys of each photo's annotations, by the name of its group; features of several animals are joined. A
    group has keypoints (N, 2) float32 in px of the upright photo, descriptors (D, N) and scores (N,) float16, and
    image_size (width, height). The same features give the same bytes. Raises KeyError for an unknown key.
    """
    with tempfile.TemporaryFile() as file:
        with h5py.File(file, "w", libver="latest", track_order=True) as store:
            store.attrs["extractor"] = str(reader.described.get("name", ""))
            store.attrs["upright"] = True  # keypoints are of the photo as EXIF turns it; hloc reads photos unturned
            for name, keys in photos.items():
                _write(store.create_group(name), [reader.read(key) for key in keys])
        file.flush()
        return mmap(file.fileno(), 0, access=ACCESS_READ)


def _write(group: h5py.Group, several: Sequence[Features]) -> None:
    descriptors = np.concatenate([f.descriptors for f in several])
    values = descriptors.astype(np.float32) / (NORM if descriptors.dtype == np.uint8 else 1)
    group["keypoints"] = np.concatenate([f.keypoints for f in several]).astype(np.float32)
    group["descriptors"] = np.ascontiguousarray(values.T).astype(np.float16)
    group["scores"] = np.concatenate([f.scores for f in several]).astype(np.float16)
    group["image_size"] = np.array(several[0].image_size, np.int64)
