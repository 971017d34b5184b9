"""The files of weights on this computer: their folders, their checks, and the addition of files.

This module runs no network.
"""

from __future__ import annotations

import functools
import hashlib
import http.client
import importlib.util
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

Progress = Callable[[int, int], None]  # called with (bytes done, bytes in total)
VARIABLE = "SNOWMATCH_WEIGHTS"
OWN_KEY = "snowmatch"  # key in the metadata of a safetensors file that marks a network trained with snowmatch
HEADER_BYTES = 100_000_000  # the longest header that the safetensors format allows
HEAD = 9  # number of first bytes that identify a file of weights
PIECE = 1 << 16  # bytes read at a time: few, so that a slow connection shows progress


@dataclass(frozen=True)
class Held:
    """The file of one network on this computer.

    path: the file; None if no file was found. size: bytes.
    checked: True if the registry has a sha256 for the file, so that the content was compared with it.
    problem: what is wrong with the file and what to do; "" if it is correct.
    """

    weights: Weights
    path: Path | None = None
    size: int = 0
    checked: bool = False
    problem: str = ""

    @property
    def state(self) -> str:
        """One word: `missing`, `unusable`, `checked` (by its checksum) or `present`."""
        if self.path is None:
            return "missing"
        return "unusable" if self.problem else "checked" if self.checked else "present"


def weights_folder() -> Path:
    """Return the user's folder for weights. The folder may not exist yet."""
    return platformdirs.user_cache_path("snowmatch", appauthor=False) / "weights"


def given_folder() -> Path | None:
    """Return the folder that $SNOWMATCH_WEIGHTS names; None if the variable is not set. snowmatch never writes in it.

    Raises SnowmatchError if it is not a folder.
    """
    given = os.environ.get(VARIABLE)
    if not given:
        return None
    if not os.path.isdir(given):
        raise SnowmatchError(
            f"${VARIABLE} is {given!r}, expected a folder of weights: correct the variable or unset it"
        )
    return Path(given)


def find_weights(name: str) -> Path:
    """Return the file of the weights called `name`. The internet is never used.

    name: a name in the registry, the name of a network that the user trained, or the path of a file. Raises
    SnowmatchError if no file is found or its content is wrong.
    """
    for entry in registry():
        if entry.name == name:
            held = find_held(entry)
            if held.path is None:
                raise get_weights(_missing(entry), entry)
            if held.problem and held.path.parent != weights_folder():  # it comes first, so a download would not be used
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
        f"found no weights and no file called {name!r}; the weights are: {', '.join(known)}{did_you_mean(name, known)}"
    )


def whole_path(name: str) -> str:
    """Return the path of a file of weights as a process in another folder finds it; a name as it is."""
    if not os.path.isfile(name):
        return name
    known = any(entry.name == name for entry in registry()) or name.removesuffix(".safetensors") in _own_files()
    return name if known else os.path.abspath(name)


def weights_are_here(name: str) -> bool:
    """Return whether this computer has a file of the registry's entry `name`. The content is not considered."""
    return find_held(known_weights(name)).path is not None


def weights_sum(path: Path) -> str:
    """Return the sha256 of a file. A process reads the file only once, as long as its size and time do not change."""
    status = path.stat()
    return _content_of(path, status.st_size, status.st_mtime_ns)


def unchecked_sum(name: str) -> str:
    """Return the sha256 of the file of the registry's entry `name`, if the registry has none to compare it with.

    "" if it was compared, or if this computer has no such file: then the name alone tells which weights these are.
    """
    held = find_held(known_weights(name))
    return "" if held.path is None or held.checked else weights_sum(held.path)


def held_weights() -> list[Held]:
    """Return the file (or no file) of every network in the registry, then of the networks that the user trained."""
    own = [
        Held(Weights(name, "LightGlue", "your own", "yours", (WeightsFile(path.name),)), path, path.stat().st_size)
        for name, path in _own_files().items()
    ]
    return [find_held(entry) for entry in registry()] + own


