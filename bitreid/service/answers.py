"""Answers, and how OpenAPI describes those that may come."""

from collections.abc import Sequence
from typing import Any

from starlette.responses import JSONResponse

from bitreid.service.paths import path_of
from bitreid.service.pictures import KeptPictures
from bitreid.service.schemas import ErrorAnswer

_WORDS = {
    400: "What was asked is impossible: correct it",
    403: "The key may not do this",
    404: "What was named is not there",
    409: "What was sent does not fit what is there, such as codes of another model",
    413: "More was sent than the service takes",
    415: "Another type of content is expected",
    507: "The service's disk is full; nothing was written",
}
_ALWAYS = {
    401: "A key is needed, and none that is known was sent",
    429: "Too many requests: try again after `Retry-After` seconds",
    500: "An error in the service; its log says more",
    503: "Not now: the service starts or stops, or the gallery is busy; try again after `Retry-After` seconds",
}


class Answer(JSONResponse):
    """An answer as JSON values, as the schema of its route describes them."""


def with_pictures(pictures: KeptPictures | None, items: Sequence[dict[str, Any]]) -> None:
    """Add to JSON values of items the path of each one's thumbnail, `picture`; None where none is kept."""
    there = [False] * len(items) if pictures is None else pictures.has([item["id"] for item in items])
    for item, has in zip(items, there, strict=True):
        item["picture"] = f"{path_of(item['id'])}/picture" if has else None


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return how OpenAPI describes the errors of a route: those of these statuses, and those that may come always."""
    words = {status: _WORDS[status] for status in statuses} | _ALWAYS
    return {status: {"model": ErrorAnswer, "description": text} for status, text in sorted(words.items())}
