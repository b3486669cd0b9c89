"""A model that a run made, and a gallery that it encoded."""

from pathlib import Path

import pytest

from tests.commands.words import done, features


@pytest.fixture(scope="session")
def artifact(trained: Path) -> Path:
    return trained / "artifact"


@pytest.fixture(scope="session")
def gallery(artifact: Path, people: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("codes") / "gallery.npz"
    done("encode", artifact, people / "bounding_box_test", "--out", out, "--features")
    return out


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    return features(tmp_path / "query.npz", 30, 1), features(tmp_path / "gallery.npz", 120, 2)
