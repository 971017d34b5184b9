"""Checks of a classifier."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from snowmatch.catalog.species import NOTHING
from snowmatch.core.plugins import Classifier
from snowmatch.core.types import Classes
from snowmatch.testing.detectors import scene
from snowmatch.testing.plugins import all_after, is_complete, settings_are_frozen_fields

SIZE = (320, 240)  # (width, height) of the test photo (px)
ODD = {  # photos of unusual content or shape
    "black": np.zeros((240, 320, 3), np.uint8),
    "white": np.full((320, 240, 3), 255, np.uint8),
    "one pixel": np.full((1, 1, 3), 77, np.uint8),
    "very wide": scene(3000, 3),
    "very tall": scene(3, 3000),
    "small": scene(33, 20),
}


def classifier_is_complete(classifier: Classifier) -> None:
    """Check that a classifier is a dataclass, has every required member, and has methods with the right arguments."""
    is_complete("classifiers", classifier)


def names_are_unique_and_end_with_nothing(classifier: Classifier) -> None:
    """Check that there are one or more species with different names, then `nothing`, and the same for every photo."""
    names = _classified(classifier, scene(*SIZE), "the test photo").names
    assert isinstance(names, tuple), f"names are {type(names).__name__}, expected a tuple"
    assert all(isinstance(name, str) and name for name in names), f"names are {names}, expected texts"
    assert len(set(names)) == len(names), f"names are {names}, expected different ones"
    assert names[-1:] == (NOTHING,), f"the last of the names is {names[-1]!r}, expected {NOTHING!r}"
    assert len(names) > 1, f"{NOTHING!r} is the only name, expected a species before it"
    for what, photo in ODD.items():
        other = _classified(classifier, photo, what).names
        assert other == names, f"names for {what} are {other}, for the test photo {names}"


def classes_are_as_declared(classifier: Classifier) -> None:
    """Check types, shapes and ranges: probabilities (C,) 0 to 1, maps (C, h, w) and features (F,) of finite numbers."""
    _classified(classifier, scene(*SIZE), "the test photo")


def odd_photos_never_fail(classifier: Classifier) -> None:
    """Check that blank, tiny, very wide and very tall photos are classified, with features of the same length."""
    length = _classified(classifier, scene(*SIZE), "the test photo").features.shape
    for what, photo in ODD.items():
        found = _classified(classifier, photo, what).features.shape
        assert found == length, f"features are {found} for {what}, but {length} for the test photo"


def same_photo_same_classes(classifier: Classifier) -> None:
    """Check that a photo gives the same bytes again after another photo, and as a view of a larger array."""
    first = _classified(classifier, scene(*SIZE), "the test photo")
    _classified(classifier, scene(240, 330, seed=5), "another photo")
    again = _classified(classifier, scene(*SIZE), "the test photo")
    assert _plain(again) == _plain(first), "the second run gives other bytes"
    turned = scene(*SIZE)[:, ::-1].copy()[:, ::-1]
    view = _classified(classifier, turned, "a view")
    assert _plain(view) == _plain(first), "a photo that is a view gives other bytes than its copy"


def photo_is_not_changed(classifier: Classifier) -> None:
    """Check that the photo is not changed. It may be read-only."""
    photo = scene(*SIZE)
    _classified(classifier, photo, "the test photo")
    assert (photo == scene(*SIZE)).all(), "the photo's pixels were changed"
    photo.flags.writeable = False
    _classified(classifier, photo, "a read-only photo")


def _classified(classifier: Classifier, photo: np.ndarray, what: str) -> Classes:
    """Return what a classifier sees, after a check of the types. what: the photo, for the error message."""
    try:
        found = classifier.classify(photo)
    except Exception as error:
        raise AssertionError(f"classify raises {type(error).__name__} ({error}) for {what}") from error
    assert isinstance(found, Classes), f"classify returns {found!r}, expected snowmatch.core.types.Classes"
    for name in ("probabilities", "activations", "features"):
        values = getattr(found, name)
        assert isinstance(values, np.ndarray), f"{name} are {type(values).__name__}, expected an array"
        assert values.dtype == np.float32, f"{name} are {values.dtype}, expected float32"
        assert values.size, f"{name} for {what} are empty: {values.shape}"
        assert np.isfinite(values).all(), f"some of the {name} for {what} are not finite"
    low, high = float(found.probabilities.min()), float(found.probabilities.max())
    assert low >= 0, f"probabilities for {what} go down to {low:.3g}, expected 0 to 1"
    assert high <= 1, f"probabilities for {what} go up to {high:.3g}, expected 0 to 1"
    assert found.features.ndim == 1, f"features are {found.features.shape}, expected one dimension"
    return found


def _plain(classes: Classes) -> tuple[bytes, ...]:
    return classes.probabilities.tobytes(), classes.activations.tobytes(), classes.features.tobytes()


CLASSIFIER_CHECKS: dict[str, Callable[[Classifier], None]] = all_after(
    classifier_is_complete,
    (
        settings_are_frozen_fields,
        names_are_unique_and_end_with_nothing,
        classes_are_as_declared,
        odd_photos_never_fail,
        same_photo_same_classes,
        photo_is_not_changed,
    ),
)
