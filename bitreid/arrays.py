"""Names for the types of arrays; a docstring beside each use gives the shape."""

from typing import Any

import numpy as np
import numpy.typing as npt

AnyArray = npt.NDArray[Any]

Bools = npt.NDArray[np.bool_]
Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Ints8 = npt.NDArray[np.int8]
Ints32 = npt.NDArray[np.int32]
Words32 = npt.NDArray[np.uint32]
Words = npt.NDArray[np.uint64]
Labels = npt.NDArray[np.int8]
Floats = npt.NDArray[np.float64]
Floats32 = npt.NDArray[np.float32]

Features = npt.NDArray[np.floating]
"""Float features of any precision."""
Numbers = npt.NDArray[np.number]
"""Whole numbers or floats of any size."""
Pixels = npt.NDArray[np.uint8]
"""Pictures, red green blue."""
