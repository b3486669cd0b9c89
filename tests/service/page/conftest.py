"""One service and one gallery of drawn people for all tests of a file."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from bitreid.encoding.encoder import Encoder
from bitreid.service.app import create_app
from bitreid.service.service import Loaded
from bitreid.service.settings import ServiceSettings
from tests.browser import PATIENCE_MS
from tests.service.page.cases import gallery_of, serving

# Keeps what is asked with pictures: the browser does not tell what forms with files hold.
ASKED = """
window.asked = [];
const fetched = window.fetch;
window.fetch = (path, options = {}) => {
  if (options.body instanceof FormData) window.asked.push(JSON.parse(options.body.get("request")));
  return fetched(path, options);
};
"""


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return Encoder.open("drawn")


@pytest.fixture(scope="module")
def pictures(people: Path) -> list[Path]:
    """Pictures of four people by three cameras: what the gallery is made of."""
    named = sorted(
        path for path in (people / "bounding_box_test").glob("*.jpg") if not path.name.startswith(("-1", "0000"))
    )
    return [path for path in named if path.name[:4] in sorted({each.name[:4] for each in named})[:4]]


@pytest.fixture(scope="module")
def address(encoder: Encoder, pictures: list[Path]) -> Iterator[str]:
    """The address of a service."""
    loaded = Loaded(gallery_of(encoder, pictures), encoder)
    with serving(create_app(ServiceSettings(decoders=1), lambda settings: loaded)) as found:
        yield found


@pytest.fixture(scope="module")
def profile(browser: Browser) -> BrowserContext:
    """What the pages of a file share, so that each script is loaded once."""
    return browser.new_context(viewport={"width": 1200, "height": 900}, timezone_id="UTC")


@pytest.fixture
def page(profile: BrowserContext, address: str) -> Iterator[Page]:
    """The page, opened; what the browser complains of fails the test."""
    opened = profile.new_page()
    opened.set_default_timeout(PATIENCE_MS)
    complaints: list[str] = []
    opened.on("console", lambda message: complaints.append(message.text))
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.add_init_script(ASKED)
    opened.goto(address)
    opened.locator(".facts-table").wait_for()
    yield opened
    opened.close()
    # A status that is an error is told in the console, too; the page tells it in words.
    assert [words for words in complaints if not words.startswith("Failed to load resource")] == []
