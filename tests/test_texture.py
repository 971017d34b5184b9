"""The texture that the first half of EfficientNet-Lite0 sees, with its real weights."""

import numpy as np
import pytest
from fake_extractor import Fake
from PIL import Image

from snowmatch.catalog.load import CatalogData
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.files import file_sha256
from snowmatch.core.home import middle_path
from snowmatch.core.types import Annotation
from snowmatch.features.indexing import index_catalog
from snowmatch.models import cache
from snowmatch.models.cache import weights_are_here
from snowmatch.screening.classifiers.efficientnet_lite0 import FILE, see_texture, texture_is_here, texture_weights
from snowmatch.screening.mapping import LEAST_PHOTOS
from snowmatch.screening.stored_maps import open_maps


@pytest.fixture(autouse=True)
def weights(installed):
    """Use the weights of the installed package."""
    if not weights_are_here("efficientnet-lite0"):
        pytest.skip("no weights of EfficientNet-Lite0")


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize(
    ("size", "cells"), [((480, 672), (30, 42)), ((1500, 2000), (32, 42)), ((100, 200), (21, 42)), ((2, 900), (1, 42))]
)
def test_a_cell_has_sixteen_px_of_the_small_copy(size, cells):
    found = see_texture(noise(*size))
    assert found.shape == (152, *cells)
    assert found.dtype == np.float32
    assert np.isfinite(found).all()


def test_texture_is_told_from_other_texture_at_its_place():
    photo = np.full((480, 672, 3), 120, np.uint8)
    photo[160:320, 320:480] = noise(160, 160)
    away = np.linalg.norm(see_texture(photo) - see_texture(np.full_like(photo, 120)), axis=0)
    assert away[11:19, 21:29].min() > 3 * away[:6].max()


def test_the_onnx_file_has_no_texture(monkeypatch, tmp_path):
    folder = tmp_path / "weights"
    folder.mkdir()
    (folder / "efficientnet-lite0.onnx").write_bytes(b"of no use")
    monkeypatch.setenv("SNOWMATCH_WEIGHTS", str(folder))
    assert texture_is_here()  # the package has the other file
    assert texture_weights().suffix == ".pth"
    monkeypatch.setattr(cache, "_in_package", lambda file: None)
    assert not texture_is_here()
    with pytest.raises(SnowmatchError, match="are not on this computer"):
        see_texture(noise(64, 64))


def test_a_wrong_file_is_told_where_it_is_needed(monkeypatch, tmp_path):
    (tmp_path / FILE).write_bytes(b"of no use")
    monkeypatch.setenv("SNOWMATCH_WEIGHTS", str(tmp_path))
    assert not texture_is_here()
    with pytest.raises(SnowmatchError, match=FILE):
        see_texture(noise(64, 64))


@pytest.mark.slow
def test_worker_processes_learn_the_same_middle_of_photos(tmp_path):
    learned, maps = [], []
    for workers in (1, 2):
        folder = tmp_path / str(workers)
        folder.mkdir()
        rows = []
        for n in range(LEAST_PHOTOS):
            Image.fromarray(noise(60, 80, n)).save(folder / f"{n}.png")
            rows.append(Annotation(n, f"{n}.png", encounter=f"E{n}"))
        index_catalog(CatalogData(folder, tuple(rows), ()), Fake(), workers)
        learned.append(middle_path(folder).read_bytes())
        maps.append(open_maps(folder).checksums.tolist())
        assert set(open_maps(folder).evidence([file_sha256(folder / row.path) for row in rows])) == {"middle"}
    assert learned[0] == learned[1]
    assert maps[0] == maps[1]
