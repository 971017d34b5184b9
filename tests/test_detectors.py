"""Detectors in ONNX files: from a photo to the network and back, their descriptions, and the conformance checks."""

import hashlib
import pickle
import zipfile
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import platformdirs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from snowmatch.catalog.screened import save_detections
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.plugins import make_plugin, plugin_class, settings_key
from snowmatch.core.plugins import settings as plugin_settings
from snowmatch.core.types import Detection
from snowmatch.models.cache import weights_sum
from snowmatch.review.detections import run_detector
from snowmatch.screening.detectors import onnx_file
from snowmatch.screening.detectors._decode import Boxes, in_photo, placed, prepared, suppressed
from snowmatch.screening.detectors._description import Description
from snowmatch.screening.detectors.onnx_file import KNOWN, WEIGHTS, OnnxFile
from snowmatch.testing import DETECTOR_CHECKS
from snowmatch.testing.detectors import scene

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
from onnx import TensorProto, helper, numpy_helper

THREE = ("animal", "person", "vehicle")
PHOTO = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)


def save(path, nodes, outputs, constants, shape=(1, 3, 64, 64), dtype=TensorProto.FLOAT):
    """Save a network with the input `image`."""
    graph = helper.make_graph(
        nodes,
        "drawn",
        [helper.make_tensor_value_info("image", dtype, shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)
    return path


def constant(path, *arrays, names=("out", "second", "third"), **options):
    """Save a network whose outputs do not depend on the photo."""
    names = names[: len(arrays)]
    nodes = [
        helper.make_node("ReduceMax", ["image"], ["most"], keepdims=0),
        helper.make_node("Mul", ["most", "zero"], ["nothing"]),
        *(helper.make_node("Add", [f"c_{name}", "nothing"], [name]) for name in names),
    ]
    values = {f"c_{name}": np.asarray(a, np.float32) for name, a in zip(names, arrays, strict=True)}
    return save(path, nodes, names, {"zero": np.float32(0), **values}, **options)


def cells(path):
    """Save a network with one class: the score of each cell of 16 px is its largest red minus its mean red."""
    grid = np.array([[8 + 16 * x, 8 + 16 * y, 16, 16] for y in range(4) for x in range(4)], np.float32).T[None]
    nodes = [
        helper.make_node("Slice", ["image", "start", "end", "axis"], ["red"]),
        helper.make_node("MaxPool", ["red"], ["most"], kernel_shape=[16, 16], strides=[16, 16]),
        helper.make_node("AveragePool", ["red"], ["mean"], kernel_shape=[16, 16], strides=[16, 16]),
        helper.make_node("Sub", ["most", "mean"], ["contrast"]),
        helper.make_node("Clip", ["contrast", "low", "high"], ["score"]),
        helper.make_node("Reshape", ["score", "shape"], ["scores"]),
        helper.make_node("Concat", ["grid", "scores"], ["out"], axis=1),
    ]
    whole = {"start": [0], "end": [1], "axis": [1], "shape": [1, 1, 16]}
    constants = {name: np.array(value, np.int64) for name, value in whole.items()}
    constants |= {"low": np.float32(0), "high": np.float32(1), "grid": grid}
    return save(path, nodes, ["out"], constants)


def settings(path, layout, labels=THREE, **values):
    """Write the settings file beside a network."""
    table = {"labels": list(labels), "input_size": [64, 64], "layout": layout, **values}

    def toml(value):
        return str(value).lower() if isinstance(value, bool) else repr(value)

    path.with_suffix(".toml").write_text("".join(f"{k} = {toml(v)}\n" for k, v in table.items()), encoding="utf-8")
    return OnnxFile(str(path))


def detecting(tmp_path, *arrays, layout, labels=THREE, names=("out", "second", "third"), **values):
    path = constant(tmp_path / "net.onnx", *arrays, names=names)
    return settings(path, layout, labels, **values)


# From the photo to the network and back

SIDE = st.integers(1, 3000)


@given(SIDE, SIDE, SIDE, SIDE, st.sampled_from(["letterbox", "stretch"]), st.data())
def test_a_box_comes_back_from_the_input_as_it_was(width, height, in_width, in_height, resize, data):
    described = Description(("animal",), (in_width, in_height), "rows", resize=resize)
    left, top, inner_width, inner_height = placed((width, height), described)
    assert 0 <= left <= left + inner_width <= in_width
    assert 0 <= top <= top + inner_height <= in_height
    x0, x1 = sorted(data.draw(st.lists(st.integers(0, width), min_size=2, max_size=2, unique=True)))
    y0, y1 = sorted(data.draw(st.lists(st.integers(0, height), min_size=2, max_size=2, unique=True)))
    scale = np.array([inner_width / width, inner_height / height] * 2)
    corners = np.array([[x0, y0, x1, y1]]) * scale + np.array([left, top] * 2)
    (found,) = in_photo(Boxes(corners, np.array([0.5]), np.array([0])), (width, height), described)
    assert found == Detection((x0, y0, x1 - x0, y1 - y0), "animal", 0.5)


@given(SIDE, SIDE)
def test_a_letterbox_keeps_the_shape_and_fills_one_side(width, height):
    left, top, w, h = placed((width, height), Description(("animal",), (640, 480), "rows"))
    assert w == 640 or h == 480
    scale = min(640 / width, 480 / height)
    assert all(abs(inner - side * scale) <= 0.5 or inner == 1 for inner, side in ((w, width), (h, height)))
    assert abs(640 - w - 2 * left) <= 1
    assert abs(480 - h - 2 * top) <= 1


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "lanczos", "cv2_bilinear"])
def test_the_input_has_the_photo_in_grey_padding(interpolation):
    described = Description(("animal",), (64, 64), "rows", interpolation=interpolation)
    ready = prepared(np.full((32, 64, 3), (255, 0, 51), np.uint8), described)
    assert ready.shape == (1, 3, 64, 64)
    assert ready.dtype == np.float32
    assert np.allclose(ready[0, :, :16], 114 / 255)
    assert np.allclose(ready[0, :, 48:], 114 / 255)
    assert np.allclose(ready[0, :, 16:48], np.array([1, 0, 0.2])[:, None, None])
    turned = prepared(np.full((32, 64, 3), (255, 0, 51), np.uint8), replace(described, channels="bgr", scale=1.0))
    assert np.allclose(turned, ready[:, ::-1] * 255, atol=1e-4)


