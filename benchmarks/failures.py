"""The reason for every loss: a page of the queries whose best photo is wrong, beside the right one, sorted by kind.

Every such query is asked again to see which spots were matched, with the best wrong photo and with the best right one.
Simple rules on what can be measured about the three photos give each loss one main kind and perhaps others; where no
rule fires it is unexplained. The kinds, in the order of the rules, and what fires them (numbers: see THRESHOLDS):

background     most of the wrong answer's verified weight lies at the same place of both photos, where those are from
               stations: a fixed camera sees the same rocks whatever walks by, and writes the same bar into every photo;
               or little of it lies on the animal (inside the mask drawn in a little, the inner part of the box, the
               middle of a photo without either), in the query or in the photo
other flank    the right photo passed no geometric check and one of the two has an unknown or another body part
label doubtful the wrong answer is as strong as the typical right one, on the animal, from another station (where
               stations are not known, scenery may be shared: nothing is said)
too few spots  the query or the right photo has far fewer features than the catalog's median
occlusion      the mask fills little of the box, the box touches the photo's edge, or it is very small; either photo
blur           the query or the right photo is among the least sharp of the catalog

What made the wrong answer strong comes first, what made the right one weak after it, the surest first: sharpness
depends on light and coat as well.

The page shows the catalog's photos: it is never committed or published with the project. `failures.csv` beside it has
a column `kind_by_eye`: what a person writes there counts instead of the rule's, and stays when the page is written
again with the same query lost.

Example: python benchmarks/failures.py catalog/ /tmp/failures --protocol cross-station -o shortlist=100
"""

from __future__ import annotations

import argparse
import csv
import html
import io
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from snowmatch.api import DEFAULT_MATCHER, Catalog, open_catalog
from snowmatch.confidence.metrics import ranks
from snowmatch.confidence.score_table import ScoreTable
from snowmatch.confidence.trial import PROTOCOLS, Trial, make_trial
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.files import replace_file, unwritable
from snowmatch.core.plugins import settings
from snowmatch.core.text import printable
from snowmatch.core.types import Annotation, BBox, Features
from snowmatch.matching.gallery import Gallery
from snowmatch.matching.geometry.frames import Geometry
from snowmatch.matching.query import score_query
from snowmatch.matching.scores import REJECTED, Scores
from snowmatch.photos.chips import clip_bbox, inside, make_chip
from snowmatch.photos.pixels import read_mask, read_photo

KINDS = ("background", "other flank", "label doubtful", "too few spots", "occlusion", "blur", "unexplained")


@dataclass(frozen=True)
class Thresholds:
    """Where the rules begin to fire, with the reason of each value; looked at on snow leopards and nyalas."""

    # of the photo's diagonal, how far a spot may lie from its match and be "at its place": a strap gives a little
    # between two visits, while two animals never put so many spots within 30 of 1280 px
    still: float = 0.02
    in_place: float = 0.5  # share of matched weight at its place: most of the votes
    # share of matched weight on the animal: less than spots strewn evenly over a photo would have in its middle (0.44)
    on_animal: float = 0.4
    few: float = 0.25  # of the median number of features: nine photos of ten have more than half of it
    covered: float = 0.35  # share of the box that the mask fills: 19 of 20 flanks in the open fill more than 0.45
    edge: float = 0.005  # of the photo's side, how near to its edge a box touches it: boxes are drawn by hand
    small: float = 0.15  # of the photo's longer side: under 200 of 1280 px, where a chip is enlarged past its detail
    blurred: float = 0.1  # share of the catalog that counts as least sharp: coats and light differ, so no fixed value


THRESHOLDS = Thresholds()
MASK_MARGIN = 0.03  # of the box's longer side, drawn in from the mask: rough masks have rock along their edge
BOX_INNER = (0.05, 0.05, 0.95, 0.75)  # left, top, right, bottom of a box without a mask: below are legs and ground
PHOTO_INNER = (0.1, 0.15, 0.9, 0.7)  # the same of a whole photo, whose animal is in the middle
SHARPNESS_SIDE = 400  # px, the chip's longer side: larger ones would mostly measure the camera's resolution

PANEL = (442, 420)  # px, the most one photo takes: two and the gap are 900 px wide
GAP = 16  # px
MARGIN = 0.15  # of the longer side of what is shown
LINES = 60  # more lines than this hide the coat
DARK = (24, 26, 28)
PICTURE = re.compile(r"\d{3,}-(wrong|right)\.jpg")  # what we may clear away of an earlier page


