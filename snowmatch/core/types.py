"""The data types that modules exchange. Each type checks the shapes of its arrays when it is made."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

import numpy as np

BODY_PARTS = ("left_flank", "right_flank", "head", "tail", "other", "unknown")
BBox = tuple[int, int, int, int]  # x, y, width, height in pixels of the EXIF-upright photo
# By the words that detectors use: SpeciesNet says "human", detectors of users' own may say "people"
LABELS = {
    "animal": "animal",
    **dict.fromkeys(("person", "persons", "people", "human", "humans", "homo sapiens"), "person"),
    **dict.fromkeys(("vehicle", "vehicles"), "vehicle"),
}


def same_part(a: str, b: str) -> bool:
    """Return whether two body parts may be compared: they are equal, or one is `unknown`. Left never matches right."""
    return a == b or "unknown" in (a, b)


def label_of(text: str) -> str:
    """Return the label that a detector gives an object, without blanks around it; `People` and `human` are `person`."""
    return LABELS.get(text.strip().lower(), text.strip())


@dataclass(frozen=True)
class Annotation:
    """One animal in one photo, as the catalog describes it. An empty text means "not known".

    `path` and `mask` are relative to the catalog's folder, with forward slashes. `individual` is None for an
    unidentified animal; `animal` then numbers it among those of its encounter. `row` counts the annotations in the
    catalog's order, from 0. `annotation` is the identifier that never changes. Annotations of one `passage` are never
    evidence for each other: it is the encounter, or of several encounters that share a picture the first one's name.
    `box_by` is empty if the box is that of the catalog; otherwise snowmatch found the box, and `box_by` says how.
    `found` is True for a further animal in a photo that snowmatch found and that has no row in the catalog. `left_out`
    is what the last screening saw in all photos of an animal without a name, such as `nothing`; empty if it kept one.
    `dated` is True if `timestamp` is a day, without a time of day.
    """

    row: int
    path: str
    individual: str | None = None
    body_part: str = "unknown"
    location: str = ""
    station: str = ""
    camera: str = ""
    timestamp: datetime | None = None
    encounter: str = ""
    bbox: BBox | None = None
    mask: str = ""
    split: str = ""
    annotation: str = ""
    animal: int = 0
    passage: str = ""
    species: str = ""
    box_by: str = ""
    found: bool = False
    left_out: str = ""
    dated: bool = False

    def __post_init__(self) -> None:
        if not self.passage:
            object.__setattr__(self, "passage", self.encounter)

    @property
    def when(self) -> date | None:
        """The time: a date without a time of day if only the day is known."""
        return self.timestamp.date() if self.timestamp is not None and self.dated else self.timestamp

    @property
    def own_box(self) -> BBox | None:
        """The box that identifies the annotation: that of the catalog, or that of a further animal in the photo.

        None if the catalog's row has no box, also if snowmatch found one.
        """
        return self.bbox if self.found or not self.box_by else None

    @property
    def drawn_box(self) -> BBox | None:
        """The box of the catalog; None if there is none or snowmatch found it, also that of a further animal."""
        return None if self.box_by else self.bbox

    @property
    def time_text(self) -> str:
        """The time, ISO 8601: a date if it is a day without a time of day, "" if it is not known."""
        return "" if self.when is None else self.when.isoformat()


@dataclass(frozen=True)
class Chip:
    """The pixels that an extractor sees, and their position in the photo.

    pixels: (H, W) uint8 grey or (H, W, 3) uint8 RGB.
    mask: (H, W) bool, True on the animal; None if the animal has no mask, so that all pixels are used.
    origin, scale: chip pixel x lies at photo pixel `(x + 0.5) * scale[0] - 0.5 + origin[0]`, and y likewise. Pixel
    centres are at whole numbers.
    image_size: (width, height) of the upright photo.
    """

    pixels: np.ndarray
    mask: np.ndarray | None
    origin: tuple[int, int]
    scale: tuple[float, float]
    image_size: tuple[int, int]

    def __post_init__(self) -> None:
        if self.pixels.dtype != np.uint8 or self.pixels.ndim not in (2, 3):
            raise ValueError(f"chip pixels are {self.pixels.dtype} {self.pixels.shape}, expected uint8 (H, W[, 3])")
        if self.mask is not None and (self.mask.shape != self.pixels.shape[:2] or self.mask.dtype != bool):
            raise ValueError(f"chip mask is {self.mask.dtype} {self.mask.shape}, expected bool {self.pixels.shape[:2]}")


@dataclass(frozen=True)
class Detection:
    """One object that a detector finds in a photo.

    bbox: inside the photo. label: `animal`, `person`, `vehicle`, or another name that the detector gives.
    confidence: 0 to 1.
    """

    bbox: BBox
    label: str
    confidence: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "label", label_of(self.label))  # a person must never count as an animal
        if not (self.bbox[2] > 0 and self.bbox[3] > 0 and 0 <= self.confidence <= 1 and self.label):
            raise ValueError(f"{self} needs a box with an area, a label, and a confidence from 0 to 1")


@dataclass(frozen=True, eq=False)
class Classes:
    """The species that a classifier sees in a photo, and where it sees them.

    names: C names; the last is `nothing`, a photo without an animal. probabilities: (C,) float32, 0 to 1, that the
    species is somewhere in the photo. activations: (C, h, w) float32, the logarithm of each species' score at each
    cell; the cells cover the whole photo. features: (F,) float32, for a classifier that a user trains on top.
    """

    names: tuple[str, ...]
    probabilities: np.ndarray
    activations: np.ndarray
    features: np.ndarray

    def __post_init__(self) -> None:
        c = len(self.names)
        if self.probabilities.shape != (c,) or self.activations.ndim != 3 or len(self.activations) != c:
            raise ValueError(f"{c} names, probabilities {self.probabilities.shape}, maps {self.activations.shape}")


@dataclass(frozen=True)
class Features:
    """The N keypoints that an extractor finds on one chip, with their descriptors. N may be 0.

    keypoints: (N, 2) float32, x then y (px).
    descriptors: (N, D) uint8 or float32.
    scores: (N,) float32, the response of the detector.
    scales: (N,) float32, the diameter (px).
    oris: (N,) float32, the orientation (radians, 0 is upright).
    shapes: (N, 3) float32, the values a, c, d of the lower-triangular frame [[a, 0], [c, d]], which maps the unit
    circle to the keypoint's ellipse (a * d = (scale / 2)^2); None for features without frames.
    image_size: (width, height) of the photo.

    An extractor returns features in chip pixels. `photos.chips.to_photo` converts them to pixels of the upright photo.
    """

    keypoints: np.ndarray
    descriptors: np.ndarray
    scores: np.ndarray
    scales: np.ndarray
    oris: np.ndarray
    shapes: np.ndarray | None
    image_size: tuple[int, int]

    def __post_init__(self) -> None:
        n = len(self.keypoints)
        expected = {"keypoints": (n, 2), "scores": (n,), "scales": (n,), "oris": (n,), "shapes": (n, 3)}
        for name, shape in expected.items():
            array = getattr(self, name)
            if name == "shapes" and array is None:
                continue
            if array.shape != shape or array.dtype != np.float32:
                raise ValueError(f"{name} is {array.dtype} {array.shape}, expected float32 {shape}")
        if self.descriptors.ndim != 2 or len(self.descriptors) != n:
            raise ValueError(f"descriptors are {self.descriptors.shape}, expected ({n}, D)")
        if self.descriptors.dtype not in (np.uint8, np.float32):
            raise ValueError(f"descriptors are {self.descriptors.dtype}, expected uint8 or float32")

    def __len__(self) -> int:
        return len(self.keypoints)

    def take(self, rows: np.ndarray) -> Features:
        """Return the features at `rows` (indices or a boolean mask), in that order."""
        return Features(
            self.keypoints[rows],
            self.descriptors[rows],
            self.scores[rows],
            self.scales[rows],
            self.oris[rows],
            None if self.shapes is None else self.shapes[rows],
            self.image_size,
        )


def empty_features(dimension: int, dtype: type, image_size: tuple[int, int], *, frames: bool = True) -> Features:
    """Return features with N = 0, for a chip without keypoints. Every array has the correct shape and type."""
    none = np.zeros(0, np.float32)
    return Features(
        np.zeros((0, 2), np.float32),
        np.zeros((0, dimension), dtype),
        none,
        none,
        none,
        np.zeros((0, 3), np.float32) if frames else None,
        image_size,
    )


@dataclass(frozen=True, eq=False)  # compared by identity, so that a subject can be a key of a dictionary
class Subject:
    """One animal in one photo, as the matchers see it: N features, the box they come from, and their weights.

    box: x, y, width, height (photo px), inside the photo; the whole photo if the animal has no box.
    weights: (N,) float32, 0 to 1, confidence that each feature lies on the animal; None if all features have weight 1.
    place: location and station of the photo; None if not known. An empty text is any location or station.
    """

    features: Features
    box: BBox
    weights: np.ndarray | None = None
    place: tuple[str, str] | None = None

    def __post_init__(self) -> None:
        if self.weights is not None and self.weights.shape != (len(self.features),):
            raise ValueError(f"weights are {self.weights.shape}, expected ({len(self.features)},)")

    def __len__(self) -> int:
        return len(self.features)

    def take(self, rows: np.ndarray) -> Subject:
        """Return the subject with only the features at `rows` (indices or a boolean mask), in that order."""
        weights = None if self.weights is None else self.weights[rows]
        return Subject(self.features.take(rows), self.box, weights, self.place)


@dataclass(frozen=True)
class Matches:
    """The M weighted matches of one query photo with a gallery, sorted by `annotation`, then by `keypoint0`.

    keypoint0: (M,) int, index into the query's keypoints.
    annotation: (M,) int, number of the gallery entry.
    keypoint1: (M,) int, index into the keypoints of that entry.
    weights: (M,) float32, above 0. No matches: M = 0.
    """

    keypoint0: np.ndarray
    annotation: np.ndarray
    keypoint1: np.ndarray
    weights: np.ndarray

    def __post_init__(self) -> None:
        shapes = {a.shape for a in (self.keypoint0, self.annotation, self.keypoint1, self.weights)}
        if len(shapes) != 1 or len(self.weights.shape) != 1:
            raise ValueError(f"matches need four arrays of one length, got shapes {sorted(shapes)}")

    def __len__(self) -> int:
        return len(self.weights)

    def take(self, rows: np.ndarray) -> Matches:
        """Return the matches at `rows` (indices or a boolean mask), in that order."""
        return Matches(self.keypoint0[rows], self.annotation[rows], self.keypoint1[rows], self.weights[rows])


NO_MATCHES = Matches(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32))
