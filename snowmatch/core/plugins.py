"""Extractors and matchers are found by file name: one file is one plugin, `PLUGIN` in it is its class.

A plugin is a frozen dataclass whose fields are its settings, each with a default. The fields give the command-line
options (`-o key=value`), the cache key and a row in the conformance tests. A field with `compare=False` says how to
compute, not what (the device): it is an option and no part of the key.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import pkgutil
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.text import did_you_mean

# Where the plugins of each kind are
PACKAGES = {"extractors": "snowmatch.features.extractors", "matchers": "snowmatch.matching.matchers"}
DEEP = ("torch", "kornia", "safetensors")  # what the extra of that name installs


def plugin_names(kind: str) -> list[str]:
    """The names of all plugins of `kind` ("extractors" or "matchers"), sorted, without importing them."""
    package = importlib.import_module(PACKAGES[kind])
    return sorted(m.name for m in pkgutil.iter_modules(package.__path__) if not m.name.startswith("_"))


def plugin_class(kind: str, name: str) -> type:
    """The class of one plugin; SnowmatchError where there is none of that name or its packages are missing."""
    known = plugin_names(kind)
    if name not in known:
        raise SnowmatchError(
            f"no {kind[:-1]} called {name!r}; there are: {', '.join(known)}{did_you_mean(name, known)}"
        )
    try:
        return importlib.import_module(f"{PACKAGES[kind]}.{name}").PLUGIN
    except ModuleNotFoundError as error:
        package = "'snowmatch[deep]'" if error.name in DEEP else error.name
        raise SnowmatchError(f"{kind[:-1]} {name!r} needs the package {error.name!r}: pip install {package}") from error
    except ImportError as error:  # one that is too old, or lacks a library of its own
        reason = " ".join(str(error).split())
        raise SnowmatchError(
            f"{kind[:-1]} {name!r} cannot be loaded ({reason}): pip install -U 'snowmatch[deep]'"
        ) from error


def make_plugin(kind: str, name: str, options: dict[str, str] | None = None) -> Any:
    """One plugin with its defaults, overridden by `options` as typed on the command line."""
    cls = plugin_class(kind, name)
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


def plugin_name(plugin: Any) -> str:
    """The name a plugin is chosen by: its file's."""
    return type(plugin).__module__.rsplit(".", 1)[-1]


def settings(plugin: Any) -> dict[str, Any]:
    """Name, revision of the code and every setting of a plugin that its results depend on, ready for JSON."""
    values = {f.name: getattr(plugin, f.name) for f in fields(plugin) if f.compare}
    return {"name": plugin_name(plugin), "revision": plugin.REVISION, **values}


def settings_key(described: dict[str, Any]) -> str:
    """Twelve hex digits that differ whenever any setting (or the code's revision) differs."""
    text = json.dumps(described, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


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


def plain_settings(described: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as they come back from a JSON file, so that they can be compared with those."""
    return json.loads(json.dumps(described))
