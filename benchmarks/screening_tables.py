"""The tables of screening."""

from __future__ import annotations

from collections.abc import Sequence

from as_markdown import decimal, percent, plain, table, with_bounds
from screening_figures import AGAINST, NYALA, PAINTED
from store import Result

ANSWERS = ("kept", "other cat", "other mammal", "other animal", "nothing")
MEANS = (
    "How `snowmatch screen` tells photos with a snow leopard from photos without. Nyala: another mammal, photographed "
    "by hand. Painted out: the photos of the leopards with the animal painted out by its mask. The masks are rough: "
    "most of the painted photos that are kept still show a part of the leopard, so figures against them are too low. "
    "Real empty frames were not to be had. The lowest score that is kept without a promise, 0.01, was chosen on the "
    "same leopards, so recall at this score is no forecast. In brackets: the 95 % interval (bootstrap over passages; "
    "over individuals for nyala). Where no case is wrong, it has no width."
)
SEPARATION_MEANS = (
    "Precision, F1, AP (average precision) and the calibration error depend on how many photos of each kind there are; "
    "in the field most photos are empty. Recall: leopards kept. Spared: photos without a leopard that are not kept. "
    "Clean recall: leopards with a higher score than every photo without one. Calibration error: the mean difference "
    "between the score and the share of leopards, in 10 bins of equal width. The score is the highest of many parts of "
    "a photo, so it is no probability."
)
LIGHT_MEANS = (
    "By photo. Infrared: a grey photo. The clocks of the cameras are off by hours, so the time cannot tell daylight "
    "from flash; by eye, only four photos in colour were taken with a flash. All nyala are in colour."
)
STATION_MEANS = (
    "Passages. Each station is left out once. The threshold comes from the passages of the other stations, and judges "
    "the passages of this one, and all nyala. Promised: at how many stations the named passages elsewhere are enough "
    "for the promise. Intervals are exact; for nyala, the brackets have the lowest and the highest share of a station."
)


def screening_parts(runs: Sequence[Result]) -> list[str]:
    """Return the tables of each run of screening.json, with the sentences that explain them."""
    parts = [MEANS]
    for run in runs:
        parts += [
            f"Classifier {plain(run['run'])}: {run['seconds']['classify']:.3f} s a photo (processor time). Lowest "
            f"score that is kept: {run['threshold']:g}; lowest of a passage of leopards: {run['lowest_passage']:.3f}.",
            confusion_table(run),
            SEPARATION_MEANS,
            separation_table(run),
            LIGHT_MEANS,
            light_table(run),
            STATION_MEANS,
            station_table(run),
        ]
    return parts


def confusion_table(run: Result) -> str:
    """Return how many photos and passages of each kind got each answer."""
    rows = []
    for unit, kinds in run["confusion"].items():
        for kind, counts in kinds.items():
            cells = [str(counts.get(answer, 0)) for answer in ANSWERS]
            rows.append([f"{kind}, by {unit}", str(sum(counts.values())), *cells])
    return table(("what is shown", "number", *ANSWERS), rows)


def separation_table(run: Result) -> str:
    """Return the figures of leopards against each kind of photos without one."""
    rows = []
    for unit, against in run["separation"].items():
        for name in AGAINST:
            found = against[name]
            rows.append(
                [
                    f"{name}, by {unit}",
                    *(with_bounds(found[key], percent) for key in ("precision", "recall", "f1", "spared")),
                    *(with_bounds(found[key], _three) for key in ("auroc", "average_precision")),
                    with_bounds(found["clean_recall"], percent),
                    with_bounds(found["calibration_error"], decimal),
                ]
            )
    headings = ("precision", "recall", "F1", "spared", "AUROC", "AP", "clean recall", "calibration error")
    return table(("snow leopards against", *headings), rows)


def light_table(run: Result) -> str:
    """Return the figures by the light of the photos."""
    rows = []
    for light, found in run["light"].items():
        rows.append(
            [
                light,
                str(found["photos"]),
                str(found["passages"]),
                with_bounds(found["recall"], percent),
                with_bounds(found[PAINTED]["spared"], percent),
                with_bounds(found[NYALA]["auroc"], _three),
                with_bounds(found[PAINTED]["auroc"], _three),
            ]
        )
    headings = ("photos", "passages", "recall", "painted out spared", "AUROC, nyala", "AUROC, painted out")
    return table(("light", *headings), rows)


def station_table(run: Result) -> str:
    """Return what thresholds that were learned at other stations do."""
    rows = []
    for found in run["stations"]:
        low, high = found["threshold"]
        rows.append(
            [
                f"{100 * found['keep']:g} %",
                f"{found['promised']} of {found['stations']}",
                f"{low:.3g}" if low == high else f"{low:.3g} to {high:.3g}",
                f"{with_bounds(found['kept'], percent)} of {found['passages']}",
                f"{found['whole']} of {found['stations']}",
                with_bounds(found["spared"], percent),
                with_bounds(found["nyala"], percent),
            ]
        )
    headings = ("promised", "threshold", "kept", "stations without a loss", "painted out spared", "nyala spared")
    return table(("to be kept", *headings), rows)


def _three(value: float) -> str:
    return f"{value:.3f}"
