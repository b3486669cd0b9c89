"""What makes galleries of each kind."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from bitreid.gallery import Contract, Gallery, create_gallery
from bitreid.gallery.milvus.gallery import MilvusGallery
from tests.gallery.cases import CONTRACT, Create


@pytest.fixture(params=["memory", "sqlite", "milvus"])
def create(
    request: pytest.FixtureRequest, tmp_path: Path, create_milvus_gallery: Callable[..., MilvusGallery]
) -> Iterator[Create]:
    """Makes galleries of one kind, and closes them."""
    with ExitStack() as made:

        def new(contract: Contract = CONTRACT, **settings: Any) -> Gallery:
            if request.param == "milvus":
                return create_milvus_gallery(contract, **settings)
            number = len(list(tmp_path.glob("*.gallery")))
            place = "memory:" if request.param == "memory" else tmp_path / f"{number}.gallery"
            return made.enter_context(create_gallery(place, contract, **settings))

        yield new
