"""Hits as the command line shows them: what is certain, and how many pictures a query was made of."""

import pytest
from rich.table import Table

from bitreid.commands.hits import hits_shown, titles_of
from bitreid.gallery.items import Hit, Hits
from bitreid.gallery.query import SearchRequest


@pytest.mark.parametrize("scattered", [False, True])
def test_hits_that_are_certain_are_told_where_they_are(scattered: bool) -> None:
    """A line where certainty ends, or a column where rescoring has scattered the certain hits."""
    distances = (30, 10, 20) if scattered else (10, 20, 30)
    found = tuple(Hit(i, distance, 0.5, None, None, None, None) for i, distance in enumerate(distances))
    visited, _ = hits_shown("", Hits(found, 90, 20, n_visited=17), SearchRequest())
    assert isinstance(visited, Table)
    assert str(visited.title).endswith(" of 90 items, 17 of them compared")
    table, text = hits_shown("", Hits(found, 90, 20), SearchRequest())
    assert isinstance(table, Table)
    assert isinstance(text, str)
    columns = [str(column.header) for column in table.columns]
    assert ("certain" in columns) == scattered
    assert [row.end_section for row in table.rows] == [False, not scattered, False]
    if scattered:
        assert [*table.columns[columns.index("certain")].cells] == ["no", "yes", "yes"]
        assert text.startswith("certain where it says yes: within 20 bits, ")
    else:
        assert text.startswith("certain above the line: within 20 bits, ")


@pytest.mark.parametrize(
    ("names", "n_pictures", "titles"),
    [
        (["a"], (1,), [""]),
        (["a"], (3,), ["3 pictures as one person: "]),
        (["a", "b"], (1, 2), ["a: ", "b: 2 pictures as one person: "]),
        (["a", "b"], (), ["a: ", "b: "]),
    ],
)
def test_merged_pictures_are_counted(names: list[str], n_pictures: tuple[int, ...], titles: list[str]) -> None:
    assert titles_of(names, n_pictures) == titles
