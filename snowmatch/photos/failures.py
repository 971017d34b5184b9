"""Why a photo cannot be used: one bad photo does not stop a run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

import cv2

from snowmatch.core.errors import SnowmatchError

Failure = str  # the reason why a file or annotation cannot be used
ERRORS = (SnowmatchError, OSError, MemoryError, cv2.error)  # of one photo: the run continues
Args = ParamSpec("Args")
Result = TypeVar("Result")


def or_failure(
    path: Path, work: Callable[Concatenate[Path, Args], Result], *args: Args.args, **options: Args.kwargs
) -> Result | Failure:
    """Return the result of `work(path, *args)`, or the reason why this photo cannot be used. The run continues."""
    try:
        return work(path, *args, **options)
    except ERRORS as error:
        return failure_of(path, error)


def failure_of(path: Path, error: Exception) -> Failure:
    """Return the reason why a photo cannot be used, without its path. error: one of ERRORS."""
    if isinstance(error, OSError):
        return f"cannot be read: {error.strerror or error}"
    if isinstance(error, MemoryError):
        return "needs more memory than there is"
    if isinstance(error, cv2.error):
        return f"OpenCV cannot handle it: {' '.join(str(error).split())}"
    return str(error).removeprefix(f"{path}: ").removeprefix(f"{path} ")
