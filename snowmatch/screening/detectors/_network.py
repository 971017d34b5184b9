"""An ONNX detector on this computer: the file of the network and its description."""

from __future__ import annotations

import hashlib
import posixpath
import zipfile
import zlib
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from snowmatch.core.errors import SnowmatchError
from snowmatch.models.cache import find_weights, weights_sum
from snowmatch.models.onnx import open_onnx
from snowmatch.screening.detectors._description import Description, described, read_toml
from snowmatch.screening.detectors._manifest import NAME, is_manifest, manifest_description, network_file

if TYPE_CHECKING:
    from onnxruntime import InferenceSession


class Network(NamedTuple):
    """A network: its file, its name in that file if it is a zip archive ("" otherwise), and its description."""

    path: Path
    member: str
    description: Description

    @property
    def where(self) -> str:
        """The name of the network's file, for an error."""
        return f"{self.path} ({self.member})" if self.member else str(self.path)

    def open(self) -> InferenceSession:
        """Return the network, ready to run.

        Raises SnowmatchError if it cannot be run, or if its input is not the one image that the description promises.
        """
        network = open_onnx(self.path, self.member)
        inputs, (width, height) = network.get_inputs(), self.description.input_size
        wanted = [1, 3, height, width]
        shapes = [list(i.shape) for i in inputs]
        fits = len(shapes) == 1 and len(shapes[0]) == 4
        # A side without a number is a side of any length
        fits = fits and all(not isinstance(s, int) or s == w for s, w in zip(shapes[0], wanted, strict=True))
        if not fits or inputs[0].type != "tensor(float)":
            takes = ", ".join(f"{i.name} {list(i.shape)} {i.type}" for i in inputs)
            raise SnowmatchError(
                f"{self.where} takes {takes}, expected one image {wanted} tensor(float): it is a network of another "
                "kind, or input_size in its settings file is wrong"
            )
        return network


def find_network(model: str, known: Mapping[str, Description]) -> Network:
    """Return the network `model`: the name of weights, or the path of an ONNX file or of a zip archive with one.

    known: the descriptions of networks by name. The description is, in this order: the manifest.toml of the archive;
    the entry of `known`; NAME.toml beside NAME.onnx; the manifest.toml beside it or in the folder above. Raises
    SnowmatchError if there is no such file or no description of it.
    """
    path = find_weights(model)
    if path.suffix.lower() == ".zip":
        return _archived(path, known, model)
    if path.suffix.lower() != ".onnx":
        raise SnowmatchError(f"the detector is {str(path)!r}, expected a file .onnx, or an archive .zip with one")
    if model in known:
        return Network(path, "", known[model])
    for place in (path.with_suffix(".toml"), path.parent / NAME, path.absolute().parent.parent / NAME):
        if not place.is_file():
            continue
        table = read_toml(_reader(place.parent)(place.name), str(place))
        if not is_manifest(table):
            return Network(path, "", described(table, str(place)))
        name, content = network_file(table, str(place))
        if (place.parent / name).absolute() == path.absolute():
            if content and content != weights_sum(path):
                raise SnowmatchError(f"{path} is damaged, or not the file that {place} describes: get both again")
            return Network(path, "", _from_manifest(table, _reader(place.parent), str(place), known))
    raise SnowmatchError(
        f"{path} has no settings file: write {path.with_suffix('.toml').name} beside it, with labels, input_size and "
        "layout"
    )


def _archived(path: Path, known: Mapping[str, Description], model: str) -> Network:
    """Return the network in a zip archive."""
    try:
        names = zipfile.Path(path).root.namelist()
        manifests = [name for name in names if posixpath.basename(name) == NAME]
        networks = [name for name in names if name.lower().endswith(".onnx")]
        if len(manifests) == 1:
            where, folder = f"{path} ({manifests[0]})", posixpath.dirname(manifests[0])
            read = _reader(zipfile.Path(path))
            table = read_toml(read(manifests[0]), where)
            name, content = network_file(table, where)
            member = posixpath.join(folder, name)
            if member in networks:
                if content and content != _member_sum(path, weights_sum(path), member):
                    raise SnowmatchError(f"{path} is damaged: {member} is not the file that {NAME} describes")
                beside = _reader(zipfile.Path(path), folder)
                return Network(path, member, _from_manifest(table, beside, where, known))
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, RuntimeError, zlib.error) as error:
        raise SnowmatchError(f"{path} cannot be read as a zip archive ({error}): get it again") from error
    if not manifests and len(networks) == 1 and model in known:
        return Network(path, networks[0], known[model])
    raise SnowmatchError(
        f"{path} has {len(networks)} ONNX files and {len(manifests)} of {NAME}, expected one of each that belong "
        "together: unpack it and name the ONNX file"
    )


@lru_cache(maxsize=4)
def _member_sum(path: Path, content: str, member: str) -> str:
    """Return the sha256 of a file in an archive. content: sha256 of the archive, so that it is read only once."""
    return hashlib.sha256(zipfile.Path(path, member).read_bytes()).hexdigest()


def _from_manifest(
    table: Mapping[str, Any], read: Callable[[str], str], where: str, known: Mapping[str, Description]
) -> Description:
    official = known.get(str(table["model"].get("id")))
    licence, source = (official.licence, official.source) if official else ("", "")
    return manifest_description(table, read, where, licence, source)


def _reader(place: Path | zipfile.Path, folder: str = "") -> Callable[[str], str]:
    """Return a function that returns the text of a file in `place`: a folder, or a folder of an archive."""

    def read(name: str) -> str:
        try:
            return place.joinpath(posixpath.join(folder, name)).read_text(encoding="utf-8-sig")
        except (OSError, KeyError, UnicodeDecodeError) as error:
            raise SnowmatchError(f"{name} in {place} cannot be read ({error}): get the file again") from error

    return read
