"""Every reader of a file that can be damaged: a good file, what reads it, and what a right value is.

A reader returns a value. STRICT ones have checksums: what they return is a part of what the good file gives, or the
same. The others return what they are typed to return, and `check` says what must hold.
"""

import hashlib
import json
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import old_torch
from import_sources import megadetector, speciesnet
from openpyxl import Workbook
from PIL import Image

from snowmatch.catalog import opened
from snowmatch.catalog.database import DamagedError, database_stamp, reading
from snowmatch.catalog.found import BY_MAPS, BY_SCREENING, load_found
from snowmatch.catalog.load import load_catalog
from snowmatch.catalog.opened import open_data
from snowmatch.catalog.records import load_records
from snowmatch.catalog.screened import load_classes, load_screened
from snowmatch.catalog.settings import CatalogSettings, keep_settings, load_settings
from snowmatch.catalog.stations import read_stations
from snowmatch.catalog.table import read_table
from snowmatch.confidence.cells import cells_of
from snowmatch.confidence.file import (
    CalibrationFile,
    MethodCalibration,
    load_calibrations,
    save_calibrations,
)
from snowmatch.confidence.levels import Levels
from snowmatch.confidence.model import Model
from snowmatch.confidence.score_table import ScoreTable, is_table, load_table, save_table
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.home import home_of, middle_path, opened_path
from snowmatch.core.sums import read_sums
from snowmatch.decisions.file import append, read_decisions
from snowmatch.decisions.merge import export_lines, import_lines, read_whole
from snowmatch.decisions.row import Decision
from snowmatch.features.reader import list_features, open_features
from snowmatch.interchange.stations import read_station_table
from snowmatch.interchange.table_files import read_memory
from snowmatch.matching.search import files as blocks
from snowmatch.matching.search.encoding import encode
from snowmatch.matching.search.inverted_file import train_codebook
from snowmatch.models.cache import add_weights
from snowmatch.models.onnx import open_onnx, run_onnx
from snowmatch.models.onnx_writer import Node, write_onnx
from snowmatch.models.torch_file import read_torch
from snowmatch.photos.facts import read_facts
from snowmatch.photos.pixels import read_mask, read_photo, read_small
from snowmatch.photos.videos import read_frames
from snowmatch.review import watched
from snowmatch.review.accounts import add_account, read_accounts
from snowmatch.review.observer_name import observer_name
from snowmatch.review.tables import check_out
from snowmatch.review.turns import held_by_others, skip, skipped_by, take
from snowmatch.review.uploads import find_upload, keep_upload
from snowmatch.review.watched import Watched, write_step
from snowmatch.screening.detectors._description import described, read_toml
from snowmatch.screening.head import Head, is_head, load_head, save_head
from snowmatch.screening.maps import load_maps, load_marks
from snowmatch.screening.middle import FEATURES, Middle, load_middle, save_middle
from snowmatch.screening.results import read_results
from snowmatch.survey.folder import _own_files
from snowmatch.web.asked import Asked, find_question, keep_question
from snowmatch.web.jobs import list_jobs

SIZE = (96, 64)  # of the photos (px)


@dataclass(frozen=True)
class Reader:
    """path: the file that is damaged. read: returns a value or raises SnowmatchError. check: "" or what is wrong."""

    kind: str
    name: str
    path: Path
    read: Callable[[], Any]
    check: Callable[[Any], str] = lambda value: ""


def make_readers(folder, indexed):
    """Return all readers of good files in `folder`. indexed: a folder with a catalog that was indexed."""
    folder.mkdir(parents=True, exist_ok=True)
    makers = (_tables, _images, _json, _databases, _features, _search, _arrays, _weights, _videos, _opened)
    return [reader for make in makers for reader in make(folder / make.__name__, indexed)]


def strict(expected):
    """Return the check that a value is what the good file gives, or a part of it."""

    def check(value):
        if isinstance(value, dict) and isinstance(expected, dict):
            wrong = [key for key in value if key not in expected or value[key] != expected[key]]
            return f"another value of {wrong[:2]}: {[value[key] for key in wrong[:1]]}"[:600] if wrong else ""
        return "" if value == expected or not value else f"{str(value)[:300]} in place of {str(expected)[:300]}"

    return check


