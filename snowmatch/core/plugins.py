"""Plugins: one file is one plugin, found by its name; `PLUGIN` in the file is its class.

A plugin is a frozen dataclass whose fields are its settings, each with a default. The fields give the command-line
options (`-o key=value`), the cache key and a row in the conformance tests (`snowmatch.testing`). A field with
`compare=False` says how to compute, not what (the device): it is an option and no part of the key. `NEEDS`, where a
plugin has it, names packages that an extra installs, as `package` or `module:name`; such a file imports them inside its
functions, so that its settings and weights can be listed without them.

Other distributions add plugins by entry points of the groups in `KINDS`: an entry point's name is the plugin's, and it
points to the module. They are loaded when they are named, and a plugin that comes with snowmatch goes before them.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import json
import pkgutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType
from typing import Any, ClassVar, Literal, Protocol

import numpy as np

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.text import did_you_mean
from snowmatch.core.types import Chip, Features, Matches, Subject

# The kinds of plugins: where those that come with snowmatch are, and the entry points of other distributions
KINDS = {
    "extractors": ("snowmatch.features.extractors", "snowmatch.extractors"),
    "matchers": ("snowmatch.matching.matchers", "snowmatch.matchers"),
}
EXTRA = {"torch": "deep", "kornia": "deep", "safetensors": "deep"}  # which extra installs a package that plugins need


class Plugin(Protocol):
    """What every plugin has. REVISION: raised when the code's output changes."""

    REVISION: ClassVar[int]
    __dataclass_fields__: ClassVar[dict[str, Any]]


class Extractor(Plugin, Protocol):
    """Finds features on a chip.

    `extract` gives them in chip pixels, sorted by falling score, none where `chip.mask` is False; a blank, tiny or
    featureless chip gives none. The same chip gives the same bytes. Two more methods are optional: `check()` raises
    SnowmatchError where weights or a device are not here; `extract_many(chips)` gives the features of each of several
    chips, and `batch` how many at once are faster than one.
    """

    CHANNELS: ClassVar[str]  # "grey" or "rgb"
    DTYPE: ClassVar[type]  # of descriptors: numpy.uint8 or numpy.float32
    FRAMES: ClassVar[bool]  # whether keypoints have shapes

    @property
    def DIMENSION(self) -> int:  # noqa: N802
        """Numbers of a descriptor."""

    @property
    def chip_size(self) -> int:
        """Longest side of the chip, px."""

    def extract(self, chip: Chip) -> Features:
        """The features of one chip."""


class GalleryMatcher(Plugin, Protocol):
    """Compares one query photo with a whole gallery at once.

    `match` gives weighted matches with the entries where `allowed` (A,) is True; `blocks` are searched with
    `snowmatch.matching.search`, `individuals` (A,) numbers the individual of each entry. No keypoints, or nothing
    allowed, give no matches. The same input gives the same bytes.
    """

    PAIRWISE: Literal[False]

    @property
    def foreground(self) -> str:
        """`auto`: matches count by how surely they are on the animal; `given`: all count."""

    @property
    def backend(self) -> str:
        """Which search index it asks."""

    def match(
        self, query: Features, blocks: Sequence[Any], allowed: np.ndarray, individuals: np.ndarray
    ) -> Matches: ...


@dataclass(frozen=True)
class Pair:
    """What a matcher of pairs says of one pair, known by its `number`: M matches.

    keypoint0, keypoint1 (M,) int, ascending by keypoint0; weights (M,) float32 above 0. No matches: M = 0.
    """

    number: int
    keypoint0: np.ndarray
    keypoint1: np.ndarray
    weights: np.ndarray


class PairMatcher(Plugin, Protocol):
    """Compares two photos at a time: a query photo with each of others, which are taken one by one.

    `others` gives (number, photo); `pairs` gives a Pair of each number, in any order. `check` raises SnowmatchError
    where it cannot match the features of an extractor with these settings, and tells which weights it takes ("": none).
    No features on a side give no matches. The same input gives the same bytes.
    """

    PAIRWISE: Literal[True]

    @property
    def foreground(self) -> str:
        """As of a GalleryMatcher."""

    @property
    def voter(self) -> str:
        """The GalleryMatcher whose votes choose the candidates."""

    @property
    def candidates(self) -> int:
        """How many annotations are compared, those with the most votes; 0: all."""

    @property
    def keypoints(self) -> int:
        """How many of each photo's keypoints are compared, the strongest."""

    def check(self, extractor: Mapping[str, Any]) -> str: ...

    def pairs(
        self, one: Subject, others: Iterable[tuple[int, Subject]], extractor: Mapping[str, Any]
    ) -> Iterator[Pair]: ...


Matcher = GalleryMatcher | PairMatcher


def plugin_names(kind: str) -> list[str]:
    """The names of all plugins of `kind` ("extractors" or "matchers"), sorted, without importing them."""
    return sorted({*_own_names(kind), *_foreign(kind)})


