"""The service that one would write in an hour: FastAPI, faiss and a model, with nothing of what makes it last.

    python -m benchmarks.service.bare CODES.npy [--threads N] [--port N]

It answers what the load asks: `POST /search` with a code, `POST /pictures` with a picture. No ids, filters, keys,
limits, audit, or additions. The model is the one that comes with bitreid, and uvicorn has bitreid's settings.
"""

import argparse
import base64
import io
import socket
from pathlib import Path
from typing import Annotated

import numpy as np
import uvicorn
from fastapi import FastAPI, File, Form
from PIL import Image
from pydantic import BaseModel

from benchmarks.search.rivals import module_of
from bitreid.arrays import Bytes
from bitreid.encoding.encoder import Encoder


class Asked(BaseModel):
    """A search by a code."""

    code: str
    k: int = 10


class Found(BaseModel):
    """Rows of the nearest codes, and their distances."""

    rows: list[int]
    distances: list[int]


def main() -> None:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("codes", type=Path, metavar="CODES", help="packed codes, as numpy writes them")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--port", type=int, default=0)
    arguments = parser.parse_args()
    app = app_of(np.load(arguments.codes), arguments.threads)
    # Named as TCP, as bitreid's: asyncio then sends small answers at once.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", arguments.port))
        listening.listen(2048)
        print(f"http://127.0.0.1:{listening.getsockname()[1]}", flush=True)
        uvicorn.Server(
            uvicorn.Config(app, http="h11", access_log=False, log_level="warning", server_header=False, backlog=2048)
        ).run([listening])


def app_of(codes: Bytes, threads: int) -> FastAPI:
    """Return the service over codes `(n, bytes)`."""
    faiss = module_of("faiss")
    faiss.omp_set_num_threads(threads)
    index = faiss.IndexBinaryFlat(8 * codes.shape[1])
    index.add(codes)
    encoder = Encoder.open("drawn", threads=threads)
    size = encoder.card.input
    app = FastAPI()

    def nearest(code: Bytes, k: int) -> Found:
        distances, rows = index.search(code, k)
        return Found(rows=rows[0].tolist(), distances=distances[0].tolist())

    # Routes that are no coroutines run in threads, and faiss lets others run while it searches.
    @app.post("/search")
    def search(asked: Asked) -> Found:
        return nearest(np.frombuffer(base64.b64decode(asked.code), np.uint8)[None], asked.k)

    @app.post("/pictures")
    def pictures(picture: Annotated[bytes, File()], k: Annotated[int, Form()] = 10) -> Found:
        with Image.open(io.BytesIO(picture)) as opened:
            resized = opened.convert("RGB").resize((size.width, size.height), Image.Resampling.BILINEAR)
        return nearest(encoder.encode(np.asarray(resized)[None]).codes.packed, k)

    @app.get("/readyz")
    async def ready() -> None:
        pass

    return app


if __name__ == "__main__":
    main()
