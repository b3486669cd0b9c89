"""Parts of a person: the global descriptor and horizontal stripes (PCB, Sun et al., ECCV 2018)."""

from collections.abc import Callable

from torch import Tensor

from bitreid.codes import Part
from bitreid.errors import SettingsError

MIN_BITS, MAX_BITS = 32, 4096


def code_layout(n_bits: int, n_parts: int) -> tuple[Part, ...]:
    """Return which bits belong to the global descriptor and to each stripe, top to bottom.

    A quarter of the bits is global; the stripes share the rest, equally where that is possible (six
    stripes: an eighth each), else as evenly as whole bytes allow, upper stripes first. Without stripes all bits
    are global.
    """
    if not MIN_BITS <= n_bits <= MAX_BITS or n_bits % 32:
        raise SettingsError(f"expected n_bits to be a multiple of 32 from {MIN_BITS} to {MAX_BITS}, got {n_bits}")
    if n_parts == 0:
        return (Part("global", 0, n_bits),)
    local = n_bits - n_bits // 4
    unit = 1 if local % n_parts == 0 else 8
    each, extra = divmod(local // unit, n_parts)
    if each == 0:
        raise SettingsError(
            f"expected at least 8 bits for each of {n_parts} stripes, got {local} bits; ask for a longer code"
        )
    parts = [Part("global", 0, n_bits // 4)]
    for i in range(n_parts):
        start = parts[-1].stop
        parts.append(Part(f"stripe{i + 1}", start, start + unit * (each + (i < extra))))
    return tuple(parts)


def stripe_means(feature_map: Tensor, n_stripes: int) -> Tensor:
    """Return the mean of each equal horizontal stripe of `(N, C, h, w)`: `(N, C, n_stripes)`.

    `n_stripes` divides `h`, else SettingsError. Adaptive pooling would give the same, but not every exporter knows it.
    """
    return _stripes(feature_map, n_stripes).mean(dim=(3, 4))


def _mean_and_max(feature_map: Tensor, n_stripes: int) -> Tensor:
    stripes = _stripes(feature_map, n_stripes)
    return stripes.mean(dim=(3, 4)) + stripes.amax(dim=(3, 4))


def _stripes(feature_map: Tensor, n: int) -> Tensor:
    _, n_channels, height, width = feature_map.shape
    if height % n:
        raise SettingsError(
            f"expected a map whose height is a multiple of {n} (equal stripes), got {height}; "
            f"make the pictures' height a multiple of {n} times the backbone's stride"
        )
    return feature_map.reshape(-1, n_channels, n, height // n, width)


POOLINGS: dict[str, Callable[[Tensor, int], Tensor]] = {"mean": stripe_means, "mean_max": _mean_and_max}


def pool_parts(feature_map: Tensor, n_parts: int, pooling: str = "mean") -> list[Tensor]:
    """Return the whole map `(N, C, h, w)` and each of its equal horizontal stripes, pooled: 1 + n_parts of `(N, C)`.

    `pooling` is `mean`, or `mean_max`: the mean and the largest value of each channel, added. `h` is a multiple of
    `n_parts`, else SettingsError.
    """
    pool = POOLINGS[pooling]
    pooled = list(pool(feature_map, 1).unbind(2))
    return pooled + list(pool(feature_map, n_parts).unbind(2)) if n_parts else pooled