@dataclass(frozen=True)
class Looks:
    """What one annotation looks like, measured without matching; NaN: its photo cannot be read, or it has no mask.

    features: how many; sharpness: variance of the Laplacian on the animal; covered: share of the box that the mask
    fills; size: longer side of the box as a share of the photo's; edge: whether the box touches the photo's edge.
    """

    features: int
    sharpness: float = float("nan")
    covered: float = float("nan")
    size: float = float("nan")
    edge: bool = False


@dataclass(frozen=True)
class Pair:
    """A query beside one photo of the gallery: what the matched spots of the two say.

    rank_score: from the score table; score and inliers: of the question asked again; accepted: whether the geometric
    check let it pass (else the score is from before it and the spots are the unverified ones). animal_query and
    animal_photo: share of the matched weight on the animal in either photo; in_place: share of it that lies at the
    same place of both photos; NaN without matches.
    """

    rank_score: float
    score: float
    inliers: int
    accepted: bool
    animal_query: float
    animal_photo: float
    in_place: float

    @property
    def on_animal(self) -> float:
        """The smaller of the two shares."""
        return min(self.animal_query, self.animal_photo)

    @property
    def repeated(self) -> bool:
        """Whether asking again gave the table's score; scores of another method or an older version differ."""
        asked = self.score if self.accepted else self.score * REJECTED
        return not np.isfinite(self.rank_score) or abs(asked - self.rank_score) <= 1e-3 * max(abs(asked), 1e-12)


@dataclass(frozen=True)
class Norms:
    """What is usual in the catalog: the median number of features, the sharpness below which a photo is among the
    least sharp, and the median score of the best right photo where it came first (NaN where none did)."""

    features: float
    sharpness: float
    right_score: float


@dataclass(frozen=True)
class Failure:
    """One query whose best photo is wrong: the annotations, the evidence, and the kinds that the rules say."""

    query: Annotation
    wrong: Annotation
    right: Annotation
    query_looks: Looks
    wrong_looks: Looks
    right_looks: Looks
    wrong_pair: Pair
    right_pair: Pair
    right_rank: int
    kinds: tuple[str, ...] = ("unexplained",)
    kind_by_eye: str = ""

    @property
    def kind(self) -> str:
        """The main kind: a person's where given, else the rules'."""
        return self.kind_by_eye or self.kinds[0]

    @property
    def gap(self) -> float:
        """Wrong minus right score; infinite where the right photo or the query has no features."""
        if not np.isfinite(self.right_pair.rank_score):
            return float("inf")
        return self.wrong_pair.rank_score - self.right_pair.rank_score


def kinds_of(failure: Failure, norms: Norms, limits: Thresholds = THRESHOLDS) -> tuple[str, ...]:
    """All kinds whose rule fires, in the rules' order, the main one first; ("unexplained",) where none does."""
    query, wrong, right = failure.query, failure.wrong, failure.right
    wrong_pair, right_pair = failure.wrong_pair, failure.right_pair
    pair_looks = (failure.query_looks, failure.right_looks)
    # NaN compares false with everything, so a rule without its evidence does not fire
    fixed = bool(query.station and wrong.station)  # hand-held photos are framed by the animal: it is in place itself
    rocks = fixed and wrong_pair.in_place >= limits.in_place
    # spots that no placement explains lie anywhere: they are no sign of a shared background
    background = wrong_pair.accepted and (rocks or wrong_pair.on_animal < limits.on_animal)
    parts = (query.body_part, right.body_part)
    fired = {
        "background": background,
        "other flank": not right_pair.accepted and ("unknown" in parts or parts[0] != parts[1]),
        "label doubtful": (
            wrong_pair.accepted
            and not background
            and wrong_pair.rank_score >= norms.right_score
            and fixed
            and query.station != wrong.station
        ),
        "too few spots": any(looks.features < limits.few * norms.features for looks in pair_looks),
        "occlusion": any(
            looks.covered < limits.covered or looks.edge or looks.size < limits.small for looks in pair_looks
        ),
        "blur": any(looks.sharpness < norms.sharpness for looks in pair_looks),
    }
    return tuple(kind for kind in KINDS if fired.get(kind)) or ("unexplained",)


