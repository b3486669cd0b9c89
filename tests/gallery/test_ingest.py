"""Items from files, pictures, folders and tables; adding them goes on where it was stopped."""

import os
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bitreid.arrays import Pixels
from bitreid.codes import Codes
from bitreid.data.parsers.inputs import manifest_of
from bitreid.data.times import NO_TIME, with_dates
from bitreid.encoding.encoder import Encoded, Encoder
from bitreid.encoding.files import EncodedSet, encode_manifest, save_encoded
from bitreid.errors import BadRequest, DataError, DataWarning, GalleryError, SettingsError
from bitreid.gallery import Contract, Gallery, create_gallery, ingest
from bitreid.gallery.ingest import Added, Source, add_sources, items_of, sources_of
from bitreid.gallery.items import Id
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
    settings = {"same_people": True} | settings
    return sources_of(inputs, no_encoder, ids=ids, time_unit=None, attributes=attributes, **settings)


def test_what_is_known_of_a_picture_goes_into_its_item() -> None:
    found = items_of(encoded(), range(N), attributes=True)
    assert found.persons == (None, None, None, "1", "2", "3", "4", "5", "6", "7")
    assert [item.camera for item in found] == [None, *range(1, N)]
    assert found.tracklets == (None, *map(str, range(1, N)))
    assert found.pictures == tuple(f"cam/{i}.jpg" for i in range(N))
    assert found.attribute_codes is not None
    assert (found.model, {item.time for item in found}) == ("abc", {None})
    assert items_of(encoded(tracklets=None), range(N), attributes=False).attribute_codes is None


def test_a_file_of_codes_needs_no_encoder(tmp_path: Path) -> None:
    (source,) = sources([saved(tmp_path / "codes.npz")])
    assert list(source.ids) == [f"cam/{i}.jpg" for i in range(N)]
    assert np.array_equal(next(source.items([[7, 2]]))[0].codes.packed, encoded().codes.packed[[7, 2]])
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
    assert [add_sources(gallery, each).new for each in (one, one)] == [10, 0]
    with pytest.raises(BadRequest, match=r"got 10 ids that .* the first 'cam/0.jpg': two codes of cam/0.jpg; .*upsert"):
        add_sources(gallery, other)
    (item,) = gallery.get(["cam/3.jpg"])
    assert item is not None
    assert np.array_equal(item.code, encoded().codes.packed[3])
    assert add_sources(gallery, other, upsert=True).new == 0
    (item,) = gallery.get(["cam/3.jpg"])
    assert item is not None
    assert np.array_equal(item.code, encoded(seed=1).codes.packed[3])
    with pytest.raises(GalleryError, match=r"of the model mine \(abc\), got codes of def"):
        add_sources(gallery, sources([saved(tmp_path / "c.npz", model="def")]))


def test_numbers_go_on_where_the_gallery_ends(tmp_path: Path) -> None:
    first, second = saved(tmp_path / "a.npz"), saved(tmp_path / "b.npz", seed=1)  # the same names, other pictures
    gallery = in_memory()

    def add(path: Path, **settings: Any) -> int:
        return add_sources(gallery, sources([path], "number", gallery=gallery), **settings).new

    assert [add(first), add(first), add(second), add(first), add(second)] == [10, 0, 10, 0, 0]
    assert [item.id for batch in gallery.scan() for item in batch] == [*range(20)]
    gallery.delete([3, 19])
    assert add(first) == 1
    assert add(second, upsert=True) == 1
    assert [item.id for batch in gallery.scan() for item in batch] == [0, 1, 2, *range(4, 21)]


def test_different_pictures_of_one_name_are_an_error(tmp_path: Path) -> None:
    gallery = in_memory()
    assert add_sources(gallery, sources([saved(tmp_path / "a.npz")], "name")).new == 10
    other = sources([saved(tmp_path / "b.npz", folder="other")], "name")
    with pytest.raises(BadRequest, match=r"got 10 ids that others .* the first '0': other/0.jpg and cam/0.jpg"):
        add_sources(gallery, other)
    assert gallery.count() == 10
    assert add_sources(gallery, other, upsert=True).new == 0


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
        ((batch, _),) = source.items([[0]])
        assert batch.pictures[0] == source.pictures[0]
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
    encode = encoder.encode
    rows: list[int] = []

    def counted(pictures: Pixels) -> Encoded:
        rows.append(len(pictures))
        return encode(pictures)

    monkeypatch.setattr(encoder, "encode", counted)
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
        ).new

    with pytest.raises(KeyboardInterrupt):
        add(stop_at_16)
    assert (rows, gallery.count()) == ([8, 8], 16)
    reports: list[tuple[int, int]] = []
    assert add(lambda done, total: reports.append((done, total))) == 12
    assert [n for n in rows if n] == [8, 8, 8, 4]
    assert reports == [(8, 28), (16, 28), (24, 28), (28, 28)]

    whole = encode_manifest(encoder, manifest_of([folder]))
    found = gallery.get([str(path) for path in whole.paths])
    assert [item is not None and item.code.tolist() for item in found] == whole.codes.packed.tolist()


