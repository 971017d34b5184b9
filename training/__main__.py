"""Train networks on a catalog with named animals. Commands: embedding, lightglue; each has its own --help.

python training embedding catalog/,every=2 --preset small --work w --out net.safetensors
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

COMMANDS = {
    "embedding": "a network that turns a photo into one vector",
    "lightglue": "a small LightGlue on one extractor's features",
}


def main() -> None:
    """Run one command. Print a SnowmatchError as one line."""
    sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))  # datasets.py and measure.py are there
    from snowmatch.core.errors import SnowmatchError

    command, arguments = (sys.argv[1] if len(sys.argv) > 1 else ""), sys.argv[2:]
    if command not in COMMANDS:
        print(__doc__)
        print("\n".join(f"  {name:<10} {what}" for name, what in COMMANDS.items()))
        sys.exit(0 if command in ("", "-h", "--help") else f"error: no command {command!r}")
    from measure import check_own_engine

    try:
        check_own_engine()
        importlib.import_module(f"{command}.command").main(arguments)
    except SnowmatchError as error:
        sys.exit(f"error: {error}")
    except ImportError as error:
        sys.exit(f"error: {error}: python -m pip install -e '.[bench-deep]'")


if __name__ == "__main__":
    main()
