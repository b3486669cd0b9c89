"""Clients of the soak: each does its steps, one after the other, and says what it sees that should not be."""

import random
import threading
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bitreid import Client
from bitreid.arrays import Bytes
from bitreid.codes import Codes
from bitreid.errors import BitreidError, ItemNotFound
from bitreid.gallery import Contract
from bitreid.service.schemas import HitsOut

MOST_OWN = 400
"""Items that a client has at most: from there on it deletes."""
BATCH = 20
TIMEOUT_S = 60.0
TRIES = 100  # while the service starts anew, on a busy machine for minutes
_FORGET_S = 120.0  # deleted items that no search can know any more


@dataclass
class Kept:
    """An item as its client knows it: code, version, and when (monotonic) it was acknowledged and deleted.

    `leaving` is when its deletion was sent, or its replacement by another code; None before.
    """

    code: Bytes
    version: int
    added: float
    leaving: float | None = None
    deleted: float | None = None


@dataclass
class Shared:
    """What all clients know: items that were sent by id, errors that were seen, and whether it is time to stop."""

    contract: Contract
    items: dict[str, Kept] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)
    errors: list[str] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)


class Worker(ABC):
    """A client. `steps` counts what it did."""

    def __init__(self, shared: Shared, address: str, number: int) -> None:
        self.shared, self.number, self.steps = shared, number, Counter[str]()
        self.client = Client(address, timeout_s=TIMEOUT_S, tries=TRIES)
        self.chance, self.rng = random.Random(number), np.random.default_rng(number)
        self.made = 0

    def run(self) -> None:
        """Do one step after the other until it is time to stop; an error ends all."""
        try:
            with self.client:
                while not self.shared.stop.is_set():
                    self.step()
        except (BitreidError, AssertionError) as error:
            self.wrong(f"{type(error).__name__}: {error}")

    @abstractmethod
    def step(self) -> None:
        """Do something, and check the answer."""

    def wrong(self, words: str) -> None:
        """Say what should not be."""
        self.shared.errors.append(f"client {self.number}: {words}")
        if len(self.shared.errors) >= 20:
            self.shared.stop.set()

    def expect(self, is_so: bool, words: str) -> None:
        """Say that something should be so, unless it is."""
        if not is_so:
            self.wrong(f"expected {words}")

    def search(self, codes: Bytes, **how: Any) -> list[HitsOut]:
        """Return the hits of codes `(n, bytes)`."""
        self.steps["searches"] += 1
        contract = self.shared.contract
        return self.client.search_codes(Codes(codes, contract.n_bits), model=contract.model, **how)


