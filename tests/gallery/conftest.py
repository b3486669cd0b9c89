"""A Milvus server that all tests of galleries share, started when the first of them wants it, gone after the last; and
what makes galleries of each kind."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from bitreid.gallery import Contract, Gallery, create_gallery
from bitreid.gallery.milvus.gallery import MilvusGallery
from tests.gallery.cases import CONTRACT, Create
from tests.gallery.milvus.running import Galleries, MilvusServer


@pytest.fixture(scope="package")
def milvus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MilvusServer]:
    with MilvusServer(tmp_path_factory.mktemp("milvus")) as server:
        yield server


@pytest.fixture(scope="package")
def milvus_galleries(milvus: MilvusServer) -> Galleries:
    return Galleries(milvus.url)


@pytest.fixture
def create_milvus_gallery(request: pytest.FixtureRequest) -> Iterator[Callable[..., MilvusGallery]]:
    """Makes empty galleries on the server, and closes them."""
    with ExitStack() as used:

        def new(contract: Contract = CONTRACT, **settings: Any) -> MilvusGallery:
            galleries: Galleries = request.getfixturevalue("milvus_galleries")
            return used.enter_context(galleries.borrowed(contract, **settings))

        yield new


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
