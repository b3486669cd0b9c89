"""`GET /v1/info`."""

from fastapi import APIRouter, Request

from bitreid import __version__
from bitreid.codes import part_sizes
from bitreid.gallery.query import group_of
from bitreid.service.answers import errors
from bitreid.service.callers import Searcher
from bitreid.service.schemas import MOST_HITS, MOST_ITEMS, AttributeOut, ContractOut, InfoOut
from bitreid.service.service import service_of

router = APIRouter(prefix="/v1", tags=["service"])


@router.get("/info", responses=errors(403))
async def info(request: Request, caller: Searcher) -> InfoOut:
    """Return what the gallery and the model are, and what this caller may do."""
    service = service_of(request)
    gallery = service.gallery
    found, contract, size = await service.call(caller, gallery.info), gallery.contract, service.encoder.card.input
    names = gallery.camera_names
    return InfoOut(
        version=__version__,
        items=found.n_items,
        persons=found.n_persons,
        tracklets=found.n_tracklets,
        cameras={str(number): names.get(number) for number in sorted({*names, *(found.cameras or ())})},
        contract=ContractOut(
            model=contract.model,
            name=contract.name,
            n_bits=contract.n_bits,
            parts=part_sizes(contract.parts),
            attributes=[AttributeOut(name=each, group=group_of(each)) for each in contract.attributes],
            calibrated=contract.open_set is not None,
            coarse=contract.coarse is not None,
        ),
        input=[size.height, size.width],
        scopes=list(caller.scopes),
        keeps_pictures=service.pictures is not None,
        limits={"hits": MOST_HITS, "items": MOST_ITEMS, "body": service.settings.max_body},
    )