def write_page(
    catalog: Catalog,
    plugin: Any,
    matcher: Any,
    geometry: Geometry,
    trial: Trial,
    table: ScoreTable,
    folder: Path,
    most: int = 40,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Failure, ...]:
    """Write index.html, failures.csv and pictures/ into `folder`, made if absent; gives the failures, worst first.

    `catalog` is indexed with the extractor `plugin`; `table` has the scores of `trial`, of this or of another method.
    All failures are listed and counted, up to `most` drawn: the worst of each kind in turn. `progress` is called with
    (done, total) steps. SnowmatchError where the table is of another trial or `folder` cannot be written.
    """
    if table.scores.shape != trial.allowed.shape or any(
        not np.array_equal(a, b)
        for a, b in (
            (table.queries, trial.queries),
            (table.gallery, trial.gallery),
            (table.paths, [a.path for a in trial.annotations]),
        )
    ):
        raise SnowmatchError("the score table is of another trial: make both from the same catalog and protocol")
    folder = Path(folder)
    by_eye = _kinds_by_eye(folder / "failures.csv")
    gallery = catalog.gallery(plugin)
    entry_of = {a.row: i for i, a in enumerate(gallery.annotations)}
    rank = ranks(table.scores, trial.own())
    lost = np.flatnonzero(rank > 1)
    rows = sorted({int(row) for row in (*trial.queries, *trial.gallery)}) if len(lost) else []
    steps = _Steps(len(rows) + 2 * len(lost), progress)
    looks = {}
    for row in rows:
        count = gallery.feature_count(entry_of[row]) if row in entry_of else 0
        looks[row] = looks_of(load_view(catalog.folder, trial.annotations[row]), count)
        steps.done()
    norms = _norms(trial, table, rank, looks)
    failures, drawings = [], {}
    for n in lost:
        failure, seen = _ask_again(int(n), trial, table, gallery, entry_of, matcher, geometry, catalog.folder, looks)
        failure = replace(
            failure,
            right_rank=int(rank[n]),
            kinds=kinds_of(failure, norms),
            kind_by_eye=by_eye.get(_query_name(failure.query), ""),
        )
        failures.append(failure)
        drawings[failure.query.row] = seen
        steps.done()
    failures.sort(key=lambda f: (-f.gap, f.query.row))
    drawn = _chosen(failures, most)
    try:
        pictures = folder / "pictures"
        pictures.mkdir(parents=True, exist_ok=True)
        kept = set()
        for number, failure in enumerate(failures, start=1):
            if failure.query.row in drawn:
                for name, spots in zip(("wrong", "right"), drawings[failure.query.row], strict=True):
                    kept.add(f"{number:03d}-{name}.jpg")
                    _draw(catalog.folder, failure, name, spots).save(pictures / f"{number:03d}-{name}.jpg", quality=85)
            steps.done()
        for path in sorted(pictures.iterdir()):
            if PICTURE.fullmatch(path.name) and path.name not in kept:
                path.unlink()
    except OSError as error:
        raise unwritable(folder, error) from error
    _write_csv(folder / "failures.csv", failures)
    asked = Counter(_animal(trial.annotations[row]) for row in trial.queries[~np.isnan(rank)])
    about = (
        f"{catalog.folder.resolve().name}, {trial.protocol}, {settings(plugin)['name']} + {settings(matcher)['name']}"
    )
    page = _page(about, failures, drawn, asked, norms)
    replace_file(folder / "index.html", lambda file: file.write(page.encode("utf-8", "backslashreplace")))
    return tuple(failures)


class _Steps:
    def __init__(self, total: int, progress: Callable[[int, int], None] | None) -> None:
        self.count, self.total, self.progress = 0, total, progress

    def done(self) -> None:
        self.count += 1
        if self.progress is not None:
            self.progress(self.count, self.total)


# What is seen in one photo


@dataclass(frozen=True)
class View:
    """The pixels of an annotation's photo (H, W, 3), its clipped box and its mask (H, W) bool, None where not known."""

    photo: np.ndarray
    bbox: BBox | None
    mask: np.ndarray | None

    @property
    def area(self) -> BBox:
        """The box, or else the whole photo."""
        return self.bbox or (0, 0, self.photo.shape[1], self.photo.shape[0])


def load_view(folder: Path, annotation: Annotation) -> View | None:
    """The photo of an annotation; None where it, its mask or its box cannot be used: indexing has told about it."""
    try:
        photo = read_photo(folder / annotation.path)
        size = photo.shape[1::-1]
        bbox = clip_bbox(annotation.bbox, size) if annotation.bbox else None
        return View(photo, bbox, read_mask(folder / annotation.mask, size) if annotation.mask else None)
    except SnowmatchError:
        return None


def looks_of(view: View | None, features: int) -> Looks:
    """Measure one annotation; a view of None is one that cannot be read."""
    if view is None:
        return Looks(features)
    height, width = view.photo.shape[:2]
    x, y, w, h = view.area
    covered, edge = float("nan"), False
    if view.mask is not None:
        covered = float(view.mask[y : y + h, x : x + w].mean())
    if view.bbox is not None:
        near_x, near_y = THRESHOLDS.edge * width, THRESHOLDS.edge * height
        edge = x <= near_x or y <= near_y or x + w >= width - near_x or y + h >= height - near_y
    return Looks(features, sharpness(view), covered, max(w, h) / max(width, height), edge)


