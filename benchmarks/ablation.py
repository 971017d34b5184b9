"""Which settings of matching, geometry, scoring and extraction identify best: one varied at a time, on real photos.

Per variant and set: best photo and best individual right (micro, and macro over individual x body part). What choosing
is worth is measured on other animals: each group's best variant on four fifths of the individuals is scored on the
last fifth. Writes results/ablation.json and results/ablation.md; ranks of single queries are kept in --work, and what
is there is not measured again.

Example: python benchmarks/ablation.py --data ../shared/data --work /tmp/ablation --group matching --group geometry
"""

from __future__ import annotations

import argparse
import hashlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any
from unittest import mock

import cv2
import faiss
import numpy as np
from datasets import name_of, prepare
from measure import HERE, circumstances, write_result
from run import BOXES, MASKED, NYALA, NYALA_BOX

from snowmatch import verify
from snowmatch.api import open_catalog
from snowmatch.core.types import BODY_PARTS, BBox, Features, Matches, same_part
from snowmatch.extractors import _descriptors, hesaff
from snowmatch.gallery import Gallery
from snowmatch.index import Block, Neighbors, build_faiss, search
from snowmatch.matchers.lnbnn import votes
from snowmatch.metrics import macro_top_1, ranks, top_k
from snowmatch.photos.chips import make_chip, to_photo
from snowmatch.photos.pixels import read_mask, read_photo
from snowmatch.protocol import make_trial
from snowmatch.score import annotation_scores, keypoint_votes, ranking
from snowmatch.screening.foreground import centre_weights
from snowmatch.verify import Frames, Geometry


@dataclass(frozen=True)
class Source:
    """A dataset as datasets.py reads it, how it is asked, and which individuals are used: each `every`-th."""

    protocol: str
    dataset: str
    every: int = 1

    @property
    def name(self) -> str:
        """Names it in tables and files."""
        return name_of(self.dataset) + (f", 1 animal in {self.every}" if self.every > 1 else "")


SETS = (
    Source("cross-station", BOXES),
    Source("cross-station", MASKED),
    Source("cross-encounter", NYALA),
    Source("cross-encounter", NYALA_BOX),
)
EXTRACTED_SETS = SETS[:1]  # features are made anew for each variant: two minutes a hundred photos
QUERIES = 230  # of each set at most, evenly spread
PLACES = 11  # neighbours looked up: eight that vote and three normalisers
SHORTLIST = 60  # annotations checked, in place of 300: as many right answers (README.md), at a quarter of the time
DETECTOR = hesaff.Hesaff()
# HotSpotter's, from which every setting was varied; what came of it is the engine's default now
TOLERANCES = Geometry(position=0.01, area=2.0, minimum=7, shortlist=SHORTLIST)
GREY = 4.0  # mean difference between a photo's highest and lowest channel, below which it is infrared
FOLDS = 5
REPEATS = 40  # ways to divide the individuals into folds
DEFAULT = "default"
FIGURES = ("photo", "individual", "macro photo", "macro individual")


@dataclass(frozen=True)
class Extraction:
    """How features are made; the defaults are the engine's.

    pixels: what is done to the chip's grey values; photos: to which photos, `all`, `grey` (infrared) or `colour`.
    strongest: how many features are kept, over a grid of `cells` x `cells` equal shares (1: anywhere). turned: degrees;
    queries are described at these angles too, and each keypoint takes the one nearest to the gallery.
    """

    extractor: hesaff.Hesaff = DETECTOR
    pixels: str = "as they are"
    photos: str = "all"
    descriptor: str = "rootsift"
    strongest: int = 0
    cells: int = 1
    turned: tuple[float, ...] = ()


@dataclass(frozen=True)
class Setting:
    """One way to identify; the defaults are the engine's.

    once: a gallery keypoint has one vote per query. mutual: the query keypoint must be among that many nearest ones in
    its photo, seen from the gallery's keypoint; 0 asks nothing. model: what is fitted to the agreeing matches, `passes`
    times. round: the geometric check takes keypoints as circles. soft: what agrees counts the less, the farther off.
    individual: how the votes for an individual become its score, fallback: likewise where no match was verified.
    """

    k: int = 4
    normalizers: int = 1
    normalizer: str = "last"
    weight: str = "difference"
    once: bool = False
    mutual: int = 0
    foreground: str = "root of product"
    geometry: Geometry = TOLERANCES
    model: str = "homography"
    passes: int = 1
    round: bool = False
    soft: bool = False
    individual: str = "keypoints"
    fallback: str = "keypoints"
    extraction: Extraction = Extraction()

    @property
    def matching(self) -> Setting:
        """The same with the default scoring: what has the same verified matches."""
        return replace(self, individual="keypoints", fallback="keypoints")


