"""A card with every kind of value, and weights to go with it."""

from typing import Any

import numpy as np
import numpy.typing as npt

from bitreid.artifact import Card, InputSpec
from bitreid.codes import Part
from bitreid.data.attributes import AttributeSchema

INPUT = InputSpec(height=192, width=64, mean=(0.5, 0.4, 0.3), std=(0.2, 0.25, 0.3))
CARD = Card(
    name="Prüfstück",
    model={"backbone": "resnet18", "n_parts": 1, "attention": {"ratio": 0.25, "sizes": [1, 3]}, "stem": None},
    input=INPUT,
    n_bits=16,
    parts=(Part("global", 0, 8), Part("stripe0", 8, 16)),
    n_features=16,
    attributes=AttributeSchema(("top=red", "top=blue", "hat"), ("top", "top", "hat"), (True, True, False)),
    thresholds={"attributes": 0.5},
    training={"data": "drawn", "seed": 7, "identities": 40},
    licence="Apache-2.0",
    metrics={"rank1": 0.75, "mAP": 1e-05},
    notes="",
)
WEIGHTS: dict[str, npt.NDArray[Any]] = {
    "half": np.arange(6, dtype=np.float16).reshape(2, 3),
    "single": np.linspace(-1, 1, 8, dtype=np.float32).reshape(2, 2, 2),
    "steps": np.array(3, dtype=np.int64),
}
