"""Values as JSON has them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np


def six_digits(value: float | None) -> float | None:
    """A number as JSON and tables show it; None stays None."""
    return None if value is None else float(f"{value:.6g}")


def plain(value: Any) -> Any:
    """`value` in the types that JSON has; text that is no valid Unicode (a path's undecodable bytes) is escaped."""
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