# The layouts. Every network says: a person at 8, 16 to 40, 48 of its 64 x 64 px. The photo lies in its rows 8 to 56.

CENTRED = [24, 32, 32, 32]
EDGES = [8, 16, 40, 48]
BOX = (8, 8, 32, 32)  # in a photo of 64 x 48 px


def logit(p):
    return float(np.log(p / (1 - p)))


LAYOUTS = {
    "yolo": ([[[*CENTRED, 0.1, 0.75, 0.0]] + [[0, 0, 1, 1, 0, 0, 0]] * 9],),
    "yolo_objectness": ([[[*CENTRED, 0.9375, 0.1, 0.8, 0.0]] + [[0, 0, 1, 1, 0, 0, 0, 0]] * 9],),
    "rows": ([[[*EDGES, 0.75, 1], [0, 0, 0, 0, 0, 0]]],),
    "rows_centre": ([[[*(np.array(CENTRED) / 64), 0.75, 1], [0.5, 0.5, 0.1, 0.1, 0.1, 0]]],),
    "detr": ([[[-9, logit(0.75), -9], [-9, -9, -9]]], [[list(np.array(CENTRED) / 64), [0.1, 0.1, 0.1, 0.1]]]),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_each_layout_gives_the_box_in_photo_pixels(layout, tmp_path):
    found = detecting(tmp_path, *LAYOUTS[layout], layout=layout).detect(PHOTO)
    assert [(d.bbox, d.label) for d in found] == [(BOX, "person")]
    assert found[0].confidence == pytest.approx(0.75, abs=1e-6)


@pytest.mark.parametrize("layout", ["yolo", "yolo_objectness"])
def test_a_table_may_be_turned(layout, tmp_path):
    table = np.array(LAYOUTS[layout][0], np.float32).transpose(0, 2, 1)
    assert detecting(tmp_path, table, layout=layout).detect(PHOTO)[0].bbox == BOX


def test_the_outputs_of_detr_may_come_in_any_order(tmp_path):
    logits, boxes = LAYOUTS["detr"]
    assert detecting(tmp_path, boxes, logits, layout="detr").detect(PHOTO)[0].bbox == BOX
    four = (*THREE, "other")
    logits = [[[*row, -9] for row in logits[0]]]
    named = detecting(tmp_path, boxes, logits, layout="detr", labels=four, names=("pred_boxes", "logits"))
    assert named.detect(PHOTO)[0].bbox == BOX
    with pytest.raises(SnowmatchError, match="can be the boxes"):
        detecting(tmp_path, boxes, logits, layout="detr", labels=four).detect(PHOTO)


def test_rows_without_the_batch_and_without_detections(tmp_path):
    assert detecting(tmp_path, LAYOUTS["rows"][0][0], layout="rows").detect(PHOTO)[0].bbox == BOX
    for none in (np.zeros((1, 0, 6)), np.full((1, 300, 6), -1), np.zeros((300, 6))):
        assert detecting(tmp_path, none, layout="rows").detect(PHOTO) == ()


def test_relative_boxes_of_a_layout_in_pixels(tmp_path):
    table = np.array(LAYOUTS["yolo"][0])
    table[..., :4] /= 64
    assert detecting(tmp_path, table, layout="yolo", relative=True).detect(PHOTO)[0].bbox == BOX
    with pytest.raises(SnowmatchError, match="as shares of the input"):
        detecting(tmp_path, table, layout="yolo").detect(PHOTO)


def test_boxes_are_cut_off_at_the_photo_and_those_in_the_padding_left_out(tmp_path):
    rows = [[-9, 2, 90, 61, 0.75, 0], [10, 0, 20, 7, 0.5, 0], [10, 57, 20, 64, 0.5, 0]]
    assert detecting(tmp_path, [rows], layout="rows").detect(PHOTO) == (Detection((0, 0, 64, 48), "animal", 0.75),)


def test_detections_below_the_threshold_are_left_out(tmp_path):
    rows = [[*EDGES, score, 0] for score in (0.15, 0.25, 0.5)]
    plugin = detecting(tmp_path, [rows], layout="rows")
    assert [round(d.confidence, 2) for d in plugin.detect(PHOTO)] == [0.5, 0.25]
    assert [round(d.confidence, 2) for d in replace(plugin, threshold=0.3).detect(PHOTO)] == [0.5]
    settings(tmp_path / "net.onnx", "rows", threshold=0.1)
    assert len(plugin.detect(PHOTO)) == 3
    with pytest.raises(ValueError, match="threshold"):
        OnnxFile(threshold=1.5)


# Non-maximum suppression


def test_overlapping_boxes_of_one_class_become_one(tmp_path):
    rows = [
        [24, 32, 32, 32, 0.6, 0, 0],
        [25, 33, 32, 32, 0.9, 0, 0],
        [24, 32, 32, 32, 0, 0.5, 0],
        [56, 56, 9, 9, 0.4, 0, 0],
    ]
    table = [rows + [[0, 0, 1, 1, 0, 0, 0]] * 9]
    plugin = detecting(tmp_path, table, layout="yolo")
    assert [(round(d.confidence, 1), d.label) for d in plugin.detect(PHOTO)] == [
        (0.9, "animal"),
        (0.5, "person"),
        (0.4, "animal"),
    ]
    assert len(detecting(tmp_path, table, layout="yolo", nms=True).detect(PHOTO)) == 4


CORNER = st.integers(0, 40)
SOME_BOXES = st.lists(
    st.tuples(CORNER, CORNER, st.integers(1, 40), st.integers(1, 40), st.integers(1, 99), st.integers(0, 1)), max_size=9
)


def overlap_of(a, b):
    w = max(0, min(a[2], b[2]) - max(a[0], b[0]))
    h = max(0, min(a[3], b[3]) - max(a[1], b[1]))
    return w * h / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - w * h)


