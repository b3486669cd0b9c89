"""Galleries that another process writes meanwhile."""

import pytest

from tests.gallery.cases import Create, beside_a_writer


@pytest.mark.parametrize("create", ["sqlite"], indirect=True)
def test_nobody_misses_what_a_writer_leaves_alone(create: Create) -> None:
    beside_a_writer(create())
