"""The ONNX engine: its numbers, and what it refuses to run."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bitreid.data.attributes import AttributeSchema
from bitreid.encoding.encoder import Encoder
from bitreid.encoding.onnx import OnnxEngine
from bitreid.errors import ArtifactError, SettingsError
from tests.encoding.onnx.cases import CARD, by_hand

PICTURES = np.random.default_rng(0).integers(0, 200, (9, 4, 2, 3), dtype=np.uint8)


@pytest.mark.parametrize("batch", [1, 4, 9, 20])
def test_outputs_are_the_models(batch: int) -> None:
    engine = OnnxEngine(by_hand().SerializeToString(), CARD, threads=1, batch=batch)
    outputs = engine.outputs(PICTURES)
    values = PICTURES.reshape(9, -1)[:, :8].astype(int) - 100
    assert outputs["features"].tolist() == values.tolist()
    assert outputs["code"].tolist() == np.packbits(values > 0, axis=1).tolist()
    output = engine(PICTURES)
    assert np.array_equal(output.features, values)
    assert output.attribute_logits is None
    assert output.teacher is None


def test_the_code_in_the_model_is_the_encoders() -> None:
    engine = OnnxEngine(by_hand().SerializeToString(), CARD, threads=2)
    assert np.array_equal(Encoder(CARD, engine).encode(PICTURES).codes.packed, engine.outputs(PICTURES)["code"])


def test_pictures_need_not_lie_in_order_in_memory() -> None:
    engine = OnnxEngine(by_hand().SerializeToString(), CARD, threads=1)
    turned = np.ascontiguousarray(PICTURES[:, :, ::-1])
    assert np.array_equal(engine(PICTURES[:, :, ::-1]).features, engine(turned).features)


def test_no_pictures_are_no_features() -> None:
    assert OnnxEngine(by_hand().SerializeToString(), CARD, threads=1)(PICTURES[:0]).features.shape == (0, 8)


@pytest.mark.parametrize("changes", [{"height": 5}, {"n_bits": 16}, {"code": "codes"}], ids=str)
def test_a_model_that_is_not_what_the_card_says_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ArtifactError, match="expected a model from pictures of 4x2 to features, code"):
        OnnxEngine(by_hand(**changes).SerializeToString(), CARD, threads=1)


def test_a_model_without_the_cards_attributes_is_refused() -> None:
    with pytest.raises(ArtifactError, match="8 bits and 1 attributes"):
        OnnxEngine(
            by_hand().SerializeToString(), replace(CARD, attributes=AttributeSchema(("hat",), ("hat",), (True,)))
        )


def test_what_onnxruntime_cannot_load_is_told_in_one_line() -> None:
    model = by_hand()
    model.graph.node[0].op_type = "NoSuchOperator"
    with pytest.raises(ArtifactError, match=r"onnxruntime can load, got: .*NoSuchOperator") as caught:
        OnnxEngine(model.SerializeToString(), CARD)
    assert "\n" not in str(caught.value)
    with pytest.raises(ArtifactError):
        OnnxEngine(b"", CARD)


@pytest.mark.parametrize("threads", [0, -1])
def test_no_threads_are_refused(threads: int) -> None:
    with pytest.raises(SettingsError, match=f"expected one thread or more, got {threads}"):
        OnnxEngine(by_hand().SerializeToString(), CARD, threads)


def test_providers_that_are_not_there_are_named() -> None:
    with pytest.raises(SettingsError, match=r"among .*CPUExecutionProvider.*, got NoSuchProvider"):
        OnnxEngine(by_hand().SerializeToString(), CARD, providers=["CPUExecutionProvider", "NoSuchProvider"])
    with pytest.raises(SettingsError, match="got none"):
        OnnxEngine(by_hand().SerializeToString(), CARD, providers=[])
