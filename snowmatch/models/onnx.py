"""Networks in ONNX files. onnxruntime runs them, on one thread, so that the same input gives the same bytes."""

from __future__ import annotations

import os
import re
import zipfile
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.files import read_file
from snowmatch.models.cache import weights_sum

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

# The name of another file that holds weights: an entry of external_data (field 13). Source: onnx.proto, TensorProto
_KEY = b"\n\x08location\x12"
_ENTRY = re.compile(rb"\x6a[\x80-\xff]*[\x00-\x7f]" + _KEY + rb"([\x80-\xff]*[\x00-\x7f])")


def open_onnx(path: Path, member: str = "") -> InferenceSession:
    """Return the network in an ONNX file. A process loads a file once, as long as its content does not change.

    member: the name of the ONNX file in the archive, if `path` is a zip archive. Raises SnowmatchError if the file
    cannot be read or is not a network that onnxruntime can run.
    """
    try:
        return _opened(Path(path), onnx_sum(Path(path), member), member)
    except OSError as error:
        raise SnowmatchError(f"{path} cannot be read: {error.strerror or error}") from error


def onnx_sum(path: Path, member: str = "") -> str:
    """Return a text that changes with an ONNX file and with the files beside it that hold its weights.

    Without such files, and for an archive (see `open_onnx`), it is the sha256 of the file. Raises SnowmatchError if a
    file is missing.
    """
    content = weights_sum(path)
    sums = [content]
    for name in () if member else _other_files(path, content):
        if not os.path.isfile(path.parent / name):
            raise SnowmatchError(f"{path} keeps its weights in {name!r}, which is not there: put it beside it")
        sums.append(weights_sum(path.parent / name))
    return " ".join(sums)


def run_onnx(network: InferenceSession, image: np.ndarray) -> list[np.ndarray]:
    """Return all outputs of a network with one input. Raises SnowmatchError if the network does not accept it."""
    return list(run_onnx_inputs(network, {network.get_inputs()[0].name: image}).values())


def run_onnx_inputs(network: InferenceSession, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return all outputs of a network, by name. inputs: the arrays that it takes, by name.

    Raises SnowmatchError if the network does not accept them.
    """
    try:
        found: list[Any] = network.run(None, dict(inputs))
    except Exception as error:  # onnxruntime raises exceptions of many types
        wanted = ", ".join(f"{entry.name} {entry.shape} {entry.type}" for entry in network.get_inputs())
        given = ", ".join(f"{name} {list(values.shape)} {values.dtype}" for name, values in inputs.items())
        raise SnowmatchError(
            f"the network takes {wanted}, not {given} ({type(error).__name__}): check that it is the right file"
        ) from error
    names = [entry.name for entry in network.get_outputs()]
    return {name: np.asarray(values) for name, values in zip(names, found, strict=True)}


@lru_cache(maxsize=4)
def _opened(path: Path, content: str, member: str) -> InferenceSession:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4  # problems become exceptions
    try:
        network = zipfile.Path(path, member).read_bytes() if member else str(path)
        if isinstance(network, str) or not _names(network):
            return onnxruntime.InferenceSession(network, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the same
        raise SnowmatchError(
            f"{path} is damaged or is not an ONNX network that can be run ({type(error).__name__}): get the file again"
        ) from error
    raise SnowmatchError(f"{path}: {member} keeps its weights in other files: unpack the archive, name the ONNX file")


@lru_cache(maxsize=4)
def _other_files(path: Path, content: str) -> tuple[str, ...]:
    """Return the names of the files that hold weights of an ONNX file. content: its sha256, so that it is read once."""
    return _names(read_file(path))


def _names(network: bytes) -> tuple[str, ...]:
    """Return the names of other files in the bytes of an ONNX file, sorted."""
    if _KEY not in network:
        return ()
    names = set()
    for found in _ENTRY.finditer(network):
        length = sum((byte & 127) << 7 * place for place, byte in enumerate(found[1]))
        names.add(network[found.end() : found.end() + length].decode("utf-8", "surrogateescape"))
    return tuple(sorted(names))
