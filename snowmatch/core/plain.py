"""Conversion of values to the types that JSON has, and of JSON to values."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np


def six_digits(value: float | None) -> float | None:
    """Return a number rounded to six significant digits, for JSON and tables. None gives None."""
    return None if value is None else float(f"{value:.6g}")


def plain(value: Any) -> Any:
    """Return `value` converted to the types that JSON has.

    Infinite numbers and NaN become None. Text that is not valid Unicode (a path can hold undecodable bytes) is escaped.
    A value of any other type becomes its text.
    """
    if isinstance(value, Mapping):
        return {plain(str(key)): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [plain(item) for item in value]
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if value is None or isinstance(value, (bool, np.bool_)):
        return None if value is None else bool(value)
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)):
        return float(value) if math.isfinite(value) else None
    return plain(str(value))


def read_json(text: str | bytes) -> Any:
    """Return the value of a JSON text. Raises ValueError for anything else, also where it is nested too deeply."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