@given(SOME_BOXES, st.sampled_from([0.0, 0.45, 1.0]))
def test_what_is_kept_does_not_overlap_and_what_is_not_overlaps_a_better_one(some, most):
    boxes = Boxes(
        np.array([[x, y, x + w, y + h] for x, y, w, h, *_ in some], float).reshape(-1, 4),
        np.array([s / 100 for *_, s, _ in some]),
        np.array([c for *_, c in some], int),
    )
    kept = suppressed(boxes, most)
    pairs = [(i, j) for i in range(len(kept.scores)) for j in range(i) if kept.classes[i] == kept.classes[j]]
    assert all(overlap_of(kept.corners[i], kept.corners[j]) <= most + 1e-9 for i, j in pairs)
    for corners, score, number in zip(*boxes, strict=True):
        better = [c for c, s, n in zip(*kept, strict=True) if n == number and s >= score]
        same = any((c == corners).all() for c in better)
        assert same or any(overlap_of(c, corners) > most - 1e-9 for c in better)


# Networks of other kinds give an error, never a box

WRONG = {
    "too few classes": ("yolo", [np.zeros((1, 10, 6))], {}),
    "too many classes": ("yolo", [np.zeros((1, 10, 84))], {}),
    "either way round": ("yolo", [np.zeros((1, 7, 7))], {}),
    "objectness that is not declared": ("yolo", [np.zeros((1, 10, 8))], {}),
    "no objectness": ("yolo_objectness", [np.zeros((1, 10, 7))], {}),
    "logits for scores": ("yolo", [[[[*CENTRED, 5, -3, 0]]]], {}),
    "objectness above 1": ("yolo_objectness", [[[[*CENTRED, 1.5, 0.2, 0, 0]]]], {}),
    "an anchor map": ("yolo", [np.zeros((1, 3, 8, 8, 7))], {}),
    "a classifier": ("rows", [np.zeros((1, 1000))], {}),
    "one number": ("rows", [np.float32(0.5)], {}),
    "three outputs": ("rows", [np.zeros((1, 4, 6))] * 3, {}),
    "seven columns": ("rows", [np.zeros((1, 4, 7))], {}),
    "two photos": ("rows", [np.zeros((2, 4, 6))], {}),
    "class 3 of 3": ("rows", [[[[*EDGES, 0.9, 3]]]], {}),
    "class -1": ("rows", [[[[*EDGES, 0.9, -1]]]], {}),
    "half a class": ("rows", [[[[*EDGES, 0.9, 0.5]]]], {}),
    "class and score swapped": ("rows", [[[[*EDGES, 2, 0.9]]]], {}),
    "centres for corners": ("rows", [[[[40, 40, 16, 16, 0.9, 0]]]], {}),
    "corners for centres": ("rows_centre", [[[[*EDGES, 0.9, 0]]]], {}),
    "pixels of the photo": ("rows", [[[[900, 500, 2000, 1500, 0.9, 0]]]], {}),
    "shares for pixels": ("rows", [[[[0.1, 0.1, 0.5, 0.5, 0.9, 0]]]], {}),
    "not a number": ("rows", [[[[*EDGES, np.nan, 0]]]], {}),
    "an infinite box": ("rows", [[[[8, 16, np.inf, 48, 0.9, 0]]]], {}),
    "detr with another number": ("detr", [np.zeros((1, 5, 91)), np.zeros((1, 5, 4))], {}),
    "detr with other rows": ("detr", [np.zeros((1, 5, 3)), np.zeros((1, 6, 4))], {}),
    "detr with one output": ("detr", [np.zeros((1, 5, 3))], {}),
    "detr without boxes": ("detr", [np.zeros((1, 5, 3)), np.zeros((1, 5, 3))], {}),
}


