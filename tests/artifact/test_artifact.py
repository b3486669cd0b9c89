"""A model on disk: what is saved is what loads, and nothing else ever does."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitreid import artifact
from bitreid.artifact import Card, fingerprint, load_artifact, save_artifact
from bitreid.errors import ArtifactError, CodesError
from tests.artifact.cases import CARD, INPUT, WEIGHTS
from tests.reference import artifact as reference


def same_weights(a: dict[str, npt.NDArray[Any]], b: dict[str, npt.NDArray[Any]]) -> bool:
    return a.keys() == b.keys() and all(
        a[name].dtype == b[name].dtype and a[name].shape == b[name].shape and bool(np.all(a[name] == b[name]))
        for name in a
    )


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved artifact that tests only read."""
    folder = tmp_path_factory.mktemp("artifact") / "model"
    save_artifact(folder, CARD, WEIGHTS, "Do what is right.\n")
    return folder


@pytest.fixture(scope="module")
def copy_with(saved: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, bytes], Path]:
    """Makes a copy of the artifact in which one file has other bytes."""
    folder = tmp_path_factory.mktemp("copy")

    def make(name: str, data: bytes) -> Path:
        for path in saved.iterdir():
            (folder / path.name).write_bytes(data if path.name == name else path.read_bytes())
        return folder

    return make


def test_round_trip(saved: Path) -> None:
    loaded = load_artifact(saved)
    assert replace(loaded.card, weights_sha256="", weights_bytes=0) == CARD
    assert same_weights(loaded.weights, WEIGHTS)
    assert (saved / "LICENSE").read_text() == "Do what is right.\n"
    assert sorted(path.name for path in saved.iterdir()) == ["LICENSE", "card.json", "weights.safetensors"]


def test_the_files_read_by_hand(saved: Path) -> None:
    tensors = reference.tensors((saved / "weights.safetensors").read_bytes())
    assert {name: (kind, tuple(shape)) for name, (kind, shape, _) in tensors.items()} == {
        "half": ("F16", (2, 3)),
        "single": ("F32", (2, 2, 2)),
        "steps": ("I64", ()),
    }
    assert all(raw == WEIGHTS[name].tobytes() for name, (_, _, raw) in tensors.items())
    text = (saved / "card.json").read_bytes()
    assert text == reference.sealed(json.loads(text))


def test_save_returns_what_loads(tmp_path: Path) -> None:
    returned = save_artifact(tmp_path / "deep" / "model", CARD, WEIGHTS)
    loaded = load_artifact(tmp_path / "deep" / "model")
    assert returned.card == loaded.card
    assert same_weights(returned.weights, loaded.weights)


def test_loaded_weights_can_be_changed(saved: Path) -> None:
    load_artifact(saved).weights["single"][...] = 0


@pytest.mark.parametrize("n_attributes", [0, 3])
def test_a_card_without_parts_notes_or_attributes(tmp_path: Path, n_attributes: int) -> None:
    card = replace(CARD, parts=(), thresholds={}, attributes=CARD.attributes if n_attributes else None)
    loaded = save_artifact(tmp_path, card, WEIGHTS).card
    assert (loaded.parts, loaded.thresholds, loaded.attributes) == ((), {}, card.attributes)


@pytest.mark.parametrize(
    "array",
    [
        np.arange(12, dtype=np.float32).reshape(3, 4).T,
        np.arange(12, dtype=np.float32)[::3],
        np.asfortranarray(np.arange(12, dtype=np.float16).reshape(3, 4)),
        np.arange(4, dtype=">f4"),
        np.zeros((0, 5), np.float32),
        np.array([True, False]),
    ],
    ids=["transposed", "strided", "fortran", "big-endian", "empty", "bool"],
)
def test_any_memory_layout_round_trips(tmp_path: Path, array: npt.NDArray[Any]) -> None:
    loaded = save_artifact(tmp_path, CARD, {"w": array}).weights["w"]
    np.testing.assert_array_equal(loaded, array)
    assert loaded.shape == array.shape


