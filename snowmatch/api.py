"""The Python interface of snowmatch: open a catalog, index it, query it, calibrate it and evaluate it."""

from __future__ import annotations

from pathlib import Path
from typing import Unpack

from snowmatch.catalog.cells import CellError, read_box
from snowmatch.catalog.find import find_catalog
from snowmatch.catalog.opened import open_data
from snowmatch.catalog.settings import SettingsOptions
from snowmatch.catalog.times import read_times
from snowmatch.confidence.score_table import is_table, save_table
from snowmatch.decisions.named import with_decisions
from snowmatch.identify.method import (
    DEFAULT_EXTRACTOR,
    DEFAULT_MATCHER,
    changed_settings,
    extractor_in_use,
    indexed_extractors,
)
from snowmatch.identify.opened_catalog import Catalog
from snowmatch.identify.session import Session
from snowmatch.matching.geometry.frames import Geometry
from snowmatch.matching.search.loaded import limit_memory, limited_memory
from snowmatch.models.cache import add_weights
from snowmatch.models.download import download_weights
from snowmatch.models.registry import known_weights

__all__ = ["DEFAULT_EXTRACTOR", "DEFAULT_MATCHER", "Catalog", "Geometry", "Session", "changed_settings", "open_catalog"]
__all__ += ["add_weights", "download_weights", "find_catalog", "is_table", "known_weights", "save_table"]
__all__ += ["CellError", "extractor_in_use", "indexed_extractors", "limit_memory", "limited_memory", "read_box"]
__all__ += ["read_times"]


def open_catalog(folder: str | Path, decisions: Path | None = None, **settings: Unpack[SettingsOptions]) -> Catalog:
    """Return the catalog in `folder`, named by its `decisions`. `settings`: CatalogSettings in place of stored ones."""
    return Catalog(with_decisions(open_data(Path(folder), settings), decisions), decisions, settings)
