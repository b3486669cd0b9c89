"""Kinds of errors by name, as the service tells them and the client raises them."""

import re

from pydantic import ValidationError

from bitreid import errors
from bitreid.errors import BitreidError, DataError, PictureError, ServiceError, VideoEnded
from bitreid.service.schemas import ErrorAnswer


def kind_of(error: type[BitreidError]) -> str:
    """Return the name of a kind of error, such as `item_not_found`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", error.__name__).lower()


_PLAIN = {PictureError: DataError, VideoEnded: DataError}  # they are made of more than a message
_CLASSES = {
    kind_of(each): _PLAIN.get(each, each)
    for each in vars(errors).values()
    if isinstance(each, type) and issubclass(each, BitreidError) and each is not ServiceError
}


def error_of(status: int, content: bytes) -> BitreidError:
    """Return the error that an answer of the service tells; `ServiceError` where bitreid has no kind of its own."""
    try:
        told = ErrorAnswer.model_validate_json(content).error
    except ValidationError:
        return no_answer_of(status)
    made = _CLASSES.get(told.kind)
    return ServiceError(told.message, told.kind, status) if made is None else made(told.message)


def no_answer_of(status: int | None) -> ServiceError:
    """Return the error of an answer that is none of this service, with its status if that is known."""
    which = "one that cannot be read" if status is None else f"another with the status {status}"
    message = f"expected an answer of bitreid's service, got {which}; look at the address, and at both versions"
    return ServiceError(message, "not_bitreid", status)
