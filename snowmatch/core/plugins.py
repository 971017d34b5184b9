"""Plugins: extractors, matchers, detectors, segmenters, classifiers, importers and exporters. One file is one plugin.

The name of the file is the name of the plugin. `PLUGIN` in the file is the plugin's class.

A plugin is a frozen dataclass. Its fields are its settings, and each field has a default. The fields define the
command-line options (`-o key=value`) and the cache key, and `snowmatch.testing` checks them. A field with
`compare=False` changes how the plugin computes, but not the result (for example the device). Such a field is an option,
but not a part of the cache key.

`NEEDS` is optional. It names the optional packages that the plugin needs, as `package` or `module:name`. A plugin with
`NEEDS` imports these packages inside its functions, so that snowmatch can list its settings and weights without them.

Other distributions add plugins by entry points. `KINDS` names the groups. The name of an entry point is the name of the
plugin. The entry point refers to the module, not to the class. snowmatch loads such a plugin when it is first named. If
two plugins have one name, the plugin that comes with snowmatch is used.

`Extractor`, `GalleryMatcher`, `PairMatcher`, `Detector`, `Segmenter`, `Classifier`, `Importer` and `Exporter` describe
what a plugin must have. `plugin_class` refuses a class that lacks a required member.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import json
import math
import pkgutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, Literal, Protocol

import numpy as np

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.imported import Imported
from snowmatch.core.text import did_you_mean
from snowmatch.core.types import BBox, Chip, Classes, Detection, Features, Matches, Subject

# For each kind of plugin: the package of the plugins that come with snowmatch, and the group of entry points
KINDS = {
    "extractors": ("snowmatch.features.extractors", "snowmatch.extractors"),
    "matchers": ("snowmatch.matching.matchers", "snowmatch.matchers"),
    "detectors": ("snowmatch.screening.detectors", "snowmatch.detectors"),
    "segmenters": ("snowmatch.screening.segmenters", "snowmatch.segmenters"),
    "classifiers": ("snowmatch.screening.classifiers", "snowmatch.classifiers"),
    "importers": ("snowmatch.interchange.importers", "snowmatch.importers"),
    "exporters": ("snowmatch.interchange.exporters", "snowmatch.exporters"),
}
LARGEST = 2**31 - 1  # largest whole number of a setting: libraries take 32 bits
# For each package that plugins need: the extra that installs it
EXTRA = {"torch": "deep", "kornia": "deep", "safetensors": "deep", "onnxruntime": "screen", "xlsxwriter": "survey"}


class Plugin(Protocol):
    """The common part of all plugins."""

    REVISION: ClassVar[int]  # 1 or more; increased when the output of the code changes
    __dataclass_fields__: ClassVar[dict[str, Any]]


class Extractor(Plugin, Protocol):
    """A plugin that finds features on a chip.

    `extract` returns the features in chip pixels, sorted by descending score. No keypoint lies where `chip.mask` is
    False. A chip that is blank, tiny or without texture gives no features. The same chip gives the same bytes.

    Four more members are optional. `check()` raises SnowmatchError if weights or a device are missing; an extractor
    whose file has WEIGHTS must have it. `extract_many(chips)` returns the features of each of several chips. `batch` is
    the number of chips that it processes faster together than one by one; an extractor with `batch` must have
    `extract_many`. `weights_content()` returns a text that changes with a file of weights for which the registry has no
    sha256: features made with another file are then refused.
    """

    CHANNELS: ClassVar[str]  # the channels of the chip: "grey" or "rgb"
    DTYPE: ClassVar[type]  # type of the descriptors: numpy.uint8 (norm 512) or numpy.float32 (norm 1)
    FRAMES: ClassVar[bool]  # True if features have `shapes`: the ellipse of each keypoint

    @property
    def DIMENSION(self) -> int:  # noqa: N802
        """The length of a descriptor."""

    @property
    def chip_size(self) -> int:
        """The longest side of the chip (px)."""

    def extract(self, chip: Chip) -> Features:
        """Return the features of one chip."""


class GalleryMatcher(Plugin, Protocol):
    """A plugin that compares one query photo with a whole gallery at once.

    `match` returns weighted matches with the gallery entries where `allowed` (A,) is True, sorted by `annotation`, then
    by `keypoint0`; the weights are float32 and above 0. It finds neighbours with
    `snowmatch.matching.search.blocks.search(blocks, query.descriptors, allowed, k)`: blocks have no other access to
    descriptors. `individuals` (A,) is the number of each entry's individual. `rivals` (A,) is whether an entry surely
    shows another animal than the entries of other numbers: only such a distance is that of an accidental match. No
    keypoints, or no allowed entries, give no matches. The same input gives the same bytes.

    A matcher may also have `match_many(asked, blocks, individuals)`, which returns what `match` returns for each
    (query, allowed, rivals) of `asked`. With `search_many` it reads each block once for many queries.
    """

    PAIRWISE: Literal[False]

    @property
    def foreground(self) -> str:
        """`auto`: a match is weighted by the confidence that it lies on the animal. `given`: no such weights."""

    @property
    def backend(self) -> str:
        """The search index that the matcher uses: `faiss` or `flann`."""

    def match(
        self,
        query: Features,
        blocks: Sequence[Any],
        allowed: np.ndarray,
        individuals: np.ndarray,
        rivals: np.ndarray,
    ) -> Matches: ...


@dataclass(frozen=True)
class Pair:
    """The M matches that a pair matcher finds for the photo with the number `number`.

    keypoint0, keypoint1: (M,) int, sorted by ascending keypoint0. weights: (M,) float32, above 0. No matches: M = 0.
    """

    number: int
    keypoint0: np.ndarray
    keypoint1: np.ndarray
    weights: np.ndarray


class PairMatcher(Plugin, Protocol):
    """A plugin that compares a query photo with other photos, one pair at a time.

    `others` yields (number, photo). `pairs` yields one Pair for each number, in any order. A photo without features
    gives no matches. The same input gives the same bytes.

    `check` receives the settings of an extractor. It returns the name of the weights that match its features ("" if the
    matcher needs no weights). It raises SnowmatchError if the matcher cannot match these features.
    """

    PAIRWISE: Literal[True]

    @property
    def foreground(self) -> str:
        """The same as `GalleryMatcher.foreground`."""

    @property
    def voter(self) -> str:
        """The name of the GalleryMatcher whose votes select the candidates."""

    @property
    def candidates(self) -> int:
        """The number of annotations that are compared: those with the most votes. 0: all annotations."""

    @property
    def keypoints(self) -> int:
        """The number of keypoints of each photo that are compared: those with the highest scores."""

    def check(self, extractor: Mapping[str, Any]) -> str: ...

    def pairs(
        self, one: Subject, others: Iterable[tuple[int, Subject]], extractor: Mapping[str, Any]
    ) -> Iterator[Pair]: ...


Matcher = GalleryMatcher | PairMatcher


class Detector(Plugin, Protocol):
    """A plugin that finds objects in a photo.

    `detect` receives the upright photo, (H, W, 3) uint8 RGB, and returns the objects sorted by descending confidence,
    with boxes inside the photo. A photo without objects gives (). The same photo gives the same result. `check()`
    raises SnowmatchError if weights are missing.

    `content()` is optional. It returns a text that changes with files of the user: stored detections of other files are
    not used. The setting `model` does not count then: `content()` tells which network it is.
    """

    def check(self) -> None: ...

    def detect(self, photo: np.ndarray) -> tuple[Detection, ...]: ...


class Segmenter(Plugin, Protocol):
    """A plugin that finds the outline of an animal in a photo.

    `segment` receives the upright photo, (H, W, 3) uint8 RGB, and the box of the animal, or None for the whole photo.
    It returns (H, W) float32, 0 to 1, the confidence that each pixel is the animal; None if it finds none. The
    confidence is not stretched to the range of the photo. `check()` raises SnowmatchError if weights are missing.
    """

    BOXED: ClassVar[bool]  # True if it needs the box of the animal

    def check(self) -> None: ...

    def segment(self, photo: np.ndarray, bbox: BBox | None) -> np.ndarray | None: ...


class Classifier(Plugin, Protocol):
    """A plugin that tells the species in a photo.

    `classify` receives the upright photo, (H, W, 3) uint8 RGB, and returns the species. The same photo gives the same
    bytes. `check()` raises SnowmatchError if weights are missing.

    `names` is optional: the species that it tells, `nothing` last. Another species is then refused before all photos
    are looked at.

    `weights_content()` is optional. It returns a text that changes with a file of weights for which the registry has no
    sha256: what was told with another file is then not used.
    """

    def check(self) -> None: ...

    def classify(self, photo: np.ndarray) -> Classes: ...


class Exporter(Plugin, Protocol):
    """A plugin that writes the captures of a survey for another program.

    `files` receives a `snowmatch.interchange.exporting.Export` and returns the files by name; it writes nothing. The
    same export gives the same bytes. It raises SnowmatchError if the survey lacks what the format needs. `COORDINATES`:
    "needed" if the format cannot do without the positions of the stations, else "optional" or "never".
    """

    COORDINATES: ClassVar[str]

    def files(self, given: Any) -> Mapping[str, bytes]: ...


class Importer(Plugin, Protocol):
    """A plugin that reads what another program wrote.

    `looks_like` returns how surely a file or folder is of this format, 0 to 1; it never raises, and reads little.
    `read` returns the rows. It raises SnowmatchError if the source is of another format or version, or damaged; single
    values that are wrong are in `problems`. It changes no file. The same source gives the same rows.
    """

    FORMAT: ClassVar[str]  # what people call the format, such as "Camtrap DP"

    def looks_like(self, source: Path) -> float: ...

    def read(self, source: Path) -> Imported: ...


# The kinds of plugins that have one protocol each
SINGLE: dict[str, type] = {
    "detectors": Detector,
    "segmenters": Segmenter,
    "classifiers": Classifier,
    "importers": Importer,
    "exporters": Exporter,
}


def plugin_names(kind: str) -> list[str]:
    """Return the sorted names of all plugins of `kind`, one of KINDS. No plugin is imported."""
    return sorted({*_own_names(kind), *_foreign(kind)})


def plugin_module(kind: str, name: str) -> ModuleType:
    """Return the module of one plugin. Raises SnowmatchError if the name is unknown or the module cannot be loaded."""
    own = name in _own_names(kind)
    if not own and name not in _foreign(kind):
        known = plugin_names(kind)
        raise SnowmatchError(
            f"no {kind[:-1]} called {name!r}; there are: {', '.join(known)}{did_you_mean(name, known)}"
        )
    if not own:
        return _foreign_module(kind, name, _foreign(kind)[name])
    try:
        return importlib.import_module(f"{KINDS[kind][0]}.{name}")
    except ImportError as error:
        raise _not_imported(kind, name, error, "snowmatch") from error


def plugin_class(kind: str, name: str) -> type[Plugin]:
    """Return the class of one plugin.

    Raises SnowmatchError as `plugin_module` does, or if the file has no PLUGIN, if PLUGIN is not a dataclass, if a
    setting has no default, or if the class lacks a required member (see `missing_members`).
    """
    module = plugin_module(kind, name)
    where = f"in {module.__name__}: correct that file"
    try:
        cls: type[Plugin] = module.PLUGIN
    except AttributeError:
        raise SnowmatchError(f"{kind[:-1]} {name!r} has no PLUGIN {where}") from None
    if not isinstance(cls, type) or not is_dataclass(cls):
        raise SnowmatchError(f"{kind[:-1]} {name!r} has a PLUGIN that is not a dataclass {where}")
    if missing := missing_members(kind, cls):
        raise SnowmatchError(f"{kind[:-1]} {name!r} lacks {', '.join(missing)} {where}")
    if bare := [f.name for f in fields(cls) if f.default is MISSING]:
        raise SnowmatchError(f"{kind[:-1]} {name!r} has no default for the setting {', '.join(bare)} {where}")
    _NAMES[cls] = name
    return cls


def usable_plugins(kind: str) -> dict[str, type[Plugin]]:
    """Return the classes of all plugins of `kind` that can be loaded and whose packages are installed, by name."""
    found = {}
    for name in plugin_names(kind):
        with suppress(SnowmatchError):  # who names it gets the reason
            found[name] = plugin_class(kind, name)
    return {name: cls for name, cls in found.items() if not missing_packages(cls)}


def missing_members(kind: str, cls: type[Plugin]) -> list[str]:
    """Return the required members that the class of a plugin lacks, such as "the class variable FRAMES".

    kind: one of KINDS. A matcher without PAIRWISE is compared with `PairMatcher` if it has `pairs`, and
    with `GalleryMatcher` if it has none. An extractor with `batch` needs `extract_many`. An extractor whose file has
    WEIGHTS needs `check`.
    """
    settings_of = {f.name for f in fields(cls)}
    if kind == "extractors":
        needed = _members(Extractor)
        if hasattr(cls, "batch"):
            needed["extract_many"] = "method"
        if hasattr(sys.modules.get(cls.__module__), "WEIGHTS"):
            needed["check"] = "method"
    elif kind == "matchers":
        in_pairs = getattr(cls, "PAIRWISE", hasattr(cls, "pairs"))
        needed = _members(PairMatcher if in_pairs else GalleryMatcher)
    else:
        needed = _members(SINGLE[kind])
    return [f"the {what} {name}" for name, what in needed.items() if name not in settings_of and not hasattr(cls, name)]


def make_plugin(kind: str, name: str, options: Mapping[str, str] | None = None) -> Any:
    """Return a plugin with its default settings, changed by `options`: texts as typed on the command line.

    Raises SnowmatchError if the plugin is unknown, if a package that it needs is missing, or if a setting is unknown or
    has an invalid value.
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
        except ImportError as error:  # the package is too old, or a library that it needs is missing
            raise _broken(kind, name, error, package) from error
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
    except ValueError as error:  # a plugin checks the ranges of its settings when it is made
        raise SnowmatchError(f"{kind[:-1]} {name!r}: {error}") from error