def plugin_module(kind: str, name: str) -> ModuleType:
    """The module of one plugin; SnowmatchError where there is none of that name or it cannot be loaded."""
    own = name in _own_names(kind)
    if not own and name not in _foreign(kind):
        known = plugin_names(kind)
        raise SnowmatchError(
            f"no {kind[:-1]} called {name!r}; there are: {', '.join(known)}{did_you_mean(name, known)}"
        )
    try:
        return importlib.import_module(f"{KINDS[kind][0]}.{name}") if own else _foreign(kind)[name].load()
    except ModuleNotFoundError as error:
        raise _lacking(kind, name, error.name or "?") from error
    except ImportError as error:
        raise _broken(kind, name, error) from error


def plugin_class(kind: str, name: str) -> type[Plugin]:
    """The class of one plugin; SnowmatchError as `plugin_module`."""
    module = plugin_module(kind, name)
    try:
        cls: type[Plugin] = module.PLUGIN
    except AttributeError:
        raise SnowmatchError(f"{kind[:-1]} {name!r} has no PLUGIN in {module.__name__}: correct that file") from None
    _NAMES[cls] = name
    return cls


def make_plugin(kind: str, name: str, options: Mapping[str, str] | None = None) -> Any:
    """One plugin with its defaults, overridden by `options` as typed on the command line.

    SnowmatchError where it needs packages that are not here, or a setting cannot be.
    """
    cls = plugin_class(kind, name)
    for need in getattr(cls, "NEEDS", ()):
        package = _package(need)
        module_name, _, attribute = need.partition(":")
        try:
            module = importlib.import_module(module_name)
            if attribute and not hasattr(module, attribute):
                raise ImportError(f"{module_name} has no {attribute}")
        except ModuleNotFoundError as error:
            raise _lacking(kind, name, package) from error
        except ImportError as error:  # one that is too old, or lacks a library of its own
            raise _broken(kind, name, error) from error
    defaults = {f.name: f.default for f in fields(cls)}
    values = {}
    for key, text in (options or {}).items():
        if key not in defaults:
            raise SnowmatchError(
                f"{kind[:-1]} {name!r} has no setting {key!r}; it has: {', '.join(defaults)}"
                f"{did_you_mean(key, list(defaults))}"
            )
        values[key] = parse_setting(f"{name} setting {key!r}", str(text), defaults[key])
    try:
        return cls(**values)
    except ValueError as error:  # a plugin checks the ranges of its settings when it is built
        raise SnowmatchError(f"{kind[:-1]} {name!r}: {error}") from error


def missing_packages(cls: type[Plugin]) -> list[str]:
    """The packages that a plugin needs and that are not installed; they are looked for, not loaded."""
    packages = [_package(need) for need in getattr(cls, "NEEDS", ())]
    return [package for package in packages if importlib.util.find_spec(package) is None]


def plugin_name(plugin: Plugin) -> str:
    """The name a plugin is chosen by: its entry point's, or its file's."""
    return _NAMES.get(type(plugin), type(plugin).__module__.rsplit(".", 1)[-1])


def settings(plugin: Plugin) -> dict[str, Any]:
    """Name, revision of the code and every setting of a plugin that its results depend on, ready for JSON."""
    values = {f.name: getattr(plugin, f.name) for f in fields(plugin) if f.compare}
    return {"name": plugin_name(plugin), "revision": plugin.REVISION, **values}


def settings_key(described: Mapping[str, Any]) -> str:
    """Twelve hex digits that differ whenever any setting (or the code's revision) differs."""
    text = json.dumps(dict(described), sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def plain_settings(described: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as they come back from a JSON file, so that they can be compared with those."""
    values: dict[str, Any] = json.loads(json.dumps(described))
    return values


def parse_setting(what: str, text: str, default: Any) -> Any:
    """The value that `text` stands for, of the default's type; SnowmatchError that names `what` where it is none."""
    if isinstance(default, bool):
        word = text.lower()
        if word in ("1", "true", "yes", "on"):
            return True
        if word in ("0", "false", "no", "off"):
            return False
        raise SnowmatchError(f"{what} is {text!r}, expected true or false")
    if isinstance(default, str):
        return text
    try:
        return type(default)(text)
    except ValueError:
        kind = "a whole number" if isinstance(default, int) else "a number"
        raise SnowmatchError(f"{what} is {text!r}, expected {kind} such as {default}") from None


def _package(need: str) -> str:
    """The distribution's package of one of `NEEDS`."""
    return need.partition(":")[0].partition(".")[0]


_NAMES: dict[type, str] = {}  # the name that a class was loaded by


def _own_names(kind: str) -> list[str]:
    package = importlib.import_module(KINDS[kind][0])
    return [m.name for m in pkgutil.iter_modules(package.__path__) if not m.name.startswith("_")]


@cache
def _foreign(kind: str) -> dict[str, EntryPoint]:
    """The plugins of other distributions, by name."""
    return {point.name: point for point in entry_points(group=KINDS[kind][1])}


def _lacking(kind: str, name: str, package: str) -> SnowmatchError:
    install = f"'snowmatch[{EXTRA[package]}]'" if package in EXTRA else package
    return SnowmatchError(f"{kind[:-1]} {name!r} needs the package {package!r}: pip install {install}")


def _broken(kind: str, name: str, error: ImportError) -> SnowmatchError:
    reason = " ".join(str(error).split())
    return SnowmatchError(f"{kind[:-1]} {name!r} cannot be loaded ({reason}): pip install -U 'snowmatch[deep]'")