@pytest.mark.parametrize("name", WRONG)
def test_outputs_of_another_kind_are_refused(name, tmp_path):
    layout, arrays, values = WRONG[name]
    with pytest.raises(SnowmatchError) as caught:
        detecting(tmp_path, *arrays, layout=layout, **values).detect(PHOTO)
    text = str(caught.value)
    assert str(tmp_path / "net.onnx") in text
    assert f"expected the layout {layout!r}" in text
    assert "\n" not in text


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [
        ((1, 64, 64, 3), TensorProto.FLOAT),
        ((1, 3, 32, 32), TensorProto.FLOAT),
        ((1, 1, 64, 64), TensorProto.FLOAT),
        ((2, 3, 64, 64), TensorProto.FLOAT),
        ((3, 64, 64), TensorProto.FLOAT),
        ((1, 3, 64, 64), TensorProto.FLOAT16),
    ],
)
def test_inputs_of_another_kind_are_refused_before_the_first_photo(shape, dtype, tmp_path):
    nodes = [helper.make_node("Cast", ["image"], ["out"], to=TensorProto.FLOAT)]
    plugin = settings(save(tmp_path / "net.onnx", nodes, ["out"], {}, shape=shape, dtype=dtype), "rows")
    for call in (plugin.check, lambda: plugin.detect(PHOTO)):
        with pytest.raises(SnowmatchError, match=r"net\.onnx takes image .* expected one image \[1, 3, 64, 64\]"):
            call()


def test_sides_without_a_number_take_the_size_of_the_settings_file(tmp_path):
    path = constant(tmp_path / "net.onnx", *LAYOUTS["rows"], shape=("n", 3, "h", "w"))
    plugin = settings(path, "rows")
    plugin.check()
    assert plugin.detect(PHOTO)[0].bbox == BOX


def test_two_inputs_are_refused(tmp_path):
    two = [helper.make_tensor_value_info(n, TensorProto.FLOAT, (1, 3, 64, 64)) for n in ("image", "sizes")]
    graph = helper.make_graph(
        [helper.make_node("Add", ["image", "sizes"], ["out"])],
        "two",
        two,
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, None)],
    )
    path = tmp_path / "net.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    with pytest.raises(SnowmatchError, match=r"takes image .*, sizes .* expected one image"):
        settings(path, "rows").check()


