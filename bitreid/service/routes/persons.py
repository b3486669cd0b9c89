"""`/v1/persons`: decisions about who is who."""

from fastapi import APIRouter, Request

from bitreid.service.answers import errors
from bitreid.service.bodies import described, read_json
from bitreid.service.callers import Writer
from bitreid.service.schemas import DecideIn, DecideOut, MergeIn, UndoOut
from bitreid.service.service import service_of

router = APIRouter(prefix="/v1/persons", tags=["persons"])
_DECIDE = described(DecideIn, {"ids": [17, "a"], "person": "P7"})
_MERGE = described(MergeIn, {"from": "P9", "into": "P7"})


@router.post("/confirm", responses=errors(400, 403, 404, 409, 413, 415, 507), openapi_extra=_DECIDE)
async def confirm(request: Request, caller: Writer) -> DecideOut:
    """Decide that items, and all of their tracklets, show a person."""
    service, asked = service_of(request), await read_json(request, DecideIn)
    return DecideOut(items=await service.write(caller, service.gallery.confirm, asked.ids, asked.person))


@router.post("/reject", responses=errors(400, 403, 404, 409, 413, 415, 507), openapi_extra=_DECIDE)
async def reject(request: Request, caller: Writer) -> DecideOut:
    """Decide that items, and all of their tracklets, do not show a person: searches for them leave those out."""
    service, asked = service_of(request), await read_json(request, DecideIn)
    return DecideOut(items=await service.write(caller, service.gallery.reject, asked.ids, asked.person))


@router.post(
    "/merge",
    responses=errors(400, 403, 409, 413, 415, 507),
    openapi_extra=described(MergeIn, {"from": "P9", "into": "P7"}),
)
async def merge(request: Request, caller: Writer) -> DecideOut:
    """Decide that two persons are one."""
    service, asked = service_of(request), await read_json(request, MergeIn)
    return DecideOut(items=await service.write(caller, service.gallery.merge, asked.into, asked.from_))


@router.post("/undo", responses=errors(400, 403, 409, 507))
async def undo(request: Request, caller: Writer) -> UndoOut:
    """Undo the last decision, whoever made it."""
    service = service_of(request)
    return UndoOut(undone=await service.write(caller, service.gallery.undo))
