"""Pretrained networks that are known: their files, sizes, sums, addresses and licences."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.plugins import KINDS, plugin_module, plugin_names
from snowmatch.core.text import did_you_mean

KORNIA = "https://huggingface.co/kornia/"
LIGHTGLUE = "https://github.com/cvg/LightGlue/releases/download/v0.1_arxiv/"  # also of what it was trained with


@dataclass(frozen=True)
class WeightsFile:
    """One file: its official name, what others call the same file, bytes (0: not known), sha256 ("": not known)."""

    name: str
    size: int = 0
    sha256: str = ""
    addresses: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Every name under which the file is looked for, the official one first."""
        return (self.name, *self.aliases)


@dataclass(frozen=True)
class Weights:
    """The trained values of one network; any one of `files` holds them, the official one first."""

    name: str
    network: str
    what: str
    licence: str
    files: tuple[WeightsFile, ...]


def registry() -> tuple[Weights, ...]:
    """Every public network that is known: what the plugins' own files name in WEIGHTS, by the plugins' names.

    A file of another distribution that cannot be loaded names none.
    """
    return _collected()


@cache
def _collected() -> tuple[Weights, ...]:
    found: list[Weights] = []
    for kind in KINDS:
        for name in plugin_names(kind):
            try:
                found += getattr(plugin_module(kind, name), "WEIGHTS", ())
            except SnowmatchError:
                continue
    return tuple(found)


def known_weights(name: str) -> Weights:
    """The entry of the registry called `name`; SnowmatchError where there is none."""
    for entry in registry():
        if entry.name == name:
            return entry
    known = [entry.name for entry in registry()]
    raise SnowmatchError(f"no public weights called {name!r}; there are: {', '.join(known)}{did_you_mean(name, known)}")


def file_names() -> set[str]:
    """Every name under which a file of the registry is looked for."""
    return {name for entry in registry() for file in entry.files for name in file.names}
