"""The service over each kind of gallery: what is answered is there, also where many ask at once."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bitreid import Client, Codes
from bitreid.encoding.encoder import Encoder
from bitreid.gallery import Contract, Gallery, create_gallery, open_gallery
from bitreid.gallery.milvus.gallery import MilvusGallery
from bitreid.service.schemas import ItemIn
from tests.service.cases import app_of, serving


@pytest.fixture(params=["memory", "sqlite", "milvus"])
def gallery(
    request: pytest.FixtureRequest,
    encoder: Encoder,
    tmp_path: Path,
    create_milvus_gallery: Callable[..., MilvusGallery],
) -> Gallery:
    """An empty gallery of each kind."""
    contract = Contract.of(encoder.card)
    if request.param == "milvus":
        return create_milvus_gallery(contract)
    return create_gallery("memory:" if request.param == "memory" else tmp_path / "people.gallery", contract)


@pytest.fixture
def client(gallery: Gallery, encoder: Encoder) -> Iterator[Client]:
    with serving(app_of(gallery, encoder)) as address, Client(address) as made:
        yield made


def test_a_day_of_a_gallery(client: Client, pictures: list[Path]) -> None:
    """Items are added, found, decided about, listed and deleted."""
    person, other = pictures[0].name[:4], pictures[-1].name[:4]
    known = [
        ItemIn(id=i if i % 2 else f"text/{i}", camera_name=f"door {i % 2}", person=each.name[:4], metadata={"n": i})
        for i, each in enumerate(pictures)
    ]
    assert client.add(pictures, known).new == 6
    assert client.info().cameras == {"1": "door 0", "2": "door 1"}
    found = client.search(pictures[0], where="camera = 'door 0'", w="100%")
    assert found.n_gallery == 3
    assert (found.hits[0].id, found.hits[0].distance, found.hits[0].metadata) == ("text/0", 0, {"n": 0})
    assert [hit.person for hit in client.search(pictures[:2], by="person").hits] == [person, other]
    assert client.search_attributes({"backpack": 0.5, "hat": 0.0}, k=6).n_gallery == 6
    assert client.confirm([1], "Ada") == 1
    assert client.get(1).person == "Ada"
    assert client.undo() == "confirm Ada"
    assert client.get(1).person == person
    assert client.merge(person, other) == 3
    assert {each.person for each in client.items(where="camera = 'door 1'")} == {person}
    assert client.undo() is not None
    assert client.reject([1], person) == 1
    assert client.search_item(1, k=6, person=person).n_gallery == client.search_item(1, k=6).n_gallery == 5
    assert 1 not in {hit.id for hit in client.search(pictures[1], k=6, person=person).hits}
    assert client.undo() is not None
    part = next(iter(client.info().contract.parts))
    assert client.search(pictures[1], parts=[part], k=1, w=10_000).hits[0].id == 1
    assert client.search(pictures[1], k=1, rescore=True, max_distance=0).hits[0].id == 1
    assert client.delete_where("camera = 'door 1'", dry_run=True) == 3
    assert {each.id for each in client.items(page_size=4)} == {"text/0", 1, "text/2", 3, "text/4", 5}
    assert client.delete_where(f"person = '{other}'") == 3
    assert client.delete(["text/0", "nobody"]) == 1
    assert {each.id for each in client.items()} == {1, "text/2"}


def test_two_services_of_one_gallery_on_milvus(
    encoder: Encoder, pictures: list[Path], create_milvus_gallery: Callable[..., MilvusGallery]
) -> None:
    """Each finds at once what the other acknowledged, and no more what it deleted."""
    gallery = create_milvus_gallery(Contract.of(encoder.card))
    with open_gallery(gallery.info().place) as second:
        services = [serving(app_of(each, encoder)) for each in (gallery, second)]
        with services[0] as one, services[1] as other, Client(one) as here, Client(other) as there:
            known = [ItemIn(id=i, person=each.name[:4]) for i, each in enumerate(pictures)]
            assert here.add(pictures, known).new == 6
            assert there.search(pictures[0], k=1).hits[0].id == 0
            assert there.delete([0]) == 1
            assert 0 not in {hit.id for hit in here.search(pictures[0], k=6).hits}


def test_many_ask_at_once(client: Client, encoder: Encoder, pictures: list[Path]) -> None:
    """What was added before a search is found, whoever adds and deletes beside it."""
    codes = encoder.encode_files(pictures)
    assert codes.attribute_codes is not None
    model, rows = encoder.model, list(zip(*(_rows(each) for each in (codes.codes, codes.attribute_codes)), strict=True))

    def work(n: int) -> None:
        for turn in range(2):
            id, (code, short) = f"{n}-{turn}", rows[(n + turn) % len(rows)]
            assert client.add_codes(code, [{"id": id, "tracklet": id}], attribute_codes=short, model=model).new == 1
            (hits,) = client.search_codes(code, short, model=model, where=f"tracklet = '{id}'")
            assert [(hit.id, hit.distance) for hit in hits.hits] == [(id, 0)]
            (hits,) = client.search_codes(code, short, model=model, k=100)
            assert id in [hit.id for hit in hits.hits if hit.distance == 0]
            if turn == 0:
                assert client.delete([id]) == 1

    with ThreadPoolExecutor(4) as threads:
        for done in [threads.submit(work, n) for n in range(4)]:
            done.result()
    assert {each.id for each in client.items()} == {f"{n}-1" for n in range(4)}


def _rows(codes: Codes) -> list[Codes]:
    return [codes[i : i + 1] for i in range(len(codes))]
