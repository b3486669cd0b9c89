"""`POST /v1/search` and `POST /v1/search/attributes`."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from fastapi import APIRouter, Request

from bitreid.codes import Codes
from bitreid.gallery import Hits
from bitreid.gallery.query import (
    Queries,
    SearchRequest,
    details_json,
    hits_json,
    query_of_item,
    search_description,
)
from bitreid.service.answers import Answer, errors, with_pictures
from bitreid.service.bodies import Parts, described, read_json, read_parts
from bitreid.service.callers import Searcher
from bitreid.service.packing import attributes_of, unpacked
from bitreid.service.problems import Problem
from bitreid.service.schemas import MOST_HITS, DescriptionIn, HitsOut, HowIn, SearchIn, SearchOut
from bitreid.service.seams import Caller
from bitreid.service.service import PICTURES_TOGETHER, Searched, Service, all_read, service_of

router = APIRouter(prefix="/v1", tags=["search"])
MOST_ROWS = 10 * MOST_HITS
"""Hits of all queries of a request, at most."""


@router.post(
    "/search",
    response_model=SearchOut,
    responses=errors(400, 403, 404, 409, 413, 415),
    openapi_extra=described(SearchIn, {"id": 17, "k": 5, "where": "camera != 1"}, pictures=PICTURES_TOGETHER),
)
async def search(request: Request, caller: Searcher) -> Answer:
    """Find a person: by pictures of them (all of one person), by codes, or by an item that is in the gallery."""
    service, sent = service_of(request), await read_parts(request, SearchIn, PICTURES_TOGETHER)
    asked = sent.body
    queries, attributes = await _queries(service, caller, sent)
    if len(queries.names) * asked.k > MOST_ROWS:
        message = f"expected at most {MOST_ROWS} hits in all, got {len(queries.names)} queries of {asked.k}; ask less"
        raise Problem(400, "bad_request", message, "k")
    searched = await service.search(caller, queries, _request_of(asked, service))
    details = asked.codes is None if asked.details is None else asked.details
    codes = queries.codes if details else None
    answers = await answers_of(service, caller, queries.names, searched, codes, details)
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

    found = await service.call(caller, work)
    (answer,) = await answers_of(service, caller, ["description"], Searched([found], []), None, details=True)
    return Answer(answer)


async def answers_of(
    service: Service, caller: Caller, names: Sequence[str], searched: Searched, codes: Codes | None, details: bool
) -> list[dict[str, Any]]:
    """Return the hits of queries of these names as JSON values, with `details` as `details_json` gives them."""
    found = searched.hits
    answers = [{**hits_json(name, hits), "unmet": searched.unmet} for name, hits in zip(names, found, strict=True)]
    if details:

        def work() -> list[list[dict[str, Any]]]:
            more = details_json(service.gallery, found, codes)
            with_pictures(service.pictures, [hit for answer in answers for hit in answer["hits"]])
            return more

        for answer, more in zip(answers, await service.call(caller, work), strict=True):
            for hit, each in zip(answer["hits"], more, strict=True):
                hit |= each
    return answers


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
        asked.method,
    )


async def _queries(service: Service, caller: Caller, sent: Parts[SearchIn]) -> tuple[Queries, dict[str, float] | None]:
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
        return unpacked(asked.codes, service.gallery.contract), None
    if asked.id is not None:
        return await service.call(caller, query_of_item, service.gallery, asked.id), None
    pixels = [all_read(each).pixels for each in await service.decoded(sent.pictures, asked.box)]
    encoder = service.encoder
    merged = encoder.merge(await service.encode(np.stack(pixels), asked.flip))
    name, short = sent.pictures[0].name, merged.attribute_codes
    queries = Queries([name], merged.codes, short, encoder.model, features=merged.features)
    return queries, attributes_of(merged, encoder.card.attributes)[0]
