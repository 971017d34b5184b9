"""Write the evidence about pairs of sightings of a dataset, without names, to a file for identities.py.

The file has `truth` (S,) the number of each sighting's individual and flank, `i` and `j` (E,) pairs of sightings,
`odds` (E,) their log likelihood ratios, `p` (E,) their probabilities, `expected` the estimated share of pairs of one
animal, `unlisted` the log odds of all other pairs, `rank_list` (S, 5) the best five other sightings (-1: none),
`passage` (S,) numbers, `views` (S,) 1 left, 2 right, 3 both or not known. A left flank and a right flank of one animal
are two identities: nothing in the photos joins them.

Example: python benchmarks/identity_pairs.py nyala-left-third --data ../shared/data --work /tmp/work --out nyala.npz
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path

import numpy as np
from datasets import open_prepared, prepare
from measure import run_command
from suites import source_of

from snowmatch.catalog.ids import with_ids
from snowmatch.core.unions import Unions
from snowmatch.decisions.sightings import Sighting, comparable, make_sightings
from snowmatch.review.likely import Evidence, gather_evidence

VIEWS = {"left_flank": 1, "right_flank": 2}


def main(arguments: list[str] | None = None) -> None:
    """Read the command line, ask about all sightings and write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", help="a name of suites.py, or SOURCE,key=value,... (see datasets.py)")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args(arguments)
    dataset = prepare(source_of(given.dataset, given.data), given.work)
    catalog = open_prepared(dataset.folder)
    catalog.index(workers=1)
    annotations = with_ids(catalog.folder, catalog.data.annotations, catalog.data.annotations)
    sightings = [s for s in make_sightings(annotations, ()) if s.named is not None]
    session = catalog.session()
    evidence = gather_evidence(session, sightings, progress=lambda done, total: print(f"\r{done}/{total}", end=""))
    np.savez_compressed(given.out, **arrays_of(sightings, evidence))
    print(f"\n{len(sightings)} sightings, {len(evidence.pairs)} pairs, expected share {evidence.expected:.4f}")


def arrays_of(sightings: list[Sighting], evidence: Evidence) -> dict[str, np.ndarray]:
    """Return the arrays of the file."""
    views = np.array([view_of(sighting) for sighting in sightings], np.int64)
    truth = Unions(len(sightings))
    by_name: dict[str | None, list[int]] = defaultdict(list)
    for n, sighting in enumerate(sightings):
        for other in by_name[sighting.named]:
            if comparable(sightings[other], sighting):
                truth.join(other, n)
        by_name[sighting.named].append(n)
    passages = {name: n for n, name in enumerate(sorted({s.passage for s in sightings}))}
    pairs = list(evidence.pairs.values())
    ranked = np.full((len(sightings), 5), -1, np.int64)
    for n in range(len(sightings)):
        best = [pair.other if pair.one == n else pair.one for pair in evidence.best(n, 5)]
        ranked[n, : len(best)] = best
    return {
        "truth": np.array([truth.group_of(n) for n in range(len(sightings))], np.int64),
        "i": np.array([pair.one for pair in pairs], np.int64),
        "j": np.array([pair.other for pair in pairs], np.int64),
        "odds": np.array([pair.odds for pair in pairs], np.float64),
        "p": np.array([pair.probability for pair in pairs], np.float64),
        "expected": np.array(evidence.expected),
        "unlisted": np.array(evidence.unlisted),
        "rank_list": ranked,
        "passage": np.array([passages[s.passage] for s in sightings], np.int64),
        "views": views,
    }


def view_of(sighting: Sighting) -> int:
    """Return 1 for a left flank, 2 for a right flank, 3 for both or other parts."""
    return next((VIEWS[part] for part in sighting.body_parts if sighting.body_parts == (part,) and part in VIEWS), 3)


if __name__ == "__main__":
    run_command(main)
