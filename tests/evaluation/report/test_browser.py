"""The page in a browser: light and dark, wide and narrow, and on paper."""

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from bitreid.evaluation.report import Report, write_report
from tests.browser import PATIENCE_MS
from tests.evaluation.report.cases import full_report

# The contrast of every visible piece of text with what is behind it (WCAG 2.2, contrast ratio), those below `least`.
FAINT = """(least) => {
  const rgb = (css) => css.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b]
    .map((c) => c / 255).map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const colour = rgb(getComputedStyle(e).backgroundColor);
      if (colour.length < 4 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const found = {checked: 0, faint: []};
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode.textContent.trim(), element = walker.currentNode.parentElement;
    if (!text || !element.checkVisibility() || element.closest("title, desc")) continue;
    const style = getComputedStyle(element);
    const [a, b] = [rgb(element.closest("svg") ? style.fill : style.color), behind(element)].map(light);
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    found.checked += 1;
    if (ratio < least) found.faint.push(`${text}: ${ratio.toFixed(2)}`);
  }
  return found;
}"""

# Words of a chart that cover each other or leave the window.
CLASHES = """() => {
  const found = {checked: 0, clashes: []};
  for (const plot of document.querySelectorAll(".plot")) {
    if (!plot.checkVisibility()) continue;
    const boxes = [...plot.querySelectorAll("text")].map((text) => [text.textContent, text.getBoundingClientRect()]);
    boxes.forEach(([words, a], i) => {
      found.checked += 1;
      if (a.left < 0 || a.right > innerWidth) found.clashes.push(`${words} leaves the window`);
      for (const [others, b] of boxes.slice(i + 1)) {
        const width = Math.min(a.right, b.right) - Math.max(a.left, b.left);
        const height = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
        if (width > 2 && height > 4) found.clashes.push(`${words} and ${others}`);
      }
    });
  }
  return found;
}"""

WIDTHS = "() => [document.documentElement.scrollWidth, innerWidth]"
OPEN_ALL = "() => document.querySelectorAll('details').forEach((each) => { each.open = true; })"
SCROLLING = "() => [...document.querySelectorAll('.table')].filter((e) => e.scrollWidth > e.clientWidth).length"
SHOWN = "(name) => [...document.querySelectorAll(name)].filter((e) => e.checkVisibility()).length"


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    return full_report(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="module")
def file(report: Report, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_report(report, path)
    return path


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_can_be_read(browser: Browser, file: Path, scheme: Any) -> None:
    page = browser.new_page(color_scheme=scheme, viewport={"width": 1280, "height": 900})
    page.set_default_timeout(PATIENCE_MS)
    complaints: list[str] = []
    requests: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(file.as_uri())
    page.evaluate(OPEN_ALL)
    paper = page.evaluate("() => getComputedStyle(document.documentElement).backgroundColor")
    assert paper == {"light": "rgb(253, 252, 249)", "dark": "rgb(21, 23, 26)"}[scheme]
    for width, shown in ((1280, "wide"), (360, "narrow")):
        page.set_viewport_size({"width": width, "height": 900})
        total, window = page.evaluate(WIDTHS)
        assert total <= window == width, "the page itself never scrolls sideways"
        assert page.evaluate(SHOWN, f".plot.{shown}") == page.evaluate(SHOWN, ".plot") == 10
        words = page.evaluate(CLASHES)
        assert words["checked"] > 80
        assert words["clashes"] == []
        contrast = page.evaluate(FAINT, 4.5)
        assert contrast["checked"] > 300
        assert contrast["faint"] == []
    assert page.evaluate(SCROLLING) > 0, "tables that are too wide scroll in their own box"
    assert complaints == []
    assert [url for url in requests if not url.startswith("data:")] == [file.as_uri()]
    page.close()


def test_the_page_prints_light_and_whole(browser: Browser, file: Path) -> None:
    page = browser.new_page(color_scheme="dark", viewport={"width": 700, "height": 900})
    page.set_default_timeout(PATIENCE_MS)
    page.goto(file.as_uri())
    page.emulate_media(media="print")
    assert page.evaluate("() => getComputedStyle(document.documentElement).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate(SHOWN, ".plot.wide") == 10
    assert page.evaluate(SHOWN, ".plot.narrow") == 0
    assert page.evaluate(SHOWN, "nav") == 0
    total, window = page.evaluate(WIDTHS)
    assert total <= window
    contrast = page.evaluate(FAINT, 4.5)
    assert contrast["checked"] > 100
    assert contrast["faint"] == []
    page.close()
