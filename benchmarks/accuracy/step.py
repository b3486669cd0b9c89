"""A training step of a backbone on one core, with PyTorch's gradients of depthwise convolutions and with ours.

    python benchmarks/accuracy/step.py [--quick] [--json FILE] [--markdown]

60 random pictures of 192x64, forth and back, in single precision and in bf16 by turns. The first step of each way is
not counted. `--quick` takes 20 pictures and EfficientNet-Lite0 alone.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast
from unittest.mock import patch

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.nn import functional as F

from bitreid.commands.console import as_markdown, show
from bitreid.models import efficientnet
from bitreid.models.depthwise import depthwise_conv2d
from bitreid.training.memory import keep_freed_memory

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.bars import Bars, at_least, lines_of, write_json

Convolution = Callable[[Tensor, Tensor, tuple[int, int], tuple[int, int]], Tensor]


def pytorchs(x: Tensor, weight: Tensor, stride: tuple[int, int], padding: tuple[int, int]) -> Tensor:
    """Return what `depthwise_conv2d` does, with PyTorch's own gradients."""
    return F.conv2d(x, weight, None, stride, padding, 1, len(weight))


WAYS: dict[str, Convolution] = {"PyTorch's": pytorchs, "ours": depthwise_conv2d}
PRECISIONS = {"single": False, "bf16": True}


def seconds(network: nn.Module, pictures: Tensor, convolution: Convolution, bf16: bool) -> float:
    """Return how long a step takes."""
    started = time.perf_counter()
    with (
        patch.object(efficientnet, "depthwise_conv2d", convolution),
        torch.autocast("cpu", torch.bfloat16, enabled=bf16),
    ):
        out = network(pictures)
    torch.autograd.backward(out.float().square().mean())
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    console = Console()
    table = Table("backbone", "precision", "gradients", "pictures a second", "times PyTorch's")
    taken: dict[str, list[float]] = {}
    bars: Bars = {}
    n = 20 if arguments.quick else 60
    pictures = torch.randn(n, 3, 192, 64).contiguous(memory_format=torch.channels_last)
    for name in efficientnet.LITE_NAMES[:1] if arguments.quick else ("efficientnet_lite0", "efficientnet_lite2"):
        network = cast(Any, efficientnet.efficientnet_lite(name).train()).to(memory_format=torch.channels_last)
        for step in range(6):
            for precision, bf16 in PRECISIONS.items():
                for way, convolution in WAYS.items():
                    found = seconds(network, pictures, convolution, bf16)
                    if step:
                        taken.setdefault(f"{name}, {precision}, {way}", []).append(found)
        for precision in PRECISIONS:
            medians = {way: statistics.median(taken[f"{name}, {precision}, {way}"]) for way in WAYS}
            for way, median in medians.items():
                times = medians["PyTorch's"] / median
                table.add_row(name, precision, way, f"{n / median:.0f}", f"{times:.2f}")
            times = medians["PyTorch's"] / medians["ours"]
            bars[f"{name}, {precision}: times as fast as PyTorch's gradients"] = at_least(times, 1)
    show(console, as_markdown(table) if arguments.markdown else table)
    for line in lines_of(bars):
        console.print(line)
    if arguments.json:
        write_json(arguments.json, {"seconds": taken, "bars": bars})


if __name__ == "__main__":
    main()
