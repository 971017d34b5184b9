"""Pretrained networks that are known: their files, sizes, sums, addresses and licences."""

from __future__ import annotations

from dataclasses import dataclass

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.text import did_you_mean

ALIKED = "https://github.com/Shiaoming/ALIKED/raw/main/models/"
KORNIA = "https://huggingface.co/kornia/"
LIGHTGLUE = "https://github.com/cvg/LightGlue/releases/download/v0.1_arxiv/"
XFEAT = "https://github.com/verlab/accelerated_features/raw/main/weights/"
DISK = "https://raw.githubusercontent.com/cvlab-epfl/disk/master/"


@dataclass(frozen=True)
class WeightsFile:
    """One file: its official name, what others call the same file, bytes (0: not known), sha256 ("": not known)."""

    name: str
    size: int = 0
    sha256: str = ""
    addresses: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Every name under which the file is looked for, the official one first."""
        return (self.name, *self.aliases)


@dataclass(frozen=True)
class Weights:
    """The trained values of one network; any one of `files` holds them, the official one first."""

    name: str
    network: str
    what: str
    licence: str
    files: tuple[WeightsFile, ...]


def _aliked(name: str, what: str, size: int, sha256: str) -> Weights:
    file = f"{name}.pth"
    addresses = (f"{ALIKED}{file}", f"{KORNIA}aliked/resolve/main/{file}")
    return Weights(name, "ALIKED", what, "BSD-3-Clause", (WeightsFile(file, size, sha256, addresses),))


def _disk(name: str, what: str, size: int = 0, sha256: str = "") -> Weights:
    file = f"{name}-save.pth"
    addresses = (f"{DISK}{file}", f"{KORNIA}disk/resolve/main/{file}")
    return Weights(f"disk-{name}", "DISK", what, "Apache-2.0", (WeightsFile(file, size, sha256, addresses),))


def _lightglue(features: str, what: str, size: int, sha256: str) -> Weights:
    file = f"{features}_lightglue.pth"
    addresses = (f"{LIGHTGLUE}{file}", f"{KORNIA}lightglue/resolve/main/{file}")
    # what the authors' own program and kornia call it in torch's cache folder
    aliases = (f"{features}_lightglue_v0-1_arxiv.pth", f"{features}_lightglue_v0-1_arxiv-pth")
    held = WeightsFile(file, size, sha256, addresses, aliases)
    return Weights(f"{features}_lightglue", "LightGlue", what, "Apache-2.0", (held,))


# Sums: of the authors' own files, as several independent projects pin them; empty where there are not two of those.
REGISTRY: tuple[Weights, ...] = (
    _aliked(
        "aliked-t16",
        "the smallest, 64 numbers per keypoint",
        794_859,
        "56782336919db220144a884e710e2b6af13b3b8f8da15b915a239078ab471085",
    ),
    _aliked(
        "aliked-n16",
        "the usual one, 128 numbers per keypoint",
        2_738_091,
        "5be8704840ed662d9d8c561bf7279c222092674e7eb05fd0feab94899e9d82f2",
    ),
    _aliked(
        "aliked-n16rot",
        "the usual one, trained with turned images too",
        2_738_325,
        "ddf3abbf38e86f6a74540d214e1a9712c54b2d8551abc864542199f2347d7332",
    ),
    _aliked(
        "aliked-n32",
        "looks at 32 places for each keypoint instead of 16",
        3_946_667,
        "055283fd1624d3ab46a05c3b617b1a79a3f28d1f551737eef2d653e8c8232890",
    ),
    Weights(
        "xfeat",
        "XFeat",
        "small and quick, 64 numbers per keypoint",
        "Apache-2.0",
        (
            WeightsFile(
                "xfeat.pt",
                6_247_949,
                "0f5187fd7bedd26c7fe6acc9685444493a165a35ecc087b33c2db3627f3ea10b",
                (f"{XFEAT}xfeat.pt",),
            ),
            # the same values under the names that kornia gives them, batch normalisation folded in
            WeightsFile(
                "xfeat.safetensors", 2_652_416, "8da15061e7987e8ec6a96f5230dce4c9ffe2b89dc08bdccd4a4c8d5ad7bc9365"
            ),
        ),
    ),
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
    _disk(
        "depth",
        "trained with depth maps, 128 numbers per keypoint",
        4_375_832,
        "9c2ee4ded238892dfa51569941372601e35e4a74aa6f84ea80053d2ab1c07abe",
    ),
    _disk("epipolar", "trained with camera positions only, 128 numbers per keypoint"),
    Weights(
        "superpoint_v1",
        "SuperPoint",
        "Magic Leap's own, 256 numbers per keypoint",
        "Magic Leap: academic or non-profit, non-commercial research use only",
        (
            WeightsFile(
                "superpoint_v1.pth",
                5_206_086,
                "52b6708629640ca883673b5d5c097c4ddad37d8048b33f09c8ca0d69db12c40e",
                (
                    f"{LIGHTGLUE}superpoint_v1.pth",
                    "https://github.com/magicleap/SuperPointPretrainedNetwork/raw/master/superpoint_v1.pth",
                ),
            ),
        ),
    ),
    Weights(
        "superpoint_v6_from_tf",
        "SuperPoint",
        "trained anew under a free licence, 256 numbers per keypoint",
        "MIT",
        (
            WeightsFile(
                "superpoint_v6_from_tf.pth",
                addresses=("https://github.com/rpautrat/SuperPoint/raw/master/weights/superpoint_v6_from_tf.pth",),
            ),
        ),
    ),
    _lightglue(
        "superpoint",
        "for SuperPoint, 9 layers",
        0,
        "6ff7040d0a497fc6639337946d7538dae07428c18f77a067a0b5a960e7cc551a",
    ),
    _lightglue(
        "disk",
        "for DISK, 9 layers",
        47_631_405,
        "b5b21d47ea24f2c5e501aec9c91b9716e4c8c3429a4dc1e615c133c4c9378335",
    ),
    _lightglue(
        "aliked",
        "for ALIKED, 9 layers",
        47_632_827,
        "d975e965b105311a6143194852297dff4f02aea5cc2e10cecfed966ca0e22503",
    ),
    _lightglue(
        "sift",
        "for SIFT with size and angle, 9 layers",
        47_632_573,
        "5b52b8d9982d43532dc042606b346bb9594c9f5a4bd6f64362c63866287b4ac0",
    ),
)


def registry() -> tuple[Weights, ...]:
    """Every public network that is known."""
    return REGISTRY


def known_weights(name: str) -> Weights:
    """The entry of the registry called `name`; SnowmatchError where there is none."""
    for entry in registry():
        if entry.name == name:
            return entry
    known = [entry.name for entry in registry()]
    raise SnowmatchError(f"no public weights called {name!r}; there are: {', '.join(known)}{did_you_mean(name, known)}")


def file_names() -> set[str]:
    return {name for entry in registry() for file in entry.files for name in file.names}
