"""`/v1/items`: adding, looking, listing and deleting."""

import uuid
from collections.abc import Sequence
from contextlib import closing
from itertools import islice
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from bitreid.codes import Codes
from bitreid.errors import ItemNotFound, PictureError
from bitreid.gallery import Gallery, Items
from bitreid.gallery.cameras import numbered
from bitreid.gallery.items import Id, key_of
from bitreid.gallery.query import item_json
from bitreid.service.answers import Answer, errors, with_pictures
from bitreid.service.bodies import Parts, described, read_json, read_parts
from bitreid.service.callers import Searcher, Writer, check_scope
from bitreid.service.decoding import Decoded
from bitreid.service.packing import unpacked
from bitreid.service.paths import id_of
from bitreid.service.problems import Problem, problem_of
from bitreid.service.schemas import MOST_ITEMS, AddIn, AddOut, DeleteIn, DeleteOut, ItemIn, ItemOut, ItemsOut, ListIn
from bitreid.service.seams import Caller
from bitreid.service.service import PICTURES_TOGETHER, Service, service_of

router = APIRouter(prefix="/v1/items", tags=["items"])

ItemId = Annotated[
    str,
    Path(
        alias="id",
        description="A number; or `s:` and a text, percent-encoded: `s:0041_c1.jpg`",
        pattern="^(s:.+|-?(0|[1-9][0-9]{0,18}))$",
        examples=["17", "s:0041_c1.jpg"],
    ),
]
_JPEG: dict[int | str, dict[str, Any]] = {200: {"content": {"image/jpeg": {"schema": {"format": "binary"}}}}}


@router.post(
    "",
    status_code=201,
    response_model=AddOut,
    responses=errors(400, 403, 409, 413, 415, 507),
    openapi_extra=described(AddIn, {"items": [], "codes": {"codes": "AAAA", "n_bits": 24}}, pictures=MOST_ITEMS),
)
async def add(request: Request, caller: Writer) -> Answer:
    """Add pictures or codes of people. What is answered is there to stay; repeating the request adds nothing twice."""
    service, sent = service_of(request), await read_parts(request, AddIn, MOST_ITEMS)
    asked = sent.body
    if bool(sent.pictures) == (asked.codes is not None):
        raise Problem(400, "bad_request", "expected pictures or codes to add, got both or neither; send one of them")
    if asked.codes is None:
        known = _known(asked.items, len(sent.pictures))
        return Answer(await _add_pictures(service, caller, sent, known), 201)
    queries = unpacked(asked.codes, service.gallery.contract)
    known = _known(asked.items, len(queries.codes))
    ids = [_id_of(each) for each in known]
    new = await _put(service, caller, asked, ids, known, queries.codes, queries.attribute_codes, queries.model)
    return Answer({"ids": ids, "new": new, "failed": []}, 201)


async def _add_pictures(
    service: Service, caller: Caller, sent: Parts[AddIn], known: Sequence[ItemIn]
) -> dict[str, Any]:
    """Add pictures, as many at a time as are encoded together; return what `POST /v1/items` answers."""
    ids: list[Id | None] = []
    failed: list[dict[str, Any]] = []
    new = 0
    for start in range(0, len(known), PICTURES_TOGETHER):
        rows = range(start, min(start + PICTURES_TOGETHER, len(known)))
        decoded = await service.decoded([sent.pictures[row] for row in rows])
        if all(isinstance(each, PictureError) for each in decoded) and len(rows) == len(known):
            raise next(each for each in decoded if isinstance(each, PictureError))
        good = [(row, each) for row, each in zip(rows, decoded, strict=True) if isinstance(each, Decoded)]
        bad = [(row, each) for row, each in zip(rows, decoded, strict=True) if isinstance(each, PictureError)]
        failed += [{"index": row, "error": problem_of(error).json()} for row, error in bad]
        there: dict[int, Id] = {}
        if good:
            encoded = await service.encode(np.stack([each.pixels for _, each in good]))
            some = [_of_picture(known[row], sent.pictures[row].name) for row, _ in good]
            there = {row: _id_of(each) for (row, _), each in zip(good, some, strict=True)}
            own = list(there.values())
            short = encoded.attribute_codes if service.gallery.contract.attributes else None
            thumbnails = [each.thumbnail for _, each in good]
            model = service.encoder.model
            new += await _put(service, caller, sent.body, own, some, encoded.codes, short, model, thumbnails)
        ids += [there.get(row) for row in rows]
    return {"ids": ids, "new": new, "failed": failed}


async def _put(
    service: Service,
    caller: Caller,
    asked: AddIn,
    ids: Sequence[Id],
    known: Sequence[ItemIn],
    codes: Codes,
    short: Codes | None,
    model: str,
    thumbnails: Sequence[bytes | None] = (),
) -> int:
    """Add a batch of items; return how many are new."""
    gallery = service.gallery

    def work() -> int:
        cameras = _cameras(service, gallery, known)
        batch = Items.of(
            ids,
            codes,
            short,
            cameras=cameras,
            times=[each.time for each in known],
            tracklets=[each.tracklet for each in known],
            persons=[each.person for each in known],
            metadata=[each.metadata for each in known],
            pictures=[each.source for each in known],
            model=model,
        )
        replaces = asked.if_exists == "replace"
        put = gallery.upsert if replaces else gallery.add
        if service.pictures is None:
            return put(batch)
        there = set() if replaces else {item.id for item in gallery.get(ids) if item is not None}
        new = put(batch)
        kept = {id: each for id, each in zip(ids, thumbnails, strict=False) if each is not None and id not in there}
        service.pictures.forget(id for id in ids if id not in there and id not in kept)  # of other items of these ids
        service.pictures.keep(kept.items())
        return new

    return await service.write(caller, work)


