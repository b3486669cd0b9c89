"""What an ONNX file asks of whoever loads it, read before anything else reads it: it may come from anybody.

Only its messages are walked (the format of protocol buffers, the field numbers of onnx.proto); tensors are passed over.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from bitreid.errors import ArtifactError

STANDARD = ("", "ai.onnx")
"""Names of the one set of operators that a model may use."""

_MOST_DEPTH = 16  # of graphs in graphs
_VARINT, _EIGHT, _BYTES, _FOUR = 0, 1, 2, 5


@dataclass(frozen=True)
class _Message:
    """Fields of a message by number: those that hold messages, those that name an operator set, those refused."""

    inner: dict[int, "_Message"] = field(default_factory=dict)
    domains: frozenset[int] = frozenset()
    refused: dict[int, str] = field(default_factory=dict)


_EXTERNAL = "data in other files"
_SPARSE = "sparse tensors"
_TENSOR = _Message(refused={13: _EXTERNAL, 14: _EXTERNAL})
_GRAPH = _Message(refused={15: _SPARSE})
_ATTRIBUTE = _Message({5: _TENSOR, 6: _GRAPH, 10: _TENSOR, 11: _GRAPH}, refused={22: _SPARSE, 23: _SPARSE})
_GRAPH.inner.update({1: _Message({5: _ATTRIBUTE}, domains=frozenset({7})), 5: _TENSOR})
_MODEL = _Message(
    {7: _GRAPH, 8: _Message(domains=frozenset({1}))},
    refused={20: "steps of training", 25: "functions of its own"},
)


def check_onnx(data: bytes) -> None:
    """Check that a model uses standard operators only, and no data outside itself; else raise `ArtifactError`."""
    try:
        _check(memoryview(data), _MODEL, 0)
    except (IndexError, ValueError) as error:
        raise ArtifactError(
            f"expected a model in ONNX format, got something else ({error}); export it again"
        ) from error


def _check(data: memoryview, message: _Message, depth: int) -> None:
    if depth > _MOST_DEPTH:
        raise ValueError("nested too deep")
    for number, value in _fields(data):
        what = message.refused.get(number)
        if what is not None and value != 0:  # where the data lies: 0 is here
            raise ArtifactError(f"expected a model of standard operators and its own data, got one with {what}")
        if isinstance(value, int):
            continue
        if number in message.domains and bytes(value).decode() not in STANDARD:
            raise ArtifactError(
                f"expected a model of standard operators, got some of {bytes(value).decode()!r:.80}; it is not run"
            )
        if number in message.inner:
            _check(value, message.inner[number], depth + 1)


def _fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield number and value of each field of a message: a whole number, or bytes."""
    place = 0
    while place < len(data):
        key, place = _varint(data, place)
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            value, place = _varint(data, place)
            yield number, value
        elif kind in (_BYTES, _EIGHT, _FOUR):
            size, place = _varint(data, place) if kind == _BYTES else ({_EIGHT: 8, _FOUR: 4}[kind], place)
            if place + size > len(data):
                raise ValueError("cut off")
            if kind == _BYTES:
                yield number, data[place : place + size]
            place += size
        else:
            raise ValueError(f"a field of kind {kind}")


def _varint(data: memoryview, place: int) -> tuple[int, int]:
    """Return a whole number and the place after it."""
    value = 0
    for shift in range(0, 70, 7):
        byte = data[place]
        place += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, place
    raise ValueError("a number without end")
