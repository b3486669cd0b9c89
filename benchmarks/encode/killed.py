"""A long encoding that is killed again and again, and goes on: is anything lost or doubled?

    python -m benchmarks.encode.killed MODEL [--pictures 20000] [--kills 10] [--quick]

Writes pictures of noise to a temporary folder and encodes them with `bitreid encode --out FOLDER` in processes that are
killed (SIGKILL) at random moments. Then all shards are compared with those of a run that nobody stops.
"""

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from bitreid.encoding.files import load_encoded


def main() -> None:
    """Print what was found; the exit code is 1 if anything was lost, doubled or another."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--pictures", type=int, default=20_000)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--shard", type=int, default=512)
    parser.add_argument("--quick", action="store_true", help="few pictures, to see that it runs")
    arguments = parser.parse_args()
    n, kills, shard = (300, 3, 64) if arguments.quick else (arguments.pictures, arguments.kills, arguments.shard)
    with tempfile.TemporaryDirectory() as folder:
        sys.exit(not gone_on(arguments.model, Path(folder), n, kills, shard))


def gone_on(model: Path, folder: Path, n: int, kills: int, shard: int) -> bool:
    """Encode n pictures with so many kills, and without; return whether the shards are the same, byte for byte."""
    pictures = folder / "pictures"
    pictures.mkdir()
    rng = np.random.default_rng(0)
    for i in range(n):
        Image.fromarray(rng.integers(0, 256, (128, 64, 3), np.uint8)).save(pictures / f"{i:06}.jpg")

    def started(out: Path) -> subprocess.Popen[bytes]:
        words = ["encode", str(model), str(pictures), "--out", str(out), "--shard", str(shard)]
        return subprocess.Popen([sys.executable, "-m", "bitreid", *words], stdout=subprocess.DEVNULL)

    start = time.monotonic()
    assert started(folder / "whole").wait() == 0
    whole_s = time.monotonic() - start
    moments, killed = random.Random(1), 0
    while (run := started(folder / "killed")).poll() is None:
        if killed < kills:
            try:
                run.wait(moments.uniform(0.2, 2) * whole_s / kills)
            except subprocess.TimeoutExpired:
                run.send_signal(signal.SIGKILL)
                run.wait()
                killed += 1
                done = len(list((folder / "killed").glob("codes-*.json")))
                print(f"kill {killed}: {done} of {-(-n // shard)} shards are whole")
                continue
        assert run.wait() == 0
        break
    a, b = ({path.name: path.read_bytes() for path in (folder / name).iterdir()} for name in ("whole", "killed"))
    paths = load_encoded(folder / "killed").paths
    once = sorted(paths) == sorted(pictures.iterdir())
    print(f"{n:,} pictures, {killed} kills: {'each once' if once else 'LOST OR DOUBLED'}, ", end="")
    print("the same bytes as without kills" if a == b else "OTHER BYTES")
    return once and a == b


if __name__ == "__main__":
    main()
