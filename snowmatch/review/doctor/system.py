"""This computer as far as snowmatch is concerned: versions, processors, memory, disks, graphics cards, weights."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.executor import cores
from snowmatch.core.version import __version__
from snowmatch.models.cache import held_weights, weights_folder

# Of users; the others are for work on snowmatch
EXTRAS = ("heic", "xlsx", "deep", "screen", "video", "survey", "watch", "cluster")
LITTLE_DISK = 1_000_000_000  # bytes free; the features of 1,000 photos need about 0.3 GB
LITTLE_MEMORY = 1_000_000_000  # bytes available
PATIENCE = 60  # seconds that a driver may take to answer
# What torch says of graphics cards. It runs in a process of its own, since a broken driver can end a process
ASK_TORCH = (
    "import torch\n"
    "for n in range(torch.cuda.device_count()): print(torch.cuda.get_device_name(n))\n"
    "if torch.backends.mps.is_available(): print('Apple graphics (mps)')\n"
)


@dataclass(frozen=True)
class Disk:
    """A folder and its disk. size, free: bytes. ignores_case: whether `a.jpg` and `A.JPG` are one file there."""

    folder: Path
    size: int
    free: int
    ignores_case: bool


@dataclass(frozen=True)
class Extra:
    """Packages that are optional together. packages: (name, version) of each; version "" if it is not installed."""

    name: str
    packages: tuple[tuple[str, str], ...]

    @property
    def installed(self) -> bool:
        """Whether all of its packages are there."""
        return all(version for _, version in self.packages)


@dataclass(frozen=True)
class System:
    """What `examine_system` found.

    memory, memory_available: bytes. versions: (package, version) of Python, of snowmatch and of what it always needs.
    graphics: names of the cards that torch can use. graphics_note: why there are none; "" if there are some.
    weights: (name of a network, `missing`, `checked`, `present` or `unusable`). encoding: of the text that is printed.
    problems: what to mend, one line each.
    """

    versions: tuple[tuple[str, str], ...]
    system: str
    cores: int
    memory: int
    memory_available: int
    disks: tuple[Disk, ...]
    graphics: tuple[str, ...]
    graphics_note: str
    extras: tuple[Extra, ...]
    weights: tuple[tuple[str, str], ...]
    weights_folder: Path
    encoding: str
    problems: tuple[str, ...]


def examine_system(folder: Path) -> System:
    """Return what this computer offers. Nothing is written, and the internet is not used.

    folder: the catalog, or where one will be; its disk is looked at. Raises SnowmatchError if it does not exist.
    """
    if not folder.is_dir():
        raise SnowmatchError(f"{folder} is not a folder: name the catalog's folder, or one that exists")
    needed, extras = _packages()
    memory, graphics = psutil.virtual_memory(), _graphics()
    disks = tuple(_disk(place) for place in dict.fromkeys((folder.resolve(), _existing(weights_folder()))))
    held = held_weights()
    problems = [f"the package {name!r} is missing: pip install {name}" for name, version in needed if not version]
    problems += [
        f"only {disk.free / 1e9:.1f} GB are free in {disk.folder}: make room, or use another disk"
        for disk in disks
        if disk.free < LITTLE_DISK
    ]
    if memory.available < LITTLE_MEMORY:
        problems.append(f"only {memory.available / 1e9:.1f} GB of memory are available: close other programs")
    problems += [f"{entry.weights.name}: {entry.problem}" for entry in held if entry.problem]
    return System(
        versions=(("python", platform.python_version()), ("snowmatch", __version__), *needed),
        system=f"{platform.system()} {platform.release()}, {platform.machine()}",
        cores=cores(),
        memory=memory.total,
        memory_available=memory.available,
        disks=disks,
        graphics=graphics,
        graphics_note="" if graphics else _why_no_graphics(),
        extras=extras,
        weights=tuple((entry.weights.name, entry.state) for entry in held),
        weights_folder=weights_folder(),
        encoding=(getattr(sys.stdout, "encoding", None) or "unknown").lower(),
        problems=tuple(problems),
    )


def _packages() -> tuple[tuple[tuple[str, str], ...], tuple[Extra, ...]]:
    """Return the packages that snowmatch always needs, and its extras, as the metadata of the installation says."""
    needed: list[tuple[str, str]] = []
    optional: dict[str, list[tuple[str, str]]] = {name: [] for name in EXTRAS}
    try:
        required = importlib.metadata.requires("snowmatch") or []
    except importlib.metadata.PackageNotFoundError:  # a copy of the source that was not installed
        required = []
    for requirement in required:
        name = re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0]
        extra = re.search(r"extra == ['\"]([a-z-]+)['\"]", requirement)
        (needed if extra is None else optional.get(extra[1], [])).append((name, _version(name)))
    return tuple(needed), tuple(Extra(name, tuple(packages)) for name, packages in optional.items() if packages)


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _disk(folder: Path) -> Disk:
    usage = shutil.disk_usage(folder)
    return Disk(folder, usage.total, usage.free, ignores_case(folder))


def _existing(folder: Path) -> Path:
    """Return the folder, or the nearest one above it that exists."""
    return next(place for place in (folder, *folder.parents) if place.is_dir())


def ignores_case(folder: Path) -> bool:
    """Return whether the file system of a folder takes `a` and `A` for one name. A name without letters tells no."""
    other = folder.with_name(folder.name.swapcase()) if folder.name else folder
    return other != folder and other.exists() and os.path.samefile(folder, other)


def _graphics() -> tuple[str, ...]:
    """Return the names of the graphics cards that torch can use; none if torch is not installed or fails."""
    if importlib.util.find_spec("torch") is None:
        return ()
    return tuple(_printed([sys.executable, "-P", "-c", ASK_TORCH]))


def _why_no_graphics() -> str:
    seen = ", ".join(_printed(["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]))
    if importlib.util.find_spec("torch") is None:
        return f"{seen or 'no NVIDIA card was seen'}; torch is not installed, so nothing uses a graphics card"
    return f"{seen}: torch cannot use it; install a torch for this card" if seen else "torch sees none"


def _printed(command: list[str]) -> Iterator[str]:
    """Yield the lines that a command prints; none if it is not there, fails, or takes too long."""
    program = shutil.which(command[0])
    if program is None:
        return
    try:
        done = subprocess.run(
            [program, *command[1:]], capture_output=True, encoding="utf-8", errors="replace", timeout=PATIENCE
        )
    except (OSError, subprocess.TimeoutExpired):
        return
    if done.returncode == 0:
        yield from (line.strip() for line in done.stdout.splitlines() if line.strip())
