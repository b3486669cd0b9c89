"""`GET /healthz`, `/readyz` and `/metrics`."""

from typing import Any

from fastapi import APIRouter, Request
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import Response

from bitreid.service.answers import errors
from bitreid.service.callers import check_scope
from bitreid.service.entrance import caller_of, is_loopback
from bitreid.service.problems import Problem
from bitreid.service.schemas import HealthOut
from bitreid.service.service import service_of

router = APIRouter(tags=["service"])


@router.get("/healthz", responses=errors())
async def healthz() -> HealthOut:
    """Say that the process answers."""
    return HealthOut(status="ok")


@router.get("/readyz", responses=errors())
async def readyz(request: Request) -> HealthOut:
    """Say whether requests are answered: not while the service loads or stops."""
    service = service_of(request)
    if not service.ready:
        message = f"expected a service that is ready, got one that {'stops' if service.stopping else 'loads'}; wait"
        raise Problem(503, "not_ready", message)
    return HealthOut(status="ready")


_METRICS: dict[int | str, dict[str, Any]] = {200: {"content": {"text/plain": {"schema": {"type": "string"}}}}}


@router.get("/metrics", response_class=Response, responses=_METRICS | errors(403))
async def metrics(request: Request) -> Response:
    """Return what is measured, as Prometheus reads it; from elsewhere than this machine with the scope `admin` only."""
    service = service_of(request)
    if request.client is None or not is_loopback(request.client.host):
        check_scope(caller_of(request), "admin")
    return Response(service.metrics.text(), media_type=CONTENT_TYPE_LATEST)