def geometry(**changes: Any) -> Setting:
    """The default setting but for its geometric tolerances."""
    return Setting(geometry=replace(TOLERANCES, **changes))


def extracted(**changes: Any) -> Setting:
    """The default setting but for how features are made."""
    return Setting(extraction=Extraction(**changes))


TIGHT = geometry(position=0.0025, area=3, minimum=5)

GROUPS: dict[str, dict[str, Setting]] = {
    "matching": {
        DEFAULT: Setting(),
        **{f"k {k}": Setting(k=k) for k in (1, 2, 3, 5, 6, 8)},
        "2 normalizers": Setting(normalizers=2),
        "3 normalizers": Setting(normalizers=3),
        "k 2, 3 normalizers": Setting(k=2, normalizers=3),
        "k 1, normaliser of another name among 5": Setting(k=1, normalizers=5, normalizer="name"),
        "k 2, normaliser of another name among 5": Setting(k=2, normalizers=5, normalizer="name"),
        "normaliser of another name among 3": Setting(normalizers=3, normalizer="name"),
        "normaliser of another name among 6": Setting(normalizers=6, normalizer="name"),
        **{f"weight {w}": Setting(weight=w) for w in ("ratio", "log ratio", "squares", "roots", "one")},
        "one vote per gallery keypoint": Setting(once=True),
        **{f"mutual among {n}": Setting(mutual=n) for n in (1, 2, 4)},
        **{f"foreground {f}": Setting(foreground=f) for f in ("product", "least", "query", "none")},
        "k 6, weight ratio": Setting(k=6, weight="ratio"),
        "k 6, mutual among 4": Setting(k=6, mutual=4),
        "one vote per gallery keypoint, weight ratio": Setting(once=True, weight="ratio"),
    },
    "geometry": {
        DEFAULT: Setting(),
        **{f"position {p}": geometry(position=p) for p in (0.0025, 0.005, 0.007, 0.015, 0.02)},
        **{f"area {a}": geometry(area=a) for a in (1.5, 2.5, 3, 5, 10)},
        **{f"minimum {n}": geometry(minimum=n) for n in (4, 5, 6, 8, 10)},
        "position 0.005, minimum 5": geometry(position=0.005, minimum=5),
        "position 0.005, area 3": geometry(position=0.005, area=3),
        "position 0.005, area 3, minimum 5": geometry(position=0.005, area=3, minimum=5),
        "position 0.0025, area 3, minimum 5": geometry(position=0.0025, area=3, minimum=5),
        "position 0.005, area 5, minimum 5": geometry(position=0.005, area=5, minimum=5),
        "position 0.0025, area 5, minimum 5": geometry(position=0.0025, area=5, minimum=5),
        "round keypoints": Setting(round=True),
        "no refinement": Setting(passes=0),
        "refined twice": Setting(passes=2),
        "affine refinement": Setting(model="affine"),
        "affine refinement, minimum 5": replace(geometry(minimum=5), model="affine"),
        "affine refinement, position 0.005": replace(geometry(position=0.005), model="affine"),
        "affine refinement, position 0.005, minimum 5": replace(geometry(position=0.005, minimum=5), model="affine"),
        "similarity refinement": Setting(model="similarity"),
        "similarity refinement, minimum 5": replace(geometry(minimum=5), model="similarity"),
        "similarity refinement, position 0.005": replace(geometry(position=0.005), model="similarity"),
        "similarity refinement, area 3, minimum 5": replace(geometry(area=3, minimum=5), model="similarity"),
        "soft": Setting(soft=True),
        "soft, position 0.02": replace(geometry(position=0.02), soft=True),
        "soft, position 0.005, minimum 5": replace(geometry(position=0.005, minimum=5), soft=True),
        "soft, affine refinement, minimum 5": replace(geometry(minimum=5), soft=True, model="affine"),
        "shortlist 300": geometry(shortlist=300),
    },
    "scoring": {
        DEFAULT: Setting(),
        **{
            f"{name} (fallback too)": Setting(individual=name, fallback=name)
            for name in ("all photos", "best photo", "best 2 photos", "best 3 photos")
        },
        **{f"keypoints of the best {n} photos": Setting(individual=f"keypoints {n}") for n in (1, 2, 3, 5)},
        "keypoints by fourth root of photos": Setting(individual="fourth root"),
        "keypoints by square root of photos": Setting(individual="square root"),
        **{f"fallback {name}": Setting(fallback=name) for name in ("all photos", "best photo", "best 3 photos")},
        "fallback by square root of photos": Setting(fallback="square root"),
    },
    "combined": {
        DEFAULT: Setting(),
        "tight: position 0.0025, area 3, minimum 5": TIGHT,
        "tight, minimum 4": geometry(position=0.0025, area=3, minimum=4),
        "tight, area 2.5": geometry(position=0.0025, area=2.5, minimum=5),
        "tight, position 0.0035": geometry(position=0.0035, area=3, minimum=5),
        "tight, position 0.0015": geometry(position=0.0015, area=3, minimum=5),
        "tight, position 0.001": geometry(position=0.001, area=3, minimum=5),
        "tight, position 0.0005": geometry(position=0.0005, area=3, minimum=5),
        "tight, position 0.0015, minimum 4": geometry(position=0.0015, area=3, minimum=4),
        "tight, position 0.0015, area 5": geometry(position=0.0015, area=5, minimum=5),
        "tight, position 0.0015, k 6": replace(geometry(position=0.0015, area=3, minimum=5), k=6),
        "tight, affine refinement": replace(TIGHT, model="affine"),
        "tight, no refinement": replace(TIGHT, passes=0),
        "tight, soft": replace(TIGHT, soft=True),
        "tight, k 6": replace(TIGHT, k=6),
        "tight, fallback by square root of photos": replace(TIGHT, fallback="square root"),
        "tight, best photo (fallback too)": replace(TIGHT, individual="best photo", fallback="best photo"),
        "tight, keypoints of the best 3 photos": replace(TIGHT, individual="keypoints 3"),
    },
    "extraction": {
        DEFAULT: Setting(),
        "SIFT, not RootSIFT": extracted(descriptor="sift"),
        "CLAHE": extracted(pixels="clahe"),
        "2,000 features": extracted(strongest=2000),
        "2,000 features over a grid": extracted(strongest=2000, cells=8),
        "chip 500": extracted(extractor=hesaff.Hesaff(chip_size=500)),
        "1,000 features": extracted(strongest=1000),
        "1,000 features over a grid": extracted(strongest=1000, cells=8),
        "CLAHE on grey photos": extracted(pixels="clahe", photos="grey"),
        "round frames": extracted(extractor=hesaff.Hesaff(affine=False)),
        "chip 1,000": extracted(extractor=hesaff.Hesaff(chip_size=1000)),
        "gamma 0.5": extracted(pixels="gamma"),
        "histogram equalised": extracted(pixels="equalised"),
        "threshold 3": extracted(extractor=hesaff.Hesaff(threshold=3.0)),
        "CLAHE on colour photos": extracted(pixels="clahe", photos="colour"),
        "queries turned by 15 degrees too": extracted(turned=(-15.0, 15.0)),
    },
}

