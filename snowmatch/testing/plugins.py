"""Checks of any plugin, and the order of the checks."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import FrozenInstanceError, fields, is_dataclass
from functools import wraps
from typing import Any, TypeVar

from snowmatch.core.plugins import Plugin, missing_members

AnyPlugin = TypeVar("AnyPlugin", bound=Plugin)
# The arguments of each method that a plugin may have
METHODS: dict[str, dict[str, tuple[str, ...]]] = {
    "extractors": {"extract": ("chip",), "extract_many": ("chips",), "check": ()},
    "matchers": {
        "match": ("query", "blocks", "allowed", "individuals", "rivals"),
        "pairs": ("one", "others", "extractor"),
        "check": ("extractor",),
    },
    "detectors": {"detect": ("photo",), "check": ()},
    "segmenters": {"segment": ("photo", "bbox"), "check": ()},
    "classifiers": {"classify": ("photo",), "check": ()},
    "exporters": {"files": ("given",)},
    "importers": {"looks_like": ("source",), "read": ("source",)},
}


def is_complete(kind: str, plugin: Plugin) -> None:
    """Check that a plugin is a dataclass, has every required member, and has methods with the right arguments."""
    if isinstance(plugin, type):
        raise AssertionError(
            f"{plugin.__name__} is a class, expected a plugin: call the check with {plugin.__name__}()"
        )
    name = type(plugin).__name__
    assert is_dataclass(plugin), f"{name} is not a dataclass: write @dataclass(frozen=True) above the class"
    missing = missing_members(kind, type(plugin))
    assert not missing, f"{name} lacks {', '.join(missing)}"
    for method, arguments in METHODS[kind].items():
        found = getattr(plugin, method, None)
        if found is None:
            continue
        assert callable(found), f"{name}.{method} is {found!r}, expected a method"
        signature = inspect.signature(found)
        try:
            signature.bind(*arguments)
        except TypeError:
            raise AssertionError(f"{name}.{method} has {signature}, expected ({', '.join(arguments)})") from None


def all_after(
    first: Callable[[AnyPlugin], None], checks: Iterable[Callable[[AnyPlugin], None]]
) -> dict[str, Callable[[AnyPlugin], None]]:
    """Return `first` and `checks` by name. `first` also runs before each of the others, which need its members."""

    def after(check: Callable[[AnyPlugin], None]) -> Callable[[AnyPlugin], None]:
        @wraps(check)
        def both(plugin: AnyPlugin) -> None:
            first(plugin)
            check(plugin)

        return both

    return {first.__name__: first, **{check.__name__: after(check) for check in checks}}


def settings_are_frozen_fields(plugin: Plugin) -> None:
    """Check that a plugin is a frozen dataclass, and that every setting has a plain default."""
    assert isinstance(plugin.REVISION, int), f"REVISION is {plugin.REVISION!r}, expected a whole number"
    assert plugin.REVISION >= 1, f"REVISION is {plugin.REVISION}, expected 1 or more"
    about = type(plugin).__doc__ or ""
    written = about and not about.startswith(f"{type(plugin).__name__}(")  # dataclass() writes the fields instead
    assert written, "the class has no docstring, whose first line `snowmatch plugins` shows"
    for f in fields(plugin):
        assert not f.name.isupper(), f"{f.name} is a setting, expected a class variable: annotate it as ClassVar[...]"
        assert isinstance(f.default, str | int | float | bool), (
            f"the setting {f.name} has no default that is a text, a number or a bool"
        )
        try:
            setattr(plugin, f.name, f.default)
        except FrozenInstanceError:
            continue
        raise AssertionError(f"the setting {f.name} can be changed: the dataclass is not frozen")


def check_number(name: str, value: Any, least: int) -> None:
    """Check that a value is a whole number of `least` or more. name: for the error message."""
    good = isinstance(value, int) and not isinstance(value, bool) and value >= least
    assert good, f"{name} is {value!r}, expected a whole number of {least} or more"
