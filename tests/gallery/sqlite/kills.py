"""Writers of a SQLite gallery that are killed, and what the gallery holds afterwards.

A process adds, replaces and deletes batches of 1 to 200 items, and compacts now and then; it says through a pipe what
it is about to do, and then that it is done. Its segments are small, so that some are written, merged and written anew
all the time; after some kills one is removed or damaged, which the next process finds, and before those that strike
while segments are built anew each of them is. It is killed (SIGKILL) at a random moment, or soon after it began one of
`AIMS`, again and again on the same gallery. After each kill the gallery is opened: every item must be as it was
acknowledged, the batch that was under way there as a whole or not at all, a search must find what plain numpy finds
among the codes that should be there, and the audit log must hold one entry for each write that is there. After every
tenth kill SQLite checks all its pages.
"""

import hashlib
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from bitreid.arrays import Bytes
from bitreid.codes import Codes
from bitreid.errors import DataWarning
from bitreid.gallery import Contract, Gallery, GalleryItem, Items, create_gallery, open_gallery
from bitreid.gallery.items import Id, key_of
from bitreid.gallery.sqlite.segments import plan
from bitreid.gallery.sqlite.segments.listed import Listed
from bitreid.gallery.sqlite.segments.writer import SegmentWriter
from tests.gallery.sqlite.cases import write_small_segments

N_BITS = 128
CONTRACT = Contract(N_BITS, attributes=tuple(f"attribute {i}" for i in range(16)))
MOST = 200  # items in a batch
LONGEST_S = 0.5  # from a writer's start to its kill
QUERIES, K = 4, 20
CHECK_PAGES_EVERY = 10
TAIL = 300  # items of which a segment is written meanwhile
HARMED = 0.3  # share of the kills after which a segment is harmed
AIMS = ("", "compact", "new", "merged", "rebuilt", "rewritten")
"""What a writer is killed at, in turn: "" is any moment, the others are a compaction and the kinds of segments that are
written (`kind_of`)."""
AIMED_S = 0.03  # from then to the kill
SEGMENTS = "segments: "
PATIENCE_S = 30.0  # how long is waited for that


@dataclass(frozen=True)
class Write:
    """What a writer is about to do: `action` with the items `numbers`, which then are of this version."""

    action: str
    numbers: tuple[int, ...]
    version: int


@dataclass
class Found:
    """What the kills showed. `whole_after` counts the kills after which all was as it should be."""

    kills: int = 0
    whole_after: int = 0
    acknowledged_writes: int = 0
    acknowledged_items: int = 0
    cut_and_there: int = 0
    cut_and_not_there: int = 0
    cut_in: Counter[str] = field(default_factory=Counter)  # compactions, and the writing of segments, by kind
    items_at_the_end: int = 0
    faults: list[str] = field(default_factory=list)


# The writer, a process of its own.


