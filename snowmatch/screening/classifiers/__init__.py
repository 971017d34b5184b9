"""Classifiers: which species a photo shows. One file is one classifier.

`core/plugins.py` describes what a classifier must have.
"""

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.plugins import Classifier, make_plugin

DEFAULT_CLASSIFIER = "efficientnet_lite0"
AUTO, NONE = "auto", "none"  # the default if its weights are on this computer; no classifier


def choose_classifier(name: str) -> Classifier | None:
    """Return the classifier called `name`, or None.

    AUTO is the default classifier, or None if its weights are not on this computer. NONE is None. Raises SnowmatchError
    if another name is unknown or its weights are missing.
    """
    if name == NONE:
        return None
    classifier: Classifier = make_plugin("classifiers", DEFAULT_CLASSIFIER if name == AUTO else name)
    try:
        classifier.check()
    except SnowmatchError:
        if name == AUTO:
            return None
        raise
    return classifier
