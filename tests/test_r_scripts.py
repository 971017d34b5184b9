"""The R scripts of the exporters: R parses each, and runs each whose package is installed. Without R, they skip."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from drawn_space import DENSITY, G0, SIGMA, drawn_survey
from drawn_table import ROWS, STATIONS, write_catalog

import snowmatch
from snowmatch.confidence.cells import cells_of
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
    """Run Rscript in a folder; return what it printed, and its messages. A warning of R is an error."""
    command = [RSCRIPT, "--vanilla", "-e", "options(warn = 2)", *arguments]
    zone = os.environ | {"TZ": "UTC"}  # without one, lubridate warns on computers without systemd
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=900, env=zone)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout, done.stderr


def run_script(folder, script, *packages):
    """Run a script of an export in its folder; return what it printed, and its messages. Skips without its packages."""
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
             for f in ("individual", "body_part", "encounter", "passage", "station")}  # fmt: skip
    names = ("individual_scores", "left_out_scores", "group_scores", "group_left_out_scores", "prior")
    table = ScoreTable(
        paths=np.array([a.path for a in annotations]),
        **texts,
        queries=named,
        gallery=named,
        groups=np.arange(n),
        cells=cells_of(np.random.default_rng(0).random((n, n)), n),
        individual_names=np.array(["aika"]),
        chance=np.ones(n),
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


@pytest.mark.slow
@pytest.mark.parametrize("name", ["oscr", "camtrapr", "multimark", "rmark"])
@pytest.mark.parametrize("sessions", [(), ("early=2024-05-01..2024-05-30", "late=2024-05-31..2024-06-29")])
def test_the_packages_read_what_is_written_for_them(tmp_path, name, sessions):
    script, packages = SCRIPTS[name]
    need_packages(*packages)
    out, survey = exported(tmp_path, name, *drawn_survey(5), sessions=sessions)
    text = (out / script).read_text()
    (out / script).write_text(text.replace("mod.p = ~ 1)", "mod.p = ~ 1, iter = 600, burnin = 100, adapt = 100)"))
    printed, _ = run_script(out, script)
    if name == "oscr":
        animals = [str(len({c.individual for c in survey.captures if c.session == s.name})) for s in survey.sessions]
        assert re.search(r"n individuals +" + " +".join(animals), printed)
    if name == "camtrapr" and sessions:
        assert re.search(r"^\$s01\.early$.*^\$s02\.late$", printed, re.MULTILINE | re.DOTALL)


def estimates_of(printed):
    """Return estimate, lower and upper limit of each parameter that secr's predict has printed last."""
    pattern = r"^(D|g0|sigma) +\w+ +(\S+) +\S+ +(\S+) +(\S+)$"
    return {name: tuple(map(float, limits)) for name, *limits in re.findall(pattern, printed, re.MULTILINE)}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "counting"),
    [
        ({}, {}),
        ({"detector": "count"}, {}),
        ({}, {"sessions": ["early=2024-05-01..2024-05-30", "late=2024-05-31..2024-06-29"]}),
    ],
    ids=["proximity", "count", "sessions"],
)
def test_secr_fits_the_density_that_was_drawn(tmp_path, options, counting):
    need_packages("secr")
    out, survey = exported(tmp_path, "secr", *drawn_survey(5), options=options, **counting)
    printed, messages = run_script(out, "fit.R")
    assert "No errors found" in printed + messages
    for name, limits in estimates_of(printed).items():
        truth = {"D": DENSITY / 10_000, "g0": G0, "sigma": SIGMA}[name]
        assert limits[1] < truth < limits[2], name
    assert len(estimates_of(printed)) == 3
    assert len(survey.sessions) == 1 + bool(counting)


@pytest.mark.slow
def test_secr_pools_draws_of_identities(tmp_path):
    need_packages("secr")
    folder = write_catalog(tmp_path / "catalog", *drawn_survey(5))
    survey, identities = open_survey(folder), open_identities(folder)
    random = np.random.default_rng(0)
    labels = np.array([identities.who.of] * 5)
    for number, row in enumerate(labels):  # some sightings become animals of their own
        alone = random.random(len(row)) < 0.02 * number
        row[alone] = 10_000 + np.flatnonzero(alone)
    drawn = Drawn(labels, tuple(drawn_captures(survey, identities, labels)), 0)
    export_survey(survey, "secr", tmp_path / "out", coordinates=EXACT, drawn=drawn)
    printed, _ = run_script(tmp_path / "out", "pool.R")
    assert "fits: 5 of 5" in printed
    numbers = [float(n) for n in re.findall(r"\d+\.\d+(?:e-?\d+)?", printed)]
    estimate, low, high = numbers[:3]
    assert low < DENSITY < high
    assert low < estimate < high
    assert 0 < numbers[-1] < 1  # the share of the variance
