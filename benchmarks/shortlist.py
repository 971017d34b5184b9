"""How many annotations the geometric check has to look at: accuracy and time against the length of the shortlist.

Example: python benchmarks/shortlist.py catalog/ --part left_flank --every 4        (CATALOG is indexed)
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from measure import circumstances, write_result

import snowmatch
from snowmatch.identify import score_query
from snowmatch.plugins import make_plugin
from snowmatch.verify import Geometry

LENGTHS = (10, 30, 100, 300, 1000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("catalog", type=Path)
    parser.add_argument("--part", default="left_flank")
    parser.add_argument("--every", type=int, default=1, help="ask about every n-th annotation only")
    given = parser.parse_args()
    catalog = snowmatch.open_catalog(given.catalog)
    gallery = catalog.gallery(make_plugin("extractors", "hesaff"))
    matcher = make_plugin("matchers", "lnbnn")
    numbers = gallery.individual_numbers
    encounters = np.array([a.encounter for a in gallery.annotations])
    part = np.array([a.body_part == given.part for a in gallery.annotations])
    rows = {length: {"shortlist": length, "annotation": [], "individual": [], "seconds": []} for length in LENGTHS}
    for i in np.flatnonzero(part)[:: given.every]:
        allowed = part & (encounters != encounters[i])
        right = allowed & (numbers == numbers[i])
        if not right.any():
            continue
        query = gallery.reader.read(gallery.keys[i])
        for length, row in rows.items():
            start = time.perf_counter()
            scores = score_query([query], gallery, allowed, given.part, matcher, replace(Geometry(), shortlist=length))
            row["seconds"].append(time.perf_counter() - start)
            order = scores.ranking
            row["annotation"].append(order[right].max() > order[allowed & ~right].max())
            order = scores.individual_ranking
            row["individual"].append(order[numbers[i]] > order[np.setdiff1d(numbers[allowed], numbers[i])].max())
    result = circumstances(f"python benchmarks/shortlist.py CATALOG --part {given.part} --every {given.every}")
    result |= {"catalog": given.catalog.resolve().name, "annotations": int(part.sum()), "results": []}
    for length, row in rows.items():
        result["queries"] = len(row["seconds"])
        result["results"].append(
            {
                "shortlist": length,
                "annotation_top1": round(float(np.mean(row["annotation"])), 4),
                "individual_top1": round(float(np.mean(row["individual"])), 4),
                "seconds_per_query": round(float(np.median(row["seconds"])), 4),
            }
        )
    write_result(f"shortlist-{result['catalog']}", result)


if __name__ == "__main__":
    main()
