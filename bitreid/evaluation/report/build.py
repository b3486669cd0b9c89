"""Making a report from an evaluation: everything that `bitreid evaluate` found."""

import importlib.metadata
import platform
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np

import bitreid
from bitreid.arrays import Floats, Ints
from bitreid.artifact import Card
from bitreid.codes import bit_statistics, part_mask, part_sizes, unpack
from bitreid.data.attributes import AttributeSchema, AttributeTable
from bitreid.data.labels import read_attributes_as
from bitreid.errors import DataError, DataWarning
from bitreid.evaluation.calibration.promises import reliability
from bitreid.evaluation.confidence import Interval, bootstrap_columns
from bitreid.evaluation.open_set_metrics import PairCounts, count_pairs, identify, verify
from bitreid.evaluation.protocol import Protocol, ProtocolSettings
from bitreid.evaluation.ranking import MARKET1501, evaluate_lengths
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
from bitreid.evaluation.sheets import nearest_of_query
from bitreid.evaluation.side import Side, labels_of
from bitreid.evaluation.summary import Evaluation

_LABELS = ("attributes_test.csv", "market_attribute.mat", "duke_attribute.mat")
_SHORTEST = 32  # bits of the shortest code that a nested one is scored at
_N_EXTREME = 4
_SEARCHED = (1, 100, 1000)  # rows of the galleries whose probabilities are looked at
_K = 10


