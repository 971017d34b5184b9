"""Help, README and program say the same."""

import re
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from snowmatch.cli import main

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


COMMANDS = {
    name: command
    for top, group in [(top, main.get_command(None, top)) for top in main.list_commands(None)]
    for name, command in [
        (top, group),
        *((f"{top} {inner}", command) for inner, command in getattr(group, "commands", {}).items()),
    ]
}


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_has_help_an_example_and_a_place_in_the_readme(name):
    result = CliRunner().invoke(main, [*name.split(), "--help"])
    assert result.exit_code == 0
    assert "Example:" in result.output
    assert f"snowmatch {name}" in README
    for parameter in COMMANDS[name].params:
        if parameter.param_type_name == "option":
            assert parameter.help, f"{name} {parameter.name} has no help"


def test_every_option_in_the_readme_exists():
    known = {o for c in COMMANDS.values() for p in c.params for o in p.opts}
    for line in re.findall(r"^snowmatch .*$", README, re.MULTILINE):
        assert set(re.findall(r"(?<=\s)--[a-z-]+", line)) <= known, line


def test_pictures_of_the_readme_are_there():
    for target in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", README):
        assert (ROOT / target).exists(), target


def test_every_dependency_says_why():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for name in tomllib.loads(text)["project"]["dependencies"]:
        line = next(line for line in text.splitlines() if f'"{name}"' in line)
        assert "#" in line, f"{name} stands without a reason"