WEIGHTS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "difference": lambda near, far: far - near,
    "ratio": lambda near, far: 1 - near / far,
    "log ratio": lambda near, far: np.log(far / np.maximum(near, 0.01)),
    "squares": lambda near, far: far**2 - near**2,
    "roots": lambda near, far: np.sqrt(far) - np.sqrt(near),
    "one": lambda near, far: np.ones_like(near),
}
FOREGROUND: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "root of product": lambda q, g: np.sqrt(q * g),
    "product": lambda q, g: q * g,
    "least": np.minimum,
    "query": lambda q, g: q,
    "none": lambda q, g: np.ones_like(q),
}
PIXELS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "as they are": lambda grey: grey,
    "clahe": lambda grey: cv2.createCLAHE(2.0, (8, 8)).apply(grey),
    "equalised": cv2.equalizeHist,
    "gamma": lambda grey: cv2.LUT(grey, np.rint(255 * np.sqrt(np.arange(256) / 255)).astype(np.uint8)),
}


@dataclass(frozen=True)
class Photos:
    """One set to measure on: who is asked, who may answer, and features made in one way.

    asked (Q,) are entries of the gallery, allowed (Q, A) bool; `features` of all A, likewise `turned`, once per angle.
    """

    gallery: Gallery
    asked: np.ndarray
    allowed: np.ndarray
    features: list[Features]
    turned: list[tuple[float, dict[int, Features]]] = field(default_factory=list)

    @cached_property
    def numbers(self) -> np.ndarray:
        """(A,) the individual of each annotation."""
        return self.gallery.individual_numbers

    @cached_property
    def groups(self) -> np.ndarray:
        """(Q,) number of each query's individual x body part."""
        parts = np.array([BODY_PARTS.index(a.body_part) for a in self.gallery.annotations])
        return (self.numbers * len(BODY_PARTS) + parts)[self.asked]

    @cached_property
    def offsets(self) -> np.ndarray:
        """(A + 1,) where each annotation's keypoints begin among those of all."""
        return np.cumsum([0] + [len(f) for f in self.features])

    @cached_property
    def weights(self) -> list[np.ndarray]:
        """How surely each keypoint is on the animal, per annotation."""
        lone = [a.bbox is None and not a.mask for a in self.gallery.annotations]
        return [
            centre_weights(f.keypoints, f.image_size) if alone else np.ones(len(f), np.float32)
            for alone, f in zip(lone, self.features, strict=True)
        ]

    @cached_property
    def flat_weights(self) -> np.ndarray:
        """The same of all keypoints, one annotation after the other."""
        return np.concatenate(self.weights)

    @cached_property
    def frames(self) -> Frames:
        """Of all keypoints."""
        columns = [
            np.concatenate([getattr(f, name) for f in self.features]) for name in ("keypoints", "shapes", "oris")
        ]
        return Frames.of(*columns)

    @cached_property
    def neighbors(self) -> list[tuple[np.ndarray, Neighbors, np.ndarray]]:
        """Per query: the keypoints looked up, their PLACES nearest, and the angle each was described at."""
        blocks = list(self._blocks())
        found = []
        for entry, allowed in zip(self.asked, self.allowed, strict=True):
            own = self.gallery.annotations[entry].body_part
            compared = [block for part, block in blocks if same_part(part, own)]
            on = np.flatnonzero(self.weights[entry])
            nearest = search(compared, self.features[entry].descriptors[on], allowed, PLACES)
            angles = np.zeros(len(on))
            for angle, features in self.turned:
                other = search(compared, features[entry].descriptors[on], allowed, PLACES)
                nearer = other.distances[:, 0] < nearest.distances[:, 0]
                angles[nearer] = np.radians(angle)
                nearest = Neighbors(
                    *(
                        np.where(nearer[:, None], getattr(other, name), getattr(nearest, name))
                        for name in ("distances", "entries", "keypoints")
                    )
                )
            found.append((on, nearest, angles))
        return found

    def _blocks(self) -> Iterator[tuple[str, Block]]:
        """Body parts, each with a searchable block of those annotations that any query may be compared with."""
        used = self.allowed.any(axis=0)
        for part in BODY_PARTS:
            rows = [i for i, a in enumerate(self.gallery.annotations) if a.body_part == part and used[i]]
            rows = [i for i in rows if len(self.features[i])]
            if rows:
                index = build_faiss([self.features[i].descriptors for i in rows])
                offsets = np.cumsum([0] + [len(self.features[i]) for i in rows])
                yield part, Block(np.array(rows), offsets, lambda index=index: index)