def missing_packages(cls: type[Plugin]) -> list[str]:
    """Return the packages that a plugin needs and that are not installed. No package is imported."""
    packages = [_package(need) for need in getattr(cls, "NEEDS", ())]
    return [package for package in packages if importlib.util.find_spec(package) is None]


def plugin_name(plugin: Plugin) -> str:
    """Return the name of a plugin: the name of its entry point or of its file."""
    return _NAMES.get(type(plugin), type(plugin).__module__.rsplit(".", 1)[-1])


def settings(plugin: Plugin) -> dict[str, Any]:
    """Return the name, the revision and all settings that change a plugin's results, as values for JSON."""
    values = {f.name: getattr(plugin, f.name) for f in fields(plugin) if f.compare}
    return {"name": plugin_name(plugin), "revision": plugin.REVISION, **values}


def settings_key(described: Mapping[str, Any]) -> str:
    """Return 12 hex digits that change if any setting or the revision of the code changes."""
    text = json.dumps(dict(described), sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def plain_settings(described: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings as a JSON file would return them, for a comparison with settings from a file."""
    values: dict[str, Any] = json.loads(json.dumps(described))
    return values


def parse_setting(what: str, text: str, default: Any) -> Any:
    """Return the value of `text` in the type of `default`.

    what: the name of the setting, for the error message. Raises SnowmatchError if `text` is not of that type, is not
    finite, or is a whole number beyond 32 bits.
    """
    if isinstance(default, bool):
        word = text.lower()
        if word in ("1", "true", "yes", "on"):
            return True
        if word in ("0", "false", "no", "off"):
            return False
        raise SnowmatchError(f"{what} is {text!r}, expected true or false")
    if isinstance(default, str):
        return text
    kind = "a whole number" if isinstance(default, int) else "a number"
    try:
        value = type(default)(text)
    except ValueError:
        raise SnowmatchError(f"{what} is {text!r}, expected {kind} such as {default}") from None
    fits = abs(value) <= LARGEST if isinstance(default, int) else math.isfinite(value)
    if not fits:
        limits = f" from -{LARGEST} to {LARGEST}," if isinstance(default, int) else ", not infinite,"
        raise SnowmatchError(f"{what} is {text!r}, expected {kind}{limits} such as {default}")
    return value


def _package(need: str) -> str:
    """Return the package in one entry of `NEEDS`."""
    return need.partition(":")[0].partition(".")[0]


_NAMES: dict[type, str] = {}  # class of a plugin: the name under which it was loaded


def _own_names(kind: str) -> list[str]:
    package = importlib.import_module(KINDS[kind][0])
    return [m.name for m in pkgutil.iter_modules(package.__path__) if not m.name.startswith("_")]


@cache
def _foreign(kind: str) -> dict[str, EntryPoint]:
    """Return the plugins of other distributions, by name."""
    return {point.name: point for point in entry_points(group=KINDS[kind][1])}


def _members(protocol: type) -> dict[str, str]:
    """Return the required members of a protocol: name, and "class variable", "setting" or "method"."""
    found: dict[str, str] = {}
    for base in reversed(protocol.__mro__):
        for name in (*inspect.get_annotations(base), *vars(base)):
            if name.startswith("_"):
                continue
            what = "method" if inspect.isfunction(vars(base).get(name)) else "setting"
            found[name] = "class variable" if name.isupper() else what
    return found


def _foreign_module(kind: str, name: str, point: EntryPoint) -> ModuleType:
    """Return the module of a plugin of another distribution. Raises SnowmatchError if it cannot be loaded."""
    what = f"{kind[:-1]} {name!r} has the entry point {point.value!r}"
    mend = "correct pyproject.toml of its distribution and install it again"
    try:
        module: Any = importlib.import_module(point.module)
    except ImportError as error:
        if isinstance(error, ModuleNotFoundError) and f"{point.module}.".startswith(f"{error.name}."):
            raise SnowmatchError(f"{what}, but there is no module {error.name!r}: {mend}") from error
        raise _not_imported(kind, name, error, point.module) from error
    except Exception as error:  # a damaged plugin must not stop people who do not use it
        raise _broken(kind, name, error, "") from error
    if point.attr:
        module = getattr(module, point.attr, None)
    if not isinstance(module, ModuleType):
        raise SnowmatchError(f"{what}, expected the module alone, {point.module!r}: {mend}")
    return module


def _not_imported(kind: str, name: str, error: ImportError, own: str) -> SnowmatchError:
    """Return the error for a plugin whose file imports something that does not exist. own: the plugin's own package."""
    root = (error.name or "").partition(".")[0]
    if root == own.partition(".")[0] or root in ("", "snowmatch"):
        return _broken(kind, name, error, "")
    return _lacking(kind, name, root) if isinstance(error, ModuleNotFoundError) else _broken(kind, name, error, root)


def _lacking(kind: str, name: str, package: str) -> SnowmatchError:
    return SnowmatchError(f"{kind[:-1]} {name!r} needs the package {package!r}: pip install {installed_by(package)}")


def installed_by(package: str) -> str:
    """Return what pip installs for a package that plugins need: an extra of snowmatch, or the package itself."""
    return f'"snowmatch[{EXTRA[package]}]"' if package in EXTRA else package


def _broken(kind: str, name: str, error: Exception, package: str) -> SnowmatchError:
    """Return the error for a plugin that cannot be loaded. package: what is too old or damaged; "" is the plugin."""
    reason = " ".join(f"{type(error).__name__}: {error}".split())
    mend = f"pip install -U {installed_by(package)}" if package else "correct its file"
    return SnowmatchError(f"{kind[:-1]} {name!r} cannot be loaded ({reason}): {mend}")
