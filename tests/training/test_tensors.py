"""Files of torch.save: tensors and lists are read, and nothing in them is ever run."""

import os
import pickle
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bitreid.encoding.imported.arrays import read_arrays
from bitreid.encoding.imported.features import read_features
from bitreid.errors import BitreidError, DataError
from bitreid.training.tensors import load_tensors

X = torch.arange(12.0).reshape(3, 4)
MOST = 2**20


class Runs:
    """A pickle that makes a file when it is loaded."""

    def __init__(self, made: Path) -> None:
        self.made = made

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.made),)


def test_a_tensor_alone_and_a_dict_of_tensors_and_lists(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    for tensor in (X, X.half(), X.bfloat16(), X.double().requires_grad_()):
        torch.save(tensor, path)
        np.testing.assert_array_equal(load_tensors(path, MOST)["features"], X.numpy())
    values = {
        "feats": X,
        "pids": [5, 5, 6],
        "camids": torch.tensor([0, 1, 0]),
        "img_paths": ["a.jpg", "b.jpg", "c.jpg"],
    }
    torch.save(values, path)
    found = read_features(path, load_tensors=load_tensors)
    np.testing.assert_array_equal(found.features, X.numpy())
    assert found.manifest.pids.tolist() == [5, 5, 6]
    assert found.manifest.camids.tolist() == [0, 1, 0]
    assert found.manifest.paths[2] == Path("c.jpg")
    torch.save({"qf": X[:1], "q_pids": [torch.tensor(7)], "gf": X[1:], "g_pids": [8, 9]}, path)
    assert read_arrays(path, "query", load_tensors)["pids"].tolist() == [7]


def test_a_pickle_that_runs_a_program_is_not_loaded(tmp_path: Path) -> None:
    made = tmp_path / "made"
    torch.save({"features": X, "more": Runs(made)}, tmp_path / "a.pt")
    (tmp_path / "b.pt").write_bytes(pickle.dumps(Runs(made)))
    for name, words in {"a.pt": "may run a program", "b.pt": "PyTorch 1.6 or newer"}.items():
        with pytest.raises(DataError, match=words) as caught:
            load_tensors(tmp_path / name, MOST)
        assert "weights_only" not in str(caught.value), "which advises to trust it"
    assert not made.exists()


def test_the_format_before_torch_1_6_is_refused(tmp_path: Path) -> None:
    torch.save(X, tmp_path / "a.pt", _use_new_zipfile_serialization=False)
    with pytest.raises(DataError, match="or newer, at"):
        load_tensors(tmp_path / "a.pt", MOST)


def test_sizes_are_checked_before_anything_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    torch.save(torch.zeros(1000, 1000), path)
    with pytest.raises(DataError, match="at most 1048576 bytes"):
        load_tensors(path, MOST)
    torch.save(torch.zeros(1).expand(2**20, 2**20), path)
    with pytest.raises(DataError, match="dense tensors of at most"):
        load_tensors(path, MOST)
    torch.save(X, path)
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(tmp_path / "b.pt", "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    with pytest.raises(DataError, match="a compressed archive"):
        load_tensors(tmp_path / "b.pt", MOST)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([X, X], "got a list"),
        ({"features": {"inner": X}}, "got 'features': dict"),
        ({3: X}, "got a dict"),
        ({"features": X.to_sparse()}, "dense tensors"),
        ({"features": X.numpy()}, "may run a program"),
    ],
)
def test_what_is_not_read(value: Any, words: str, tmp_path: Path) -> None:
    torch.save(value, tmp_path / "a.pt")
    with pytest.raises(DataError, match=words) as caught:
        load_tensors(tmp_path / "a.pt", MOST)
    assert "\n" not in str(caught.value)


def test_damage_is_an_error_of_ours_or_another_value(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    torch.save({"features": X, "pids": [1, 2, 3]}, tmp_path / "a.pt")
    whole = (tmp_path / "a.pt").read_bytes()
    for _ in range(60):
        data = bytearray(whole)
        data[rng.integers(len(data))] ^= 1 << rng.integers(8)
        if rng.random() < 0.3:
            del data[rng.integers(len(data)) :]
        (tmp_path / "b.pt").write_bytes(data)
        with suppress(BitreidError):
            read_arrays(tmp_path / "b.pt", load_tensors=load_tensors)
