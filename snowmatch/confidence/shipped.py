"""The calibrations that come with snowmatch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from snowmatch.confidence.cases import Case
from snowmatch.confidence.model import Model, model_from_json, model_to_json
from snowmatch.core.plugins import plain_settings

SHIPPED = Path(__file__).with_name("shipped_calibrations.json")


@dataclass(frozen=True)
class Shipped:
    """The shipped calibration of one method, by kind of query (`outlined`, `whole`): models, and cases for new fits.

    The models of `boxed` are for queries with boxes but without masks: in a loose box, more scenery can match than in
    the boxes of the photos that were used for learning. encounters: the number of encounters that the models were
    learned from.
    """

    models: Mapping[str, tuple[Model, ...]]
    cases: Mapping[str, tuple[Case, ...]]
    encounters: int = 0


def load_shipped(extractor: Mapping[str, Any], matcher: Mapping[str, Any]) -> Shipped | None:
    """Return the shipped calibration of a method with exactly these settings; None if there is none."""
    wanted = plain_settings(extractor), plain_settings(matcher)
    for entry in _shipped_entries():
        if (entry["extractor"], entry["matcher"]) == wanted:
            return shipped_from_json(entry)
    return None


@cache
def _shipped_entries() -> list[dict[str, Any]]:
    return json.loads(SHIPPED.read_bytes())["methods"]


def shipped_to_json(extractor: Mapping[str, Any], matcher: Mapping[str, Any], shipped: Shipped) -> dict[str, Any]:
    """Return the entry of one method in the shipped file. Of a case, only the values that `fit` needs are stored."""
    return {
        "extractor": plain_settings(extractor),
        "matcher": plain_settings(matcher),
        "encounters": shipped.encounters,
        "models": {kind: [model_to_json(m) for m in models] for kind, models in shipped.models.items()},
        "cases": {
            kind: [
                [case.right, round(case.features), [float(f"{score:.4g}") for score in case.scores]] for case in cases
            ]
            for kind, cases in shipped.cases.items()
        },
    }


def shipped_from_json(entry: Mapping[str, Any]) -> Shipped:
    """Return the calibration that `shipped_to_json` described."""
    return Shipped(
        {kind: tuple(map(model_from_json, models)) for kind, models in entry["models"].items()},
        {
            kind: tuple(
                Case(np.array(scores), right, np.zeros(len(scores)), features, kind, True, "", "", (), True, 1.0)
                for right, features, scores in cases
            )
            for kind, cases in entry["cases"].items()
        },
        entry["encounters"],
    )
