"""Artifacts of every format load."""

from dataclasses import replace

import numpy as np
import pytest

from bitreid.artifact import Artifact, Calibration, Card, InputSpec, fingerprint, load_artifact, read_engine
from bitreid.coarse import CoarseCode
from bitreid.codes import Part
from bitreid.data.attributes import AttributeSchema
from bitreid.open_set import OpenSet, SearchTail
from bitreid.training.load import load_encoder
from tests.formats.cases import FORMATS, Backbone

CARD = Card(
    name="Every field",
    model={"backbone": "custom", "sizes": [1, 2], "stem": None},
    input=InputSpec(192, 64, (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)),
    n_bits=16,
    parts=(Part("global", 0, 8), Part("stripe1", 8, 16)),
    n_features=16,
    attributes=AttributeSchema(("top=red", "top=blue", "hat"), ("top", "top", "hat"), (True, True, False)),
    thresholds={"attribute_probability": 0.5},
    training={"data": "drawn", "seed": 7, "identities": 40},
    licence="Apache-2.0",
    metrics={"rank1": 0.75, "mAP": 1e-05},
    notes="made by hand",
    weights_sha256="bc3280cf9bf3040f29bfda14d75786de08b95e7025aa4a1795f8716a74b8249a",
    weights_bytes=156,
    format_version=1,
)


def check(artifact: Artifact, card: Card) -> None:
    assert artifact.card == card
    assert fingerprint(artifact.card) == "5d3dbb7141ec93a9"
    assert artifact.weights.keys() == {"half", "single"}
    assert artifact.weights["half"].dtype == np.float16
    assert artifact.weights["half"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert artifact.weights["single"].dtype == np.float32
    assert artifact.weights["single"].tolist() == pytest.approx([-1, -1 / 3, 1 / 3, 1])


def test_format_1() -> None:
    check(load_artifact(FORMATS / "artifact-1"), CARD)


def test_format_2_has_a_calibration() -> None:
    calibration = Calibration(OpenSet(0.125, -7.0, -0.5, 3.0, -0.01), identities=60, pictures=562)
    check(load_artifact(FORMATS / "artifact-2"), replace(CARD, calibration=calibration, format_version=2))


def test_format_3_has_lengths_a_coarse_code_and_engines() -> None:
    artifact = load_artifact(FORMATS / "artifact-3")
    card = artifact.card
    assert card.format_version == 3
    assert card.input.flip
    assert [(part.name, part.start, part.stop) for part in card.parts] == [
        ("global", 0, 4),
        ("stripe1", 4, 8),
        ("global", 8, 12),
        ("stripe1", 12, 16),
    ]
    assert card.attribute_thresholds == (0.25, 0.125, 0.75)
    assert card.lengths == {"8": {"rank1": 0.5, "mAP": 0.25}, "16": {"rank1": 0.75, "mAP": 0.5}}
    whole = OpenSet(0.125, -7.0, -0.5, 3.0, -0.01, SearchTail(0.5, -8.0, 0.25))
    short = OpenSet(0.25, -5.0, -0.5, 2.0, -0.02)
    assert card.calibration == Calibration(whole, identities=60, pictures=562, lengths={"8": short}, others=6803)
    assert card.coarse == CoarseCode((0, 0, 1), (3, 1, 0, 2, 7), ((0.5, 0.01), (0.95, 0.25)))
    assert card.engines["onnx"].proof.source == "held-out people of drawn"
    assert read_engine(FORMATS / "artifact-3", card, "onnx") == b"not a real graph"
    assert fingerprint(card) == "3c4468280d039f70"
    assert artifact.weights["half"].tolist() == [[0, 1, 2], [3, 4, 5]]


def test_a_trained_network_of_format_2_encodes_as_it_did() -> None:
    encoder = load_encoder(FORMATS / "network-2", Backbone())
    assert fingerprint(encoder.card) == "1c3d7ab22dbacd59"
    pictures = (np.arange(2 * 96 * 32 * 3) * 37 % 251).astype(np.uint8).reshape(2, 96, 32, 3)
    encoded = encoder.encode(pictures)
    assert encoded.codes.packed[0].tolist() == [249, 45, 4, 82]
    first = [0.104986, 0.162744, 0.191572, 0.226088, 0.233236, -0.309972, -0.113538, 0.094587]
    last = [0.681011, -0.483789, 0.174345, -0.334506, -0.275291, 0.014227, -0.509691]
    assert encoded.features[0, :8] == pytest.approx(first, abs=1e-4)
    assert encoded.features[1, 25:] == pytest.approx(last, abs=1e-4)
