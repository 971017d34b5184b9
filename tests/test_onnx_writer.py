"""ONNX files of snowmatch's own writer: other programs accept them, compute what the nodes say, and bytes repeat."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snowmatch.models.onnx_writer import Node, _varint, write_onnx

RNG = np.random.default_rng(0)
WEIGHTS = {
    "low": np.array(0, np.float32),
    "high": np.array(6, np.float32),
    "first.w": RNG.normal(0, 1, (8, 3, 3, 3)).astype(np.float32),
    "first.b": RNG.normal(0, 1, 8).astype(np.float32),
    "each.w": RNG.normal(0, 1, (8, 1, 3, 3)).astype(np.float32),
    "each.b": RNG.normal(0, 1, 8).astype(np.float32),
}
NODES = (
    Node(
        "Conv",
        ("image", "first.w", "first.b"),
        "first",
        {"kernel_shape": (3, 3), "strides": (2, 2), "pads": (0, 0, 1, 1), "group": 1},
    ),
    Node("Clip", ("first", "low", "high"), "clipped"),
    Node("Conv", ("clipped", "each.w", "each.b"), "each", {"kernel_shape": (3, 3), "pads": (1, 1, 1, 1), "group": 8}),
    Node("Add", ("each", "clipped"), "sum"),
    Node("Identity", ("sum",), "answer"),
)


def network(nodes=NODES, weights=WEIGHTS):
    outputs = {"answer": (1, 8, "rows", "columns"), "clipped": (1, 8, "rows", "columns")}
    return write_onnx(nodes, weights, ("image", (1, 3, "height", "width")), outputs)


def convolved(x, w, b, stride, pads, groups):
    """Return the convolution of x (C, H, W) as ONNX defines it. pads: (top, left, bottom, right)."""
    x = np.pad(x.astype(np.float64), ((0, 0), (pads[0], pads[2]), (pads[1], pads[3])))
    size = w.shape[2:]
    windows = np.lib.stride_tricks.sliding_window_view(x, size, (1, 2))[:, ::stride, ::stride]
    into, out = len(x) // groups, len(w) // groups
    parts = [
        np.einsum("chwij,ocij->ohw", windows[g * into : (g + 1) * into], w[g * out : (g + 1) * out])
        for g in range(groups)
    ]
    return np.concatenate(parts) + b[:, None, None]


def expected(image):
    first = convolved(image, WEIGHTS["first.w"], WEIGHTS["first.b"], 2, (0, 0, 1, 1), 1)
    clipped = np.clip(first, 0, 6)
    return convolved(clipped, WEIGHTS["each.w"], WEIGHTS["each.b"], 1, (1, 1, 1, 1), 8) + clipped, clipped


@pytest.mark.parametrize("size", [(8, 8), (12, 34), (2, 2)])
def test_opencv_computes_what_the_nodes_say(size):
    net = cv2.dnn.readNetFromONNX(np.frombuffer(network(), np.uint8))
    image = RNG.normal(0, 1, (3, *size)).astype(np.float32)
    net.setInput(image[None])
    found = net.forward(["answer", "clipped"])
    for values, wanted in zip(found, expected(image), strict=True):
        assert values.shape == (1, *wanted.shape)
        assert np.allclose(values[0], wanted, atol=1e-4)
    assert 0 < (found[1] == 0).mean() < 1  # both limits of Clip are met or passed
    assert found[1].max() == 6 or size == (2, 2)


def test_onnxruntime_computes_the_same():
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(network(), providers=["CPUExecutionProvider"])
    (given_input,) = session.get_inputs()
    assert (given_input.name, given_input.shape) == ("image", [1, 3, "height", "width"])
    assert [(o.name, o.shape) for o in session.get_outputs()] == [
        ("answer", [1, 8, "rows", "columns"]),
        ("clipped", [1, 8, "rows", "columns"]),
    ]
    image = RNG.normal(0, 1, (3, 10, 6)).astype(np.float32)
    for values, wanted in zip(session.run(None, {"image": image[None]}), expected(image), strict=True):
        assert np.allclose(values[0], wanted, atol=1e-4)


def test_the_checker_of_onnx_accepts_the_file_and_reads_all_of_it():
    onnx = pytest.importorskip("onnx")
    model = onnx.load_from_string(network())
    onnx.checker.check_model(model, full_check=True)
    assert [node.op_type for node in model.graph.node] == [node.operator for node in NODES]
    for written, node in zip(model.graph.node, NODES, strict=True):
        assert tuple(written.input) == node.inputs
        assert tuple(written.output) == (node.output,)
        read = {a.name: onnx.helper.get_attribute_value(a) for a in written.attribute}
        assert {n: tuple(v) if isinstance(v, list) else v for n, v in read.items()} == dict(node.attributes)
    arrays = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    assert list(arrays) == list(WEIGHTS)
    for name, values in WEIGHTS.items():
        assert (arrays[name].dtype, arrays[name].shape) == (np.float32, values.shape)
        assert (arrays[name] == values).all()


def test_sides_and_attributes_above_one_byte_are_read_again():
    onnx = pytest.importorskip("onnx")
    big = {"kernel_shape": (127, 128, 16_383, 16_384, 2**31 - 1), "group": 2**62}
    sides = (1, 128, 300, 2**40)
    file = write_onnx([Node("Conv", ("image",), "answer", big)], {}, ("image", sides), {"answer": sides})
    graph = onnx.load_from_string(file).graph
    read = {a.name: onnx.helper.get_attribute_value(a) for a in graph.node[0].attribute}
    assert read == {"kernel_shape": list(big["kernel_shape"]), "group": 2**62}
    assert tuple(side.dim_value for side in graph.input[0].type.tensor_type.shape.dim) == sides


def test_names_in_any_letters_are_read_again():
    onnx = pytest.importorskip("onnx")
    long = "снежный барс 雪豹 " * 30
    graph = onnx.load_from_string(network((*NODES, Node("Identity", ("answer",), long)))).graph
    assert graph.node[-1].output == [long]


def test_the_same_network_is_the_same_bytes_and_another_one_is_not():
    assert network() == network()
    turned = {name: np.asarray(values, order="F") for name, values in WEIGHTS.items()}
    assert network(weights=turned) == network()
    apart = {name: np.repeat(values[..., None], 2, -1)[..., 0] for name, values in WEIGHTS.items()}
    assert network(weights=apart) == network()
    assert network(weights={**WEIGHTS, "high": np.array(7, np.float32)}) != network()


def test_weights_are_not_changed():
    before = {name: values.copy() for name, values in WEIGHTS.items()}
    network()
    assert all((WEIGHTS[name] == values).all() for name, values in before.items())


@given(st.integers(0, 2**63 - 1))
def test_a_varint_has_seven_bits_in_each_byte_the_lowest_first(value):
    written = _varint(value)
    assert sum((byte & 0x7F) << 7 * n for n, byte in enumerate(written)) == value
    assert [byte >> 7 for byte in written] == [1] * (len(written) - 1) + [0]
    assert len(written) == max(1, -(-value.bit_length() // 7))


def test_known_varints():
    assert [_varint(value) for value in (0, 1, 127, 128, 300)] == [b"\0", b"\1", b"\x7f", b"\x80\1", b"\xac\2"]
