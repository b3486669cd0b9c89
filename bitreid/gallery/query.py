"""Queries from pictures, codes, items and descriptions; a search as it is asked for; its hits as JSON.

The command line, the HTTP service and Python programs all search through these, so that the same question has the same
answer wherever it is asked.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bitreid.arrays import Features
from bitreid.codes import Codes, concatenated, part_mask, part_sizes
from bitreid.data.manifest import UNKNOWN, Manifest
from bitreid.data.parsers.inputs import manifest_of
from bitreid.data.shards import is_codes
from bitreid.encoding.encoder import Encoder
from bitreid.encoding.files import load_encoded
from bitreid.errors import ItemNotFound, SettingsError
from bitreid.evaluation.settings import parse_rows
from bitreid.gallery.base import FPIR, HITS, Gallery
from bitreid.gallery.contract import Contract
from bitreid.gallery.filters.text import parse_filter
from bitreid.gallery.filters.types import IdIn, Not
from bitreid.gallery.ingest import LoadEncoder
from bitreid.gallery.items import GalleryItem, Hit, Hits, Id
from bitreid.gallery.people import By
from bitreid.gallery.requests import Method

_WHOLE = re.compile(r"-?(0|[1-9][0-9]{0,18})")


class Queries(NamedTuple):
    """The queries of a search: n names, codes and attribute codes (or None), and the model's fingerprint.

    `features (n, n_bits)` are floats whose signs are the codes; None where only codes are known.
    `item` is the id of the item that is the query, and is no hit itself; None for queries from elsewhere.
    `n_pictures` says of how many pictures each was made; empty where that is not known.
    """

    names: list[str]
    codes: Codes
    attribute_codes: Codes | None
    model: str
    item: Id | None = None
    features: Features | None = None
    n_pictures: tuple[int, ...] = ()


@dataclass(frozen=True)
class SearchRequest:
    """How a gallery is searched; see `Gallery.search`."""

    k: int = HITS
    """Hits of each query."""

    w: str | None = None
    """Items that stage 1 of a two-stage search keeps, such as `100`, or `1%` of those that pass the filter."""

    where: str | None = None
    """A filter's text."""

    parts: tuple[str, ...] = ()
    """The parts of the body that count; all where none is named."""

    max_distance: int | None = None
    """The largest distance of a hit, in bits; None for no limit."""

    only_certain: bool = False
    """Whether hits are left out that are not certain."""

    fpir: float = FPIR
    """Share of the searches for somebody absent that find somebody who is called certain."""

    by: By = "item"
    """What a hit is."""

    person: str | None = None
    """Whom the queries show: items that were rejected as this person are left out."""

    rescore: bool = False
    """Whether the nearest items are ordered by the queries' float features."""

    n_threads: int | None = None
    """None for `default_threads`."""

    recall: float | None = None
    """Instead of `w`: a two-stage search that keeps this share of the matches; of a clustered search the share of the
    nearest items that are found."""

    method: Method | None = None
    """The way of searching, see `Gallery.search`; None for two stages with `w` or `recall`, else an exact search."""

    def __post_init__(self) -> None:
        if self.w is not None:
            parse_rows(self.w, 1)

    @property
    def in_two_stages(self) -> bool:
        """Whether short codes are compared first."""
        return self.method == "two_stage" or (self.method is None and (self.w is not None or self.recall is not None))


def queries_of_files(inputs: Sequence[Path], load_encoder: LoadEncoder, one_person: bool = False) -> Queries:
    """Return the rows of one file or folder of codes, or pictures as queries, see `queries_of_people`."""
    if any(map(is_codes, inputs)):
        if len(inputs) > 1:
            raise SettingsError(f"expected one file of codes, or pictures, as query, got {len(inputs)} files; name one")
        found = load_encoded(inputs[0])
        names = [str(path) for path in found.paths]
        return Queries(names, found.codes, found.attribute_codes, found.model, features=found.features)
    return queries_of_people(load_encoder(), manifest_of(inputs, same_people=one_person or None), one_person)


