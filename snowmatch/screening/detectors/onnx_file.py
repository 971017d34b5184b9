"""Any detector in an ONNX file that has a settings file. The official MegaDetector exports are known by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from snowmatch.core.types import Detection
from snowmatch.models.cache import unchecked_sum, whole_path
from snowmatch.models.onnx import onnx_sum, run_onnx
from snowmatch.models.registry import Weights, WeightsFile
from snowmatch.screening.detectors._decode import in_photo, prepared, read_boxes, suppressed
from snowmatch.screening.detectors._description import Description
from snowmatch.screening.detectors._network import find_network

RECORD = "https://zenodo.org/records/22018132"
FILES = f"{RECORD}/files/"
LABELS = ("animal", "person", "vehicle")
# Used for a network without its manifest.toml; the manifest of the official archive comes first.
KNOWN = {
    "MDV6-mit-yolov9-c": Description(LABELS, (640, 640), "rows", licence="MIT", source=RECORD),
    "MDV6-apa-rtdetr-c": Description(
        LABELS, (640, 640), "rows_centre", resize="stretch", licence="Apache-2.0", source=RECORD
    ),
}
WEIGHTS = (
    Weights(
        "MDV6-mit-yolov9-c",
        "MegaDetector 6",
        "animals, persons and vehicles (YOLOv9)",
        "MIT",
        (
            WeightsFile(
                "camera_trap__detector__MDV6-mit-yolov9-c.zip",
                0,
                "da4aa4505f8350dcb2cf2001bc329232e1f78188dc1614141a523ff9ef090655",
                (f"{FILES}camera_trap__detector__MDV6-mit-yolov9-c.zip",),
            ),
            WeightsFile("MDV6-mit-yolov9-c.onnx"),
        ),
    ),
    Weights(
        "MDV6-apa-rtdetr-c",
        "MegaDetector 6",
        "animals, persons and vehicles (RT-DETR)",
        "Apache-2.0",
        (
            WeightsFile(
                "camera_trap__detector__MDV6-apa-rtdetr-c.zip",
                addresses=(f"{FILES}camera_trap__detector__MDV6-apa-rtdetr-c.zip",),
            ),
            WeightsFile("MDV6-apa-rtdetr-c.onnx"),
        ),
    ),
)


@dataclass(frozen=True)
class OnnxFile:
    """A detector in an ONNX file: MegaDetector 6 by name, or your own with a settings file.

    model: the name of weights, or the path of an ONNX file or of a zip archive with one. threshold: lowest confidence,
    0 to 1; 0: that of the settings file (MegaDetector: 0.2).
    """

    NEEDS: ClassVar[tuple[str, ...]] = ("onnxruntime",)
    REVISION: ClassVar[int] = 1

    model: str = "MDV6-mit-yolov9-c"
    threshold: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.threshold <= 1:
            raise ValueError(f"threshold is {self.threshold}, expected a number from 0 to 1")

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "model": whole_path(self.model)}

    def check(self) -> None:
        """Raise SnowmatchError if the network or its description is missing, or if they do not fit each other."""
        find_network(self.model, KNOWN).open()

    def description(self) -> Description:
        """Return the description of the network: its labels, its licence, where it is from, how it is fed.

        Raises SnowmatchError if the network or its description is missing.
        """
        return find_network(self.model, KNOWN).description

    def content(self) -> str:
        """Return a text that changes with the files of the network; "" for a file that the registry has a sha256 of.

        Raises SnowmatchError as `description` does, but not if a network that is known by name is missing ("").
        """
        if self.model in KNOWN and not unchecked_sum(self.model):
            return ""
        found = find_network(self.model, KNOWN)
        return f"{onnx_sum(found.path, found.member)} {found.description}"

    def detect(self, photo: np.ndarray) -> tuple[Detection, ...]:
        """Return the objects in a photo, by descending confidence. photo: (H, W, 3) uint8 RGB, upright.

        Raises SnowmatchError as `check` does, or if the outputs of the network are not those of its description.
        """
        found = find_network(self.model, KNOWN)
        network, described = found.open(), found.description
        outputs = run_onnx(network, prepared(photo, described))
        names = [output.name for output in network.get_outputs()]
        boxes = read_boxes(outputs, names, described, self.threshold or described.threshold, found.where)
        if not described.nms:
            boxes = suppressed(boxes, described.overlap)
        return in_photo(boxes, (photo.shape[1], photo.shape[0]), described)


PLUGIN = OnnxFile
