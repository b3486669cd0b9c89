"""What a data set says about itself."""

from pathlib import Path

import pytest

from bitreid.data.about import Facts, about_of, write_about
from bitreid.errors import DataError


def test_what_was_written_is_read(tmp_path: Path) -> None:
    assert about_of(tmp_path) == Facts()
    assert about_of(tmp_path / "none") == Facts()
    about = Facts("CC BY 4.0", "All of it.\n", "Three cameras in one hall.")
    write_about(tmp_path, about)
    assert about_of(tmp_path) == about
    (tmp_path / "about.json").write_text('{"notes": "short"}', encoding="utf-8")
    assert about_of(tmp_path) == Facts(notes="short")
    # A table may name pictures of another place than its own.
    table = tmp_path / "table.csv"
    table.touch()
    assert about_of(table) == Facts()


@pytest.mark.parametrize("text", ["", "[1]", "3", '{"license": "MIT"}', '{"notes": 3}', "{" * 5000])
def test_another_file_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "about.json").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=r"texts in JSON at .*about\.json, got .*; mend or remove it"):
        about_of(tmp_path)