def queries_of_people(encoder: Encoder, pictures: Manifest, one_person: bool = False) -> Queries:
    """Return a query for each person whom the pictures are known to show, named after the first picture of each.

    Pictures of whom nobody is known are one person's, and so are all with `one_person`.
    """
    pids = np.full(len(pictures), UNKNOWN) if one_person else pictures.pids
    people = dict.fromkeys(pids.tolist())
    each = [
        query_of_pictures(encoder, [path for path, own in zip(pictures.paths, pids, strict=True) if own == pid])
        for pid in people
    ]
    codes = concatenated([query.codes for query in each])
    short = [query.attribute_codes for query in each if query.attribute_codes is not None]
    attribute_codes = concatenated(short) if short else None
    features = np.concatenate([query.features for query in each if query.features is not None])
    names = [name for query in each for name in query.names]
    n_pictures = tuple(n for query in each for n in query.n_pictures)
    return Queries(names, codes, attribute_codes, each[0].model, features=features, n_pictures=n_pictures)


def query_of_pictures(encoder: Encoder, paths: Sequence[Path]) -> Queries:
    """Return pictures of one person as one query, named after the first."""
    query = encoder.merge(encoder.encode_files(paths))
    name, n_pictures = [str(paths[0])], (len(paths),)
    return Queries(name, query.codes, query.attribute_codes, encoder.model, None, query.features, n_pictures)


def query_of_item(gallery: Gallery, id: Id) -> Queries:
    """Return an item of the gallery as a query; `ItemNotFound` if it is not there."""
    (item,) = gallery.get([id])
    if item is None:
        raise ItemNotFound(f"expected the id of an item in the gallery, got {id!r}, which is not there")
    contract, short = gallery.contract, item.attribute_code
    attribute_codes = None if short is None else Codes(short[None], contract.attribute_bits)
    return Queries([str(id)], Codes(item.code[None], contract.n_bits), attribute_codes, contract.model, id)


def ids_of(gallery: Gallery, words: Sequence[str]) -> list[Id]:
    """Return the ids that words mean: of each the number, if there is such an item, else the text."""
    numbers = [int(word) if _WHOLE.fullmatch(word) and -(2**63) <= int(word) < 2**63 else word for word in words]
    found = gallery.get(numbers)
    return [word if item is None else number for word, number, item in zip(words, numbers, found, strict=True)]


def description_of(text: str) -> dict[str, float]:
    """Return the attributes that a text such as `backpack, upper_colour=red, not hat` asks for: 1, or 0 after `not`.

    >>> description_of("backpack, not hat")
    {'backpack': 1.0, 'hat': 0.0}
    """
    words = [word.strip() for word in text.split(",")]
    return {word.removeprefix("not ").strip(): float(not word.startswith("not ")) for word in words if word}


def search_queries(gallery: Gallery, queries: Queries, request: SearchRequest) -> list[Hits]:
    """Return the hits of each query; the errors of `Gallery.search`."""
    where = None if request.where is None else parse_filter(request.where, gallery.contract, gallery.camera_names)
    if queries.item is not None:
        others = Not(IdIn(frozenset([queries.item])))
        where = others if where is None else where & others
    w = None if request.w is None else parse_rows(request.w, max(gallery.count(where), 1))
    return gallery.search(
        queries.codes,
        request.k,
        w,
        where,
        request.parts,
        request.max_distance,
        only_certain=request.only_certain,
        attribute_codes=queries.attribute_codes if request.in_two_stages else None,
        features=queries.features,
        rescore=request.rescore,
        fpir=request.fpir,
        by=request.by,
        person=request.person,
        model=queries.model,
        n_threads=request.n_threads,
        recall=request.recall,
        method=request.method,
    )


