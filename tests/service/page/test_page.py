"""The page in a browser, against a service that runs: what a person does with it, and what it says."""

from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from fastapi import FastAPI
from playwright.sync_api import Browser, Locator, Page, Route, expect

from bitreid.encoding.encoder import Encoder
from bitreid.gallery import create_gallery
from bitreid.gallery.contract import Contract
from bitreid.service.app import create_app
from bitreid.service.keys import create_key
from bitreid.service.service import Loaded
from bitreid.service.settings import ServiceSettings
from tests.browser import PATIENCE_MS
from tests.service.page.cases import WIDTHS, gallery_of, hits_of, search, serving, two_people

expect.set_options(timeout=PATIENCE_MS)

# Drops or pastes a file onto the page, as a browser tells of it.
GIVE = """([event, name, bytes]) => {
  const given = new DataTransfer();
  given.items.add(new File([new Uint8Array(bytes)], name, {type: "image/jpeg"}));
  const about = {bubbles: true, cancelable: true, dataTransfer: given, clipboardData: given};
  const made = event === "paste" ? new ClipboardEvent(event, about) : new DragEvent(event, about);
  document.getElementById("ask").dispatchEvent(made);
}"""
# Whether the last search by pictures asked for this.
ASKED = "([name, value]) => JSON.stringify(window.asked.at(-1)[name]) === JSON.stringify(value)"


def choose(page: Page, way: str) -> None:
    page.locator(f"#ask .segments label:has-text('{way}')").first.click()


def select(hits: Locator, n: int) -> None:
    for i in range(n):
        hits.nth(i).locator("input.select").check()


def decide(page: Page, person: str, button: str) -> None:
    page.fill("#decide-person", person)
    page.click(button)


def test_a_picture_finds_its_person(page: Page, pictures: list[Path], address: str) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    assert "4 people · 3 cameras" in page.locator("#gallery-line").inner_text()
    hits = search(page, pictures[0])
    assert hits.count() == 12
    nearest = hits.first
    assert nearest.locator("h3").inner_text() == f"Person {pictures[0].stem[:4]}"
    assert "Distance 0 of 1,024 bits" in nearest.inner_text()
    assert "the same person" in nearest.inner_text()
    assert "entrance (camera 1)" in nearest.inner_text()
    assert "3 Nov 2026, 12:00" in nearest.inner_text()
    assert nearest.locator(".parts dt").all_inner_texts() == ["Head", "Upper body", "Lower body", "As a whole"]
    assert nearest.locator(".parts dd").all_inner_texts() == ["0\u00a0%"] * 4
    clothing = nearest.locator("svg.figure").get_attribute("aria-label")
    assert clothing is not None
    assert clothing.startswith("Drawn figure: ")
    assert "trousers" in clothing
    assert "certain hit" in page.locator("#answer-title").inner_text()
    assert page.locator(".hit.certain").count() >= 1
    assert "compared" in page.locator("#live").inner_text(), "those who only hear the page are told, too"
    assert all(url.startswith((address, "blob:")) for url in asked)


def test_pictures_are_dropped_and_pasted(page: Page, pictures: list[Path]) -> None:
    for event, picture in (("paste", pictures[0]), ("drop", pictures[5])):
        with page.expect_response("**/v1/search"):
            page.evaluate(GIVE, [event, picture.name, list(picture.read_bytes())])
        person = hits_of(page).first.locator("h3")
        expect(person).to_have_text(f"Person {picture.stem[:4]}")
        expect(page.locator("#chosen-name")).to_have_text(picture.name)


def test_an_item_is_a_query_and_parts_of_the_body_count(page: Page, pictures: list[Path]) -> None:
    hits = search(page, pictures[0])
    with page.expect_response("**/v1/search") as found:
        page.locator("#parts label:has-text('Upper')").click()
    assert page.evaluate(ASKED, ["parts", ["stripe2", "stripe3"]])
    assert found.value.json()["queries"][0]["hits"][0]["distance"] == 0
    expect(page.locator("#status")).to_contain_text("nobody knows which hits are certain")
    with page.expect_response("**/v1/search") as found:
        hits.first.locator("text=More like this").click()
    assert (found.value.request.post_data_json or {})["id"] == pictures[0].stem
    expect(hits).to_have_count(11)
    page.click("text=Search by picture instead")
    expect(hits).to_have_count(12)


