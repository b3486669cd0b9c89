"""The page: its structure and its numbers."""

import base64
import io
from dataclasses import replace
from itertools import pairwise

import numpy as np
from PIL import Image

from bitreid.evaluation.report import (
    PartDistance,
    Promise,
    Report,
    render_report,
)
from bitreid.evaluation.report.pair_sections import distances
from bitreid.evaluation.report.sheets import bars_of
from tests.evaluation.report.cases import SPACE, Page

# Structure


def test_the_page_needs_nothing_else(html: str, page: Page) -> None:
    assert html.startswith("<!DOCTYPE html>\n")
    assert "http:" not in html
    assert "https:" not in html
    assert "url(" not in html
    assert not page.all("script", "link", "iframe", "object", "base")
    for tag in page.tags:
        assert not [name for name in tag.attributes if name.startswith("on")]
        assert tag.attributes.get("src", "data:").startswith("data:image/jpeg;base64,") or tag.name != "img"
        assert tag.attributes.get("href", "#").startswith("#")
    policy = [tag.attributes["content"] for tag in page.all("meta") if "http-equiv" in tag.attributes]
    assert policy == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]


def test_ids_are_unique_and_what_refers_to_them_finds_them(page: Page) -> None:
    ids = [tag.attributes["id"] for tag in page.tags if "id" in tag.attributes]
    assert len(ids) == len(set(ids)) > 20
    named = [name for tag in page.tags for name in tag.attributes.get("aria-labelledby", "").split()]
    linked = [tag.attributes["href"].removeprefix("#") for tag in page.all("a")]
    assert len(linked) == 11
    assert set(named + linked) <= set(ids)


def test_headings_are_in_order(page: Page) -> None:
    levels = [int(tag.name[1]) for tag in page.all("h1", "h2", "h3", "h4", "h5", "h6")]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert max(levels) == 4
    assert all(deeper <= level + 1 for level, deeper in pairwise(levels))


def test_the_contents_are_the_sections_in_order(page: Page) -> None:
    links = [tag.text for tag in page.all("a") if "nav" in tag.around]
    assert links == [tag.text for tag in page.all("h2")]
    assert (links[0], links[-1]) == ("Summary", "Record")
    assert len(links) == 10
    assert page.all("a")[0].attributes == {"class": "skip", "href": "#content"}


def test_the_page_has_landmarks_and_a_language(page: Page) -> None:
    assert page.all("html")[0].attributes["lang"] == "en"
    assert [len(page.all(name)) for name in ("header", "nav", "main", "footer")] == [1, 1, 1, 1]
    assert [tag.text for tag in page.all("title") if "head" in tag.around] == ["model on colours"]
    for section in page.all("section"):
        assert section.attributes["aria-labelledby"] == section.attributes["id"] + "-heading"


def test_every_chart_is_said_in_words_and_in_numbers(page: Page) -> None:
    plots = page.of_class("plot")
    assert len(plots) == 2 * 10, "each chart once for wide paper and once for narrow"
    for plot in plots:
        assert plot.attributes["role"] == "img"
        assert len(plot.attributes["aria-labelledby"].split()) == 2
    descriptions = [tag.text for tag in page.all("desc")]
    assert len(descriptions) == len(plots)
    assert all("Across: " in text and "Up: " in text for text in descriptions)
    in_details = [tag for tag in page.all("table") if "figure" in tag.around and "details" in tag.around]
    assert len(in_details) == 10 + 1, "a table for each chart, and one for the query that has hits"


def test_every_picture_says_what_it_is(page: Page) -> None:
    assert [tag.attributes["alt"] for tag in page.all("img")] == [
        "query: secret_name_0.png",
        "hit 1, right, distance 10: secret_name_1.png",
        "hit 2, wrong, distance 11: secret_name_2.png",
        "hit 3, unknown, distance 12: secret_name_3.png",
        "query: secret_name_0.png",
    ]


