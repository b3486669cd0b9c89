"""An encoder whose numbers can be computed by hand, for tests that are about something else than networks."""

import numpy as np

from bitreid.arrays import Pixels
from bitreid.artifact import Card, InputSpec
from bitreid.codes import Part
from bitreid.data.attributes import AttributeSchema
from bitreid.encoding.encoder import Encoder
from bitreid.encoding.engine import EngineOutput

HEIGHT, WIDTH, N_BITS = 24, 8, 64


def encoder_of(seed: int = 0, attributes: tuple[str, ...] = ("hat", "bag")) -> Encoder:
    """A model: features are random sums of the pixels; another seed is another model."""
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=(HEIGHT * WIDTH * 3, N_BITS)).astype(np.float32)
    answers = rng.normal(size=(HEIGHT * WIDTH * 3, len(attributes))).astype(np.float32)

    def engine(pictures: Pixels) -> EngineOutput:
        values = pictures.reshape(len(pictures), HEIGHT * WIDTH * 3).astype(np.float32) / 128 - 1
        # A row at a time, so that no picture's last digits depend on what it is encoded with.
        features = np.array([row @ weights for row in values], np.float32).reshape(-1, N_BITS)
        logits = np.array([row @ answers for row in values], np.float32).reshape(len(values), len(attributes))
        return EngineOutput(features, logits if attributes else None, None)

    card = Card(
        name=f"made up {seed}",
        model={},
        input=InputSpec(HEIGHT, WIDTH, (0, 0, 0), (1, 1, 1)),
        n_bits=N_BITS,
        parts=(Part("global", 0, N_BITS),),
        n_features=N_BITS,
        attributes=AttributeSchema(attributes, attributes, (True,) * len(attributes)) if attributes else None,
        thresholds={"attribute_probability": 0.5},
        training={},
        licence="none",
        metrics={},
        weights_sha256=f"{seed:064}",
    )
    return Encoder(card, engine)