def report_of(
    title: str,
    card: Card | None,
    query: Side,
    gallery: Side,
    evaluation: Evaluation,
    data: str,
    *,
    command: Sequence[str | Path] = (),
    labels: AttributeTable | None = None,
    fpir: float = 0.01,
    protocol: ProtocolSettings = MARKET1501,
    memory_mb: float = 512,
    pictures: bool = True,
) -> Report:
    """Return the report of an `evaluation` of the `query` and `gallery` pictures of the set named `data`.

    The sides are those that were evaluated: merged, if the protocol merges pictures. `card` is the model's, or None for
    features that another program made; its calibration gives the threshold for the rate `fpir`. `labels` are the
    attributes of the people, as bits of the card's schema. Ranked queries are shown if the pictures' files are known
    and the protocol is one of the whole gallery.
    """
    people = labels_of(query, gallery, protocol.cameras)
    pairs = _pairs(query, gallery, people)
    ranked = bool(query.paths and gallery.paths and not protocol.single_shots)
    order = _by_precision(evaluation.main.average_precision) if ranked else np.zeros(0, np.int64)
    n_extreme = min(_N_EXTREME, (len(order) + 1) // 2)
    return Report(
        title=title,
        card=card,
        data=data,
        protocol=protocol_words(protocol),
        evaluation=evaluation,
        intervals=_intervals(query, evaluation),
        lengths=_lengths(card, query, gallery, evaluation, protocol, memory_mb),
        pairs=pairs,
        promise=_promise(card, fpir, gallery),
        reliability=_reliability(card, pairs, query, gallery),
        verification=None if pairs is None else verify(pairs),
        identification=None if pairs is None else identify(pairs),
        afr=_afr_curves(card, gallery, evaluation),
        worst=_ranked(query, gallery, people, evaluation, order[:n_extreme]),
        best=_ranked(query, gallery, people, evaluation, order[n_extreme:][::-1][:n_extreme]),
        attributes=() if labels is None or card is None else attribute_rows(query, gallery, labels, card.attributes),
        bits=_bits(card, gallery, evaluation),
        record=Record(datetime.now().astimezone(), tuple(command), _versions()),
        pictures=pictures,
    )


def labels_beside(data: Path, schema: AttributeSchema | None) -> AttributeTable | None:
    """Read the attributes of the test people from a data set's folder (or beside its table), as bits of the schema.

    None without a schema or such a file; also, with a `DataWarning`, if the file has other fields than the schema, as
    when a model is scored on another data set than it was trained on.
    """
    folder = data if data.is_dir() else data.parent
    path = next((folder / name for name in _LABELS if (folder / name).is_file()), None)
    if schema is None or path is None:
        return None
    try:
        return read_attributes_as(path, schema)
    except DataError as error:
        warnings.warn(f"attributes are not scored: {error}", DataWarning, stacklevel=2)
        return None


def protocol_words(protocol: ProtocolSettings) -> str:
    """Return a sentence that says what a protocol counts."""
    words = ["A gallery picture is right if it shows the query\u2019s person"]
    if protocol.cameras:
        words = [
            "A gallery picture is right if it shows the query\u2019s person from another camera; pictures of the "
            "person from the query\u2019s own camera are left out"
        ]
    words.append("junk pictures and pictures of unknown people are left out")
    if protocol.merge_queries:
        words.append("the queries of one person and camera are one query")
    if protocol.merge_tracklets:
        words.append("the pictures of one tracklet are one item")
    if protocol.single_shots:
        words.append(f"the gallery holds one random picture of each person, drawn {protocol.single_shots:,} times")
    return "; ".join(words) + "."


def attribute_rows(
    query: Side, gallery: Side, labels: AttributeTable, schema: AttributeSchema | None
) -> tuple[AttributeRow, ...]:
    """Return how well each bit of the attribute code is recognised in the pictures of both sides whose label is known.

    Attributes that no picture has a label for are left out; there are none without attribute codes.
    """
    if query.attribute_codes is None or gallery.attribute_codes is None or schema is None:
        return ()
    in_code = np.flatnonzero(schema.in_code)
    told = np.concatenate([unpack(query.attribute_codes), unpack(gallery.attribute_codes)])[:, : len(in_code)]
    known = labels.labels_of(np.concatenate([query.pids, gallery.pids]))[:, in_code]
    rows = []
    for bit, label, name in zip(told.T, known.T, (schema.names[i] for i in in_code), strict=True):
        kinds = [bit[label == value] == value for value in (0, 1)]  # whether each was told right
        n_labelled = sum(map(len, kinds))
        if n_labelled:
            accuracy = float(np.concatenate(kinds).mean())
            balanced = float(np.mean([kind.mean() for kind in kinds])) if all(map(len, kinds)) else None
            rows.append(AttributeRow(name, accuracy, balanced, len(kinds[1]), n_labelled))
    return tuple(rows)


def _pairs(query: Side, gallery: Side, people: Protocol) -> PairCounts | None:
    try:
        return count_pairs(query.main, gallery.main, people)
    except DataError:  # no pair of different people: nothing to tell apart
        return None


def _reliability(
    card: Card | None, pairs: PairCounts | None, query: Side, gallery: Side
) -> tuple[ReliabilityCurve, ...]:
    """Return how well the model's probabilities are kept; nothing without codes, or a calibration of their length."""
    if card is None or pairs is None or query.codes is None or gallery.codes is None:
        return ()
    open_set = card.open_set_of(gallery.codes.n_bits)
    return (
        ()
        if open_set is None
        else tuple(
            ReliabilityCurve(n, tuple(reliability(pairs.genuine, pairs.impostor, open_set, n, rows=pairs.rows)))
            for n in _SEARCHED
        )
    )


def _by_precision(average_precision: Floats) -> Ints:
    """Return the queries that have a match, the worst first; equal ones in their own order."""
    order = np.argsort(average_precision, kind="stable")
    return order[: int((~np.isnan(average_precision)).sum())]


def _intervals(query: Side, evaluation: Evaluation) -> Mapping[str, Interval]:
    main = evaluation.main
    scores = {"rank1": main.first_right, "mAP": main.average_precision, "mINP": main.inverse_penalty}
    return dict(zip(scores, bootstrap_columns(np.column_stack(list(scores.values())), query.pids), strict=True))


def _lengths(
    card: Card | None,
    query: Side,
    gallery: Side,
    evaluation: Evaluation,
    protocol: ProtocolSettings,
    memory_mb: float,
) -> tuple[Length, ...]:
    """Return the scores of the evaluation's prefixes and of the whole, if the card names lengths.

    Else scores of shorter codes, each twice as long as the one before, with an equal share of every part.
    """
    if query.codes is None or gallery.codes is None:
        return ()
    if card is not None and card.lengths:
        scores = {**evaluation.lengths, str(evaluation.n_bits): evaluation.main.expected}
        return tuple(Length(int(n), each.rank1, each.mAP) for n, each in scores.items()) if len(scores) > 1 else ()
    lengths = [query.codes.n_bits]
    while lengths[0] // 2 >= _SHORTEST and lengths[0] % 16 == 0:
        lengths.insert(0, lengths[0] // 2)
    if len(lengths) < 2:
        return ()
    people = (query.pids, query.camids, gallery.pids, gallery.camids)
    sides = query.codes.interleaved(), gallery.codes.interleaved()
    metrics = evaluate_lengths(*sides, *people, lengths, protocol=protocol.after_merging(), memory_mb=memory_mb)
    return tuple(Length(n, metrics[n].expected.rank1, metrics[n].expected.mAP) for n in lengths)


def _promise(card: Card | None, fpir: float, gallery: Side) -> Promise | None:
    open_set = None if card is None or gallery.codes is None else card.open_set_of(gallery.codes.n_bits)
    return None if open_set is None else Promise(open_set.threshold(fpir, len(gallery)), fpir, len(gallery))


def _afr_curves(card: Card | None, gallery: Side, evaluation: Evaluation) -> tuple[AfrCurve, ...]:
    n_attribute_bits = 0 if gallery.attribute_codes is None else gallery.attribute_codes.n_bits
    kinds = (
        ("attribute code", n_attribute_bits, evaluation.afr),
        ("coarse code", 0 if card is None or card.coarse is None else card.coarse.n_bits, evaluation.coarse_afr),
    )
    return tuple(
        AfrCurve(name, n_bits, tuple(sorted(metrics, key=lambda each: each.w)))
        for name, n_bits, metrics in kinds
        if metrics
    )


def _ranked(
    query: Side,
    gallery: Side,
    people: Protocol,
    evaluation: Evaluation,
    which: Ints,
) -> tuple[RankedQuery, ...]:
    found = []
    for i in which.tolist():
        rows, distances, right = nearest_of_query(query, gallery, people, i, _K)
        hits = [
            RankedHit(gallery.paths[row], float(distance), bool(is_right), of_parts)
            for row, distance, is_right, of_parts in zip(
                rows, distances, right, _parts(query, gallery, i, rows), strict=True
            )
        ]
        label = (
            f"Person {query.pids[i]}, camera {query.camids[i]}" if query.camids[i] >= 0 else f"Person {query.pids[i]}"
        )
        precision = float(evaluation.main.average_precision[i])
        found.append(RankedQuery(query.paths[i], label, precision, tuple(hits)))
    return tuple(found)


def _parts(query: Side, gallery: Side, i: int, rows: Ints) -> list[tuple[PartDistance, ...]]:
    """Return the distances of each part of query `i` to some gallery rows; none without parts."""
    if query.codes is None or gallery.codes is None:
        return [()] * len(rows)
    differ = unpack(query.codes[i : i + 1]) != unpack(gallery.codes[rows])
    parts = query.codes.parts
    masks = {name: part_mask(parts, (name,)) for name in part_sizes(parts)}
    return [
        tuple(PartDistance(name, int(bits[mask].sum()), int(mask.sum())) for name, mask in masks.items())
        for bits in differ
    ]


def _bits(card: Card | None, gallery: Side, evaluation: Evaluation) -> tuple[BitUse, ...]:
    uses = [] if evaluation.bits is None else [BitUse("identity code", evaluation.bits, len(gallery))]
    if gallery.attribute_codes is not None and card is not None and card.attributes is not None:
        # The zeros that fill the last byte are no bits.
        statistics = bit_statistics(gallery.attribute_codes)
        statistics = replace(statistics, balance=statistics.balance[: card.attributes.n_code_bits])
        uses.append(BitUse("attribute code", statistics, len(gallery)))
    return tuple(uses)


def _versions() -> dict[str, str]:
    """Return the versions of the packages that compute the scores, as far as they are installed."""
    versions = {"bitreid": bitreid.__version__, "python": platform.python_version()}
    for name in ("numpy", "pillow", "torch"):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions
