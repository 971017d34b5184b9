"""Names of the devices that networks run on."""

from __future__ import annotations

import re


def check_device(name: str) -> None:
    """Check that `name` is the name of a device. Raises ValueError if it is not."""
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d{1,3})?", name, re.ASCII):
        raise ValueError(f"device is {name!r}, expected auto, cpu, cuda, cuda:1 (the second GPU) or mps")