def _cameras(service: Service, gallery: Gallery, known: Sequence[ItemIn]) -> list[int | None]:
    """Return the number of each item's camera; new names get numbers, which the gallery keeps."""
    if all(each.camera_name is None for each in known):
        return [each.camera for each in known]
    with service.naming:
        return numbered(gallery, [(each.camera, each.camera_name) for each in known])


def _known(items: Sequence[ItemIn], n: int) -> Sequence[ItemIn]:
    if items and len(items) != n:
        raise Problem(
            400, "bad_request", f"expected an item for each of {n} pictures or codes, got {len(items)}", "items"
        )
    return items or [ItemIn()] * n


def _id_of(known: ItemIn) -> Id:
    return uuid.uuid4().hex if known.id is None else known.id


def _of_picture(known: ItemIn, name: str) -> ItemIn:
    return known if known.source is not None else known.model_copy(update={"source": name})


@router.get("", response_model=ItemsOut, responses=errors(400, 403))
async def items(request: Request, caller: Searcher, asked: Annotated[ListIn, Query()]) -> Answer:
    """List items that pass a filter, page by page."""
    service = service_of(request)
    gallery = service.gallery
    first = None if asked.after is None else int(asked.after)
    if first is not None and not -(2**63) <= first < 2**63:
        raise Problem(
            400, "bad_request", "expected `next` of another page, got another number; leave after out", "after"
        )

    def work() -> dict[str, Any]:
        with closing(iter(gallery.scan(asked.where, after=first, batch_size=asked.limit))) as pages:  # type: ignore[type-var]
            found = [item for page in islice(pages, 1) for item in page]
        shown = [item_json(gallery, item) for item in found]
        with_pictures(service.pictures, shown)
        return {"items": shown, "next": str(key_of(found[-1].id)) if len(found) == asked.limit else None}

    return Answer(await service.call(caller, work))


@router.post(
    "/delete",
    responses=errors(400, 403, 409, 413, 415, 507),
    openapi_extra=described(DeleteIn, {"where": "time < 2026-01-01", "dry_run": True}),
)
async def delete_many(request: Request, caller: Writer) -> DeleteOut:
    """Delete items by their ids; or all that pass a filter, with the scope `admin`."""
    service, asked = service_of(request), await read_json(request, DeleteIn)
    if (asked.ids is None) == (asked.where is None):
        raise Problem(400, "bad_request", "expected ids or where, got both or neither; send one of them")
    if asked.where is not None:
        check_scope(caller, "admin")
    return DeleteOut(deleted=await _delete(service, caller, asked))


@router.get("/{id}", response_model=ItemOut, responses=errors(400, 403, 404))
async def item(request: Request, caller: Searcher, id: ItemId) -> Answer:
    """Return what is known of an item."""
    service, wanted = service_of(request), id_of(id)

    def work() -> dict[str, Any]:
        (found,) = service.gallery.get([wanted])
        if found is None:
            raise ItemNotFound(f"expected the id of an item in the gallery, got {wanted!r}, which is not there")
        shown = item_json(service.gallery, found)
        with_pictures(service.pictures, [shown])
        return shown

    return Answer(await service.call(caller, work))


@router.get("/{id}/picture", response_class=Response, responses=_JPEG | errors(400, 403, 404))
async def picture(request: Request, caller: Searcher, id: ItemId) -> Response:
    """Return the thumbnail of an item, where the service keeps them."""
    service, wanted = service_of(request), id_of(id)
    found = None if service.pictures is None else await service.call(caller, service.pictures.get, wanted)
    if found is None:
        raise Problem(404, "not_found", f"expected an item whose picture is kept, got {wanted!r}")
    return Response(found, media_type="image/jpeg", headers={"Cache-Control": "private, no-store"})


@router.delete("/{id}", responses=errors(400, 403, 404, 409, 507))
async def delete(request: Request, caller: Writer, id: ItemId) -> DeleteOut:
    """Delete an item."""
    wanted = id_of(id)
    deleted = await _delete(service_of(request), caller, DeleteIn(ids=[wanted]))
    if not deleted:
        raise ItemNotFound(f"expected the id of an item in the gallery, got {wanted!r}, which is not there")
    return DeleteOut(deleted=deleted)


async def _delete(service: Service, caller: Caller, asked: DeleteIn) -> int:
    """Delete items, and with them (`Gallery.on_delete`) their thumbnails; return how many items there were."""
    gallery = service.gallery

    def work() -> int:
        if asked.dry_run:
            return gallery.count(asked.where) if asked.ids is None else _n_there(gallery, asked.ids)
        return gallery.delete_where(asked.where or "") if asked.ids is None else gallery.delete(asked.ids)

    return await service.write(caller, work)


def _n_there(gallery: Gallery, ids: Sequence[Id]) -> int:
    return sum(item is not None for item in gallery.get(list(dict.fromkeys(ids))))