def test_pictures_are_inside_the_page(page: Page) -> None:
    data = page.all("img")[1].attributes["src"].partition("base64,")[2]
    with Image.open(io.BytesIO(base64.b64decode(data))) as picture:
        assert (picture.format, picture.size) == ("JPEG", (96, 192))
        assert np.allclose(np.asarray(picture).mean((0, 1)), (20, 90, 200), atol=4)


def test_right_and_wrong_do_not_rest_on_colour(page: Page) -> None:
    assert [tag.text for tag in page.of_class("verdict")] == ["✓", "✗", "?"]


# Numbers


def test_the_summary_shows_the_scores_and_their_intervals(report: Report, page: Page) -> None:
    assert report.evaluation is not None
    assert report.evaluation.floats is not None
    codes, floats = report.evaluation.main.expected, report.evaluation.floats.expected
    shown = [tag.text for tag in page.of_class("value")]
    assert shown == [f"{100 * score:.1f}{SPACE}%" for score in (codes.rank1, codes.mAP, codes.mINP)]
    interval = report.intervals["mAP"]
    ends = f"{100 * interval.low:.1f} to {100 * interval.high:.1f}"
    assert [tag.text for tag in page.of_class("interval")] == ["", ends, ""]
    meanings = [tag.text for tag in page.of_class("meaning")]
    for text, score in zip(meanings, (floats.rank1, floats.mAP, floats.mINP), strict=True):
        assert text.endswith(f"float feature: {100 * score:.1f}{SPACE}%")
    lead = page.of_class("lead")[0].text
    assert f"In {100 * codes.rank1:.0f} of 100 searches the nearest picture" in lead
    assert "takes 8 bytes instead of the 256 of the float feature" in lead
    assert f"95{SPACE}% confidence, as far as the 6 people" in lead


def test_the_summary_says_what_was_evaluated(page: Page) -> None:
    facts = dict(zip([tag.text for tag in page.all("dt")], [tag.text for tag in page.all("dd")], strict=True))
    assert facts == {
        "Data set": "colours",
        "Queries": "12 pictures",
        "Gallery": "60 pictures",
        "Code": "64 bits (8 bytes), compared by Hamming distance",
        "Protocol": "Cameras count.",
        "Model": "model",
        "Input": "96 \u00d7 48 pixels, height \u00d7 width",
        "Licence": "Apache-2.0",
        "Notes": "Knows colours.",
    }


def test_the_tables_hold_the_numbers_of_the_charts(report: Report, page: Page) -> None:
    assert report.evaluation is not None
    assert report.evaluation.floats is not None
    assert report.identification is not None
    assert report.verification is not None
    cmc, floats = report.evaluation.main.expected.cmc, report.evaluation.floats.expected
    table = page.table("Queries whose first match is at the rank or before, %")
    assert table[0] == ["rank", "64 bits", "float"]
    assert [row[0] for row in table[1:]] == ["1", "2", "3", "5", "10", "20", "50"]
    assert table[4] == ["5", f"{100 * cmc[4]:.1f}", f"{100 * floats.cmc[4]:.1f}"]
    assert page.table("Scores by length, %") == [
        ["bits", "bytes", "rank-1", "mAP"],
        ["16", "2", "25.0", "12.5"],
        ["32", "4", "50.0", "37.5"],
        ["64", "8", "75.0", "62.5"],
        ["2,048 (float)", "256", f"{100 * floats.rank1:.1f}", f"{100 * floats.mAP:.1f}"],
    ]
    kept = [f"{100 * afr.kept:.1f}" for afr in report.evaluation.afr]
    assert page.table("right pictures kept, %") == [
        ["rows (w)", "share, %", "attribute code", "coarse code"],
        ["3", "5.0", kept[0], ""],
        ["6", "10.0", kept[1], kept[1]],
        ["30", "50.0", kept[2], kept[2]],
    ]
    found = report.identification
    assert page.table("Searches of 60 rows")[1] == ["10", f"{100 * found.dir[0]:.1f}", f"{found.thresholds[0]:g}"]
    assert page.table("Single pairs")[1][:2] == ["1", f"{100 * report.verification.tpr[0]:.1f}"]
    shares = np.array([[float(cell) for cell in row[1:]] for row in page.table("Pairs by distance, %")[1:]])
    assert np.allclose(shares.sum(axis=0), 100, atol=0.05)


