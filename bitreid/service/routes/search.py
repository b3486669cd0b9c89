"""`POST /v1/search` and `POST /v1/search/attributes`."""

import asyncio
import base64
import binascii
from typing import Any

import numpy as np
from fastapi import APIRouter, Request

from bitreid.arrays import Features
from bitreid.codes import Codes
from bitreid.encoding.encoder import Encoded
from bitreid.gallery import Contract, Hits
from bitreid.gallery.query import Queries, SearchRequest, hits_json, query_of_item, search_description
from bitreid.service.answers import Answer, errors
from bitreid.service.bodies import Sent, described, read_json, read_sent
from bitreid.service.callers import Searcher
from bitreid.service.problems import Problem
from bitreid.service.schemas import MOST_HITS, CodesIn, DescriptionIn, HitsOut, HowIn, SearchIn, SearchOut
from bitreid.service.seams import Caller
from bitreid.service.service import Service, service_of

router = APIRouter(prefix="/v1", tags=["search"])
MOST_ROWS = 10 * MOST_HITS
"""Hits of all queries of a request, at most."""


@router.post(
    "/search",
    response_model=SearchOut,
    responses=errors(400, 403, 404, 409, 413, 415),
    openapi_extra=described(SearchIn, {"id": 17, "k": 5, "where": "camera != 1"}, pictures=True),
)
async def search(request: Request, caller: Searcher) -> Answer:
    """Find a person: by pictures of them (all of one person), by codes, or by an item that is in the gallery."""
    service, sent = service_of(request), await read_sent(request, SearchIn)
    asked = sent.body
    queries, attributes = await _queries(service, caller, sent)
    if len(queries.names) * asked.k > MOST_ROWS:
        message = f"expected at most {MOST_ROWS} hits in all, got {len(queries.names)} queries of {asked.k}; ask less"
        raise Problem(400, "bad_request", message, "k")
    found = await service.search(caller, queries, _request_of(asked, service))
    answers = [hits_json(name, hits) for name, hits in zip(queries.names, found, strict=True)]
    if attributes is not None:
        answers[0]["attributes"] = attributes
    return Answer({"queries": answers})


@router.post(
    "/search/attributes",
    response_model=HitsOut,
    responses=errors(400, 403, 413, 415),
    openapi_extra=described(DescriptionIn, {"wanted": {"backpack": 1, "hat": 0}, "k": 5}),
)
async def search_attributes(request: Request, caller: Searcher) -> Answer:
    """Find who looks like a description, without a picture."""
    service, asked = service_of(request), await read_json(request, DescriptionIn)

    def work() -> Hits:
        with service.metrics.timed("search"):
            return search_description(service.gallery, asked.wanted, SearchRequest(asked.k, where=asked.where))

    return Answer(hits_json("description", await service.call(caller, work)))


def _request_of(asked: HowIn, service: Service) -> SearchRequest:
    return SearchRequest(
        asked.k,
        None if asked.w is None else str(asked.w),
        asked.where,
        tuple(asked.parts),
        asked.max_distance,
        asked.only_certain,
        asked.fpir,
        asked.by,
        asked.person,
        asked.rescore,
        service.settings.threads,
        asked.recall,
    )


async def _queries(service: Service, caller: Caller, sent: Sent[SearchIn]) -> tuple[Queries, dict[str, float] | None]:
    """Return the queries that a request asks for, and of pictures the probabilities of attributes."""
    asked = sent.body
    n_asked = bool(sent.pictures) + (asked.codes is not None) + (asked.id is not None)
    if n_asked != 1:
        raise Problem(
            400, "bad_request", f"expected one of pictures, codes and id to search for, got {n_asked} of them"
        )
    if asked.box is not None and not sent.pictures:
        raise Problem(400, "bad_request", "expected pictures with a box, got none; leave box out", "box")
    if asked.codes is not None:
        return codes_of(asked.codes, service.gallery.contract), None
    if asked.id is not None:
        return await service.call(caller, query_of_item, service.gallery, asked.id), None
    decoded = await asyncio.gather(
        *(service.pixels_of(content, asked.box if i == 0 else None) for i, (_, content) in enumerate(sent.pictures))
    )
    encoder = service.encoder
    merged = encoder.merge(await service.encode(np.stack([small for _, small in decoded]), asked.flip))
    queries = Queries(
        [sent.pictures[0][0]], merged.codes, merged.attribute_codes, encoder.model, features=merged.features
    )
    return queries, attributes_of(merged, service)[0]


def attributes_of(encoded: Encoded, service: Service) -> list[dict[str, float] | None]:
    """Return the probabilities of attributes of each picture, by name; None for a model without attributes."""
    schema = service.encoder.card.attributes
    if encoded.attributes is None or schema is None:
        return [None] * len(encoded)
    return [
        dict(zip(schema.names, row, strict=True)) for row in encoded.attributes.astype(np.float64).round(4).tolist()
    ]


def codes_of(given: CodesIn, contract: Contract) -> Queries:
    """Return codes that a client sent as queries; a `Problem` or an error of codes for what is none."""
    n_bits = given.n_bits or contract.n_bits
    codes = Codes(_rows(given.codes, n_bits // 8, "codes.codes"), n_bits)
    short: Codes | None = None
    if given.attribute_codes is not None:
        width = max(contract.attribute_bits // 8, 1)
        short = Codes(_rows(given.attribute_codes, width, "codes.attribute_codes"), 8 * width)
    contract.check(contract.cut(codes, given.model), short, given.model)
    features: Features | None = None
    if given.features is not None:
        features = _rows(given.features, 4 * n_bits, "codes.features").view("<f4")
        if not np.isfinite(features).all():
            raise Problem(400, "bad_request", "expected finite features, got NaN or infinity", "codes.features")
    for name, other in (("attribute_codes", short), ("features", features)):
        if other is not None and len(other) != len(codes):
            message = f"expected {name} for each of {len(codes)} codes, got {len(other)}"
            raise Problem(400, "bad_request", message, f"codes.{name}")
    return Queries([str(i) for i in range(len(codes))], codes, short, given.model, features=features)


def _rows(text: str, width: int, where: str) -> Any:
    """Return the bytes `(n, width)` of base64."""
    try:
        content = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise Problem(400, "bad_request", f"expected base64, got: {str(error).lower()}", where) from None
    if not content or len(content) % width:
        message = f"expected rows of {width} bytes, one at least, got {len(content)} bytes"
        raise Problem(400, "bad_request", message, where)
    return np.frombuffer(content, np.uint8).reshape(-1, width)
