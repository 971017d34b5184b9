"""Build the wheel, install it without an index in an empty environment, and run the demo there, far from the source.

Everything happens in a temporary folder. The packages that snowmatch needs are downloaded first, as docs/install.md
tells for computers without the internet.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
INSIDE = ("snowmatch/web/static/", "snowmatch/web/templates/", "snowmatch/web/texts/", "shipped_calibrations.json")


def run(*command: object, cwd: Path, **environment: str) -> None:
    """Run a command; its failure ends the script."""
    clean = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PIP_NO_INDEX")}
    subprocess.run([str(part) for part in command], check=True, cwd=cwd, env={**clean, **environment})


def main() -> None:
    """Build, bundle, install, run."""
    with tempfile.TemporaryDirectory(prefix="snowmatch-wheel-") as name:
        work = Path(name)
        pip = (sys.executable, "-m", "pip", "--quiet")
        run(*pip, "wheel", "--no-deps", "-w", work / "bundle", ROOT, cwd=work)
        (wheel,) = (work / "bundle").glob("snowmatch-*.whl")
        names = zipfile.ZipFile(wheel).namelist()
        for part in INSIDE:
            assert any(part in each for each in names), f"{wheel.name} lacks {part}"
        assert not any(each.startswith(("tests/", "benchmarks/", "docs/")) for each in names), names
        run(*pip, "download", "-d", work / "bundle", f"{wheel}[survey,xlsx]", cwd=work)
        venv.create(work / "empty", with_pip=True)
        programs = work / "empty" / ("Scripts" if os.name == "nt" else "bin")
        install = ("-m", "pip", "--quiet", "install", "--no-index", "--find-links", work / "bundle")
        run(programs / "python", *install, "snowmatch[survey,xlsx]", cwd=work)
        run(programs / "snowmatch", "doctor", "--system", cwd=work)
        run(programs / "snowmatch", "completion", "bash", cwd=work)
        run(programs / "snowmatch", "demo", cwd=work)
        assert list((work / "snowmatch-demo" / "answer").rglob("*.jpg")), "the demo made no picture"
    print("the wheel installs without an index, and the demo runs")


if __name__ == "__main__":
    main()
