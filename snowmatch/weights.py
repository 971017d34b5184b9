"""The files of pretrained networks: which there are, where they are on this machine, and how they come there.

Nothing here runs a network. `download_weights` is the only place of the program that uses the internet, and only
`snowmatch weights download` calls it.
"""

from __future__ import annotations

import functools
import hashlib
import http.client
import json
import os
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import platformdirs
from filelock import FileLock, Timeout

from snowmatch import __version__
from snowmatch.errors import SnowmatchError
from snowmatch.plugins import did_you_mean
from snowmatch.records import file_sha256, replace_file

Progress = Callable[[int, int], None]  # bytes done, bytes in all

VARIABLE = "SNOWMATCH_WEIGHTS"
OWN_KEY = "snowmatch"  # in the metadata of a safetensors file: a network trained with this program
HEADER_BYTES = 100_000_000  # the longest header that the safetensors format allows
HEAD = 9  # first bytes by which a file of weights is told from others
PIECE = 1 << 16  # bytes read at once: small, so that a slow line shows progress
TIMEOUT = 30.0  # seconds without a byte

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


@dataclass(frozen=True)
class Held:
    """What this machine has of one network: the file in use (None without), its bytes, and what is wrong with it.

    `checked` says whether its sum is known and was found right.
    """

    weights: Weights
    path: Path | None = None
    size: int = 0
    checked: bool = False
    problem: str = ""


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


def weights_folder() -> Path:
    """The folder of this user in which weights are kept; it may not be there yet."""
    return platformdirs.user_cache_path("snowmatch", appauthor=False) / "weights"


def given_folder() -> Path | None:
    """The folder that $SNOWMATCH_WEIGHTS names, only ever read; None if unset, SnowmatchError where it is no folder."""
    given = os.environ.get(VARIABLE)
    if not given:
        return None
    if not os.path.isdir(given):
        raise SnowmatchError(f"${VARIABLE} is {given!r}, expected a folder of weights: correct or unset it")
    return Path(given)


def find_weights(name: str) -> Path:
    """The file of the weights called `name`: of the registry, trained by the user, or the path of a file.

    SnowmatchError where there is none, or its content is not what it should be. Never uses the network.
    """
    for entry in REGISTRY:
        if entry.name == name:
            held = _held(entry)
            if held.path is None:
                raise SnowmatchError(_missing(entry))
            if held.problem:
                raise SnowmatchError(held.problem)
            return held.path
    own = _own_files()
    if (stem := name.removesuffix(".safetensors")) in own:
        return own[stem]
    if os.path.isfile(name):
        return Path(name)
    known = [entry.name for entry in REGISTRY] + list(own)
    raise SnowmatchError(
        f"no weights and no file called {name!r}; the weights are: {', '.join(known)}{did_you_mean(name, known)}"
    )


def weights_are_here(name: str) -> bool:
    """Whether a file of the registry's entry `name` is on this machine, be it right or wrong."""
    return _held(known_weights(name)).path is not None


def weights_sum(path: Path) -> str:
    """The sha256 of a file, read once per process as long as it looks the same."""
    status = path.stat()
    return _content_of(path, status.st_size, status.st_mtime_ns)


def held_weights() -> list[Held]:
    """Every network of the registry with what this machine has of it, then the networks that the user trained."""
    own = [
        Held(Weights(name, "LightGlue", "your own", "yours", (WeightsFile(path.name),)), path, path.stat().st_size)
        for name, path in _own_files().items()
    ]
    return [_held(entry) for entry in REGISTRY] + own


def known_weights(name: str) -> Weights:
    """The entry of the registry called `name`; SnowmatchError where there is none."""
    for entry in REGISTRY:
        if entry.name == name:
            return entry
    known = [entry.name for entry in REGISTRY]
    raise SnowmatchError(f"no public weights called {name!r}; there are: {', '.join(known)}{did_you_mean(name, known)}")


def add_weights(path: Path, progress: Progress | None = None) -> str:
    """Copy a file of weights into the user's folder under its official name, and say what it became.

    A file is known by its content, else by its name, else by metadata that say it was trained with this program;
    SnowmatchError where it is none of these, or damaged.
    """
    path = Path(path)
    size = _size(path)
    content = weights_sum(path)
    name, file_name = _recognise(path, content)
    target = weights_folder() / file_name
    if os.path.isfile(target) and weights_sum(target) == content:
        return f"{name} is here already: {target}"

    def failed(error: Exception) -> SnowmatchError:
        return SnowmatchError(f"{path} cannot be read: {_reason(error)}")

    with open(path, "rb") as file, _writing():

        def write(out: BinaryIO) -> None:
            if _copy(_Source(file, failed), out, size, progress).sha256 != content:
                raise SnowmatchError(f"{path} is being written: add it again when it is complete")

        _keep(target, write)
    return f"{path} is {name}, now in {target}"


