"""Figures that a page repeats are those of the page, or of the model's card, that they come from."""

import re

import pytest

from bitreid.artifact.folder import load_card
from bitreid.artifact.shipped import folder_of
from tests.pages import ROOT, text_of


def cells_of(page: str) -> list[list[str]]:
    """Return the cells of each row of a page's tables."""
    lines = [line for line in text_of(page).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@pytest.fixture(scope="module")
def results() -> dict[str, list[str]]:
    """The first table of the results: rank-1, rank-5, mAP, mINP and matches kept, by descriptor."""
    first: dict[str, list[str]] = {}
    for name, *scores in cells_of("docs/results.md"):
        first.setdefault(name, scores)
    return first


def test_bars_follow_from_the_tables(results: dict[str, list[str]]) -> None:
    rows = cells_of("docs/results.md")
    start = rows.index(["bar", "value", "with `--flip`", "bar", "met"])
    bars = {name: value for name, value, *_ in rows[start + 2 : start + 14]}
    code, floats, rescored = (float(results[name][2]) for name in ("2048 bits", "float", "2048 bits, rescored w = 534"))
    assert [float(bars[f"{name} of 2048 bits"]) for name in ("rank-1", "mAP")] == [float(results["2048 bits"][0]), code]
    lost = float(bars["mAP lost from floats to 2048 bits, at most"]), float(bars["the same, rescored"])
    assert lost == pytest.approx((floats - code, floats - rescored), abs=0.051)
    for name, value in bars.items():
        if (n_bits := re.search(r"by (\d+) bits", name)) is not None:
            scores = (float(results[f"first {n_bits[1]} bits{way}"][2]) for way in ("", ", rescored w = 534"))
            assert [float(each) for each in value.split("; ")] == pytest.approx([x / code for x in scores], abs=2e-3)
    for name, stage in (("by the coarse code", "coarse"), ("by the plain attribute code", "AFR")):
        (bar,) = [float(each) for of, each in bars.items() if name in of]
        below, above = (code - float(results[f"{stage}, w = {w}"][2]) for w in ("267 (5 %)", "107 (2 %)"))
        assert below < bar < above, "w = 4.6 % lies between them"


def test_the_size_of_the_models() -> None:
    (said,) = [row[1] for row in cells_of("docs/results.md") if row[0].startswith("both models with their")]
    folders = folder_of("drawn"), ROOT / "models/cuhk03-lite2"
    files = [file for folder in folders for file in folder.iterdir()]
    engines = sum(file.stat().st_size for file in files if file.suffix in (".onnx", ".safetensors"))
    assert float(said) == pytest.approx(engines / 1e6, abs=0.051)


def test_the_readme(results: dict[str, list[str]]) -> None:
    (scores,) = [row[1] for row in cells_of("README.md") if row[0].startswith("CUHK03-NP")]
    rank1, _, mean_ap, *_ = results["2048 bits"]
    assert scores == f"{rank1} / {mean_ap}"


def test_choosing_bits(results: dict[str, list[str]]) -> None:
    page = cells_of("docs/howto/bits_and_w.md")
    lengths = [row for row in page if row[0].isdigit()]
    assert len(lengths) == 6
    for n_bits, n_bytes, mean_ap, rank1 in lengths:
        scores = results["2048 bits" if n_bits == "2048" else f"first {n_bits} bits"]
        assert (int(n_bytes), mean_ap, rank1) == (int(n_bits) // 8, scores[2], scores[0])
    said = re.findall(r"(\d+\.\d) at (\d+)(?: bits)?", text_of("docs/howto/bits_and_w.md"))
    assert [results[f"first {n_bits} bits, rescored w = 534"][2] for _, n_bits in said] == [value for value, _ in said]


def test_choosing_w(results: dict[str, list[str]]) -> None:
    names = {"none, exact": "2048 bits", "attribute code, as in the paper": "AFR"}
    page = cells_of("docs/howto/bits_and_w.md")
    stages = page[page.index(["first stage", "w", "mAP", "matches kept, %"]) + 2 :]
    assert len(stages) == 5
    for stage, w, mean_ap, kept in stages:
        name = names.get(stage, "coarse")
        scores = results[f"{name}, w = {w}" if name != "2048 bits" else name]
        assert (mean_ap, kept) == (scores[2], scores[4] or "100")


def test_probabilities_of_the_shipped_model() -> None:
    card = load_card(folder_of("drawn"))
    assert card.calibration is not None
    model = card.calibration.open_set
    text = " ".join(text_of("docs/evaluation.md").split())
    said = re.findall(r"(\d+) % among ([\d,]+)", text.partition("A hit of the shipped model")[2].partition("(`")[0])
    assert len(said) == 3
    for percent, rows in said:
        n_gallery = int(rows.replace(",", ""))
        probability = model.probability(model.threshold(0.01, n_gallery), n_gallery)
        assert round(100 * float(probability)) == int(percent)