def test_parts_are_searched_for_in_two_stages_where_the_gallery_needs_it(page: Page, pictures: list[Path]) -> None:
    def as_milvus(route: Route) -> None:
        if b'"w":' in (route.request.post_data_buffer or b""):
            route.continue_()
        else:
            error = {"kind": "unsupported", "message": "expected w in a search by parts, got none", "where": None}
            route.fulfill(status=400, json={"error": error})

    hits = search(page, pictures[0])
    hits.first.locator("text=More like this").click()  # JSON, whose text the browser tells
    expect(hits).to_have_count(11)
    page.route("**/v1/search", as_milvus)
    page.locator("#parts label:has-text('Upper')").click()
    expect(page.locator("#status")).to_contain_text("nobody knows which hits are certain")
    expect(hits).to_have_count(11)
    page.locator("#parts label:has-text('Lower')").click()
    expect(page.locator("#problem")).to_be_empty()
    expect(hits).to_have_count(11)


def test_a_box_says_who_is_meant(page: Page, pictures: list[Path], tmp_path: Path) -> None:
    left, right = pictures[0], pictures[6]
    two_people(left, right).save(tmp_path / "scene.png")
    search(page, tmp_path / "scene.png")
    stage = page.locator("#stage-image").bounding_box()
    assert stage is not None
    shares = [(4 / 80, 36 / 80, left), (44 / 80, 76 / 80, right)]
    for start, end, picture in reversed(shares):
        page.locator("#box-clear").click() if page.locator("#box-clear").is_visible() else None
        with page.expect_response("**/v1/search"):
            page.mouse.move(stage["x"] + start * stage["width"], stage["y"] + 1)
            page.mouse.down()
            page.mouse.move(stage["x"] + 0.5 * (start + end) * stage["width"], stage["y"] + 50)
            page.mouse.move(stage["x"] + end * stage["width"], stage["y"] + stage["height"] + 20)
            page.mouse.up()
        expect(hits_of(page).first.locator("h3")).to_have_text(f"Person {picture.stem[:4]}")
    for name, value in (("x", 44), ("y", 0), ("width", 32), ("height", 96)):
        page.evaluate("(name) => { document.querySelector('details:has(#box-x)').open = true; }", name)
        page.fill(f"#box-{name}", str(value))
    page.press("#box-height", "Tab")
    page.wait_for_function(ASKED, arg=["box", [44, 0, 32, 96]])
    expect(hits_of(page).first).to_contain_text("Distance 0 of")
    expect(page.locator(".hit h3").first).to_have_text(f"Person {right.stem[:4]}")
    page.locator("#stage").focus()
    for key, box in (
        ("Delete", None),
        ("Enter", [20, 5, 40, 86]),
        ("ArrowRight", [22, 5, 40, 86]),
        ("Shift+ArrowUp", [22, 5, 40, 84]),
    ):
        page.keyboard.press(key)
        page.wait_for_function(ASKED, arg=["box", box])
    expect(page.locator("#live")).to_contain_text("compared")


def test_searches_are_limited(page: Page, pictures: list[Path]) -> None:
    hits = search(page, pictures[0])
    page.click("#limits summary")
    page.check("text=stairs")
    expect(hits).to_have_count(4)
    assert all("stairs (camera 2)" in each for each in hits.all_inner_texts())
    page.fill("#time-to", "2026-11-03T12:05")
    page.press("#time-to", "Tab")
    expect(hits).to_have_count(2)
    page.fill("#person", pictures[0].stem[:4])
    page.press("#person", "Tab")
    expect(hits).to_have_count(1)
    expect(page.locator("#limits-count")).to_have_text("(3)")
    page.fill("#where", "camera = = 1")
    page.press("#where", "Enter")
    expect(page.get_by_role("alert").first).to_contain_text("The filter cannot be read.")
    page.click("text=Clear limits")
    expect(hits).to_have_count(12)
    expect(page.locator("#problem")).to_be_empty()
    page.fill("#where", "camera = 1 and camera = 2")
    page.press("#where", "Enter")
    expect(page.locator("#answer-title")).to_have_text("Nothing to compare")
    page.fill("#where", "camera in (1, 7) and tracklet = 'none'")
    page.press("#where", "Enter")
    expect(page.locator("#status")).to_contain_text("within these limits: none has camera = 7 or tracklet = ")


def test_clothing_is_searched_for(page: Page) -> None:
    choose(page, "Clothing")
    toggle = page.locator("[data-attribute=backpack]")
    for state in ("wanted", "unwanted", "any", "wanted"):
        toggle.press("Enter")
        expect(toggle).to_have_attribute("aria-label", f"backpack: {state}")
    wanted = {"hat": 0, "backpack": 1}
    with page.expect_response(lambda answer: (answer.request.post_data_json or {}).get("wanted") == wanted) as found:
        page.click("[data-attribute=hat]", click_count=2)
    best = found.value.json()["hits"][0]["distance"]
    expect(hits_of(page).first).to_contain_text("all 2 fit" if best == 0 else f"{best:.0f} of 2 differ")
    page.click("text=Clear all")
    expect(page.locator(".hit")).to_have_count(0)


