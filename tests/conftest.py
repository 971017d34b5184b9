"""Fixtures and helpers that many tests share, such as a small synthetic survey that is indexed once a run."""

import csv
import hashlib
import importlib.util
import os
import shutil
import sys
import time
from pathlib import Path

# Containers often forbid compiled modules. Each of many processes would compile the package again
if os.environ.pop("PYTHONDONTWRITEBYTECODE", ""):
    sys.dont_write_bytecode = False
# The arrays of tests are small: other threads take longer to wake than to work. Tests of threads set their number
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from anyio.from_thread import start_blocking_portal
from filelock import FileLock
from hypothesis import settings
from starlette.testclient import TestClient

import snowmatch
from snowmatch.catalog.records import load_records
from snowmatch.catalog.states import annotation_states
from snowmatch.confidence.scoring import score_trial
from snowmatch.core.home import features_path
from snowmatch.core.plugins import missing_packages, plugin_class, plugin_module
from snowmatch.demo.survey import make_survey
from snowmatch.features.extractors.hesaff import Hesaff
from snowmatch.features.reader import open_features
from snowmatch.models import cache

# Hypothesis tries the same examples in every run. An example has no time limit: a slow machine is not an error.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")

# Weights in an installed package are hidden: what a test sees does not depend on what is installed. See `installed`
IN_PACKAGE = cache._in_package
cache._in_package = lambda file: None

SHARED = Path(__file__).parents[2] / "shared" / "data"
AUTHORS_WEIGHTS = SHARED.parent / "weights"


def pytest_xdist_auto_num_workers(config):
    """Return how many processes run the tests: up to four for a folder, none beside this one for single files."""
    asked = [config.invocation_params.dir / name.partition("::")[0] for name in config.args]
    processes = min(os.cpu_count() or 1, 4)
    return processes if processes > 1 and any(path.is_dir() for path in asked) else 0


def once_a_run(tmp_path_factory, name, make):
    """Return a folder that `make(folder)` filled once, though several processes run the tests."""
    root = tmp_path_factory.getbasetemp()
    root = root.parent if "PYTEST_XDIST_WORKER" in os.environ else root
    folder, made = root / name, root / f"{name}.made"
    with FileLock(root / f"{name}.lock"):
        if not made.exists():
            shutil.rmtree(folder, ignore_errors=True)  # of a try that failed
            folder.mkdir()
            make(folder)
            made.touch()
    return folder


def the_pair(matcher, one, other, extractor=None):
    """Return the matches that a matcher of pairs finds between two photos."""
    (found,) = matcher.pairs(one, [(7, other)], extractor or {})
    assert found.number == 7
    return found


def catalog_state(data, described):
    """Return the state of every annotation of a catalog for an extractor with these settings."""
    stored = open_features(features_path(data.folder), described).keys
    return annotation_states(data.folder, data.annotations, load_records(data.folder), stored)