def write(path: Path, seed: int, aim: str) -> None:
    """Change the gallery until killed, saying before what and after that, and which segments are begun."""
    chance = random.Random(seed)
    write_small_segments(TAIL // 3 if aim == "merged" else TAIL)
    say_segments()
    compactions = 3 if aim in ("compact", "rewritten") else 0.3
    with open_gallery(path) as gallery:
        numbers = [number_of(id) for batch in gallery.scan() for id in batch.ids]
        say("ready")
        while True:
            action = chance.choices(("add", "upsert", "delete", "compact"), (6, 2, 2, compactions))[0]
            action = action if numbers else "add"  # whether nothing was deleted cannot be seen
            n = chance.randint(1, MOST)
            if action == "add":
                first = max(numbers, default=0) + 1
                chosen = list(range(first, first + n))
            else:
                chosen = chance.sample(numbers, min(n, len(numbers)))
            about = Write(action, tuple(chosen), chance.randrange(2**31))
            say(json.dumps(asdict(about)))
            do(gallery, about)
            say("done")
            if action == "add":
                numbers += chosen
            elif action == "delete":
                numbers = sorted(set(numbers) - set(chosen))


def say(line: str) -> None:
    """Write a line at once, so that those of several threads do not mix."""
    os.write(sys.stdout.fileno(), f"{line}\n".encode())


def say_segments() -> None:
    """Have this process say what kinds of segments it is about to write, and when they are listed and others gone."""
    planned, clean = plan.Rows.plan, SegmentWriter.clean

    def told(self: plan.Rows, least: int, everything: bool) -> Iterator[plan.New]:
        found = list(planned(self, least, everything))
        if found:
            say(f"{SEGMENTS}{' '.join(sorted({kind_of(new, self.listed) for new in found}))}")
        return iter(found)

    def cleaned(self: SegmentWriter, listed: Listed) -> None:
        clean(self, listed)
        say(SEGMENTS)

    plan.Rows.plan = told  # type: ignore[method-assign]
    SegmentWriter.clean = cleaned  # type: ignore[method-assign]


def kind_of(new: plan.New, listed: int) -> str:
    """Return what a segment holds: what came since, what a missing one did, several in one, or one without waste."""
    if new.replaces:
        return "merged" if len(new.replaces) > 1 else "rewritten"
    return "rebuilt" if new.first <= listed else "new"


def do(gallery: Gallery, about: Write) -> None:
    """Change the gallery as the write says."""
    ids = [id_of(number) for number in about.numbers]
    if about.action == "compact":
        gallery.compact()
    elif about.action == "delete":
        gallery.delete(ids)
    elif about.action == "add":
        gallery.add(batch_of(about))
    else:
        gallery.upsert(batch_of(about))


def id_of(number: int) -> Id:
    """Every other item has a text for an id."""
    return number if number % 2 else f"picture {number}"


def number_of(id: Id) -> int:
    return id if isinstance(id, int) else int(id.split()[1])


def batch_of(about: Write) -> Items:
    """The items of a write, all of them made of their numbers and the version."""
    packed = packed_of(about.numbers, about.version)
    return Items.of(
        [id_of(number) for number in about.numbers],
        Codes(packed[:, : N_BITS // 8], N_BITS),
        Codes(packed[:, N_BITS // 8 :], 16),
        cameras=[number % 5 for number in about.numbers],
        persons=[f"person {about.version}"] * len(about.numbers),
        metadata=[{"version": about.version}] * len(about.numbers),
    )


def packed_of(numbers: Iterable[int], version: int) -> Bytes:
    """The identity and the attribute code of each number, one after the other, `(n, bytes) uint8`."""
    return packed_of_versions(dict.fromkeys(numbers, version))


def packed_of_versions(versions: Mapping[int, int]) -> Bytes:
    """The same of numbers that have versions of their own."""
    n_bytes = N_BITS // 8 + 2
    texts = (f"{number} {version}".encode() for number, version in versions.items())
    made = b"".join(hashlib.blake2b(text, digest_size=n_bytes).digest() for text in texts)
    return np.frombuffer(made, np.uint8).reshape(len(versions), n_bytes)


# Who kills it, and looks.


def kill_writers(path: Path, kills: int, seed: int = 5) -> Iterator[Found]:
    """What was found so far, after each kill."""
    create_gallery(path, CONTRACT).close()
    chance = random.Random(seed)
    found, writes_there = Found(), 0
    versions: dict[int, int] = {}
    for number in range(kills):
        aim = AIMS[number % len(AIMS)]
        for segment in segments_of(path) if aim == "rebuilt" else ():
            harm(segment, chance)
        done, cut, begun = killed_writer(path, number, chance.uniform(0, LONGEST_S), aim)
        found.cut_in.update(begun)
        for each in done:
            apply(each, versions)
        with warnings.catch_warnings():  # of segments that were harmed
            warnings.filterwarnings("ignore", ".* expected a sound segment", DataWarning)
            faults, there = check(path, versions, cut, pages=number % CHECK_PAGES_EVERY == 0)
            if cut is not None and there:
                apply(cut, versions)
            writes = [each for each in (*done, *([cut] if cut and there else [])) if each.action != "compact"]
            writes_there += len(writes)
            faults += check_audit(path, writes_there)
        found.kills += 1
        found.whole_after += not faults
        found.faults += [f"kill {number}: {fault}" for fault in faults]
        found.acknowledged_writes += len(done)
        found.acknowledged_items += sum(len(each.numbers) for each in done if each.action != "compact")
        if cut is not None and cut.action == "compact":
            found.cut_in["compact"] += 1
        elif cut is not None:
            found.cut_and_there += there
            found.cut_and_not_there += not there
        found.items_at_the_end = len(versions)
        yield found
        if chance.random() < HARMED and (segments := segments_of(path)):
            harm(chance.choice(segments), chance)


def segments_of(path: Path) -> list[Path]:
    return sorted(path.with_name(f"{path.name}.d").glob("*.segment"))


def harm(segment: Path, chance: random.Random) -> None:
    """Remove a segment, cut it short, or change one of its bytes."""
    content = bytearray(segment.read_bytes())
    how = chance.choice(("remove", "cut", "change"))
    segment.unlink()
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    if how != "remove":
        segment.write_bytes(content[: chance.randrange(len(content))] if how == "cut" else content)


def killed_writer(path: Path, seed: int, seconds: float, aim: str = "") -> tuple[list[Write], Write | None, list[str]]:
    """What a writer acknowledged, what was then under way, and the kinds of segments that it was writing.

    It is killed so many seconds after its start, or, with an aim, soon after it said that it begins that.
    """
    command = [sys.executable, "-m", __name__, str(path), str(seed), aim]
    root = Path(__file__).parents[3]
    said: list[str] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as writer:
        assert writer.stdout is not None, "it is a pipe"
        ready = writer.stdout.readline()
        timer = threading.Timer(PATIENCE_S if aim else seconds, writer.kill)
        timer.start()
        for line in writer.stdout:
            said.append(line)
            if aim and aim in line:
                timer.cancel()
                timer = threading.Timer(seconds * AIMED_S / LONGEST_S, writer.kill)
                timer.start()
                aim = ""
    if ready != "ready\n" or writer.returncode != -signal.SIGKILL:
        raise RuntimeError(f"expected a writer that writes until it is killed, got its return code {writer.returncode}")
    done: list[Write] = []
    under_way, begun = None, []
    for line in said:
        if line == "done\n":
            assert under_way is not None, "it says first what it does"
            done.append(under_way)
            under_way = None
        elif line.startswith(SEGMENTS):
            begun = line.removeprefix(SEGMENTS).split()
        elif line.endswith("\n"):
            values = json.loads(line)
            under_way = Write(values["action"], tuple(values["numbers"]), values["version"])
    return done, under_way, begun


def apply(write: Write, versions: dict[int, int]) -> None:
    """Do to the versions of items, by number, what was done to the gallery."""
    if write.action == "delete":
        for number in write.numbers:
            del versions[number]
    elif write.action != "compact":
        versions |= dict.fromkeys(write.numbers, write.version)


def check(path: Path, versions: dict[int, int], cut: Write | None, pages: bool) -> tuple[list[str], bool]:
    """What is wrong with the gallery, and whether the write that was under way is there."""
    after = dict(versions)
    if cut is not None:
        apply(cut, after)
    with open_gallery(path, read_only=True) as gallery:
        there = {number_of(item.id): item for batch in gallery.scan() for item in batch}
        got = {number: version_of(number, item) for number, item in there.items()}
        if got not in (versions, after):
            lost = [number for number in versions if got.get(number) not in (versions[number], after.get(number))]
            return [f"{len(lost)} acknowledged items are lost or changed, or a batch is there in part"], False
        codes = np.array([item.code for item in there.values()], np.uint8).reshape(len(there), N_BITS // 8)
        wrong = (codes != packed_of_versions(got)[:, : N_BITS // 8]).any(axis=1)
        faults = [f"{wrong.sum()} items have other codes"] if wrong.any() else []
        faults += check_search(gallery, got)
    if pages:
        with closing(sqlite3.connect(path)) as connection:
            answer = connection.execute("PRAGMA integrity_check").fetchall()
            faults += [f"pages: {answer}"] if answer != [("ok",)] else []
    return faults, got != versions


def version_of(number: int, item: GalleryItem) -> int:
    """The version that all of an item says; -1 if parts of it say something else."""
    version = int((item.metadata or {}).get("version", -1))
    return version if item.person == f"person {version}" and item.camera == number % 5 else -1


def check_search(gallery: Gallery, versions: dict[int, int]) -> list[str]:
    """What a search finds otherwise than numpy among all codes that should be there."""
    queries = np.random.default_rng(len(versions)).integers(0, 256, (QUERIES, N_BITS // 8), np.uint8)
    found = gallery.search(Codes(queries, N_BITS), K, max_distance=None)
    ids = [id_of(number) for number in versions]
    codes = packed_of_versions(versions)[:, : N_BITS // 8]
    keys = [key_of(id) for id in ids]
    faults = []
    for query, hits in zip(queries, found, strict=True):
        distances = np.unpackbits(codes ^ query, axis=1).sum(axis=1).tolist()
        nearest = sorted(zip(distances, keys, ids, strict=True))[:K]
        if [(hit.distance, hit.id) for hit in hits] != [(distance, id) for distance, _, id in nearest]:
            faults.append("a search finds something else than numpy")
    return faults


def check_audit(path: Path, writes: int) -> list[str]:
    with open_gallery(path, read_only=True) as gallery:
        logged = sum(entry["action"] in ("add", "upsert", "delete") for entry in gallery.audit())
    return [] if logged == writes else [f"{logged} writes are in the audit log, {writes} were made"]


if __name__ == "__main__":
    write(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
