"""A report of everything, about people who are plain colours, and a page as a reader of HTML sees it."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
from PIL import Image

from bitreid.artifact import Card, InputSpec
from bitreid.codes import Codes, Part, pack
from bitreid.data.attributes import AttributeSchema
from bitreid.evaluation.calibration.fit import fit_open_set
from bitreid.evaluation.calibration.promises import reliability
from bitreid.evaluation.confidence import bootstrap
from bitreid.evaluation.open_set_metrics import count_pairs, identify, verify
from bitreid.evaluation.protocol import Protocol
from bitreid.evaluation.report import (
    AfrCurve,
    AttributeRow,
    BitUse,
    Length,
    PartDistance,
    Promise,
    RankedHit,
    RankedQuery,
    Record,
    ReliabilityCurve,
    Report,
)
from bitreid.evaluation.side import Side
from bitreid.evaluation.summary import Evaluation, evaluate_model

VOID = {"br", "hr", "img", "input", "link", "meta"}
SPACE = "\u00a0"


@dataclass
class Tag:
    """An element: its name, its attributes, the names of those around it, and the text inside."""

    name: str
    attributes: dict[str, str]
    around: tuple[str, ...]
    text: str = ""


@dataclass
class Page(HTMLParser):
    """The elements of a page in their order; fails on one that is not closed where it should be."""

    html: str
    tags: list[Tag] = field(default_factory=list)
    open: list[Tag] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(self.html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = Tag(tag, {name: value or "" for name, value in attrs}, tuple(each.name for each in self.open))
        assert len(found.attributes) == len(attrs), f"an attribute comes twice in {found}"
        self.tags.append(found)
        if tag not in VOID:
            self.open.append(found)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert tag not in VOID
        assert self.open.pop().name == tag

    def handle_data(self, data: str) -> None:
        for tag in self.open:
            tag.text += data

    def all(self, *names: str) -> list[Tag]:
        return [tag for tag in self.tags if tag.name in names]

    def of_class(self, name: str) -> list[Tag]:
        return [tag for tag in self.tags if name in tag.attributes.get("class", "").split()]

    def table(self, caption: str) -> list[list[str]]:
        """The cells of the first table with this caption, the header first."""
        rows: list[list[str]] = []
        inside = False
        for tag in self.tags:
            if tag.name == "caption":
                if inside:
                    break
                inside = tag.text == caption
            elif inside and tag.name == "tr":
                rows.append([])
            elif inside and tag.name in ("th", "td"):
                rows[-1].append(tag.text)
        assert rows, f"no table {caption!r}"
        return rows


def card(name: str = "model") -> Card:
    return Card(
        name=name,
        model={},
        input=InputSpec(96, 48, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
        n_bits=64,
        parts=(Part("global", 0, 16), Part("stripe1", 16, 40), Part("stripe2", 40, 64)),
        n_features=64,
        attributes=AttributeSchema(("hat", "bag"), ("hat", "bag"), (True, True)),
        thresholds={"attribute_probability": 0.5},
        training={"data": "drawn", "identities": 24, "recipe": {"weights": "first/weights.pt", "epochs": 3}},
        licence="Apache-2.0",
        metrics={"val_mAP": 0.75},
        notes="Knows colours.",
    )


def sides() -> tuple[Side, Side]:
    """Twelve queries of six people, and 60 gallery pictures of 10, whose features resemble each other."""
    rng = np.random.default_rng(0)
    people = rng.normal(size=(10, 64))
    found = []
    for n, n_people, camera in ((12, 6, 1), (60, 10, 2)):
        pids = np.arange(n) % n_people + 1
        features = (people[pids - 1] + rng.normal(size=(n, 64)) * 1.6).astype(np.float32)
        attributes = Codes(rng.integers(0, 256, (n, 1), dtype=np.uint8), 8)
        found.append(Side(pack(features), features, attributes, pids, np.full(n, camera)))
    return found[0], found[1]


def evaluated(query: Side, gallery: Side) -> Evaluation:
    return evaluate_model(query, gallery, [3, 6, 30])


def pictures(folder: Path, n: int) -> list[Path]:
    """Pictures of one colour each, whose names nobody should see who is not meant to."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"secret_name_{i}.png" for i in range(n)]
    for i, path in enumerate(paths):
        Image.new("RGB", (16, 32), (20 * i % 256, 90, 200)).save(path)
    return paths


def queries(paths: list[Path]) -> tuple[RankedQuery, ...]:
    parts = (PartDistance("global", 4, 16), PartDistance("stripe1", 3, 24), PartDistance("stripe2", 20, 24))
    hits = tuple(
        RankedHit(path, 10.0 + i, right, parts)
        for i, (path, right) in enumerate(zip(paths[1:], (True, False, None), strict=False))
    )
    return (RankedQuery(paths[0], "Person 7, camera 1", 0.25, hits), RankedQuery(paths[0], "Person 8", 0.5, ()))


def full_report(folder: Path) -> Report:
    """A report that has something for every section."""
    query, gallery = sides()
    evaluation = evaluated(query, gallery)
    assert evaluation.bits is not None
    pairs = count_pairs(query.main, gallery.main, Protocol(query.pids, query.camids, gallery.pids, gallery.camids))
    open_set = fit_open_set(replace(pairs, impostor=pairs.impostor * 10))
    ranked = queries(pictures(folder, 4))
    return Report(
        title="model on colours",
        card=card(),
        data="colours",
        protocol="Cameras count.",
        evaluation=evaluation,
        intervals={"mAP": bootstrap(evaluation.main.average_precision, query.pids, 200)},
        lengths=(Length(16, 0.25, 0.125), Length(32, 0.5, 0.375), Length(64, 0.75, 0.625)),
        pairs=pairs,
        promise=Promise(open_set.threshold(0.1, 60), 0.1, 60),
        reliability=tuple(
            ReliabilityCurve(n, tuple(reliability(pairs.genuine, pairs.impostor, open_set, n, rows=pairs.rows)))
            for n in (1, 100, 1000)
        ),
        verification=verify(pairs),
        identification=identify(pairs),
        afr=(AfrCurve("attribute code", 8, evaluation.afr), AfrCurve("coarse code", 8, evaluation.afr[1:])),
        worst=ranked[:1],
        best=ranked[1:],
        attributes=(AttributeRow("hat", 0.9, 0.8, 12, 70), AttributeRow("bag", 0.5, None, 0, 72)),
        bits=(BitUse("identity code", evaluation.bits, 60), BitUse("attribute code", evaluation.bits, 60)),
        record=Record(
            datetime(2026, 3, 4, 15, 30, tzinfo=UTC),
            ("bitreid", "evaluate", Path("my models/artifact"), "--data", Path("secret_people")),
            {"bitreid": "0.1.0", "numpy": "2.4"},
        ),
    )
