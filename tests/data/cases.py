"""What tests of data share: files that are only names, small text files, labels by name."""

from pathlib import Path

import numpy as np

from bitreid.data.attributes import AttributeTable


def touch(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def row_of(table: AttributeTable, pid: int) -> dict[str, int]:
    """The labels of one identity by name."""
    return dict(zip(table.schema.names, table.labels_of(np.array([pid]))[0].tolist(), strict=True))
