"""The engine's scores of a catalog as cases for calibration. Scores of the same engine are computed once and kept."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from datasets import contents_of
from measure import engine_commit, is_current
from scoring import finders_of

from snowmatch.api import Catalog
from snowmatch.confidence.cases import Case, make_cases
from snowmatch.confidence.score_table import ScoreTable, load_table, save_table
from snowmatch.confidence.scoring import score_trial
from snowmatch.confidence.trial import make_trial
from snowmatch.core.arrays import load_arrays, save_arrays
from snowmatch.core.plugins import settings_key
from snowmatch.identify.calibrate import facts_of


def engine_cases(
    catalog: Catalog, name: str, method: str, protocol: str, work: Path
) -> tuple[ScoreTable, tuple[Case, ...]]:
    """Return the scores of all queries of the catalog `name` by `method` (EXTRACTOR:MATCHER), and the cases from them.

    Both are kept in `work` under the engine's commit, the catalog's name and contents, what finds the animal on this
    computer, and the method.
    """
    extractor, matcher_name = method.split(":")
    found = settings_key(finders_of(asdict(catalog.data.settings)))
    contents = f"{name}-{contents_of(catalog.folder)}-{found}"
    folder = _kept(work) / contents / protocol / f"{extractor}-{matcher_name}"
    if not (is_current(engine_commit()) and (folder / "facts.npz").is_file()):
        print(f"{method}: {name} {protocol}", flush=True)
        catalog.index(extractor)
        session = catalog.session(extractor=extractor, matcher=matcher_name)
        chosen, annotations = session.method, catalog.data.annotations
        table = score_trial(make_trial(annotations, protocol), session.galleries, chosen.matcher, chosen.geometry)
        save_table(folder / "scores.npz", table)
        text = json.dumps({"extractor": chosen.extractor, "matcher": chosen.matching})
        _settings_file(work, method).write_text(text, encoding="utf-8")
        save_arrays(folder / "facts.npz", facts_of(annotations, session.gallery))
    facts = load_arrays(folder / "facts.npz", ("features", "outlined", "masked"), "facts file", "delete it")
    table = load_table(folder / "scores.npz")
    return table, make_cases(table, **facts)


def settings_of(method: str, work: Path) -> dict[str, Any]:
    """Return all settings of a method that `engine_cases` has run before, as `extractor` and `matcher`."""
    return json.loads(_settings_file(work, method).read_text(encoding="utf-8"))


def _settings_file(work: Path, method: str) -> Path:
    return _kept(work) / f"{method.replace(':', '-')}.json"


def _kept(work: Path) -> Path:
    return work / "cases" / engine_commit()
