"""What a report is made of: the scores, the hits and the labels of encoded pictures."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitreid.artifact import Calibration, Card
from bitreid.coarse import CoarseCode
from bitreid.codes import Codes, Part, pack, pack_bits, unpack
from bitreid.data.attributes import AttributeSchema, AttributeTable
from bitreid.data.manifest import DISTRACTOR, JUNK, UNKNOWN
from bitreid.errors import DataWarning
from bitreid.evaluation import PROTOCOLS, evaluate_ranking
from bitreid.evaluation.calibration.promises import reliability
from bitreid.evaluation.report import Report
from bitreid.evaluation.report.build import attribute_rows, labels_beside, protocol_words, report_of
from bitreid.evaluation.side import Side, merged
from bitreid.evaluation.summary import Evaluation, evaluate_model
from bitreid.open_set import OpenSet
from tests.evaluation.report.cases import card
from tests.reference.report import attribute_scores

SCHEMA = AttributeSchema(("hat", "bag", "rare"), ("hat", "bag", "rare"), (True, True, False))


def encoded(pids: list[int], camera: int, seed: int) -> Side:
    rng = np.random.default_rng(seed)
    people = np.random.default_rng(9).normal(size=(20, 64))
    features = (people[np.array(pids) % 20] + rng.normal(size=(len(pids), 64)) * 1.5).astype(np.float32)
    return Side(
        pack(features, card().parts),
        features,
        pack_bits(rng.integers(0, 2, (len(pids), 2)) == 1),
        np.array(pids, np.int64),
        np.full(len(pids), camera),
        paths=tuple(Path(f"{camera}_{i}.jpg") for i in range(len(pids))),
    )


def codes_of(side: Side) -> Codes:
    assert side.codes is not None
    return side.codes


@pytest.fixture
def query() -> Side:
    return encoded([1, 2, 3, 4, 5, 6, 1, 2, UNKNOWN, DISTRACTOR, JUNK, 19], 1, 0)


@pytest.fixture
def gallery() -> Side:
    return encoded([1, 2, 3, 4, 5, 6, 7, 8, 9] * 5 + [JUNK, DISTRACTOR, UNKNOWN], 2, 1)


def evaluated(query: Side, gallery: Side) -> Evaluation:
    return evaluate_model(query, gallery, [24, 6])


def made(query: Side, gallery: Side, model: Card | None = None) -> Report:
    evaluation = evaluated(query, gallery)
    return report_of("A title", model or card(), query, gallery, evaluation, "people", command=("bitreid",))


def test_the_report_has_the_scores_of_the_evaluation(query: Side, gallery: Side) -> None:
    report = made(query, gallery)
    evaluation = report.evaluation
    assert evaluation is not None
    assert (report.title, report.data) == ("A title", "people")
    expected = evaluation.main.expected
    assert {name: each.mean for name, each in report.intervals.items()} == {
        "rank1": pytest.approx(expected.rank1),
        "mAP": pytest.approx(expected.mAP),
        "mINP": pytest.approx(expected.mINP),
    }
    assert {each.n_queries for each in report.intervals.values()} == {8}
    assert [each.w for each in report.afr[0].metrics] == [6, 24]
    assert report.identification is not None
    assert report.identification.n_gallery == 48
    assert [(use.name, len(use.statistics.balance)) for use in report.bits] == [
        ("identity code", 64),
        ("attribute code", 2),
    ]
    assert report.record is not None
    assert {"bitreid", "python", "numpy"} <= set(report.record.versions)


def test_two_stage_search_by_coarse_code_is_a_curve_of_its_own(query: Side, gallery: Side) -> None:
    coarse = CoarseCode((0,), tuple(range(15)), ((0.5, 0.1),))
    evaluation = evaluate_model(query, gallery, [24, 6], coarse=coarse)
    report = report_of("A title", replace(card(), coarse=coarse), query, gallery, evaluation, "people")
    assert [(curve.name, curve.n_bits) for curve in report.afr] == [("attribute code", 8), ("coarse code", 16)]
    assert [each.w for each in report.afr[1].metrics] == [6, 24]
    assert report.afr[1].metrics[1] == evaluation.coarse_afr[0]
    assert [curve.name for curve in made(query, gallery).afr] == ["attribute code"]


def test_worst_and_best_queries_are_told_apart(query: Side, gallery: Side) -> None:
    report = made(query, gallery)
    assert report.evaluation is not None
    scored = np.sort(report.evaluation.main.average_precision[:8])
    assert [each.average_precision for each in report.worst] == scored[:4].tolist()
    assert [each.average_precision for each in report.best] == scored[:3:-1].tolist()
    for each in (*report.worst, *report.best):
        i = query.paths.index(each.path)
        assert each.label == f"Person {query.pids[i]}, camera 1"
        assert len(each.hits) == 10
        assert [hit.distance for hit in each.hits] == sorted(hit.distance for hit in each.hits)
        for hit in each.hits:
            row = gallery.paths.index(hit.path)
            differ = unpack(codes_of(query)[i : i + 1])[0] != unpack(codes_of(gallery)[row : row + 1])[0]
            assert gallery.pids[row] >= DISTRACTOR, "junk and unknown people are left out"
            assert hit.right == (gallery.pids[row] == query.pids[i])
            assert sum(part.distance for part in hit.parts) == hit.distance == differ.sum()
            assert [part.distance for part in hit.parts] == [
                differ[a:b].sum() for a, b in ((0, 16), (16, 40), (40, 64))
            ]


def test_one_query_is_the_worst_and_no_other(gallery: Side) -> None:
    report = made(encoded([3], UNKNOWN, 5), gallery)
    assert (len(report.worst), len(report.best)) == (1, 0)
    assert report.worst[0].label == "Person 3"


def test_shorter_codes_have_a_share_of_every_part(query: Side, gallery: Side) -> None:
    lengths = made(query, gallery).lengths
    assert [each.n_bits for each in lengths] == [32, 64]
    people = (query.pids, query.camids, gallery.pids, gallery.camids)
    short = [codes_of(side).interleaved().prefix(32) for side in (query, gallery)]
    scores = evaluate_ranking(short[0], short[1], *people).expected
    assert (lengths[0].rank1, lengths[0].mAP) == pytest.approx((scores.rank1, scores.mAP))


def test_a_nested_code_is_cut_at_the_lengths_of_its_card(query: Side, gallery: Side) -> None:
    parts = (Part("summary", 0, 16), Part("global", 16, 24), Part("stripe1", 24, 40), Part("global", 40, 64))
    sides = [replace(side, codes=replace(codes_of(side), parts=parts)) for side in (query, gallery)]
    open_set = OpenSet(0.2, -6.0, -0.3, 4.0)
    fitted = Calibration(open_set, 60, 500, {"48": replace(open_set, tail_offset=-5.0)})
    nested = replace(card(), parts=parts, lengths={"16": {}, "48": {}}, calibration=fitted)

    def made_of(n_bits: int) -> Report:
        cut = [replace(side, codes=codes_of(side).prefix(n_bits)) for side in sides]
        shorter = [n for n in nested.code_lengths if n < n_bits]
        evaluation = evaluate_model(cut[0], cut[1], [24, 6], lengths=shorter)
        return report_of("", nested, cut[0], cut[1], evaluation, "people", fpir=0.05)

    people = (query.pids, query.camids, gallery.pids, gallery.camids)
    lengths = made_of(64).lengths
    assert [each.n_bits for each in lengths] == [16, 48, 64]
    for length in lengths:
        short = [codes_of(side).prefix(length.n_bits) for side in sides]
        assert length.mAP == pytest.approx(evaluate_ranking(short[0], short[1], *people).expected.mAP)
    assert [each.n_bits for each in made_of(48).lengths] == [16, 48]
    assert made_of(16).lengths == ()
    promises = [made_of(n_bits).promise for n_bits in (16, 48, 64)]
    thresholds = [None if promise is None else promise.threshold for promise in promises]
    assert thresholds == [None, fitted.lengths["48"].threshold(0.05, 48), open_set.threshold(0.05, 48)]
    assert made_of(16).reliability == ()
    shorter = made_of(48)
    assert shorter.pairs is not None
    counts = shorter.pairs.genuine, shorter.pairs.impostor
    assert list(shorter.reliability[1].bins) == reliability(*counts, fitted.lengths["48"], 100, rows=shorter.pairs.rows)

    (hit, *_) = made_of(48).worst[0].hits
    i, j = (int(path.stem.split("_")[1]) for path in (made_of(48).worst[0].path, hit.path))
    differ = [unpack(codes_of(side))[row] for side, row in zip(sides, (i, j), strict=True)]
    wrong = differ[0] != differ[1]
    assert [(part.name, part.distance, part.n_bits) for part in hit.parts] == [
        ("summary", wrong[:16].sum(), 16),
        ("global", wrong[16:24].sum() + wrong[40:48].sum(), 16),
        ("stripe1", wrong[24:40].sum(), 16),
    ]


def test_a_calibration_gives_the_promise(query: Side, gallery: Side) -> None:
    open_set = OpenSet(0.2, -6.0, -0.3, 4.0)
    calibrated = replace(card(), calibration=Calibration(open_set, 60, 500))
    report = report_of("", calibrated, query, gallery, evaluated(query, gallery), "people", fpir=0.05)
    assert report.promise is not None
    assert (report.promise.fpir, report.promise.n_gallery) == (0.05, 48)
    assert report.promise.threshold == open_set.threshold(0.05, 48)
    assert report.pairs is not None
    counts = report.pairs.genuine, report.pairs.impostor
    assert [(each.n_gallery, list(each.bins)) for each in report.reliability] == [
        (n, reliability(*counts, open_set, n, rows=report.pairs.rows)) for n in (1, 100, 1000)
    ]
    assert made(query, gallery).reliability == ()
    assert made(query, gallery).promise is None


def test_features_of_others_have_a_report_too(query: Side, gallery: Side) -> None:
    sides = (replace(query, codes=None, paths=()), replace(gallery, codes=None, paths=()))
    report = report_of("", None, *sides, evaluate_model(*sides, []), "people")
    assert (report.lengths, report.promise, report.bits, report.worst, report.afr) == ((), None, (), (), ())
    assert report.evaluation is not None
    assert report.intervals["mAP"].mean == pytest.approx(report.evaluation.main.expected.mAP)
    assert report.pairs is not None
    assert report.pairs.unit < 1


def test_only_one_person_leaves_nothing_to_tell_apart() -> None:
    report = made(encoded([1], 1, 0), encoded([1, 1], 2, 1))
    assert (report.pairs, report.verification, report.identification) == (None, None, None)
    assert report.intervals["mAP"].n_identities == 1


def test_merged_queries_are_told_as_one(query: Side, gallery: Side) -> None:
    protocol = PROTOCOLS["multi_query"]
    sides = merged(query, gallery, protocol)
    evaluation = evaluate_model(*sides, [], protocol.after_merging())
    report = report_of("", card(), *sides, evaluation, "people", protocol=protocol)
    assert report.intervals["mAP"].n_queries == 6
    assert "the queries of one person and camera are one query" in report.protocol
    assert {each.path for each in (*report.worst, *report.best)} <= set(query.paths)


def test_single_shots_show_no_ranked_queries(query: Side, gallery: Side) -> None:
    protocol = PROTOCOLS["single_shot"]
    report = report_of("", card(), query, gallery, evaluate_model(query, gallery, [], protocol), "x", protocol=protocol)
    assert (report.worst, report.best) == ((), ())
    assert set(report.intervals) == {"rank1", "mAP", "mINP"}


def test_protocols_are_said_in_words() -> None:
    assert "from another camera" in protocol_words(PROTOCOLS["market1501"])
    assert "camera" not in protocol_words(PROTOCOLS["no_cameras"])
    assert "drawn 100 times" in protocol_words(PROTOCOLS["single_shot"])
    assert "one tracklet" in protocol_words(PROTOCOLS["tracklets"])


# Attributes

labels_of_bits = st.lists(st.tuples(*[st.sampled_from([0, 1, -1])] * 3), min_size=6, max_size=6)


@given(labels_of_bits, st.integers(0, 99))
def test_attributes_are_scored_as_one_counts_them(labels: list[tuple[int, ...]], seed: int) -> None:
    query, gallery = encoded([1, 2, 3], 1, seed), encoded([1, 4, 5, 6, 6, JUNK, 7], 2, seed + 1)
    table = AttributeTable(SCHEMA, np.arange(1, 7), np.array(labels, np.int8))
    rows = {row.name: row for row in attribute_rows(query, gallery, table, SCHEMA)}
    assert "rare" not in rows, "a bit that is not in the code is not told"
    assert query.attribute_codes is not None
    assert gallery.attribute_codes is not None
    told = [*unpack(query.attribute_codes).tolist(), *unpack(gallery.attribute_codes).tolist()]
    for bit, name in enumerate(("hat", "bag")):
        wanted = [labels[pid - 1][bit] if pid in range(1, 7) else -1 for pid in (*query.pids, *gallery.pids)]
        if set(wanted) == {-1}:
            assert name not in rows
            continue
        row = rows[name]
        scores = attribute_scores([int(each[bit]) for each in told], wanted)
        assert (row.positives, row.labelled) == scores[2:]
        assert row.accuracy == pytest.approx(scores[0])
        assert row.balanced == (None if scores[1] is None else pytest.approx(scores[1]))


def test_without_attribute_codes_there_are_no_rows(query: Side, gallery: Side) -> None:
    table = AttributeTable(SCHEMA, np.arange(1, 7), np.ones((6, 3), np.int8))
    assert attribute_rows(replace(query, attribute_codes=None), gallery, table, SCHEMA) == ()
    assert attribute_rows(query, gallery, table, None) == ()


def test_labels_lie_beside_the_data(tmp_path: Path) -> None:
    (tmp_path / "people.csv").touch()
    assert labels_beside(tmp_path, SCHEMA) is None
    (tmp_path / "attributes_test.csv").write_text("pid,hat,bag,rare\n3,1,0,?\n", encoding="utf-8")
    for data in (tmp_path, tmp_path / "people.csv"):
        table = labels_beside(data, SCHEMA)
        assert table is not None
        assert (table.pids.tolist(), table.labels.tolist()) == ([3], [[1, 0, -1]])
    assert labels_beside(tmp_path, None) is None


def test_labels_of_another_schema_are_not_scored(tmp_path: Path) -> None:
    (tmp_path / "attributes_test.csv").write_text("pid,scarf\n3,1\n", encoding="utf-8")
    with pytest.warns(DataWarning, match="attributes are not scored: expected the attribute fields of the schema"):
        assert labels_beside(tmp_path, SCHEMA) is None
