"""How photos are compared: extractors, a matcher and the geometric check, chosen by names and options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, TypedDict

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.home import features_path
from snowmatch.core.plugins import Extractor, Matcher, make_plugin, parse_setting, plugin_class, settings
from snowmatch.core.text import did_you_mean
from snowmatch.features.reader import list_features
from snowmatch.matching.geometry.frames import Geometry
from snowmatch.matching.query import voter

DEFAULT_EXTRACTOR = "hesaff"
DEFAULT_MATCHER = "lnbnn"


class MethodOptions(TypedDict, total=False):
    """How a method is chosen, as on the command line; without `extractor` what the catalog is indexed with."""

    extractor: str | Sequence[str] | None
    matcher: str
    options: Mapping[str, str] | None


@dataclass(frozen=True)
class Method:
    """The extractors whose scores are fused, the matcher and the geometric check; as answers tell them.

    extractor: the settings of the one extractor, or of all that are fused. matching: those of the matcher, with who
    votes for its shortlist, which networks it takes, and the geometric check.
    """

    extractors: tuple[Extractor, ...]
    matcher: Matcher
    geometry: Geometry
    extractor: dict[str, Any]
    matching: dict[str, Any]


def choose_method(
    folder: Path,
    extractor: str | Sequence[str] | None = None,
    matcher: str = DEFAULT_MATCHER,
    options: Mapping[str, str] | None = None,
) -> Method:
    """The method to use in the catalog in `folder`: `options` belong to whichever have a setting of that name.

    Without `extractor` it is the one that the catalog is indexed with. SnowmatchError where there is none, a name or
    an option is unknown, or the matcher cannot match what an extractor finds.
    """
    options = options or {}
    own = {f.name for f in fields(plugin_class("matchers", matcher))}
    geometry_names = {f.name for f in fields(Geometry)}
    held = list_features(features_path(folder))
    names = _extractor_names(folder, extractor, held)
    known = {name: {f.name for f in fields(plugin_class("extractors", name))} for name in names}
    everything = own.union(geometry_names, *known.values())
    for key in options:
        if key not in everything:
            raise SnowmatchError(
                f"neither {' nor '.join(names)} nor the matcher has a setting {key!r}; they have: "
                f"{', '.join(sorted(everything))}{did_you_mean(key, sorted(everything))}"
            )
    extractors = tuple(_extractor(folder, n, {k: v for k, v in options.items() if k in known[n]}, held) for n in names)
    chosen = make_plugin("matchers", matcher, {k: v for k, v in options.items() if k in own})
    geometry = make_geometry({k: v for k, v in options.items() if k in geometry_names})
    return as_method(extractors, chosen, geometry)


def as_method(extractors: Sequence[Extractor], matcher: Matcher, geometry: Geometry) -> Method:
    """The method of plugins that are made already; SnowmatchError where the matcher cannot match their features."""
    each = [settings(plugin) for plugin in extractors]
    checked = [matcher.check(described) for described in each] if matcher.PAIRWISE else []
    networks = [text for text in checked if text]
    together = each[0] if len(each) == 1 else {"name": " + ".join(d["name"] for d in each), "fused": each}
    matching = settings(matcher)
    votes = voter(matcher)
    if votes is not None and votes is not matcher:
        matching["shortlist"] = settings(votes)
    if networks:
        matching["networks"] = networks
    return Method(tuple(extractors), matcher, geometry, together, {**matching, "geometry": asdict(geometry)})


def make_geometry(options: Mapping[str, str]) -> Geometry:
    """The geometric check's settings from text values; SnowmatchError where one cannot be."""
    defaults = {f.name: f.default for f in fields(Geometry)}
    values = {key: parse_setting(f"setting {key!r}", str(text), defaults[key]) for key, text in options.items()}
    try:
        return Geometry(**values)
    except ValueError as error:
        raise SnowmatchError(f"geometric check: {error}") from error


def changed_settings(described: Mapping[str, Any], kind: str = "extractors") -> dict[str, Any]:
    """The settings of a plugin that are not the defaults; all of them where the plugin is not here."""
    try:
        defaults = {f.name: f.default for f in fields(plugin_class(kind, described["name"]))}
    except SnowmatchError:  # one of a later version, or torch is missing: its features are still listed
        return {k: v for k, v in described.items() if k not in ("name", "revision")}
    return {k: v for k, v in described.items() if k in defaults and defaults[k] != v}


def settings_text(described: Mapping[str, Any]) -> str:
    """The settings of an extractor that are not the defaults, as text: "chip_size=900", or "defaults"."""
    return ", ".join(f"{k}={v}" for k, v in changed_settings(described).items()) or "defaults"


def _extractor_names(
    folder: Path, asked: str | Sequence[str] | None, held: Sequence[Mapping[str, Any]]
) -> tuple[str, ...]:
    """Those that were asked for, or the one the catalog is indexed with."""
    if asked is not None:
        names = (asked,) if isinstance(asked, str) else tuple(asked)
        if not names or len(set(names)) < len(names):
            raise SnowmatchError(f"the extractors are {', '.join(names) or 'none'}, expected each name once")
        return names
    if not held:
        raise SnowmatchError(f"{folder} is not indexed: index it first", "not-indexed", catalog=str(folder))
    names = tuple(sorted({described["name"] for described in held}))
    if len(names) > 1 and DEFAULT_EXTRACTOR not in names:
        raise SnowmatchError(
            f"{folder} is indexed with {', '.join(names)}: choose one of these extractors", "choose-extractor"
        )
    return (DEFAULT_EXTRACTOR if DEFAULT_EXTRACTOR in names else names[0],)


def _extractor(folder: Path, name: str, options: dict[str, str], held: Sequence[Mapping[str, Any]]) -> Extractor:
    """The extractor `name` with the settings that the catalog was indexed with, or those that were asked for."""
    plugin: Extractor = make_plugin("extractors", name, options)
    same = [described for described in held if described["name"] == name]
    asked = set(options) & set(settings(plugin))  # the others say how to compute, not what
    if asked or not same or settings(plugin) in same:
        return plugin
    current = [described for described in same if described["revision"] == plugin.REVISION]
    if not current:
        raise SnowmatchError(
            f"{folder} was indexed with an older version of {name}: index it again",
            "not-indexed",
            catalog=str(folder),
            extractor=name,
        )
    if len(current) != 1:
        listed = "; ".join(settings_text(described) for described in current)
        raise SnowmatchError(
            f"{folder} is indexed with {name} under other settings ({listed}): choose one of these settings, or index "
            "it with the defaults",
            "not-indexed",
            catalog=str(folder),
            extractor=name,
        )
    return replace(plugin, **{k: v for k, v in current[0].items() if k not in ("name", "revision")})
