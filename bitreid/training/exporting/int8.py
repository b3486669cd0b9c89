"""Quantisation: an ONNX model that computes in whole numbers of 8 bits where it takes its time."""

import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx

from bitreid.arrays import Pixels
from bitreid.encoding.onnx.engine import PICTURES

QUANTISED = ("Conv", "Clip", "Relu", "MaxPool", "Add")
"""Operators that compute in 8 bits, as far as they work on maps."""

BATCH = 16
"""Pictures that are calibrated with together."""


def quantise(model: bytes, pictures: Pixels) -> bytes:
    """Return a model, as `export_onnx` gives it with batch norms folded, whose convolutions compute in 8 bits.

    The range of each tensor is that over `pictures (n, H, W, 3) uint8`; weights have a range for each channel. In full
    precision stay the first convolution, which sees the pixels; convolutions to a single channel, such as a spatial
    gate, which scales everything after it; and descriptors and attributes, which decide the bits. What clips a
    convolution's output gives the range of it, so that no value is spent on what is clipped.
    """
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.batches: Iterator[Pixels] = (pictures[i : i + BATCH] for i in range(0, len(pictures), BATCH))

        def get_next(self) -> dict[str, Pixels] | None:
            batch = next(self.batches, None)
            return None if batch is None else {PICTURES: np.ascontiguousarray(batch)}

    logger = logging.getLogger()
    level = logger.level
    with tempfile.TemporaryDirectory() as folder:
        exported, prepared, quantised = (Path(folder, name) for name in ("exported", "prepared", "quantised"))
        exported.write_bytes(model)
        logger.setLevel(logging.ERROR)  # it advises on steps that are taken here
        try:
            quant_pre_process(str(exported), str(prepared), skip_symbolic_shape=True)
            quantize_static(
                str(prepared),
                str(quantised),
                Reader(),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=list(QUANTISED),
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                nodes_to_exclude=_kept(onnx.load(str(prepared))),
            )
        finally:
            logger.setLevel(level)
        return _standard(quantised.read_bytes())


def _standard(model: bytes) -> bytes:
    """Return a model without the sets of operators that onnxruntime declares and the model does not use."""
    loaded = onnx.load_from_string(model)
    used = [each for each in loaded.opset_import if each.domain in {node.domain for node in loaded.graph.node}]
    del loaded.opset_import[:]
    loaded.opset_import.extend(used)
    data: bytes = loaded.SerializeToString()
    return data


def _kept(model: onnx.ModelProto) -> list[str]:
    """Return the names of the operators that stay in full precision."""
    outputs = {tensor.name: tensor.dims[0] for tensor in model.graph.initializer if tensor.dims}
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    gates = [node.name for node in convolutions if outputs.get(node.input[1]) == 1]
    made_by = {output: node.op_type for node in model.graph.node for output in node.output}
    others = [
        node.name
        for node in model.graph.node
        if node.op_type == "Add" and not all(made_by.get(name) in QUANTISED for name in node.input)
    ]
    return [*(node.name for node in convolutions[:1]), *gates, *others]