def test_a_worker_in_another_folder_finds_the_network(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    one = np.zeros((1, 1, 7), np.float32)
    path = constant(tmp_path / "net.onnx", one, names=("out",))
    settings(path, "rows")
    sent = pickle.dumps(OnnxFile("net.onnx"))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    pickle.loads(sent).check()


def test_files_that_are_no_networks(tmp_path):
    path = tmp_path / "net.onnx"
    path.write_bytes(b"no network")
    with pytest.raises(SnowmatchError, match="damaged or is not an ONNX network"):
        settings(path, "rows").check()
    with pytest.raises(SnowmatchError, match="no file called"):
        OnnxFile(str(tmp_path / "nothing.onnx")).check()
    other = tmp_path / "net.pt"
    other.write_bytes(b"PK\x03\x04")
    with pytest.raises(SnowmatchError, match=r"expected a file \.onnx"):
        OnnxFile(str(other)).check()


def test_weights_in_another_file_belong_to_the_network(tmp_path):
    """Exported again, the ONNX file itself is the same."""

    def export(confidence):
        network = onnx.load(constant(tmp_path / "plain.onnx", [[[8, 8, 40, 40, confidence, 0]] * 50]))
        (tmp_path / "own.data").unlink(missing_ok=True)
        apart = {"save_as_external_data": True, "location": "own.data", "size_threshold": 0}
        onnx.save_model(network, tmp_path / "own.onnx", **apart)
        return (tmp_path / "own.onnx").read_bytes(), plugin.content(), plugin.detect(PHOTO)[0].confidence

    plugin = settings(tmp_path / "own.onnx", "rows", threshold=0.05)
    (first, mark, high), (second, other, low) = export(0.9), export(0.4)
    assert first == second
    assert mark != other
    assert (high, low) == pytest.approx((0.9, 0.4))
    (tmp_path / "own.data").unlink()
    with pytest.raises(SnowmatchError, match=r"keeps its weights in 'own\.data', which is not there"):
        plugin.check()


# Settings files


def test_a_network_without_a_settings_file_is_refused(tmp_path):
    path = constant(tmp_path / "net.onnx", *LAYOUTS["rows"])
    with pytest.raises(SnowmatchError, match=r"has no settings file: write net\.toml beside it"):
        OnnxFile(str(path)).check()


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("labels = [", "is not a TOML file"),
        ("labels = ['a']", "has no input_size, layout"),
        ("labels = ['a']\ninput_size = [64, 64]\nlayout = 'row'", r"layout is 'row', .*did you mean 'rows'"),
        ("labels = []\ninput_size = [64, 64]\nlayout = 'rows'", "expected the names of the classes"),
        ("labels = 'a'\ninput_size = [64, 64]\nlayout = 'rows'", "labels is 'a', expected a list"),
        ("labels = [1]\ninput_size = [64, 64]\nlayout = 'rows'", "expected the names of the classes"),
        ("labels = ['a']\ninput_size = [64]\nlayout = 'rows'", "expected width and height"),
        ("labels = ['a']\ninput_size = [64, 0]\nlayout = 'rows'", "expected width and height"),
        ("labels = ['a']\ninput_size = [64, 64.5]\nlayout = 'rows'", "expected width and height"),
        ("labels = ['a']\ninput_size = [64, 64]\nlayout = 'rows'\nnm = true", "has the key 'nm', .*'nms'"),
        ("labels = ['a']\ninput_size = [64, 64]\nlayout = 'rows'\nnms = 1", "expected true or false"),
        ("labels = ['a']\ninput_size = [64, 64]\nlayout = 'rows'\nthreshold = 20", "threshold is 20, expected"),
        ("labels = ['a']\ninput_size = [64, 64]\nlayout = 'rows'\nscale = 0", "scale is 0, expected"),
        ("labels = ['a']\ninput_size = [64, 64]\nlayout = 'rows'\nscale = nan", "scale is nan, expected"),
        ("labels = ['a']\ninput_size = [64, 64]\nlayout = 'rows'\npad = 0.447", "pad is 0.447, expected"),
        ("labels = ['a']\ninput_size = [64, 64]\nlayout = 'rows'\nchannels = 'RGB'", "channels is 'RGB'"),
        ("labels = ['a']\ninput_size = [64, 64]\nlayout = 'rows'\nresize = 'crop'", "resize is 'crop'"),
        ("labels = ['a']\ninput_size = [64, 64]\nlayout = 'rows'\nlicence = 1", "licence is 1, expected a text"),
    ],
)
def test_a_wrong_settings_file_is_refused_by_name(text, match, tmp_path):
    path = constant(tmp_path / "net.onnx", *LAYOUTS["rows"])
    path.with_suffix(".toml").write_text(text, encoding="utf-8")
    with pytest.raises(SnowmatchError, match=match) as caught:
        OnnxFile(str(path)).check()
    assert "net.toml" in str(caught.value)


def test_the_description_tells_the_licence_and_where_the_network_is_from(tmp_path):
    plugin = detecting(tmp_path, *LAYOUTS["rows"], layout="rows", licence="MIT", source="https://example.org/net")
    assert plugin.description().licence == "MIT"
    assert plugin.description().source == "https://example.org/net"


# The manifests of MegaDetector's exports


def manifest(file="model.onnx", method="yolo_e2e", resize="letterbox", labels="one_per_line", **more):
    model = "".join(f'{key} = "{value}"\n' for key, value in more.items())
    return f"""
[model]
id = "MDV6-mit-yolov9-c"
format = "onnx"
file = "{file}"
{model}
[preprocessing]
method = "{resize}"
input_size = [64, 64]
layout = "nchw"
normalization = "unit"
pad_value = 0.447
channel_order = "rgb"
[inference]
strategy = "single"
[postprocessing]
method = "{method}"
confidence_threshold = 0.25
[labels]
file = "labels.txt"
format = "{labels}"
"""


def folder_of(tmp_path, text, labels="animal\nperson\nvehicle\n", file="model.onnx", arrays=LAYOUTS["rows"]):
    folder = tmp_path / "MDV6"
    (folder / file).parent.mkdir(parents=True)
    constant(folder / file, *arrays)
    (folder / "manifest.toml").write_text(text, encoding="utf-8")
    (folder / "labels.txt").write_text(labels, encoding="utf-8")
    return folder


