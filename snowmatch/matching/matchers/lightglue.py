"""LightGlue: a network that compares all keypoints of two photos at once, through kornia.

Source: Lindenberger et al., "LightGlue: Local feature matching at light speed", ICCV 2023; Potje et al., CVPR 2024
(LighterGlue, the same for XFeat).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.plugins import Pair
from snowmatch.core.types import Subject
from snowmatch.matching.matchers._pairs import check_pairing, no_matches, unit_rows
from snowmatch.models.cache import find_weights, weights_are_here, weights_sum, whole_path
from snowmatch.models.device import check_device
from snowmatch.models.registry import KORNIA, LIGHTGLUE, Weights, WeightsFile

if TYPE_CHECKING:
    import torch
    from kornia.feature import LightGlue

XFEAT = "https://github.com/verlab/accelerated_features/raw/main/weights/"


def _weights(features: str, what: str, size: int, sha256: str) -> Weights:
    file = f"{features}_lightglue.pth"
    addresses = (f"{LIGHTGLUE}{file}", f"{KORNIA}lightglue/resolve/main/{file}")
    # the names that the authors' program and kornia use in torch's cache folder
    aliases = (f"{features}_lightglue_v0-1_arxiv.pth", f"{features}_lightglue_v0-1_arxiv-pth")
    held = WeightsFile(file, size, sha256, addresses, aliases)
    return Weights(f"{features}_lightglue", "LightGlue", what, "Apache-2.0", (held,))


WEIGHTS = (
    Weights(
        "xfeat-lighterglue",
        "LightGlue",
        "for XFeat, 6 layers",
        "Apache-2.0",
        (
            WeightsFile(
                "xfeat-lighterglue.pt",
                0,
                "766102df37f11189efe5b0811d1f47c72b22629b79bfabfcfff9d2a2f84654b8",
                (f"{XFEAT}xfeat-lighterglue.pt", f"{KORNIA}lightglue/resolve/main/xfeat-lighterglue.pt"),
            ),
        ),
    ),
    Weights(
        "xfeat-lighterglue-L3",
        "LightGlue",
        "for XFeat, the first 3 of the 6 layers",
        "Apache-2.0",
        (
            WeightsFile(
                "xfeat-lighterglue-L3.safetensors",
                2_273_456,
                "9eb415ebfb2f31d4b3eb073a678d19c164ad01304c0873d952c25d6a6b180aa7",
            ),
        ),
    ),
    _weights(
        "superpoint",
        "for SuperPoint, 9 layers",
        0,
        "6ff7040d0a497fc6639337946d7538dae07428c18f77a067a0b5a960e7cc551a",
    ),
    _weights(
        "disk",
        "for DISK, 9 layers",
        47_631_405,
        "b5b21d47ea24f2c5e501aec9c91b9716e4c8c3429a4dc1e615c133c4c9378335",
    ),
    _weights(
        "aliked",
        "for ALIKED, 9 layers",
        47_632_827,
        "d975e965b105311a6143194852297dff4f02aea5cc2e10cecfed966ca0e22503",
    ),
    _weights(
        "sift",
        "for SIFT with size and angle, 9 layers",
        47_632_573,
        "5b52b8d9982d43532dc042606b346bb9594c9f5a4bd6f64362c63866287b4ac0",
    ),
)
OFFICIAL_SIDE = 1024  # longest side (px) to which the authors resize photos for the official networks
# Sizes for networks that were trained with snowmatch: log2 of the diameter in 64ths of the box's longest side
SIZE_UNIT = 64.0
LIGHTER = {"input_dim": 64, "descriptor_dim": 96, "num_heads": 1}


@dataclass(frozen=True)
class Trained:
    """One trained network: its file, the arguments to build it in kornia, and the extractor settings it was trained
    with.

    relative_sizes: its input sizes are as in SIZE_UNIT; otherwise they are px at OFFICIAL_SIDE. stops_early: it was
    trained to report when it is certain.
    """

    weights: str
    build: Mapping[str, Any]
    extractor: str
    needs: Mapping[str, Any]
    relative_sizes: bool = False
    stops_early: bool = True


OFFICIAL = (
    Trained("superpoint_lightglue", {"input_dim": 256}, "superpoint", {"model": "v1"}),
    Trained("disk_lightglue", {"input_dim": 128}, "disk", {"model": "depth"}),
    Trained("aliked_lightglue", {"input_dim": 128}, "aliked", {"model": "n16"}),
    Trained("sift_lightglue", {"input_dim": 128, "add_scale_ori": True}, "sift", {"upright": False}),
    Trained("xfeat-lighterglue", {**LIGHTER, "n_layers": 6}, "xfeat", {}),
    Trained("xfeat-lighterglue-L3", {**LIGHTER, "n_layers": 3}, "xfeat", {}, stops_early=False),
)


@dataclass(frozen=True)
class Lightglue:
    """A network decides which keypoints of two photos belong together, for the best candidates of LNBNN.

    candidates: number of annotations, those with the most LNBNN votes, that are compared in pairs; 0 compares all
    (small galleries).
    keypoints: number of keypoints of each photo, the strongest.
    certainty: lowest certainty of a match, 0 to 1 (authors: 0.1).
    weights: `auto` (trained for the extractor), a name that `snowmatch weights list` shows, or a file.
    fast: stop early and drop keypoints if the network is certain; this is faster, and the answer may differ a little.
    voter: the matcher whose votes select the candidates.
    foreground: as of lnbnn.
    device: `auto` (CUDA if it is available), `cpu`, `cuda` or `mps`.
    """

    REVISION: ClassVar[int] = 1
    PAIRWISE: ClassVar[Literal[True]] = True
    NEEDS: ClassVar[tuple[str, ...]] = ("torch", "kornia.feature:LightGlue", "safetensors")

    candidates: int = 30
    keypoints: int = 1024
    certainty: float = 0.1
    weights: str = "auto"
    fast: bool = False
    voter: str = "lnbnn"
    foreground: str = "auto"
    device: str = field(default="auto", compare=False)

    def __post_init__(self) -> None:
        check_pairing(self.candidates, self.keypoints, self.foreground)
        check_device(self.device)
        if not 0 <= self.certainty < 1:
            raise ValueError(f"certainty is {self.certainty}, expected 0 to 1")

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "weights": whole_path(self.weights)}

    def check(self, extractor: Mapping[str, Any]) -> str:
        """Return the name of the weights for these features and the start of their checksum. Raises SnowmatchError
        if they or the device are missing.
        """
        self._network(extractor)
        _, path = find_trained(self.weights, extractor)
        return f"{path.name} {weights_sum(path)[:12]}"

    def pairs(
        self, one: Subject, others: Iterable[tuple[int, Subject]], extractor: Mapping[str, Any]
    ) -> Iterator[Pair]:
        """Yield the matches of `one` with each of `others`. The weight is the certainty of the network, 0 to 1."""
        from snowmatch.models.torch_io import repeatable

        trained, network = self._network(extractor)
        device = next(network.parameters()).device
        image0 = side(one, trained, device)
        for number, other in others:
            if len(one) == 0 or len(other) == 0:
                yield no_matches(number)
                continue
            with repeatable():
                found = network({"image0": image0, "image1": side(other, trained, device)})
                matches, scores = found["matches"][0].cpu().numpy(), found["scores"][0].cpu().numpy()
            yield Pair(number, matches[:, 0], matches[:, 1], scores.astype(np.float32))

    def _network(self, extractor: Mapping[str, Any]) -> tuple[Trained, LightGlue]:
        from snowmatch.models.torch_io import pick_device

        trained, path = find_trained(self.weights, extractor)
        if self.fast and not trained.stops_early:
            raise SnowmatchError(f"{trained.weights} did not learn when to stop early: do not ask it to be fast")
        build = json.dumps(dict(trained.build))
        return trained, _load(build, path, weights_sum(path), self.certainty, self.fast, pick_device(self.device))


def side(subject: Subject, trained: Trained, device: torch.device) -> dict[str, torch.Tensor]:
    """Return one photo as the input of kornia's LightGlue: a batch of one, with the animal's box as the image."""
    import torch

    x, y, width, height = subject.box
    features = subject.features
    # a keypoint of the first half pixel lies outside the frame that kornia accepts
    keypoints = np.clip(features.keypoints - np.array([x, y], np.float32), 0, (width, height))
    arrays = {"keypoints": keypoints, "descriptors": unit_rows(features.descriptors)}
    if trained.build.get("add_scale_ori"):
        longest = max(width, height)
        if trained.relative_sizes:
            sizes = np.log2(SIZE_UNIT * features.scales / longest)
        else:  # it was trained with COLMAP's scale, the blur, which is half of OpenCV's diameter
            sizes = features.scales / 2 * (OFFICIAL_SIDE / longest)
        arrays |= {"scales": sizes, "oris": features.oris}
    # copied, because the alignment of numpy's array changes the last bits of torch's results
    tensors = {name: torch.tensor(np.asarray(a, np.float32))[None] for name, a in arrays.items()}
    tensors["image_size"] = torch.tensor([[width, height]], dtype=torch.float32)
    return {name: tensor.to(device) for name, tensor in tensors.items()}


def find_trained(weights: str, extractor: Mapping[str, Any]) -> tuple[Trained, Path]:
    """Return the network for an extractor's features, and its file. Raises SnowmatchError if no network fits."""
    name = extractor["name"]
    known = [t for t in OFFICIAL if t.weights == weights or (weights == "auto" and t.extractor == name)]
    if weights == "auto" and not known:
        names = sorted({t.extractor for t in OFFICIAL})
        raise SnowmatchError(
            f"no LightGlue was trained for {name!r}, only for {', '.join(names)}: take one of these extractors, the "
            "matcher mutual or lnbnn, or the file of one that you trained as its setting weights"
        )
    if not known:
        path = find_weights(weights)
        return _own(path, extractor), path
    for t in known:
        _check_fit(t, extractor)
    chosen = next((t for t in known if weights_are_here(t.weights)), known[0])
    return chosen, find_weights(chosen.weights)


