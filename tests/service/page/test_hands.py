"""The page without a mouse: with a finger on a phone, and by keyboard alone."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser import PATIENCE_MS
from tests.service.page.cases import WIDTHS, hits_of, two_people

expect.set_options(timeout=PATIENCE_MS)

# What the element that has the focus is called, and whether that can be seen: by an outline, and under nothing else.
FOCUSED = """() => {
  const at = document.activeElement, shown = at.matches(":is(.segments, .drop) input") ? at.nextElementSibling : at;
  const outline = getComputedStyle(shown), box = shown.getBoundingClientRect();
  const marked = outline.outlineStyle !== "none" && parseFloat(outline.outlineWidth) >= 2;
  const top = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
  return [at.id || at.ariaLabel || at.textContent.trim(), marked && (shown.contains(top) || top?.contains(shown))];
}"""
# Controls that a finger misses: smaller than 24 pixels (WCAG 2.2, 2.5.8).
SMALL = """() => [...document.querySelectorAll("button, input:not(.unseen), select, summary, .button")].filter(each => {
  const box = (each.closest("label") ?? each).getBoundingClientRect();
  return each.checkVisibility() && Math.min(box.width, box.height) < 24;
}).map((each) => each.id || each.className || each.textContent)"""


@pytest.fixture
def phone(browser: Browser, address: str) -> Iterator[Page]:
    """The page on a phone."""
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.goto(address)
    page.locator(".facts-table").wait_for()
    yield page
    context.close()


def draw(page: Page, *points: tuple[float, float]) -> None:
    """Move a finger from one point to the next, in pixels of the window."""
    session = page.context.new_cdp_session(page)
    for i, (x, y) in enumerate(points):
        event = {"type": "touchMove" if i else "touchStart", "touchPoints": [{"x": x, "y": y}]}
        session.send("Input.dispatchTouchEvent", event)
    session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


def test_a_person_is_found_and_confirmed_with_a_finger(phone: Page, pictures: list[Path], tmp_path: Path) -> None:
    two_people(pictures[0], pictures[6]).save(tmp_path / "scene.png")
    with phone.expect_file_chooser() as files:
        phone.tap("#pick-words")
    with phone.expect_response("**/v1/search"):
        files.value.set_files(tmp_path / "scene.png")
    hits_of(phone)
    stage = phone.locator("#stage-image")
    stage.scroll_into_view_if_needed()
    place, scrolled = stage.bounding_box(), phone.evaluate("scrollY")
    assert place is not None
    with phone.expect_response("**/v1/search"):
        across = [(44 + 4 * i, 1 + 11.75 * i) for i in range(9)]
        draw(phone, *((place["x"] + x / 80 * place["width"], place["y"] + y / 96 * place["height"]) for x, y in across))
    assert phone.evaluate("scrollY") == scrolled, "the finger draws, and does not scroll"
    assert [phone.input_value(f"#box-{name}") for name in ("x", "y", "width", "height")] == ["44", "1", "32", "94"]
    nearest, name = hits_of(phone).first, f"Person {pictures[6].stem[:4]}"
    expect(nearest.locator("h3")).to_have_text(name)
    phone.wait_for_timeout(1500)  # two taps in a row would be one gesture
    nearest.locator("input.select").scroll_into_view_if_needed()
    nearest.locator("input.select").tap()
    expect(nearest.locator("input.select")).to_be_checked(timeout=8000)
    assert phone.evaluate(SMALL) == []
    phone.tap("#decide-person")
    phone.keyboard.type("Ada")
    phone.tap("#confirm")
    expect(phone.locator("#done-words")).to_have_text("1 picture now shows Ada.")
    expect(nearest.locator("h3")).to_have_text("Ada")
    phone.tap("#done-undo")
    expect(nearest.locator("h3")).to_have_text(name)
    total, window = phone.evaluate(WIDTHS)
    assert total <= window == 390


def test_a_person_is_found_and_confirmed_by_keyboard(page: Page, pictures: list[Path]) -> None:
    def tab_to(wanted: Callable[[str], bool]) -> list[str]:
        """Press Tab until what has the focus is wanted; return the names of what had it."""
        found: list[str] = []
        while not (found and wanted(found[-1])):
            assert len(found) < 60, found
            page.keyboard.press("Tab")
            name, seen = page.evaluate(FOCUSED)
            assert seen or name.startswith("time-"), f"{name} has the focus, and nobody sees it"
            found.append(name)
        return found

    page.on("filechooser", lambda files: None)  # before any key: the browser is told without waiting for it
    found = tab_to("pictures".__eq__)
    assert found[0] == "Skip to the answer"
    assert {"open-add", "open-merge", "undo", "open-key"} <= set(found)
    with page.expect_file_chooser() as files:
        page.keyboard.press("Enter")
    with page.expect_response("**/v1/search"):
        files.value.set_files(pictures[0])
    hits_of(page)
    assert "stage" in tab_to(lambda name: name.startswith("Limit the search"))
    page.keyboard.press("Enter")
    tab_to("where".__eq__)
    page.keyboard.type("camera = 1")
    page.keyboard.press("Enter")
    expect(page.locator(".hit")).to_have_count(4)
    assert {"k", "by", "search"} <= set(tab_to(lambda name: name.startswith("Select ")))
    page.keyboard.press("Space")
    expect(page.locator("#live")).to_have_text("1 picture selected. Enter to say who it is.")
    first = hits_of(page).first.locator("h3")
    name = first.inner_text()
    for _ in range(2):  # no hit hides under what is shown at the lower edge
        tab_to(lambda name: name.startswith("Select "))
    page.keyboard.press("Enter")
    expect(page.locator("#decide-person")).to_be_focused()
    expect(page.locator("#selected-count")).to_have_text("2 pictures selected")
    page.keyboard.type("Ada")
    page.keyboard.press("Enter")
    expect(page.locator("#done-words")).to_have_text("2 pictures now show Ada.")
    expect(first).to_have_text("Ada")
    tab_to("done-undo".__eq__)
    page.keyboard.press("Enter")
    expect(first).to_have_text(name)
    page.locator("#open-key").press("Enter")
    expect(page.locator("#key-value")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("#open-key")).to_be_focused()
