"""A service that runs beside the tests, and what a browser is asked about its page."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from PIL import Image
from playwright.sync_api import Locator, Page

from bitreid.encoding.encoder import Encoder
from bitreid.gallery import Contract, Gallery, Items, create_gallery

WIDTHS = "() => [document.documentElement.scrollWidth, innerWidth]"
NOON = datetime(2026, 11, 3, 12, tzinfo=UTC)
CAMERAS = {1: "entrance", 2: "stairs"}


def gallery_of(encoder: Encoder, pictures: list[Path]) -> Gallery:
    """Return a gallery of drawn pictures, named `PERSON_cCAMERA...`, a minute after each other."""
    encoded = encoder.encode_files(pictures)
    gallery = create_gallery("memory:", Contract.of(encoder.card))
    gallery.name_cameras(CAMERAS)
    gallery.add(
        Items.of(
            [path.stem for path in pictures],
            encoded.codes,
            encoded.attribute_codes,
            cameras=[int(path.stem[6]) for path in pictures],
            times=[NOON + timedelta(minutes=i) for i in range(len(pictures))],
            persons=[path.stem[:4] for path in pictures],
            model=encoder.model,
        )
    )
    return gallery


def two_people(left: Path, right: Path) -> Image.Image:
    """Return a picture of 80 x 96 pixels with two others side by side, from 4 and from 44 pixels on."""
    scene = Image.new("RGB", (80, 96), "gray")
    for x, path in ((4, left), (44, right)):
        scene.paste(Image.open(path), (x, 0))
    return scene


@contextmanager
def serving(app: FastAPI, port: int = 0) -> Iterator[str]:
    """Answer at an address of this machine, from a thread, until the block ends."""
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", port))
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", ws="none", timeout_graceful_shutdown=1))
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        try:
            while not (server.started and app.state.service.ready):
                assert thread.is_alive(), "the service did not start"
                time.sleep(0.01)
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
        finally:
            server.should_exit = True
            thread.join()


def hits_of(page: Page) -> Locator:
    """Return the hits that are shown, once the answer is there."""
    page.locator("#answer:not([aria-busy]) .hit").first.wait_for()
    return page.locator(".hit")


def search(page: Page, *pictures: Path) -> Locator:
    """Choose pictures, and return the hits of the search that this begins."""
    with page.expect_response(lambda response: response.url.endswith("/v1/search")):
        page.set_input_files("#pictures", list(pictures))
    return hits_of(page)