@pytest.mark.parametrize("file", ["model.onnx", "1/model.onnx"])
def test_a_manifest_beside_the_network_describes_it(file, tmp_path):
    folder = folder_of(tmp_path, manifest(file), file=file)
    plugin = OnnxFile(str(folder / file))
    assert plugin.description() == Description(
        THREE, (64, 64), "rows", threshold=0.25, licence="MIT", source=onnx_file.RECORD
    )
    assert plugin.detect(PHOTO)[0].bbox == BOX


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("name_index_csv", "vehicle,2\nanimal,0\nperson,1\n"),
        ("index_name_csv", "1,person\n0,animal\n2,vehicle\n"),
    ],
)
def test_labels_with_numbers(form, text, tmp_path):
    folder = folder_of(tmp_path, manifest(labels=form), text)
    assert OnnxFile(str(folder / "model.onnx")).description().labels == THREE
    (folder / "labels.txt").write_text(text.replace("2", "3"), encoding="utf-8")
    with pytest.raises(SnowmatchError, match="numbers its labels"):
        OnnxFile(str(folder / "model.onnx")).check()


def test_the_methods_of_a_manifest(tmp_path):
    stretched = OnnxFile(str(folder_of(tmp_path / "a", manifest(method="rtdetr_topk", resize="resize")) / "model.onnx"))
    described = stretched.description()
    assert (described.layout, described.resize, described.relative, described.nms) == (
        "rows_centre",
        "stretch",
        True,
        True,
    )
    old = OnnxFile(str(folder_of(tmp_path / "b", manifest(method="megadet_v5a")) / "model.onnx")).description()
    assert (old.layout, old.nms, old.overlap) == ("yolo_objectness", False, 0.45)


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ('method = "yolo_e2e"', 'method = "heatmap_peaks"', "method is 'heatmap_peaks'"),
        ('method = "letterbox"', 'method = "mel_spectrogram"', "method is 'mel_spectrogram'"),
        ('"unit"', '"imagenet"', "normalization is 'imagenet'"),
        ('"nchw"', '"nhwc"', "layout is 'nhwc'"),
        ('"single"', '"tiled"', "strategy is 'tiled'"),
        ('"onnx"', '"tflite"', "format is 'tflite'"),
        ("[labels]", "[names]", r"no part \[labels\]"),
        ("input_size", "size", "has no 'input_size'"),
        ("[64, 64]", "64", "expected a list"),
        ('"rgb"', '"grey"', "channels is 'grey'"),
        ("0.25", "25", "threshold is 25"),
        ("labels.txt", "names.txt", "cannot be read"),
    ],
)
def test_a_manifest_that_asks_for_something_else_is_refused(old, new, match, tmp_path):
    assert old in manifest()
    folder = folder_of(tmp_path, manifest().replace(old, new))
    with pytest.raises(SnowmatchError, match=match):
        OnnxFile(str(folder / "model.onnx")).check()


def test_a_manifest_of_another_file_or_content_is_not_used(tmp_path):
    folder = folder_of(tmp_path, manifest("other.onnx"))
    with pytest.raises(SnowmatchError, match="has no settings file"):
        OnnxFile(str(folder / "model.onnx")).check()
    content = hashlib.sha256((folder / "model.onnx").read_bytes()).hexdigest()
    (folder / "manifest.toml").write_text(manifest(onnx_sha256=content), encoding="utf-8")
    OnnxFile(str(folder / "model.onnx")).check()
    (folder / "manifest.toml").write_text(manifest(onnx_sha256="0" * 64), encoding="utf-8")
    with pytest.raises(SnowmatchError, match="not the file that"):
        OnnxFile(str(folder / "model.onnx")).check()


# Archives, and MegaDetector by name


def archive(path, folder, skip=()):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for item in sorted(folder.rglob("*")):
            if item.is_file() and item.name not in skip:
                file.write(item, item.relative_to(folder.parent).as_posix())
    return path


@pytest.mark.parametrize("file", ["model.onnx", "1/model.onnx"])
def test_an_archive_is_used_as_it_is(file, tmp_path):
    folder = folder_of(tmp_path, manifest(file), file=file)
    content = hashlib.sha256((folder / file).read_bytes()).hexdigest()
    (folder / "manifest.toml").write_text(manifest(file, onnx_sha256=content), encoding="utf-8")
    plugin = OnnxFile(str(archive(tmp_path / "net.zip", folder)))
    plugin.check()
    assert plugin.detect(PHOTO)[0].bbox == BOX
    assert plugin.description().licence == "MIT"


