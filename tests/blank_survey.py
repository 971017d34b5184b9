"""The drawn survey without names: who is who is to be found, and the truth is known."""

import csv
import json

from click.testing import CliRunner

from snowmatch.api import open_catalog
from snowmatch.cli import main


def blank(folder):
    """Take all names out of a catalog's table, and return the true name of each encounter."""
    table = folder / "catalog.csv"
    with table.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    truth = {row["encounter"]: row["individual"] for row in rows}
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows({**row, "individual": ""} for row in rows)
    return truth


def without_names(survey):
    """Take all names out of the drawn survey, and return the folder of its catalog."""
    folder = survey / "catalog"
    (survey / "truth.json").write_text(json.dumps(blank(folder)), encoding="utf-8")
    return folder


def run(folder, *words, code=0, **values):
    result = CliRunner().invoke(main, ["identities", str(folder), *words], **values)
    assert result.exit_code == code, result.output
    return result.output


def names_of(folder):
    return {a.encounter: a.individual for a in open_catalog(folder).data.annotations}


def encounters(folder):
    return sorted({a.encounter for a in open_catalog(folder).data.annotations})


def true_names(folder):
    """Return the true name of each encounter of the drawn survey, which `blank` has taken away."""
    with (folder.parent / "truth.json").open(encoding="utf-8") as file:
        return json.load(file)