def until(condition, seconds=60):
    """Wait until a condition holds, and return what it gave; fail after some seconds."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, f"it did not happen in {seconds} s"
        time.sleep(0.05)
    return found


def texts(notes):
    """Return the texts of all notes as one string."""
    return " ".join(note.text for note in notes)


def enough(patch, scored={}):  # noqa: B006, several tests share the table of scores
    """Allow calibration with the few pairs of a small survey, and score the encounters only once for each method."""

    def once(trial, galleries, matcher, geometry, progress=None, notes=None):
        names = [(a.individual, a.body_part, a.encounter) for a in trial.annotations]
        asked = trial.protocol, trial.queries.tolist(), trial.gallery.tolist(), names
        key = repr((asked, [(gallery.extractor_key, gallery.keys) for gallery in galleries], matcher, geometry))
        if key not in scored:
            scored[key] = score_trial(trial, galleries, matcher, geometry, progress, notes)
        return scored[key]

    for module in ("calibrate", "evaluate"):
        patch.setattr(f"snowmatch.identify.{module}.score_trial", once)
    for module in ("identify.calibrate", "identify.judge", "confidence.learn"):
        patch.setattr(f"snowmatch.{module}.ENOUGH_PAIRS", 3)


def read_rows(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def skip_without_packages(kind, name):
    """Skip the test if a package that a plugin names in NEEDS is not installed."""
    if missing := missing_packages(plugin_class(kind, name)):
        pytest.skip(f"{name} needs {', '.join(missing)}")


def has_weights(kind, name):
    """Return whether the file of a plugin names weights, so that the plugin needs a folder of weights."""
    return hasattr(plugin_module(kind, name), "WEIGHTS")


@pytest.fixture
def installed(monkeypatch):
    """Let a test find the weights in installed packages."""
    monkeypatch.setattr(cache, "_in_package", IN_PACKAGE)


CAN_WRITE_WEIGHTS = all(importlib.util.find_spec(name) for name in ("torch", "kornia", "safetensors"))


@pytest.fixture(scope="session")
def weights_here(tmp_path_factory):
    """Return a folder of weights: the authors' files where they are available, files with random values for the rest.

    The random values are written with kornia. Without kornia the folder has the authors' weights only.
    """
    folder = tmp_path_factory.mktemp("weights")
    if AUTHORS_WEIGHTS.is_dir():
        for file in AUTHORS_WEIGHTS.iterdir():
            (folder / file.name).symlink_to(file)
    if CAN_WRITE_WEIGHTS:
        import random_weights

        random_weights.write_extractors(folder)
    return folder


@pytest.fixture
def weights(weights_here, monkeypatch):
    """Make snowmatch search the folder of `weights_here` first, and skip the checksums of files with random values."""
    if CAN_WRITE_WEIGHTS:
        import random_weights

        random_weights.without_sums(monkeypatch)
    monkeypatch.setenv("SNOWMATCH_WEIGHTS", str(weights_here))
    return weights_here


@pytest.fixture(scope="session")
def plain_lightglue(tmp_path_factory):
    """Return a LightGlue for hesaff whose layers do nothing: it compares descriptors only, so its answer is known."""
    pytest.importorskip("kornia")
    import random_weights

    return random_weights.write_plain_lightglue(tmp_path_factory.mktemp("lightglue") / "plain.safetensors")


def extract_once(patch, seen={}, extract=Hesaff.extract):  # noqa: B006, all tests share what was seen
    """Let hesaff extract equal chips once in this process, for tests of what comes after the features."""

    def once(self, chip):
        mask = None if chip.mask is None else chip.mask.tobytes()
        content = repr((repr(self), chip.pixels.shape, mask is None)).encode() + chip.pixels.tobytes() + (mask or b"")
        key = hashlib.sha256(content).digest()
        if key not in seen:
            seen[key] = extract(self, chip)
        return seen[key]

    patch.setattr(Hesaff, "extract", once)


@pytest.fixture
def seen_once(monkeypatch):
    """Let hesaff extract equal chips once, in this process."""
    extract_once(monkeypatch)


def _small_survey(folder):
    make_survey(
        folder / "catalog",
        individuals=6,
        stations=3,
        encounters=3,
        photos=(1, 2),
        seed=3,
        size=(800, 533),
        decoys=3,
        unidentified=2,
        queries=folder / "queries",
        query_encounters=3,
        new_individuals=1,
    )
    report = snowmatch.open_catalog(folder / "catalog").index()
    assert not report.failed


@pytest.fixture(scope="session")
def survey(tmp_path_factory):
    """Return a folder with catalog/ (indexed) and queries/ (queries.csv has the true names). Do not change it."""
    return once_a_run(tmp_path_factory, "survey", _small_survey)


@pytest.fixture
def own_survey(survey, tmp_path):
    """Return a copy of the survey that a test may change."""
    return shutil.copytree(survey, tmp_path / "survey")


@pytest.fixture
def snow_leopards(tmp_path):
    """Return a writable catalog of the real photos. Skip the test if the photos are not available."""
    source = SHARED / "snow_leopard"
    if not source.exists():
        pytest.skip("no real photos beside the project")
    folder = tmp_path / "snow_leopard"
    folder.mkdir()
    for name in ("images", "masks"):
        (folder / name).symlink_to(source / name, target_is_directory=True)
    return folder


@pytest.fixture(scope="session", autouse=True)
def one_loop():
    """Let all browsers share one event loop: a thread for each request takes longer than the request."""
    with start_blocking_portal() as portal, pytest.MonkeyPatch.context() as patch:
        patch.setattr(TestClient, "portal", portal)
        yield
