"""A writer of small ONNX files: a network as nodes and weights becomes the bytes that OpenCV and onnxruntime read.

The same network always gives the same bytes. Source: onnx.proto of the ONNX project (the numbers of its fields).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

VERSION, OPSET = 7, 13  # of the format, and of its operators
INT, INTS, FLOAT = 2, 7, 1  # AttributeProto.type of the attributes; TensorProto.FLOAT


@dataclass(frozen=True)
class Node:
    """One operation: its ONNX operator, the names of its inputs and its output, and its attributes."""

    operator: str
    inputs: tuple[str, ...]
    output: str
    attributes: Mapping[str, int | tuple[int, ...]] = field(default_factory=dict)


def write_onnx(
    nodes: Sequence[Node],
    weights: Mapping[str, np.ndarray],
    input_shape: tuple[str, Sequence[int | str]],
    outputs: Mapping[str, Sequence[int | str]],
) -> bytes:
    """Return an ONNX file.

    weights: float32 arrays by name. input_shape: the name of the input and its sides; a text is a side of any length.
    outputs: the sides of each output, by name.
    """
    graph = [_bytes(1, _node(node)) for node in nodes]
    graph.append(_bytes(2, b"snowmatch"))
    graph += [_bytes(5, _tensor(name, values)) for name, values in weights.items()]
    graph.append(_bytes(11, _value(*input_shape)))
    graph += [_bytes(12, _value(name, sides)) for name, sides in outputs.items()]
    opset = _bytes(1, b"") + _number(2, OPSET)
    return b"".join((_number(1, VERSION), _bytes(2, b"snowmatch"), _bytes(7, b"".join(graph)), _bytes(8, opset)))


def _node(node: Node) -> bytes:
    parts = [_bytes(1, name.encode()) for name in node.inputs]
    parts += [_bytes(2, node.output.encode()), _bytes(3, node.output.encode()), _bytes(4, node.operator.encode())]
    for name, value in node.attributes.items():
        if isinstance(value, int):
            body = _number(3, value) + _number(20, INT)
        else:
            body = b"".join(_number(8, n) for n in value) + _number(20, INTS)
        parts.append(_bytes(5, _bytes(1, name.encode()) + body))
    return b"".join(parts)


def _tensor(name: str, values: np.ndarray) -> bytes:
    sides = b"".join(_number(1, side) for side in values.shape)
    content = np.asarray(values, "<f4").tobytes()
    return sides + _number(2, FLOAT) + _bytes(8, name.encode()) + _bytes(9, content)


def _value(name: str, sides: Sequence[int | str]) -> bytes:
    shape = b"".join(
        _bytes(1, _number(1, side) if isinstance(side, int) else _bytes(2, side.encode())) for side in sides
    )
    kind = _number(1, FLOAT) + _bytes(2, shape)
    return _bytes(1, name.encode()) + _bytes(2, _bytes(1, kind))


def _number(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


def _bytes(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