def search_description(gallery: Gallery, wanted: Mapping[str, float], request: SearchRequest) -> Hits:
    """Return the hits of a description, see `Gallery.search_attributes`, which knows `k` and `where` only.

    `SettingsError` if the request says anything else.
    """
    given = [field.name for field in fields(request) if getattr(request, field.name) != field.default]
    others = [name for name in given if name not in ("k", "where")]
    if others:
        raise SettingsError(f"expected k and where at most with a description, got {others[0]}; leave it out")
    return gallery.search_attributes(wanted, request.k, request.where)


def hits_json(name: str, hits: Hits) -> dict[str, Any]:
    """Return the hits of the query of this name as JSON values; times in ISO format.

    Each says whether it is `certain`, that is within the threshold; None where nobody knows. Where the camera has a
    name, it says that, too, as `camera_name`.
    """
    found = []
    for hit in hits:
        called = hits.camera_name(hit)
        each = {
            **hit._asdict(),
            "time": None if hit.time is None else hit.time.isoformat(),
            "certain": None if hits.threshold is None else hit.distance <= hits.threshold,
        }
        found.append(each if called is None else {**each, "camera_name": called})
    numbers = {"n_gallery": hits.n_gallery, "n_visited": hits.n_visited, "threshold": hits.threshold}
    return {"query": name, **numbers, "nobody": hits.nobody, "hits": found}


def details_json(gallery: Gallery, hits: Sequence[Hits], codes: Codes | None = None) -> list[list[dict[str, Any]]]:
    """Return more about each hit of each query, as JSON values: what `item_json` gives, and `part_distances`.

    Those are the bits that differ from the query, by part of the body; None without the queries' `codes`, one a query,
    and where the codes have no parts. An item that was deleted meanwhile has no details.
    """
    ids = list(dict.fromkeys(hit.id for each in hits for hit in each))
    items = {item.id: item for item in gallery.get(ids) if item is not None}
    contract = gallery.contract
    sizes = part_sizes(contract.parts)
    masks = np.array([part_mask(contract.parts, [name]) for name in sizes]).reshape(len(sizes), -1).T

    def of(query: int, hit: Hit) -> dict[str, Any]:
        item = items.get(hit.id)
        if item is None:
            return {}
        parts: dict[str, int] | None = None
        if codes is not None and sizes:
            differ = np.unpackbits(codes.packed[query, : contract.n_bits // 8] ^ item.code).astype(np.int64)
            parts = dict(zip(sizes, (differ @ masks).tolist(), strict=True))
        return {**_more_json(item, contract), "part_distances": parts}

    return [[of(query, hit) for hit in each] for query, each in enumerate(hits)]


def item_json(gallery: Gallery, item: GalleryItem) -> dict[str, Any]:
    """Return an item as JSON values, but for its code: the time in ISO format, and what the attribute code says.

    `attributes` are the names of the attributes that it has, by group: `{"upper_colour": ["upper_colour=red"]}`. The
    picture's reference is called `source`.
    """
    return {
        "id": item.id,
        "camera": item.camera,
        "camera_name": None if item.camera is None else gallery.camera_names.get(item.camera),
        "time": None if item.time is None else item.time.isoformat(),
        "tracklet": item.tracklet,
        "person": item.person,
        **_more_json(item, gallery.contract),
    }


def group_of(attribute: str) -> str:
    """Return what an attribute is a value of: `upper_colour` of `upper_colour=red`; itself where it is yes or no."""
    return attribute.partition("=")[0]


def _more_json(item: GalleryItem, contract: Contract) -> dict[str, Any]:
    attributes: dict[str, list[str]] | None = None
    if item.attribute_code is not None:
        attributes = {}
        for name, has in zip(contract.attributes, np.unpackbits(item.attribute_code), strict=False):
            if has:
                attributes.setdefault(group_of(name), []).append(name)
    return {"attributes": attributes, "source": item.picture, "metadata": item.metadata}
