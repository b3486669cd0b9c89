"""Random tensors for the losses, and how near a loss in each precision has to be to its twin in floats."""

import torch
from hypothesis import strategies as st
from torch import Tensor

TOLERANCES = {torch.float64: 1e-9, torch.float32: 1e-5, torch.bfloat16: 2e-2}


def precisions() -> st.SearchStrategy[torch.dtype]:
    return st.sampled_from(list(TOLERANCES))


def generators() -> st.SearchStrategy[torch.Generator]:
    """Seeded generators."""
    return st.integers(0, 2**32).map(lambda seed: torch.Generator().manual_seed(seed))


def normals(generator: torch.Generator, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Values that the twin sees exactly as the loss does."""
    return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)


def integers(generator: torch.Generator, low: int, high: int, *shape: int) -> Tensor:
    """Integers from `low` to `high`, both included."""
    return torch.randint(low, high + 1, shape, generator=generator)