def _tables(folder, indexed):
    folder.mkdir()
    catalog = (indexed / "catalog" / "catalog.csv").read_bytes()
    (folder / "catalog.csv").write_bytes(catalog)
    (folder / "stations.csv").write_bytes((indexed / "catalog" / "stations.csv").read_bytes())
    lines = [line.split(",") for line in catalog.decode().splitlines()]
    book = Workbook()
    for line in lines[:6]:
        book.active.append(line[:10])
    book.save(folder / "catalog.xlsx")
    memory = "format,table,key,path,station\ntable,rows,a,a.jpg,S1\ntable,stations,b,,S2\n"
    (folder / "imported.csv").write_text(memory)
    for name in ("catalog.csv", "catalog.xlsx"):
        path = folder / name
        yield Reader("tables", name, path, lambda path=path: read_table(path, []), _are_rows)
    stations = folder / "stations.csv"
    yield Reader("tables", "stations.csv", stations, lambda: read_stations(stations, []))
    yield Reader("tables", "a table of stations", stations, lambda: read_station_table(stations, [], []))
    yield Reader("tables", "imported.csv", folder / "imported.csv", lambda: read_memory(folder / "imported.csv", []))


def _are_rows(rows):
    bad = [r for r in rows if not r["path"] or r["path"].startswith("/") or ".." in r["path"].split("/")]
    return f"a row with a bad path: {bad[0]}" if bad else ""


def _images(folder, _):
    folder.mkdir()
    rng = np.random.default_rng(0)
    pixels = np.kron(rng.integers(0, 256, (8, 12, 3), np.uint8), np.ones((8, 8, 1), np.uint8))
    image = Image.fromarray(pixels)
    exif = Image.Exif()
    exif[0x0112] = 6
    exif.get_ifd(0x8769)[0x9003] = "2024:05:04 10:00:00"
    progressive = {"progressive": True, "exif": exif}
    saved = {
        "photo.jpg": (image, {"exif": exif, "quality": 90}),
        "progressive.jpg": (image.convert("L"), progressive),
        "cmyk.jpg": (image.convert("CMYK"), {}),
        "photo.png": (image.convert("P"), {}),
        "deep.png": (Image.fromarray(rng.integers(0, 65536, SIZE[::-1], np.uint16)), {}),
        "photo.tif": (image, {"compression": "tiff_lzw"}),
        "plain.tif": (image, {}),
        "pages.tif": (image, {"save_all": True, "append_images": [image.convert("L")], "exif": exif}),
        "photo.webp": (image, {"exif": exif}),
        "photo.bmp": (image, {}),
    }
    for name, (made, options) in saved.items():
        made.save(folder / name, **options)
        path = folder / name
        yield Reader("images", name, path, lambda path=path: (read_facts(path), read_photo(path))[1], _is_photo)
        yield Reader("images", f"{name}, small", path, lambda path=path: read_small(path, 24), _is_photo)
    mask = folder / "mask.png"
    image.convert("L").point(lambda value: 255 * (value > 127)).save(mask)
    yield Reader("images", "mask.png", mask, lambda: read_mask(mask, SIZE), lambda m: "" if m.dtype == bool else "type")


def _is_photo(pixels):
    right = pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] == 3 and min(pixels.shape) > 0
    return "" if right else f"{pixels.dtype} {pixels.shape}"