def test_archives_that_cannot_be_used(tmp_path):
    folder = folder_of(tmp_path, manifest())
    path = tmp_path / "net.zip"
    for skip, match in (
        (("manifest.toml",), "has 1 ONNX files and 0 of manifest.toml"),
        (("model.onnx",), "has 0 ONNX files and 1 of manifest.toml"),
        (("labels.txt",), "labels.txt in .* cannot be read"),
    ):
        archive(path, folder, skip)
        with pytest.raises(SnowmatchError, match=match):
            OnnxFile(str(path)).check()
    network = onnx.load(folder / "model.onnx")
    onnx.save_model(network, folder / "model.onnx", save_as_external_data=True, location="w.data", size_threshold=0)
    with pytest.raises(SnowmatchError, match=r"model\.onnx keeps its weights in other files: unpack the archive"):
        OnnxFile(str(archive(path, folder))).check()
    whole = archive(path, folder).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SnowmatchError, match="cannot be read as a zip archive"):
        OnnxFile(str(path)).check()
    (folder / "manifest.toml").write_text(manifest(onnx_sha256="1" * 64), encoding="utf-8")
    archive(path, folder)
    with pytest.raises(SnowmatchError, match=r"is damaged: MDV6/model\.onnx is not the file"):
        OnnxFile(str(path)).check()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.delenv("SNOWMATCH_WEIGHTS", raising=False)
    monkeypatch.setattr(platformdirs, "user_cache_path", lambda *_, **__: tmp_path / "cache")
    folder = tmp_path / "cache" / "weights"
    folder.mkdir(parents=True)
    return folder


@pytest.mark.parametrize("entry", WEIGHTS, ids=lambda e: e.name)
def test_megadetector_is_found_by_name(entry, cache, tmp_path):
    layout = {"MDV6-mit-yolov9-c": "rows", "MDV6-apa-rtdetr-c": "rows_centre"}[entry.name]
    with pytest.raises(SnowmatchError, match="not on this computer"):
        OnnxFile(entry.name).check()
    alone = next(file.name for file in entry.files if file.name.endswith(".onnx"))
    rows = np.zeros((1, 300, 6))
    rows[0, 0] = (0.25, 0.5, 0.5, 0.5, 0.75, 0) if layout == "rows_centre" else (0, 160, 320, 480, 0.75, 0)
    constant(cache / alone, rows, shape=(1, 3, 640, 640))
    plugin = OnnxFile(entry.name)
    assert plugin.description() == KNOWN[entry.name]
    assert plugin.description().licence == entry.licence
    mark = plugin.content()
    (found,) = plugin.detect(np.zeros((640, 1280, 3), np.uint8))
    inside = (0, 160, 640, 320) if layout == "rows_centre" else (0, 0, 640, 640)  # stretched, or in a letterbox
    assert found == Detection(inside, "animal", 0.75)
    constant(cache / alone, rows / 2, shape=(1, 3, 640, 640))
    assert plugin.content() != mark  # another version under the official name


def test_a_network_whose_sum_is_known_needs_no_mark_of_its_file(cache, tmp_path, monkeypatch):
    entry = WEIGHTS[0]
    path = archive(cache / entry.files[0].name, folder_of(tmp_path, manifest()))
    known = replace(entry.files[0], sha256=weights_sum(path))
    monkeypatch.setattr("snowmatch.models.registry._collected", lambda: (replace(entry, files=(known,)),))
    assert OnnxFile(entry.name).description().input_size == (64, 64)
    assert OnnxFile(entry.name).content() == ""


def test_the_manifest_of_an_official_archive_comes_first(cache, tmp_path, monkeypatch):
    folder = folder_of(tmp_path, manifest())
    packed = archive(tmp_path / "net.zip", folder)
    entry = WEIGHTS[1]  # no sum is known of its archive
    (cache / entry.files[0].name).write_bytes(packed.read_bytes())
    assert OnnxFile(entry.name).description().input_size == (64, 64)
    archive(packed, folder, ("manifest.toml", "labels.txt"))
    (cache / entry.files[0].name).write_bytes(packed.read_bytes())
    assert OnnxFile(entry.name).description() == KNOWN[entry.name]


def test_the_plugin_is_found_and_its_settings_are_options():
    assert plugin_class("detectors", "onnx_file") is OnnxFile
    plugin = make_plugin("detectors", "onnx_file", {"model": "x.onnx", "threshold": "0.5"})
    assert plugin == OnnxFile("x.onnx", 0.5)


# The conformance checks


@pytest.mark.parametrize("check", DETECTOR_CHECKS.values(), ids=list(DETECTOR_CHECKS))
def test_an_onnx_detector_passes_the_checks(check, tmp_path):
    plugin = settings(cells(tmp_path / "net.onnx"), "yolo", ["animal"], resize="stretch")
    assert plugin.detect(scene(320, 240))
    check(plugin)


