"""Small ONNX networks whose answer is known, for tests of segmenters."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def write_network(path, nodes, inputs, outputs, constants=None):
    """Write an ONNX file. inputs, outputs: the shape of each by name. constants: arrays by name."""
    graph = helper.make_graph(
        nodes,
        "drawn",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()],
        [numpy_helper.from_array(np.asarray(values), name) for name, values in (constants or {}).items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    return path


def write_echo(path, gains=(1 / 3, 1 / 3, 1 / 3), offset=0.5, side="side", outputs=1):
    """Write a network for segmenters that answers a weighted sum of the three channels, plus an offset."""
    nodes = [
        helper.make_node("Conv", ["input", "gains", "offset"], ["first"]),
        *(helper.make_node("Sub", ["first", "first"], [f"other{i}"]) for i in range(1, outputs)),
    ]
    shape = [1, 1, side, side]
    return write_network(
        path,
        nodes,
        {"input": [1, 3, side, side]},
        {"first": shape, **{f"other{i}": shape for i in range(1, outputs)}},
        {"gains": np.array(gains, np.float32).reshape(1, 3, 1, 1), "offset": np.array([offset], np.float32)},
    )


def write_encoder(path, flat=False):
    """Write an encoder of the SAM family: it passes on the picture, (1, 3, 1024, 1024).

    flat: the encoder takes (H, W, 3), and normalises nothing here.
    """
    if not flat:
        node = helper.make_node("Identity", ["images"], ["image_embeddings"])
        shape = [1, 3, 1024, 1024]
        return write_network(path, [node], {"images": shape}, {"image_embeddings": shape})
    nodes = [
        helper.make_node("Transpose", ["images"], ["planes"], perm=[2, 0, 1]),
        helper.make_node("Unsqueeze", ["planes", "first"], ["image_embeddings"]),
    ]
    return write_network(
        path, nodes, {"images": ["h", "w", 3]}, {"image_embeddings": [1, 3, "h", "w"]}, {"first": np.array([0])}
    )


DECODER = {
    "image_embeddings": [1, 3, "H", "W"],
    "point_coords": [1, "points", 2],
    "point_labels": [1, "points"],
    "mask_input": [1, 1, 256, 256],
    "has_mask_input": [1],
    "orig_im_size": [2],
}


def write_decoder(path, shown="image", qualities=(0.1, 0.9), without=()):
    """Write a decoder of the SAM family, whose masks show one of its inputs.

    shown: `image` (the first channel, cut to `orig_im_size`), `nan`, or the number of a coordinate of the box's
    corners, 0 to 3: a thousandth of it everywhere. With two `qualities`, mask 0 is the opposite and mask 1 is what is
    shown. All values are far below 0 if the labels are not those of a box. without: inputs that the decoder does not
    have, `mask_input` or `has_mask_input`.
    """
    constants = {
        "zero": np.array([0]),
        "one": np.array([1]),
        "rows": np.array([2, 3]),
        "corner": np.array([0, 0]),
        "labels": np.array([[2, 3]], np.float32),
        "qualities": np.array([qualities], np.float32),
        "tiny": np.array(0.001, np.float32),
        "many": np.array(-1000, np.float32),
    }
    nodes = [
        helper.make_node("Slice", ["image_embeddings", "zero", "one", "one"], ["channel"]),
        helper.make_node("Cast", ["orig_im_size"], ["size"], to=TensorProto.INT64),
        helper.make_node("Slice", ["channel", "corner", "size", "rows"], ["picture"]),
        helper.make_node("Sub", ["point_labels", "labels"], ["wrong"]),
        helper.make_node("Abs", ["wrong"], ["fault"]),
        helper.make_node("ReduceSum", ["fault"], ["faults"], keepdims=0),
        helper.make_node("Mul", ["faults", "many"], ["fine"]),
        helper.make_node("Identity", ["qualities"], ["iou_predictions"]),
    ]
    if shown == "image":
        nodes.append(helper.make_node("Identity", ["picture"], ["plain"]))
    elif shown == "nan":
        nodes += [
            helper.make_node("Sub", ["picture", "picture"], ["nothing"]),
            helper.make_node("Div", ["nothing", "nothing"], ["plain"]),
        ]
    else:
        constants |= {"four": np.array([4]), "which": np.array(shown)}
        nodes += [
            helper.make_node("Reshape", ["point_coords", "four"], ["coordinates"]),
            helper.make_node("Gather", ["coordinates", "which"], ["coordinate"]),
            helper.make_node("Mul", ["coordinate", "tiny"], ["thousandth"]),
            helper.make_node("Sub", ["picture", "picture"], ["nothing"]),
            helper.make_node("Add", ["nothing", "thousandth"], ["plain"]),
        ]
    nodes += [
        helper.make_node("Add", ["plain", "fine"], ["outline"]),
        helper.make_node("Neg", ["outline"], ["opposite"]),
        helper.make_node("Concat", ["opposite", "outline"] if len(qualities) == 2 else ["outline"], ["masks"], axis=1),
    ]
    inputs = {name: shape for name, shape in DECODER.items() if name not in without}
    outputs = {"masks": [1, len(qualities), "h", "w"], "iou_predictions": [1, len(qualities)]}
    return write_network(path, nodes, inputs, outputs, constants)
