"""The Python client of the service."""

import json
import math
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from pydantic import ValidationError

from bitreid.arrays import Features
from bitreid.codes import Codes
from bitreid.errors import BadRequest, GalleryClosed, GalleryUnreachable, PictureError, ServiceError, SettingsError
from bitreid.gallery.items import Id
from bitreid.service.kinds import error_of, no_answer_of
from bitreid.service.packing import packed
from bitreid.service.paths import path_of
from bitreid.service.schemas import (
    AddOut,
    DecideOut,
    DeleteOut,
    EncodeOut,
    HealthOut,
    HitsOut,
    InfoOut,
    ItemIn,
    ItemOut,
    ItemsOut,
    PackedCodes,
    Schema,
    SearchIn,
    SearchOut,
    UndoOut,
)
from bitreid.text import shown

if TYPE_CHECKING:
    import httpx

TIMEOUT_S = 30.0
TRIES = 4
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.25, 30.0
_LATER = {429, 503}

Content = str | Path | bytes
"""A picture: the path of a file, or what a file holds."""

Answer = TypeVar("Answer", bound=Schema)
Asked = TypeVar("Asked", bound=Schema)


class Client:
    """Asks a service, from any number of threads; see `bitreid serve`.

    `key` is one that `bitreid keys create` made; None for a service that needs none. A request may take `timeout_s`.
    One that is refused for now (too many requests, a busy gallery), or that cannot be sent, is sent again, `tries`
    times in all, and so is one that got no answer, if sending it twice does no harm: decisions about people are not.

    What the service refuses is raised as the error that the same call of a `Gallery` raises, such as `FilterError` or
    `WrongModel`; anything else as `ServiceError`. `transport` is httpx's, for tests and proxies.
    """

    def __init__(
        self,
        address: str = "http://127.0.0.1:8080",
        *,
        key: str | None = None,
        timeout_s: float = TIMEOUT_S,
        tries: int = TRIES,
        transport: "httpx.BaseTransport | None" = None,
    ) -> None:
        try:
            import httpx
        except ImportError as error:
            raise SettingsError(
                "expected httpx, which asks services, got no such package; pip install 'bitreid[client]'"
            ) from error
        if tries < 1:
            raise SettingsError(f"expected at least 1 try of each request, got {tries}")
        if not 0 < timeout_s < math.inf:
            raise SettingsError(f"expected a number of seconds above 0 for a request, got {timeout_s}")
        try:
            place = httpx.URL(address)
        except (httpx.InvalidURL, TypeError):
            place = httpx.URL()
        if place.scheme not in ("http", "https") or not place.host or place.query or place.fragment:
            raise SettingsError(f"expected an address such as http://127.0.0.1:8080, got {shown(address)}")
        key = None if key is None else key.strip()  # what is read from a file ends with a line
        if key is not None and not (key.isascii() and key.isprintable() and key):
            raise SettingsError("expected a key that `bitreid keys create` made, got text with other characters")
        self._tries = tries
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        self._client = httpx.Client(base_url=place, headers=headers, timeout=timeout_s, transport=transport)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # Searching.

    def search(
        self, pictures: Content | Sequence[Content], *, box: Sequence[float] | None = None, **how: Any
    ) -> HitsOut:
        """Return who is like the person in one or several pictures, or in a box of the first.

        `box` is left, top, width and height, in pixels. `how` are fields of `SearchIn`, such as k, where and parts.
        """
        asked = _made(SearchIn, box=None if box is None else [float(each) for each in box], **how)
        return self._search(asked, _several(pictures))[0]

    def search_codes(
        self,
        codes: Codes | PackedCodes,
        attribute_codes: Codes | None = None,
        *,
        model: str = "",
        features: Features | None = None,
        **how: Any,
    ) -> list[HitsOut]:
        """Return the hits of each row of codes, made by `encode` or by an `Encoder` with this `model`."""
        sent = codes if isinstance(codes, PackedCodes) else packed(codes, attribute_codes, model, features)
        return self._search(_made(SearchIn, codes=sent, **how))

    def search_item(self, id: Id, **how: Any) -> HitsOut:
        """Return who is like an item of the gallery, which is left out itself."""
        return self._search(_made(SearchIn, id=id, **how))[0]

    def search_attributes(self, wanted: Mapping[str, float], *, k: int = 10, where: str | None = None) -> HitsOut:
        """Return who looks like a description, see `Gallery.search_attributes`."""
        body = {"wanted": {name: float(each) for name, each in wanted.items()}, "k": k, "where": where}
        return self._ask(HitsOut, "POST", "/v1/search/attributes", body)

    def encode(self, pictures: Content | Sequence[Content], **how: Any) -> EncodeOut:
        """Return the codes of pictures; `how` are fields of `EncodeIn`."""
        return self._ask(EncodeOut, "POST", "/v1/encode", how, _several(pictures))

    # Items.

    def add(
        self,
        pictures: Content | Sequence[Content],
        items: Sequence[ItemIn | Mapping[str, Any]] = (),
        *,
        replace: bool = False,
    ) -> AddOut:
        """Add a picture an item; what is known of each, as fields of `ItemIn`. Items without an id get one.

        What is answered is there to stay. Pictures that cannot be read are among `failed`.
        """
        given = _several(pictures)
        return self._add(_with_ids(items, len(given)), replace, None, given)

    def add_codes(
        self,
        codes: Codes,
        items: Sequence[ItemIn | Mapping[str, Any]] = (),
        *,
        attribute_codes: Codes | None = None,
        model: str = "",
        replace: bool = False,
    ) -> AddOut:
        """Add an item a row of codes, made by an `Encoder` with this `model`."""
        sent = packed(codes, attribute_codes, model, None)
        return self._add(_with_ids(items, len(codes)), replace, sent, [])

    def get(self, id: Id) -> ItemOut:
        """Return what is known of an item; `ItemNotFound`."""
        return self._ask(ItemOut, "GET", path_of(id))

    def items(self, where: str | None = None, *, page_size: int = 500) -> Iterator[ItemOut]:
        """Yield all items that pass a filter, fetched `page_size` at a time."""
        after: str | None = None
        while True:
            asked = {"where": where, "limit": page_size, "after": after}
            found = self._ask(
                ItemsOut,
                "GET",
                "/v1/items",
                query={name: str(each) for name, each in asked.items() if each is not None},
            )
            yield from found.items
            if found.next is None:
                return
            after = found.next

    def picture(self, id: Id) -> bytes:
        """Return the thumbnail of an item, a JPEG; `ServiceError` (not_found) where none is kept."""
        answer = self._send("GET", f"{path_of(id)}/picture")
        if answer.headers.get("Content-Type") != "image/jpeg":
            raise no_answer_of(answer.status_code)
        return answer.content

    def delete(self, ids: Sequence[Id], *, dry_run: bool = False) -> int:
        """Delete items; return how many there were."""
        return self._ask(DeleteOut, "POST", "/v1/items/delete", {"ids": list(ids), "dry_run": dry_run}).deleted

    def delete_where(self, where: str, *, dry_run: bool = False) -> int:
        """Delete all items that pass a filter; return how many. Needs the scope admin."""
        return self._ask(DeleteOut, "POST", "/v1/items/delete", {"where": where, "dry_run": dry_run}).deleted

    # People.

    def confirm(self, ids: Sequence[Id], person: str) -> int:
        """Decide that items and their tracklets show a person; return how many they are."""
        return self._decide("confirm", {"ids": list(ids), "person": person})

    def reject(self, ids: Sequence[Id], person: str) -> int:
        """Decide that items and their tracklets do not show a person; return how many they are."""
        return self._decide("reject", {"ids": list(ids), "person": person})

    def merge(self, person: str, other: str) -> int:
        """Decide that `other` is `person`; return how many items of `other` there were."""
        return self._decide("merge", {"from": other, "into": person})

    def undo(self) -> str | None:
        """Undo the last decision; return what it was, None if there is none."""
        return self._ask(UndoOut, "POST", "/v1/persons/undo", once=True).undone

    # The service.

    def info(self) -> InfoOut:
        """Return what the gallery and the model are, and what this client may do."""
        return self._ask(InfoOut, "GET", "/v1/info")

    def ready(self) -> bool:
        """Return whether the service answers and has loaded all; tries once."""
        import httpx

        self._check_open()
        try:
            answer = self._client.get("/readyz")
        except httpx.RequestError:
            return False
        try:
            return answer.is_success and bool(HealthOut.model_validate_json(answer.content))
        except ValidationError:
            return False  # somebody else answers there

    def _check_open(self) -> None:
        if self._client.is_closed:
            raise GalleryClosed("expected an open client, got one that was closed; make another one")

    def _search(self, asked: SearchIn, pictures: Sequence[tuple[str, bytes]] = ()) -> list[HitsOut]:
        return self._ask(SearchOut, "POST", "/v1/search", asked.model_dump(exclude_unset=True), pictures).queries

    def _add(
        self, items: Sequence[ItemIn], replace: bool, codes: PackedCodes | None, pictures: Sequence[tuple[str, bytes]]
    ) -> AddOut:
        body: dict[str, Any] = {"items": [each.model_dump(mode="json", exclude_unset=True) for each in items]}
        body |= {"if_exists": "replace"} if replace else {}
        body |= {} if codes is None else {"codes": codes.model_dump()}
        return self._ask(AddOut, "POST", "/v1/items", body, pictures)

    def _decide(self, what: str, body: Mapping[str, Any]) -> int:
        return self._ask(DecideOut, "POST", f"/v1/persons/{what}", body, once=True).items

    def _ask(
        self,
        schema: type[Answer],
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        pictures: Sequence[tuple[str, bytes]] = (),
        *,
        query: Mapping[str, str] | None = None,
        once: bool = False,
    ) -> Answer:
        answer = self._send(method, path, body, pictures, query=query, once=once)
        try:
            return schema.model_validate_json(answer.content)
        except ValidationError as error:
            raise no_answer_of(answer.status_code) from error

    def _send(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        pictures: Sequence[tuple[str, bytes]] = (),
        *,
        query: Mapping[str, str] | None = None,
        once: bool = False,
    ) -> "httpx.Response":
        """Return the answer to a request; with `once` it is not sent again when it may have arrived."""
        import httpx

        self._check_open()
        content: dict[str, Any] = {}
        if body is not None:
            text = _json(body)
            content = {"content": text, "headers": {"Content-Type": "application/json"}}
            if pictures:
                files: list[tuple[str, Any]] = [("picture", each) for each in pictures]
                content = {"files": [*files, ("request", (None, text, "application/json"))]}
        wait_s = _FIRST_WAIT_S
        for left in reversed(range(self._tries)):
            try:
                answer = self._client.request(method, path, params=query, **content)
            except httpx.TransportError as error:
                arrived = not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
                if not left or (once and arrived):
                    message = f"expected an answer of the service at {self._client.base_url}, got none: {error}"
                    raise ServiceError(f"{message}; see that it runs", "unreachable") from error
            except httpx.DecodingError as error:
                raise no_answer_of(None) from error
            else:
                if answer.is_success:
                    return answer
                told = error_of(answer.status_code, answer.content)
                # A gallery's server that went away may have done the half of it.
                arrived = isinstance(told, GalleryUnreachable)
                if answer.status_code not in _LATER or not left or (once and arrived):
                    raise told
                wait_s = max(wait_s, _seconds(answer.headers.get("Retry-After")))
            time.sleep(min(wait_s, _LONGEST_WAIT_S))
            wait_s *= 2
        raise AssertionError("the last try returns or raises")