def test_nobody_is_an_answer(page: Page, people: Path) -> None:
    stranger = sorted((people / "bounding_box_test").glob("0030*"))[0]
    hits = search(page, stranger)
    expect(page.locator("#answer-title")).to_contain_text("Nobody in the gallery")
    expect(page.locator("#status")).to_contain_text("12 pictures compared. To be certain among so many")
    expect(page.locator("#results h3.line")).to_have_text("The nearest, though none is certain")
    assert hits.count() == 12
    assert page.locator(".hit.certain").count() == 0


def test_people_are_confirmed_rejected_merged_and_that_is_undone(page: Page, pictures: list[Path]) -> None:
    hits, name = search(page, pictures[0]), f"Person {pictures[0].stem[:4]}"
    select(hits, 1)
    decide(page, "", "#confirm")
    expect(page.locator("#problem")).to_contain_text("Enter the name of the person first.")
    decide(page, "Anna", "#confirm")
    expect(page.locator("#done-words")).to_have_text("1 picture now shows Anna.")
    expect(hits.first.locator("h3")).to_have_text("Anna")
    select(hits, 1)
    decide(page, "Anna", "#reject")
    expect(hits.first.locator("h3")).to_have_text("Not named")
    page.click("#done-undo")
    expect(page.locator("#done-words")).to_have_text("Undone: reject Anna.")
    expect(hits.first.locator("h3")).to_have_text("Anna")
    page.click("text=Merge people")
    page.fill("#merge-from", "Anna")
    page.fill("#merge-into", "Berta")
    page.press("#merge-into", "Enter")
    expect(hits.first.locator("h3")).to_have_text("Berta")
    for now in ("Anna", name):
        page.click("#undo")
        expect(hits.first.locator("h3")).to_have_text(now)


def test_pictures_are_added_and_deleted(page: Page, people: Path, tmp_path: Path) -> None:
    new = sorted((people / "bounding_box_test").glob("0029*"))[:2]
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    page.click("text=Add pictures")
    page.click("#add-form [type=submit]")
    expect(page.locator("#add-problem")).to_contain_text("Choose at least one picture.")
    page.set_input_files("#add-pictures", [*new, tmp_path / "broken.jpg"])
    page.fill("#add-camera", "stairs")
    page.fill("#add-time", "2026-11-04T09:30")
    page.fill("#add-person", "Carla")
    page.click("#add-form [type=submit]")
    expect(page.locator("#done-words")).to_contain_text("2 pictures added. 1 file could not be read (broken.jpg:")
    expect(page.locator("#gallery-line")).to_contain_text("14 pictures · 5 people")
    hits = search(page, new[0])
    expect(hits.first).to_contain_text("Carla")
    expect(hits.first).to_contain_text("stairs (camera 2)")
    expect(hits.first).to_contain_text("4 Nov 2026, 09:30")
    expect(hits.first).to_contain_text("Distance 0 of")
    carla = page.locator(".hit:has-text('Carla')")
    select(carla, 2)
    page.click("#delete")
    expect(page.locator("#delete-words")).to_contain_text("2 pictures will be forgotten")
    page.click("text=Keep")
    page.click("#delete")
    page.click("text=Delete for good")
    expect(page.locator("#done-words")).to_have_text("2 pictures deleted.")
    expect(carla).to_have_count(0)
    expect(page.locator("#gallery-line")).to_contain_text("12 pictures")


def test_files_that_are_no_pictures_or_too_large_are_refused_in_words(page: Page, tmp_path: Path) -> None:
    broken, text, large = tmp_path / "broken.jpg", tmp_path / "list.txt", tmp_path / "large.jpg"
    broken.write_bytes(b"no picture")
    text.write_text("no picture")
    with large.open("wb") as file:
        file.truncate(40 * 2**20)
    problem = page.locator("#problem")
    for path, words in ((text, "list.txt is of the type text/plain"), (broken, "not a picture that can be read")):
        page.set_input_files("#pictures", path)
        expect(problem).to_contain_text(words)
    page.set_input_files("#pictures", large)
    expect(problem).to_contain_text("That is too large to send. At most 16 MB can be sent at once.")
    expect(problem).to_contain_text("large.jpg: 40 MB")


def test_a_busy_service_is_asked_again(page: Page, pictures: list[Path]) -> None:
    def busy(route: Route) -> None:
        refused.append(route.request.url)
        error = {"kind": "too_many_requests", "message": "expected fewer requests", "where": None}
        wait = "0" if len(refused) < 4 else "7"
        route.fulfill(status=429, headers={"Retry-After": wait}, json={"error": error})

    refused: list[str] = []
    page.route("**/v1/search", busy)
    page.set_input_files("#pictures", pictures[0])
    expect(page.locator("#problem")).to_contain_text("The service is busy. Try again in 7 seconds.")
    assert len(refused) == 4
    page.unroute("**/v1/search")
    page.click("#problem button")
    assert hits_of(page).count() == 12