@dataclass(frozen=True)
class Bright:
    """The box around everything bright."""

    REVISION: ClassVar[int] = 1

    level: int = 128

    def check(self):
        pass

    def detect(self, photo):
        rows, columns = np.nonzero((photo > self.level).all(axis=2) & (np.ptp(photo, axis=(0, 1)) > 0).all())
        if not len(rows):
            return ()
        x, y, right, bottom = (int(v) for v in (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1))
        share = float(len(rows) / photo[..., 0].size)
        return Detection((x, y, right - x, bottom - y), "animal", share), Detection((x, y, 1, 1), "animal", share / 2)


def changed(**members):
    return dataclass(frozen=True)(type("Made", (Bright,), {"__doc__": "For a test.", **members}))()


def giving(change):
    return changed(detect=lambda self, photo: change(photo, Bright.detect(self, photo)))


def shifted(found, by):
    return tuple(replace(d, bbox=(d.bbox[0] + by, *d.bbox[1:])) for d in found)


CALLS = []


def sometimes(photo, found):
    CALLS.append(0)
    return found[: 1 + (len(CALLS) == 1)]


def blackened(photo, found):
    photo[0, 0] = 0
    return found


BROKEN = {
    "detector_is_complete": [
        (changed(detect=lambda self, photo, bbox: ()), r"expected \(photo\)"),
        (changed(check=lambda self, strict: None), r"expected \(\)"),
        (Bright, "is a class, expected a plugin"),
    ],
    "settings_are_frozen_fields": [(changed(REVISION=0), "REVISION is 0")],
    "detections_are_as_declared": [
        (giving(lambda photo, found: list(found)), "returns list, expected a tuple"),
        (giving(lambda photo, found: tuple(d.bbox for d in found)), r"expected snowmatch\.core\.types\.Detection"),
        (giving(lambda photo, found: shifted(found, 200)), "does not lie inside"),
        (giving(lambda photo, found: shifted(found, -300)), "does not lie inside"),
        (giving(lambda photo, found: shifted(found, 0.0)), "not of whole numbers"),
        (giving(lambda photo, found: found[::-1]), "not sorted"),
        (giving(lambda photo, found: tuple(replace(d, confidence=1) for d in found)), "expected a float"),
    ],
    "nothing_to_see_gives_no_detections": [
        (giving(lambda photo, found: (Detection((0, 0, 1, 1), "animal", 0.9),)), "of one colour, expected"),
    ],
    "same_photo_same_detections": [
        (giving(sometimes), "the second run gives other"),
        (giving(lambda photo, found: found[: 1 + photo.flags.c_contiguous]), "a view gives other"),
    ],
    "photo_is_not_changed": [(giving(blackened), "pixels were changed")],
}


@pytest.mark.parametrize("check", DETECTOR_CHECKS.values(), ids=list(DETECTOR_CHECKS))
def test_a_right_detector_passes_and_wrong_ones_fail(check):
    check(Bright())
    assert set(BROKEN) == set(DETECTOR_CHECKS)
    for plugin, match in BROKEN[check.__name__]:
        CALLS.clear()
        with pytest.raises(AssertionError, match=match):
            check(plugin)


# Stored detections


def test_detections_are_kept_however_the_path_of_the_network_is_typed(tmp_path, monkeypatch):
    Image.fromarray(PHOTO).save(tmp_path / "a.png")
    whole = detecting(tmp_path, [[[*EDGES, 0.9, 1]]], layout="rows")
    monkeypatch.chdir(tmp_path)
    looked = []

    def run(model):
        detector = replace(whole, model=model)
        found = run_detector(tmp_path, detector, {"a.png": "0" * 64}, 1, lambda done, _: looked.append(done), {})
        return found["a.png"]

    assert run("net.onnx") == run("./net.onnx") == run(whole.model)
    assert looked == [1]
    key = settings_key({**plugin_settings(whole), "content": whole.content()})  # as earlier versions stored them
    (tmp_path / "old").mkdir()
    save_detections(tmp_path / "old", key, {"0" * 64: ()})
    assert run_detector(tmp_path / "old", whole, {"a.png": "0" * 64}, 1, None, {})["a.png"] == ()


@pytest.mark.parametrize("changed", ["network", "settings file"])
def test_detections_of_a_network_that_was_changed_are_made_again(tmp_path, changed):
    """They are kept by the settings, of which the name of the file stays the same."""
    Image.fromarray(PHOTO).save(tmp_path / "a.png")
    detector = detecting(tmp_path, [[[*EDGES, 0.9, 1]]], layout="rows")

    def run():
        failed = {}
        (found,) = run_detector(tmp_path, detector, {"a.png": "0" * 64}, 1, None, failed)["a.png"]
        assert not failed
        return found.bbox, found.label

    assert run() == run() == (BOX, "person")
    if changed == "network":
        constant(tmp_path / "net.onnx", [[[*EDGES, 0.9, 2]]])
    else:
        settings(tmp_path / "net.onnx", "rows", ("person", "vehicle", "animal"))
    assert run() == (BOX, "vehicle")
