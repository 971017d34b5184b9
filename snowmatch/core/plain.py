"""Conversion of values to the types that JSON has, and of JSON to values."""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

SUM = "sum"  # key of the checksum in a JSON file


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


def with_json_sum(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a JSON file with their checksum under the key `sum`, which `read_summed_json` takes out."""
    return {**values, SUM: _sum_of(values)}


def read_summed_json(text: str | bytes) -> dict[str, Any]:
    """Return the values of a JSON file without their checksum. A file of an older version has none.

    Raises ValueError if it is no JSON object, or if a value has changed since it was written.
    """
    values = read_json(text)
    if not isinstance(values, dict):
        raise ValueError("it has no named values")
    if values.pop(SUM, known := _sum_of({k: v for k, v in values.items() if k != SUM})) != known:
        raise ValueError("a value was changed or is damaged")
    return values


def _sum_of(values: Mapping[str, Any]) -> int:
    return zlib.crc32(json.dumps(values, sort_keys=True).encode("utf-8", "surrogatepass"))
