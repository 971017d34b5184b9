"""`doctor --system`, completion, and the pages of the guide that are made from the program."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections import namedtuple
from html.parser import HTMLParser
from pathlib import Path

import pytest
from click.testing import CliRunner
from test_docs import COMMANDS

from snowmatch.cli import main
from snowmatch.core.errors import SnowmatchError
from snowmatch.review.doctor import system
from snowmatch.review.doctor.system import examine_system, ignores_case

ROOT = Path(__file__).parents[1]


def test_doctor_system_needs_no_catalog_and_prints_text_and_json():
    text = CliRunner().invoke(main, ["doctor", "--system"])
    assert text.exit_code in (0, 1), text.output
    for word in ("Cores:", "Memory:", "Disk:", "Graphics:", "Extras:", "Weights:", "Python 3."):
        assert word in text.output
    found = json.loads(CliRunner().invoke(main, ["doctor", "--system", "--json"]).stdout)
    assert found["schema"] == "snowmatch.system/1"
    assert found["cores"] >= 1
    assert found["memory"]["total"] >= found["memory"]["available"] > 0
    assert all(disk["total"] >= disk["free"] >= 0 for disk in found["disks"])
    assert set(found["weights"]["networks"].values()) <= {"missing", "checked", "present", "unusable"}


def test_every_extra_of_users_is_told_by_doctor_and_in_the_page():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = set(project["optional-dependencies"]) - {"test", "dev", "bench", "bench-deep"}
    assert set(system.EXTRAS) == extras
    page = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)) == extras


def test_doctor_system_tells_what_is_to_mend(tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(system.shutil, "disk_usage", lambda folder: usage(10**12, 10**12, 5 * 10**8))
    monkeypatch.setattr(system.importlib.metadata, "requires", lambda name: ["numpy>=2", "no-such-package>=1"])
    found = examine_system(tmp_path)
    assert any("0.5 GB are free" in problem for problem in found.problems)
    assert any("'no-such-package' is missing" in problem for problem in found.problems)
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(main, ["doctor", "--system"]).exit_code == 1


def test_doctor_system_names_damaged_weights(tmp_path, monkeypatch):
    (tmp_path / "aliked-n16.pth").write_bytes(b"<html>")
    monkeypatch.setenv("SNOWMATCH_WEIGHTS", str(tmp_path))
    found = examine_system(tmp_path)
    assert dict(found.weights)["aliked-n16"] == "unusable"
    assert any(problem.startswith("aliked-n16: ") for problem in found.problems)


def test_doctor_asks_for_a_catalog_or_the_system(tmp_path):
    assert CliRunner().invoke(main, ["doctor"]).exit_code == 2
    assert CliRunner().invoke(main, ["doctor", "--system", "--deep"]).exit_code == 2
    with pytest.raises(SnowmatchError, match="not a folder"):
        examine_system(tmp_path / "none")


def test_no_module_of_the_working_directory_is_run(tmp_path, monkeypatch):
    (tmp_path / "torch.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(system.importlib.util, "find_spec", lambda name: name)
    system._graphics()
    assert not (tmp_path / "ran").exists()


def test_a_driver_that_fails_or_hangs_is_no_crash(tmp_path, monkeypatch):
    assert list(system._printed([sys.executable, "-c", "print('a card'); import os; os.abort()"])) == []
    assert list(system._printed(["no-such-program"])) == []
    monkeypatch.setattr(system, "PATIENCE", 0.2)
    assert list(system._printed([sys.executable, "-c", "import time; time.sleep(20)"])) == []


def test_case_of_names_is_looked_at_without_writing(tmp_path):
    (tmp_path / "a").mkdir()
    assert ignores_case(tmp_path / "a") == (tmp_path / "A").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_are_valid_and_complete(tmp_path, shell):
    script = CliRunner().invoke(main, ["completion", shell]).output
    assert "_SNOWMATCH_COMPLETE" in script
    assert "snowmatch" in script
    (tmp_path / "script").write_text(script)
    if shutil.which(shell):
        check = [shell, "--no-execute" if shell == "fish" else "-n", str(tmp_path / "script")]
        assert subprocess.run(check, check=False).returncode == 0


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["snowmatch", "que"], {"query"}),
        (["snowmatch", "identities", "catalog", "agr"], {"agreement"}),
        (["snowmatch", "survey", "catalog", "--fl"], {"--flanks"}),
        (["snowmatch", "survey", "catalog", "--flanks", "l"], {"left"}),
        (["snowmatch", "weights", "do"], {"download"}),
    ],
)
def test_the_tab_key_completes_commands_options_and_choices(words, expected):
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "_SNOWMATCH_COMPLETE": "bash_complete",
        "COMP_WORDS": " ".join(words),
        "COMP_CWORD": str(len(words) - 1),
    }
    code = "from snowmatch.cli import main; main(prog_name='snowmatch')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert {line.partition(",")[2] for line in done.stdout.splitlines()} == expected, done.stderr


class Outside(HTMLParser):
    """Collects what a page loads from elsewhere; links that a reader follows are not loaded."""

    def __init__(self):
        super().__init__()
        self.loaded = []

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        source = values.get("src") or (values.get("href") if tag == "link" else "") or ""
        if source.startswith(("http:", "https:", "//")):
            self.loaded.append(source)


def test_the_site_loads_nothing_from_the_network_and_has_the_reference(tmp_path):
    pytest.importorskip("material")
    command = [sys.executable, "-m", "mkdocs", "build", "-q", "--strict", "-f", ROOT / ".mkdocs.yml", "-d", tmp_path]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    pages = sorted(tmp_path.rglob("*.html"))
    assert len(pages) > 20
    for page in pages:
        parser = Outside()
        text = page.read_text(encoding="utf-8")
        assert "```" not in text, f"{page.name} has a block that is not shown as one"
        parser.feed(text)
        assert not parser.loaded, f"{page.name} loads {parser.loaded}"
    for sheet in tmp_path.rglob("*.css"):
        text = sheet.read_text(encoding="utf-8")
        assert "url(http" not in text, sheet
        assert "@import" not in text, sheet
    commands = (tmp_path / "reference-commands.html").read_text(encoding="utf-8")
    for name in COMMANDS:
        assert f">snowmatch {name}<" in commands, f"the reference lacks {name}"
    python = (tmp_path / "reference-python.html").read_text(encoding="utf-8")
    for name in ("open_catalog", "Catalog.query", "SnowmatchError", "Extractor", "import_source"):
        assert name in python
    assert importlib.util.find_spec("mkdocs") is not None