class Owner(Worker):
    """Adds, replaces and deletes items of its own by codes, and looks after each step for what it did."""

    def __init__(self, shared: Shared, address: str, number: int) -> None:
        super().__init__(shared, address, number)
        self.own: dict[str, Kept] = {}

    def step(self) -> None:
        """Add, replace or delete some items, and look for them."""
        full = len(self.own) >= MOST_OWN
        what = self.chance.choices([self.add, self.replace, self.delete], [0 if full else 4, 1, 4 if full else 2])[0]
        what(self.chance.randint(1, BATCH))

    def add(self, n: int) -> None:
        """Add new items."""
        ids = [f"{self.number}-{self.made + i}" for i in range(n)]
        self.made += n
        self._put(ids, 0)
        self.steps["items added"] += n

    def replace(self, n: int) -> None:
        """Replace items by others of the same ids."""
        ids = self.chance.sample(sorted(self.own), min(n, len(self.own)))
        if ids:
            self._put(ids, self.made)
            self.steps["items replaced"] += len(ids)

    def delete(self, n: int) -> None:
        """Delete items."""
        ids = self.chance.sample(sorted(self.own), min(n, len(self.own)))
        codes = [self.own[id].code for id in ids]
        if not ids:
            return
        now = time.monotonic()
        for id in ids:
            self.own[id].leaving = now
        self.client.delete(ids)
        now = time.monotonic()
        for id in ids:
            self.own.pop(id).deleted = now
        self.steps["items deleted"] += len(ids)
        for id, found in zip(ids, self.search(np.stack(codes), k=1), strict=True):
            self.expect(all(hit.id != id for hit in found.hits), f"{id} to be deleted, got it as a hit")
        id = ids[0]
        try:
            self.client.get(id)
        except ItemNotFound:
            return
        self.wrong(f"expected {id} to be deleted, got it")

    def _put(self, ids: Sequence[str], version: int) -> None:
        contract, shared = self.shared.contract, self.shared
        codes = self.rng.integers(0, 256, (len(ids), contract.n_bits // 8), np.uint8)
        short = self.rng.integers(0, 256, (len(ids), contract.attribute_bits // 8), np.uint8)
        now = time.monotonic()
        for id in ids:
            if id in self.own:
                self.own[id].leaving = now
        known = [{"id": id, "metadata": {"version": version}, "tracklet": id} for id in ids]
        added = self.client.add_codes(
            Codes(codes, contract.n_bits),
            known,
            attribute_codes=Codes(short, contract.attribute_bits),
            model=contract.model,
            replace=version > 0,
        )
        self.expect(added.ids == list(ids) and not added.failed, f"{ids} to be added, got {added}")
        now = time.monotonic()
        with shared.lock:
            for id, code in zip(ids, codes, strict=True):
                self.own[id] = shared.items[id] = Kept(code, version, now)
        for id, found in zip(ids, self.search(codes, k=1, details=True), strict=True):
            hits = [(hit.id, hit.distance, (hit.metadata or {}).get("version")) for hit in found.hits]
            self.expect(hits == [(id, 0, version)], f"{id} of version {version} to be found, got {hits}")


class Looker(Worker):
    """Searches among everybody's items, and compares with what they say is there."""

    def step(self) -> None:
        """Search for codes near some item, or near none."""
        shared = self.shared
        with shared.lock:
            self._forget()
            near = self.chance.choice(list(shared.items.values())).code if shared.items else None
        n_bytes = shared.contract.n_bits // 8
        code = self.rng.integers(0, 256, n_bytes, np.uint8)
        if near is not None and self.chance.random() < 0.7:
            code = near ^ (code & self.rng.integers(0, 256, n_bytes, np.uint8) & 0x11)
        before = time.monotonic()
        (found,) = self.search(code[None], k=self.chance.choice([1, 10, 50]))
        after = time.monotonic()
        with shared.lock:
            items = dict(shared.items)
        self._check(code, found, items, before, after)

    def _check(self, code: Bytes, found: HitsOut, items: dict[str, Kept], before: float, after: float) -> None:
        distances = [hit.distance for hit in found.hits]
        self.expect(distances == sorted(distances), f"hits in order, got {distances}")
        hits = {str(hit.id): hit.distance for hit in found.hits}
        self.expect(len(hits) == len(distances), f"each hit once, got {[hit.id for hit in found.hits]}")
        for id, distance in hits.items():
            item = items.get(id)
            if item is None:
                continue  # of a picture, or not acknowledged yet
            self.expect(
                item.deleted is None or item.deleted > before, f"{id} not to be found, as it was deleted before"
            )
            if item.added < before and item.leaving is None:
                own = int(np.bitwise_count(item.code ^ code).sum())
                self.expect(own == distance, f"{id} at {own}, got {distance}")
        sure = [id for id, item in items.items() if item.added < before and (item.leaving or after) >= after]
        if sure and found.hits:
            codes = np.stack([items[id].code for id in sure])
            own_distances = np.bitwise_count(codes ^ code).sum(1, dtype=np.int64)
            for row in np.flatnonzero(own_distances < distances[-1]).tolist():
                self.expect(sure[row] in hits, f"{sure[row]} at {own_distances[row]} among hits up to {distances[-1]}")

    def _forget(self) -> None:
        """Forget what was deleted long ago."""
        past = time.monotonic() - _FORGET_S
        old = [id for id, item in self.shared.items.items() if item.deleted is not None and item.deleted < past]
        for id in old:
            del self.shared.items[id]


class Painter(Worker):
    """Adds drawn pictures, searches by them, and deletes them again."""

    def __init__(self, shared: Shared, address: str, number: int, pictures: Sequence[bytes]) -> None:
        super().__init__(shared, address, number)
        self.pictures = pictures

    def step(self) -> None:
        """Add some pictures, find one, and delete all."""
        some = self.chance.sample(self.pictures, 3)
        ids = [f"{self.number}-{self.made + i}" for i in range(len(some))]
        self.made += len(some)
        self.client.add(some, [{"id": id, "person": id} for id in ids])
        where = f"person = '{ids[0]}'"
        found = self.client.search(some[0], where=where)
        seen = [(hit.id, hit.distance) for hit in found.hits]
        self.expect(seen == [(ids[0], 0)], f"{ids[0]} to be found by its picture, got {seen}")
        self.client.delete(ids)
        found = self.client.search(some[0], k=50)
        left = [hit.id for hit in found.hits if hit.id in ids]
        self.expect(not left, f"pictures to be deleted, got {left}")
        self.steps["pictures added and deleted"] += len(some)
        self.steps["searches by picture"] += 2