def _json(folder, _):
    folder.mkdir()
    home = home_of(folder)
    for make in (megadetector, speciesnet):
        path = make(folder / make.__name__)
        yield Reader("JSON", f"results of {make.__name__}", path, lambda path=path: read_results(path))
    keep_settings(folder, CatalogSettings(dates="dmy"))
    yield Reader("JSON", "settings.json", home / "settings.json", lambda: load_settings(folder, []))
    model = Model((1.0,), 2.0, (1.5, 1.5), 2.0, 0.0, 1000.0, 6.0, 0.0)
    method = MethodCalibration({"name": "sift"}, {"name": "lnbnn"}, "1", 9, {"whole": (model,)})
    save_calibrations(folder, CalibrationFile(Levels(0.98, 0.9, 0.7), (method,)))
    calibrations = load_calibrations(folder)
    yield Reader(
        "JSON",
        "calibration.json",
        home / "calibration.json",
        lambda: load_calibrations(folder),
        lambda found: "" if found == calibrations or found.unread else "another calibration",
    )
    photo = folder / "photo.jpg"
    Image.new("RGB", SIZE, (90, 90, 90)).save(photo)
    upload = keep_upload(folder, photo.read_bytes(), "photo.jpg")
    place = home / "uploads" / f"{upload.id}.json"
    yield Reader("JSON", "an upload", place, lambda: find_upload(folder, upload.id))
    question = keep_question(folder, Asked((upload.id,), (None,), "", "", "", "", ""))
    place = home / "uploads" / "questions" / f"{question}.json"
    yield Reader("JSON", "a question", place, lambda: find_question(folder, question))
    add_account(folder, "Anna", "observer", "a long password")
    yield Reader("JSON", "the accounts", next(folder.glob("*.json")), lambda: read_accounts(folder))
    take(folder, "Anna", ("a", "b"))
    skip(folder, "Anna", ("a", "c"))
    yield Reader(
        "JSON",
        "turns.json",
        home / "turns.json",
        lambda: (skipped_by(folder, "Anna"), held_by_others(folder, "Berk"), take(folder, "Berk", ("d", "e"))),
    )
    observer_name(folder, "Anna")
    yield Reader("JSON", "observers.json", home / "observers.json", lambda: observer_name(folder))
    seen = [Watched("a.jpg", 1, 2, "ab", "2026-05-01T10:00:00", "e"), Watched("b.jpg", 3, 4, "cd")]
    write_step(folder, watched.read_memory(folder), photos=seen, events=[{"id": "e", "photos": ["a.jpg"]}])
    yield Reader("JSON", "watched.jsonl", home / "watched.jsonl", lambda: watched.read_memory(folder).asked)
    job = home / "jobs" / "20240504-100000-index"
    job.mkdir(parents=True)
    (job / "job.json").write_text('{"kind": "index", "arguments": ["index", "a"], "started": 1.5}')
    (job / "ended.json").write_text('{"status": 0, "stopped": false, "ended": 2.5}')
    (job / "progress.json").write_text('{"title": "a", "unit": "b", "done": 1, "total": 2, "seconds": 1.5}')
    for name in ("job", "ended", "progress"):
        yield Reader("JSON", f"{name}.json of a job", job / f"{name}.json", lambda: [j.left for j in list_jobs(folder)])
    lines = folder / "out" / "answers.jsonl"
    lines.parent.mkdir()
    lines.write_text('{"schema": "snowmatch.batch/2", "encounter": "a", "photos": ["a.jpg"]}\n')
    lines.with_suffix(".csv").write_text("a\n")
    yield Reader("JSON", "lines of a batch", lines, lambda: check_out(lines, folder, force=False))
    manifest = folder / "manifest" / "manifest.json"
    manifest.parent.mkdir()
    manifest.write_text('{"schema": "snowmatch.files/1", "files": {"a.csv": "00"}, "replaced": {"a.csv": ["01"]}}')
    yield Reader("JSON", "a manifest", manifest, lambda: _own_files(manifest.parent))
    toml = folder / "detector.toml"
    toml.write_text('labels = ["animal"]\ninput_size = [640, 640]\nlayout = "yolo"\nthreshold = 0.2\n')
    yield Reader("JSON", "settings of a detector", toml, lambda: _described(toml))


def _described(path):
    try:
        text = path.read_text("utf-8")
    except ValueError as error:  # as its caller does
        raise SnowmatchError(str(error)) from error
    return described(read_toml(text, str(path)), str(path))


