"""Damaged sources of every importer. The stress test tries many more: tests/stress/README.md."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

FUZZ = Path(__file__).parent / "stress" / "fuzz_import.py"


@pytest.mark.slow
def test_damaged_sources_give_clear_errors_and_whole_catalogs(tmp_path):
    command = [sys.executable, str(FUZZ), "--count", "400", "--seed", "7", "--work", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["imported"] + told["refused"] == 400
    assert min(told["imported"], told["refused"]) > 50