def sharpness(view: View) -> float:
    """Variance of the Laplacian on the animal, on a chip of a fixed size; source: Pech-Pacheco et al., ICPR 2000."""
    chip = make_chip(view.photo, view.bbox, view.mask, SHARPNESS_SIDE, "grey")
    values = cv2.Laplacian(chip.pixels.astype(np.float32), cv2.CV_32F)
    if chip.mask is not None and chip.mask.any():
        values = values[chip.mask]
    return float(values.var())


def on_animal(view: View, points: np.ndarray) -> np.ndarray:
    """(M,) bool: which of the photo's points (M, 2) lie well inside the animal, as far as box and mask tell."""
    x, y, w, h = view.area
    if view.mask is not None and view.mask.any():
        margin = MASK_MARGIN * max(w, h)
        return inside(cv2.distanceTransform(view.mask.astype(np.uint8), cv2.DIST_L2, 5) > margin, points)
    left, top, right, bottom = BOX_INNER if view.bbox is not None else PHOTO_INNER
    low, high = (x + left * w, y + top * h), (x + right * w, y + bottom * h)
    return ((points >= low) & (points <= high)).all(axis=1)


# What the matched spots of two photos say


@dataclass(frozen=True)
class Spots:
    """Matched spots of a query and a photo, in photo pixels: points (M, 2), diameters (M,), weights (M,)."""

    points0: np.ndarray
    points1: np.ndarray
    scales0: np.ndarray
    scales1: np.ndarray
    weights: np.ndarray


def _ask_again(
    n: int,
    trial: Trial,
    table: ScoreTable,
    gallery: Gallery,
    entry_of: Mapping[int, int],
    matcher: Any,
    geometry: Geometry,
    folder: Path,
    looks: Mapping[int, Looks],
) -> tuple[Failure, tuple[Spots | None, Spots | None]]:
    """Query number `n` with its evidence, and the spots matched with the best wrong and the best right photo."""
    query, own = trial.annotations[trial.queries[n]], trial.own()[n]
    given = np.where(trial.allowed[n], np.nan_to_num(table.scores[n], nan=-np.inf), -np.inf)
    wrong, right = (_best(given, trial.allowed[n] & side) for side in (~own, own))
    subject = gallery.subject(entry_of[query.row]) if query.row in entry_of else None
    features = None if subject is None else subject.features
    answer = None
    if subject is not None and len(subject):
        allowed = np.zeros(len(gallery.annotations), bool)
        entries = [entry_of.get(int(row), -1) for row in trial.gallery[trial.allowed[n]]]
        allowed[[entry for entry in entries if entry >= 0]] = True
        answer = score_query([subject], gallery, allowed, query.body_part, matcher, geometry)
    query_view = load_view(folder, query)
    pairs, seen = [], []
    for column in (wrong, right):
        photo = trial.annotations[trial.gallery[column]]
        pair, spots = Pair(float(table.scores[n, column]), 0.0, 0, False, *[float("nan")] * 3), None
        entry = entry_of.get(photo.row, -1)
        if answer is not None and entry >= 0:
            score, accepted, spots = _spots(answer, features, gallery, entry)
            shares = _shares(spots, query_view, load_view(folder, photo))
            pair = Pair(pair.rank_score, score, len(spots.weights) if accepted else 0, accepted, *shares)
        pairs.append(pair)
        seen.append(spots)
    wrong, right = (trial.annotations[trial.gallery[column]] for column in (wrong, right))
    failure = Failure(query, wrong, right, looks[query.row], looks[wrong.row], looks[right.row], *pairs, right_rank=0)
    return failure, tuple(seen)


def _best(scores: np.ndarray, among: np.ndarray) -> int:
    """The column of the highest score `among` (G,) some, the first of equals; there is at least one."""
    columns = np.flatnonzero(among)
    return int(columns[np.argmax(scores[columns])])


def _spots(answer: Scores, features: Features, gallery: Gallery, entry: int) -> tuple[float, bool, Spots]:
    """Score, whether the geometric check accepted it, and the matched spots: the unverified ones where it did not."""
    accepted = bool(answer.accepted[entry])
    matches = (answer.matches if accepted else answer.pre_matches)[0]
    matches = matches.take(matches.annotation == entry)
    photo = gallery.reader.read(gallery.keys[entry])
    return (
        float((answer.scores if accepted else answer.pre_scores)[entry]),
        accepted,
        Spots(
            features.keypoints[matches.keypoint0],
            photo.keypoints[matches.keypoint1],
            features.scales[matches.keypoint0],
            photo.scales[matches.keypoint1],
            matches.weights.astype(np.float64),
        ),
    )


