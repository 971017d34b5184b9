"""manifest.toml, with which the authors of MegaDetector describe their ONNX files.

Source: SPARROW-Engine, `sparrow-engine-types/src/manifest.rs`, on GitHub.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.text import choices
from snowmatch.screening.detectors._description import Description, checked

NAME = "manifest.toml"
# For each postprocessing method: the layout, the resizing that it goes with, and whether the network does NMS
METHODS = {
    "yolo_e2e": {"layout": "rows", "relative": False, "nms": True},
    "megadet_v5a": {"layout": "yolo_objectness", "relative": False, "nms": False},
    "rtdetr_topk": {"layout": "rows_centre", "relative": True, "nms": True},
}
RESIZE = {"letterbox": "letterbox", "resize": "stretch"}
SCALE = {"unit": 255.0, "none": 1.0}
GREY = 114 / 255  # what a letterbox is filled with if the manifest says nothing
LABEL_FORMATS = {"one_per_line": None, "name_index_csv": 1, "index_name_csv": 0}  # the column of the number


def is_manifest(table: Mapping[str, Any]) -> bool:
    """Return whether a table is a manifest and not a settings file of snowmatch."""
    return "postprocessing" in table or "preprocessing" in table


def network_file(table: Mapping[str, Any], where: str) -> tuple[str, str]:
    """Return the name of the ONNX file, relative to the manifest, and its sha256 ("" if not given).

    Raises SnowmatchError if the manifest is about something else than an ONNX file.
    """
    model = _part(table, "model", where)
    _one_of(model, "format", ("onnx",), where)
    return str(_given(model, "file", where)), str(model.get("onnx_sha256", "")).lower()


def manifest_description(
    table: Mapping[str, Any], read: Callable[[str], str], where: str, licence: str, source: str
) -> Description:
    """Return the description in a manifest.

    read: returns the text of a file beside the manifest. licence, source: a manifest has none of its own. Raises
    SnowmatchError if it is incomplete, or asks for what snowmatch cannot do.
    """
    before, after = _part(table, "preprocessing", where), _part(table, "postprocessing", where)
    method = _one_of(after, "method", tuple(METHODS), where)
    resize = RESIZE[_one_of(before, "method", tuple(RESIZE), where)]
    scale = SCALE[_one_of(before, "normalization", tuple(SCALE), where)]
    _one_of(before, "layout", ("nchw",), where)
    _one_of(_part(table, "inference", where), "strategy", ("single",), where)
    size, pad = _given(before, "input_size", where), before.get("pad_value", GREY * 255 / scale)
    if not isinstance(size, list) or isinstance(pad, bool) or not isinstance(pad, int | float):
        raise SnowmatchError(f"{where}: input_size is {size!r} and pad_value {pad!r}, expected a list and a number")
    values = {
        "labels": _labels(_part(table, "labels", where), read, where),
        "input_size": tuple(size),
        "resize": resize,
        "interpolation": before.get("interpolation", "bilinear"),
        "pad": round(pad * scale),
        "channels": before.get("channel_order", "rgb"),
        "scale": scale,
        "threshold": after.get("confidence_threshold", 0.2),
        "overlap": after.get("iou_threshold", 0.45),
        "licence": licence,
        "source": source,
    }
    return checked(values | METHODS[method], where)


def _labels(part: Mapping[str, Any], read: Callable[[str], str], where: str) -> tuple[str, ...]:
    name = str(_given(part, "file", where))
    column = LABEL_FORMATS[_one_of(part, "format", tuple(LABEL_FORMATS), where)]
    lines = [line.strip() for line in read(name).splitlines() if line.strip()]
    if column is None:
        return tuple(lines)
    numbered: dict[str, str] = {}
    for line in lines:
        first, _, last = (line.rpartition if column else line.partition)(",")
        label, number = (first, last) if column else (last, first)
        numbered[number.strip()] = label.strip()
    if set(numbered) != {str(n) for n in range(len(lines))}:
        raise SnowmatchError(f"{where}: {name} numbers its labels {', '.join(numbered)}, expected 0, 1, 2 and so on")
    return tuple(numbered[str(n)] for n in range(len(lines)))


def _part(table: Mapping[str, Any], name: str, where: str) -> Mapping[str, Any]:
    part = table.get(name)
    if not isinstance(part, dict):
        raise SnowmatchError(f"{where} has no part [{name}], expected a manifest of an ONNX detector: get it again")
    return part


def _given(part: Mapping[str, Any], key: str, where: str) -> Any:
    if key not in part:
        raise SnowmatchError(f"{where} has no {key!r}, expected a manifest of an ONNX detector: get it again")
    return part[key]


def _one_of(part: Mapping[str, Any], key: str, known: tuple[str, ...], where: str) -> str:
    word = str(_given(part, key, where))
    if word not in known:
        raise SnowmatchError(f"{where}: {key} is {word!r}, {choices(word, known)}: snowmatch cannot run this network")
    return word
