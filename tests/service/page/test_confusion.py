"""What people do to the page without meaning to, and what others change meanwhile."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, Route, expect

from bitreid.encoding.encoder import Encoder
from bitreid.gallery import Contract, create_gallery
from bitreid.service.app import create_app
from bitreid.service.keys import create_key, revoke_key
from bitreid.service.service import Loaded
from bitreid.service.settings import ServiceSettings
from tests.browser import PATIENCE_MS
from tests.service.page.cases import gallery_of, hits_of, search, serving

expect.set_options(timeout=PATIENCE_MS)

# Drops a file onto an element, and tells whether the browser is kept from leaving the page for it.
DROP = """([where, name]) => {
  const given = new DataTransfer();
  given.items.add(new File(["no picture"], name, {type: "image/jpeg"}));
  const about = {bubbles: true, cancelable: true, dataTransfer: given};
  const events = ["dragover", "drop"].map((kind) => new DragEvent(kind, about));
  return events.map((event) => !document.querySelector(where).dispatchEvent(event));
}"""
GONE = {"kind": "item_not_found", "message": "expected the id of an item, got another", "where": None}
NAMES = "(input) => [...input.files].map((file) => file.name)"


def test_somebody_far_away_fits_into_a_box(page: Page, pictures: list[Path], tmp_path: Path) -> None:
    scene = Image.new("RGB", (3840, 2160), "gray")
    with Image.open(pictures[0]) as person:
        scene.paste(person, (3000, 1500))
        width, height = person.size
    scene.save(tmp_path / "scene.png")
    search(page, tmp_path / "scene.png")
    page.locator("summary:has-text('Box in numbers')").click()
    for name, value in (("x", 3000), ("y", 1500), ("width", width), ("height", height)):
        page.fill(f"#box-{name}", str(value))
    page.press("#box-height", "Tab")
    page.wait_for_function(
        "(box) => JSON.stringify(window.asked.at(-1).box) === JSON.stringify(box)", arg=[3000, 1500, width, height]
    )
    expect(hits_of(page).first).to_contain_text("Distance 0 of")
    page.fill("#box-width", "0")
    page.press("#box-width", "Tab")
    expect(page.locator("#box-width")).to_have_value("1")


@pytest.mark.parametrize("shape", [(1920, 1080), (1600, 400)])
def test_a_wide_picture_keeps_its_shape(page: Page, shape: tuple[int, int], tmp_path: Path) -> None:
    Image.new("RGB", shape, "gray").save(tmp_path / "wide.png")
    search(page, tmp_path / "wide.png")
    stage = page.locator("#stage-image").bounding_box()
    assert stage is not None
    assert abs(stage["width"] / stage["height"] - shape[0] / shape[1]) < 0.05


def test_files_dropped_on_a_dialog_are_for_the_dialog(page: Page) -> None:
    page.click("#open-add")
    for where in ("#add-title", "#add-pictures"):
        assert page.evaluate(DROP, [where, f"{where[1:]}.jpg"]) == [True, True]
        assert page.locator("#add-pictures").evaluate(NAMES) == [f"{where[1:]}.jpg"]
    page.keyboard.press("Escape")
    page.click("#open-merge")
    assert page.evaluate(DROP, ["#merge-title", "a.jpg"]) == [True, True]
    page.keyboard.press("Escape")
    expect(page.locator("#chosen")).to_be_hidden()


def test_what_is_gone_is_told_without_a_button_that_does_not_help(page: Page, people: Path) -> None:
    search(page, min((people / "query").glob("*.jpg")))
    expect(page.locator("#answer")).to_have_class("nobody")
    page.route("**/v1/search", lambda route: route.fulfill(status=404, json={"error": GONE}))
    page.locator("text=More like this").first.click()
    expect(page.locator("#problem")).to_contain_text("no longer in the gallery")
    expect(page.locator("#problem button")).to_have_count(0)
    expect(page.locator("#answer")).not_to_have_class("nobody")
    page.unroute("**/v1/search")


def test_an_empty_gallery_says_what_to_do(browser: Browser, encoder: Encoder, pictures: list[Path]) -> None:
    loaded = Loaded(create_gallery("memory:", Contract.of(encoder.card)), encoder)
    with serving(create_app(ServiceSettings(decoders=1), lambda _: loaded)) as address:
        page = browser.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.goto(address)
        page.set_input_files("#pictures", pictures[0])
        expect(page.locator("#answer-title")).to_have_text("Nothing to compare")
        expect(page.locator("#status")).to_contain_text("The gallery is empty. Add pictures of people")
        page.locator("summary:has-text('Limit the search')").click()
        page.fill("#where", "camera = 1")
        page.click("#search")
        expect(page.locator("#status")).to_contain_text("within these limits")
        page.close()


def test_a_picture_that_is_chosen_before_the_gallery_is_known(
    browser: Browser, encoder: Encoder, pictures: list[Path]
) -> None:
    loaded = Loaded(gallery_of(encoder, pictures), encoder)
    asked: list[Route] = []  # of the gallery: by the page as it opens, and by the search
    searched: list[Route] = []
    with serving(create_app(ServiceSettings(decoders=1), lambda _: loaded)) as address:
        page = browser.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.route("**/v1/info", lambda route: asked.append(route))
        page.route("**/v1/search", lambda route: searched.append(route))
        page.goto(address)
        page.set_input_files("#pictures", pictures[0])
        wait_until(page, lambda: len(asked) == 2)
        asked[1].continue_()
        wait_until(page, lambda: len(searched) == 1)
        with page.expect_response("**/v1/info"):
            asked[0].continue_()
        page.wait_for_timeout(100)
        with page.expect_response("**/v1/search"):
            searched[0].continue_()
        expect(hits_of(page).first).to_be_visible()
        assert len(searched) == 1
        page.close()


def wait_until(page: Page, done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_MS / 1000
    while not done():
        assert time.monotonic() < deadline
        page.wait_for_timeout(20)


def test_a_key_that_is_replaced_while_the_page_is_open(
    browser: Browser, encoder: Encoder, pictures: list[Path], tmp_path: Path
) -> None:
    reader, writer = (create_key(tmp_path / "keys", scope, scope)[1] for scope in ("search", "write"))
    loaded = Loaded(gallery_of(encoder, pictures), encoder)
    with serving(create_app(ServiceSettings(keys=tmp_path / "keys", decoders=1), lambda _: loaded)) as address:
        page = browser.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.goto(address)
        for broken in ("schl\u00fcssel", f"{reader}\u200b!", f"{reader} and more"):
            page.fill("#key-value", broken)
            page.press("#key-value", "Enter")
            expect(page.locator("#key-why")).to_contain_text("This is no key")
        page.fill("#key-value", reader)
        page.press("#key-value", "Enter")
        search(page, pictures[0])
        expect(page.locator("#open-add")).to_be_hidden()
        revoke_key(tmp_path / "keys", "search")
        page.click("#search")
        page.fill("#key-value", writer)
        page.press("#key-value", "Enter")
        expect(page.locator("#open-add")).to_be_visible()
        expect(hits_of(page).first.locator("input.select")).to_be_visible()
        page.close()