def test_attributes_come_best_first(page: Page) -> None:
    assert page.table("Accuracy of attributes") == [
        ["attribute", "balanced, %", "accuracy, %", "pictures with it", "of", f"balanced, 50 to 100{SPACE}%"],
        ["hat", "80.0", "90.0", "12", "70", ""],
        ["bag", "\u2013", "50.0", "0", "72", ""],
    ]
    bars = [tag.attributes["width"] for tag in page.all("rect") if "table" in tag.around and "height" in tag.attributes]
    assert bars == ["100%", "60.0%"], "80 % is 60 % of the way from 50 to 100"


def test_reranking_is_told_beside_the_search(report: Report) -> None:
    assert report.evaluation is not None
    better = replace(report.evaluation.main, expected=replace(report.evaluation.main.expected, mAP=0.9375))
    page = Page(render_report(replace(report, evaluation=replace(report.evaluation, reranked={"way": better}))))
    rows = page.table("After re-ranking the w nearest rows, %")
    assert [row[0] for row in rows[1:]] == ["as searched", "way"]
    assert rows[2][2] == "93.8"
    assert rows[1][2] != "93.8"


def test_distances_of_features_are_no_bits(report: Report) -> None:
    assert report.evaluation is not None
    floats = replace(report.evaluation, codes=None, bits=None)
    hit = replace(
        report.best[0].hits[0] if report.best[0].hits else report.worst[0].hits[0], distance=0.56861, parts=()
    )
    page = render_report(replace(report, evaluation=floats, lengths=(), worst=(replace(report.worst[0], hits=(hit,)),)))
    assert "the number is the cosine distance." in page
    assert "0.569" in page
    assert "distance in bits" not in page
    assert "compared by cosine distance" in page


def test_bits_are_told(report: Report, page: Page) -> None:
    assert report.evaluation is not None
    bits = report.evaluation.bits
    assert bits is not None
    rows = page.table("How bits are used")
    assert rows[1][:4] == ["identity code", "64", "60", str(bits.distinct)]
    assert rows[1][4].endswith(f"{SPACE}%")
    assert rows[1][5:] == [f"{bits.entropy:.1f}", "0", f"{bits.mean_correlation:.3f}"]
    assert "cannot show more than 5.9 bits" in page.html, "the log2 of 60 pictures"
    counts = [int(row[1]) for row in page.table("Bits by balance")[1:]]
    assert sum(counts) == 64


def test_what_a_shorter_code_is_of(report: Report) -> None:
    assert "A shorter code is the same share of every part\u2019s bits of the longest one." in render_report(report)
    # Of codes that others made no parts are known.
    assert report.card is not None
    nested = replace(report.card, lengths={"32": {"mAP": 0.5}})
    for card in (None, nested):
        assert "A shorter code is the first bits of the longest one." in render_report(replace(report, card=card))


def test_bytes_of_two_stages_are_told(page: Page) -> None:
    """60 short codes of one byte, and 8 bytes for each row of the short list."""
    caption = "Bytes read a search, with short codes of 1 bytes and long ones of 8"
    assert page.table(caption) == [
        ["rows (w)", "two stages", "whole gallery", "times fewer"],
        ["3", "84", "480", "5.7"],
        ["6", "108", "480", "4.4"],
        ["30", "300", "480", "1.6"],
    ]