def test_saving_again_replaces_model_and_keeps_other_files(tmp_path: Path) -> None:
    save_artifact(tmp_path, CARD, WEIGHTS)
    (tmp_path / "README.md").write_text("mine")
    second = save_artifact(tmp_path, replace(CARD, name="second"), {"w": np.ones(3, np.float32)})
    assert second.card.name == "second"
    assert list(second.weights) == ["w"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["README.md", "card.json", "weights.safetensors"]


@settings(max_examples=150)
@given(data=st.data())
@pytest.mark.parametrize("name", ["card.json", "weights.safetensors"])
def test_a_changed_byte_anywhere_is_refused(
    saved: Path, copy_with: Callable[[str, bytes], Path], name: str, data: st.DataObject
) -> None:
    text = bytearray((saved / name).read_bytes())
    text[data.draw(st.integers(0, len(text) - 1), "at")] ^= data.draw(st.integers(1, 255), "mask")
    with pytest.raises(ArtifactError, match=re.escape(name)):
        load_artifact(copy_with(name, bytes(text)))


@given(data=st.data())
@pytest.mark.parametrize("name", ["card.json", "weights.safetensors"])
def test_a_file_of_another_length_is_refused(
    saved: Path, copy_with: Callable[[str, bytes], Path], name: str, data: st.DataObject
) -> None:
    text = (saved / name).read_bytes()
    shorter = text[: data.draw(st.integers(0, len(text) - 1), "length")]
    longer = text + data.draw(st.binary(min_size=1, max_size=3))
    for changed in (shorter, longer):
        with pytest.raises(ArtifactError, match=re.escape(name)):
            load_artifact(copy_with(name, changed))


def key_paths(body: dict[str, Any]) -> list[tuple[str | int, ...]]:
    """Every key that a card must have: its own and those of its nested records. The first of this format have no
    engines."""
    paths: list[tuple[str | int, ...]] = [(key,) for key in body if key not in ("card_sha256", "engines")]
    paths += [("input", key) for key in body["input"]]
    paths += [("attributes", key) for key in body["attributes"]]
    paths += [("parts", 1, key) for key in body["parts"][1]]
    return paths


def test_each_missing_key_is_named(saved: Path, copy_with: Callable[[str, bytes], Path]) -> None:
    text = (saved / "card.json").read_bytes()
    for path in key_paths(json.loads(text)):
        body = json.loads(text)
        inner = body
        for step in path[:-1]:
            inner = inner[step]
        del inner[path[-1]]
        with pytest.raises(ArtifactError, match=str(path[-1])):
            load_artifact(copy_with("card.json", reference.sealed(body)))


@pytest.mark.parametrize(
    ("key", "value", "named"),
    [
        ("n_bits", 16.0, "n_bits to be int"),
        ("n_bits", True, "n_bits to be int"),
        ("n_bits", 12, "multiple of 8"),
        ("n_features", 0, "n_features"),
        ("name", None, "name to be str"),
        ("model", [], "model to be dict"),
        ("metrics", {"rank1": "high"}, "metrics.rank1 to be float"),
        ("metrics", {"rank1": True}, "metrics.rank1 to be float"),
        ("metrics", {"rank1": float("nan")}, "metrics.rank1 to be float"),
        ("metrics", {"rank1": 10**400}, "too large"),
        ("parts", [{"name": "global", "start": 0, "stop": 8}], "bits 0 to 16"),
        ("parts", [{"name": "global", "start": 0, "stop": 16, "weight": 1}], "weight"),
        ("parts", "global", "parts to be tuple"),
        ("input", None, "input to be an object"),
        ("attributes", [], "attributes to be an object"),
        ("colour", "RGB", "colour"),
        ("format_version", "1", "format_version"),
        ("format_version", 0, "format_version"),
        ("format_version", True, "format_version"),
    ],
)
def test_wrong_values_are_named(
    saved: Path, copy_with: Callable[[str, bytes], Path], key: str, value: object, named: str
) -> None:
    body = json.loads((saved / "card.json").read_bytes())
    with pytest.raises(ArtifactError, match=named):
        load_artifact(copy_with("card.json", reference.sealed({**body, key: value})))


@pytest.mark.parametrize(
    ("key", "value", "named"),
    [
        ("height", 0, "positive size"),
        ("mean", [0.5, 0.5], "3 values in input.mean"),
        ("std", [0.5, 0.5, 0.0], "std above 0"),
        ("colour_order", "BGR", "RGB"),
        ("resize", "bicubic", "bilinear"),
    ],
)
def test_wrong_inputs_are_named(
    saved: Path, copy_with: Callable[[str, bytes], Path], key: str, value: object, named: str
) -> None:
    body = json.loads((saved / "card.json").read_bytes())
    body["input"][key] = value
    with pytest.raises(ArtifactError, match=named):
        load_artifact(copy_with("card.json", reference.sealed(body)))


def test_an_impossible_schema_is_named(saved: Path, copy_with: Callable[[str, bytes], Path]) -> None:
    body = json.loads((saved / "card.json").read_bytes())
    body["attributes"]["groups"] = []
    with pytest.raises(ArtifactError, match=r"card\.json: expected names, groups and in_code of one length"):
        load_artifact(copy_with("card.json", reference.sealed(body)))


@pytest.mark.parametrize("text", [b"", b"[]", b"null", b"3", b"\xff\xfe\x00", b"[" * 100_000])
def test_a_card_that_is_no_object_is_refused(copy_with: Callable[[str, bytes], Path], text: bytes) -> None:
    with pytest.raises(ArtifactError, match=re.escape("card.json")):
        load_artifact(copy_with("card.json", text))


def test_a_newer_format_says_update(saved: Path, copy_with: Callable[[str, bytes], Path]) -> None:
    body = json.loads((saved / "card.json").read_bytes())
    newer = {
        "format_version": artifact.FORMAT_VERSION + 1,
        "what": "keys that we do not know",
        "name": body["name"],
    }
    with pytest.raises(ArtifactError, match="made by a newer bitreid; update bitreid"):
        load_artifact(copy_with("card.json", json.dumps(newer).encode()))


def test_weights_of_another_model_are_refused(
    saved: Path, copy_with: Callable[[str, bytes], Path], tmp_path: Path
) -> None:
    other = {name: array + 1 for name, array in WEIGHTS.items()}
    save_artifact(tmp_path, CARD, other)
    with pytest.raises(ArtifactError, match=r"weights\.safetensors.*checksum"):
        load_artifact(copy_with("weights.safetensors", (tmp_path / "weights.safetensors").read_bytes()))


def test_weights_that_the_card_knows_but_safetensors_does_not(
    copy_with: Callable[[str, bytes], Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("bitreid.artifact.folder._pack_weights", lambda weights: b"not safetensors")
    with pytest.raises(ArtifactError, match="in safetensors format"):
        save_artifact(tmp_path, CARD, WEIGHTS)


@pytest.mark.parametrize("name", ["card.json", "weights.safetensors"])
def test_a_missing_file_is_named(saved: Path, tmp_path: Path, name: str) -> None:
    for path in saved.iterdir():
        if path.name != name:
            (tmp_path / path.name).write_bytes(path.read_bytes())
    with pytest.raises(ArtifactError, match=f"{re.escape(name)}, got none; the artifact is incomplete"):
        load_artifact(tmp_path)


def test_a_file_that_cannot_be_read_is_named(saved: Path, tmp_path: Path) -> None:
    (tmp_path / "card.json").mkdir()
    with pytest.raises(ArtifactError, match=r"to read .*card\.json"):
        load_artifact(tmp_path)


def test_only_a_folder_is_an_artifact(saved: Path) -> None:
    with pytest.raises(ArtifactError, match="not there"):
        load_artifact(saved / "nowhere")
    with pytest.raises(ArtifactError, match="a file"):
        load_artifact(saved / "card.json")


def test_another_folder_is_told_from_a_damaged_artifact(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="which has neither; give the folder `artifact` in the run's folder"):
        load_artifact(tmp_path)


def test_save_refuses_a_file_as_folder(saved: Path) -> None:
    with pytest.raises(ArtifactError, match=r"to write the artifact to .*card\.json"):
        save_artifact(saved / "card.json", CARD, WEIGHTS)


@pytest.mark.parametrize(
    ("weights", "named"),
    [
        ({}, "at least one tensor"),
        ({"w": np.array(["text"])}, "'w' of <U4"),
        ({"w": np.zeros(2, np.complex64)}, "complex64"),
        ({"w": np.array([None])}, "object"),
    ],
)
def test_save_refuses_weights_that_it_cannot_store(
    tmp_path: Path, weights: dict[str, npt.NDArray[Any]], named: str
) -> None:
    with pytest.raises(ArtifactError, match=named):
        save_artifact(tmp_path / "model", CARD, weights)
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    "card",
    [
        replace(CARD, model={"dtype": np.float32}),
        replace(CARD, metrics={"rank1": float("inf")}),
        replace(CARD, training={"path": Path("x")}),
    ],
)
def test_save_refuses_cards_that_are_not_json(tmp_path: Path, card: Card) -> None:
    with pytest.raises(ArtifactError, match="JSON values"):
        save_artifact(tmp_path / "model", card, WEIGHTS)
    assert not (tmp_path / "model").exists()


def test_cards_are_checked_when_made() -> None:
    with pytest.raises(CodesError, match="bits 0 to 24"):
        replace(CARD, n_bits=24)
    with pytest.raises(ArtifactError, match="positive multiple of 8"):
        replace(CARD, n_bits=0, parts=())


def test_fingerprint_follows_what_decides_a_bit(saved: Path, tmp_path: Path) -> None:
    card = load_artifact(saved).card
    same = replace(card, name="other", notes="new", licence="MIT", metrics={}, training={})
    assert fingerprint(same) == fingerprint(card)
    assert re.fullmatch("[0-9a-f]{16}", fingerprint(card))
    others = [
        replace(card, thresholds={"attributes": 0.4}),
        replace(card, attributes=None),
        replace(card, input=replace(INPUT, mean=(0.0, 0.0, 0.0))),
        replace(card, input=replace(INPUT, flip=True)),
        replace(card, model={**card.model, "n_parts": 2}),
        save_artifact(tmp_path, CARD, {"w": np.ones(1, np.float32)}).card,
    ]
    assert len({fingerprint(one) for one in [card, *others]}) == 1 + len(others)


def test_fingerprint_does_not_depend_on_how_numbers_and_keys_are_written(tmp_path: Path) -> None:
    a = save_artifact(tmp_path, replace(CARD, thresholds={"a": 1.0, "b": 0.0}), WEIGHTS)
    b = save_artifact(tmp_path, replace(CARD, thresholds={"b": 0, "a": 1}), WEIGHTS)
    assert fingerprint(a.card) == fingerprint(b.card)


def test_fingerprint_needs_a_saved_model() -> None:
    with pytest.raises(ArtifactError, match="save it first"):
        fingerprint(CARD)


def test_settings_nested_without_end_are_refused(tmp_path: Path) -> None:
    """What reads them by recursion would end in a RecursionError."""
    model: dict[str, Any] = {}
    for _ in range(40):
        model = {"a": model}
    with pytest.raises(ArtifactError, match=r"expected model\.a to be nested at most 32 deep, got more"):
        save_artifact(tmp_path / "model", replace(CARD, model=model), WEIGHTS)


def test_an_endless_value_makes_no_endless_message(saved: Path) -> None:
    path = saved / "card.json"
    card = json.loads(path.read_bytes())
    card["input"]["resize"] = "x" * 400_000
    path.write_text(json.dumps(card), encoding="utf-8")
    with pytest.raises(ArtifactError) as refused:
        load_artifact(saved)
    assert len(str(refused.value)) < 2000
