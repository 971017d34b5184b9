"""The calibrations that come with the package."""

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
    """What is shipped for one method, by kind of query (`outlined`, `whole`): models, and cases to lean on.

    The models of `boxed` are for outlined queries without masks: in a loose box other rocks may match than in the boxes
    of the photos that were learned from. encounters: how many the models were learned from.
    """

    models: Mapping[str, tuple[Model, ...]]
    cases: Mapping[str, tuple[Case, ...]]
    encounters: int = 0


def load_shipped(extractor: Mapping[str, Any], matcher: Mapping[str, Any]) -> Shipped | None:
    """What is shipped for a method with exactly these settings; None where nothing is."""
    wanted = plain_settings(extractor), plain_settings(matcher)
    for entry in _shipped_entries():
        if (entry["extractor"], entry["matcher"]) == wanted:
            return shipped_from_json(entry)
    return None


@cache
def _shipped_entries() -> list[dict[str, Any]]:
    return json.loads(SHIPPED.read_bytes())["methods"]


def shipped_to_json(extractor: Mapping[str, Any], matcher: Mapping[str, Any], shipped: Shipped) -> dict[str, Any]:
    """One method's entry in the shipped file; of a case only what `calibration.fit` needs to lean on it is kept."""
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
    """What `shipped_to_json` gave."""
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
