"""Draws the photos of this folder and of ../demo-queries: python catalogs/demo/make.py"""

import shutil
from pathlib import Path

from snowmatch.demo.survey import make_survey

HERE = Path(__file__).resolve().parent
QUERIES = HERE.parent / "demo-queries"


def main() -> None:
    """Replace the photos, masks and tables; the same seed gives the same pixels."""
    for folder in (HERE / "images", HERE / "masks", QUERIES):
        shutil.rmtree(folder, ignore_errors=True)
    make_survey(
        HERE,
        individuals=6,
        stations=3,
        encounters=4,
        photos=(1, 1),
        seed=7,
        size=(640, 427),
        decoys=2,
        unidentified=2,
        queries=QUERIES,
        query_encounters=1,
        new_individuals=1,
    )


if __name__ == "__main__":
    main()
