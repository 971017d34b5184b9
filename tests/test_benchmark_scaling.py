"""The benchmarks of large catalogs run, on very small ones."""

import json
import sys
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest

from snowmatch.api import open_catalog
from snowmatch.core.errors import SnowmatchError
from snowmatch.matching import gallery_foreground as foreground_module

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
PHOTOS, FEATURES = 3, 150


@pytest.fixture(autouse=True)
def _import_path(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))


@pytest.fixture
def pool(tmp_path):
    """A file of features, as of some photos of 640 x 480 px."""
    rng = np.random.default_rng(0)
    rows = PHOTOS * FEATURES
    np.savez(
        tmp_path / "pool.npz",
        sizes=np.full((PHOTOS, 2), (640, 480)),
        offsets=np.arange(PHOTOS + 1) * FEATURES,
        keypoints=(rng.random((rows, 2)) * (640, 480)).astype(np.float32),
        descriptors=rng.integers(0, 120, (rows, 128), np.uint8),
        scores=rng.random(rows).astype(np.float32),
        scales=np.full(rows, 6, np.float32),
        oris=np.zeros(rows, np.float32),
        shapes=np.tile(np.array([1, 0, 1], np.float32), (rows, 1)),
    )
    return tmp_path / "pool.npz"


@pytest.mark.slow
@pytest.mark.parametrize("scenery", [0.0, 0.4])
def test_a_large_catalog_is_drawn_indexed_and_asked(pool, tmp_path, monkeypatch, scenery):
    import scaling_large

    words = ["--pool", pool, "--work", tmp_path / "work", "--out", tmp_path / "out.json", "--sizes", "80"]
    words += f"--features {FEATURES} --workers 2 --left-only --asked 2 --sample 2 --try-mb 16".split()
    scaling_large.main(
        [str(word) for word in [*words, "--scenery", scenery, "--shared", "0.5,0.6", "--sample", "0", "--keep"]]
    )
    (step,) = json.loads((tmp_path / "out.json").read_text())["steps"]
    assert "exact" not in step
    scaling_large.main([str(word) for word in [*words, "--kept"]])
    (step,) = json.loads((tmp_path / "out.json").read_text())["steps"]
    parts = {name: value for name, value in step.items() if isinstance(value, dict)}
    assert set(parts) == {"draw", "build_left_flank", "cold", "warm", "exact", "add"}
    assert not [name for name, value in parts.items() if "failed" in value]
    assert step["warm"]["right"] == step["warm"]["asked"] == 3
    gallery = open_catalog(tmp_path / "work" / "catalog").session(extractor="hesaff").gallery
    left = np.array([n for n, a in enumerate(gallery.annotations) if a.body_part == "left_flank"])
    assert len(left) == 40
    monkeypatch.setattr(foreground_module, "MANY_ROWS", 0)  # then scenery is not searched
    searched = np.concatenate(gallery.foreground.searched(left))
    assert searched.mean() == pytest.approx(1 - scenery, abs=0.05)


def test_a_large_catalog_is_drawn_in_empty_folders_only(tmp_path):
    import scaling_large

    kept = tmp_path / "bench" / "levels.json"
    kept.parent.mkdir()
    kept.write_text("[]")
    for words in (["--work", kept.parent], ["--work", tmp_path / "work", "--features-at", kept.parent]):
        with pytest.raises(SnowmatchError, match="bench contains files"):
            scaling_large.main([str(word) for word in [*words, "--out", tmp_path / "out.json"]])
    assert kept.exists()


def test_only_what_was_drawn_is_deleted(tmp_path, monkeypatch):
    import scaling_large

    work, elsewhere = tmp_path / "work", tmp_path / "disk"
    drawn = [work / "catalog" / ".snowmatch" / "a", work / "datasets" / "a", elsewhere / "features" / "a"]
    others = [work / "large.json", elsewhere / "photo.jpg"]
    for path in (*drawn, work / "pool.npz", *others):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    given = Namespace(work=work, features_at=elsewhere / "features")
    features = work / "catalog" / ".snowmatch" / "features"
    features.symlink_to(elsewhere / "features")  # as if it were mounted
    monkeypatch.setattr(scaling_large.subprocess, "run", lambda *_, **__: Namespace(returncode=32))
    with pytest.raises(SnowmatchError, match="is still mounted"):
        scaling_large.remove(given)
    assert all(path.exists() for path in drawn)
    features.unlink()
    scaling_large.remove(given)
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == sorted(others)


@pytest.mark.slow
def test_a_growing_catalog_is_measured(tmp_path):
    import scaling
    from store import read_runs

    words = ["--dataset", "synthetic,individuals=2,encounters=2,stations=2", "--sizes", "60", "--features", "100"]
    scaling.main([*words, "--work", str(tmp_path / "work"), "--out", str(tmp_path / "out.json")])
    (run,) = read_runs(tmp_path / "out.json")
    assert run["descriptors"] == 60 * 100
    assert run["open"] > 0
    assert run["add"] > 0


def test_a_catalog_drawn_with_other_settings_is_drawn_anew(tmp_path, monkeypatch):
    import scaling

    drawn = []

    def run(step, folder, *given):
        if step is scaling.make_catalog:
            drawn.append(given[1:])
            folder.mkdir(exist_ok=True)
        if step.__name__ in stopped:
            raise SnowmatchError("stopped")
        return {}

    monkeypatch.setattr(scaling, "in_process", run)
    monkeypatch.setattr(scaling, "prepare", lambda *_: Namespace(folder=tmp_path))
    words = ["--work", str(tmp_path), "--out", str(tmp_path / "out.json"), "--sizes", "60", "--keep", "--features"]
    for contents, features, stopped in (
        ("one", "100", ["build"]),
        ("one", "100", ["build"]),  # goes on with the same catalog
        ("one", "200", ["build"]),
        ("other", "200", []),
        ("other", "200", ["build"]),  # a photo was added to the one before
    ):
        monkeypatch.setattr(scaling, "contents_of", lambda _, contents=contents: contents)
        if stopped:
            with pytest.raises(SnowmatchError, match="stopped"):
                scaling.main([*words, features])
        else:
            scaling.main([*words, features])
    assert drawn == [(60, 100), (60, 200), (60, 200), (60, 200)]


@pytest.mark.slow
def test_the_lists_of_a_large_part_are_searched(monkeypatch, capsys):
    import large_scan

    for words in (["--rows", "20000"], ["--rows", "20000", "--workers", "2"]):
        monkeypatch.setattr(sys, "argv", ["large_scan.py", "--asked", "10", *words])
        large_scan.main()
    alone, shared = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert alone["rows"] == shared["rows"] == 20000
    assert shared["blocks"] == 1


@pytest.mark.slow
def test_features_for_drawn_catalogs_are_made_of_a_dataset(tmp_path):
    import large_catalog

    dataset = "synthetic,individuals=2,encounters=2,stations=2"
    large_catalog.make_pool(
        Namespace(dataset=dataset, data=tmp_path, work=tmp_path, workers=1, pool=tmp_path / "pool.npz")
    )
    made = np.load(tmp_path / "pool.npz")
    assert made["offsets"][-1] == len(made["descriptors"]) == len(made["shapes"]) > 1000
    assert len(made["sizes"]) == len(made["offsets"]) - 1
