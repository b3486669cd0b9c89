"""Items from files, pictures, folders and tables; adding them goes on where it was stopped."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bitreid.codes import Codes
from bitreid.encoding.encoder import Encoder
from bitreid.encoding.files import EncodedSet, encode_manifest, manifest_of, save_encoded
from bitreid.errors import BadRequest, GalleryError, SettingsError
from bitreid.gallery import Contract, Gallery, create_gallery, ingest
from bitreid.gallery.ingest import Source, add_sources, items_of, sources_of
from bitreid.training.load import load_encoder

N = 10


@pytest.fixture(scope="module")
def encoder(trained: Path) -> Encoder:
    return load_encoder(trained / "artifact")


def no_encoder() -> Encoder:
    raise AssertionError("there are no pictures to encode")


def encoded(seed: int = 0, folder: str = "cam", **changes: Any) -> EncodedSet:
    """Ten pictures, of nobody (pid 0), junk, an unknown person and persons 1 to 7."""
    rng = np.random.default_rng(seed)
    columns: dict[str, Any] = {
        "paths": tuple(Path(folder, f"{i}.jpg") for i in range(N)),
        "codes": Codes(rng.integers(0, 256, (N, 8), np.uint8), 64),
        "attribute_codes": Codes(rng.integers(0, 256, (N, 1), np.uint8), 8),
        "features": None,
        "pids": np.array([0, -1, -2, 1, 2, 3, 4, 5, 6, 7]),
        "camids": np.array([-2, *range(1, N)]),
        "model": "abc",
        "tracklets": np.array([-2, *range(1, N)]),
    }
    return EncodedSet(**(columns | changes))


def saved(path: Path, **changes: Any) -> Path:
    save_encoded(path, encoded(**changes))
    return path


def in_memory(attributes: Sequence[str] = ()) -> Gallery:
    return create_gallery("memory:", Contract(64, "abc", "mine", attributes=tuple(attributes)))


def sources(inputs: Sequence[Path], ids: Any = "path", attributes: bool = False, **settings: Any) -> list[Source]:
    return sources_of(inputs, no_encoder, ids=ids, time_unit=None, attributes=attributes, **settings)


def test_what_is_known_of_a_picture_goes_into_its_item() -> None:
    found = items_of(encoded(), range(N), None, attributes=True)
    assert found.persons == (None, None, None, "1", "2", "3", "4", "5", "6", "7")
    assert [item.camera for item in found] == [None, *range(1, N)]
    assert found.tracklets == (None, *map(str, range(1, N)))
    assert found.pictures == tuple(f"cam/{i}.jpg" for i in range(N))
    assert found.attribute_codes is not None
    assert (found.model, {item.time for item in found}) == ("abc", {None})
    assert items_of(encoded(tracklets=None), range(N), None, attributes=False).attribute_codes is None


def test_a_file_of_codes_needs_no_encoder(tmp_path: Path) -> None:
    (source,) = sources([saved(tmp_path / "codes.npz")])
    assert list(source.ids) == [f"cam/{i}.jpg" for i in range(N)]
    assert np.array_equal(source.items([7, 2]).codes.packed, encoded().codes.packed[[7, 2]])
    assert source.model == "abc"


def test_ids_of_each_kind(tmp_path: Path) -> None:
    files = [saved(tmp_path / "a.npz"), saved(tmp_path / "b.npz", folder="cam2")]
    assert [list(source.ids)[-1] for source in sources(files)] == ["cam/9.jpg", "cam2/9.jpg"]
    assert [list(source.ids) for source in sources(files, "number")] == [[*range(10)], [*range(10, 20)]]
    assert list(sources(files[:1], "name")[0].ids) == [str(i) for i in range(10)]
    for given, ids, name in ((files, "name", "'0'"), ([files[0], files[0]], "path", "'cam/0.jpg'")):
        with pytest.raises(SettingsError, match=f"an id of its own for each, got {name} 2 times"):
            sources(given, ids)


def test_adding_leaves_or_replaces_what_is_there(tmp_path: Path) -> None:
    one, other = sources([saved(tmp_path / "a.npz")]), sources([saved(tmp_path / "b.npz", seed=1)])
    gallery = in_memory()
    assert [add_sources(gallery, each) for each in (one, one)] == [10, 0]
    with pytest.raises(BadRequest, match=r"got 10 ids that .* the first 'cam/0.jpg': two codes of cam/0.jpg; .*upsert"):
        add_sources(gallery, other)
    (item,) = gallery.get(["cam/3.jpg"])
    assert item is not None
    assert np.array_equal(item.code, encoded().codes.packed[3])
    assert add_sources(gallery, other, upsert=True) == 0
    (item,) = gallery.get(["cam/3.jpg"])
    assert item is not None
    assert np.array_equal(item.code, encoded(seed=1).codes.packed[3])
    with pytest.raises(GalleryError, match=r"of the model mine \(abc\), got codes of def"):
        add_sources(gallery, sources([saved(tmp_path / "c.npz", model="def")]))


def test_numbers_go_on_where_the_gallery_ends(tmp_path: Path) -> None:
    first, second = saved(tmp_path / "a.npz"), saved(tmp_path / "b.npz", seed=1)  # the same names, other pictures
    gallery = in_memory()

    def add(path: Path, **settings: Any) -> int:
        return add_sources(gallery, sources([path], "number", gallery=gallery), **settings)

    assert [add(first), add(first), add(second), add(first), add(second)] == [10, 0, 10, 0, 0]
    assert [item.id for batch in gallery.scan() for item in batch] == [*range(20)]
    gallery.delete([3, 19])
    assert add(first) == 1
    assert add(second, upsert=True) == 1
    assert [item.id for batch in gallery.scan() for item in batch] == [0, 1, 2, *range(4, 21)]


def test_different_pictures_of_one_name_are_an_error(tmp_path: Path) -> None:
    gallery = in_memory()
    assert add_sources(gallery, sources([saved(tmp_path / "a.npz")], "name")) == 10
    other = sources([saved(tmp_path / "b.npz", folder="other")], "name")
    with pytest.raises(BadRequest, match=r"got 10 ids that others .* the first '0': other/0.jpg and cam/0.jpg"):
        add_sources(gallery, other)
    assert gallery.count() == 10
    assert add_sources(gallery, other, upsert=True) == 0


def test_hashes_say_nothing_and_are_the_same_again(tmp_path: Path) -> None:
    one, other = saved(tmp_path / "a.npz"), saved(tmp_path / "b.npz", seed=1)
    ids = sources([one, other], "hash")
    found = [*ids[0].ids, *ids[1].ids]
    assert len(set(found)) == 20
    assert all(re.fullmatch("[0-9a-f]{32}", str(id)) for id in found)
    assert sources([one], "hash")[0].ids == ids[0].ids


def test_an_id_is_the_same_in_whichever_folder_one_is(
    encoder: Encoder, people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = people / "query"
    name = sorted(folder.iterdir())[0].name

    def first(given: Path, root: Path | None, kind: Any = "path") -> str:
        (source,) = sources_of([given], lambda: encoder, ids=kind, time_unit=None, attributes=True, root=root)
        assert source.items([0]).pictures[0] == source.pictures[0]
        return str(source.ids[0])

    monkeypatch.chdir(people)
    seen = [first(Path("query"), people), first(Path("query"), tmp_path), first(Path("query"), Path("/"))]
    hashed = first(Path("query"), people, "hash")
    assert first(Path("query"), None) == f"query/{name}"
    monkeypatch.chdir(folder)
    assert [first(Path(), people), first(Path(), tmp_path), first(Path(), Path("/"))] == seen
    assert seen == [f"query/{name}", str(folder / name), str(folder / name)]
    assert first(Path(), people, "hash") == hashed
    codes = saved(tmp_path / "c.npz")
    assert sources([codes], root=tmp_path)[0].ids[0] == "cam/0.jpg"
    codes = saved(tmp_path / "d.npz", folder=str(tmp_path / "cam"))
    assert sources([codes], root=tmp_path)[0].ids[0] == "cam/0.jpg"


def test_stopped_adding_goes_on_without_encoding_again(
    encoder: Encoder, people: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest, "PICTURES_BATCH", 8)
    folder = people / "bounding_box_test"
    encode = encode_manifest
    rows: list[int] = []

    def counted(*arguments: Any) -> EncodedSet:
        found = encode(*arguments)
        rows.append(len(found))
        return found

    monkeypatch.setattr(ingest, "encode_manifest", counted)
    gallery = create_gallery("memory:", Contract.of(encoder.card))

    def stop_at_16(done: int, total: int) -> None:
        assert total == 28
        if done == 16:
            raise KeyboardInterrupt

    def add(progress: Any = None) -> int:
        return add_sources(
            gallery,
            sources_of([folder], lambda: encoder, ids="path", time_unit=None, attributes=True),
            progress=progress,
        )

    with pytest.raises(KeyboardInterrupt):
        add(stop_at_16)
    assert (rows, gallery.count()) == ([8, 8], 16)
    reports: list[tuple[int, int]] = []
    assert add(lambda done, total: reports.append((done, total))) == 12
    assert rows == [8, 8, 8, 4]
    assert reports == [(8, 28), (16, 28), (24, 28), (28, 28)]

    whole = encode(encoder, manifest_of([folder]))
    found = gallery.get([str(path) for path in whole.paths])
    assert [item is not None and item.code.tolist() for item in found] == whole.codes.packed.tolist()


def test_times_of_a_table(encoder: Encoder, people: Path, tmp_path: Path) -> None:
    one, two = sorted((people / "query").iterdir())[:2]
    table = tmp_path / "table.csv"
    table.write_text(f"path,time\n{one},1700000000\n{two},-2\n", encoding="utf-8")

    def times(unit: Any) -> list[str | None]:
        (source,) = sources_of([table], lambda: encoder, ids="path", time_unit=unit, attributes=True)
        return [None if item.time is None else item.time.isoformat() for item in source.items([0, 1])]

    assert times("s") == ["2023-11-14T22:13:20+00:00", None]
    assert times("ms") == ["1970-01-20T16:13:20+00:00", None]
    assert times("us") == ["1970-01-01T00:28:20+00:00", None]
    assert times(None) == [None, None]
    table.write_text(f"path,time\n{one},{10**15}\n", encoding="utf-8")
    with pytest.raises(SettingsError, match="years 1 to 9999, got 1000000000000000, counted in s"):
        times("s")