def _shares(spots: Spots, query: View | None, photo: View | None) -> tuple[float, float, float]:
    """Shares of the matched weight: on the animal in the query, in the photo, and at the same place of both."""
    total = spots.weights.sum()
    if query is None or photo is None or not total:
        return (float("nan"),) * 3
    sizes = [np.array(view.photo.shape[1::-1], np.float64) for view in (query, photo)]
    # places as shares of the photo's sides, so that one camera's photos in two sizes compare
    moved = ((spots.points0 + 0.5) / sizes[0] - (spots.points1 + 0.5) / sizes[1]) * sizes[0]
    still = np.hypot(*moved.T) < THRESHOLDS.still * np.hypot(*sizes[0])
    held = (on_animal(query, spots.points0), on_animal(photo, spots.points1), still)
    return tuple(float(spots.weights[part].sum() / total) for part in held)


def _norms(trial: Trial, table: ScoreTable, rank: np.ndarray, looks: Mapping[int, Looks]) -> Norms:
    sharp = np.array([look.sharpness for look in looks.values()])
    sharp = sharp[~np.isnan(sharp)]
    scores = np.where(trial.own() & trial.allowed, np.nan_to_num(table.scores, nan=-np.inf), -np.inf).max(axis=1)
    won = scores[(rank == 1) & np.isfinite(scores)]
    return Norms(
        float(np.median([look.features for look in looks.values()])) if looks else float("nan"),
        float(np.quantile(sharp, THRESHOLDS.blurred)) if len(sharp) else float("nan"),
        float(np.median(won)) if len(won) else float("nan"),
    )


# Pictures


