"""A Milvus server that all tests of galleries share, started when the first of them wants it, gone after the last."""

from collections.abc import Iterator

import pytest

from tests.gallery.milvus.running import MilvusServer


@pytest.fixture(scope="package")
def milvus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MilvusServer]:
    with MilvusServer(tmp_path_factory.mktemp("milvus")) as server:
        yield server


@pytest.fixture(scope="package")
def milvus_url(milvus: MilvusServer) -> str:
    return milvus.url
