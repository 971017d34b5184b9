"""Where weights are on this machine, whether they are whole, and how files are added. Nothing here runs a network."""

from __future__ import annotations

import functools
import hashlib
import http.client
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import platformdirs
from filelock import FileLock, Timeout

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.files import file_sha256, replace_file
from snowmatch.core.text import did_you_mean
from snowmatch.models.registry import Weights, WeightsFile, file_names, known_weights, registry

Progress = Callable[[int, int], None]  # bytes done, bytes in all
VARIABLE = "SNOWMATCH_WEIGHTS"
OWN_KEY = "snowmatch"  # in the metadata of a safetensors file: a network trained with this program
HEADER_BYTES = 100_000_000  # the longest header that the safetensors format allows
HEAD = 9  # first bytes by which a file of weights is told from others
PIECE = 1 << 16  # bytes read at once: small, so that a slow line shows progress


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
    for entry in registry():
        if entry.name == name:
            held = find_held(entry)
            if held.path is None:
                raise get_weights(_missing(entry), entry)
            if held.problem and held.path.parent != weights_folder():  # it is found first: another would not be used
                raise SnowmatchError(held.problem)
            if held.problem:
                raise get_weights(held.problem, entry)
            return held.path
    own = _own_files()
    if (stem := name.removesuffix(".safetensors")) in own:
        return own[stem]
    if os.path.isfile(name):
        return Path(name)
    known = [entry.name for entry in registry()] + list(own)
    raise SnowmatchError(
        f"no weights and no file called {name!r}; the weights are: {', '.join(known)}{did_you_mean(name, known)}"
    )


def weights_are_here(name: str) -> bool:
    """Whether a file of the registry's entry `name` is on this machine, be it right or wrong."""
    return find_held(known_weights(name)).path is not None


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
    return [find_held(entry) for entry in registry()] + own


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
        return SnowmatchError(f"{path} cannot be read: {reason_of(error)}")

    with open(path, "rb") as file, writing():

        def write(out: BinaryIO) -> None:
            if copy(Source(file, failed), out, size, progress).sha256 != content:
                raise SnowmatchError(f"{path} is being written: add it again when it is complete")

        keep(target, write)
    return f"{path} is {name}, now in {target}"


def reason_of(error: BaseException) -> str:
    inner = getattr(error, "reason", error)  # urllib wraps what the system said
    text = getattr(inner, "strerror", None) or str(inner) or type(inner).__name__
    return " ".join(str(text).split())


class Source:
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


def copy(source: Source, out: BinaryIO, total: int, progress: Progress | None) -> _Copied:
    size, digest, head = 0, hashlib.sha256(), b""
    while piece := source.read(PIECE):
        out.write(piece)
        digest.update(piece)
        head = head or piece[:HEAD]
        size += len(piece)
        if progress is not None:
            progress(size, max(total, size))
    return _Copied(size, digest.hexdigest(), head)


def keep(target: Path, write: Callable[[BinaryIO], None]) -> None:
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
def writing() -> Iterator[None]:
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


def find_held(entry: Weights) -> Held:
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
                wrong = no_weights(opened.read(HEAD), file.name)
        else:
            content = weights_sum(path)
            wrong = "" if content == file.sha256 else _differs(content, file)
    except (OSError, SnowmatchError) as error:
        wrong = f"unreadable ({reason_of(error.__cause__ or error)})"
    if not wrong:
        return ""
    if path.parent != weights_folder():
        return f"{path} is {wrong}: put the right file there, or take this one out"
    return f"{path} is {wrong}: {_remedy(entry)}"


def _differs(content: str, file: WeightsFile) -> str:
    return f"damaged or another file (sha256 {content[:12]}…, that of {file.name} is {file.sha256[:12]}…)"


def _missing(entry: Weights) -> str:
    return (
        f"{entry.network} {entry.name} needs {entry.files[0].name}, which is not on this machine: "
        f"{_remedy(entry)}, or put the file into ${VARIABLE}"
    )


def get_weights(text: str, entry: Weights) -> SnowmatchError:
    """An error about weights that are to be got."""
    return SnowmatchError(text, "get-weights", name=entry.name, downloadable=_downloadable(entry))


def _downloadable(entry: Weights) -> bool:
    return any(file.addresses for file in entry.files)


def _remedy(entry: Weights) -> str:
    return "download it" if _downloadable(entry) else "get the file from its authors and add it"


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
    for entry in registry():
        for file in entry.files:
            if file.sha256 == content:
                return entry.name, file.name
    for entry in registry():
        for file in entry.files:
            if path.name not in file.names:
                continue
            with open(path, "rb") as opened:
                head = opened.read(HEAD)
            if problem := _differs(content, file) if file.sha256 else no_weights(head, file.name):
                raise SnowmatchError(f"{path} is {problem}: download it again")
            return entry.name, file.name
    if _is_own(path):
        if path.stem in {entry.name for entry in registry()}:
            raise SnowmatchError(f"{path} has the name of a public network: rename it, then add it again")
        return path.stem, path.name
    known = ", ".join(file.name for entry in registry() for file in entry.files)
    raise SnowmatchError(
        f"{path} is no file of weights known here; expected one of {known}, "
        f"or a network trained with snowmatch{did_you_mean(path.name, sorted(file_names()))}"
    )


def no_weights(head: bytes, name: str) -> str:
    """What a file with these first bytes is if it cannot hold weights (a saved web page, a Git LFS pointer), else "".

    `name` says which format to expect; torch's own is a zip archive or, in old files, a pickle.
    """
    good = head[8:] == b"{" if name.endswith(".safetensors") else head.startswith((b"PK\x03\x04", b"\x80"))
    return "" if good else f"no file of weights (it begins with {head[:8]!r})"


def _own_files() -> dict[str, Path]:
    """The networks that the user trained, by name."""
    taken = file_names() | {f"{entry.name}.safetensors" for entry in registry()}
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
