"""Conformance checks for plugins of snowmatch and of other distributions.

The plugins are extractors, matchers, detectors, segmenters, classifiers, importers and exporters. Each kind has its
table of checks:

    from snowmatch.testing import EXTRACTOR_CHECKS

    @pytest.mark.parametrize("check", EXTRACTOR_CHECKS.values(), ids=list(EXTRACTOR_CHECKS))
    def test_my_extractor(check):
        check(MyExtractor())

A check raises AssertionError with a description of the problem. The checks do not need pytest. The first check,
`extractor_is_complete` and so on, names everything that a plugin lacks. Every other check fails with the
same text until the plugin is complete.
`docs/contributing.md` explains what a plugin must have.
"""

from snowmatch.testing.classifiers import CLASSIFIER_CHECKS
from snowmatch.testing.detectors import DETECTOR_CHECKS
from snowmatch.testing.exporters import EXPORTER_CHECKS
from snowmatch.testing.extractors import EXTRACTOR_CHECKS
from snowmatch.testing.importers import IMPORTER_CHECKS
from snowmatch.testing.matchers import MATCHER_CHECKS
from snowmatch.testing.segmenters import SEGMENTER_CHECKS

__all__ = [
    "CLASSIFIER_CHECKS",
    "DETECTOR_CHECKS",
    "EXPORTER_CHECKS",
    "EXTRACTOR_CHECKS",
    "IMPORTER_CHECKS",
    "MATCHER_CHECKS",
    "SEGMENTER_CHECKS",
]