def add_weights(path: Path, progress: Progress | None = None) -> str:
    """Copy a file of weights into the user's folder under its official name. Return a text that describes the result.

    A file is recognised by its content, by its name, or by metadata of a network that was trained with snowmatch.
    Raises SnowmatchError if the file is damaged or not recognised.
    """
    path = Path(path)
    size = _size(path)
    content = weights_sum(path)
    name, file_name = _recognise(path, content)
    target = weights_folder() / file_name
    if os.path.isfile(target) and weights_sum(target) == content:
        return f"{name} is already stored: {target}"

    def failed(error: Exception) -> SnowmatchError:
        return SnowmatchError(f"{path} cannot be read: {reason_of(error)}")

    with open(path, "rb") as file, writing():

        def write(out: BinaryIO) -> None:
            if copy(Source(file, failed), out, size, progress).sha256 != content:
                raise SnowmatchError(f"{path} is being written: add it again when the file is complete")

        keep(target, write)
    return f"{path} contains {name}: copied to {target}"


def reason_of(error: BaseException) -> str:
    """Return the reason of an error as one line of text."""
    inner = getattr(error, "reason", error)  # urllib wraps the error of the system
    text = getattr(inner, "strerror", None) or str(inner) or type(inner).__name__
    return " ".join(str(text).split())


class Source:
    """The file or connection to copy from. `failed` converts a read error, so that it differs from a write error."""

    def __init__(self, file: Any, failed: Callable[[Exception], Exception]) -> None:
        self.file, self.failed = file, failed

    def read(self, size: int) -> bytes:
        try:
            return self.file.read(size)
        except (OSError, http.client.HTTPException) as error:
            raise self.failed(error) from None  # `keep` would treat an OSError as its cause as a write error


class _Copied(NamedTuple):
    size: int
    sha256: str
    head: bytes


def copy(source: Source, out: BinaryIO, total: int, progress: Progress | None, most: int | None = None) -> _Copied:
    """Copy all bytes of `source` to `out`.

    total: the expected number of bytes, for `progress`. most: the copy ends soon after so many bytes.
    """
    size, digest, head = 0, hashlib.sha256(), b""
    while (most is None or size <= most) and (piece := source.read(PIECE)):
        out.write(piece)
        digest.update(piece)
        head = head or piece[:HEAD]
        size += len(piece)
        if progress is not None:
            progress(size, max(total, size))
    return _Copied(size, digest.hexdigest(), head)


def keep(target: Path, write: Callable[[BinaryIO], None]) -> None:
    """Write a file in the user's folder in one step. Raises SnowmatchError if it cannot be written."""
    try:
        replace_file(target, write)
    except SnowmatchError as error:
        if isinstance(cause := error.__cause__, OSError):
            raise _unwritable(cause) from cause
        raise


def _unwritable(error: OSError) -> SnowmatchError:
    return SnowmatchError(
        f"cannot write in {weights_folder()}: {error.strerror or error}; free some space there or make it writable, "
        f"or put the file into another folder and set ${VARIABLE} to that folder"
    )


@contextmanager
def writing() -> Iterator[None]:
    """Lock the user's folder for writing inside the `with` block.

    Raises SnowmatchError if another process has the lock or the folder is not writable.
    """
    lock = FileLock(weights_folder() / "writer.lock")
    try:
        weights_folder().mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout as error:
        raise SnowmatchError(
            f"another snowmatch process is writing in {weights_folder()}: run this again when it has finished"
        ) from error
    except OSError as error:
        raise _unwritable(error) from error
    try:
        yield
    finally:
        lock.release()


def _folders() -> list[Path]:
    """Return the folders that may contain weights, in the order of the search."""
    given = given_folder()
    return [weights_folder()] if given is None else [given, weights_folder()]


