"""The network's input: an annotation's box, resized, as colours, edges or both, with or without background."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from tqdm import tqdm

from embedding.crops import crop_and_mask
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.files import unreadable
from snowmatch.core.plugins import settings_key
from snowmatch.core.text import did_you_mean
from snowmatch.core.types import Annotation

CHANNELS = {"rgb": 3, "rgb+edges": 4, "edges": 1}
BACKGROUNDS = ("kept", "removed")
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, as pretrained weights expect
EDGE_MEAN, EDGE_DEVIATION = 0.456, 0.225  # those of green, as in Colomer Matachana 2024
BLUR = (5, 5)  # this and the two thresholds of Canny: Colomer Matachana 2024
CANNY = (55, 160)
TURN = 10.0  # degrees; augmentation as in Colomer Matachana 2024
CROP = 0.10  # largest share of a side that is cut off
JITTER = {"brightness": 0.2, "contrast": 0.2, "saturation": 0.2, "hue": 0.02}  # the published text has no strengths


@dataclass(frozen=True)
class Shape:
    """The form of the input: width and height (px), `channels` (a key of CHANNELS), `background` (of BACKGROUNDS)."""

    width: int = 512
    height: int = 256
    channels: str = "rgb"
    background: str = "kept"

    def __post_init__(self) -> None:
        for name, choices in (("channels", tuple(CHANNELS)), ("background", BACKGROUNDS)):
            value = getattr(self, name)
            if value not in choices:
                raise SnowmatchError(
                    f"{name} is {value!r}, expected one of {', '.join(choices)}{did_you_mean(value, choices)}"
                )
        for name in ("width", "height"):
            if getattr(self, name) < 32:
                raise SnowmatchError(f"{name} is {getattr(self, name)}, expected at least 32: networks halve it often")

    @property
    def depth(self) -> int:
        """Return the number of channels."""
        return CHANNELS[self.channels]


def read_input(folder: Path, annotation: Annotation, shape: Shape) -> np.ndarray:
    """Return the annotation's box, resized, as (height, width, depth) uint8. A removed background is black.

    An annotation without a mask keeps its background. Edges: Canny of the grey values, equalised and blurred. They are
    found before the background is removed, so that the border of the mask is not an edge.
    """
    pixels, mask = crop_and_mask(folder, annotation)
    size = (shape.width, shape.height)
    pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    layers = [pixels] if shape.channels != "edges" else []
    if shape.channels != "rgb":
        grey = cv2.GaussianBlur(cv2.equalizeHist(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)), BLUR, 0)
        layers.append(cv2.Canny(grey, *CANNY)[:, :, None])
    shown = np.concatenate(layers, axis=2)
    if shape.background == "removed" and mask is not None:
        shown[cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) == 0] = 0
    return shown


def check_masks(annotations: Sequence[Annotation], shape: Shape) -> int:
    """Return how many annotations keep their background because they have no mask. If all do, raise SnowmatchError."""
    if shape.background == "kept":
        return 0
    without = sum(not a.mask for a in annotations)
    if without == len(annotations):
        raise SnowmatchError(
            "background is 'removed', but no annotation has a mask: add masks to the catalog, or background=kept"
        )
    return without


def read_inputs(folder: Path, annotations: Sequence[Annotation], shape: Shape, work: Path) -> np.ndarray:
    """Return the inputs of all annotations, (N, height, width, depth) uint8, as a file in `work` mapped to memory.

    The file is made once. Its name depends on its content: annotations, and sizes and dates of photos and masks. It is
    not loaded as a whole, because a hundred thousand photos would not fit into memory.
    """
    described = {
        "revision": 1,
        "shape": asdict(shape),
        "photos": [[a.path, a.bbox, a.mask, *state_of(folder, a.path), *state_of(folder, a.mask)] for a in annotations],
    }
    path = work / "inputs" / f"{settings_key(described)}.npy"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{path.stem}-{os.getpid()}.part.npy")
        size = (len(annotations), shape.height, shape.width, shape.depth)
        held = np.lib.format.open_memmap(part, mode="w+", dtype=np.uint8, shape=size)
        for row, annotation in enumerate(tqdm(annotations, desc="photos", unit="photo")):
            held[row] = read_input(folder, annotation, shape)
        held.flush()
        del held  # Windows cannot rename a file that is mapped to memory
        os.replace(part, path)
        path.with_suffix(".json").write_text(json.dumps(described), encoding="utf-8")
    return np.load(path, mmap_mode="r")


def state_of(folder: Path, name: str) -> tuple[int, int] | tuple[()]:
    """Return size and date of a photo or a mask; an empty tuple if `name` is empty."""
    if not name:
        return ()
    try:
        found = (folder / name).stat()
    except OSError as error:
        raise unreadable(folder / name, error) from error
    return found.st_size, found.st_mtime_ns


def as_tensor(pixels: np.ndarray, shape: Shape, device: torch.device | str = "cpu") -> torch.Tensor:
    """Convert (B, height, width, depth) uint8 to (B, depth, height, width) float32 from 0 to 1, on `device`.

    The bytes go to the device: a quarter of the values, and a graphics card converts them faster.
    """
    values = torch.from_numpy(np.array(pixels)).to(device).permute(0, 3, 1, 2).float().contiguous()
    if values.shape[1:] != (shape.depth, shape.height, shape.width):
        raise ValueError(f"pixels are {pixels.shape}, expected (B, {shape.height}, {shape.width}, {shape.depth})")
    return values / 255


def normalised(
    values: torch.Tensor, shape: Shape, mean: Sequence[float] = MEAN, deviation: Sequence[float] = DEVIATION
) -> torch.Tensor:
    """Normalise (B, depth, height, width), 0 to 1: subtract the mean, divide by the deviation, per channel.

    mean, deviation: of the three colours.
    """
    mean = [*(mean if shape.channels != "edges" else ()), *((EDGE_MEAN,) if shape.channels != "rgb" else ())]
    deviation = [
        *(deviation if shape.channels != "edges" else ()),
        *((EDGE_DEVIATION,) if shape.channels != "rgb" else ()),
    ]
    return (values - values.new_tensor(mean)[:, None, None]) / values.new_tensor(deviation)[:, None, None]


class Augmentation:
    """Random changes of inputs: turn up to 10 degrees, cut up to a tenth of each side, change colours (not edges)."""

    def __init__(self, shape: Shape) -> None:
        """Prepare kornia's transforms. They use torch's random numbers."""
        import kornia.augmentation as augment

        self.shape = shape
        size = (shape.height, shape.width)
        ratio = shape.width / shape.height
        self.place = torch.nn.Sequential(
            augment.RandomRotation(degrees=TURN, p=1.0),
            augment.RandomResizedCrop(size, scale=((1 - CROP) ** 2, 1.0), ratio=(ratio, ratio), p=1.0),
        )
        self.colour = augment.ColorJiggle(**JITTER, p=1.0)

    def __call__(self, values: torch.Tensor) -> torch.Tensor:
        """Change each photo of (B, depth, height, width), 0 to 1, in its own random way."""
        moved = self.place(values)
        if self.shape.channels == "edges":
            return moved
        coloured = self.colour(moved[:, :3])
        if self.shape.background == "removed":  # keep it black: a change of brightness would make it grey
            coloured = coloured * (moved[:, :3].amax(dim=1, keepdim=True) > 0)
        return torch.cat([coloured, moved[:, 3:]], dim=1)
