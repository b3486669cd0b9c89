"""The browser that tests open pages with."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
PATIENCE_MS = 240_000
"""A machine that is busy with other things opens pages slowly."""


@contextmanager
def launched() -> Iterator[Browser]:
    """Give the machine's own Chromium, which ends with the block."""
    executable = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    assert executable, f"expected one of {', '.join(BROWSERS)} to open the page with; apt-get install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"], timeout=PATIENCE_MS)
        yield browser
        browser.close()