def test_people_of_two_files_of_codes_are_told_apart(tmp_path: Path) -> None:
    a, b = saved(tmp_path / "a.npz"), saved(tmp_path / "b.npz", folder="other")
    with pytest.raises(DataError, match=r"person 1 in a and in b \(7 persons in all\); say --same-people"):
        sources_of([a, b], no_encoder, ids="path", time_unit=None, attributes=False)

    def persons(same_people: bool) -> list[list[str | None]]:
        found = sources_of([a, b], no_encoder, ids="path", time_unit=None, attributes=False, same_people=same_people)
        return [[item.person for item in next(source.items([[3, 9]]))[0]] for source in found]

    assert persons(True) == [["1", "7"], ["1", "7"]]
    with pytest.warns(DataWarning, match="numbered apart"):
        assert persons(False) == [["a/1", "a/7"], ["b/1", "b/7"]]


def test_a_source_names_its_people_and_tracklets(encoder: Encoder, people: Path, tmp_path: Path) -> None:
    picture = min((people / "query").iterdir())
    table = tmp_path / "m.csv"
    table.write_text(f"path,pid,camid,tracklet\n{picture},4,3,7\n", encoding="utf-8")
    codes, gallery = saved(tmp_path / "codes.npz"), in_memory()

    def known(inputs: list[Path], source: str | None) -> list[Any]:
        found = sources_of(
            inputs,
            lambda: encoder,
            ids="path",
            time_unit=None,
            attributes=False,
            same_people=True,
            source=source,
            gallery=gallery,
        )
        items = [next(source.items([[i]]))[0][0] for source in found for i in range(len(source.ids))]
        return [(item.id, item.person, item.camera, item.tracklet) for item in items]

    expected: list[Any] = [
        ("cam/0.jpg", None, None, None),
        ("cam/1.jpg", None, 1, "b/1"),
        ("cam/2.jpg", None, 2, "b/2"),
    ]
    expected += [(f"cam/{i}.jpg", f"b/{i - 2}", i, f"b/{i}") for i in range(3, N)]
    assert known([codes], "b") == expected
    assert known([codes, table], "b")[N:] == [(str(picture), "b/4", 3, "b/7")]
    assert known([table], None) == [(str(picture), "4", 3, "7")]
    for wrong in ("", "a\0b", "x" * 5000):
        with pytest.raises(BadRequest, match="expected the name of a source of 1 to 4096 bytes"):
            known([codes], wrong)


def test_people_of_a_second_source_are_told_apart_from_those_of_the_gallery(tmp_path: Path) -> None:
    a, b = saved(tmp_path / "a.npz"), saved(tmp_path / "b.npz", folder="other")
    gallery = in_memory()

    def add(path: Path, **settings: Any) -> int:
        settings = {"same_people": None, "gallery": gallery} | settings
        return add_sources(gallery, sources([path], **settings)).new

    assert [add(a), add(a)] == [10, 0]
    for same_people in (None, False):
        with pytest.raises(
            DataError, match=r"got person 1, which .* \(7 persons in all\); say --same-people .*--source"
        ):
            add(b, same_people=same_people)
    assert gallery.count() == 10
    assert [add(b, source="b"), add(b), add(b, source="b")] == [10, 0, 0]
    assert [gallery.count(f'person = "{who}"') for who in ("1", "b/1", "7", "b/7")] == [1, 1, 1, 1]
    assert [gallery.count(f'camera = 4 and tracklet = "{name}"') for name in ("4", "b/4")] == [1, 1]
    gallery.delete([f"other/{i}.jpg" for i in range(N)])
    assert add(b, same_people=True) == 10
    assert gallery.count("person = 1") == 2