def _databases(folder, indexed):
    folder.mkdir()
    home = home_of(folder)
    home.mkdir()
    path = home / "catalog.sqlite"
    path.write_bytes((home_of(indexed / "catalog") / "catalog.sqlite").read_bytes())
    readers = {
        "records": lambda: load_records(folder).photos,
        "failures": lambda: load_records(folder).failures,
        "boxes of maps": lambda: load_found(folder, BY_MAPS, []),
        "boxes of a screening": lambda: load_found(folder, BY_SCREENING, []),
        "classes": lambda: load_classes(folder),
        "a screening": lambda: dict(found.answers) if (found := load_screened(folder, [])) else {},
        "maps": lambda: _maps(folder),
        "answers": lambda: _answers(folder),
    }
    for name, read in readers.items():
        yield Reader("SQLite", name, path, read, strict(read()))
    decisions = folder / "decisions.sqlite"
    append(decisions, [Decision("", "", "Anna", "pair", (f"a{n}",), ("b",), "same", note="x") for n in range(5)])
    rows = {row.id: row for row in read_decisions(decisions).rows}
    read = lambda: {row.id: row for row in read_decisions(decisions).rows}  # noqa: E731
    # Nothing less than all: a decision that is gone is a wrong answer
    yield Reader("SQLite", "decisions", decisions, read, lambda found: "" if found == rows else "other decisions")
    whole = lambda: {row.id: row for row in read_whole(decisions)[0]}  # noqa: E731
    yield Reader("SQLite", "what is whole of decisions", decisions, whole, strict(rows))
    lines = folder / "decisions.jsonl"
    export_lines(decisions, lines)
    yield Reader("JSON", "lines of decisions", lines, lambda: _imported(folder / "other.sqlite", lines))


def _imported(path, lines):
    path.unlink(missing_ok=True)
    import_lines(path, lines)
    return len(read_decisions(path).rows) if path.exists() else 0


def _maps(folder):
    whole = [photo for photo, mark in load_marks(folder).items() if mark is not None]  # as the program asks
    return {photo: repr(entry) for photo, entry in load_maps(folder, whole).items() if entry is not None}


def _answers(folder):
    from snowmatch.review.kept import read_kept

    try:
        with reading(folder) as database:
            keys = [key for (key,) in database.execute("SELECT key FROM answers")] if database is not None else []
    except (DamagedError, sqlite3.Error, UnicodeError):
        return {}
    return {key: json.dumps(value) for key, value in read_kept(folder, keys).items()}


def _features(folder, indexed):
    source = next((home_of(indexed / "catalog") / "features").iterdir())
    place = folder / source.name
    place.mkdir(parents=True)
    for file in source.iterdir():
        (place / file.name).write_bytes(file.read_bytes())
    (stored,) = list_features(folder)

    def read():
        reader = open_features(folder, stored)
        return {key: _digest(reader.read(key)) for key in reader.keys}

    good = read()
    for path in sorted(place.glob("*.h5"))[:2]:
        yield Reader("HDF5", "features", path, read, strict(good))
        few = lambda: _columns(folder, stored)  # noqa: E731
        yield Reader("HDF5", "columns of features", path, few, strict(few()))
    yield Reader("JSON", "settings of features", place / "settings.json", lambda: list_features(folder))


def _digest(held):
    arrays = (held.keypoints, held.descriptors, held.scores, held.scales, held.oris)
    return held.image_size, hashlib.sha256(b"".join(a.tobytes() for a in arrays)).hexdigest()


def _columns(folder, stored):
    reader = open_features(folder, stored)
    names = ("keypoints", "descriptors", "scores", "scales", "oris")
    return {name: [a.tobytes() for a in reader.column(name, reader.keys)] for name in names}


def _search(folder, _):
    folder.mkdir()
    rng = np.random.default_rng(0)
    rows = [rng.integers(0, 256, (600, 32), np.uint8) for _ in range(4)]
    codebook = train_codebook("book", rows)
    book, block = folder / "left_flank-book", folder / "left_flank-book-mark"
    blocks.write_codebook(book, codebook)
    keys = np.array([b"%032d" % n for n in range(len(rows))], "S32")
    counts = np.array([len(each) for each in rows])
    blocks.write_block(block, keys, counts, counts, np.zeros(len(keys), np.uint64), encode(codebook, rows))
    queries = rng.random((4, 32), np.float32) * 255

    def ask():
        found = blocks.read_codebook(book)
        listed, _ = blocks.list_blocks(folder, "left_flank")
        index = blocks.read_block(listed[0].path, found.lists) if listed and found is not None else None
        if index is None:
            return ()
        probed = found.nearest_lists(queries, 8)
        distances, places = index.look(queries, probed, np.ones(index.lists.ntotal, bool), 10)
        return distances.tobytes(), places.tobytes(), listed[0].keys.tobytes(), listed[0].counts.tobytes()

    good = ask()
    assert good  # the index is read
    for ending in (".codebook", ".sums"):
        yield Reader("faiss", f"codebook{ending}", blocks.with_ending(book, ending), ask, strict(good))
    for ending in (".keys", ".faiss", ".sums"):
        yield Reader("faiss", f"block{ending}", blocks.with_ending(block, ending), ask, strict(good))
    yield Reader(
        "JSON",
        "checksums",
        block.with_name(block.name + ".sums"),
        lambda: read_sums(block.with_name(block.name + ".sums")),
    )


