"""The tensors in torchvision's published ResNets, by name, as its documentation and files have them."""

Shapes = dict[str, tuple[int, ...]]


def _norm(name: str, n: int) -> Shapes:
    kinds = ("weight", "bias", "running_mean", "running_var")
    return {f"{name}.{kind}": (n,) for kind in kinds} | {f"{name}.num_batches_tracked": ()}


def resnet18_shapes() -> Shapes:
    """122 tensors, 11,689,512 parameters."""
    shapes = {"conv1.weight": (64, 3, 7, 7), **_norm("bn1", 64)}
    n_in = 64
    for stage, n in ((1, 64), (2, 128), (3, 256), (4, 512)):
        for block in range(2):
            name = f"layer{stage}.{block}"
            shapes |= {f"{name}.conv1.weight": (n, n_in, 3, 3), **_norm(f"{name}.bn1", n)}
            shapes |= {f"{name}.conv2.weight": (n, n, 3, 3), **_norm(f"{name}.bn2", n)}
            if stage > 1 and block == 0:
                shapes |= {f"{name}.downsample.0.weight": (n, n_in, 1, 1), **_norm(f"{name}.downsample.1", n)}
            n_in = n
    return shapes | {"fc.weight": (1000, 512), "fc.bias": (1000,)}


def resnet50_shapes() -> Shapes:
    """320 tensors, 25,557,032 parameters."""
    shapes = {"conv1.weight": (64, 3, 7, 7), **_norm("bn1", 64)}
    n_in = 64
    for stage, n, depth in ((1, 64, 3), (2, 128, 4), (3, 256, 6), (4, 512, 3)):
        for block in range(depth):
            name = f"layer{stage}.{block}"
            shapes |= {f"{name}.conv1.weight": (n, n_in, 1, 1), **_norm(f"{name}.bn1", n)}
            shapes |= {f"{name}.conv2.weight": (n, n, 3, 3), **_norm(f"{name}.bn2", n)}
            shapes |= {f"{name}.conv3.weight": (4 * n, n, 1, 1), **_norm(f"{name}.bn3", 4 * n)}
            if block == 0:
                shapes |= {f"{name}.downsample.0.weight": (4 * n, n_in, 1, 1), **_norm(f"{name}.downsample.1", 4 * n)}
            n_in = 4 * n
    return shapes | {"fc.weight": (1000, 2048), "fc.bias": (1000,)}
