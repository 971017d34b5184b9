"""Two pages of the guide are made when it is built: every command by its help, every function by its docstring."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator
from typing import Any

import click
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from snowmatch.cli import main

# What programs and plugins use: the names of a module's own that do not begin with _
MODULES = (
    ("snowmatch.api", "open a catalog"),
    ("snowmatch.identify.opened_catalog", "ask, calibrate, evaluate: what an open catalog does"),
    ("snowmatch.identify.answer", "what a query answers"),
    ("snowmatch.identify.question", "what a query may be told"),
    ("snowmatch.core.errors", "the error that a user can mend"),
    ("snowmatch.core.notes", "what was skipped, ignored or assumed"),
    ("snowmatch.review.identities", "who is who: read and append decisions"),
    ("snowmatch.survey.opening", "captures, effort and estimates"),
    ("snowmatch.interchange.importing", "read what other programs wrote"),
    ("snowmatch.interchange.exporting", "write what other programs read"),
    ("snowmatch.views.json", "answers as JSON"),
    ("snowmatch.core.types", "values that plugins get and return"),
    ("snowmatch.core.plugins", "what each kind of plugin has"),
)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the two pages to the files of the guide."""
    for name, text in (("reference-commands.md", commands_page()), ("reference-python.md", python_page())):
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Return a page without the marks of its blocks: "```sh run" is for the tests, and Markdown knows "```sh" only."""
    return re.sub(r"^```(\w+) \S+$", r"```\1", markdown, flags=re.MULTILINE)


def commands_page() -> str:
    """Return the page of all commands: what `--help` prints."""
    lines = ["# All commands", "", "What `snowmatch COMMAND --help` prints, made from the program itself.", ""]
    for words, command, context in _commands(main, click.Context(main, info_name="snowmatch")):
        lines += [f"## {words}", "", "```text", command.get_help(context).rstrip(), "```", ""]
    return "\n".join(lines)


def _commands(group: click.Group, context: click.Context) -> Iterator[tuple[str, click.Command, click.Context]]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        inner = click.Context(command, info_name=name, parent=context, max_content_width=100, terminal_width=100)
        yield inner.command_path.replace("CATALOG ", ""), command, inner
        if isinstance(command, click.Group):
            yield from _commands(command, inner)


def python_page() -> str:
    """Return the page of all public functions and classes: their signatures and docstrings."""
    lines = ["# All functions", "", "Made from the docstrings. [Python and JSON](python.md) shows how to begin.", ""]
    for name, about in MODULES:
        lines += [f"## {name}", "", f"For: {about}.", ""]
        for key, value in _own(importlib.import_module(name)):
            lines += [f"### {key} {{ #{name}.{key} }}", "", *_signature(key, value), *_about(value)]
            for inner, method in _own_methods(value):
                lines += [f"**{key}.{inner}**", "", *_signature(inner, method), *_about(method)]
    return "\n".join(lines)


def _own(module: Any) -> Iterator[tuple[str, Any]]:
    """Yield the public functions and classes that a module defines, in the order of the file."""
    for key, value in vars(module).items():
        made_here = getattr(value, "__module__", None) == module.__name__
        if made_here and not key.startswith("_") and (inspect.isclass(value) or inspect.isfunction(value)):
            yield key, value


def _own_methods(value: Any) -> Iterator[tuple[str, Any]]:
    for key, method in vars(value).items() if inspect.isclass(value) else ():
        if not key.startswith("_") and inspect.isfunction(method) and method.__doc__:
            yield key, method


def _signature(key: str, value: Any) -> list[str]:
    try:
        return ["```python", f"{key}{inspect.signature(value)}", "```", ""]
    except (TypeError, ValueError):  # protocols and enumerations have none
        return []


def _about(value: Any) -> list[str]:
    text = inspect.cleandoc(value.__doc__ or "")
    return [_safe(text), ""] if text and not text.startswith(f"{getattr(value, '__name__', '')}(") else []


def _safe(text: str) -> str:
    """Return a docstring as Markdown: what looks like HTML or a link is shown as it is."""
    return text.replace("<", "&lt;").replace("[", "\\[")