def _arrays(folder, _):
    folder.mkdir()
    head, table = folder / "head.npz", folder / "table.npz"
    save_head(head, Head(("snow leopard", "nothing"), np.ones((2, 5)), np.zeros(2)))
    save_middle(folder, Middle(np.arange(FEATURES, dtype=np.float32), 0.5, 60))
    names = np.array(["a", "b"])
    scores = np.array([[np.nan, 1.0], [2.0, np.nan]], np.float32)
    many = dict.fromkeys(
        ("individual_scores", "left_out_scores", "group_scores", "group_left_out_scores", "prior"), scores
    )
    of_rows = ("paths", "individual", "body_part", "encounter", "passage", "station")
    texts = dict.fromkeys((*of_rows, "individual_names"), names)
    places = dict.fromkeys(("queries", "gallery", "groups"), np.arange(2))
    save_table(table, ScoreTable(**texts, **places, cells=cells_of(scores, 2), chance=np.ones(2), **many))
    yield Reader("npz", "a classifier", head, lambda: (is_head(head), load_head(head)))
    yield Reader("npz", "the middle of photos", middle_path(folder), lambda: load_middle(folder))
    yield Reader("npz", "a table of scores", table, lambda: (is_table(table), load_table(table)))


def _opened(folder, indexed):
    shutil.copytree(indexed / "catalog", folder)
    records = load_records(folder)
    data = load_catalog(folder, records)
    opened._keep(data, records, opened._stamp(folder, {}, database_stamp(folder)))
    yield Reader("JSON", "opened.json", opened_path(folder), lambda: open_data(folder), strict(data))


def _weights(folder, _):
    folder.mkdir()
    old, network, own = folder / "old.pth", folder / "net.onnx", folder / "own.safetensors"
    array = np.arange(12, dtype=np.float32)
    old.write_bytes(old_torch.old_torch_of({"w": array.reshape(3, 4)}))
    yield Reader("weights", "torch's old format", old, lambda: {k: v.tobytes() for k, v in read_torch(old).items()})
    nodes = [Node("Conv", ("image", "w"), "out", {"kernel_shape": (3, 3), "pads": (1, 1, 1, 1)})]
    weights = {"w": np.ones((2, 3, 3, 3), np.float32)}
    network.write_bytes(write_onnx(nodes, weights, ("image", (1, 3, 8, 8)), {"out": (1, 2, 8, 8)}))
    yield Reader("weights", "ONNX", network, lambda: run_onnx(open_onnx(network), np.zeros((1, 3, 8, 8), np.float32)))
    header = json.dumps(
        {"__metadata__": {"snowmatch": "{}"}, "w": {"dtype": "F32", "shape": [3], "data_offsets": [0, 12]}}
    )
    own.write_bytes(len(header).to_bytes(8, "little") + header.encode() + bytes(12))
    yield Reader("weights", "safetensors", own, lambda: add_weights(own))


def _videos(folder, _):
    folder.mkdir()
    for suffix, codec in ((".mp4", "mpeg4"), (".avi", "mjpeg")):
        path = folder / f"film{suffix}"
        with av.open(str(path), "w") as video:
            stream = video.add_stream(codec, rate=2)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p" if codec == "mjpeg" else "yuv420p"
            for number in range(4):
                pixels = np.full((48, 64, 3), 40 * number, np.uint8)
                video.mux(stream.encode(av.VideoFrame.from_ndarray(pixels)))
            video.mux(stream.encode())
        yield Reader("videos", path.name, path, lambda path=path: _frames(path))


def _frames(path):
    return [frame.pixels.shape for frame in read_frames(path, 0.5, 10)]
