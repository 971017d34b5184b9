"""Named datasets, and the suites: lists of runs, each with one file in results/."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LEOPARDS, NYALA = "{data}/snow_leopard", "{data}/nyala,parts=left_flank"
FLANKS = f"{LEOPARDS},boxed=yes,parts=left_flank+right_flank"
LEFT_OUT = f"{LEOPARDS},masks=no,flanks=no,boxes=found,every=2"

# Name: its source and keys (see datasets.py; {data} is the folder of real photos), and a description.
DATASETS = {
    "snow_leopard-boxes": (f"{FLANKS},masks=no", "snow leopards, boxed flanks"),
    "snow_leopard-masks": (FLANKS, "snow leopards, boxed flanks, with masks"),
    "snow_leopard-all-boxes": (f"{LEOPARDS},boxed=yes,masks=no", "snow leopards, boxed, flank unknown as well"),
    "snow_leopard-mask-boxes": (f"{LEOPARDS},boxes=mask,masks=no,flanks=no", "snow leopards, box round the mask"),
    "snow_leopard-whole": (f"{LEOPARDS},masks=no,boxes=no,flanks=no", "snow leopards, whole photos"),
    "snow_leopard-third": (f"{LEOPARDS},masks=no,boxes=no,each=3", "snow leopards, every third photo, whole"),
    "snow_leopard-boxed": (f"{LEOPARDS},named=boxed,masks=no,flanks=no", "snow leopards with a box, flank unknown"),
    "snow_leopard-unboxed": (
        f"{LEOPARDS},named=boxed,masks=no,flanks=no,boxes=no",
        "the same photos without their boxes",
    ),
    "nyala-left": (NYALA, "nyala, whole photos"),
    "nyala-left-box": (f"{NYALA},box=.15/.2/.75/.45", "nyala, one rough box for all"),
    "nyala-left-third": (f"{NYALA},every=3", "nyala, every third animal"),
    "nyala-left-third-framed": (f"{NYALA},every=3,box=0/0/1/1", "nyala, every third animal, the frame as box"),
    "nyala-left-third-bars": (f"{NYALA},every=3,box=0/0/1/1,bars=wrong", "the same with bars of wrong animals"),
    "nyala-out": (f"{NYALA},boxes=found,every=2,from=1", "nyala, left flanks of half of the animals"),
    "snow_leopard-out": (f"{LEFT_OUT},from=1", "snow leopards, half of the cats, found boxes, flank unknown"),
    "nyala-known": (f"{NYALA},every=8", "nyala, a part of the other half"),
    "snow_leopard-known": (f"{LEFT_OUT},first=150", "snow leopards, photos of the other half"),
    "synthetic-60": ("synthetic,individuals=60,encounters=6,stations=12,seed=7", "60 drawn cats, with masks"),
    "synthetic-40": ("synthetic,individuals=40,encounters=4", "40 drawn cats, with masks"),
}
PROTOCOLS = {
    "cross-encounter": "another passage",
    "cross-station": "another station",
    "split": "the test photos of the set",
}


@dataclass(frozen=True)
class Run:
    """One dataset, protocol and method, as text of the command line."""

    dataset: str
    protocol: str
    method: str


@dataclass(frozen=True)
class Script:
    """A program of this folder with its arguments ({work} and {data} are filled in), and the names of its runs."""

    arguments: tuple[str, ...]
    makes: tuple[str, ...]


def source_of(dataset: str, data: Path) -> str:
    """Return the source and keys of a dataset for datasets.py. `dataset` is a name of DATASETS, or source and keys."""
    if dataset not in DATASETS:
        return dataset
    return f"{DATASETS[dataset][0].format(data=data)},name={dataset}"


OURS, HOTSPOTTER = "snowmatch_engine", "hotspotter"
AGAIN = f"{OURS},keep=yes"  # uses the features of the run before
NOTHING = f"{OURS},classifier=none,boxes=no"  # bursts and stations weigh the spots, nothing finds the animal
FOUND = f"{OURS},classifier=efficientnet_lite0"
OUTLINED = f"{OURS},classifier=none,segmenter=isnet"
# Other extractors and matchers. All matchers of one extractor use the same features.
OTHERS = (
    f"{OURS},matcher=mutual,keep=yes",
    f"{OURS},extractor=xfeat",
    f"{OURS},extractor=xfeat,matcher=mutual,keep=yes",
    f"{OURS},extractor=xfeat,matcher=lightglue,keep=yes",
    f"{OURS},extractor=aliked,options=model=n16",
    f"{OURS},extractor=aliked,options=model=n16,matcher=mutual,keep=yes",
)
IDENTITY_WAYS = ("queue", "auto+queue", "ranked", "ranked_names", "graph")
DRAWN_SURVEY = "synthetic,individuals=30,encounters=6,stations=12,seed={0},name=survey-{0}"
ONE_OBSERVER = ("--way", "queue", "--accuracy", "0.97", "--seeds", "1")
INDEXED = ("hesaff", "sift")
CALIBRATED = ("hesaff:lnbnn", "sift:lnbnn")
PHOTOS = ("--data", "{data}")
HOTSPOTTERS_SCORES = "{work}/scores/snow_leopard-boxes/cross-encounter/hotspotter/0.npz"
METHODS = tuple(word for method in CALIBRATED for word in ("--method", method))

SUITES: dict[str, list[Run] | list[Script]] = {
    # HotSpotter uses boxes but no masks, so the effect of masks is measured separately.
    "snow_leopard": [
        Run("snow_leopard-boxes", "cross-encounter", OURS),
        Run("snow_leopard-boxes", "cross-encounter", HOTSPOTTER),
        Run("snow_leopard-boxes", "cross-station", AGAIN),
        Run("snow_leopard-boxes", "cross-station", HOTSPOTTER),
        Run("snow_leopard-boxes", "cross-station", "wildid"),
        Run("snow_leopard-masks", "cross-encounter", OURS),
        Run("snow_leopard-masks", "cross-station", AGAIN),
        Run("snow_leopard-mask-boxes", "cross-encounter", OURS),
        Run("snow_leopard-mask-boxes", "cross-encounter", HOTSPOTTER),
        Run("snow_leopard-whole", "cross-encounter", OURS),
        Run("snow_leopard-whole", "cross-encounter", HOTSPOTTER),
        Run("snow_leopard-whole", "cross-station", AGAIN),  # there, rocks cannot answer
        Run("snow_leopard-whole", "cross-station", HOTSPOTTER),
    ],
    # Left flanks only: there are as many right flanks, and they give no new information.
    "nyala": [
        Run("nyala-left", "cross-encounter", OURS),
        Run("nyala-left", "cross-encounter", HOTSPOTTER),
        Run("nyala-left", "split", AGAIN),
        Run("nyala-left", "split", HOTSPOTTER),
        Run("nyala-left", "split", "wildid"),
        Run("nyala-left-box", "cross-encounter", OURS),
        Run("nyala-left-box", "cross-encounter", HOTSPOTTER),
    ],
    # The same queries: nothing finds the animal, the program does, a person did.
    "location": [
        Run("snow_leopard-unboxed", "cross-encounter", NOTHING),
        Run("snow_leopard-unboxed", "cross-encounter", FOUND),
        Run("snow_leopard-unboxed", "cross-encounter", HOTSPOTTER),
        Run("snow_leopard-boxed", "cross-encounter", FOUND),
        Run("snow_leopard-boxed", "cross-encounter", HOTSPOTTER),
        Run("snow_leopard-whole", "cross-encounter", NOTHING),
        Run("snow_leopard-whole", "cross-encounter", FOUND),
        Run("nyala-left-third", "cross-encounter", NOTHING),
        Run("nyala-left-third", "cross-encounter", OUTLINED),
        Run("nyala-left-third", "cross-encounter", HOTSPOTTER),
        Run("nyala-left-third-framed", "split", NOTHING),
        Run("nyala-left-third-framed", "split", HOTSPOTTER),
        Run("nyala-left-third-bars", "split", NOTHING),
        Run("nyala-left-third-bars", "split", f"{NOTHING},options=foreground=given,keep=yes"),
        Run("nyala-left-third-bars", "split", HOTSPOTTER),
    ],
    "synthetic": [
        Run("synthetic-40", "cross-station", OURS),
        Run("synthetic-40", "cross-station", HOTSPOTTER),
    ],
    "networks": [
        Run("snow_leopard-boxes", "cross-station", OURS),
        *(Run("snow_leopard-boxes", "cross-station", method) for method in OTHERS),
        Run("nyala-left-third", "cross-encounter", OURS),
        *(Run("nyala-left-third", "cross-encounter", method) for method in OTHERS),
    ],
    "deep": [Script(("deep", "left_out", *PHOTOS), ("nyala-out", "snow_leopard-out"))],
    "scenery": [
        Script(
            ("scenery.py", "--classifier", "efficientnet_lite0", *PHOTOS),
            ("scenery classifier=efficientnet_lite0",),
        )
    ],
    "calibration": [Script(("ship_calibration.py", *METHODS, *PHOTOS), CALIBRATED)],
    "levels": [
        Script(
            ("levels.py", "snow_leopard-all-boxes", *METHODS, *PHOTOS),
            tuple(f"snow_leopard-all-boxes cross-encounter {method}" for method in CALIBRATED),
        ),
        Script(
            ("levels.py", "snow_leopard-boxes", *PHOTOS, "--table", f"hotspotter={HOTSPOTTERS_SCORES}"),
            ("snow_leopard-boxes cross-encounter hotspotter",),
        ),
        Script(
            ("levels.py", "nyala-left-third", "--method", "hesaff:lnbnn", *PHOTOS),
            ("nyala-left-third cross-encounter hesaff:lnbnn",),
        ),
    ],
    "population": [
        Script(("population.py", "--seeds", "20", "--evidence", "mask"), ("mask",)),
        Script(("population.py", "--seeds", "5", "--evidence", "box"), ("box",)),
    ],
    "identities": [
        Script(
            ("identity_catalogs.py", name, *PHOTOS, "--seeds", "2"),
            tuple(f"{name}, {way}, {observer} %" for observer in ("100", "97", "90") for way in IDENTITY_WAYS),
        )
        for name in ("snow_leopard-all-boxes", "nyala-left-third", "synthetic-60")
    ]
    + [
        Script(
            ("identity_catalogs.py", DRAWN_SURVEY.format(seed), *PHOTOS, *ONE_OBSERVER),
            (f"survey-{seed}, queue, 97 %",),
        )
        for seed in range(201, 221)
    ],
    "draws": [Script(("draws.py",), ("0.5 answers a sighting, accuracy 0.97",))],
    "importing": [Script(("importing.py",), ("megadetector, 10000 photos", "megadetector, 100000 photos"))],
    "decisions": [Script(("decisions.py",), ("20000 sightings, 200000 decisions",))],
    "indexing": [
        Script(
            ("indexing.py", "--extractor", *INDEXED, *PHOTOS),
            tuple(f"snow_leopard-third {extractor}, workers: {count}" for extractor in INDEXED for count in (1, 2)),
        )
    ],
    "screening": [Script(("screening.py", *PHOTOS), ("efficientnet_lite0",))],
    "found_boxes": [Script(("found_boxes.py", *PHOTOS), ("classifier=none", "classifier=efficientnet_lite0"))],
    "app": [Script(("app.py",), ("app",))],
    "watching": [Script(("watching.py",), ("watching",))],
    "speed": [
        Script(("speed.py", "waiting"), ("waiting",)),
        Script(("speed.py", "stages", *PHOTOS), ("stages hesaff", "stages sift", "stages hotspotter")),
        Script(("speed.py", "scaling", *PHOTOS), ("scaling",)),
    ],
    "scaling": [
        Script(
            ("scaling.py", "--dataset", "snow_leopard-boxes", "--features", "1000", *PHOTOS),
            tuple(f"annotations={size},features=1000" for size in (1000, 10_000, 30_000)),
        )
    ],
}
COMPARED = ("snow_leopard", "nyala", "synthetic")  # suites with HotSpotter beside the engine
# The engine's part of them is quick: it shows what a change of the engine does
ALONE = [run for suite in COMPARED for run in SUITES[suite] if isinstance(run, Run) and run.method.startswith(OURS)]
SUITES["engine"] = ALONE
# What each suite measures, and the estimated minutes (used until there are results).
ABOUT = {
    "snow_leopard": ("leopards: boxes, masks, whole photos; compared with HotSpotter and wildid", 60),
    "nyala": ("nyala, whole and with one rough box; compared with HotSpotter and wildid", 40),
    "engine": ("the engine's part of these three suites, without the other methods", 45),
    "location": ("whole photos: nothing, the program or a person finds the animal; bars with text in boxes", 60),
    "synthetic": ("40 drawn cats; compared with HotSpotter", 6),
    "networks": ("other extractors and matchers, on leopards and nyala", 40),
    "deep": ("networks for whole photos from the weights of ImageNet, on animals left out; as a witness", 60),
    "scenery": ("photos without an animal, boxes on rock, cats before the rocks of others", 10),
    "calibration": ("the calibrations that are shipped, judged", 25),
    "levels": ("how often answers of each level are right", 5),
    "population": ("from identities to abundance", 13),
    "identities": ("decisions until it is known who is who, beside ranked lists and graph identification", 45),
    "draws": ("intervals of the number of animals, with and without draws of identities", 3),
    "importing": ("a season of 100,000 photos, mostly empty: time and memory of an import", 2),
    "decisions": ("200,000 decisions about 20,000 sightings: reading, who is who, the next question", 2),
    "indexing": ("how much of an index run is the extractor's own time", 6),
    "screening": ("which photos show a snow leopard, beside nyala and leopards painted out", 5),
    "found_boxes": ("the boxes and maps that snowmatch finds, beside boxes of a person and masks", 5),
    "app": ("how long a person waits in the app", 10),
    "watching": ("from a photo on the disk to its answer in a watched folder", 20),
    "speed": ("help, indexing, queries, stages, size of the gallery", 25),
    "scaling": ("time, memory and disk of large drawn catalogs, and the neighbours found", 30),
}
# A small drawn survey shows that everything works. Its results are not kept with the others.
SMOKE = [Run("synthetic,individuals=8,encounters=3", "cross-encounter", method) for method in (OURS, "wildid")]


def minutes_of(suite: str, runs: Sequence[Mapping[str, Any]]) -> int | None:
    """Return how many minutes the runs that the suite makes took; None if that is unknown. `runs`: those of its file.

    The file can have others, which no suite makes. A run without any seconds is of before they were kept.
    """
    made = {name for run in SUITES[suite] if isinstance(run, Script) for name in run.makes}
    seconds = [run["seconds"] for run in runs if "seconds" in run and (not made or run["run"] in made)]
    total = sum(each.get("total", 0) for each in seconds)
    return max(1, round(total / 60)) if total and all(seconds) else None