def find_held(entry: Weights) -> Held:
    """Return the first file found for a network of the registry, after a check of its content.

    The folders are searched first, then the installed packages that contain weights.
    """
    places = [(file, folder / name) for folder in _folders() for file in entry.files for name in file.names]
    places += [(file, path) for file in entry.files if (path := _in_package(file)) is not None]
    for file, path in places:
        if os.path.isfile(path):
            return Held(entry, path, path.stat().st_size, bool(file.sha256), _problem(entry, file, path))
    return Held(entry)


def _in_package(file: WeightsFile) -> Path | None:
    """Return where an installed package has a file of weights; None if the package is not installed.

    The package is not imported.
    """
    package, _, inside = file.package.partition("/")
    spec = importlib.util.find_spec(package) if package else None
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0]) / inside


def _problem(entry: Weights, file: WeightsFile, path: Path) -> str:
    """Return what is wrong with a file and what to do; "" if the file is correct."""
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
        return f"{path} is {wrong}: replace it with the right file, or remove it"
    return f"{path} is {wrong}: {_remedy(entry)}"


def _differs(content: str, file: WeightsFile) -> str:
    return f"damaged or a different file (sha256 {content[:12]}…, expected {file.sha256[:12]}… for {file.name})"


def _missing(entry: Weights) -> str:
    return (
        f"{entry.network} {entry.name} needs {entry.files[0].name}, which is not on this computer: "
        f"{_remedy(entry)}, or put the file into the folder ${VARIABLE}"
    )


def get_weights(text: str, entry: Weights) -> SnowmatchError:
    """Return the error for weights that the user has to download or to add."""
    return SnowmatchError(text, "get-weights", name=entry.name, downloadable=_downloadable(entry))


def _downloadable(entry: Weights) -> bool:
    return any(file.addresses for file in entry.files)


def _remedy(entry: Weights) -> str:
    return "download it" if _downloadable(entry) else "get the file from its authors and add it"


def _size(path: Path) -> int:
    """Return the size (bytes) of a file to add. Raises SnowmatchError if it is missing, empty or a folder."""
    if os.path.isdir(path):
        raise SnowmatchError(
            f"{path} is a folder, expected a file of weights; to use a whole folder, set ${VARIABLE} to it"
        )
    if not os.path.isfile(path):
        raise SnowmatchError(f"{path} does not exist, expected a file of weights: check the name")
    size = path.stat().st_size
    if size == 0:
        raise SnowmatchError(f"{path} is empty, expected a file of weights: download it again")
    return size


def _recognise(path: Path, content: str) -> tuple[str, str]:
    """Return the name of the weights in a file, and the file name under which they are stored.

    content: sha256 of the file. Raises SnowmatchError if the file is damaged or not recognised.
    """
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
        f"{path} is not a known file of weights; expected one of {known}, "
        f"or a network trained with snowmatch{did_you_mean(path.name, sorted(file_names()))}"
    )


def no_weights(head: bytes, name: str) -> str:
    """Return "" if a file with the first bytes `head` can contain weights, and otherwise a description of the problem.

    Examples of a problem are a saved web page and a Git LFS pointer. name: the file name, which gives the expected
    format: safetensors, ONNX, or the format of torch (a zip archive or, in old files, a pickle).
    """
    if name.endswith(".onnx"):
        good = head.startswith(b"\x08") and 1 <= head[1] <= 64  # field 1, the version of the format
    elif name.endswith(".safetensors"):
        good = head[8:] == b"{"
    else:
        good = head.startswith((b"PK\x03\x04", b"\x80"))
    return "" if good else f"not a file of weights (it begins with {head[:8]!r})"


def _own_files() -> dict[str, Path]:
    """Return the files of the networks that the user trained, by name."""
    taken = file_names() | {f"{entry.name}.safetensors" for entry in registry()}
    found: dict[str, Path] = {}
    for folder in _folders():
        for path in sorted(folder.glob("*.safetensors")):
            if path.name not in taken and _is_own(path):
                found.setdefault(path.stem, path)
    return found


def _is_own(path: Path) -> bool:
    """Return whether a file is a network trained with snowmatch: a safetensors file with OWN_KEY in its metadata."""
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
