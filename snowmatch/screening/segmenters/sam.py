"""Networks of the SAM family: the outline of what a box encloses.

Source: Kirillov et al., "Segment anything", ICCV 2023. The files are an encoder, which sees the photo, and a decoder,
which takes the box, as the authors and most of their followers export them.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.types import BBox
from snowmatch.models.onnx import open_onnx, run_onnx, run_onnx_inputs
from snowmatch.photos.chips import clip_bbox
from snowmatch.screening.segmenters._windows import on_photo, resized, window_around

SIDE = 1024  # of the square picture that the encoders see (px)
# Mean and standard deviation of the red, green and blue values, 0 to 255
MEAN = np.array([123.675, 116.28, 103.53], np.float32)
DEVIATION = np.array([58.395, 57.12, 57.375], np.float32)
CORNERS = (2, 3)  # the labels of the first and of the last corner of a box


@dataclass(frozen=True)
class Sam:
    """Outline of what a box encloses, by an encoder and a decoder of the SAM family; you bring both ONNX files.

    encoder, decoder: the paths of the two files. An encoder takes (1, 3, 1024, 1024) normalised, or (H, W, 3) as it is.
    """

    NEEDS: ClassVar[tuple[str, ...]] = ("onnxruntime",)
    REVISION: ClassVar[int] = 1
    BOXED: ClassVar[bool] = True

    encoder: str = ""
    decoder: str = ""

    def check(self) -> None:
        """Raise SnowmatchError if one of the two files is missing or is not a network."""
        for name in ("encoder", "decoder"):
            path = getattr(self, name)
            if not path:
                raise SnowmatchError(f"sam needs the ONNX file of its {name}: set {name} to the path of the file")
            if not os.path.isfile(path):
                raise SnowmatchError(f"{path} does not exist, expected the ONNX file of the {name}: correct {name}")
            open_onnx(Path(path))

    def segment(self, photo: np.ndarray, bbox: BBox | None) -> np.ndarray | None:
        """Return the confidence that each pixel is the animal, (H, W) float32, 0 to 1, and 0 outside the box.

        photo: (H, W, 3) uint8 RGB. None if the confidence is never above 0.5. Raises ValueError without a box, and
        SnowmatchError if a file is missing or is no network of this family.
        """
        if bbox is None:
            raise ValueError("bbox is None, expected the box of the animal: sam needs it")
        self.check()
        height, width = photo.shape[:2]
        factor = SIDE / max(height, width)
        size = max(1, int(width * factor + 0.5)), max(1, int(height * factor + 0.5))
        encoded = self._encode(resized(photo, size))
        x, y, w, h = clip_bbox(bbox, (width, height))
        corners = np.array([[x, y], [x + w, y + h]], np.float32) * (size[0] / width, size[1] / height)
        values = self._decode(encoded, corners.astype(np.float32), size)
        return on_photo(values, window_around(None, photo.shape, 0), photo.shape, bbox)

    def _encode(self, picture: np.ndarray) -> np.ndarray:
        """Return what the encoder sees in a picture (h, w, 3) uint8 RGB."""
        network = open_onnx(Path(self.encoder))
        if len(network.get_inputs()[0].shape) == 3:  # these encoders normalise and fill up the picture themselves
            return run_onnx(network, picture.astype(np.float32))[0]
        square = np.zeros((SIDE, SIDE, 3), np.float32)
        square[: picture.shape[0], : picture.shape[1]] = (picture - MEAN) / DEVIATION
        return run_onnx(network, np.ascontiguousarray(square.transpose(2, 0, 1)[None]))[0]

    def _decode(self, encoded: np.ndarray, corners: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """Return the confidence (h, w) float32 of the best outline in a box.

        corners: (2, 2) float32, x and y in the picture. size: (width, height) of the picture.
        """
        found = run_onnx_inputs(
            open_onnx(Path(self.decoder)),
            {
                "image_embeddings": encoded,
                "point_coords": corners[None],
                "point_labels": np.array([CORNERS], np.float32),
                "mask_input": np.zeros((1, 1, 256, 256), np.float32),
                "has_mask_input": np.zeros(1, np.float32),
                "orig_im_size": np.array(size[::-1], np.float32),
            },
        )
        masks, quality = found.get("masks"), found.get("iou_predictions")
        if masks is None or masks.ndim != 4 or quality is None or quality.size != masks.shape[1]:
            given = ", ".join(f"{name} {list(values.shape)}" for name, values in found.items())
            raise SnowmatchError(
                f"{self.decoder} gives {given}, expected masks [1, N, height, width] and iou_predictions [1, N]: "
                "use a decoder of the SAM family"
            )
        best = masks[0, int(quality.argmax())].astype(np.float32)
        if not np.isfinite(best).all():
            raise SnowmatchError(f"{self.decoder} gives values that are not finite: use a decoder of the SAM family")
        confidence: np.ndarray = 0.5 * (1 + np.tanh(0.5 * best))  # the logistic function, without overflow
        return confidence


PLUGIN = Sam
