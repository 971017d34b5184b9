"""The guide leads: every command of the tutorial and of the cookbook runs, in order, in an empty folder."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest
from conftest import read_rows
from guide import BLOCK, answer_by, commands, run

from snowmatch.core.errors import SnowmatchError
from snowmatch.demo.cards import make_cards

ROOT = Path(__file__).parents[1]
TUTORIAL = (ROOT / "docs" / "first-survey.md").read_text(encoding="utf-8")
COOKBOOK = (ROOT / "docs" / "cookbook.md").read_text(encoding="utf-8")
RECIPES = {part.partition("\n")[0]: part for part in COOKBOOK.split("\n## ")[1:]}


@pytest.fixture(scope="session")
def field(tmp_path_factory):
    """Return the folder of a drawn survey as memory cards. Do not change it."""
    folder = tmp_path_factory.mktemp("field") / "field"
    make_cards(folder)
    return folder


@pytest.fixture(autouse=True)
def no_weights(monkeypatch, tmp_path):
    """Hide the user's weights and name: the guide's installation has neither."""
    monkeypatch.setenv("SNOWMATCH_WEIGHTS", "")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_every_command_of_the_tutorial_and_the_cookbook_is_tested():
    for text, known in ((TUTORIAL, {"tutorial", "install"}), (COOKBOOK, {"recipe", "r"})):
        for language, mark, _ in BLOCK.findall(text):
            assert language == "text" or mark in known, f"a block {language!r} {mark!r} is not run by any test"


def test_pages_start_r_scripts_in_their_folder():
    started = [
        name for page in (ROOT / "docs").glob("*.md") for name in re.findall(r"Rscript (\S+)", page.read_text("utf-8"))
    ]
    assert started == ["fit.R"]  # the scripts read the files beside them


@pytest.mark.slow
def test_the_tutorial_leads_from_cards_to_a_file_for_density(field, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = list(commands(TUTORIAL, "tutorial"))
    said = answer_by(monkeypatch, field / "truth.csv")
    printed = {line: run(line) for line in lines}
    assert 5 <= len(said) <= 35  # "some 25 answers"

    for block in (text for language, mark, text in BLOCK.findall(TUTORIAL) if language == "text"):
        for line in block.splitlines():  # what is printed, but for figures, which may differ elsewhere
            words = re.sub(r"\d[\d.,]*", "N", line).strip()
            if words and not any(part in line for part in ("/home/", "cd secr", "Rscript", "...", "one animal")):
                assert any(words in re.sub(r"\d[\d.,]*", "N", text) for text in printed.values()), line

    truth = {row["path"]: row["individual"] for row in read_rows(field / "truth.csv")}
    assert len(set(truth.values())) == 6
    captures, screened = read_rows(tmp_path / "survey" / "captures.csv"), read_rows(tmp_path / "screening.csv")
    assert len(captures) == 24
    true_name = {row["encounter"]: truth[row["path"].removeprefix("photos/cards/")] for row in screened}
    members = defaultdict(set)
    for row in captures:
        members[row["individual_id"]].add(true_name[row["event_id"].rpartition("#")[0]])
    assert len(members) in (6, 7)  # the page says six, as the truth does
    assert all(len(animals) == 1 for animals in members.values())  # nothing was joined wrongly
    assert (tmp_path / "survey" / "map.png").exists()
    assert {"captures.txt", "traps.txt", "fit.R"} <= {path.name for path in (tmp_path / "secr").iterdir()}
    assert "Nurai" in printed["snowmatch identities catalog/ show Nurai"]
    assert any(path.name == "question-lines.jpg" for path in (tmp_path / "questions").iterdir())


@pytest.fixture(scope="session")
def kitchen(field, tmp_path_factory):
    """Return a folder with everything that recipes begin with: cards, tables, folders by animal, an indexed catalog."""
    folder = tmp_path_factory.mktemp("kitchen")
    for name in ("detections.json", "stations.csv", "flanks.csv", "truth.csv"):
        shutil.copy(field / name, folder)
    (folder / "cards").symlink_to(field / "cards", target_is_directory=True)
    flanks = {row["path"]: row["body_part"] for row in read_rows(field / "flanks.csv")}
    for row in read_rows(field / "truth.csv"):
        target = folder / "cats" / row["individual"] / flanks[row["path"]] / row["path"].replace("/", "-")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(field / "cards" / row["path"], target)
    here = Path.cwd()
    os.chdir(folder)
    try:
        run("snowmatch import detections.json catalog/ --photos cards/ --stations stations.csv")
        run("snowmatch import flanks.csv catalog/ --photos cards/")
        run("snowmatch index catalog/")
    finally:
        os.chdir(here)
    shutil.copy(field / "cards" / next(iter(flanks)), folder / "IMG_2001.JPG")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", RECIPES)
def test_the_recipes_of_the_cookbook_run(kitchen, tmp_path, monkeypatch, name):
    shutil.copytree(kitchen, tmp_path / "kitchen", symlinks=True)
    monkeypatch.chdir(tmp_path / "kitchen")
    answer_by(monkeypatch, kitchen / "truth.csv")
    lines = list(commands(RECIPES[name], "recipe"))
    assert lines or "```r r" in RECIPES[name], f"the recipe {name!r} has no command"
    for line in lines:
        run(line)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("Rscript") is None, reason="R is not here")
@pytest.mark.parametrize("number", [0, 1])
def test_the_r_lines_of_the_cookbook_run(kitchen, tmp_path, monkeypatch, number):
    (_, _, script) = [block for block in BLOCK.findall(COOKBOOK) if block[1] == "r"][number]
    for package in re.findall(r"library\((\w+)\)", script):
        check = f"quit(status = !requireNamespace('{package}', quietly = TRUE))"
        if subprocess.run(["Rscript", "-e", check], capture_output=True, check=False).returncode:
            pytest.skip(f"the R package {package} is not here")
    shutil.copytree(kitchen, tmp_path / "kitchen", symlinks=True)
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "snowmatch").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m snowmatch.cli "$@"\n')
    (programs / "snowmatch").chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "RETICULATE_PYTHON": sys.executable,
    }
    (tmp_path / "script.R").write_text(script, encoding="utf-8")
    done = subprocess.run(
        ["Rscript", str(tmp_path / "script.R")],
        capture_output=True,
        text=True,
        cwd=tmp_path / "kitchen",
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"excellent|good|fair|uncertain", done.stdout), done.stdout


@pytest.mark.slow
def test_cards_are_the_same_each_time_and_refuse_a_full_folder(field, tmp_path):
    with pytest.raises(SnowmatchError, match="contains other files"):
        make_cards(field)
    make_cards(tmp_path / "again")
    files = sorted(path.relative_to(field) for path in field.rglob("*") if path.is_file())
    assert files == sorted(p.relative_to(tmp_path / "again") for p in (tmp_path / "again").rglob("*") if p.is_file())
    for name in files:
        assert (field / name).read_bytes() == (tmp_path / "again" / name).read_bytes(), name


@pytest.mark.slow
def test_cards_hold_what_their_tables_say(field):
    detections = json.loads((field / "detections.json").read_text(encoding="utf-8"))
    shown = {image["file"] for image in detections["images"] if image["detections"]}
    with (field / "truth.csv").open(newline="", encoding="utf-8") as file:
        truth = {row["path"] for row in csv.DictReader(file)}
    photos = {path.relative_to(field / "cards").as_posix() for path in (field / "cards").rglob("*.JPG")}
    assert photos == {image["file"] for image in detections["images"]}
    assert shown == truth < photos  # empty photos have no box
    assert len({row["station"] for row in read_rows(field / "stations.csv")}) == 6
