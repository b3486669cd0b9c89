"""The whole network: backbone, attribute block, parts, teacher and student."""

from typing import Literal, NamedTuple

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from bitreid.errors import SettingsError
from bitreid.models.attention import AttributeBlock
from bitreid.models.descriptors import Descriptor
from bitreid.models.efficientnet import EfficientNetLite
from bitreid.models.nested import NestedMap, check_nested
from bitreid.models.parts import code_layout, pool_parts

Relaxation = Literal["ssr", "tanh", "sigmoid", "hardsigmoid", "none", "ste"]


class NetworkSettings(BaseModel):
    """What the network is made of."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    backbone: Literal[
        "resnet50", "resnet18", "efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2", "custom"
    ] = "resnet50"
    """Makes the feature map; `custom` is a module that the caller passes."""
    n_bits: int = Field(2048, ge=32, le=4096, multiple_of=32)
    """Length of the identity code."""
    n_parts: int = Field(6, ge=0, le=24)
    """Horizontal stripes (PCB); 0 leaves only the global descriptor."""
    pooling: Literal["mean", "mean_max"] = "mean"
    """What a part keeps of each channel: its mean, or its mean and its largest value, added."""
    relaxation: Relaxation = "ssr"
    """How the code is trained: `ssr` (teacher and student), or a rival: a squashing activation, `none` (the sign of
    a plain float feature), `ste` (straight-through sign)."""
    attributes: bool = True
    """Whether the network predicts attributes; needs attribute labels."""
    attention: bool = True
    """Whether the attribute map guides the identity map (AAB); needs `attributes`."""
    detach_teacher: bool = True
    """SSR: no gradient reaches the teacher from the student's loss. False: it passes straight through the sign."""
    student_activation: Literal["none", "tanh"] = "none"
    """SSR: what follows the student's embedding."""
    student_hidden: int = Field(0, ge=0, le=4096)
    """SSR: width of a hidden layer in each of the student's embeddings; 0: a linear map."""
    nested: bool = False
    """Whether the code is nested: its bits come in an order in which every prefix is a code in its own right. The map
    to it is fitted after the last pass."""


class ModelOutput(NamedTuple):
    """What the network returns, the same in training and evaluation.

    A tuple, because the ONNX exporters look inside tuples and not inside frozen dataclasses.

    student  (N, n_bits) float: the relaxed descriptor; the identity code is its sign, `student > 0`
    teacher  (N, n_bits) float: the teacher before its sign; None for the rivals and in a deployed network
    attribute_logits  (N, A) float, or None without attributes
    """

    student: Tensor
    teacher: Tensor | None
    attribute_logits: Tensor | None


class HashingNetwork(nn.Module):
    """Backbone, AAB, PCB parts, teacher and student descriptors; at last, once it is fitted, the map to nested codes.

    Input: pictures `(N, 3, H, W)`, normalised as the card says, `H` a multiple of `16 * n_parts`. A caller's backbone
    says in integer attributes how many channels its map has, `n_channels`, and, unless it is 16, its `stride`.
    """

    def __init__(self, settings: NetworkSettings, backbone: nn.Module, n_attributes: int) -> None:
        super().__init__()
        if settings.attention and not settings.attributes:
            raise SettingsError(
                "expected `attributes` with `attention` (attributes guide it); turn both on or attention off"
            )
        if settings.attributes and n_attributes < 1:
            raise SettingsError(
                "expected attribute labels, got none; give some or set `attributes` and `attention` to false"
            )
        if settings.nested:
            check_nested(settings.n_bits)
        self.settings = settings
        self.backbone_batch = 0
        self.layout = code_layout(settings.n_bits, settings.n_parts)
        self.nested: nn.Module | None = None
        self.backbone = backbone
        n_channels = _integer(backbone, "n_channels", "the channels of its map")
        self.stride = _integer(backbone, "stride", "pixels of the picture for one of its map", default=16)
        self.attribute_block = (
            AttributeBlock(n_channels, n_attributes, settings.n_parts, settings.attention)
            if settings.attributes
            else None
        )
        ssr = settings.relaxation == "ssr"
        activation = settings.student_activation if ssr else settings.relaxation
        self.teacher = Descriptor(n_channels, self.layout) if ssr else None
        self.student = Descriptor(n_channels, self.layout, activation, settings.student_hidden if ssr else 0)
        for parameter in self.parameters():
            if parameter.ndim == 4:  # the faster layout, on CPUs and GPUs
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)

    def forward(self, pictures: Tensor) -> ModelOutput:
        x = self._map(pictures)  # (N, C, h, w)
        logits = None
        if self.attribute_block is not None:
            x, logits = self.attribute_block(x)  # (N, C, h, w), (N, A)
        parts = pool_parts(x, self.settings.n_parts, self.settings.pooling)  # 1 + n_parts of (N, C)
        teacher = None if self.teacher is None else self.teacher(parts)  # (N, n_bits)
        # An activation gathers values near +-1, where the map could not tell how far apart they are.
        student = self.student(parts) if self.nested is None else self.nested(self.student.values(parts))  # (N, n_bits)
        return ModelOutput(student, teacher, logits)

    def _map(self, pictures: Tensor) -> Tensor:
        if not self.backbone_batch:
            out: Tensor = self.backbone(pictures)
            return out
        return torch.cat([self.backbone(some) for some in torch.split(pictures, self.backbone_batch)])

    def new_nested(self) -> NestedMap:
        """Return a map to nested codes for this network's student, with random values: `nested` once it is fitted."""
        return NestedMap(self.layout, self.settings.n_parts)

    def set_drop_path(self, rate: float) -> None:
        """Let pictures skip blocks of the backbone in training, `EfficientNetLite.set_drop_path`; others refuse it."""
        if not isinstance(self.backbone, EfficientNetLite):
            raise SettingsError(
                f"expected drop_path=0 with {self.settings.backbone}, got {rate}; Lite backbones have it"
            )
        self.backbone.set_drop_path(rate)

    def check_input(self, height: int, width: int) -> None:
        """Refuse a picture size that the stripes cannot cut equally."""
        unit = self.stride * max(self.settings.n_parts, 1)
        if height <= 0 or width <= 0 or height % unit or width % self.stride:
            raise SettingsError(
                f"expected pictures whose height is a multiple of {unit} ({self.settings.n_parts} equal stripes) and "
                f"whose width is a multiple of {self.stride}, got {height}x{width}; e.g. {unit * 2}x{self.stride * 4}"
            )


def _integer(backbone: nn.Module, name: str, meaning: str, default: int | None = None) -> int:
    value = getattr(backbone, name, default)
    if not isinstance(value, int) or value < 1:
        raise SettingsError(f"expected a backbone with a positive integer `{name}`, {meaning}, got {value!r}")
    return value
