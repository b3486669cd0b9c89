"""What tables say of pictures becomes what a gallery knows of its items: times, people, metadata."""

from pathlib import Path
from typing import Any

import pytest

from bitreid.encoding.encoder import Encoder
from bitreid.errors import DataError, DataWarning, SettingsError
from bitreid.gallery.ingest import sources_of
from bitreid.training.load import load_encoder


@pytest.fixture(scope="module")
def encoder(trained: Path) -> Encoder:
    return load_encoder(trained / "artifact")


def test_times_of_a_table(encoder: Encoder, people: Path, tmp_path: Path) -> None:
    one, two = sorted((people / "query").iterdir())[:2]
    table = tmp_path / "table.csv"
    table.write_text(f"path,time\n{one},1700000000\n{two},-2\n", encoding="utf-8")

    def times(unit: Any) -> list[str | None]:
        (source,) = sources_of([table], lambda: encoder, ids="path", time_unit=unit, attributes=True)
        return [None if item.time is None else item.time.isoformat() for item in next(source.items([[0, 1]]))[0]]

    assert times("s") == ["2023-11-14T22:13:20+00:00", None]
    assert times("ms") == ["1970-01-20T16:13:20+00:00", None]
    assert times("us") == ["1970-01-01T00:28:20+00:00", None]
    assert times(None) == [None, None]
    table.write_text(f"path,time\n{one},{10**15}\n", encoding="utf-8")
    with pytest.raises(SettingsError, match="years 1 to 9999, got 1000000000000000, counted in s"):
        times("s")


def test_people_are_called_as_their_table_calls_them(encoder: Encoder, people: Path, tmp_path: Path) -> None:
    picture = min((people / "query").iterdir())
    (tmp_path / "m.csv").write_text(f"path,pid\n{picture},anna\n", encoding="utf-8")
    with pytest.warns(DataWarning, match="1 names in column 'pid'"):
        (source,) = sources_of([tmp_path / "m.csv"], lambda: encoder, ids="path", time_unit=None, attributes=True)
    (item,) = next(source.items([[0]]))[0]
    assert item.person == "anna"


def test_further_columns_of_tables_become_metadata(encoder: Encoder, people: Path, tmp_path: Path) -> None:
    pictures = sorted((people / "query").iterdir())[:5]
    cut = tmp_path / "cut.jpg"
    cut.write_bytes(pictures[0].read_bytes()[:300])
    one, two = tmp_path / "one.csv", tmp_path / "two.csv"
    lines = [f"{pictures[0]},door,3,0.5", f"{cut},never,4,1", f"{pictures[1]},,5,", f"{pictures[2]},,,"]
    one.write_text("\n".join(["path,place,floor,share", *lines, ""]), encoding="utf-8")
    two.write_text(f"path,floor\n{pictures[3]},first\n", encoding="utf-8")

    def items(inputs: list[Path], metadata: Any) -> list[Any]:
        (source,) = sources_of(inputs, lambda: encoder, ids="path", time_unit=None, attributes=True, metadata=metadata)
        ((batch, _),) = source.items([list(range(len(source.ids)))])
        return [(Path(str(item.id)).name, item.metadata) for item in batch]

    names = [picture.name for picture in pictures]
    whole = [{"place": "door", "floor": 3, "share": 0.5}, {"floor": 5}, None]
    assert items([one], "all") == list(zip(names, whole, strict=False))
    with pytest.warns(DataWarning, match="passing over place, share"):
        found = items([one, two, pictures[4]], ["floor"])
    assert found == list(zip(names, [{"floor": 3}, {"floor": 5}, None, {"floor": "first"}, None], strict=True))
    with pytest.warns(DataWarning, match="passing over place, floor, share"):
        assert items([one], ()) == [(name, None) for name in names[:3]]
    with pytest.raises(DataError, match=r"the column 'place' to keep in .*two\.csv, got floor"):
        items([two, one], ["place"])
    for metadata in ("all", ["floor"]):
        with pytest.raises(
            SettingsError, match=r"expected a table .* to take metadata from, got none among the inputs"
        ):
            items([people / "query", pictures[0]], metadata)
