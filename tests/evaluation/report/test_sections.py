"""The page: what it leaves out, what it escapes, how it is written."""

import os
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bitreid.artifact import Card
from bitreid.errors import DataError
from bitreid.evaluation.report import (
    AfrCurve,
    AttributeRow,
    Length,
    PartDistance,
    RankedHit,
    RankedQuery,
    Record,
    Report,
    render_report,
    write_report,
)
from tests.evaluation.report.cases import Page

# What is left out


def test_an_empty_report_is_a_title() -> None:
    page = Page(render_report(Report("nothing")))
    assert [tag.text for tag in page.all("h1", "h2", "h3")] == ["nothing"]
    assert not page.all("section", "svg", "table", "img")


@pytest.mark.parametrize(
    ("part", "heading"),
    [
        ("data", "Summary"),
        ("protocol", "Summary"),
        ("lengths", "Length of the code"),
        ("pairs", "Distances"),
        ("verification", "“Nobody”"),
        ("identification", "“Nobody”"),
        ("afr", "Two-stage search"),
        ("worst", "Queries"),
        ("best", "Queries"),
        ("attributes", "Attributes"),
        ("bits", "Bits"),
        ("record", "Record"),
    ],
)
def test_each_part_alone_makes_its_section(report: Report, part: str, heading: str) -> None:
    page = Page(render_report(replace(Report("alone"), **{part: getattr(report, part)})))
    assert [tag.text for tag in page.all("h2")] == [heading]


def test_an_evaluation_alone_makes_its_sections(report: Report) -> None:
    page = Page(render_report(Report("alone", evaluation=report.evaluation)))
    assert [tag.text for tag in page.all("h2")] == ["Summary", "Ranks", "Length of the code"]
    assert report.evaluation is not None
    page = Page(render_report(Report("alone", evaluation=replace(report.evaluation, floats=None))))
    assert [tag.text for tag in page.all("h2")] == ["Summary", "Ranks"]
    assert "float" not in "".join(tag.text for tag in page.all("main"))


def test_pairs_without_a_single_one_are_left_out(report: Report) -> None:
    assert report.pairs is not None
    nothing = np.zeros_like(report.pairs.genuine)
    empty = replace(report.pairs, genuine=nothing, impostor=nothing)
    assert not Page(render_report(Report("empty", pairs=empty))).all("section")
    strangers = Page(render_report(Report("one kind", pairs=replace(report.pairs, genuine=nothing))))
    labels = [tag.text for tag in strangers.all("text") if "label" in tag.attributes["class"]]
    assert labels == ["different people"] * 2


def test_one_person_has_no_interval(report: Report) -> None:
    unknown = replace(report.intervals["mAP"], low=np.nan, high=np.nan, n_identities=1)
    page = Page(render_report(replace(report, intervals={"mAP": unknown})))
    assert {tag.text for tag in page.of_class("interval")} == {""}
    assert "there are no intervals" in page.of_class("lead")[0].text
    assert "nan" not in page.html.split("<body>")[1].lower().replace("nance", "")


def test_without_pictures_nothing_of_the_files_is_there(report: Report) -> None:
    gone = Path("secret_folder") / "secret_picture.jpg"
    query = RankedQuery(gone, "Person 1", 0.5, (RankedHit(gone, 3.0, False, (PartDistance("global", 1, 8),)),))
    page = Page(render_report(replace(report, pictures=False, worst=(query,))))
    assert "secret" not in page.html
    assert "weights.pt" not in page.html
    assert "my models" not in page.html
    assert "data:image" not in page.html
    assert not page.all("img")
    assert page.all("pre")[0].text == "bitreid evaluate FILE --data FILE"
    assert "left out on request" in page.all("footer")[0].text
    # What the pictures would show is still said, and measured.
    assert "hit 1, wrong, distance 3" in [tag.text for tag in page.of_class("unseen")]
    assert [tag.attributes["aria-label"] for tag in page.of_class("whole")] == ["global: 1 of 8 bits"]


def test_everything_is_escaped(report: Report, tmp_path: Path) -> None:
    evil = "\"><script>alert('1')</script><b x='"
    path = tmp_path / "<script>x<b>.png"
    Image.new("RGB", (4, 8)).save(path)
    assert isinstance(report.card, Card)
    assert report.evaluation is not None
    query = RankedQuery(path, evil, 0.5, (RankedHit(path, 1.0, True, (PartDistance(evil, 1, 8),)),))
    page = Page(
        render_report(
            Report(
                evil,
                card=replace(report.card, name=evil, notes=evil, licence=evil, training={evil: evil}),
                data=evil,
                protocol=evil,
                afr=(AfrCurve(evil, 8, report.evaluation.afr),),
                worst=(query,),
                attributes=(AttributeRow(evil, 0.5, 0.5, 1, 2),),
                bits=(replace(report.bits[0], name=evil),),
                record=Record(datetime.now(UTC), ("bitreid", evil, Path(evil)), {evil: evil}),
            )
        )
    )
    assert not page.all("script", "b")
    assert page.all("h1")[0].text == evil
    assert [evil in tag.text for tag in page.all("dd")] == [True, True, True, False, True, True]
    assert page.all("img")[0].attributes["alt"] == f"query: {path.name}"


def test_names_that_are_not_utf8_are_escaped(report: Report, tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9\x1b.png")
    path = tmp_path / name
    Image.new("RGB", (4, 8)).save(path)
    record = Record(datetime.now(UTC), ("bitreid", path), {})
    write_report(replace(report, worst=(RankedQuery(path, "1", 0.5, ()),), record=record), tmp_path / "r.html")
    page = Page((tmp_path / "r.html").read_text(encoding="utf-8"))
    assert r"query: caf\xe9\x1b.png" in [tag.attributes["alt"] for tag in page.all("img")]
    assert rf"{tmp_path}/caf\xe9\x1b.png" in (tmp_path / "r.html").read_text(encoding="utf-8")


# Files and refusals


def test_write_leaves_the_page_or_what_was_there(report: Report, html: str, tmp_path: Path) -> None:
    out = tmp_path / "new" / "report.html"
    write_report(report, out)
    assert out.read_text(encoding="utf-8") == html
    gone = RankedQuery(tmp_path / "gone.png", "Person 1", 0.5, ())
    with pytest.raises(DataError, match=r"gone\.png"):
        write_report(replace(report, worst=(gone,)), out)
    assert out.read_text(encoding="utf-8") == html
    assert [path.name for path in out.parent.iterdir()] == ["report.html"]


def test_a_missing_jinja_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(DataError, match=r"expected Jinja2 .* install bitreid\[report\]"):
        render_report(Report("nothing"))


def test_impossible_parts_are_refused(report: Report) -> None:
    with pytest.raises(DataError, match="expected lengths that ascend"):
        Report("wrong", lengths=(Length(64, 0.5, 0.5), Length(32, 0.5, 0.5)))
    with pytest.raises(DataError, match="expected intervals of rank1, mAP, mINP, got rank5"):
        Report("wrong", intervals={"rank5": report.intervals["mAP"]})
    with pytest.raises(DataError, match="ascending w for 'short'"):
        AfrCurve("short", 8, ())
    wrong = RankedQuery(Path("q"), "q", 0.5, (RankedHit(Path("h"), 1.0, None, (PartDistance("legs", 0, 0),)),))
    with pytest.raises(DataError, match="part 'legs' to have bits"):
        render_report(Report("wrong", worst=(wrong,), pictures=False))
