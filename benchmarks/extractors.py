"""Which extractor identifies best: every annotation of a catalog is asked about, its own encounter left out.

Counted are queries whose individual has the same body part in another encounter (`--cross-station`: another station).
Top-1 by annotation (the best single photo) and by individual; macro is the mean over individual x body part. Ties count
against us. The catalog may be read-only: features go to a temporary folder.

Example: python benchmarks/extractors.py catalog/ hesaff hesaff:affine=false sift --boxed
"""

from __future__ import annotations

import argparse
import csv
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
from measure import circumstances, write_result

import snowmatch
from snowmatch.identify import score_query
from snowmatch.plugins import make_plugin
from snowmatch.types import same_part
from snowmatch.verify import Geometry


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("catalog", type=Path)
    parser.add_argument("extractors", nargs="+", help="NAME or NAME:key=value,key=value")
    parser.add_argument("--boxed", action="store_true", help="only annotations with a box and a known flank")
    parser.add_argument("--no-masks", action="store_true", help="leave the masks out")
    parser.add_argument("--part", help="only this body part")
    parser.add_argument("--split", help="only rows of this split")
    parser.add_argument("--cross-station", action="store_true", help="gallery from other stations only")
    parser.add_argument("--matcher", default="lnbnn", help="NAME or NAME:key=value,key=value")
    parser.add_argument("--save", metavar="NAME", default="extractors", help="name of the file in results/")
    given = parser.parse_args()
    shown = " ".join(
        f"--{name.replace('_', '-')}" + ("" if value is True else f" {value}")
        for name, value in vars(given).items()
        if name not in ("catalog", "extractors", "save") and value not in (False, None)
    )
    result = circumstances(f"python benchmarks/extractors.py CATALOG {' '.join(given.extractors)} {shown}")
    result |= {"catalog": given.catalog.resolve().name, "results": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        copy_rows(given, folder)
        for text in given.extractors:
            result["results"].append({"extractor": text, **evaluate(folder, text, given.matcher, given.cross_station)})
            print(result["results"][-1], flush=True)
    write_result(given.save, result)


def copy_rows(given: argparse.Namespace, folder: Path) -> None:
    """The wanted rows as a catalog.csv of their own, photos and masks as links."""
    with (given.catalog / "catalog.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    flanks = ("left_flank", "right_flank")
    rows = [
        {**row, "mask": ""} if given.no_masks else row
        for row in rows
        if (not given.boxed or (row["bbox"] and row["body_part"] in flanks))
        and given.part in (None, row["body_part"])
        and given.split in (None, row.get("split"))
    ]
    with (folder / "catalog.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    for top in {Path(p).parts[0] for row in rows for p in (row["path"], row["mask"]) if p}:
        (folder / top).symlink_to((given.catalog / top).resolve(), target_is_directory=True)


def plugin_of(kind: str, text: str):
    name, _, settings = text.partition(":")
    return make_plugin(kind, name, dict(pair.split("=") for pair in settings.split(",") if pair))


def evaluate(folder: Path, extractor_text: str, matcher_text: str, cross_station: bool) -> dict:
    plugin, matcher = plugin_of("extractors", extractor_text), plugin_of("matchers", matcher_text)
    catalog = snowmatch.open_catalog(folder)
    name, _, settings = extractor_text.partition(":")
    report = catalog.index(name, dict(pair.split("=") for pair in settings.split(",") if pair))
    gallery = catalog.gallery(plugin)
    annotations, numbers = gallery.annotations, gallery.individual_numbers
    hits = defaultdict(list)
    seconds = []
    for i, own in enumerate(annotations):
        allowed = np.array(
            [
                same_part(a.body_part, own.body_part)
                and a.encounter != own.encounter
                and (not cross_station or a.station != own.station)
                for a in annotations
            ]
        )
        right = allowed & (numbers == numbers[i]) & np.array([a.body_part == own.body_part for a in annotations])
        if own.individual is None or not right.any():
            continue
        query = gallery.reader.read(gallery.keys[i])
        start = time.perf_counter()
        scores = score_query([query], gallery, allowed, own.body_part, matcher, Geometry())
        seconds.append(time.perf_counter() - start)
        others = np.setdiff1d(numbers[allowed], numbers[i])
        by_individual = scores.individual_ranking
        by_annotation = np.where(allowed, scores.ranking, -np.inf)
        best = by_annotation[right].max()
        hits[own.individual, own.body_part].append(
            (
                rank(best, by_annotation[allowed & ~right]) < 1,
                rank(best, by_annotation[allowed & ~right]) < 5,
                rank(by_individual[numbers[i]], by_individual[others]) < 1,
                rank(by_individual[numbers[i]], by_individual[others]) < 5,
            )
        )
    every = np.concatenate([np.array(v) for v in hits.values()])
    macro = np.mean([np.mean(v, axis=0) for v in hits.values()], axis=0)
    names = ("annotation_top1", "annotation_top5", "individual_top1", "individual_top5")
    return {
        "queries": len(every),
        **{n: round(float(v), 4) for n, v in zip(names, every.mean(axis=0), strict=True)},
        "macro_annotation_top1": round(float(macro[0]), 4),
        "macro_individual_top1": round(float(macro[2]), 4),
        "features_per_annotation": round(report.features / max(1, report.done)),
        "index_seconds_per_annotation": round(report.seconds / max(1, report.done), 4),
        "seconds_per_query": round(float(np.median(seconds)), 4),
    }


def rank(score: float, others: np.ndarray) -> int:
    """How many others score as high or higher."""
    return int((others >= score).sum())


if __name__ == "__main__":
    main()
