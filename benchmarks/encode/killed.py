"""A long encoding that is killed again and again, and goes on: is anything lost or doubled, and is memory flat?

    python -m benchmarks.encode.killed [MODEL] [--pictures 20000] [--kills 10] [--seed 1] [--quick]
        [--json FILE]

Files of drawn people, of which some have the same content, are encoded with `bitreid encode` three times: to shards,
which nobody stops, and whose memory is looked at; to shards, killed (SIGKILL) again and again, and started anew; and
into a gallery, killed likewise. A kill comes a random while after more is done than at the kill before, and strikes if
pictures are still to be encoded then. The first must have each picture once; the second the same bytes in the same
files; the third each picture once, with the same code; and all kills must strike. The JSON has the seconds and the
memory of the first, and `bars`. `--quick` takes 800 pictures and 2 kills; so few say nothing about memory.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

from benchmarks.bars import Bars, at_least, at_most, lines_of, write_json
from bitreid.artifact import load_card
from bitreid.artifact.shipped import folder_of
from bitreid.drawn.data_set import DrawnSettings, draw_people
from bitreid.encoding.files import load_encoded
from bitreid.gallery import Contract, create_gallery, open_gallery

BAR_MB = 50
"""By how much more memory than after a tenth of the pictures a process may hold at last."""
LOOK_S = 0.1
"""Seconds between looks at a process and at what it has done."""


def main() -> None:
    """Print what was found; the exit code is 1 if anything was lost or doubled, a kill missed or memory grew."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, nargs="?", default=Path("drawn"))
    parser.add_argument("--pictures", type=int, default=20_000)
    parser.add_argument("--kills", type=int, default=10, help="of each of the two runs, 1 or more")
    parser.add_argument("--shard", type=int, default=512)
    parser.add_argument("--seed", type=int, default=1, help="of the moments")
    parser.add_argument("--quick", action="store_true", help="800 pictures, to see that it runs")
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.pictures, arguments.kills, arguments.shard = 800, 2, 64
    with tempfile.TemporaryDirectory() as folder:
        record = encoded_thrice(arguments, Path(folder))
    bars: Bars = record["bars"]
    print("", *lines_of(bars), sep="\n")
    if arguments.json:
        write_json(arguments.json, record)
    sys.exit(not all(bar["met"] for bar in bars.values()))


def encoded_thrice(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Encode without kills and twice with them, print how it goes, and return what was found, with `bars`."""
    n, shard, kills = arguments.pictures, arguments.shard, arguments.kills
    pictures = write_pictures(folder, n)
    whole, killed, place = folder / "whole", folder / "killed", folder / "killed.gallery"
    words = ("encode", str(arguments.model), str(pictures))
    into_shards = ("--shard", str(shard))

    started = time.monotonic()
    memory = watch(start(*words, "--out", str(whole), *into_shards), lambda: shards_in(whole) * shard)
    seconds = time.monotonic() - started
    encoded = load_encoded(whole)
    early = next(mb for done, mb in memory if done >= n // 10)
    most = memory[-1][1]
    print(f"{n:,} pictures in {seconds:.0f} s; most memory: {early:.0f} MB after a tenth, {most:.0f} MB at last\n")

    moments = random.Random(arguments.seed)
    waits = [moments.uniform(0, seconds / kills / 4) for _ in range(2 * kills)]  # the last strikes by half of the way
    into_killed = (*words, "--out", str(killed), *into_shards)
    struck_shards = run_killed(into_killed, waits[:kills], lambda: min(shards_in(killed) * shard, n), n)
    files = [sorted((path.name, path.read_bytes()) for path in each.iterdir()) for each in (whole, killed)]

    contract = Contract.of(load_card(folder_of(arguments.model)))
    create_gallery(str(place), contract).close()
    struck_gallery = run_killed((*words, "--gallery", str(place)), waits[kills:], lambda: items_in(place), n)
    wanted = [(path.name, code.tobytes()) for path, code in zip(encoded.paths, encoded.codes.packed, strict=True)]
    with open_gallery(str(place)) as gallery:
        found = [
            (Path(str(id)).name, code.tobytes())
            for items in gallery.scan()
            for id, code in zip(items.ids, items.codes.packed, strict=True)
        ]
    bars: Bars = {
        "not stopped: rows that are not the picture expected": at_most(
            others(encoded.paths, sorted(pictures.iterdir())), 0
        ),
        "shards: kills that struck": at_least(struck_shards, kills),
        "killed, shards: files that are not the same": at_most(others(*files), 0),
        "gallery: kills that struck": at_least(struck_gallery, kills),
        "killed, gallery: items that are not the same": at_most(others(sorted(found), sorted(wanted)), 0),
    }
    if not arguments.quick:
        bars["not stopped: MB grown after a tenth"] = at_most(most - early, BAR_MB)
    return {
        "pictures": n,
        "kills": kills,
        "seconds": seconds,
        "memory_mb": {"after a tenth": early, "at last": most},
        "bars": bars,
    }


def others(found: Iterable[object], wanted: Iterable[object]) -> int:
    """Return at how many places two lists differ, with those that only one has."""
    return sum(a != b for a, b in zip_longest(found, wanted))


def write_pictures(folder: Path, n: int) -> Path:
    """Draw people, and return a folder of n files that are links to their pictures."""
    people = min(max(n // 100, 4), 200)
    draw_people(folder / "people", DrawnSettings(n_train=1, n_test=people, n_distractors=0, n_junk=0))
    drawn = sorted((folder / "people" / "bounding_box_test").glob("*.jpg"))
    (folder / "pictures").mkdir()
    for i in range(n):
        os.link(drawn[i % len(drawn)], folder / "pictures" / f"{i:06}.jpg")
    return folder / "pictures"


def start(*words: str) -> subprocess.Popen[bytes]:
    """Start a command of bitreid."""
    return subprocess.Popen([sys.executable, "-m", "bitreid", *words], stdout=subprocess.DEVNULL)


def watch(run: subprocess.Popen[bytes], done: Callable[[], int]) -> list[tuple[int, float]]:
    """Wait for a process; return the pictures done and the most memory that it has held until then, in MB, again and
    again (Linux)."""
    seen = []
    while run.poll() is None:
        lines = Path(f"/proc/{run.pid}/status").read_text(encoding="ascii").splitlines()
        seen += [(done(), int(line.split()[1]) / 1000) for line in lines if line.startswith("VmHWM")]
        time.sleep(LOOK_S)
    assert run.returncode == 0
    return seen


def run_killed(words: Sequence[str], waits: Iterable[float], done: Callable[[], int], n: int) -> int:
    """Run a command until it ends; for each wait, kill it so many seconds after more is done than at the kill before.

    Return how many kills struck: the process ran, and of its n pictures more were done than before, and not all.
    """
    struck, before = 0, 0
    for kill, wait in enumerate(waits, 1):
        run = start(*words)
        while run.poll() is None and done() <= before:
            time.sleep(LOOK_S)
        time.sleep(wait)
        run.kill()
        killed = run.wait() == -signal.SIGKILL
        now = done()
        struck += killed and before < now < n
        before = now
        print(f"kill {kill}: {now:,} pictures are done", flush=True)
    assert start(*words).wait() == 0
    return struck


def shards_in(folder: Path) -> int:
    """Return how many shards are whole."""
    return len(list(folder.glob("codes-*.json")))


def items_in(place: Path) -> int:
    """Return how many items a gallery has."""
    with open_gallery(str(place), read_only=True) as gallery:
        return gallery.count()


if __name__ == "__main__":
    main()