def test_ranked_queries_have_their_distances(page: Page) -> None:
    assert page.table("Distances in bits, Person 7, camera 1") == [
        ["rank", "verdict", "distance", "global (of 16)", "stripe1 (of 24)", "stripe2 (of 24)"],
        ["1", "right", "10", "4", "3", "20"],
        ["2", "wrong", "11", "4", "3", "20"],
        ["3", "unknown", "12", "4", "3", "20"],
    ]
    assert f"Person 7, camera 1: average precision 25.0{SPACE}%" in [tag.text for tag in page.all("h4")]
    assert [tag.attributes["aria-label"] for tag in page.of_class("parts")] == [
        "stripe1: 3 of 24 bits; stripe2: 20 of 24 bits"
    ] * 3
    bars = [tag.attributes for tag in page.all("rect") if tag.around[-1] == "svg" and "y" in tag.attributes]
    lengths = [bar["width"] for bar in bars if bar["class"] == "fill"]
    assert lengths[:2] == ["25.0", "100.0"], "a bar is full where half of the bits differ"
    assert [bar["y"] for bar in bars[:4]] == ["1.00", "1.00", "51.00", "51.00"], "each at its part's height"


def test_a_promise_is_compared_with_what_was_measured(report: Report) -> None:
    assert report.identification is not None
    fpir = report.identification.fpir_curve
    for level, verdict in ((int(np.searchsorted(fpir, 0.1, side="right")) - 1, "is kept"), (63, "is not kept")):
        text = render_report(replace(report, promise=Promise(level, 0.1, 60)))
        assert f"chosen without these people: for a gallery of 60 rows, at most 10{SPACE}% of searches" in text
        measured = f"{100 * fpir[level]:.1f}".removesuffix(".0")
        assert f"Measured here, among 60 rows: {measured}{SPACE}%. The promise {verdict}" in text
        assert f"threshold: {level} bits" in text
    text = render_report(replace(report, promise=Promise(-1, 0.1, 60)))
    assert "Within the threshold" not in text
    assert "No threshold keeps that" in text
    assert "threshold: " not in text


def test_a_threshold_beside_all_pairs_is_drawn_in_its_place(report: Report) -> None:
    assert report.pairs is not None
    seen = np.flatnonzero(report.pairs.genuine + report.pairs.impostor)
    for threshold in (0, int(seen[-1]) + 40):
        section = distances(replace(report, promise=Promise(threshold, 0.1, 60)))
        assert section is not None
        (chart,) = section.charts
        (mark,) = chart.marks
        assert mark.x == threshold + 0.5
        assert chart.x.low <= min(mark.x, seen[0] - 0.5)
        assert max(mark.x, seen[-1] + 0.5) <= chart.x.high


def test_the_record_is_kept(page: Page) -> None:
    assert page.all("pre")[0].text == "bitreid evaluate 'my models/artifact' --data secret_people"
    assert "Made on 4 March 2026, 15:30 by:" in [tag.text for tag in page.all("p")]
    assert page.table("Versions")[1:] == [["bitreid", "0.1.0"], ["numpy", "2.4"]]
    assert page.table("The model\u2019s card: scores and training")[1:] == [
        ["val_mAP", "0.75"],
        ["data", "drawn"],
        ["identities", "24"],
        ["recipe.weights", "first/weights.pt"],
        ["recipe.epochs", "3"],
    ]


def test_one_part_stands_for_the_whole() -> None:
    parts = (PartDistance("summary", 8, 64), PartDistance("global", 4, 16), PartDistance("stripe1", 3, 24))
    bars, whole = bars_of(parts)
    assert [bar.words for bar in bars] == ["stripe1: 3 of 24 bits"]
    assert whole is not None
    assert whole.words == "global: 4 of 16 bits"
    bars, whole = bars_of(parts[:1])
    assert whole is not None
    assert (bars, whole.words) == ((), "summary: 8 of 64 bits")
    assert bars_of(parts[2:])[1] is None
