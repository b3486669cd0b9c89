"""The service as an ASGI application."""

import asyncio
import gc
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio.to_thread
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.responses import FileResponse
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from bitreid import __version__
from bitreid.errors import BitreidError
from bitreid.service.decoding import Decoders
from bitreid.service.entrance import Entrance
from bitreid.service.headers import SecurityHeaders
from bitreid.service.keys import Keys
from bitreid.service.limits import Limited
from bitreid.service.pictures import KeptPictures
from bitreid.service.problems import LOG, Answered, answer_problems
from bitreid.service.routes import encode, health, info, items, persons, search
from bitreid.service.schemas import AddIn, DecideIn, DeleteIn, DescriptionIn, EncodeIn, MergeIn, SearchIn
from bitreid.service.service import Loaded, Service, load
from bitreid.service.settings import ServiceSettings

PAGE = Path(__file__).parent / "page"
SWEEP_S = 86_400.0
"""Seconds between two looks for pictures without items."""
_ITEMS = b"/v1/items/"
_BODIES = (SearchIn, DescriptionIn, AddIn, DeleteIn, DecideIn, MergeIn, EncodeIn)

Load = Callable[[ServiceSettings], Loaded]
Failed = Callable[[Exception], None]


def create_app(settings: ServiceSettings, load: Load = load, failed: Failed | None = None) -> FastAPI:
    """Return the service; it loads when it is started, and answers `/healthz` meanwhile.

    `failed` is called with what went wrong when loading fails.
    """
    keys = None if settings.keys is None else Keys(settings.keys)
    pictures = None if settings.keep_pictures is None else KeptPictures(settings.keep_pictures, settings.gallery)
    service = Service(settings, Decoders(settings.decoders, max_pixels=settings.max_pixels), pictures)

    async def start() -> None:
        try:
            await anyio.to_thread.run_sync(service.decoders.start)
            loaded = await anyio.to_thread.run_sync(load, settings)
            # It stays: else each full collection of garbage would look at all of it, while every request waits.
            gc.collect()
            gc.freeze()
            service.start(loaded)
        except Exception as error:
            if failed is None:
                LOG.error("expected to load the gallery and the model, got: %s", error)
            else:
                failed(error)

    async def sweep(loading: asyncio.Task[None]) -> None:
        """Forget, at the start and each day, the pictures of items that others deleted."""
        await asyncio.wait([loading])
        while pictures is not None and service.ready:
            try:
                await anyio.to_thread.run_sync(pictures.sweep, service.gallery, abandon_on_cancel=True)
            except (BitreidError, OSError) as error:
                LOG.error("expected to remove pictures without items, got: %s", error)
            await asyncio.sleep(SWEEP_S)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        loading = asyncio.create_task(start())
        sweeping = asyncio.create_task(sweep(loading))
        try:
            yield
        finally:
            service.stopping = True
            await loading
            sweeping.cancel()
            await anyio.to_thread.run_sync(service.stop)
            gc.unfreeze()

    app = FastAPI(
        title="bitreid",
        version=__version__,
        summary="Find the same person across cameras",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.service = service
    routers = [each.router for each in (search, items, persons, encode, info, health)]
    answer_problems(app, [route for router in routers for route in router.routes])
    for router in routers:
        app.include_router(router)
    _describe(app)
    if (PAGE / "index.html").exists():
        app.mount("/page", StaticFiles(directory=PAGE))

        @app.get("/", include_in_schema=False)
        async def page() -> FileResponse:
            return FileResponse(PAGE / "index.html")

    app.add_middleware(_Paths)
    app.add_middleware(Limited, limits=settings.limits)
    app.add_middleware(Entrance, keys=keys)
    app.add_middleware(Answered)
    app.add_middleware(service.metrics.measured)
    app.add_middleware(SecurityHeaders)
    return app


class _Paths:
    """Leaves ids in paths as they were sent: an id may hold a slash, and is decoded by whoever reads it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        raw = scope.get("raw_path", b"")
        if raw.startswith(_ITEMS):
            scope["path"] = raw.decode("latin-1")
        await self._app(scope, receive, send)


def _describe(app: FastAPI) -> None:
    """Describe in OpenAPI the bodies that routes read themselves, and leave out the status that is not used."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            found = get_openapi(title=app.title, version=app.version, summary=app.summary, routes=app.routes)
            schemas = found["components"]["schemas"]
            for unused in ("HTTPValidationError", "ValidationError"):
                schemas.pop(unused, None)
            for schema in _BODIES:
                own = schema.model_json_schema(ref_template="#/components/schemas/{model}")
                schemas |= own.pop("$defs", {})
                schemas[schema.__name__] = own
            for operations in found["paths"].values():
                for operation in operations.values():
                    operation["responses"].pop("422", None)
            found["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
            found["security"] = [{"key": []}, {}]  # a service without keys needs none
            app.openapi_schema = found
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
