"""Bodies of requests: JSON, or pictures with JSON beside them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from fastapi import Request
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from bitreid.service.problems import Problem
from bitreid.service.schemas import Schema
from bitreid.service.service import Sent

JSON, MULTIPART = "application/json", "multipart/form-data"
MOST_TEXT = 8 * 2**20
"""Bytes of the JSON beside pictures, at most."""

Body = TypeVar("Body", bound=Schema)


class _InMemory(MultiPartParser):
    """Pictures of strangers are not written to the disk, not even for a moment."""

    spool_max_size = 2**40


@dataclass(frozen=True)
class Parts(Generic[Body]):
    """The JSON of a request, and its pictures."""

    body: Body
    pictures: list[Sent]


async def read_json(request: Request, schema: type[Body]) -> Body:
    """Return the JSON of a request; a `Problem` (415) for another kind of content."""
    if _media(request) != JSON:
        raise _unsupported(JSON, request)
    _check_plain(request)
    return schema.model_validate_json(await request.body())


async def read_parts(request: Request, schema: type[Body], most: int) -> Parts[Body]:
    """Return the JSON and the pictures of a request, parts `request` and `picture`, or JSON alone."""
    media = _media(request)
    _check_plain(request)
    if media == JSON:
        return Parts(schema.model_validate_json(await request.body()), [])
    if media != MULTIPART:
        raise _unsupported(f"{MULTIPART} or {JSON}", request)
    parser = _InMemory(request.headers, request.stream(), max_files=most, max_fields=1, max_part_size=MOST_TEXT)
    try:
        form = await parser.parse()
    except (MultiPartException, KeyError, ValueError) as error:  # its parser raises all of them for broken parts
        said = error.message if isinstance(error, MultiPartException) else "a part without a boundary"
        message = f"expected parts of {MULTIPART}, got what cannot be read ({said}); send it with a library"
        raise Problem(400, "bad_request", message) from None
    try:
        pictures: list[Sent] = []
        text: str | None = None
        for name, value in form.multi_items():
            if name == "picture" and isinstance(value, UploadFile):
                pictures.append(Sent(value.filename or "picture", await value.read()))
            elif name == "request" and isinstance(value, str):
                text = value
            else:
                message = f"expected files as parts `picture`, and JSON as part `request`, got a part {name!r:.40}"
                raise Problem(400, "bad_request", message, name[:40] or None)
    finally:
        await form.close()
    return Parts(schema.model_validate_json("{}" if text is None else text), pictures)


def described(
    schema: type[Schema], example: Mapping[str, Any] | None = None, *, pictures: int = 0, json: bool = True
) -> dict[str, Any]:
    """Return how OpenAPI describes the body of a request with at most so many pictures, and whether JSON alone does."""
    reference = {"$ref": f"#/components/schemas/{schema.__name__}"}
    content: dict[str, Any] = {}
    if json:
        content[JSON] = {"schema": reference} | ({} if example is None else {"example": example})
    if pictures:
        files = {"type": "array", "items": {"type": "string", "format": "binary"}, "minItems": 1, "maxItems": pictures}
        parts = {"type": "object", "properties": {"picture": files, "request": reference}, "required": ["picture"]}
        encoding = {"request": {"contentType": JSON}}
        content[MULTIPART] = {"schema": parts | {"additionalProperties": False}, "encoding": encoding}
    return {"requestBody": {"required": True, "content": content}}


def _media(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _check_plain(request: Request) -> None:
    """Check that a body is not compressed; a `Problem` (415). What a few bytes become has no limit before they do."""
    got = request.headers.get("content-encoding", "identity").strip().lower()
    if got != "identity":
        message = f"expected a body as it is, without Content-Encoding, got {got:.40}; send it so"
        raise Problem(415, "unsupported_media", message, "content-encoding")


def _unsupported(expected: str, request: Request) -> Problem:
    got = _media(request)[:80] or "none"
    return Problem(415, "unsupported_media", f"expected the content type {expected}, got {got}; set it", "content-type")
