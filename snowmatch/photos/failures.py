"""Why a photo cannot be used: one bad photo does not stop a run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

import cv2

from snowmatch.core.errors import SnowmatchError

Failure = str  # the reason why a file or annotation cannot be used
Args = ParamSpec("Args")
Result = TypeVar("Result")


def or_failure(
    path: Path, work: Callable[Concatenate[Path, Args], Result], *args: Args.args, **options: Args.kwargs
) -> Result | Failure:
    """Return the result of `work(path, *args)`, or the reason why this photo cannot be used. The run continues."""
    try:
        return work(path, *args, **options)
    except SnowmatchError as error:
        text = str(error)
        return text.removeprefix(f"{path}: ").removeprefix(f"{path} ")
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"
    except MemoryError:
        return "needs more memory than there is"
    except cv2.error as error:
        return f"OpenCV cannot handle it: {' '.join(str(error).split())}"
