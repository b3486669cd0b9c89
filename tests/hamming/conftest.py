"""Every path of the search kernel, in turn."""

from collections.abc import Iterator

import pytest

from bitreid.hamming import kernel, search, twin
from tests.hamming.cases import using

SMALL_BLOCKS = "numpy in small blocks"


@pytest.fixture(scope="module", params=[*kernel.available_paths(), SMALL_BLOCKS])
def path(request: pytest.FixtureRequest) -> Iterator[str]:
    """The name of the path that searches meanwhile; numpy also with blocks of which each array has several."""
    name = request.param.split()[0]
    with pytest.MonkeyPatch.context() as patch, using(name):
        if request.param == SMALL_BLOCKS:
            sizes = {"_QUERY_BLOCK": 2, "_GALLERY_BLOCK": 3, "_QUERIES_IN_CACHE": 1, "_LISTED_BLOCK": 2}
            for block, size in sizes.items():
                patch.setattr(twin, block, size)
            patch.setattr(search, "_BLOCK_BYTES", 1)
            patch.setattr(search, "_ROWS_IN_BLOCK", 5)
        yield name


@pytest.fixture
def fastest_path() -> Iterator[None]:
    """Searches meanwhile take the fastest path: a test in a module of `path` would run on the last one of these."""
    with using(kernel.available_paths()[0]):
        yield
