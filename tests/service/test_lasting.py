"""What is acknowledged lasts: when the service is killed while many write, and when its disk is full. Who sends large
bodies, slow ones or none keeps nobody else waiting."""

import socket
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from bitreid import Client, Codes
from bitreid.arrays import Bytes
from bitreid.encoding.encoder import Encoder
from bitreid.errors import BitreidError, ItemNotFound, ServiceError
from bitreid.gallery import Contract, create_gallery, open_gallery
from bitreid.service.kinds import kind_of
from tests.gallery.sqlite.cases import small_disk
from tests.service.cases import PATIENCE_S, app_of, serving, started

LARGE = 8 * 2**20
TOGETHER = 5
UPLOAD = (
    b"POST /v1/items HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: multipart/form-data; boundary=b\r\n"
    b"Content-Length: %d\r\n\r\n" % LARGE
)
NO_PICTURE = b'--b\r\nContent-Disposition: form-data; name="picture"; filename="a.jpg"\r\n\r\n%b\r\n--b--\r\n'
NO_PICTURE %= bytes(LARGE - len(NO_PICTURE) + 2)


class Writer:
    """Adds items of its own, a few at a time, and deletes one in between, until nobody answers."""

    def __init__(self, address: str, model: str, number: int, contract: Contract) -> None:
        self.address, self.model, self.number, self.contract = address, model, number, contract
        self.added: dict[str, Bytes] = {}
        """Acknowledged, and not to be deleted."""
        self.deleted: set[str] = set()
        self.unknown: list[set[str]] = []
        """Sent, and not acknowledged: one batch of additions, or a deletion."""

    def write(self) -> None:
        rng = np.random.default_rng(self.number)
        with Client(self.address, tries=1, timeout_s=PATIENCE_S) as client:
            for turn in range(100_000):
                codes = rng.integers(0, 256, (TOGETHER, self.contract.n_bits // 8), np.uint8)
                short = rng.integers(0, 256, (TOGETHER, self.contract.attribute_bits // 8), np.uint8)
                ids = [f"{self.number}-{turn}-{i}" for i in range(TOGETHER)]
                short_codes = Codes(short, self.contract.attribute_bits)
                try:
                    self.unknown = [set(ids)]
                    client.add_codes(
                        Codes(codes, self.contract.n_bits),
                        [{"id": id} for id in ids],
                        attribute_codes=short_codes,
                        model=self.model,
                    )
                    self.added |= dict(zip(ids, codes, strict=True))
                    self.unknown = [{ids[0]}]
                    del self.added[ids[0]]
                    client.delete(ids[:1])
                    self.deleted.add(ids[0])
                    self.unknown = []
                except ServiceError:
                    return


def test_a_service_that_is_killed_keeps_all_that_it_acknowledged(encoder: Encoder, tmp_path: Path) -> None:
    place, contract = tmp_path / "people.gallery", Contract.of(encoder.card)
    create_gallery(place, contract).close()
    with started("--gallery", str(place)) as (run, address):
        writers = [Writer(address, encoder.model, number, contract) for number in range(3)]
        threads = [threading.Thread(target=writer.write) for writer in writers]
        for thread in threads:
            thread.start()
        until = time.monotonic() + PATIENCE_S
        while min(len(writer.deleted) for writer in writers) < 4 and time.monotonic() < until:
            time.sleep(0.01)
        run.kill()
        for thread in threads:
            thread.join()
    assert min(len(writer.deleted) for writer in writers) >= 4
    with started("--gallery", str(place), "--port", address.rpartition(":")[2]) as (_, again), Client(again) as client:
        assert again == address
        there = {item.id for item in client.items()}
        for writer in writers:
            assert writer.added.keys() <= there
            assert not writer.deleted & there
            assert all(len(batch & there) in (0, len(batch)) for batch in writer.unknown)  # whole, or not at all
            found = client.search_codes(
                Codes(np.stack([*writer.added.values()]), contract.n_bits), model=encoder.model, k=1
            )
            assert [hits.hits[0].id for hits in found] == [*writer.added]
        known = {id for writer in writers for id in {*writer.added, *writer.deleted}.union(*writer.unknown)}
        assert there <= known


def test_a_full_disk_is_told_and_loses_nothing(encoder: Encoder, tmp_path: Path) -> None:
    place, contract = tmp_path / "disk" / "people.gallery", Contract.of(encoder.card)
    place.parent.mkdir()
    codes = Codes(np.random.default_rng(0).integers(0, 256, (20_000, contract.n_bits // 8), np.uint8), contract.n_bits)
    short = Codes(np.zeros((len(codes), contract.attribute_bits // 8), np.uint8), contract.attribute_bits)
    with small_disk(place.parent, 1_000_000) as make_room:
        full = "disk_full" if place.parent.is_mount() else "gallery_unreachable"  # or files that may not grow

        def add(client: Client, start: int, n: int = 100) -> None:
            rows = slice(start, start + n)
            known = [{"id": i} for i in range(start, start + n)]
            client.add_codes(codes[rows], known, attribute_codes=short[rows], model=encoder.model)

        app = app_of(create_gallery(place, contract), encoder)
        with serving(app) as address, Client(address, tries=1) as client:
            n = 0
            with pytest.raises(BitreidError) as error:  # noqa: PT012
                while n < len(codes):
                    add(client, n)
                    n += 100
            assert (error.value.kind if isinstance(error.value, ServiceError) else kind_of(error.type)) == full
            assert n >= 500

            def check() -> None:
                assert client.info().items == n
                found = client.search_codes(codes[:n:97], model=encoder.model, k=1)
                assert [hits.hits[0].id for hits in found] == [*range(0, n, 97)]

            check()
            with pytest.raises(BitreidError):
                add(client, n, 1000)
            time.sleep(1.2)  # by then the audit of searches is written, or not
            check()
            make_room()
            add(client, n)
            n += 100
            assert client.delete([0]) == 1
            with pytest.raises(ItemNotFound):
                client.get(0)
        with open_gallery(place) as gallery:
            assert gallery.count() == n - 1


def test_a_siege_keeps_nobody_waiting(encoder: Encoder, pictures: list[Path]) -> None:
    """Connections that say nothing, bodies that stop on their way, and large ones that come again and again."""
    with started() as (run, address), Client(address, tries=1, timeout_s=PATIENCE_S) as client, ExitStack() as siege:
        assert client.add(pictures).new == len(pictures)
        before = {hit.id: hit.distance for hit in client.search(pictures[0]).hits}
        at = ("127.0.0.1", int(address.rpartition(":")[2]))
        for said in [b""] * 40 + [b"GET / HT"] * 40 + [UPLOAD + NO_PICTURE[: LARGE // 8]] * 8:
            siege.enter_context(_connected(at, said))
        stop, answers = threading.Event(), list[bytes]()
        flood = [threading.Thread(target=_flood, args=(at, stop, answers)) for _ in range(4)]
        for thread in flood:
            thread.start()
        try:
            while not answers:
                time.sleep(0.01)
            for _ in range(10):
                assert {hit.id: hit.distance for hit in client.search(pictures[0]).hits} == before
        finally:
            stop.set()
            for thread in flood:
                thread.join()
        refused = {answer.split(b" ")[1] for answer in answers}
        assert refused <= {b"400", b"429"}, answers[0]
        assert client.info().items == len(pictures)
        assert run.poll() is None


def _connected(at: tuple[str, int], said: bytes) -> socket.socket:
    client = socket.create_connection(at, timeout=PATIENCE_S)
    client.sendall(said)
    return client


def _flood(at: tuple[str, int], stop: threading.Event, answers: list[bytes]) -> None:
    """Send one large upload after the other, each over a connection of its own."""
    while not stop.is_set():
        try:
            with _connected(at, UPLOAD + NO_PICTURE) as client:
                answers.append(client.recv(2**16))
        except ConnectionError:
            pass  # what it sends after a refusal is not read
