"""Run HotSpotter. hotspotter.py starts this file with the Python of ibeis' environment, so it imports no snowmatch.

python _hotspotter_worker.py JOB.json OUT.npz
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import shutil
import sys
import time
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

PACKAGES = ("ibeis", "vtool_ibeis", "pyhesaff", "pyflann_ibeis", "numpy", "opencv-python-headless")
FEATURES = "features.json"  # in the database's folder; written last, when the database is complete
NEIGHBOURS = 5  # that ibeis searches for each feature: K + Knorm


def main(job_path: str, out_path: str) -> None:
    """Do the job and write its answers; `write` describes them."""
    job = json.loads(Path(job_path).read_text(encoding="utf-8"))
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: job["threads"]])
    del sys.argv[1:]  # utool looks for its own flags there
    features, ibs = open_database(job)
    answers = ask(ibs, job, features["aids"], features["counts"])
    write(Path(out_path), features, answers)


def open_database(job: dict):
    """Return the features' record (seconds and counts) and the ibeis database of the job's annotations.

    Features of an earlier run are used again, with the seconds of that run.
    """
    folder = Path(job["database"])
    kept = folder / FEATURES
    if not kept.exists() and folder.exists():
        shutil.rmtree(folder)  # an interrupted run
    folder.mkdir(parents=True, exist_ok=True)

    import ibeis
    import utool
    from ibeis.algo.hots import neighbor_index

    utool.util_parallel.set_num_procs(1)
    # build a forest in every run: one that is read from disk would not be timed
    neighbor_index.NOSAVE_FLANN = True
    ibs = ibeis.opendb(dbdir=str(folder), allow_newdir=True, use_cache=False, web=False, make_backups=False)
    ibs.force_serial = True
    if kept.exists():
        return json.loads(kept.read_text(encoding="utf-8")), ibs
    aids = add_annotations(ibs, job["annotations"], folder / "photos", job["max_side"])
    features = extract(ibs, aids, job["config"])
    size = sum(path.stat().st_size for path in Path(ibs.get_ibsdir()).rglob("*") if path.is_file())
    features |= {"aids": aids, "bytes": size}
    kept.write_text(json.dumps(features), encoding="utf-8")
    return features, ibs


def add_annotations(ibs, annotations: list[dict], copies: Path, max_side: int) -> list[int]:
    """Add photos and boxes without names. Return the ibeis number of each (equal pixels have equal numbers)."""
    handed = {}
    for annotation in annotations:
        path = annotation["path"]
        if path not in handed:
            handed[path] = upright(Path(path), copies / f"{len(handed)}.png", max_side)
    paths = [str(path) for path, _, _ in handed.values()]
    gids = dict(zip(handed, ibs.add_images(paths, auto_localize=False), strict=True))
    missing = [path for path, gid in gids.items() if gid is None]
    if missing:
        raise SystemExit(f"ibeis cannot read {missing[0]} ({len(missing)} such photos): convert them to JPEG or PNG")
    boxes = []
    for annotation in annotations:
        _, size, shrink = handed[annotation["path"]]
        boxes.append(inside(annotation["bbox"], size, shrink))
    return ibs.add_annots([gids[a["path"]] for a in annotations], bbox_list=boxes)


def inside(bbox: list[int] | None, size: tuple[int, int], shrink: float) -> tuple[int, int, int, int]:
    """Return the box in pixels of the added photo, cut to the photo; without a box, the whole photo."""
    if bbox is None:
        return (0, 0, *size)
    x, y, width, height = bbox
    left, right = (min(max(round(v * shrink), 0), size[0]) for v in (x, x + width))
    top, bottom = (min(max(round(v * shrink), 0), size[1]) for v in (y, y + height))
    return left, top, max(right - left, 1), max(bottom - top, 1)


def upright(path: Path, copy: Path, max_side: int) -> tuple[Path, tuple[int, int], float]:
    """Return the path for ibeis (a copy if the photo is turned or too large), the size, and the scale of the copy."""
    with Image.open(path) as image:
        turned = image.getexif().get(0x0112, 1) != 1
        shrink = min(1.0, max_side / max(image.size)) if max_side else 1.0
        if not turned and shrink == 1.0:
            return path, image.size, 1.0
        image = ImageOps.exif_transpose(image).convert("RGB")
        size = tuple(max(1, round(side * shrink)) for side in image.size)
        copy.parent.mkdir(parents=True, exist_ok=True)
        image.resize(size, Image.Resampling.LANCZOS).save(copy)
        return copy, size, shrink


def clocks() -> np.ndarray:
    """Return (2,) seconds: wall clock and CPU time of this process."""
    return np.array([time.perf_counter(), time.process_time()])


def extract(ibs, aids: list[int], config: dict) -> dict:
    """Make chips and features, one annotation at a time. Return seconds and counts in the order of `aids`."""
    request = ibs.new_query_request(aids[:1], aids[:1], cfgdict=config, verbose=False)
    done = {}
    for aid in aids:
        if aid not in done:
            start = clocks()
            count = len(ibs.get_annot_vecs([aid], config2_=request.extern_query_config2)[0])
            done[aid] = ((clocks() - start).tolist(), count)
            print(f"features of {len(done)}: {count}", flush=True)
    return {"seconds": [done[aid][0] for aid in aids], "counts": [done[aid][1] for aid in aids]}


def ask(ibs, job: dict, aids: list[int], counts: list[int]) -> dict:
    """Run every query of every database, as often as the job repeats it. Return arrays:

    index_seconds (R, D) and query_seconds (R, N), wall clock, and the same as CPU time; NaN if there was no query.
    indexed (D,): number of descriptors. annotation_votes and individual_votes (M, 4): repeat, number of the question,
    annotation or individual, score. The N questions are counted database by database.
    """
    from ibeis.algo.hots import neighbor_index_cache

    rows = {}
    for row, aid in enumerate(aids):
        rows.setdefault(aid, []).append(row)
    numbers = {aid: job["annotations"][same[0]]["individual"] for aid, same in rows.items()}
    # the name of an annotation without a name is minus its own number, as in ibeis
    names = {aid: -aid if number is None else number + 1 for aid, number in numbers.items()}
    databases = job["databases"]
    seconds = {"index": [], "query": []}
    indexed, annotation_votes, individual_votes, cfgstr = [], [], [], ""
    for repeat in range(job["repeats"]):
        question = 0
        for database in databases:
            neighbor_index_cache.clear_memcache()
            daids = sorted({aids[row] for row in database["gallery"]})
            features = {aid: counts[rows[aid][0]] for aid in daids}
            if repeat == 0:
                indexed.append(sum(features.values()))
            request, spent = None, np.full(2, np.nan)
            for row in database["queries"]:
                qaid = aids[row]
                others = sum(count for aid, count in features.items() if aid != qaid)
                # fewer descriptors than neighbours to search: FLANN refuses, and there is no normaliser
                if counts[row] == 0 or others < NEIGHBOURS:
                    seconds["query"].append(np.full(2, np.nan))
                    question += 1
                    continue
                if request is None:
                    start = clocks()
                    request = ibs.new_query_request(
                        sorted({aids[r] for r in database["queries"] if counts[r]}),
                        [aid for aid in daids if features[aid]],
                        cfgdict=job["config"],
                        custom_nid_lookup=names,
                        verbose=False,
                    )
                    request.load_indexer(verbose=False)
                    request.dannots.preload("kpts")
                    spent = clocks() - start
                    cfgstr = request.qparams.query_cfgstr
                start = clocks()
                asked = request.shallowcopy(qaids=[qaid])
                # the query's own name must stay unknown
                asked.unique_nids = np.where(asked.unique_aids == qaid, -qaid, asked.unique_nids)
                (match,) = asked.execute(use_cache=False)
                seconds["query"].append(clocks() - start)
                for aid, score in zip(match.daid_list, match.algo_annot_scores["csum"], strict=True):
                    annotation_votes += [(repeat, question, r, float(score)) for r in rows[int(aid)]]
                for name, score in zip(match.unique_nids, match.algo_name_scores["nsum"], strict=True):
                    if name > 0:
                        individual_votes.append((repeat, question, int(name) - 1, float(score)))
                question += 1
            seconds["index"].append(spent)
            print(f"repetition {repeat + 1}, {question} queries answered", flush=True)
    index, query = (np.reshape(seconds[name], (job["repeats"], -1, 2)) for name in ("index", "query"))
    return {
        "index_seconds": index[..., 0],
        "query_seconds": query[..., 0],
        "index_cpu_seconds": index[..., 1],
        "query_cpu_seconds": query[..., 1],
        "indexed": np.array(indexed, np.int64),
        "annotation_votes": np.array(annotation_votes, float).reshape(-1, 4),
        "individual_votes": np.array(individual_votes, float).reshape(-1, 4),
        "config": np.array(cfgstr),
    }


def peak_memory() -> int:
    """Return the peak memory in bytes; 0 if the system does not report it."""
    try:
        import resource
    except ImportError:
        import psutil

        return getattr(psutil.Process().memory_info(), "peak_wset", 0)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def write(path: Path, features: dict, answers: dict) -> None:
    """Write the arrays of `ask`, extract_seconds and feature_counts per annotation, totals, and versions."""
    versions = {name: importlib.metadata.version(name) for name in PACKAGES}
    np.savez(
        path,
        **answers,
        extract_seconds=np.array(features["seconds"], float)[:, 0],
        extract_cpu_seconds=np.array(features["seconds"], float)[:, 1],
        feature_counts=np.array(features["counts"], np.int64),
        same_pixels=np.array(len(features["aids"]) - len(set(features["aids"])), np.int64),
        bytes_on_disk=np.array(features["bytes"], np.int64),
        peak_memory=np.array(peak_memory(), np.int64),
        versions=np.array(json.dumps(versions | {"python": platform.python_version()})),
    )


if __name__ == "__main__":
    main(*sys.argv[1:3])
