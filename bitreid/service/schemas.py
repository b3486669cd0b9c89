"""What clients send and get, as JSON: shared by the service, its OpenAPI description and the Python client."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from bitreid.gallery.base import FPIR, HITS
from bitreid.gallery.people import By
from bitreid.gallery.requests import Method

MOST_HITS = 10_000
"""Hits of a query, at most."""
MOST_IDS = 10_000
"""Ids in a request, at most."""
MOST_ITEMS = 1_000
"""Items of a page, or that are added by one request, at most."""

Id = Annotated[int, Field(ge=-(2**63), lt=2**63)] | Annotated[str, Field(min_length=1, max_length=4096)]
Base64 = Annotated[str, Field(pattern=r"^[A-Za-z0-9+/]*={0,2}$")]
Share = Annotated[float, Field(gt=0, lt=1)]
Text = Annotated[str, Field(min_length=1, max_length=4096)]


class Schema(BaseModel):
    """What all have in common: no unknown fields, no guessing of types, no NaN."""

    model_config = ConfigDict(
        extra="forbid", strict=True, allow_inf_nan=False, ser_json_inf_nan="constants", populate_by_name=True
    )


# What goes wrong.


class ErrorIn(Schema):
    """What went wrong."""

    kind: str = Field(description="Kind of the error, for programs", examples=["filter_error"])
    message: str = Field(description="One sentence: what was expected, what came, what to do next")
    where: str | None = Field(description="The field of the request that is wrong, as far as it is one")


class ErrorAnswer(Schema):
    """The answer to every request that fails."""

    error: ErrorIn


# Searching.


class PackedCodes(Schema):
    """Codes of one picture or person a row, as `POST /v1/encode` gives them."""

    codes: Base64 = Field(description="Rows of packed bits, one after the other")
    attribute_codes: Base64 | None = Field(None, description="As many rows of attribute codes")
    model: str = Field("", max_length=4096, description="Fingerprint of the model that made them; empty: as you say")
    features: Base64 | None = Field(None, description="As many rows of 32-bit floats, little-endian, one a bit")
    n_bits: int | None = Field(None, ge=8, le=65_536, multiple_of=8, description="Length; null: the gallery's")


class HowIn(Schema):
    """How a gallery is searched."""

    k: int = Field(HITS, ge=1, le=MOST_HITS, description="Hits of each query")
    w: Annotated[int, Field(ge=1)] | Annotated[str, Field(max_length=32)] | None = Field(
        None, description="Search in two stages: items that the first keeps, as 100 or '1%'", examples=["1%"]
    )
    recall: Annotated[float, Field(gt=0, le=1)] | None = Field(
        None, description="Instead of w: the share of the matches that is kept; clustered: of the nearest items"
    )
    method: Method | None = Field(
        None, description="What is compared; null: two_stage with w or recall, else exact. Without w or recall: 0.95"
    )
    where: str | None = Field(None, max_length=16_384, description="A filter", examples=["camera in (1, 2)"])
    parts: list[Text] = Field([], max_length=64, description="Parts of the body that count; all without any")
    max_distance: Annotated[int, Field(ge=0, lt=2**31)] | None = Field(None, description="In bits")
    only_certain: bool = Field(False, description="Leave out hits that are not certain")
    fpir: Share = Field(FPIR, description="Share of searches for somebody absent that find somebody called certain")
    by: By = Field("item", description="What a hit is")
    person: Text | None = Field(None, description="Whom the query shows: items rejected as them are left out")
    rescore: bool = Field(False, description="Order the nearest items by the query's floats")


class SearchIn(HowIn):
    """A search: by pictures (in parts of the request beside this), by codes, or by the id of an item."""

    codes: PackedCodes | None = None
    id: Id | None = Field(None, description="An item of the gallery as the query")
    box: Annotated[list[float], Field(min_length=4, max_length=4)] | None = Field(
        None, description="Where the person is in the first picture, in pixels: left, top, width, height"
    )
    flip: bool | None = Field(None, description="Average each picture with its mirror image; null: as the model says")
    details: bool | None = Field(
        None,
        description="Whether hits tell more: attributes, distances of parts, metadata. Null: yes, but for codes",
    )


class DescriptionIn(Schema):
    """A search by a description."""

    wanted: dict[str, Annotated[float, Field(ge=0, le=1)]] = Field(
        description="Attributes that count, and how probable the person has each", examples=[{"backpack": 1, "hat": 0}]
    )
    k: int = Field(HITS, ge=1, le=MOST_HITS)
    where: str | None = Field(None, max_length=16_384)


class More(Schema):
    """Details of an item, told on demand."""

    attributes: dict[str, list[str]] | None = Field(
        None, description="What the attribute code says: names of attributes that it has, by group"
    )
    source: str | None = Field(None, description="The reference that it was added with, such as a file's name")
    metadata: dict[str, Any] | None = None
    picture: str | None = Field(None, description="Path of its thumbnail, where one is kept")


class HitOut(More):
    """An item that was found."""

    id: Id
    distance: float = Field(description="In bits; of a description, the expected number of wrong attributes")
    probability: float | None = Field(description="That it shows the query's person; null where nobody knows")
    certain: bool | None = Field(description="Whether it is within the threshold; null where nobody knows")
    camera: int | None
    camera_name: str | None = None
    time: datetime | None = Field(strict=False)
    tracklet: str | None
    person: str | None
    votes: int = Field(description="Items that speak for a tracklet or person")
    part_distances: dict[str, int] | None = Field(None, description="Bits that differ, by part of the body")


class HitsOut(Schema):
    """What was found for one query, nearest first."""

    query: str
    n_gallery: int = Field(description="Items that passed the filter")
    n_visited: int = Field(description="Items of these that were compared; fewer in a clustered search only")
    threshold: int | None = Field(description="Distance up to which hits are certain; -1: none; null: nobody knows")
    nobody: bool = Field(description="Whether the answer is that nobody is there")
    unmet: list[str] = Field([], description="What the filter asks that no item has, where no item passed it")
    hits: list[HitOut]
    attributes: dict[str, float] | None = Field(None, description="Probabilities of attributes of a query's pictures")


class SearchOut(Schema):
    """An entry for each query."""

    queries: list[HitsOut]


# Items.


class ItemIn(Schema):
    """Facts about a picture; all of them may be unknown."""

    id: Id | None = Field(None, description="Null: the service makes one")
    camera: Annotated[int, Field(ge=-1, lt=2**63)] | None = None
    camera_name: Text | None = Field(None, description="Without a number: the camera of that name, or a new one")
    time: datetime | None = Field(None, strict=False, description="With its offset from UTC")
    tracklet: Text | None = None
    person: Text | None = None
    source: Text | None = Field(None, description="A reference that only you understand; null: the file's name")
    metadata: dict[str, Any] | None = None


class AddIn(Schema):
    """Items to add: one a picture (in parts of the request beside this), or one a row of codes."""

    items: list[ItemIn] = Field([], max_length=MOST_ITEMS, description="In order; none: nothing is known of any")
    codes: PackedCodes | None = None
    if_exists: Literal["keep", "replace"] = Field("keep", description="What becomes of an item with the same id")


class Failed(Schema):
    """A picture that was left out."""

    index: int
    error: ErrorIn


class AddOut(Schema):
    """What was added."""

    ids: list[Id | None] = Field(description="Of each item, in order; null for one that failed")
    new: int = Field(description="Items that were not there before")
    failed: list[Failed]


class ItemOut(More):
    """An item of the gallery."""

    id: Id
    camera: int | None
    camera_name: str | None
    time: datetime | None = Field(strict=False)
    tracklet: str | None
    person: str | None


class ItemsOut(Schema):
    """A page of items."""

    items: list[ItemOut]
    next: str | None = Field(description="`after` of the next page; null after the last one")


class ListIn(Schema):
    """Which items to list."""

    model_config = ConfigDict(extra="forbid", strict=False)  # a query has texts alone

    where: Annotated[str, Field(max_length=16_384)] | None = Field(None, examples=["camera = 1"])
    limit: Annotated[int, Field(ge=1, le=MOST_ITEMS)] = 100
    after: Annotated[str, Field(pattern=r"^-?[0-9]{1,19}$")] | None = Field(
        None, description="`next` of the page before"
    )


class DeleteIn(Schema):
    """What to delete: items of these ids, or all that pass a filter."""

    ids: Annotated[list[Id], Field(max_length=MOST_IDS)] | None = None
    where: Annotated[str, Field(max_length=16_384)] | None = None
    dry_run: bool = Field(False, description="Only say how many there are")


class DeleteOut(Schema):
    """What was deleted."""

    deleted: int = Field(description="How many items; with dry_run, how many would be")


# People.


class DecideIn(Schema):
    """A decision about items, and all of their tracklets."""

    ids: list[Id] = Field(min_length=1, max_length=MOST_IDS)
    person: Text


class MergeIn(Schema):
    """The decision that two persons are one."""

    from_: Text = Field(alias="from", description="Who is the other one, and has no items afterwards")
    into: Text


class DecideOut(Schema):
    """What was decided."""

    items: int = Field(description="How many items it was about")


class UndoOut(Schema):
    """What was undone."""

    undone: str | None = Field(description="As 'confirm P7'; null where there was nothing to undo")


# Encoding.


class EncodeIn(Schema):
    """How pictures are encoded."""

    merge: bool = Field(False, description="Whether all pictures show one person, and make one code")
    features: bool = Field(False, description="Whether the floats are returned, too")
    flip: bool | None = Field(None, description="Average each picture with its mirror image; null: as the model says")


class EncodeOut(Schema):
    """Codes of pictures, a row each."""

    codes: PackedCodes
    attributes: list[dict[str, float] | None] = Field(description="Probabilities by name, a row each")


# The service itself.


class AttributeOut(Schema):
    """An attribute that can be asked for."""

    name: str
    group: str = Field(description="What it is a value of, as upper_colour; else its own name")


class ContractOut(Schema):
    """What the codes of the gallery are."""

    model: str
    name: str
    n_bits: int
    parts: dict[str, int] = Field(description="Bits of each part of the body")
    attributes: list[AttributeOut]
    calibrated: bool = Field(description="Whether distances have probabilities and a threshold")
    coarse: bool = Field(description="Whether searches take `recall`")


class InfoOut(Schema):
    """The gallery, the model and what this caller may do."""

    version: str
    items: int
    persons: int | None
    tracklets: int | None
    cameras: dict[str, str | None] = Field(description="Names of cameras, by number; null for one without a name")
    contract: ContractOut
    input: list[int] = Field(description="Height and width of pictures as the model sees them")
    scopes: list[Literal["search", "write", "admin"]]
    keeps_pictures: bool
    limits: dict[str, int]


class HealthOut(Schema):
    """Whether the service answers."""

    status: Literal["ok", "ready"]
