"""The tables of found boxes and maps."""

from __future__ import annotations

from collections.abc import Sequence

from as_markdown import decimal, percent, plain, table, with_bounds
from store import Result

MEANS = (
    "How good the boxes and maps are that snowmatch finds in photos of snow leopards, without a box or mask on record. "
    "Found: photos with a found box; the columns of boxes judge these. Overlap: the common area of two boxes as a "
    "share of their joint area; the median, and the share of boxes with 0.5 or more. A found box has a margin, which "
    "lowers the overlap. Mask inside: the mean share of the mask inside the box. Missed: boxes with less than half of "
    "the mask inside. Map, AUROC: the probability that a cell on the animal has a higher value than one off it (equal "
    "values: one half), the mean over photos with a map. Of a mask, the largest piece counts. The masks are rough: "
    "many of the [worst boxes](benchmarks-history.md#the-animal-found-by-itself) are right, and the mask is wrong. "
    "Evidence: what the map was computed from; each has other photos, so it is no comparison. Infrared: a grey photo. "
    "In brackets: the 95 % interval (bootstrap over passages; none for a single passage). The settings of the map were "
    "chosen on the same photos, those of the box were not."
)
SHOWN = {"evidence": "evidence: {}", "burst": "burst of {}"}


def found_boxes_parts(runs: Sequence[Result]) -> list[str]:
    """Return the table of each run of found_boxes.json, with the sentences that explain them."""
    parts = [MEANS]
    for run in runs:
        rough = with_bounds(run["groups"][0]["rough_median"], decimal)
        parts += [
            f"{plain(run['run'])}: {run['seconds']['look']:.3f} s a photo (processor time). Overlap of a person's box "
            f"with that round the mask: {rough}.",
            found_boxes_table(run),
        ]
    return parts


def found_boxes_table(run: Result) -> str:
    """Return the figures of a run, by group of photos."""
    rows = []
    for group in run["groups"]:
        rows.append(
            [
                plain(SHOWN.get(group["by"], "{}").format(group["group"])),
                str(group["photos"]),
                str(group["encounters"]),
                with_bounds(group["found"], percent),
                str(group["person_boxes"]),
                with_bounds(group["person_median"], decimal),
                with_bounds(group["person_half"], percent),
                with_bounds(group["mask_median"], decimal),
                with_bounds(group["mask_half"], percent),
                with_bounds(group["inside"], percent),
                with_bounds(group["missed"], percent),
                with_bounds(group["map_area"], decimal),
            ]
        )
    headings = (
        *("photos", "passages", "found", "person's boxes", "overlap, person", "0.5 or more", "overlap, mask"),
        *("0.5 or more", "mask inside", "missed", "map, AUROC"),
    )
    return table(("group", *headings), rows)
