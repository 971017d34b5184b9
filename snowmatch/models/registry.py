"""The registry of pretrained networks: their files, sizes, sha256 sums, addresses and licences."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.plugins import KINDS, plugin_module, plugin_names
from snowmatch.core.text import did_you_mean

KORNIA = "https://huggingface.co/kornia/"
# The address of LightGlue also has the weights of the extractors that LightGlue was trained with
LIGHTGLUE = "https://github.com/cvg/LightGlue/releases/download/v0.1_arxiv/"


@dataclass(frozen=True)
class WeightsFile:
    """One file of weights.

    name: the official file name. aliases: other names of the same file.
    size: bytes (0: not known). sha256: of the content ("": not known).
    addresses: the official addresses, in the order of use.
    package: the path of the file below the Python packages, if an installed package contains it.
    """

    name: str
    size: int = 0
    sha256: str = ""
    addresses: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    package: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """All names of the file, the official name first."""
        return (self.name, *self.aliases)


@dataclass(frozen=True)
class Weights:
    """The weights of one network. Each of `files` contains all of them; the official file is the first."""

    name: str
    network: str
    what: str
    licence: str
    files: tuple[WeightsFile, ...]


def registry() -> tuple[Weights, ...]:
    """Return all public networks: the entries of WEIGHTS in all plugin files, in the order of the plugins' names.

    A plugin that cannot be loaded is skipped.
    """
    return _collected()


@cache
def _collected() -> tuple[Weights, ...]:
    found: list[Weights] = []
    for kind in (kind for kind in KINDS if kind not in ("importers", "exporters")):  # other programs' files need none
        for name in plugin_names(kind):
            try:
                found += getattr(plugin_module(kind, name), "WEIGHTS", ())
            except SnowmatchError:
                continue
    return tuple(found)


def known_weights(name: str) -> Weights:
    """Return the entry of the registry called `name`. Raises SnowmatchError if no entry has this name."""
    for entry in registry():
        if entry.name == name:
            return entry
    known = [entry.name for entry in registry()]
    raise SnowmatchError(f"no public weights called {name!r}; there are: {', '.join(known)}{did_you_mean(name, known)}")


def file_names() -> set[str]:
    """Return all names, official names and aliases, of all files in the registry."""
    return {name for entry in registry() for file in entry.files for name in file.names}
