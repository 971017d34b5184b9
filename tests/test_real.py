"""Real snow leopards, if their photos are available: the program identifies more than half of them."""

import csv
import json
import random

import pytest
from click.testing import CliRunner
from conftest import SHARED

from snowmatch.cli import main

pytestmark = pytest.mark.real
PHOTOS = 48  # flanks with boxes, of all cats; a minute on two cores


def test_index_query_and_evaluate_real_photos(snow_leopards):
    with (SHARED / "snow_leopard" / "catalog.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["bbox"] and row["body_part"] != "unknown"]
    rows = random.Random(1).sample(rows, PHOTOS)
    with (snow_leopards / "catalog.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    runner = CliRunner()
    result = runner.invoke(main, ["index", str(snow_leopards)])
    assert result.exit_code == 0, result.output
    asked = right = 0
    for row in rows[::2]:
        same = ("individual", "body_part")
        if not any(all(o[k] == row[k] for k in same) and o["encounter"] != row["encounter"] for o in rows):
            continue
        photo = str(snow_leopards / row["path"])
        arguments = ["query", photo, "--catalog", str(snow_leopards), "--bodypart", row["body_part"], "--json"]
        answer = json.loads(runner.invoke(main, [*arguments, "--exclude-encounter", row["encounter"]]).stdout)
        assert answer["query"]["excluded_encounters"] == [row["encounter"]]
        asked += 1
        right += answer["candidates"][0]["individual"] == row["individual"]
    assert asked >= 10
    assert right > asked / 2, f"{right} of {asked}"
    evaluated = json.loads(runner.invoke(main, ["evaluate", str(snow_leopards), "--json"]).stdout)
    sure = [level for level in evaluated["calibration"]["quality"]["levels"] if level["level"] in ("excellent", "good")]
    assert sum(level["answers"] for level in sure) > 0
    assert sum(level["wrong"] for level in sure) == 0
    figures = evaluated["figures"]
    assert figures["annotation_top1"]["value"] > 0.6
    assert figures["individual_top5"]["value"] > 0.8
