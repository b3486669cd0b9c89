"""Paths of items."""

import re
from urllib.parse import quote, unquote

from bitreid.errors import BadRequest
from bitreid.gallery.items import Id

_NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,18})")


def path_of(id: Id) -> str:
    """Return the path of an item: `/v1/items/17` of a number, `/v1/items/s:a%2Fb.jpg` of a text.

    >>> path_of("a/b.jpg")
    '/v1/items/s:a%2Fb.jpg'
    """
    return "/v1/items/" + (f"s:{quote(id, safe='', errors='surrogatepass')}" if isinstance(id, str) else str(id))


def id_of(part: str) -> Id:
    """Return the id that the last part of such a path means, percent-encoded as it was sent; `BadRequest` for none."""
    try:
        decoded = unquote(part, errors="strict")
    except UnicodeDecodeError:
        decoded = ""
    if decoded.startswith("s:") and len(decoded) > 2:
        return decoded.removeprefix("s:")
    if not _NUMBER.fullmatch(decoded) or not -(2**63) <= int(decoded) < 2**63:
        raise BadRequest(f"expected the id of an item in the path, a number or s: and a text, got {part!r:.80}")
    return int(decoded)
