"""A network as an ONNX model: from pictures as they come to features, codes and attributes."""

import io
import warnings

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from bitreid.artifact import Card
from bitreid.encoding.onnx.engine import ATTRIBUTES, CODE, FEATURES, LOGITS, PICTURES
from bitreid.errors import ArtifactError
from bitreid.models import HashingNetwork
from bitreid.text import brief
from bitreid.training.augment import Normalise

OPSET = 18
"""Version of the standard operators that models are exported for."""


class _Deployed(nn.Module):
    """Pictures `(N, H, W, 3) uint8` to what an exported model gives, see `OnnxEngine`."""

    places: Tensor

    def __init__(self, network: HashingNetwork, card: Card) -> None:
        super().__init__()
        self.network = network
        self.normalise = Normalise(card.input)
        self.n_bytes = card.n_bits // 8
        self.register_buffer("places", torch.tensor([128.0, 64, 32, 16, 8, 4, 2, 1]))

    def forward(self, pictures: Tensor) -> tuple[Tensor, ...]:
        output = self.network(self.normalise(pictures.permute(0, 3, 1, 2).float() / 255))
        bits = (output.student > 0).float().reshape(-1, self.n_bytes, 8)
        code = (bits * self.places).sum(dim=2).to(torch.uint8)
        logits = output.attribute_logits
        return (output.student, code) if logits is None else (output.student, code, torch.sigmoid(logits), logits)


def export_onnx(network: HashingNetwork, card: Card, folded: bool = False) -> bytes:
    """Return a deployed network (without a teacher, on the CPU) as an ONNX model of any batch size.

    Its tensors are stored in half precision where they lose nothing by it, as an artifact's do. `folded` puts batch
    norms into the convolutions before them, as quantisation wants it; onnxruntime does so when it loads a model.
    `ArtifactError` for a network that cannot be exported.
    """
    names = [FEATURES, CODE, *([] if card.attributes is None else [ATTRIBUTES, LOGITS])]
    pictures = torch.zeros(2, card.input.height, card.input.width, 3, dtype=torch.uint8)
    training = torch.onnx.TrainingMode
    file = io.BytesIO()
    try:
        # The other exporter takes ten times as long. This one is deprecated, and traces: its warnings say so.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                _Deployed(network, card).eval(),
                (pictures,),
                file,  # type: ignore[arg-type]  # which takes files, too
                input_names=[PICTURES],
                output_names=names,
                dynamic_axes={name: {0: "n"} for name in (PICTURES, *names)},
                dynamo=False,
                opset_version=OPSET,
                training=training.EVAL if folded else training.PRESERVE,
                do_constant_folding=folded,
            )
    except Exception as error:  # of whatever kind the caller's own backbone may raise
        raise ArtifactError(
            f"expected a network that ONNX has operators for, got one that cannot be exported: {brief(error)}; "
            "use it with PyTorch"
        ) from error
    model = onnx.load_from_string(file.getvalue())
    _with_sizes(model, card)
    if not folded:
        _halve(model)
    onnx.checker.check_model(model)
    data: bytes = model.SerializeToString()
    return data


def _with_sizes(model: onnx.ModelProto, card: Card) -> None:
    """Write the outputs' sizes into the model: the exporter does not find all of them."""
    n_attributes = 0 if card.attributes is None else len(card.attributes)
    sizes = {FEATURES: card.n_features, CODE: card.n_bits // 8, ATTRIBUTES: n_attributes, LOGITS: n_attributes}
    for output in model.graph.output:
        dimensions = output.type.tensor_type.shape.dim
        del dimensions[:]
        dimensions.add(dim_param="n")
        dimensions.add(dim_value=sizes[output.name])


def _halve(model: onnx.ModelProto) -> None:
    """Store in half precision what is the same in half precision; operators that bring it back come first."""
    graph = model.graph
    casts = []
    for i, tensor in enumerate(graph.initializer):
        values = numpy_helper.to_array(tensor)
        if values.dtype == np.float32 and values.size > 8:
            with np.errstate(over="ignore"):
                half = values.astype(np.float16)
            if np.array_equal(half.astype(np.float32), values):
                stored = f"{tensor.name}.half"
                casts.append(helper.make_node("Cast", [stored], [tensor.name], to=TensorProto.FLOAT))
                graph.initializer[i].CopyFrom(numpy_helper.from_array(half, stored))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
