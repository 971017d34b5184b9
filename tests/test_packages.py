"""The workflow and the packages: which systems and versions are tested, and that the wheel is tried."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.y*ml"))


def test_the_workflow_runs_lint_types_and_tests_on_three_systems_and_four_pythons():
    yaml = pytest.importorskip("yaml")
    jobs = {
        name: job
        for path in WORKFLOWS
        for name, job in yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"].items()
    }
    matrix = jobs["test"]["strategy"]["matrix"]
    assert {name.partition("-")[0] for name in matrix["os"]} == {"ubuntu", "windows", "macos"}
    assert matrix["python"] == ["3.11", "3.12", "3.13", "3.14"]  # texts: 3.10 would be 3.1 as a number
    lowest = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["requires-python"]
    assert lowest == f">={matrix['python'][0]}"
    steps = " ".join(step.get("run", "") for job in jobs.values() for step in job["steps"])
    for command in ("ruff check", "ruff format --check", "mypy", "pytest", "mkdocs build", ".ci/wheel.py"):
        assert command in steps
    for job in jobs.values():
        assert all("run" in step or re.fullmatch(r"actions/[a-z-]+@v\d+", step["uses"]) for step in job["steps"])


def test_the_workflow_names_no_host():
    for path in WORKFLOWS:
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"https?:|index-url|pypi|\.org|\.io|secrets\.", text), path


def test_ci_tries_the_wheel():
    assert ".ci/wheel.py" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
