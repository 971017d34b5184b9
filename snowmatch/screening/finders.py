"""The choice of the networks that find the animal."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from snowmatch.catalog.settings import TAUGHT
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.plugins import make_plugin, plugin_names
from snowmatch.core.text import choices
from snowmatch.models.cache import weights_are_here, weights_sum
from snowmatch.screening.classifiers.efficientnet_lite0 import texture_is_here
from snowmatch.screening.scenes import Finders

DEFAULT_CLASSIFIER, DEFAULT_WEIGHTS = "efficientnet_lite0", "efficientnet-lite0"
AUTO, NONE = "auto", "none"  # the default classifier if its weights are on this computer; no network
CLASSIFIER_GONE = "classifier-gone"  # the code for a classifier whose file, or whose plugin, is not on this computer
SEGMENTER_GONE = "segmenter-gone"  # the same for a segmenter


def choose_finders(classifier: str, segmenter: str = NONE) -> Finders:
    """Return the networks called by these names.

    AUTO is the default classifier, or none if its weights are not on this computer. Raises SnowmatchError if another
    name is unknown (with the code CLASSIFIER_GONE or SEGMENTER_GONE), if its weights are missing, or if the segmenter
    needs boxes.
    """
    chosen = _classifier(classifier)
    cutter = None if segmenter == NONE else _segmenter(segmenter)
    return Finders(chosen, cutter, chosen is not None and texture_is_here())


def is_gone(kind: str, name: str) -> bool:
    """Return whether the file or the plugin of a catalog's network is not on this computer. kind: such as segmenters.

    A catalog may come from another computer, which has plugins of other packages.
    """
    if kind == "classifiers" and name.endswith(TAUGHT):
        return not os.path.isfile(os.path.abspath(name))
    return name not in (AUTO, NONE) and name not in plugin_names(kind)


def finders_here(classifier: str, segmenter: str) -> Finders:
    """Return the networks called by these names, without those that are gone. Raises as `choose_finders` otherwise."""
    return choose_finders(
        NONE if is_gone("classifiers", classifier) else classifier,
        NONE if is_gone("segmenters", segmenter) else segmenter,
    )


def without_classifier(setting: str, text: str) -> SnowmatchError:
    """Return the error for what needs a classifier, where the catalog has none. setting: that of the catalog."""
    if setting == NONE:
        return SnowmatchError(f"{text}; this catalog is set to use no classifier", "classifier-off")
    return SnowmatchError(
        f'{text}; pip install "snowmatch[screen]" brings a classifier',
        "get-weights",
        name=DEFAULT_WEIGHTS,
        downloadable=True,
    )


def finders_in_words(classifier: str, segmenter: str, *, boxes: bool, learned: str = "") -> str:
    """Return how animals are found with these settings of a catalog, such as "classifier none, segmenter none, boxes".

    AUTO is the classifier that it means on this computer. A classifier that a user taught has the start of its sha256
    too: taught again, it may have the same name. boxes: whether animals get the boxes that are found. learned: the mark
    of what was learned from the middles of the catalog's photos; "" if nothing was, or if it cannot be used.
    """
    if classifier == AUTO:
        classifier = DEFAULT_CLASSIFIER if weights_are_here(DEFAULT_WEIGHTS) else NONE
    elif not classifier.endswith(TAUGHT) and is_gone("classifiers", classifier):
        classifier += " (gone)"
    if is_gone("segmenters", segmenter):
        segmenter += " (gone)"
    if classifier.endswith(TAUGHT) and os.path.isfile(classifier):
        classifier += f" (content {weights_sum(Path(os.path.abspath(classifier)))[:8]})"
    middles = f", middles of photos ({learned[:8]})" if learned and classifier != NONE else ""
    return f"classifier {classifier}, segmenter {segmenter}, {'boxes' if boxes else 'no boxes'}{middles}"


def _classifier(name: str) -> Any:
    if name == NONE or (name == AUTO and not weights_are_here(DEFAULT_WEIGHTS)):
        return None
    if name.endswith(TAUGHT):
        path = os.path.abspath(name)
        if not os.path.isfile(path):
            text = f"{name} does not exist, expected a classifier that was taught, or another name"
            raise SnowmatchError(text, CLASSIFIER_GONE, file=name)
        made = make_plugin("classifiers", "learned", {"file": path, "content": weights_sum(Path(path))})
    else:
        made = _plugin("classifiers", DEFAULT_CLASSIFIER if name == AUTO else name, CLASSIFIER_GONE)
    made.check()
    return made


def _plugin(kind: str, name: str, code: str) -> Any:
    if is_gone(kind, name):
        here = choices(name, plugin_names(kind))
        raise SnowmatchError(f"no {kind[:-1]} called {name!r} on this computer; {here}", code, file=name)
    return make_plugin(kind, name)


def _segmenter(name: str) -> Any:
    made = _plugin("segmenters", name, SEGMENTER_GONE)
    if made.BOXED:
        raise SnowmatchError(
            f"the segmenter {name!r} needs a box of the animal, expected one that does not, such as isnet"
        )
    made.check()
    return made