def main() -> None:
    """Measure what is asked for, then write tables of all that has been measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="folder with snow_leopard/ and nyala/")
    parser.add_argument("--work", type=Path, required=True, help="folder for catalogs, features and ranks")
    parser.add_argument("--group", action="append", choices=GROUPS, help="only this group of settings; may be repeated")
    given = parser.parse_args()
    cv2.setNumThreads(1)
    faiss.omp_set_num_threads(1)
    groups = given.group or list(GROUPS)
    plain = [setting for group in groups if group != "extraction" for setting in GROUPS[group].values()]
    for source in SETS:
        todo = [setting for setting in dict.fromkeys(plain) if not _file(given.work, source, setting).exists()]
        if todo:
            ask_all(load(source, given), todo, lambda setting, source=source: _file(given.work, source, setting))
    for setting in GROUPS["extraction"].values() if "extraction" in groups else ():
        for source in EXTRACTED_SETS:
            if not _file(given.work, source, setting).exists():
                photos = extract_anew(load(source, given), setting.extraction)
                ask_all(photos, [setting], lambda setting, source=source: _file(given.work, source, setting))
    report(given)


def _file(work: Path, source: Source, setting: Setting) -> Path:
    """Where the ranks (Q, 2) of the best right photo and of the right individual are kept."""
    mark = hashlib.sha256(repr(setting).encode()).hexdigest()[:16]
    return work / "ranks" / source.name / f"{mark}.npy"


def load(source: Source, given: argparse.Namespace) -> Photos:
    """A set with the engine's own features, indexed where it is not yet."""
    dataset = prepare(source.dataset.format(data=given.data), given.work)
    catalog = open_catalog(dataset.folder)
    catalog.index(workers=1)
    gallery = catalog.gallery(DETECTOR)
    trial = make_trial(gallery.annotations, source.protocol)
    used = gallery.individual_numbers % source.every == 0
    allowed = trial.allowed & used[:, None] & used
    own = gallery.individual_numbers[:, None] == gallery.individual_numbers
    asked = np.flatnonzero((allowed & own).any(axis=1))
    asked = asked[np.unique(np.linspace(0, len(asked) - 1, min(QUERIES, len(asked))).astype(int))]
    return Photos(gallery, asked, allowed[asked], [gallery.reader.read(key) for key in gallery.keys])


