"""Training pairs of views: all pairs, and the batch of each step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from lightglue.settings import FEWEST, Training
from lightglue.views import Truth, View, strangers, strongest, truth, verified, views_of
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.types import Annotation, same_part

KINDS = {"warped": 0.5, "same": 0.3, "different": 0.2}  # shares of the kinds of pairs in a batch, if they exist
SORTED = 8  # steps whose pairs are sorted by size together, so that batches cut off fewer keypoints


@dataclass(frozen=True)
class Example:
    """A training pair. `known` is None for views of one photo: the truth follows from their places."""

    view0: View
    view1: View
    known: Truth | None = None

    @property
    def truth(self) -> Truth:
        return self.known or truth(self.view0.places, self.view1.places)


@dataclass(frozen=True)
class Animals:
    """Annotations with their views: first the photo's own, then warped ones. seconds: time to make all views."""

    annotations: tuple[Annotation, ...]
    views: tuple[tuple[View, ...], ...]
    seconds: float = 0.0


def gather(
    extractor: Any, folder: Path, annotations: Sequence[Annotation], warps: int, training: Training, work: Path
) -> Animals:
    """Return the views of all annotations. The scenery of an annotation comes from another one's photo."""
    random = np.random.default_rng([training.seed, 1])
    others = [annotations[i] for i in random.permutation(len(annotations))]
    views, seconds = [], 0.0
    for annotation, other in tqdm(list(zip(annotations, others, strict=True)), desc="views", unit="photo"):
        made, took = views_of(extractor, folder, annotation, other, warps, training.seed, work)
        views.append(tuple(strongest(v, training.keypoints) for v in made))
        seconds += took
    return Animals(tuple(annotations), tuple(views), seconds)


class Examples:
    """Draws the batch of each step. The same step always has the same pairs."""

    def __init__(self, animals: Animals, training: Training) -> None:
        """Find pairs of encounters of one individual that agree. Raises SnowmatchError if no photo has two views."""
        self.training = training
        self.views = [[v for v in views if len(v) >= FEWEST] for views in animals.views]
        rows = [i for i, views in enumerate(self.views) if views]
        self.several = [i for i in rows if len(self.views[i]) > 1]
        self.same, self.different = [], []
        pairs = [(i, j) for n, i in enumerate(rows) for j in rows[:n]]
        for i, j in pairs:
            a, b = animals.annotations[i], animals.annotations[j]
            if not same_part(a.body_part, b.body_part):
                continue
            if a.individual != b.individual:
                self.different.append((i, j))
            elif a.encounter != b.encounter:
                known = verified(self.views[i][0], self.views[j][0])
                self.same += [Example(self.views[i][0], self.views[j][0], known)] if known else []
        found = {"warped": self.several, "same": self.same, "different": self.different}
        self.kinds = [kind for kind in KINDS if found[kind]]
        if not self.several:
            raise SnowmatchError(f"no photo has two views of {FEWEST} keypoints or more: add photos")
        self.counts = {kind: len(found[kind]) for kind in KINDS}

    def __call__(self, step: int) -> list[Example]:
        """Return the pairs of one step, of about equal size. The order of the two views is random."""
        group, place = divmod(step, SORTED)
        random = np.random.default_rng([self.training.seed, 2, group])
        shares = np.array([KINDS[kind] for kind in self.kinds])
        kinds = random.choice(self.kinds, SORTED * self.training.batch, p=shares / shares.sum())
        drawn = sorted((self._draw(kind, random) for kind in kinds), key=lambda e: min(len(e.view0), len(e.view1)))
        start = random.permutation(SORTED)[place] * self.training.batch
        return drawn[start : start + self.training.batch]

    def _draw(self, kind: str, random: np.random.Generator) -> Example:
        if kind == "warped":
            views = self.views[self.several[random.integers(len(self.several))]]
            first, second = random.choice(len(views), 2, replace=False)
            return Example(views[first], views[second])
        if kind == "same":
            drawn = self.same[random.integers(len(self.same))]
        else:
            sides = (self.views[i] for i in self.different[random.integers(len(self.different))])
            view0, view1 = (views[random.integers(len(views))] for views in sides)
            drawn = Example(view0, view1, strangers(view0, view1))
        if random.random() < 0.5:
            return drawn
        known = drawn.known
        return Example(drawn.view1, drawn.view0, Truth(known.matches[:, ::-1], known.none1, known.none0))