def _own(path: Path, extractor: Mapping[str, Any]) -> Trained:
    """Return a network that `python training lightglue` trained; its metadata has the settings."""
    from snowmatch.models.torch_io import read_metadata

    try:
        told = json.loads(read_metadata(path)["snowmatch"])
        build = {key: told[key] for key in ("input_dim", "descriptor_dim", "num_heads", "n_layers", "add_scale_ori")}
        name = told["extractor"]["name"]
        # texts and switches change the descriptors, numbers change how many features there are
        needs = {k: v for k, v in told["extractor"].items() if isinstance(v, str | bool) and k != "name"}
        trained = Trained(path.name, build, name, needs, relative_sizes=True, stops_early=False)
    except (KeyError, TypeError, ValueError) as error:
        raise SnowmatchError(
            f"{path} does not say what it was trained for (metadata 'snowmatch' in a safetensors file): expected a "
            "file that `python training lightglue` wrote"
        ) from error
    _check_fit(trained, extractor)
    return trained


def _check_fit(trained: Trained, extractor: Mapping[str, Any]) -> None:
    if trained.extractor != extractor["name"]:
        raise SnowmatchError(
            f"{trained.weights} was trained for {trained.extractor!r}, not for {extractor['name']!r}: "
            f"use the extractor {trained.extractor}, or other weights"
        )
    for key, value in trained.needs.items():
        if extractor.get(key) != value:
            text = str(value).lower() if isinstance(value, bool) else value
            raise SnowmatchError(
                f"{trained.weights} was trained for {trained.extractor} with {key}={text}, the features were made with "
                f"{key}={extractor.get(key)}: index with {key}={text}",
                "index-with",
                extractor=trained.extractor,
                setting=f"{key}={text}",
            )


@lru_cache(maxsize=4)
def _load(build: str, path: Path, content: str, certainty: float, fast: bool, device: torch.device) -> LightGlue:
    """Return the network, ready to use. content: the file's checksum, so that a new file with an old name is loaded."""
    from kornia.feature import LightGlue

    from snowmatch.models.torch_io import fill, lightglue_names, read_tensors

    # the authors' values for stopping early and for dropping keypoints; -1: neither
    depth, width = (0.95, 0.99) if fast else (-1, -1)
    try:
        described: dict[str, Any] = {"features": None, **json.loads(build)}  # None: kornia loads no weights
        network = LightGlue(
            **described,
            filter_threshold=certainty,
            depth_confidence=depth,
            width_confidence=width,
            flash=False,  # half precision on a GPU
        )
    except Exception as error:  # values from a file that kornia or torch refuse
        raise SnowmatchError(f"{path} describes a network that cannot be built ({build}): train it again") from error
    return fill(network, lightglue_names(read_tensors(path)), path, optional=("confidence_thresholds",)).to(device)


PLUGIN = Lightglue
