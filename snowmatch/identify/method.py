"""The method that compares photos: extractors, a matcher and a geometric check, chosen by names and options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, TypedDict

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.home import features_path
from snowmatch.core.plugins import Extractor, Matcher, make_plugin, parse_setting, plugin_class, settings
from snowmatch.core.text import did_you_mean
from snowmatch.features.made_with import noted_weights
from snowmatch.features.reader import FeatureReader, list_features, open_features
from snowmatch.features.segments import features_folder
from snowmatch.matching.geometry.frames import Geometry
from snowmatch.matching.query import voter

DEFAULT_EXTRACTOR = "hesaff"
DEFAULT_MATCHER = "lnbnn"


class MethodOptions(TypedDict, total=False):
    """The arguments of `choose_method`, as on the command line.

    extractor: one name or several; None for the extractor that the catalog is indexed with.
    """

    extractor: str | Sequence[str] | None
    matcher: str
    options: Mapping[str, str] | None


@dataclass(frozen=True)
class Method:
    """The extractors, the matcher and the geometric check. The scores of several extractors are fused.

    extractor: the settings of the extractor; {"name": "A + B", "fused": [settings, ...]} for several extractors.
    matching: the settings of the matcher, of the matcher that votes for its shortlist, of its networks and of the
    geometric check; and `made_with`, the weights of the features where the extractor's settings do not tell them.
    """

    extractors: tuple[Extractor, ...]
    matcher: Matcher
    geometry: Geometry
    extractor: dict[str, Any]
    matching: dict[str, Any]


def extractor_in_use(folder: Path, name: str = "") -> dict[str, Any] | None:
    """Return the settings of the extractor that queries of a catalog use; None if nothing is indexed.

    Of several extractors, DEFAULT_EXTRACTOR, or else the first; of its settings, the defaults, or else the first; of
    its versions, the newest. name: of these, only this extractor. Raises SnowmatchError if a file is damaged.
    """
    stored = list_features(features_path(folder))
    name = name or (DEFAULT_EXTRACTOR if any(each["name"] == DEFAULT_EXTRACTOR for each in stored) else "")
    own = [each for each in stored if each["name"] == (name or stored[0]["name"])]
    # the first of equals
    return min(own, key=lambda each: (bool(changed_settings(each)), -each["revision"]), default=None)


def features_in_use(folder: Path) -> FeatureReader | None:
    """Return the features of the extractor that queries of a catalog use; None and errors as `extractor_in_use`."""
    used = extractor_in_use(folder)
    return None if used is None else open_features(features_path(folder), used)


def indexed_extractors(folder: Path) -> list[tuple[str, dict[str, str]]]:
    """Return the extractors that the catalog in `folder` is indexed with, and their settings that are not defaults.

    One extractor may be there several times, with other settings.
    """
    found: list[tuple[str, dict[str, str]]] = []
    for described in list_features(features_path(folder)):
        options = {name: str(value) for name, value in changed_settings(described).items()}
        if (described["name"], options) not in found:  # features of an older version may lie beside those of this one
            found.append((str(described["name"]), options))
    return found


def choose_method(
    folder: Path,
    extractor: str | Sequence[str] | None = None,
    matcher: str = DEFAULT_MATCHER,
    options: Mapping[str, str] | None = None,
) -> Method:
    """Return the method for the catalog in `folder`.

    extractor: one name or several names; None for the extractor that the catalog is indexed with.
    options: values of settings, as text. Each is used by every part (extractor, matcher, geometric check) that has a
    setting of this name.
    Raises SnowmatchError if the catalog is not indexed, if a name or an option is unknown, or if the matcher cannot
    match the features of an extractor.
    """
    options = options or {}
    own = {f.name for f in fields(plugin_class("matchers", matcher))}
    geometry_names = {f.name for f in fields(Geometry)}
    stored = list_features(features_path(folder))
    names = _extractor_names(folder, extractor, stored)
    known = {name: {f.name for f in fields(plugin_class("extractors", name))} for name in names}
    everything = own.union(geometry_names, *known.values())
    for key in options:
        if key not in everything:
            raise SnowmatchError(
                f"neither {' nor '.join(names)} nor the matcher has a setting {key!r}; expected one of: "
                f"{', '.join(sorted(everything))}{did_you_mean(key, sorted(everything))}"
            )
    extractors = tuple(
        _extractor(folder, n, {k: v for k, v in options.items() if k in known[n]}, stored) for n in names
    )
    chosen = make_plugin("matchers", matcher, {k: v for k, v in options.items() if k in own})
    geometry = make_geometry({k: v for k, v in options.items() if k in geometry_names})
    folders = [features_folder(features_path(folder), settings(plugin)) for plugin in extractors]
    noted = [f"{name} {each}" for name, own in zip(names, folders, strict=True) for each in noted_weights(own)]
    return as_method(extractors, chosen, geometry, noted)


def as_method(
    extractors: Sequence[Extractor], matcher: Matcher, geometry: Geometry, made_with: Sequence[str] = ()
) -> Method:
    """Return the method with these extractors, this matcher and this geometric check.

    made_with: texts for the weights of the features, as `Method` has them. Raises SnowmatchError if the matcher cannot
    match the features of an extractor.
    """
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
    if made_with:
        matching["made_with"] = list(made_with)
    return Method(tuple(extractors), matcher, geometry, together, {**matching, "geometry": asdict(geometry)})


def make_geometry(options: Mapping[str, str]) -> Geometry:
    """Return the settings of the geometric check, read from text. Raises SnowmatchError if a value is not valid."""
    defaults = {f.name: f.default for f in fields(Geometry)}
    values = {key: parse_setting(f"setting {key!r}", str(text), defaults[key]) for key, text in options.items()}
    try:
        return Geometry(**values)
    except ValueError as error:
        raise SnowmatchError(f"geometric check: {error}") from error


def changed_settings(described: Mapping[str, Any], kind: str = "extractors") -> dict[str, Any]:
    """Return the settings of a plugin that differ from its defaults. kind: `extractors` or `matchers`.

    described: the settings, with the plugin's name. If the plugin cannot be loaded, all settings are returned.
    """
    try:
        defaults = {f.name: f.default for f in fields(plugin_class(kind, described["name"]))}
    except SnowmatchError:  # a plugin of a later version, or one without torch: its features can still be listed
        return {k: v for k, v in described.items() if k not in ("name", "revision")}
    return {k: v for k, v in described.items() if k in defaults and defaults[k] != v}


def settings_text(described: Mapping[str, Any]) -> str:
    """Return the settings of an extractor that differ from the defaults, as "chip_size=900"; "defaults" for none."""
    return ", ".join(f"{k}={v}" for k, v in changed_settings(described).items()) or "defaults"


def _extractor_names(
    folder: Path, asked: str | Sequence[str] | None, stored: Sequence[Mapping[str, Any]]
) -> tuple[str, ...]:
    """Return the names in `asked`. If it is None, return the extractor that the catalog is indexed with.

    stored: the settings of all extractors that the catalog is indexed with. With several, the default extractor is
    chosen. Raises SnowmatchError if a name is repeated, if nothing is indexed, or if the choice is not clear.
    """
    if asked is not None:
        names = (asked,) if isinstance(asked, str) else tuple(asked)
        if not names or len(set(names)) < len(names):
            raise SnowmatchError(f"the extractors are {', '.join(names) or 'none'}, expected at least one, each once")
        return names
    if not stored:
        raise SnowmatchError(f"{folder} is not indexed: index it first", "not-indexed", catalog=str(folder))
    names = tuple(sorted({described["name"] for described in stored}))
    if len(names) > 1 and DEFAULT_EXTRACTOR not in names:
        raise SnowmatchError(
            f"{folder} is indexed with {', '.join(names)}: choose one of these extractors", "choose-extractor"
        )
    return (DEFAULT_EXTRACTOR if DEFAULT_EXTRACTOR in names else names[0],)


def _extractor(folder: Path, name: str, options: dict[str, str], stored: Sequence[Mapping[str, Any]]) -> Extractor:
    """Return the extractor `name` with the settings in `options`, or else with the settings of the stored features.

    Raises SnowmatchError if the stored features are of another version, or if several settings could be meant.
    """
    plugin: Extractor = make_plugin("extractors", name, options)
    same = [described for described in stored if described["name"] == name]
    asked = set(options) & set(settings(plugin))  # the other options do not change the features
    if asked or not same or settings(plugin) in same:
        return plugin
    known = settings(plugin).keys()  # a later version may have more settings
    current = [
        described for described in same if described["revision"] == plugin.REVISION and described.keys() <= known
    ]
    if not current:
        raise SnowmatchError(
            f"{folder} was indexed with another version of {name}: index it again",
            "not-indexed",
            catalog=str(folder),
            extractor=name,
        )
    if len(current) != 1:
        listed = "; ".join(settings_text(described) for described in current)
        raise SnowmatchError(
            f"{folder} is indexed with other settings of {name} ({listed}): choose one of these settings, or index it "
            "with the defaults",
            "not-indexed",
            catalog=str(folder),
            extractor=name,
        )
    return replace(plugin, **{k: v for k, v in current[0].items() if k not in ("name", "revision")})