def download_weights(name: str, progress: Progress | None = None) -> str:
    """Fetch weights from their official addresses, tried in order, into the user's folder, and say where they are.

    SnowmatchError where no address gives the right file; nothing is left behind then. Files that are here already are
    not fetched.
    """
    entry = known_weights(name)
    held = _held(entry)
    if held.path is not None and not held.problem:
        return f"{name} is here already: {held.path}"
    if held.path is not None and held.path.parent != weights_folder():
        raise SnowmatchError(held.problem)  # it is found first, so a new file would not be used
    file = next((f for f in entry.files if f.addresses), None)
    if file is None:
        raise SnowmatchError(
            f"{name} has no official address: get {entry.files[0].name} by other means, "
            "then run snowmatch weights add FILE"
        )
    target = weights_folder() / file.name
    failed = []
    with _writing():
        for address in file.addresses:
            try:
                _fetch(address, file, target, progress)
            except _UnavailableError as error:
                failed.append(f"{address}: {error}")
            else:
                return f"{name} is now in {target}, from {address}"
    raise SnowmatchError(
        f"cannot download {file.name} ({'; '.join(failed)}): try again later, "
        "or get it on another machine and run snowmatch weights add FILE"
    )


class _UnavailableError(Exception):
    """Why one address did not give the file."""


def _fetch(address: str, file: WeightsFile, target: Path, progress: Progress | None) -> None:
    try:
        request = urllib.request.Request(address, headers={"User-Agent": f"snowmatch/{__version__}"})
        response = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()
        raise _UnavailableError(f"HTTP {error.code} {_reason(error)}") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _unavailable(error) from error
    with response:
        if response.headers.get_content_type() == "text/html":
            raise _UnavailableError("a web page instead of the file")
        announced = response.length or 0

        def write(out: BinaryIO) -> None:
            copied = _copy(_Source(response, _unavailable), out, announced or file.size, progress)
            if copied.size < announced:
                raise _UnavailableError(f"the connection ended after {copied.size} of {announced} bytes")
            if file.size and copied.size != file.size:
                raise _UnavailableError(f"{copied.size} bytes, expected {file.size}")
            if file.sha256 and copied.sha256 != file.sha256:
                raise _UnavailableError(f"sha256 {copied.sha256[:12]}…, expected {file.sha256[:12]}…")
            if problem := _no_weights(copied.head, file.name):
                raise _UnavailableError(problem)

        _keep(target, write)


def _unavailable(error: Exception) -> _UnavailableError:
    return _UnavailableError(_reason(error))


def _reason(error: Exception) -> str:
    inner = getattr(error, "reason", error)  # urllib wraps what the system said
    text = getattr(inner, "strerror", None) or str(inner) or type(inner).__name__
    return " ".join(str(text).split())


class _Source:
    """What is copied from; `failed` makes its failures into others than those of the disk that is written."""

    def __init__(self, file: Any, failed: Callable[[Exception], Exception]) -> None:
        self.file, self.failed = file, failed

    def read(self, size: int) -> bytes:
        try:
            return self.file.read(size)
        except (OSError, http.client.HTTPException) as error:
            raise self.failed(error) from None  # an OSError as its cause would look like one of writing


class _Copied(NamedTuple):
    size: int
    sha256: str
    head: bytes


def _copy(source: _Source, out: BinaryIO, total: int, progress: Progress | None) -> _Copied:
    size, digest, head = 0, hashlib.sha256(), b""
    while piece := source.read(PIECE):
        out.write(piece)
        digest.update(piece)
        head = head or piece[:HEAD]
        size += len(piece)
        if progress is not None:
            progress(size, max(total, size))
    return _Copied(size, digest.hexdigest(), head)


def _keep(target: Path, write: Callable[[BinaryIO], None]) -> None:
    """Put a file into the user's folder at once; SnowmatchError with advice of its own where it cannot be written."""
    try:
        replace_file(target, write)
    except SnowmatchError as error:
        if isinstance(cause := error.__cause__, OSError):
            raise _unwritable(cause) from cause
        raise


def _unwritable(error: OSError) -> SnowmatchError:
    return SnowmatchError(
        f"cannot write in {weights_folder()}: {error.strerror or error}; free some space there or make it writable, "
        f"or put the file into a folder of yours and let ${VARIABLE} name that"
    )


@contextmanager
def _writing() -> Iterator[None]:
    """Nobody else writes in the user's folder meanwhile; SnowmatchError where somebody does."""
    lock = FileLock(weights_folder() / "writer.lock")
    try:
        weights_folder().mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout as error:
        raise SnowmatchError(
            f"another snowmatch is writing in {weights_folder()}: run this again when it is done"
        ) from error
    except OSError as error:
        raise _unwritable(error) from error
    try:
        yield
    finally:
        lock.release()


def _folders() -> list[Path]:
    """Where weights are looked for, in this order."""
    given = given_folder()
    return [weights_folder()] if given is None else [given, weights_folder()]


