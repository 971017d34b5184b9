"""Ask a large catalog, with the search index and with exact search. Part of scaling_large.py."""

from __future__ import annotations

import argparse
import csv
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from large_catalog import EXTRACTOR, shelf_of, write_photo
from measure import peak_memory
from scaling import match, row_of, write_table

DEPTH = 40  # exact neighbours of each descriptor that are kept
GROUP = 128  # rows of which only the nearest is looked at first
ROWS_AT_ONCE, QUERIES_AT_ONCE = 1 << 20, 4096
# The same on a processor: what is compared at a time stays in its cache
SMALL_GROUP, ROWS_IN_CACHE, QUERIES_IN_CACHE, QUERIES_OF_GROUPS = 32, 2048, 1024, 128
FARTHEST = 1 << 29  # more than any distance


def timed(work: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
    """Return the result of some work, and its seconds by the clock and of the processor."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    return result, {"clock": round(time.perf_counter() - wall, 3), "cpu": round(time.process_time() - cpu, 3)}


def memory() -> dict[str, int]:
    """Return the memory of this process now (bytes): its own, and of files that are mapped; and the peak of both."""
    found = {}
    for line in Path("/proc/self/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name in ("RssAnon", "RssFile", "RssShmem"):
            found[name] = int(value.split()[0]) * 1024
    return found | {"peak": peak_memory() or 0}


def asked_of(catalog: Any, part: str, count: int) -> list[Any]:
    """Return annotations of a body part, evenly spread. `unknown`: of all."""
    found = [a for a in catalog.data.annotations if part in (a.body_part, "unknown")]
    return [found[i * len(found) // count + len(found) // (2 * count)] for i in range(count)]


def ask(given: argparse.Namespace, part: str, count: int) -> dict[str, Any]:
    """Open the catalog, and ask a first query and `count` more."""
    from snowmatch.api import open_catalog

    catalog, opened = timed(lambda: open_catalog(given.work / "catalog"))
    session, prepared = timed(lambda: catalog.session(extractor=EXTRACTOR))
    start = memory()
    asked = asked_of(catalog, part, count + 1)
    options = {"body_part": "unknown"} if part == "unknown" else {}
    answers, seconds = [], []
    for annotation in asked:
        answer, took = timed(lambda a=annotation: catalog.query(a, session=session, **options))
        answers.append(answer)
        seconds.append(took)
    matched = [timed(lambda a=a: match(session, a))[1] for a in asked[1:]] if part != "unknown" else []
    return {
        "open": opened,
        "session": prepared,
        "opened_memory": start,
        "first": seconds[0],
        "next": middle(seconds[1:]),
        "next_all": seconds[1:],
        "match": middle(matched),
        "compared": answers[0].compared,
        "right": sum(
            bool(x.candidates) and x.candidates[0].individual == a.individual
            for x, a in zip(answers, asked, strict=True)
        ),
        "asked": len(asked),
        "memory": memory(),
        "loaded_indexes": session.gallery.loaded.bytes,
    }


def middle(seconds: list[dict[str, float]]) -> dict[str, float]:
    """Return the medians of seconds."""
    return {name: round(statistics.median(s[name] for s in seconds), 3) for name in ("clock", "cpu")} if seconds else {}


def add(given: argparse.Namespace) -> dict[str, Any]:
    """Add one photo: open the catalog, and bring the search index of its flank up to date. No extraction.

    Afterwards, the catalog is as before.
    """
    from snowmatch.catalog.records import annotation_key, copy_of, load_records, save_records
    from snowmatch.core.home import features_path, indexes_path
    from snowmatch.core.plugins import make_plugin, settings
    from snowmatch.features.writer import FeatureWriter
    from snowmatch.matching.search.shelf import arrange_blocks

    folder = given.work / "catalog"
    with open(folder / "catalog.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    n = 40 * (10**6 + len(rows))  # of a left flank
    gallery = shelf_gallery(folder)
    new = row_of(n, gallery.foreground.sizes[0])
    features = gallery.reader.read(gallery.keys[0])
    records = load_records(folder)
    before = copy_of(records)
    taken = write_photo(folder / new["path"], n, gallery.foreground.sizes[0])
    records.photos[new["path"]] = taken
    key = annotation_key(taken.sha256, tuple(int(v) for v in new["bbox"].split(",")), "")
    write_table(folder, [*rows, new])
    here = {p for p in indexes_path(folder).rglob("*") if p.is_file()}

    def store() -> None:
        with FeatureWriter(features_path(folder), settings(make_plugin("extractors", EXTRACTOR))) as writer:
            writer.add(key, replace(features, descriptors=255 - features.descriptors))
        save_records(folder, records, before)

    _, stored = timed(store)
    (shelf, content), opened = timed(lambda: shelf_of(folder, "left_flank"))
    _, arranged = timed(lambda: arrange_blocks(shelf, content))
    added = sum(p.stat().st_size for p in indexes_path(folder).rglob("*") if p.is_file() and p not in here)
    with FeatureWriter(features_path(folder), settings(make_plugin("extractors", EXTRACTOR))) as writer:
        writer.remove([key])
    write_table(folder, rows)
    save_records(folder, before, records)
    return {"store": stored, "open": opened, "arrange": arranged, "bytes": added, "memory": memory()}


def shelf_gallery(folder: Path) -> Any:
    """Return the gallery of a catalog."""
    from snowmatch.api import open_catalog

    return open_catalog(folder).session(extractor=EXTRACTOR).gallery


def exact(given: argparse.Namespace, part: str, count: int) -> dict[str, Any]:
    """Answer `count` queries with the search index and with exact search, and compare neighbours and answers."""
    import faiss
    import numpy as np

    from snowmatch.api import open_catalog
    from snowmatch.matching.matchers import lnbnn
    from snowmatch.matching.search.blocks import search, search_many

    faiss.omp_set_num_threads(given.workers)
    catalog = open_catalog(given.work / "catalog")
    session = catalog.session(extractor=EXTRACTOR)
    gallery = session.gallery
    place = {a.row: n for n, a in enumerate(gallery.annotations)}
    asked = asked_of(catalog, part, count)
    entries = [place[a.row] for a in asked]
    whole = gallery.reader.column("descriptors", [gallery.keys[e] for e in entries])
    columns = [rows[some] for rows, some in zip(whole, gallery.foreground.searched(np.array(entries)), strict=True)]
    start = time.perf_counter()
    nearest = Exact(gallery, part).of(np.concatenate(columns))
    searched = time.perf_counter() - start
    firsts = np.cumsum([0] + [len(c) for c in columns])
    counts = {"keypoints": 0, "nearest": 0, "five": 0, "own": 0, "own_found": 0, "short": 0}
    found: dict[str, list[Any]] = {"search": [], "exact": []}
    for number, annotation in enumerate(asked):
        mine = slice(firsts[number], firsts[number + 1])
        table = {rows.tobytes(): i for i, rows in enumerate(columns[number])}

        def exactly(blocks: Any, sought: Any, k: int, mine: slice = mine, table: dict[bytes, int] = table) -> Any:
            return [one(blocks, each.descriptors, each.allowed, k, mine, table) for each in sought]

        def one(blocks: Any, descriptors: Any, allowed: Any, k: int, mine: slice, table: dict[bytes, int]) -> Any:
            places = np.array([table[row.tobytes()] for row in descriptors])
            chosen = nearest.take(places + mine.start, allowed, k)
            short = np.flatnonzero(chosen.entries[:, -1] < 0)
            counts["short"] += len(short)
            if len(short):
                others = search(blocks, descriptors[short], allowed, k)
                for name in ("distances", "entries", "keypoints"):
                    getattr(chosen, name)[short] = getattr(others, name)
            return chosen

        found["search"].append(catalog.query(annotation, session=session))
        lnbnn.search_many = exactly
        try:
            found["exact"].append(catalog.query(annotation, session=session))
        finally:
            lnbnn.search_many = search_many
        allowed = np.ones(len(gallery.annotations), bool)
        allowed[entries[number]] = False
        near = search(gallery.blocks("faiss", part), columns[number], allowed, 5)
        best = nearest.take(np.arange(mine.start, mine.stop), allowed, 5)
        same = np.isclose(near.distances, best.distances, rtol=1e-3, atol=1e-4)
        own = gallery.kin[np.maximum(best.entries[:, 0], 0)] == gallery.kin[entries[number]]
        counts["own"] += int(own.sum())
        counts["own_found"] += int(same[own, 0].sum())
        counts["keypoints"] += len(same)
        counts["nearest"] += int(same[:, 0].sum())
        counts["five"] += int(same.all(axis=1).sum())
    first = {name: [a.candidates[0].individual if a.candidates else None for a in each] for name, each in found.items()}
    ranks = {name: [rank(a, b.individual) for a, b in zip(each, asked, strict=True)] for name, each in found.items()}
    return {
        "asked": len(asked),
        "right": {name: sum(rank == 1 for rank in each) for name, each in ranks.items()},
        "within_five": {name: sum(rank in range(1, 6) for rank in each) for name, each in ranks.items()},
        "same_first": sum(a == b for a, b in zip(first["search"], first["exact"], strict=True)),
        "ranks": ranks,
        "scores": {
            name: [round(a.candidates[0].score, 3) if a.candidates else 0 for a in each] for name, each in found.items()
        },
        "nearest_found": round(counts["nearest"] / counts["keypoints"], 4),
        "five_found": round(counts["five"] / counts["keypoints"], 4),
        "nearest_is_own": counts["own"],
        "nearest_own_found": counts["own_found"],
        "keypoints": counts["keypoints"],
        "not_deep_enough": counts["short"],
        "exact_search": round(searched, 2),
        "on": nearest.on,
    }


def rank(answer: Any, individual: str) -> int:
    """Return the rank of an individual in an answer; 0 if it is not in it."""
    return next((c.rank for c in answer.candidates if c.individual == individual), 0)


class Exact:
    """The DEPTH nearest of the searched rows of a body part, by comparing all. On a graphics card, if there is one.

    With PyTorch, it is faster on a processor, too.
    """

    def __init__(self, gallery: Any, part: str) -> None:
        self._gallery = gallery
        self._entries = [i for i, a in enumerate(gallery.annotations) if a.body_part == part]
        self.on = "processor"

    def of(self, queries: Any) -> Exact:
        """Find the neighbours of `queries` (N, D) uint8, in their own annotations, too."""
        import numpy as np

        try:
            import torch
        except ImportError:
            torch = None
        if torch is None:
            compare: Any = OnProcessor(queries)
        elif torch.cuda.is_available():
            self.on = torch.cuda.get_device_name()
            compare = OnCard(torch, queries)
        else:
            compare = OnProcessorWithTorch(torch, queries)
        owners, numbers = [], []
        for rows, owner, number in self._pieces():
            compare.look(rows)
            owners.append(owner.astype(np.int32))
            numbers.append(number.astype(np.int32))
        far, rows = compare.result()
        order = np.argsort(far, axis=1, kind="stable")
        far, rows = np.take_along_axis(far, order, axis=1), np.take_along_axis(rows, order, axis=1)
        squares = (queries.astype(np.float32) ** 2).sum(axis=1)
        self._distances = np.sqrt(np.maximum(far + squares[:, None], 0) / (2 * 512.0**2)).astype(np.float32)
        missing = ~np.isfinite(far)
        rows[missing] = 0
        self._found = np.where(missing, -1, np.concatenate(owners)[rows]).astype(np.int64)
        self._keypoints = np.where(missing, -1, np.concatenate(numbers)[rows]).astype(np.int64)
        return self

    def _pieces(self) -> Iterator[tuple[Any, Any, Any]]:
        """Yield rows, the annotation of each, and the keypoint of each. The next ones are read meanwhile."""
        import numpy as np

        reader, keys = self._gallery.reader, self._gallery.keys
        step = max(1, ROWS_AT_ONCE // max(1, int(reader.counts.mean())))

        def read(first: int) -> tuple[Any, Any, Any]:
            some = self._entries[first : first + step]
            searched = self._gallery.foreground.searched(np.array(some))
            parts = reader.column("descriptors", [keys[i] for i in some])
            rows = np.concatenate([part[chosen] for part, chosen in zip(parts, searched, strict=True)])
            numbers = [np.flatnonzero(chosen) for chosen in searched]
            return rows, np.repeat(some, [len(each) for each in numbers]), np.concatenate(numbers)

        firsts = list(range(0, len(self._entries), step))
        with ThreadPoolExecutor(4) as pool:
            waiting = [pool.submit(read, first) for first in firsts[:4]]
            for following in [*firsts[4:], *[None] * min(4, len(firsts))]:
                piece = waiting.pop(0).result()
                if following is not None:
                    waiting.append(pool.submit(read, following))
                yield piece

    def take(self, numbers: Any, allowed: Any, k: int) -> Any:
        """Return the k nearest allowed neighbours of some queries. Where DEPTH were not enough, some are missing."""
        import numpy as np

        from snowmatch.matching.search.blocks import Neighbors

        found = self._found[numbers]
        out = (found < 0) | ~allowed[np.maximum(found, 0)]
        order = np.argsort(out, axis=1, kind="stable")[:, :k]
        out = np.take_along_axis(out, order, axis=1)
        distances = np.where(out, np.inf, np.take_along_axis(self._distances[numbers], order, axis=1))
        entries = np.where(out, -1, np.take_along_axis(found, order, axis=1))
        keypoints = np.where(out, -1, np.take_along_axis(self._keypoints[numbers], order, axis=1))
        return Neighbors(distances.astype(np.float32), entries, keypoints)


class OnProcessor:
    """The DEPTH nearest rows of all that are looked at, with faiss. queries: (N, D) uint8.

    All products of uint8 and their sums are whole numbers below 2**24, which float32 adds exactly.
    """

    def __init__(self, queries: Any) -> None:
        import numpy as np

        self._queries = queries.astype(np.float32)
        self._squares = (self._queries**2).sum(axis=1)[:, None]
        self._far = np.full((len(queries), DEPTH), np.inf, np.float32)
        self._rows = np.full((len(queries), DEPTH), -1, np.int64)
        self._seen = 0

    def look(self, rows: Any) -> None:
        """Compare all queries with some more rows."""
        import faiss
        import numpy as np

        index = faiss.IndexFlatL2(rows.shape[1])
        index.add(rows.astype(np.float32))
        far, found = index.search(self._queries, min(DEPTH, len(rows)))
        far = np.concatenate([self._far, far - self._squares], axis=1)
        known = np.concatenate([self._rows, found + self._seen], axis=1)
        best = np.argsort(far, axis=1, kind="stable")[:, :DEPTH]
        self._far, self._rows = np.take_along_axis(far, best, axis=1), np.take_along_axis(known, best, axis=1)
        self._seen += len(rows)

    def result(self) -> tuple[Any, Any]:
        """Return |row|^2 - 2 query·row (N, DEPTH), inf where there is none, and the numbers of the rows."""
        return self._far, self._rows


class OnProcessorWithTorch:
    """The same with PyTorch, several times as fast: only the nearest row of each group of rows is looked at first.

    queries: (N, D) uint8. 128 is taken from all elements, so that they are int8; their products are added as int32.
    """

    def __init__(self, torch: Any, queries: Any) -> None:
        self._torch, self._queries = torch, torch.from_numpy(queries ^ 128).view(torch.int8)
        moved, given = (each.int().square().sum(1) for each in (self._queries, torch.from_numpy(queries)))
        self._more = (moved - given)[:, None]
        self._far = torch.full((len(queries), DEPTH), FARTHEST, dtype=torch.int32)
        self._rows = torch.full((len(queries), DEPTH), -1, dtype=torch.int64)
        self._seen = 0

    def look(self, rows: Any) -> None:
        """Compare all queries with some more rows."""
        torch = self._torch
        wide = torch.from_numpy(rows ^ 128).view(torch.int8)
        wide = torch.nn.functional.pad(wide, (0, 0, 0, -len(rows) % ROWS_IN_CACHE))
        squares = torch.cat([each.float().square_().sum(1) for each in wide.split(ROWS_IN_CACHE)]).int()
        squares[len(rows) :] = FARTHEST  # empty places that are far from everything
        count = ROWS_IN_CACHE // SMALL_GROUP  # groups of ROWS_IN_CACHE rows; one has each count-th row
        products = torch.empty(QUERIES_IN_CACHE, ROWS_IN_CACHE, dtype=torch.int32)
        for start in range(0, len(self._queries), QUERIES_IN_CACHE):
            queries = self._queries[start : start + QUERIES_IN_CACHE]
            nearest = torch.empty(len(queries), len(wide) // SMALL_GROUP, dtype=torch.int32)
            far = products[: len(queries)]
            for at in range(0, len(wide), ROWS_IN_CACHE):
                torch._int_mm(queries, wide[at : at + ROWS_IN_CACHE].T, out=far)
                torch.sub(squares[at : at + ROWS_IN_CACHE], far, alpha=2, out=far)
                groups = nearest[:, at // SMALL_GROUP : at // SMALL_GROUP + count]
                torch.amin(far.view(len(queries), SMALL_GROUP, count), 1, out=groups)
            # the nearest DEPTH rows are in the DEPTH groups with the nearest rows
            nearest, groups = nearest.topk(min(DEPTH, nearest.shape[1]), largest=False)
            for first in range(0, len(queries), QUERIES_OF_GROUPS):
                part = slice(start + first, start + min(first + QUERIES_OF_GROUPS, len(queries)))
                here = slice(first, first + QUERIES_OF_GROUPS)
                needed = (nearest[here] < self._far[part, -1:]).sum(1).max()
                some = groups[here, :needed, None]
                some = some // count * ROWS_IN_CACHE + some % count + torch.arange(0, ROWS_IN_CACHE, count)
                some = some.flatten(1)
                own = torch.bmm(wide[some].float(), self._queries[part, :, None].float())[:, :, 0].int()
                best = torch.cat([self._far[part], squares[some] - 2 * own], 1).topk(DEPTH, largest=False)
                known = torch.cat([self._rows[part], some + self._seen], 1)
                self._far[part], self._rows[part] = best.values, known.gather(1, best.indices)
        self._seen += len(rows)

    def result(self) -> tuple[Any, Any]:
        """Return |row|^2 - 2 query·row (N, DEPTH), inf where there is none, and the numbers of the rows."""
        far = (self._far + self._more).float()
        far[self._far >= FARTHEST] = float("inf")
        return far.numpy(), self._rows.numpy()


class OnCard:
    """The same with PyTorch on a graphics card. All products of uint8 and their sums are whole numbers below 2**24, so
    TF32 multiplies and adds them exactly.
    """

    def __init__(self, torch: Any, queries: Any, device: str = "cuda") -> None:
        self._torch, self._device = torch, device
        torch.backends.cuda.matmul.allow_tf32 = True
        self._queries = torch.from_numpy(queries).to(device).float()
        self._far = torch.full((len(queries), DEPTH), float("inf"), device=device)
        self._rows = torch.full((len(queries), DEPTH), -1, dtype=torch.int64, device=device)
        self._seen = 0

    def look(self, rows: Any) -> None:
        """Compare all queries with some more rows."""
        torch = self._torch
        missing = -len(rows) % (GROUP * DEPTH)
        wide = torch.from_numpy(rows).to(self._device).float()
        squares = (wide * wide).sum(1)
        if missing:  # empty places that are far from everything
            wide = torch.cat([wide, wide.new_zeros(missing, wide.shape[1])])
            squares = torch.cat([squares, squares.new_full((missing,), float("inf"))])
        for start in range(0, len(self._queries), QUERIES_AT_ONCE):
            part = slice(start, start + QUERIES_AT_ONCE)
            far = torch.addmm(squares[None, :], self._queries[part], wide.T, alpha=-2)
            far = far.view(len(far), -1, GROUP)
            # the nearest DEPTH rows are in the DEPTH groups with the nearest rows
            groups = far.amin(2).topk(DEPTH, largest=False).indices
            near = far.gather(1, groups[:, :, None].expand(-1, -1, GROUP)).reshape(len(far), -1)
            best = near.topk(DEPTH, largest=False)
            places = groups.gather(1, best.indices // GROUP) * GROUP + best.indices % GROUP
            both = torch.cat([self._far[part], best.values], 1).topk(DEPTH, largest=False)
            known = torch.cat([self._rows[part], places + self._seen], 1)
            self._far[part], self._rows[part] = both.values, known.gather(1, both.indices)
            del far, near
        self._seen += len(rows)

    def result(self) -> tuple[Any, Any]:
        """Return |row|^2 - 2 query·row (N, DEPTH), inf where there is none, and the numbers of the rows."""
        return self._far.cpu().numpy(), self._rows.cpu().numpy()
