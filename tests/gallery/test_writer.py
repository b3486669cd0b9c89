"""Galleries that another process writes meanwhile."""

import pytest

from tests.gallery.cases import Create, beside_a_writer


@pytest.mark.parametrize(("create", "n_looks"), [("sqlite", 6), ("milvus", 2)], indirect=["create"])
def test_nobody_misses_what_a_writer_leaves_alone(create: Create, n_looks: int) -> None:
    beside_a_writer(create(), n_looks)
