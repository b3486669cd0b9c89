"""Who comes in: callers are known by their keys before anything that they send is read."""

import ipaddress
from collections.abc import Mapping
from functools import lru_cache
from urllib.parse import urlsplit

from fastapi import Request
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from bitreid.errors import SettingsError
from bitreid.service.keys import Keys
from bitreid.service.problems import LOG, Problem
from bitreid.service.seams import OPEN, Caller

GUARDED = "/v1/"
"""Paths that begin so need a key, where there are keys; others are the page, and whether the service runs."""
_CALLER = "bitreid.caller"
_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="bitreid"'}


class Entrance:
    """Knows the caller of each request by the key in it; raises a `Problem` for those who need one and have none.

    Without keys everybody is let in, but not a page of another site in a browser on this machine: it could reach a
    service that listens on loopback, and so requests must name this machine, and come from a page of the service, if
    from any.
    """

    def __init__(self, app: ASGIApp, keys: Keys | None) -> None:
        self._app, self._keys = app, keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            headers = Headers(scope=scope)
            scope[_CALLER] = _at_this_machine(headers) if self._keys is None else _known(headers, self._keys)
            if scope[_CALLER] is None and scope["path"].startswith(GUARDED):
                raise _unauthorised(headers)
        await self._app(scope, receive, send)


def caller_of(request: Request) -> Caller:
    """Return who sent a request; a `Problem` (401) where nobody is known."""
    caller: Caller | None = request.scope[_CALLER]
    if caller is None:
        raise _unauthorised(request.headers)
    return caller


def sender_of(scope: Scope) -> str:
    """Return what limits are counted by: the caller's name, or the address of somebody without a key."""
    caller: Caller | None = scope[_CALLER]
    if caller is not None and caller is not OPEN:
        return f"key {caller.name}"
    host = (scope.get("client") or ("nowhere",))[0]
    # Whoever has one address of the sixth version has a whole network of them.
    return f"address {':'.join(host.split(':')[:4]) if ':' in host else host}"


@lru_cache(1024)
def is_loopback(host: str) -> bool:
    """Whether a name or an address is that of this machine, which others cannot reach.

    >>> is_loopback("127.0.0.1"), is_loopback("::1"), is_loopback("127.example.org"), is_loopback("0.0.0.0")
    (True, True, False, False)
    """
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _known(headers: Headers, keys: Keys) -> Caller | None:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        return None
    try:
        key = keys.find(token.strip())
    except SettingsError as error:
        LOG.error("expected to read the keys, got: %s", error)
        message = "expected a service that can read its keys, got one that cannot; tell whoever runs it"
        raise Problem(503, "not_ready", message) from None
    return None if key is None else Caller(key.name, key.scope)


def _at_this_machine(headers: Headers) -> Caller:
    host = headers.get("host", "")
    origin = headers.get("origin")
    if not is_loopback(_name_of(f"//{host}")):
        message = "expected a request to localhost or 127.0.0.1, got one to another name; use the address that is shown"
        raise Problem(403, "forbidden", message, "host")
    if origin is not None and urlsplit(origin).netloc != host:
        message = "expected a request of the service's own page or of a program, got one of another site; use the page"
        raise Problem(403, "forbidden", message, "origin")
    return OPEN


def _name_of(address: str) -> str:
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""


def _unauthorised(headers: Mapping[str, str]) -> Problem:
    got = "one that is unknown, expired or revoked" if "authorization" in headers else "none"
    message = f"expected a key as `Authorization: Bearer KEY`, got {got}; `bitreid keys create` makes one"
    return Problem(401, "unauthorised", message, headers=_CHALLENGE)
