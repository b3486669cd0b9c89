"""Engines beside the weights: proofs, limits, checksums, and that a save that is cut loses nothing."""

import itertools
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bitreid.artifact import (
    EngineFile,
    Proof,
    add_engine,
    fingerprint,
    load_artifact,
    load_card,
    read_engine,
    save_artifact,
)
from bitreid.artifact.engines import LIMITS
from bitreid.errors import ArtifactError
from tests.artifact.cases import CARD, WEIGHTS

PROOF = Proof(7, 0, "random colours", 1e-5, 0.0)
SCORED = Proof(
    40, 9, "drawn", 0.5, 0.02, {"rank1": 0.8, "mAP": 0.7}, {"rank1": 0.8, "mAP": 0.699}, {"rank1": 0.8, "mAP": 0.696}
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_artifact(tmp_path / "model", CARD, WEIGHTS)
    return tmp_path / "model"


def test_an_engine_comes_back_with_its_proof(folder: Path) -> None:
    before = load_artifact(folder).card
    card = add_engine(folder, "onnx", b"first", PROOF)
    card = add_engine(folder, "onnx-int8", b"second", SCORED)
    assert card == load_card(folder) == load_artifact(folder).card
    assert {name: engine.proof for name, engine in card.engines.items()} == {"onnx": PROOF, "onnx-int8": SCORED}
    assert (read_engine(folder, card, "onnx"), read_engine(folder, card, "onnx-int8")) == (b"first", b"second")
    assert replace(card, engines={}) == before
    assert fingerprint(card) == fingerprint(before), "an engine decides no bit"
    card = add_engine(folder, "onnx", b"another", PROOF)
    assert read_engine(folder, card, "onnx") == b"another"
    assert {path.name for path in folder.iterdir()} == {
        "card.json", "weights.safetensors", "model.onnx", "model-int8.onnx",
    }  # fmt: skip


def test_a_card_alone_needs_no_weights(folder: Path) -> None:
    add_engine(folder, "onnx", b"first", PROOF)
    (folder / "weights.safetensors").unlink()
    assert read_engine(folder, load_card(folder), "onnx") == b"first"
    with pytest.raises(ArtifactError, match=r"weights\.safetensors"):
        load_artifact(folder)


def test_engines_stay_with_their_weights_and_go_with_others(folder: Path, tmp_path: Path) -> None:
    card = add_engine(folder, "onnx", b"first", PROOF)
    noted = save_artifact(folder, replace(card, notes="calibrated"), WEIGHTS).card
    assert noted.engines == card.engines
    assert read_engine(folder, noted, "onnx") == b"first"
    assert not save_artifact(tmp_path / "copy", card, WEIGHTS).card.engines, "whose files are not there"
    other = save_artifact(folder, noted, WEIGHTS | {"steps": np.array(4)}).card
    assert not other.engines
    assert not (folder / "model.onnx").exists()


def test_engines_of_another_model_are_not_read(folder: Path) -> None:
    card = add_engine(folder, "onnx", b"first", PROOF)
    strange = replace(card, engines={"onnx": replace(card.engines["onnx"], model="0" * 16)})
    with pytest.raises(ArtifactError, match="another model's"):
        read_engine(folder, strange, "onnx")
    with pytest.raises(ArtifactError, match=r"an engine 'onnx-int8' in .*, got onnx; `bitreid export`"):
        read_engine(folder, card, "onnx-int8")


@pytest.mark.parametrize("content", [b"firsT", b"first2", b"", None])
def test_a_changed_or_missing_file_is_refused(content: bytes | None, folder: Path) -> None:
    card = add_engine(folder, "onnx", b"first", PROOF)
    (folder / "model.onnx").unlink() if content is None else (folder / "model.onnx").write_bytes(content)
    with pytest.raises(ArtifactError, match=r"model\.onnx"):
        read_engine(folder, card, "onnx")


def test_names_of_engines_are_known(folder: Path) -> None:
    file = EngineFile("0" * 64, 1, "0" * 16, PROOF)
    with pytest.raises(ArtifactError, match=r"among onnx, onnx-int8, got '\.\./evil'"):
        replace(CARD, engines={"../evil": file})
    with pytest.raises(ArtifactError, match="1 to"):
        add_engine(folder, "onnx", b"", PROOF)
    with pytest.raises(ArtifactError, match="at most"):
        replace(file, size=2**31)


@pytest.mark.parametrize(
    "changes",
    [{"flipped": 1.5}, {"pictures": 0}, {"people": 3}, {"after": {"mAP": 0.5}}, {"difference": -1.0}],
    ids=str,
)
def test_proofs_that_prove_nothing_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ArtifactError, match="proof"):
        replace(PROOF, **changes)


def test_limits() -> None:
    assert SCORED.lost == pytest.approx(0.004)
    assert PROOF.lost is None
    assert LIMITS["onnx"].broken_by(PROOF) is None
    assert LIMITS["onnx-int8"].broken_by(SCORED) is None
    assert LIMITS["onnx"].broken_by(SCORED) == "2.00 % of bits flipped, of 0.1 % at most"
    worse = replace(SCORED, mixed={"rank1": 0.8, "mAP": 0.69})
    assert LIMITS["onnx-int8"].broken_by(worse) == "1.00 points of mAP lost, of 0.5 at most"
    better = replace(SCORED, after={"rank1": 0.8, "mAP": 0.9}, mixed={"rank1": 0.8, "mAP": 0.8})
    assert LIMITS["onnx-int8"].broken_by(better) is None


def test_the_first_cards_of_this_format_have_no_engines(folder: Path) -> None:
    """A card of the version before has no such key; its seal is that of its own text."""
    assert json.loads((folder / "card.json").read_text(encoding="utf-8"))["engines"] == {}


class PowerCut(BaseException):
    """Ends a save at a chosen step; nothing in the product catches it."""


def cut_at(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the `step`-th sync or rename from now on raise."""
    calls = itertools.count(1)

    def counting(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            if next(calls) == step:
                raise PowerCut
            return function(*args)

        return call

    monkeypatch.setattr(os, "fsync", counting(os.fsync))
    monkeypatch.setattr(Path, "replace", counting(Path.replace))


def test_an_engine_cut_at_any_step_is_the_old_one_or_the_new(tmp_path: Path) -> None:
    seen = []
    for step in itertools.count(1):
        folder = tmp_path / str(step)
        save_artifact(folder, CARD, WEIGHTS)
        add_engine(folder, "onnx", b"old", PROOF)
        cut = False
        with pytest.MonkeyPatch.context() as patch:
            cut_at(step, patch)
            try:
                add_engine(folder, "onnx", b"newer", SCORED)
            except PowerCut:
                cut = True
        card = load_artifact(folder).card
        seen.append(read_engine(folder, card, "onnx"))
        assert card.engines["onnx"].proof == (PROOF if seen[-1] == b"old" else SCORED)
        # A save after a cut keeps whatever there is.
        kept = save_artifact(folder, card, WEIGHTS).card
        assert read_engine(folder, kept, "onnx") == seen[-1]
        if not cut:
            break
    assert seen == sorted(seen, reverse=True)
    assert set(seen) == {b"old", b"newer"}