def extract_anew(photos: Photos, extraction: Extraction) -> Photos:
    """The same set with features made as `extraction` says; those that no query needs stay as they are."""
    used = np.flatnonzero(photos.allowed.any(axis=0) | np.isin(np.arange(len(photos.features)), photos.asked))
    features = list(photos.features)
    if replace(extraction, strongest=0, cells=1, turned=()) != Extraction():
        for entry in used:
            features[entry] = _extract(photos, entry, extraction)
    turned = [(a, {entry: _extract(photos, entry, extraction, a) for entry in photos.asked}) for a in extraction.turned]
    if extraction.strongest:
        for entry in used:
            features[entry] = _spread(features[entry], photos.gallery.annotations[entry].bbox, extraction)
    return replace(photos, features=features, turned=turned)


def _extract(photos: Photos, entry: int, extraction: Extraction, angle: float = 0.0) -> Features:
    """Features of one annotation, described at `angle` degrees; the engine's where its kind of photo is left alone."""
    folder, annotation = photos.gallery.index_folder.parents[2], photos.gallery.annotations[entry]
    photo = read_photo(folder / annotation.path)
    if extraction.photos not in ("all", "grey" if np.ptp(photo, axis=2).mean() < GREY else "colour"):
        return photos.features[entry]
    mask = read_mask(folder / annotation.mask, (photo.shape[1], photo.shape[0])) if annotation.mask else None
    chip = make_chip(photo, annotation.bbox, mask, extraction.extractor.chip_size, "grey")
    chip = replace(chip, pixels=PIXELS[extraction.pixels](chip.pixels))
    cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    turn, sample = np.array([[cos, -sin], [sin, cos]]), hesaff._sample

    def sample_turned(level: Any, points: np.ndarray, frames: np.ndarray, side: int) -> np.ndarray:
        return sample(level, points, frames @ turn if side == hesaff.PATCH else frames, side)

    describe = DESCRIPTORS[extraction.descriptor]
    with mock.patch.object(hesaff, "_sample", sample_turned), mock.patch.object(_descriptors, "root_sift", describe):
        return to_photo(extraction.extractor.extract(chip), chip)


