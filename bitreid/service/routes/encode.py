"""`POST /v1/encode`."""

import numpy as np
from fastapi import APIRouter, Request

from bitreid.service.answers import Answer, errors
from bitreid.service.bodies import described, read_parts
from bitreid.service.callers import Searcher
from bitreid.service.packing import attributes_of, packed
from bitreid.service.problems import Problem
from bitreid.service.schemas import EncodeIn, EncodeOut
from bitreid.service.service import PICTURES_TOGETHER, all_read, service_of

router = APIRouter(prefix="/v1", tags=["search"])


@router.post(
    "/encode",
    response_model=EncodeOut,
    responses=errors(400, 403, 413, 415),
    openapi_extra=described(EncodeIn, pictures=PICTURES_TOGETHER, json=False),
)
async def encode(request: Request, caller: Searcher) -> Answer:
    """Return the codes of pictures, which searches and additions take instead of the pictures."""
    service, sent = service_of(request), await read_parts(request, EncodeIn, PICTURES_TOGETHER)
    if not sent.pictures:
        raise Problem(
            400, "bad_request", "expected pictures to encode, got none; send them as parts `picture`", "picture"
        )
    pixels = [all_read(each).pixels for each in await service.decoded(sent.pictures)]
    encoded = await service.encode(np.stack(pixels), sent.body.flip)
    encoded = service.encoder.merge(encoded) if sent.body.merge else encoded
    codes = packed(
        encoded.codes, encoded.attribute_codes, service.encoder.model, encoded.features if sent.body.features else None
    )
    return Answer({"codes": codes.model_dump(), "attributes": attributes_of(encoded, service.encoder.card.attributes)})
