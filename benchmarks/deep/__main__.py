"""Compare deep models with snowmatch. Commands: compare, explain, left_out, shortlist; each has its own --help.

python benchmarks/deep explain catalog/,every=2,from=1 --network net.safetensors --work w --out page
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

COMMANDS = {
    "compare": "one table of all methods, on animals that no method was trained with",
    "explain": "Grad-CAM and snowmatch's matched spots, for right and wrong pairs",
    "left_out": "networks from the weights of ImageNet, trained and compared on half of the real animals",
    "shortlist": "embeddings choose the candidates for local features; both scores are fused",
}


def main() -> None:
    """Run one command. Print a SnowmatchError as one line."""
    # Python puts this folder first. But the modules import `deep...`, and the networks are in training/.
    benchmarks = Path(__file__).parents[1]
    sys.path[:1] = [str(benchmarks), str(benchmarks.parent / "training")]
    from snowmatch.core.errors import SnowmatchError

    command, arguments = (sys.argv[1] if len(sys.argv) > 1 else ""), sys.argv[2:]
    if command not in COMMANDS:
        print(__doc__)
        print("\n".join(f"  {name:<10} {what}" for name, what in COMMANDS.items()))
        sys.exit(0 if command in ("", "-h", "--help") else f"error: no command {command!r}")
    from measure import check_own_engine

    try:
        check_own_engine()
        importlib.import_module(f"deep.{command}").main(arguments)
    except SnowmatchError as error:
        sys.exit(f"error: {error}")
    except ImportError as error:
        sys.exit(f"error: {error}: python -m pip install -e '.[bench-deep]'")


if __name__ == "__main__":
    main()
