"""Take the pictures of the service's page that the documentation shows, of drawn people.

    python -m benchmarks.service.screenshots --out docs

Draws people, serves a gallery of them, opens the page in Chromium (needs playwright, and Debian's `chromium`) and
writes `service-light.png`, `service-dark.png` and `service-phone.png`. The same people are drawn each time.
"""

import argparse
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import uvicorn
from fastapi import FastAPI
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from bitreid.data.manifest import Manifest
from bitreid.data.parsers.inputs import manifest_of
from bitreid.drawn.data_set import DrawnSettings, draw_people
from bitreid.encoding.encoder import Encoder
from bitreid.gallery import Contract, Gallery, Items, create_gallery
from bitreid.gallery.query import query_of_pictures
from bitreid.service.app import create_app
from bitreid.service.service import Loaded
from bitreid.service.settings import ServiceSettings

PEOPLE = DrawnSettings(n_train=2, n_test=40, n_cameras=6, n_distractors=30, n_junk=0, seed=5)
CAMERAS = {1: "main entrance", 2: "stairs", 3: "platform 1", 4: "platform 2", 5: "ticket hall", 6: "bridge"}
MORNING = datetime(2026, 11, 3, 7, 30, tzinfo=UTC)


def main() -> None:
    """Take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the pictures")
    out = parser.parse_args().out
    with tempfile.TemporaryDirectory(prefix="bitreid-page-") as folder:
        people = Path(folder) / "people"
        draw_people(people, PEOPLE)
        encoder = Encoder.open("drawn")
        gallery = _gallery(encoder, manifest_of([people / "bounding_box_test"]))
        queries = sorted((people / "query").glob("*.jpg"))
        loaded = Loaded(gallery, encoder)
        app = create_app(ServiceSettings(), lambda settings: loaded)
        with _serving(app) as address, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            _light(browser, address, _sure(encoder, gallery, queries), out / "service-light.png")
            _dark(browser, address, out / "service-dark.png")
            _phone(browser, address, queries, out / "service-phone.png")
            browser.close()


def _gallery(encoder: Encoder, pictures: Manifest) -> Gallery:
    """Return a gallery of the pictures; of the first half of the people it is known who they are."""
    encoded = encoder.encode_files(pictures.paths)
    gallery = create_gallery("memory:", Contract.of(encoder.card))
    gallery.name_cameras(CAMERAS)
    n, pids = len(pictures), pictures.pids.tolist()
    known = set(sorted({pid for pid in pids if pid > 0})[::2])
    items = Items.of(
        list(range(1, n + 1)),
        encoded.codes,
        encoded.attribute_codes,
        cameras=pictures.camids,
        times=[MORNING + timedelta(minutes=(i * 37) % 600) for i in range(n)],
        persons=[f"P{pid}" if pid in known else None for pid in pids],
        model=encoder.model,
    )
    gallery.add(items)
    return gallery


def _sure(encoder: Encoder, gallery: Gallery, queries: list[Path]) -> list[Path]:
    """Return three pictures of one person, of whom something is certain: of the one with most certain hits."""
    found: dict[str, tuple[int, list[Path]]] = {}
    for person in sorted({path.name[:4] for path in queries}):
        pictures = [path for path in queries if path.name.startswith(person)][:3]
        (hits,) = gallery.search(query_of_pictures(encoder, pictures).codes, 12)
        found[person] = hits.n_certain or 0, pictures
    return max(found.values(), key=lambda each: each[0])[1]


def _light(browser: Browser, address: str, pictures: list[Path], path: Path) -> None:
    """Search by pictures of one person."""
    page = _open(browser, address, "light", 1280, 900)
    page.set_input_files("#pictures", pictures)
    _save(page, path)


def _dark(browser: Browser, address: str, path: Path) -> None:
    """Search by clothing."""
    page = _open(browser, address, "dark", 1280, 900)
    page.click("text=Clothing")
    for attribute in ("upper_colour=red", "backpack", "hat", "hat"):
        page.click(f"[data-attribute='{attribute}']")
    page.wait_for_timeout(500)
    _save(page, path)


def _phone(browser: Browser, address: str, queries: list[Path], path: Path) -> None:
    """Search by a picture of somebody of whom nothing is certain."""
    page = _open(browser, address, "light", 360, 780)
    page.set_input_files("#pictures", queries[-1])
    _save(page, path)


def _open(browser: Browser, address: str, scheme: Literal["light", "dark"], width: int, height: int) -> Page:
    page = browser.new_page(
        color_scheme=scheme,
        viewport={"width": width, "height": height},
        timezone_id="UTC",
        device_scale_factor=1 if width > 500 else 2,
    )
    page.goto(address)
    page.locator(".facts-table").wait_for()
    return page


def _save(page: Page, path: Path) -> None:
    page.locator("#answer:not([aria-busy]) .hit").first.wait_for()
    page.wait_for_timeout(300)
    page.screenshot(path=path)
    page.close()
    with Image.open(path) as picture:
        picture.convert("RGB").save(path, optimize=True)


@contextmanager
def _serving(app: FastAPI) -> Iterator[str]:
    """Answer at an address of this machine, from a thread, until the block ends."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        while not (server.started and app.state.service.ready):
            time.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
        finally:
            server.should_exit = True
            thread.join()


if __name__ == "__main__":
    main()