def copies(people: Path, folder: Path, n: int, bad: Sequence[int]) -> Path:
    """A folder of pictures 00.jpg, 01.jpg, ... of which some are cut off."""
    folder.mkdir()
    pictures = sorted((people / "bounding_box_test").iterdir())
    for i in range(n):
        content = pictures[i % len(pictures)].read_bytes()
        (folder / f"{i:02}.jpg").write_bytes(content[: len(content) // 2] if i in bad else content)
    return folder


@pytest.mark.parametrize("bad", [[19], [9], [0, 8, 9, 10, 11, 12, 13, 14, 15]], ids=["last", "middle", "a batch"])
def test_bad_pictures_do_not_stop_the_others(
    bad: list[int], encoder: Encoder, people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest, "PICTURES_BATCH", 8)
    folder = copies(people, tmp_path / "many", 20, bad)
    gallery = create_gallery("memory:", Contract.of(encoder.card))
    for new, there in ((20 - len(bad), 0), (0, 20 - len(bad))):
        found = sources_of([folder], lambda: encoder, ids="path", time_unit=None, attributes=True)
        added = add_sources(gallery, found)
        assert (added.new, added.there) == (new, there)
        assert [error.path.name for error in added.findings.bad] == [f"{i:02}.jpg" for i in bad]
    ids = {id for batch in gallery.scan() for id in batch.ids}
    assert ids == {str(folder / f"{i:02}.jpg") for i in range(20) if i not in bad}
    # Each item has the code of its own picture.
    whole = encode_manifest(encoder, manifest_of([folder / f"{i:02}.jpg" for i in range(20) if i not in bad]))
    items = gallery.get([str(path) for path in whole.paths])
    assert [item is not None and item.code.tolist() for item in items] == whole.codes.packed.tolist()
    with pytest.raises(DataError, match=f"{bad[0]:02}.jpg"):
        sources_of([folder], lambda: encoder, ids="path", time_unit=None, attributes=True, strict=True)


def test_numbers_do_not_shift_past_bad_pictures(encoder: Encoder, people: Path, tmp_path: Path) -> None:
    folder = copies(people, tmp_path / "many", 4, [1])
    gallery = create_gallery("memory:", Contract.of(encoder.card))
    add_sources(gallery, sources_of([folder], lambda: encoder, ids="number", time_unit=None, attributes=True))
    assert {id for batch in gallery.scan() for id in batch.ids} == {0, 2, 3}


@pytest.mark.parametrize("ids", ["path", "name", "number"])
def test_a_name_that_is_not_utf8_is_that_file_s_problem(ids: Any, tmp_path: Path) -> None:
    strange = Path(os.fsdecode(b"cam/caf\xe9.jpg"))
    paths = tuple(strange if i == 4 else Path("cam", f"{i}.jpg") for i in range(N))
    file = saved(tmp_path / "codes.npz", paths=paths)
    gallery = in_memory()
    added = add_sources(gallery, sources([file], ids))
    assert (added.new, gallery.count()) == (9, 9)
    (error,) = added.findings.bad
    assert (error.path, str(error)) == (
        strange,
        "expected a readable picture at cam/caf\\xe9.jpg, got: a name that is not UTF-8, which a gallery cannot keep; "
        "rename the file",
    )
    id_of: dict[str, Id] = {"path": "cam/5.jpg", "name": "5", "number": 5}
    (item,) = gallery.get([id_of[ids]])
    assert item is not None
    assert np.array_equal(item.code, encoded().codes.packed[5])
    with pytest.raises(DataError, match="a name that is not UTF-8"):
        sources_of([file], no_encoder, ids=ids, time_unit=None, attributes=False, strict=True)


def test_what_was_added_before_an_error_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [saved(tmp_path / "a.npz"), saved(tmp_path / "b.npz", folder="cam2", model="other")]
    added = Added()
    with pytest.raises(GalleryError, match="got codes of other"):
        add_sources(in_memory(), sources(files), added=added)
    assert added.new == 10


def test_times_of_a_file_of_codes(tmp_path: Path) -> None:
    file = saved(tmp_path / "codes.npz", times=np.array([NO_TIME, 1_700_000_000_000_000, *range(8)]))
    gallery = in_memory()
    add_sources(gallery, sources([file]))
    one, other = gallery.get(["cam/0.jpg", "cam/1.jpg"])
    assert one is not None
    assert other is not None
    assert (one.time, other.time) == (None, datetime.fromtimestamp(1_700_000_000, UTC))
    assert (other.camera, other.tracklet) == (1, "1")


def test_what_a_table_says_survives_a_file_of_codes(encoder: Encoder, people: Path, tmp_path: Path) -> None:
    """The same items come of a table, and of the file that it was encoded to."""
    one, two = sorted((people / "query").iterdir())[:2]
    table, file = tmp_path / "table.csv", tmp_path / "codes.npz"
    table.write_text(f"path,pid,camid,tracklet,time\n{one},7,3,9,1700000000\n{two},8,4,,\n", encoding="utf-8")
    save_encoded(file, encode_manifest(encoder, with_dates(manifest_of([table]), "s")))
    galleries = []
    for given in (table, file):
        gallery = create_gallery("memory:", Contract.of(encoder.card))
        add_sources(gallery, sources_of([given], lambda: encoder, ids="path", time_unit="s", attributes=True))
        galleries.append([item for item in gallery.get([str(one), str(two)]) if item is not None])
    for direct, by_file in zip(*galleries, strict=True):
        assert np.array_equal(direct.code, by_file.code)
        names = ("time", "camera", "tracklet", "person", "picture")
        assert [getattr(direct, name) for name in names] == [getattr(by_file, name) for name in names]
    assert (galleries[1][0].time, galleries[1][0].tracklet) == (datetime.fromtimestamp(1_700_000_000, UTC), "9")
    assert (galleries[1][1].time, galleries[1][1].tracklet) == (None, None)
