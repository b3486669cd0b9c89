"""Convolutional networks straight from their published tensors, one output pixel at a time, in numpy.

A picture or map is `(C, h, w)`. Tensors are found by their published names; sizes are read off their shapes.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

Map = npt.NDArray[np.float64]
Tensors = Mapping[str, Map]


Pads = tuple[tuple[int, int], tuple[int, int]]


def around(n: int) -> Pads:
    """`n` zeros on every side."""
    return (n, n), (n, n)


def convolve(x: Map, weight: Map, stride: int, pads: Pads, bias: Map | None = None) -> Map:
    """A convolution, `pads` zeros before and after the rows and the columns; depthwise if a kernel has one channel."""
    x = np.pad(x, ((0, 0), *pads))
    n_out, n_in, size, _ = weight.shape
    height, width = ((length - size) // stride + 1 for length in x.shape[1:])
    out = np.empty((n_out, height, width))
    for i in range(height):
        for j in range(width):
            patch = x[:, i * stride : i * stride + size, j * stride : j * stride + size]
            if n_in == len(x):
                out[:, i, j] = weight.reshape(n_out, -1) @ patch.ravel()
            else:
                out[:, i, j] = (weight[:, 0] * patch).sum(axis=(1, 2))
    return out if bias is None else out + bias[:, None, None]


def same(length: int, size: int, stride: int) -> tuple[int, int]:
    """TensorFlow's "SAME": zeros for ceil(length / stride) outputs, the odd one at the end."""
    n_out = -(-length // stride)
    total = max((n_out - 1) * stride + size - length, 0)
    return total // 2, total - total // 2


def convolve_same(x: Map, weight: Map, stride: int) -> Map:
    height, width = (same(length, weight.shape[2], stride) for length in x.shape[1:])
    return convolve(x, weight, stride, (height, width))


def normalise(x: Map, tensors: Tensors, name: str, eps: float = 1e-5) -> Map:
    """A batch norm in evaluation."""
    mean, var, weight, bias = (tensors[f"{name}.{kind}"] for kind in ("running_mean", "running_var", "weight", "bias"))
    return np.stack([(x[c] - mean[c]) / np.sqrt(var[c] + eps) * weight[c] + bias[c] for c in range(len(x))])


def relu(x: Map, most: float = np.inf) -> Map:
    return np.minimum(np.maximum(x, 0), most)


def sigmoid(x: Map) -> Map:
    return 1 / (1 + np.exp(-x))


def max_pool(x: Map) -> Map:
    """3x3, stride 2, one row and column of nothing around."""
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1)), constant_values=-np.inf)
    height, width = (-(-length // 2) for length in x.shape[1:])
    rows = [
        [padded[:, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3].max(axis=(1, 2)) for j in range(width)] for i in range(height)
    ]
    return np.array(rows).transpose(2, 0, 1)


def resnet(picture: Map, tensors: Tensors) -> Map:
    """The map of a ResNet with torchvision's names, the last stage at stride 1."""
    x = max_pool(relu(normalise(convolve(picture, tensors["conv1.weight"], 2, around(3)), tensors, "bn1")))
    for stage, stride in ((1, 1), (2, 2), (3, 2), (4, 1)):
        block = 0
        while f"layer{stage}.{block}.conv1.weight" in tensors:
            x = resnet_block(x, tensors, f"layer{stage}.{block}", stride if block == 0 else 1)
            block += 1
    return x


def resnet_block(x: Map, tensors: Tensors, name: str, stride: int) -> Map:
    """Two 3x3 convolutions, or 1x1, 3x3, 1x1; the first 3x3 strides."""
    out, layer = x, 1
    while (weight := tensors.get(f"{name}.conv{layer}.weight")) is not None:
        size = weight.shape[2]
        if layer > 1:
            out = relu(out)
        out = convolve(out, weight, stride if size == 3 else 1, around(size // 2))
        out = normalise(out, tensors, f"{name}.bn{layer}")
        stride = 1 if size == 3 else stride
        layer += 1
    if f"{name}.downsample.0.weight" in tensors:
        step = -(-x.shape[1] // out.shape[1])
        x = normalise(
            convolve(x, tensors[f"{name}.downsample.0.weight"], step, around(0)), tensors, f"{name}.downsample.1"
        )
    return relu(out + x)


LITE_STRIDED = {"efficientnet_lite0": (1, 3, 5), "efficientnet_lite1": (1, 4, 7), "efficientnet_lite2": (1, 4, 7)}
"""The blocks that open stages 2, 3 and 4; the published networks stride once more, ours do not."""


def efficientnet_lite(which: str, picture: Map, tensors: Tensors) -> list[Map]:
    """The stem's map and each block's, from the published names."""
    eps = 1e-3
    x = relu(normalise(convolve_same(picture, tensors["_conv_stem.weight"], 2), tensors, "_bn0", eps), 6)
    maps = [x]
    block = 0
    while f"_blocks.{block}._bn1.weight" in tensors:
        name = f"_blocks.{block}"
        stride = 2 if block in LITE_STRIDED[which] else 1
        out = x
        if f"{name}._expand_conv.weight" in tensors:
            out = convolve_same(out, tensors[f"{name}._expand_conv.weight"], 1)
            out = relu(normalise(out, tensors, f"{name}._bn0", eps), 6)
        out = convolve_same(out, tensors[f"{name}._depthwise_conv.weight"], stride)
        out = relu(normalise(out, tensors, f"{name}._bn1", eps), 6)
        out = normalise(convolve_same(out, tensors[f"{name}._project_conv.weight"], 1), tensors, f"{name}._bn2", eps)
        x = out + x if out.shape == x.shape else out
        maps.append(x)
        block += 1
    return maps


def attribute_map(x: Map, tensors: Tensors) -> Map:
    """The bottleneck block of the AAB: 1x1, 3x3, 1x1 and a shortcut."""
    out = x
    for layer, pad in ((0, 0), (3, 1), (6, 0)):
        out = out if layer == 0 else relu(out)
        out = convolve(out, tensors[f"bottleneck.{layer}.weight"], 1, around(pad))
        out = normalise(out, tensors, f"bottleneck.{layer + 1}")
    return relu(out + x)


def gates(attributes: Map, tensors: Tensors) -> tuple[Map, Map]:
    """The channel gate `(C,)` and the spatial gate `(h, w)` of an attribute map."""
    pooled = attributes.mean(axis=(1, 2))
    hidden = relu(tensors["gates.channel.0.weight"] @ pooled + tensors["gates.channel.0.bias"])
    channel = sigmoid(tensors["gates.channel.2.weight"] @ hidden + tensors["gates.channel.2.bias"])
    summary = np.stack([attributes.mean(axis=0), attributes.max(axis=0)])
    spatial = convolve(summary, tensors["gates.spatial.weight"], 1, around(3), tensors["gates.spatial.bias"])
    return channel, sigmoid(spatial[0])


def stripes(x: Map, n: int) -> list[Map]:
    """The mean `(C,)` of each of `n` equal runs of rows."""
    rows = x.shape[1] // n
    return [x[:, i * rows : (i + 1) * rows].mean(axis=(1, 2)) for i in range(n)]
