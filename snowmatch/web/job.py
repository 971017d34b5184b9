"""The process that runs one piece of long work: `python -P -m snowmatch.web.job FOLDER`.

It holds a lock as long as it lives, so that everybody can see whether it does; it ends the work when a file `stop`
appears, and writes down how the work ended. It needs no server: work goes on when the page and the server are closed.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import zlib
from pathlib import Path

from filelock import Timeout

from snowmatch.core.files import replace_file
from snowmatch.core.home import PROGRESS_FILE
from snowmatch.core.locks import file_lock
from snowmatch.core.plain import read_summed_json, with_json_sum

LOOKED_AT = 2.0  # seconds: whoever looks whether this process lives holds its lock for a moment
PATIENCE = 15.0  # seconds for the work to keep what is finished, before it is ended


def run_job(folder: Path) -> int:
    """Run the work that `job.json` in `folder` describes, and return its exit status."""
    lock = file_lock(folder / "alive.lock")
    try:
        lock.acquire(timeout=LOOKED_AT)
    except Timeout:
        return 2  # it runs already
    with lock:
        about = read_summed_json((folder / "job.json").read_text(encoding="utf-8"))
        environment = {**os.environ, PROGRESS_FILE: str(folder / "progress.json"), "PYTHONIOENCODING": "utf-8"}
        status, stopped = 0, False
        with open(folder / "stdout", "wb") as out, open(folder / "stderr", "wb") as err:
            for arguments in (about["arguments"], *about.get("then", ())):
                work = subprocess.Popen(
                    [sys.executable, "-P", "-m", "snowmatch.cli", *arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=err,
                    env=environment,
                )
                stopped = _wait(work, folder / "stop")
                status = status or work.returncode
                if stopped:
                    break
        ended = with_json_sum(
            {
                "status": status,
                "stopped": stopped,
                "ended": time.time(),
                "sums": {name: zlib.crc32((folder / name).read_bytes()) for name in ("stdout", "stderr")},
            }
        )
        replace_file(folder / "ended.json", lambda file: file.write(json.dumps(ended).encode()))
        return status


def _wait(work: subprocess.Popen[bytes], stop: Path) -> bool:
    """Wait for the end of the work; return whether it was stopped."""
    asked = 0.0
    while True:
        try:
            work.wait(0.2)
            return asked > 0
        except subprocess.TimeoutExpired:
            pass
        if not asked and stop.exists():
            asked = time.monotonic()
            if sys.platform == "win32":
                work.terminate()
            else:
                work.send_signal(signal.SIGINT)  # as Ctrl-C: finished photos are kept
        elif asked and time.monotonic() - asked > PATIENCE:
            work.kill()


if __name__ == "__main__":
    sys.exit(run_job(Path(sys.argv[1])))