def _several(pictures: Content | Sequence[Content]) -> list[tuple[str, bytes]]:
    """Return the names and the content of pictures; of a path only the file's name."""
    given = [pictures] if isinstance(pictures, Content) else pictures
    found = []
    for i, each in enumerate(given):
        if isinstance(each, bytes):
            found.append((f"picture {i}", each))
            continue
        try:
            found.append((Path(each).name, Path(each).read_bytes()))
        except OSError as error:
            raise PictureError(Path(each), (error.strerror or str(error)).lower()) from error
    return found


def _with_ids(items: Sequence[ItemIn | Mapping[str, Any]], n: int) -> list[ItemIn]:
    """Return what is known of n items; those without an id get one, so that sending them twice adds them once."""
    given = [each if isinstance(each, ItemIn) else _made(ItemIn, **each) for each in items or [{}] * n]
    return [each if each.id is not None else each.model_copy(update={"id": uuid.uuid4().hex}) for each in given]


def _made(schema: type[Asked], **values: Any) -> Asked:
    """Return what is asked for; `BadRequest` for what no service takes."""
    try:
        return schema(**{name: list(each) if isinstance(each, tuple) else each for name, each in values.items()})
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        raise BadRequest(f"expected fields of {schema.__name__}, got another {name}: {first['msg']}") from error


def _json(body: Mapping[str, Any]) -> bytes:
    """Return a request as JSON; `BadRequest` for what JSON cannot hold, such as NaN."""
    try:
        return json.dumps(body, allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        message = f"expected a request of texts, finite numbers, lists and dicts, got another: {error}"
        raise BadRequest(message) from None


def _seconds(text: str | None) -> float:
    return float(text) if text is not None and text.isdecimal() else 0.0