def test_a_key_is_asked_for_and_says_what_may_be_done(
    browser: Browser, encoder: Encoder, pictures: list[Path], tmp_path: Path
) -> None:
    reader, writer = (create_key(tmp_path / "keys", scope, scope)[1] for scope in ("search", "write"))
    loaded = Loaded(gallery_of(encoder, pictures), encoder)
    settings = ServiceSettings(keys=tmp_path / "keys", keep_pictures=tmp_path / "kept", decoders=1)
    with serving(create_app(settings, lambda settings: loaded)) as address:
        page = browser.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.goto(address)
        why, add = page.locator("#key-why"), page.locator("#open-add")
        expect(why).to_have_text("The service asks for a key before it answers.")
        page.keyboard.press("Escape")
        expect(page.locator("#problem")).to_contain_text("Enter one that its operator gave you.")
        page.locator("#problem button").click()
        page.fill("#key-value", "wrong")
        page.press("#key-value", "Enter")
        expect(why).to_have_text("The service does not know this key. Enter another one.")
        page.fill("#key-value", reader)
        page.press("#key-value", "Enter")
        expect(page.locator("#gallery-line")).to_contain_text("12 pictures")
        expect(add).to_be_hidden()
        expect(search(page, pictures[0]).first.locator("input.select")).to_be_hidden()
        assert page.evaluate("() => [Object.values(sessionStorage), localStorage.length, document.cookie]") == [
            [reader],
            0,
            "",
        ]
        page.click("text=Change key")
        page.fill("#key-value", writer)
        page.press("#key-value", "Enter")
        add.click()
        page.set_input_files("#add-pictures", pictures[0])
        page.click("#add-form [type=submit]")
        expect(page.locator("#done-words")).to_have_text("1 picture added.")
        expect(page.locator(".likeness img")).to_have_count(1)
        assert page.locator(".likeness img").evaluate("(image) => image.decode().then(() => image.naturalHeight > 0)")
        page.close()


def test_a_service_that_is_gone_and_comes_back(browser: Browser, encoder: Encoder, pictures: list[Path]) -> None:
    page = browser.new_page()
    page.set_default_timeout(PATIENCE_MS)

    def app() -> FastAPI:
        loaded = Loaded(create_gallery("memory:", Contract.of(encoder.card)), encoder)
        return create_app(ServiceSettings(decoders=1), lambda settings: loaded)

    with serving(app()) as address:
        page.goto(address)
        expect(page.locator("#status")).to_contain_text("The gallery is empty.")
    page.set_input_files("#pictures", pictures[0])
    problem = page.locator("#problem")
    expect(problem).to_contain_text("The service does not answer. See that it is running")
    expect(page.locator("#answer-title")).to_have_text("No answer")
    with serving(app(), int(address.rsplit(":", 1)[1].strip("/"))):
        problem.locator("button").click()
        expect(page.locator("#answer-title")).to_have_text("Nothing to compare")
        expect(problem).to_be_empty()
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_and_nothing_scrolls_sideways(page: Page, pictures: list[Path], scheme: Any) -> None:
    page.emulate_media(color_scheme=scheme)
    paper = page.evaluate("() => getComputedStyle(document.documentElement).backgroundColor")
    assert paper == {"light": "rgb(253, 252, 249)", "dark": "rgb(21, 23, 26)"}[scheme]

    def check(where: str) -> None:
        total, window = page.evaluate(WIDTHS)
        assert total <= window, where
        # Colours are what the schemes differ in.
        rules = {"resultTypes": ["violations"]} | ({"runOnly": ["cat.color"]} if scheme == "dark" else {})
        found = Axe().run(page, options=rules).response["violations"]
        assert [each for each in found if each["impact"] in ("serious", "critical")] == [], where

    hits = search(page, pictures[0])
    select(hits, 1)
    page.click("#limits summary")
    hits.first.locator("summary").click()
    check("with hits")
    page.set_viewport_size({"width": 360, "height": 740})
    total, window = page.evaluate(WIDTHS)
    assert total <= window == 360
    page.click("#open-merge")
    check("a dialog on a phone")
    page.keyboard.press("Escape")
    choose(page, "Clothing")
    page.click("[data-attribute='upper_colour=red']")
    page.click("[data-attribute=hat]", click_count=2)
    hits_of(page)
    check("clothing on a phone")
