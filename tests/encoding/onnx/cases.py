"""Small ONNX models, made by hand, and a card to go with them."""

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from bitreid.artifact import Card, InputSpec

CARD = Card(
    name="by hand",
    model={},
    input=InputSpec(4, 2, (0, 0, 0), (1, 1, 1)),
    n_bits=8,
    parts=(),
    n_features=8,
    attributes=None,
    thresholds={},
    training={},
    licence="none",
    metrics={},
)
"""Pictures of 4x2, features of 8 bits."""

PLACES = np.array([128, 64, 32, 16, 8, 4, 2, 1], np.float32)


def by_hand(**changes: Any) -> onnx.ModelProto:
    """A model whose features are a picture's first eight values less 100; `changes` are its sizes and its name of the
    code."""
    height, n_bits, code = changes.get("height", 4), changes.get("n_bits", 8), changes.get("code", "code")
    constants: dict[str, npt.NDArray[Any]] = {
        "shape": np.array([-1, height * 2 * 3], np.int64),
        "start": np.array([0], np.int64),
        "stop": np.array([n_bits], np.int64),
        "axis": np.array([1], np.int64),
        "hundred": np.array(100, np.float32),
        "zero": np.array(0, np.float32),
        "places": np.resize(PLACES, n_bits)[:, None],
    }
    nodes = [
        helper.make_node("Cast", ["pictures"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Reshape", ["floats", "shape"], ["flat"]),
        helper.make_node("Slice", ["flat", "start", "stop", "axis"], ["values"]),
        helper.make_node("Sub", ["values", "hundred"], ["features"]),
        helper.make_node("Greater", ["features", "zero"], ["bits"]),
        helper.make_node("Cast", ["bits"], ["ones"], to=TensorProto.FLOAT),
        helper.make_node("MatMul", ["ones", "places"], ["sums"]),
        helper.make_node("Cast", ["sums"], [code], to=TensorProto.UINT8),
    ]
    graph = helper.make_graph(
        nodes,
        "by hand",
        [helper.make_tensor_value_info("pictures", TensorProto.UINT8, ["n", height, 2, 3])],
        [
            helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", n_bits]),
            helper.make_tensor_value_info(code, TensorProto.UINT8, ["n", 1]),
        ],
        [numpy_helper.from_array(values, name) for name, values in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
