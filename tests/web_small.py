"""A small catalog for the app, and a client that asks it."""

import csv
import io
import json
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from snowmatch.api import open_catalog
from snowmatch.catalog.records import load_records
from snowmatch.catalog.screened import KEPT, Screened, save_screened
from snowmatch.core.locks import file_lock
from snowmatch.web import texts
from snowmatch.web.app import make_app
from snowmatch.web.jobs import jobs_path
from snowmatch.web.state import State

PORT, TOKEN = 8123, "A-token-of-one-start"
PACKAGE = Path(texts.__file__).parent
SETTINGS = {"chip_size": "300"}


def coat(seed, size=(240, 320), shift=0):
    """A picture with blots of one animal: the same seed is the same animal, shifted."""
    rng = np.random.default_rng(seed)
    pixels = np.full((*size, 3), 150, np.uint8)
    for x, y, r in zip(rng.integers(40, 280, 60), rng.integers(40, 200, 60), rng.integers(3, 9, 60), strict=True):
        down, across = np.ogrid[: size[0], : size[1]]
        pixels[(across - x - shift) ** 2 + ((down - y) * 1.3) ** 2 < r * r] = rng.integers(20, 90)
    return pixels


def jpeg(seed=0, shift=0):
    held = io.BytesIO()
    Image.fromarray(coat(seed, shift=shift)).save(held, "JPEG", quality=92)
    return held.getvalue()


def make_catalog(folder, name="aika"):
    catalog = folder / "catalog"
    (catalog / "images").mkdir(parents=True)
    lines = [["path", "individual", "body_part", "location", "station", "timestamp", "encounter", "bbox"]]
    for n, (seed, who) in enumerate([(1, name), (1, name), (2, "bars"), (2, "bars"), (3, "")]):
        (catalog / "images" / f"{n}.jpg").write_bytes(jpeg(seed, shift=n))
        place = ["naryn", f"st{n % 2}", f"2025-03-0{n + 1}T10:00:00", f"e{n}", "20,20,280,200"]
        lines.append([f"images/{n}.jpg", who, "left_flank", *place])
    with (catalog / "catalog.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(lines)
    open_catalog(catalog, classifier="none", boxes=False).index("sift", SETTINGS, workers=1)
    return catalog


@contextmanager
def running_job(catalog, kind="index", **progress):
    """Work that runs as long as the block does, without a process; the value is its folder."""
    name = time.strftime("%Y%m%d-%H%M%S", time.localtime(time.time() - 3600))
    place = jobs_path(catalog) / f"{name}-{kind}"
    place.mkdir(parents=True)
    with file_lock(place / "alive.lock"):
        (place / "progress.json").write_text(json.dumps(progress))
        (place / "job.json").write_text(json.dumps({"kind": kind, "arguments": [], "started": time.time() - 3600}))
        yield place


def screened_out(catalog, photo):
    """The last screening kept all photos but this one."""
    shas = {path: taken.sha256 for path, taken in load_records(catalog).photos.items()}
    answers = {sha: "nothing" if path == photo else KEPT for path, sha in shas.items()}
    save_screened(catalog, Screened(answers, "snow leopard", 0.5))


def client_of(folder, observer="asel", **state):
    client = TestClient(
        make_app(State(folder, observer=observer, **state), PORT, TOKEN), base_url=f"http://127.0.0.1:{PORT}"
    )
    client.get("/", params={"token": TOKEN})
    client.headers.update({"sec-fetch-site": "same-origin"})
    return client


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_catalog(tmp_path_factory.mktemp("pages"))


@pytest.fixture
def client(folder):
    return client_of(folder)


def sent(client, content, name="new.jpg"):
    return client.post("/identify/photo", params={"name": name}, content=content).json()


def asked(client, *photos, boxes=None, **values):
    body = {"photos": [p["id"] for p in photos], "boxes": boxes or [None] * len(photos), **values}
    return client.post("/identify/ask", json=body).json()["address"]