def _file_names() -> set[str]:
    return {name for entry in REGISTRY for file in entry.files for name in file.names}


def _held(entry: Weights) -> Held:
    for folder in _folders():
        for file in entry.files:
            for name in file.names:
                path = folder / name
                if os.path.isfile(path):
                    size = path.stat().st_size
                    return Held(entry, path, size, bool(file.sha256), _problem(entry, file, path))
    return Held(entry)


def _problem(entry: Weights, file: WeightsFile, path: Path) -> str:
    """What is wrong with a file that was found, and what to do; "" where nothing is."""
    try:
        if not file.sha256:
            with open(path, "rb") as opened:
                wrong = _no_weights(opened.read(HEAD), file.name)
        else:
            content = weights_sum(path)
            wrong = "" if content == file.sha256 else _differs(content, file)
    except (OSError, SnowmatchError) as error:
        wrong = f"unreadable ({_reason(error.__cause__ or error)})"
    if not wrong:
        return ""
    if path.parent != weights_folder():
        return f"{path} is {wrong}: put the right file there, or take this one out"
    return f"{path} is {wrong}: run {_remedy(entry)}"


def _differs(content: str, file: WeightsFile) -> str:
    return f"damaged or another file (sha256 {content[:12]}…, that of {file.name} is {file.sha256[:12]}…)"


def _missing(entry: Weights) -> str:
    return (
        f"{entry.network} {entry.name} needs {entry.files[0].name}, which is not on this machine: "
        f"run {_remedy(entry)}, or put the file into ${VARIABLE}"
    )


def _remedy(entry: Weights) -> str:
    if any(file.addresses for file in entry.files):
        return f"snowmatch weights download {entry.name}"
    return "snowmatch weights add FILE"


def _size(path: Path) -> int:
    """The bytes of a file that is to be added; SnowmatchError where it cannot be one of weights."""
    if os.path.isdir(path):
        raise SnowmatchError(
            f"{path} is a folder, expected a file of weights; to use a whole folder, let ${VARIABLE} name it"
        )
    if not os.path.isfile(path):
        raise SnowmatchError(f"{path} is not there, expected a file of weights: check the name")
    size = path.stat().st_size
    if size == 0:
        raise SnowmatchError(f"{path} is empty, expected a file of weights: download it again")
    return size


def _recognise(path: Path, content: str) -> tuple[str, str]:
    """The name of the weights that a file (of sha256 `content`) holds, and the file name that they are kept under."""
    for entry in REGISTRY:
        for file in entry.files:
            if file.sha256 == content:
                return entry.name, file.name
    for entry in REGISTRY:
        for file in entry.files:
            if path.name not in file.names:
                continue
            with open(path, "rb") as opened:
                head = opened.read(HEAD)
            if problem := _differs(content, file) if file.sha256 else _no_weights(head, file.name):
                raise SnowmatchError(f"{path} is {problem}: download it again")
            return entry.name, file.name
    if _is_own(path):
        if path.stem in {entry.name for entry in REGISTRY}:
            raise SnowmatchError(f"{path} has the name of a public network: rename it, then add it again")
        return path.stem, path.name
    known = ", ".join(file.name for entry in REGISTRY for file in entry.files)
    raise SnowmatchError(
        f"{path} is no file of weights known here; expected one of {known}, "
        f"or a network trained with snowmatch{did_you_mean(path.name, sorted(_file_names()))}"
    )


def _no_weights(head: bytes, name: str) -> str:
    """What a file with these first bytes is if it cannot hold weights (a saved web page, a Git LFS pointer), else "".

    `name` says which format to expect; torch's own is a zip archive or, in old files, a pickle.
    """
    good = head[8:] == b"{" if name.endswith(".safetensors") else head.startswith((b"PK\x03\x04", b"\x80"))
    return "" if good else f"no file of weights (it begins with {head[:8]!r})"


def _own_files() -> dict[str, Path]:
    """The networks that the user trained, by name."""
    taken = _file_names() | {f"{entry.name}.safetensors" for entry in REGISTRY}
    found: dict[str, Path] = {}
    for folder in _folders():
        for path in sorted(folder.glob("*.safetensors")):
            if path.name not in taken and _is_own(path):
                found.setdefault(path.stem, path)
    return found


def _is_own(path: Path) -> bool:
    """Whether a file is a network trained with this program: safetensors whose metadata say so."""
    if path.suffix != ".safetensors":
        return False
    try:
        with open(path, "rb") as file:
            length = int.from_bytes(file.read(8), "little")
            text = file.read(length) if length <= HEADER_BYTES else b""
        return OWN_KEY in json.loads(text)["__metadata__"]
    except (OSError, ValueError, TypeError, LookupError, RecursionError):
        return False


@functools.lru_cache(maxsize=64)
def _content_of(path: Path, size: int, mtime_ns: int) -> str:
    return file_sha256(path)
