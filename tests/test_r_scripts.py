"""The R scripts of the exporters: R parses each, and runs each whose package is installed. Without R, they skip."""

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from conftest import SHARED
from drawn_space import DENSITY, G0, SIGMA, drawn_survey
from drawn_table import ROWS, STATIONS, write_catalog

import snowmatch
from snowmatch.confidence.score_table import ScoreTable, save_table
from snowmatch.interchange import exporters
from snowmatch.interchange.exporting import export_survey
from snowmatch.review.identities import open_identities
from snowmatch.survey.coordinates import Coordinates
from snowmatch.survey.draws import Drawn, drawn_captures
from snowmatch.survey.opening import open_survey
from snowmatch.survey.run import make_survey

RSCRIPT = shutil.which("Rscript")
pytestmark = pytest.mark.skipif(RSCRIPT is None, reason="Rscript is not installed (Debian: r-base-core)")
EXACT = Coordinates()
# Each format that writes an R script: its script, and the packages and programs that running it takes
SCRIPTS = {
    "secr": ("fit.R", ("secr",)),
    "oscr": ("read.R", ("oSCR",)),
    "camtrapr": ("read.R", ("camtrapR", "secr")),
    "multimark": ("read.R", ("multimark",)),
    "rmark": ("read.R", ("RMark",)),
    "spim": ("read.R", ()),
    "scr_pairwise": ("read.R", ()),
}


def run_r(folder, *arguments):
    """Run Rscript in a folder; return what it printed. A warning of R is an error."""
    command = [RSCRIPT, "--vanilla", "-e", "options(warn = 2)", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def run_script(folder, script, *packages):
    """Run a script of an export in its folder, and return what it printed. Skips without its packages."""
    need_packages(*packages)
    return run_r(folder, "-e", f'source("{script}", echo = FALSE)')


def need_packages(*packages):
    for package in packages:
        asked = subprocess.run([RSCRIPT, "--vanilla", "-e", f'library("{package}")'], capture_output=True, text=True)
        if asked.returncode:
            pytest.skip(f"the R package {package} is not installed")


def exported(tmp_path, name, rows=ROWS, stations=STATIONS, options=None, **counting):
    """Return the folder of an export of a drawn survey, and the survey."""
    folder = write_catalog(tmp_path / "catalog", rows, stations)
    survey = make_survey(snowmatch.open_catalog(folder).data, **counting)
    if name == "scr_pairwise":
        options = {"scores": str(scores_of(survey.data.annotations, tmp_path / "scores.npz"))}
    export_survey(survey, name, tmp_path / "out", options=options, coordinates=EXACT)
    return tmp_path / "out", survey


def scores_of(annotations, path):
    """Write a table of scores of all pairs of named photos, and return its path."""
    named = np.array([a.row for a in annotations if a.individual is not None])
    n, zero = len(named), np.zeros((len(named), 1), np.float32)
    texts = {f: np.array([str(getattr(a, f) or "") for a in annotations])
             for f in ("individual", "body_part", "encounter", "station")}  # fmt: skip
    names = ("individual_scores", "left_out_scores", "group_scores", "group_left_out_scores", "prior")
    table = ScoreTable(
        paths=np.array([a.path for a in annotations]),
        **texts,
        queries=named,
        gallery=named,
        groups=np.arange(n),
        scores=np.random.default_rng(0).random((n, n)),
        individual_names=np.array(["aika"]),
        **dict.fromkeys(names, zero),
    )
    save_table(path, table)
    return path


@pytest.mark.parametrize("name", SCRIPTS)
def test_r_parses_every_script_and_runs_it_if_it_can(tmp_path, name):
    script, packages = SCRIPTS[name]
    out, _ = exported(tmp_path, name)
    scripts = sorted(path.name for path in out.glob("*.R"))
    assert scripts == [script]
    libraries = set(re.findall(r"library\((\w+)\)", (out / script).read_text()))
    assert libraries <= set(packages)
    run_r(out, "-e", f'invisible(parse("{script}"))')
    if not packages:
        run_script(out, script)


def test_every_format_with_a_script_is_tried_here():
    folder = Path(exporters.__file__).parent
    found = {path.stem for path in folder.glob("*.py") if re.search(r'"[a-z]+\.R"', path.read_text(encoding="utf-8"))}
    assert found - {"mark"} == set(SCRIPTS)  # mark has one with draws only