def _draw(folder: Path, failure: Failure, name: str, spots: Spots | None) -> Image.Image:
    """The query and one photo side by side, at most 900 px wide, with the strongest of their matched spots."""
    canvas_width = 2 * PANEL[0] + GAP
    views = [load_view(folder, a) for a in (failure.query, getattr(failure, name))]
    points = (spots.points0, spots.points1) if spots is not None else (np.zeros((0, 2)),) * 2
    cuts = [None if view is None else _cut(view, p) for view, p in zip(views, points, strict=True)]
    height = max([round(area[3] * scale) for cut in cuts if cut is not None for area, scale in [cut]], default=60)
    canvas = np.full((height, canvas_width, 3), DARK, np.uint8)
    ends, radii = [], []
    for side, (view, cut) in enumerate(zip(views, cuts, strict=True)):
        if view is None:
            return Image.fromarray(canvas)
        area, scale = cut
        x, y, w, h = area
        size = max(round(w * scale), 1), max(round(h * scale), 1)
        corner = np.array([side * (PANEL[0] + GAP) + (PANEL[0] - size[0]) // 2, (height - size[1]) // 2])
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        pixels = cv2.resize(np.ascontiguousarray(view.photo[y : y + h, x : x + w]), size, interpolation=how)
        _outline(pixels, view, area, scale)
        canvas[corner[1] : corner[1] + size[1], corner[0] : corner[0] + size[0]] = pixels
        ends.append((points[side] - (x, y) + 0.5) * scale - 0.5 + corner)
        if spots is not None:
            radii.append(np.clip((spots.scales0, spots.scales1)[side] * scale / 2, 3, 40))
    if spots is not None:
        _lines(canvas, spots.weights, ends, radii)
    return Image.fromarray(canvas)


def _cut(view: View, points: np.ndarray) -> tuple[BBox, float]:
    """What to show of a photo, the animal and all matched spots with a margin, and how much to enlarge it."""
    x, y, w, h = view.area
    corners = np.concatenate([[(x, y), (x + w, y + h)], points])
    low, high = np.floor(corners.min(axis=0)), np.ceil(corners.max(axis=0))
    margin = MARGIN * (high - low).max()
    box = (*(low - margin), *(high - low + 2 * margin))
    area = clip_bbox(tuple(int(v) for v in box), view.photo.shape[1::-1])
    return area, min(PANEL[0] / area[2], PANEL[1] / area[3])


def _outline(pixels: np.ndarray, view: View, area: BBox, scale: float) -> None:
    """A thin light line around the mask, or around the box where there is no mask, drawn into `pixels`."""
    x, y, w, h = area
    if view.mask is not None:
        mask = cv2.resize(view.mask[y : y + h, x : x + w].astype(np.uint8), pixels.shape[1::-1])
        lines = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]
    elif view.bbox is not None:
        left, top, width, height = view.bbox
        corners = np.array([(0, 0), (width, 0), (width, height), (0, height)]) + (left - x, top - y)
        lines = [np.rint(corners * scale).astype(np.int32)[:, None]]
    else:
        return
    cv2.polylines(pixels, lines, True, (225, 225, 225), 1, cv2.LINE_AA)


def _lines(canvas: np.ndarray, weights: np.ndarray, ends: Sequence[np.ndarray], radii: Sequence[np.ndarray]) -> None:
    """Circles and lines, blue for weak to red for strong, the strongest last; the strongest of this pair is red."""
    order = np.argsort(weights, kind="stable")[-LINES:]
    if not len(order):
        return
    levels = np.rint(60 + 155 * weights[order] / weights[order].max()).astype(np.uint8).reshape(-1, 1)
    colours = cv2.applyColorMap(levels, cv2.COLORMAP_TURBO)[:, 0, ::-1]
    layer = canvas.copy()
    for n, colour in zip(order, colours, strict=True):
        start, stop = (tuple(int(v) for v in np.rint(end[n] * 16)) for end in ends)
        cv2.line(layer, start, stop, tuple(int(v) for v in colour), 1, cv2.LINE_AA, 4)
    cv2.addWeighted(layer, 0.6, canvas, 0.4, 0, canvas)
    for n, colour in zip(order, colours, strict=True):
        for end, radius in zip(ends, radii, strict=True):
            centre = tuple(int(v) for v in np.rint(end[n] * 16))
            cv2.circle(canvas, centre, round(float(radius[n]) * 16), tuple(int(v) for v in colour), 1, cv2.LINE_AA, 4)


# The table


def _query_name(annotation: Annotation) -> tuple[str, str]:
    """What a query is known by in failures.csv: its path and its box."""
    return annotation.path, ",".join(map(str, annotation.bbox)) if annotation.bbox else ""


def _row(failure: Failure) -> dict[str, Any]:
    path, bbox = _query_name(failure.query)
    row = {"query": path, "bbox": bbox, "individual": failure.query.individual, "body_part": failure.query.body_part}
    row |= {"kind": failure.kinds[0], "other_kinds": "; ".join(failure.kinds[1:]), "kind_by_eye": failure.kind_by_eye}
    row |= {"gap": _number(failure.gap), "right_rank": failure.right_rank}
    row |= {"query_station": failure.query.station, "query_encounter": failure.query.encounter}
    row |= {f"query_{k}": _number(v) for k, v in asdict(failure.query_looks).items()}
    for name in ("wrong", "right"):
        a = getattr(failure, name)
        row |= {f"{name}_photo": a.path, f"{name}_bbox": _query_name(a)[1], f"{name}_individual": a.individual}
        row |= {f"{name}_body_part": a.body_part, f"{name}_station": a.station, f"{name}_encounter": a.encounter}
        row |= {f"{name}_{k}": _number(v) for k, v in asdict(getattr(failure, f"{name}_pair")).items()}
        row |= {f"{name}_{k}": _number(v) for k, v in asdict(getattr(failure, f"{name}_looks")).items()}
    return row


def _number(value: float | bool) -> str:
    """Six digits; empty where not known."""
    if isinstance(value, bool | int):
        return str(int(value))
    return "" if np.isnan(value) else f"{value:.6g}"


def _write_csv(path: Path, failures: Sequence[Failure]) -> None:
    empty = Annotation(0, "")
    blank = Failure(empty, empty, empty, *[Looks(0)] * 3, *[Pair(0, 0, 0, False, 0, 0, 0)] * 2, right_rank=0)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(_row(blank)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(_row(failure) for failure in failures)
    # a path that is no valid Unicode must come back as the same path
    replace_file(path, lambda file: file.write(text.getvalue().encode("utf-8", "surrogateescape")))


def _kinds_by_eye(path: Path) -> dict[tuple[str, str], str]:
    """What a person wrote into an earlier failures.csv, by the query's path and box; nothing where there is no file."""
    try:
        # a spreadsheet may have put a byte order mark in front
        with path.open(newline="", encoding="utf-8-sig", errors="surrogateescape") as file:
            rows = list(csv.DictReader(file))
    except FileNotFoundError:
        return {}
    except (OSError, csv.Error) as error:
        raise SnowmatchError(f"{path} cannot be read ({error}): mend it or move it away") from error
    if rows and not {"query", "bbox", "kind_by_eye"} <= set(rows[0]):
        raise SnowmatchError(f"{path} has no columns query, bbox and kind_by_eye: mend it or move it away")
    return {(row["query"], row["bbox"]): (row["kind_by_eye"] or "").strip() for row in rows}


# The page


def _chosen(failures: Sequence[Failure], most: int) -> set[int]:
    """The query rows of the failures to draw: the worst of each kind, then the second of each, up to `most`."""
    place: Counter[str] = Counter()
    turns = []
    for order, failure in enumerate(failures):
        turns.append((place[failure.kind], order, failure.query.row))
        place[failure.kind] += 1
    return {row for _, _, row in sorted(turns)[: max(most, 0)]}


STYLE = """
body { font: 16px/1.45 system-ui, sans-serif; margin: 0 auto; max-width: 940px; padding: 12px; color: #1c1e20;
  background: #fafafa; overflow-wrap: anywhere; }
img { display: block; width: 100%; max-width: 900px; height: auto; background: #18191c; }
table { border-collapse: collapse; margin: 8px 0 20px; }
.wide { overflow-x: auto; }
th, td { padding: 3px 9px; text-align: right; border-bottom: 1px solid #ddd; overflow-wrap: normal; }
th:first-child, td:first-child { text-align: left; }
article { margin: 18px 0 34px; border-top: 3px solid #ccc; }
h3 { margin: 8px 0 2px; font-size: 17px; }
p { margin: 4px 0 8px; }
.wrong { color: #a02c12; }
.right { color: #12692c; }
.small { font-size: 14px; color: #555; }
"""


def _page(
    about: str, failures: Sequence[Failure], drawn: set[int], asked: Mapping[tuple[str, str], int], norms: Norms
) -> str:
    kinds = [*KINDS, *sorted({f.kind for f in failures} - set(KINDS))]
    numbered = list(enumerate(failures, start=1))
    parts = [
        "<!DOCTYPE html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>Failures: {_text(about)}</title><style>{STYLE}</style></head><body>",
        f"<h1>Failures</h1><p>{_text(about)}: {len(failures)} of {sum(asked.values())} queries that have a right answer"
        " got another animal's photo first.</p>",
        _doubts(failures),
        _summary(failures, kinds),
        _by_animal(failures, kinds, asked),
        f'<p class="small">Usual here: {norms.features:.0f} features; least sharp tenth below '
        f"{norms.sharpness:.0f}; typical right score {norms.right_score:.2f}. Scores in brackets are from before the "
        "geometric check, which found no common placement; the spots drawn then are unverified. Lines: blue is weak, "
        "red strong, within each picture. To correct a kind, fill the column kind_by_eye of "
        '<a href="failures.csv">failures.csv</a> and write the page again.</p>',
    ]
    for kind in kinds:
        members = [(number, failure) for number, failure in numbered if failure.kind == kind]
        if members:
            parts.append(f'<h2 id="{_anchor(kinds, kind)}">{_text(kind)} ({len(members)})</h2>')
            parts += [_article(number, failure, failure.query.row in drawn) for number, failure in members]
    return "\n".join([*parts, "</body></html>", ""])


def _doubts(failures: Sequence[Failure]) -> str:
    """What to know where the spots shown are not those behind the table's scores."""
    other = sum(not (f.wrong_pair.repeated and f.right_pair.repeated) for f in failures)
    if not other:
        return ""
    return (
        f"<p><b>{other} of {len(failures)} got other scores when they were asked again:</b> the score table is of"
        " another method or an older version, and the spots shown explain it only in part.</p>"
    )


def _summary(failures: Sequence[Failure], kinds: Sequence[str]) -> str:
    by_rule, also = Counter(f.kinds[0] for f in failures), Counter(k for f in failures for k in f.kinds[1:])
    main = Counter(f.kind for f in failures)
    corrected = any(f.kind_by_eye for f in failures)
    head = ["kind", "failures", *(["by rule alone"] if corrected else []), "also fires in"]
    rows = []
    for kind in kinds:
        name = f'<a href="#{_anchor(kinds, kind)}">{_text(kind)}</a>' if main[kind] else _text(kind)
        rows.append([name, main[kind], *([by_rule[kind]] if corrected else []), also[kind]])
    rows.append(["all", len(failures), *([len(failures)] if corrected else []), ""])
    return _html_table(head, rows)


def _by_animal(failures: Sequence[Failure], kinds: Sequence[str], asked: Mapping[tuple[str, str], int]) -> str:
    counts = Counter((_animal(f.query), f.kind) for f in failures)
    used = [kind for kind in kinds if any(f.kind == kind for f in failures)]
    rows = []
    for animal in sorted({_animal(f.query) for f in failures}):
        each = [counts[animal, kind] for kind in used]
        rows.append([_text(" ".join(animal)), asked[animal], sum(each), *(n or "" for n in each)])
    return _html_table(["individual, body part", "asked", "failures", *map(_text, used)], rows)


def _html_table(head: Iterable[Any], rows: Iterable[Iterable[Any]]) -> str:
    """A table of cells that are HTML already."""
    lines = ["<tr>" + "".join(f"<th>{cell}</th>" for cell in head) + "</tr>"]
    lines += ["<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows]
    return '<div class="wide"><table>' + "\n".join(lines) + "</table></div>"


def _article(number: int, failure: Failure, drawn: bool) -> str:
    query = failure.query
    also = f"; also {', '.join(failure.kinds[1:])}" if failure.kinds[1:] else ""
    rule = f"{failure.kinds[0]} by rule{also}" + ("; kind by eye" if failure.kind_by_eye else "")
    lines = [
        f'<article id="f{number}"><h3>{number}. {_text(query.individual or "")} {_text(query.body_part)}: '
        f"{_text(failure.wrong.individual or '')} instead</h3>",
        f'<p class="small">{_text(rule)}; best right photo at rank {failure.right_rank}<br>'
        f"query: {_text(_described(query, failure.query_looks))}</p>",
    ]
    for name, title in (("wrong", "wrong answer"), ("right", "best right photo")):
        photo, looks, pair = (getattr(failure, name + end) for end in ("", "_looks", "_pair"))
        if drawn:
            picture = f"pictures/{number:03d}-{name}.jpg"
            lines.append(f'<a href="{picture}"><img loading="lazy" src="{picture}" alt="query and {title}"></a>')
        lines.append(
            f'<p class="small"><b class="{name}">{title}: {_text(photo.individual or "")}</b>, {_verdict(pair)}; '
            f"{_text(_described(photo, looks))}</p>"
        )
    return "\n".join([*lines, "</article>"])


def _verdict(pair: Pair) -> str:
    score = f"score {pair.score:.2f}, {pair.inliers} inliers" if pair.accepted else f"score ({pair.score:.2f})"
    shares = (("on the animal", pair.animal_query), ("in the photo", pair.animal_photo), ("in place", pair.in_place))
    told = ", ".join(f"{name} {100 * share:.0f} %" for name, share in shares if not np.isnan(share))
    return f"{score}" + (f"; weight {told}" if told else "")


def _described(annotation: Annotation, looks: Looks) -> str:
    known = [
        f"station {annotation.station}" if annotation.station else "",
        f"encounter {annotation.encounter}" if annotation.encounter else "",
        f"{looks.features} features",
        "" if np.isnan(looks.sharpness) else f"sharpness {looks.sharpness:.0f}",
        "" if np.isnan(looks.covered) else f"mask {100 * looks.covered:.0f} % of the box",
        "" if annotation.bbox is None or np.isnan(looks.size) else f"box {100 * looks.size:.0f} % of the photo",
        "box at the photo's edge" if looks.edge else "",
        annotation.path,
    ]
    return ", ".join(filter(None, known))


def _animal(annotation: Annotation) -> tuple[str, str]:
    return annotation.individual or "", annotation.body_part


def _anchor(kinds: Sequence[str], kind: str) -> str:
    return f"kind{kinds.index(kind) + 1}"


def _text(text: str) -> str:
    """`text` as HTML: names are data, not markup, and invisible characters are shown."""
    return html.escape(printable(text))


def main() -> None:
    """Evaluate the catalog and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("catalog", type=Path)
    parser.add_argument("folder", type=Path, help="where the page is written")
    parser.add_argument("--protocol", choices=PROTOCOLS, default="cross-encounter")
    parser.add_argument("--extractor", metavar="NAME")
    parser.add_argument("-o", dest="options", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--most", type=int, default=40, help="failures to draw (default: 40)")
    given = parser.parse_args()
    try:
        bad = [text for text in given.options if "=" not in text]
        if bad:
            raise SnowmatchError(f"-o {bad[0]}: expected KEY=VALUE")
        options = dict(text.split("=", 1) for text in given.options)
        catalog = open_catalog(given.catalog)
        done = catalog.evaluate(given.protocol, extractor=given.extractor, options=options)
        (plugin,), matcher, geometry = catalog.method(given.extractor, DEFAULT_MATCHER, dict(options))
        trial = make_trial(catalog.data.annotations, given.protocol)
        failures = write_page(catalog, plugin, matcher, geometry, trial, done.table, given.folder, given.most)
    except SnowmatchError as error:
        sys.exit(f"error: {error}")
    for kind, count in Counter(f.kind for f in failures).most_common():
        print(f"{count:5d}  {printable(kind)}")
    print(f"{len(failures)} of {done.measured.answerable} lost: {given.folder / 'index.html'}")


if __name__ == "__main__":
    main()
