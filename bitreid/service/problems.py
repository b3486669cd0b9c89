"""What goes wrong, as the service says it: one shape for every error."""

import logging
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bitreid.errors import (
    ArtifactError,
    BitreidError,
    FilterError,
    GalleryBusy,
    GalleryClosed,
    GalleryDamaged,
    GalleryExists,
    GalleryNotFound,
    GalleryReadOnly,
    GalleryUnreachable,
    ItemNotFound,
    WrongModel,
)
from bitreid.service.headers import HEADERS
from bitreid.service.kinds import kind_of

LOG = logging.getLogger("bitreid.service")
RETRY_S = 2
"""When to try again what cannot be done now."""

STATUS_OF: Mapping[type[BitreidError], int] = {
    ItemNotFound: 404,
    GalleryExists: 409,
    GalleryReadOnly: 409,
    WrongModel: 409,
    GalleryBusy: 503,
    GalleryClosed: 503,
    GalleryUnreachable: 503,
    GalleryNotFound: 503,
    GalleryDamaged: 500,
    ArtifactError: 500,
}
"""The status of each kind of error; 400 for any other."""

_OWN: Mapping[type[BitreidError], str] = {
    GalleryBusy: "expected a gallery that can be used, got one that is busy; try again later",
    GalleryClosed: "expected a service that runs, got one that stops; try again later",
    GalleryUnreachable: "expected a gallery that answers, got none; try again later, or tell whoever runs the service",
    GalleryNotFound: "expected a gallery that answers, got none; tell whoever runs the service",
}
"""What strangers are told of errors whose own words name files and servers; the log has the rest."""
_HTTP_KINDS = {
    400: "bad_request",
    401: "unauthorised",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    408: "too_slow",
    413: "too_large",
    415: "unsupported_media",
    429: "too_many_requests",
}
_INTERNAL = "expected to answer, got an error in the service; its log says more"
_FULL = "expected room on the service's disk, got a full one; nothing was written, tell whoever runs the service"


class Problem(Exception):
    """A request that cannot be answered: its status, its kind, and one sentence that says what to do.

    `where` is the field of the request that is wrong; None where it is not one. What cannot be done now (503) says
    when to try again.
    """

    def __init__(
        self,
        status: int,
        kind: str,
        message: str,
        where: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.kind, self.message, self.where = status, kind, message, where
        self.headers = ({"Retry-After": str(RETRY_S)} if status == 503 else {}) | dict(headers or {})

    def json(self) -> dict[str, str | None]:
        """Return what an answer says of it."""
        return {"kind": self.kind, "message": self.message, "where": self.where}

    def response(self) -> JSONResponse:
        """Return the problem as a response."""
        headers = {**HEADERS, "Cache-Control": "no-store", **self.headers}
        return JSONResponse({"error": self.json()}, self.status, headers)


def problem_of(error: Exception) -> Problem:
    """Return what a request that raised this is answered; what only an operator may know goes into the log."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, ValidationError | RequestValidationError):
        return _of_validation(error.errors())
    if isinstance(error, HTTPException):
        kind = _HTTP_KINDS.get(error.status_code, "bad_request")
        return Problem(error.status_code, kind, _words_of(error), headers=error.headers)
    if not isinstance(error, BitreidError):
        LOG.error("a request failed", exc_info=error)
        return Problem(500, "internal", _INTERNAL)
    status = next((STATUS_OF[each] for each in type(error).__mro__ if each in STATUS_OF), 400)
    if status < 500:
        message = " ".join(str(error).splitlines()[:1])
        return Problem(status, kind_of(type(error)), message, "where" if isinstance(error, FilterError) else None)
    LOG.error("%s: %s", kind_of(type(error)), error, exc_info=error if status == 500 else None)
    cause = error.__cause__
    if isinstance(cause, sqlite3.Error) and cause.sqlite_errorname == "SQLITE_FULL":
        return Problem(507, "disk_full", _FULL)
    if status == 500:
        return Problem(500, "internal", _INTERNAL)
    return Problem(status, kind_of(type(error)), _OWN[type(error)])


def answer_problems(app: FastAPI, routes: Sequence[BaseRoute]) -> None:
    """Make the app, which has these routes, answer every error in the one shape."""

    async def answered(request: Request, error: Exception) -> Response:
        if isinstance(error, HTTPException) and error.status_code == 405 and _methods(routes, request):
            error.headers = {"Allow": ", ".join(sorted(_methods(routes, request)))}
        problem = problem_of(error)
        request.scope["problem"] = problem.kind
        return problem.response()

    for kind in (Problem, BitreidError, ValidationError, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, answered)
    app.add_exception_handler(Exception, answered)


class Answered:
    """Answers whatever an app raises in the one shape, and counts it; what was half answered by then breaks off."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = scope["type"] != "http"

        async def noticed(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, noticed)
        except Exception as error:
            if started:
                raise
            problem = problem_of(error)
            scope["problem"] = problem.kind
            await problem.response()(scope, receive, send)


def _methods(routes: Sequence[BaseRoute], request: Request) -> set[str]:
    """Return the methods of all routes of the path that was asked for; the framework knows those of the first only."""
    there = [route for route in routes if route.matches(request.scope)[0] is not Match.NONE]
    return {method for route in there for method in getattr(route, "methods", None) or ()}


def _words_of(error: HTTPException) -> str:
    if error.status_code == 404:
        return "expected the path of something that is here, got another; /openapi.json lists all paths"
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "another")
        return f"expected a method that this path has, got another; use {allowed}"
    return error.detail


def _of_validation(errors: Any) -> Problem:
    first = errors[0]
    where = ".".join(str(each) for each in first["loc"] if each not in ("body", "query", "path")) or None
    at = f" at {where}" if where else ""
    message = f"expected a request as /openapi.json describes it, got something else{at}: {first['msg']}"
    return Problem(400, "bad_request", message, where)
