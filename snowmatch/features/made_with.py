"""The file of weights that stored features were made with, where the registry has no sha256 of this file.

The name of an empty file beside the features tells it. Equal photos have equal keys whatever the weights, so all that
is made from features is kept apart by this name: search indexes, calibrations and answers.
"""

from __future__ import annotations

from pathlib import Path

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.plugins import Extractor, plugin_name, settings
from snowmatch.features.segments import features_folder

_BEGIN = "weights-"


def noted_weights(folder: Path) -> tuple[str, ...]:
    """Return the notes in a folder of features: what tells the file of weights; none where the settings tell all."""
    return tuple(sorted(path.name.removeprefix(_BEGIN) for path in folder.glob(f"{_BEGIN}*")))


def index_folder(indexes: Path, folder: Path) -> Path:
    """Return the folder of search indexes of the features in `folder`. indexes: that of all search indexes."""
    return indexes / "-".join([folder.name, *noted_weights(folder)])


def indexes_of_others(own: Path, folder: Path) -> list[Path]:
    """Return the folders of search indexes of the features in `folder` that other weights made. own: the present."""
    found = (own.parent / folder.name, *own.parent.glob(f"{folder.name}-*"))
    return [path for path in found if path != own and path.is_dir()]


def check_weights(features: Path, extractor: Extractor, *, keep: bool = False) -> None:
    """Raise SnowmatchError if stored features were made with other weights than those on this computer.

    Nothing is compared if the registry has a sha256 of the file, or if there is no file. features: the folder of all
    extractors. keep: note the file that is used from now on.
    """
    content = getattr(extractor, "weights_content", str)()
    if not content:
        return
    folder = features_folder(features, settings(extractor))
    noted = sorted(folder.glob(f"{_BEGIN}*"))
    own = folder / f"{_BEGIN}{content[:16]}"
    if noted and own not in noted and any(folder.glob("features-*.h5")):
        raise SnowmatchError(
            f"the features in {folder} were made with another file of weights of {plugin_name(extractor)} than that on "
            "this computer: put that file back, or remove this folder and index again"
        )
    if not keep or own in noted:
        return
    try:
        for path in noted:  # of features that are gone
            path.unlink()
        own.touch()
    except OSError as error:
        raise SnowmatchError(f"{own} cannot be written: {error.strerror or error}") from error