def plain_sift(histograms: np.ndarray) -> np.ndarray:
    """SIFT (N, 128) uint8 of length about 512. Source: Lowe, IJCV 2004, section 6.1."""
    clipped = np.minimum(histograms, 0.2 * np.linalg.norm(histograms, axis=1, keepdims=True))
    length = np.maximum(np.linalg.norm(clipped, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    return np.minimum(np.rint(_descriptors.NORM * clipped / length), 255).astype(np.uint8)


DESCRIPTORS = {"rootsift": _descriptors.root_sift, "sift": plain_sift}


def _spread(features: Features, box: BBox | None, extraction: Extraction) -> Features:
    """The strongest features, as many from each cell of a grid over the box (or photo) as it has, at most its share."""
    x, y, w, h = box or (0, 0, *features.image_size)
    places = np.floor((features.keypoints - (x, y)) / (w, h) * extraction.cells)
    column, row = np.clip(places, 0, extraction.cells - 1).astype(int).T
    cell = row * extraction.cells + column
    order = np.argsort(cell, kind="stable")  # features come by falling response
    place = np.empty(len(cell), int)
    place[order] = np.arange(len(cell)) - np.searchsorted(cell[order], cell[order])
    # by their place in their cell: every cell fills up evenly until the number is reached
    return features.take(np.sort(np.argsort(place, kind="stable")[: extraction.strongest]))


def ask_all(photos: Photos, settings: list[Setting], file_of: Callable[[Setting], Path]) -> None:
    """Ask every query with every setting and keep the ranks; settings with the same matches share them."""
    by_matching: dict[Setting, list[Setting]] = {}
    for setting in settings:
        by_matching.setdefault(setting.matching, []).append(setting)
    for matching, members in by_matching.items():
        found = np.array([ask(photos, number, matching, members) for number in range(len(photos.asked))])  # (Q, S, 2)
        for setting, of_setting in zip(members, found.transpose(1, 0, 2), strict=True):
            file = file_of(setting)
            file.parent.mkdir(parents=True, exist_ok=True)
            np.save(file, of_setting)
            print(f"{file.parent.name} {np.mean(of_setting == 1, axis=0).round(3)} {changes(setting)}", flush=True)


def changes(setting: Setting) -> str:
    """What of a setting is not the default, as text."""
    return ", ".join(f"{k}={v}" for k, v in vars(setting).items() if v != getattr(Setting(), k)) or DEFAULT


def ask(photos: Photos, number: int, matching: Setting, members: list[Setting]) -> list[tuple[float, float]]:
    """Ranks of the best right photo and of the right individual for one query, with each of `members`."""
    pre_matches = vote(photos, number, matching)
    matches = check(photos, number, pre_matches, matching)
    a, allowed = len(photos.numbers), photos.allowed[number]
    own = photos.numbers[photos.asked[number]]
    pre_scores, scores = annotation_scores(pre_matches, a), annotation_scores(matches, a)
    by_photo = np.where(allowed, ranking(scores, pre_scores, scores > 0), np.nan)
    photo_rank = ranks(by_photo[None], (photos.numbers == own)[None])[0]
    found = []
    for setting in members:
        verified = individual_score(photos, number, matches, setting.individual)
        fallback = individual_score(photos, number, pre_matches, setting.fallback)
        present = np.bincount(photos.numbers[allowed], minlength=len(verified)) > 0
        by_individual = np.where(present, ranking(verified, fallback, verified > 0), np.nan)
        found.append((photo_rank, ranks(by_individual[None], (np.arange(len(verified)) == own)[None])[0]))
    return found


def vote(photos: Photos, number: int, setting: Setting) -> Matches:
    """All votes of a query, before the geometric check."""
    on, nearest, _ = photos.neighbors[number]
    places = setting.k + setting.normalizers
    near = Neighbors(*(getattr(nearest, c)[:, :places] for c in ("distances", "entries", "keypoints")))
    m = votes(near, setting.k, photos.numbers if setting.normalizer == "name" else None)
    same = (near.entries[m.keypoint0] == m.annotation[:, None]) & (near.keypoints[m.keypoint0] == m.keypoint1[:, None])
    distance = near.distances[m.keypoint0, same.argmax(axis=1)]
    rows = photos.offsets[m.annotation] + m.keypoint1
    animal = FOREGROUND[setting.foreground](
        photos.weights[photos.asked[number]][on[m.keypoint0]], photos.flat_weights[rows]
    )
    weights = WEIGHTS[setting.weight](distance, distance + m.weights) * animal
    if setting.mutual:
        weights = weights * (_places_back(photos, number, m) < setting.mutual)
    m = Matches(on[m.keypoint0], m.annotation, m.keypoint1, weights)
    if setting.once:
        order = np.lexsort((-m.weights, rows))
        first = np.append(True, np.diff(rows[order]) > 0)[: len(rows)]
        m = m.take(np.sort(order[first]))
    return m.take(m.weights > 0)


def _places_back(photos: Photos, number: int, m: Matches) -> np.ndarray:
    """(M,) how many keypoints of the query's photo are nearer to the gallery's keypoint than the one that matched."""
    on = photos.neighbors[number][0]
    descriptors = photos.features[photos.asked[number]].descriptors[on].astype(np.float32)
    lengths = (descriptors**2).sum(axis=1)
    nearer = np.empty(len(m), int)
    starts = np.flatnonzero(np.diff(m.annotation, prepend=-1))
    for start, stop in zip(starts, np.append(starts, len(m))[1:], strict=True):
        gallery = photos.features[m.annotation[start]].descriptors[m.keypoint1[start:stop]].astype(np.float32)
        away = lengths - 2 * gallery @ descriptors.T
        own = away[np.arange(stop - start), m.keypoint0[start:stop]]
        nearer[start:stop] = (away < own[:, None]).sum(axis=1)
    return nearer


def check(photos: Photos, number: int, pre_matches: Matches, setting: Setting) -> Matches:
    """The votes that agree on one placement, weighted by how well where that is asked."""
    scores = annotation_scores(pre_matches, len(photos.numbers))
    checked = np.sort(np.argsort(-scores, kind="stable")[: setting.geometry.shortlist])
    checked = checked[scores[checked] > 0]
    starts = np.searchsorted(pre_matches.annotation, checked, side="left")
    stops = np.searchsorted(pre_matches.annotation, checked, side="right")
    on, _, angles = photos.neighbors[number]
    query = photos.features[photos.asked[number]]
    turned = np.zeros(len(query))
    turned[on] = angles
    side0 = Frames.of(query.keypoints, query.shapes, turned)
    side1 = photos.frames
    agreement = np.zeros(len(pre_matches))
    for entry, start, stop in zip(checked, starts, stops, strict=True):
        if stop - start >= setting.geometry.minimum:
            own = pre_matches.keypoint0[start:stop]
            other = photos.offsets[entry] + pre_matches.keypoint1[start:stop]
            pair = (_rows(side0, own, setting), _rows(side1, other, setting))
            agreement[start:stop] = agree(*pair, float(photos.gallery.diagonals[entry]), setting)
    m = pre_matches
    return Matches(m.keypoint0, m.annotation, m.keypoint1, m.weights * agreement).take(agreement > 0)


def _rows(side: Frames, rows: np.ndarray, setting: Setting) -> Frames:
    frames = side.frames[rows]
    if setting.round:
        frames = np.sqrt(np.abs(verify._determinants(frames)))[:, None, None] * np.eye(2)
    return Frames(side.points[rows], frames)


def agree(side0: Frames, side1: Frames, diagonal: float, setting: Setting) -> np.ndarray:
    """(M,) 0 where a match does not agree with the placement that most support, else 1, or less where `soft`."""
    tolerances, none = setting.geometry, np.zeros(len(side0.points))
    agreeing = verify._best_hypothesis(side0, side1, diagonal, tolerances)
    for _ in range(setting.passes):
        if agreeing.sum() < tolerances.minimum:
            return none
        model = MODELS[setting.model](side0.points[agreeing], side1.points[agreeing])
        if model is None:
            return none
        agreeing = verify._agree_with_homography(model, side0, side1, diagonal, tolerances)
    if agreeing.sum() < tolerances.minimum:
        return none
    if not setting.soft:
        return agreeing.astype(float)
    error = ((verify._project(model, side0.points) - side1.points) ** 2).sum(axis=1)
    return np.where(agreeing, np.exp(-error / (tolerances.position * diagonal**2)), 0.0)


def _affine(points0: np.ndarray, points1: np.ndarray) -> np.ndarray:
    """The affine map (3, 3) of least squares."""
    rows = np.column_stack([points0, np.ones(len(points0))])
    return np.vstack([np.linalg.lstsq(rows, points1, rcond=None)[0].T, [0, 0, 1]])


def _similarity(points0: np.ndarray, points1: np.ndarray) -> np.ndarray:
    """The turn, scale and shift (3, 3) of least squares."""
    (x, y), zero, one = points0.T, np.zeros(len(points0)), np.ones(len(points0))
    rows = np.concatenate([np.column_stack([x, -y, one, zero]), np.column_stack([y, x, zero, one])])
    a, b, c, d = np.linalg.lstsq(rows, points1.T.ravel(), rcond=None)[0]
    return np.array([[a, -b, c], [b, a, d], [0, 0, 1]])


MODELS = {"homography": verify._fit_homography, "affine": _affine, "similarity": _similarity}


def individual_score(photos: Photos, number: int, m: Matches, kind: str) -> np.ndarray:
    """(I,) the scores of all individuals from the matches of one query."""
    numbers, count = photos.numbers, len(photos.gallery.individuals)
    if "photo" in kind:  # all photos, best photo, best N photos
        words = kind.split()
        limit = len(numbers) if words[0] == "all" else int(words[1]) if len(words) == 3 else 1
        scores = annotation_scores(m, len(numbers))
        return np.bincount(numbers, np.where(_place_of(scores, numbers) < limit, scores, 0), minlength=count)
    if kind.startswith("keypoints "):
        best = _place_of(annotation_scores(m, len(numbers)), numbers) < int(kind.split()[1])
        return keypoint_votes(m.take(best[m.annotation]), numbers, count)
    power = {"keypoints": 0.0, "fourth root": 0.25, "square root": 0.5}[kind]
    on_record = np.bincount(numbers[photos.allowed[number]], minlength=count)
    return keypoint_votes(m, numbers, count) / np.maximum(on_record, 1) ** power


def _place_of(scores: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """(A,) how many photos of the same individual have a higher score."""
    order = np.lexsort((-scores, numbers))
    place = np.empty(len(scores), int)
    place[order] = np.arange(len(scores)) - np.searchsorted(numbers[order], numbers[order])
    return place


@dataclass(frozen=True)
class Measured:
    """What a group of variants came to on one set: ranks (V, Q, 2), and of each query individual and group (Q,)."""

    ranks: np.ndarray
    individuals: np.ndarray
    groups: np.ndarray

    def figures(self, variant: int, rows: np.ndarray) -> np.ndarray:
        """FIGURES of one variant over the queries `rows`."""
        return figures(self.ranks[variant, rows], self.groups[rows])


def figures(rank: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """FIGURES from ranks (Q, 2)."""
    micro = [top_k(column, 1) for column in rank.T]
    return np.array(micro + [macro_top_1(column, groups) for column in rank.T])


def held_out(sets: list[Measured]) -> tuple[np.ndarray, np.ndarray]:
    """How often each variant is the best on the other folds (V,), and what it then gains on the fold, per set (S, 4).

    Best is what has the highest mean over sets and figures (the first of several). The gain is over the first variant.
    """
    random = np.random.default_rng(0)
    chosen, gain = np.zeros(len(sets[0].ranks)), np.zeros((len(sets), len(FIGURES)))
    for _ in range(REPEATS):
        folds = [_folds(s.individuals, random) for s in sets]
        answered = [s.ranks[0].copy() for s in sets]
        for fold in range(FOLDS):
            learning = [np.flatnonzero(f != fold) for f in folds]
            values = [
                np.mean([s.figures(v, rows).mean() for s, rows in zip(sets, learning, strict=True)])
                for v in range(len(chosen))
            ]
            best = int(np.argmax(values))
            chosen[best] += 1
            for s, f, a in zip(sets, folds, answered, strict=True):
                a[f == fold] = s.ranks[best, f == fold]
        gain += [figures(a, s.groups) - figures(s.ranks[0], s.groups) for s, a in zip(sets, answered, strict=True)]
    return chosen / (REPEATS * FOLDS), gain / REPEATS


def _folds(individuals: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """(Q,) a fold for each query, the same for all of one individual."""
    names, number = np.unique(individuals, return_inverse=True)
    return random.permutation(FOLDS * math.ceil(len(names) / FOLDS))[: len(names)][number] % FOLDS


def report(given: argparse.Namespace) -> None:
    """Write results/ablation.json and results/ablation.md from all ranks that are there."""
    result = circumstances("python benchmarks/ablation.py --data DATA --work WORK") | {"figures": FIGURES, "groups": []}
    held = {source: load(source, given) for source in dict.fromkeys(SETS + EXTRACTED_SETS)}
    for group, variants in GROUPS.items():
        sources = EXTRACTED_SETS if group == "extraction" else SETS
        there = [n for n, s in variants.items() if all(_file(given.work, source, s).exists() for source in sources)]
        if DEFAULT not in there:
            continue
        sets = [
            Measured(
                np.stack([np.load(_file(given.work, source, variants[name])) for name in there]),
                held[source].numbers[held[source].asked],
                held[source].groups,
            )
            for source in sources
        ]
        result["groups"].append(_group(group, there, dict(zip(sources, sets, strict=True))))
    (HERE / "results" / "ablation.md").write_text("\n".join(_markdown(result)) + "\n", encoding="utf-8")
    write_result("ablation", result)


def _group(name: str, variants: list[str], sets: dict[Source, Measured]) -> dict[str, Any]:
    """One group of variants as it goes into the JSON."""
    chosen, gain = held_out(list(sets.values()))
    rows = [[s.figures(v, np.arange(len(s.groups))) for s in sets.values()] for v in range(len(variants))]
    return {
        "group": name,
        "sets": [
            {
                "name": source.name,
                "protocol": source.protocol,
                "queries": len(s.groups),
                "individuals": len(np.unique(s.individuals)),
                "held_out_gain": gain[number].round(4).tolist(),
            }
            for number, (source, s) in enumerate(sets.items())
        ],
        "variants": [
            {
                "name": v,
                "figures": np.round(row, 4).tolist(),
                "mean": round(float(np.mean(row)), 4),
                "chosen": round(c, 3),
            }
            for v, row, c in zip(variants, rows, chosen.tolist(), strict=True)
        ],
        "held_out_gain": round(float(gain.mean()), 4),
    }


def _markdown(result: dict[str, Any]) -> Iterator[str]:
    yield "# What each setting is worth"
    yield ""
    yield (
        f"Made by `benchmarks/ablation.py`. In each cell: {', '.join(FIGURES)} right first. The row *default*, with "
        "HotSpotter's settings, is in per cent, the others are points more or less. *Chosen*: how often, over "
        "divisions of the individuals into folds, the variant is the best on the other folds. The last row: what is "
        "gained on the individuals held out by always taking the best on the others."
    )
    for group in result["groups"]:
        sets, (default, *others) = group["sets"], group["variants"]
        titles = [f"{s['name']}, {s['protocol']} ({s['queries']} queries, {s['individuals']} animals)" for s in sets]
        yield from ("", f"## {group['group'].capitalize()}", "")
        yield f"| variant | {' | '.join(titles)} | mean | chosen |"
        yield f"| --- |{' ---: |' * (len(sets) + 2)}"
        cells = [" ".join(f"{100 * f:.1f}" for f in figures) for figures in default["figures"]]
        yield f"| {default['name']} | {' | '.join(cells)} | {100 * default['mean']:.1f} | {default['chosen']:.0%} |"
        for variant in others:
            cells = [_points(np.subtract(f, d)) for f, d in zip(variant["figures"], default["figures"], strict=True)]
            mean = _points([variant["mean"] - default["mean"]])
            yield f"| {variant['name']} | {' | '.join(cells)} | {mean} | {variant['chosen']:.0%} |"
        cells = [_points(s["held_out_gain"]) for s in sets]
        yield f"| *held out* | {' | '.join(cells)} | {_points([group['held_out_gain']])} | |"
        useless = [v["name"] for v in others if v["mean"] <= default["mean"]]
        yield from ("", f"No gain on the mean of all: {'; '.join(useless) or 'none'}.")


def _points(values: Any) -> str:
    return " ".join(f"{100 * v:+.1f}" for v in values)


if __name__ == "__main__":
    main()
