"""What the routes of the service work with: the gallery, the model and the threads that use them."""

import asyncio
import threading
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar, cast

import anyio
import anyio.to_thread
import numpy as np
from fastapi import Request

from bitreid.arrays import Pixels
from bitreid.codes import Codes, concatenated
from bitreid.encoding.encoder import Encoded, Encoder
from bitreid.errors import PictureError
from bitreid.gallery import Contract, Gallery, Hits, create_gallery, open_gallery
from bitreid.gallery.audit import acting_as
from bitreid.gallery.query import Queries, SearchRequest, search_queries
from bitreid.gallery.unmet import unmet_told
from bitreid.service.batching import Batcher
from bitreid.service.decoding import Decoded, Decoders
from bitreid.service.metrics import Metrics
from bitreid.service.pictures import KeptPictures
from bitreid.service.problems import Problem
from bitreid.service.seams import Caller
from bitreid.service.settings import ServiceSettings

PICTURES_TOGETHER = 64
"""Pictures that are encoded together, at most."""
QUERIES_TOGETHER = 64
"""Queries that are searched for in one call of the kernel, at most, but for those of one request."""
SEARCHES = 4
"""Searches that differ in their settings and run beside each other, at most."""
THREADS = 16
"""Requests that use the gallery beside each other, at most."""

Result = TypeVar("Result")


class Loaded(NamedTuple):
    """What a service answers from."""

    gallery: Gallery
    encoder: Encoder


def load(settings: ServiceSettings) -> Loaded:
    """Return the gallery and the encoder that the settings name; codes are as long as the gallery's."""
    n_bits = settings.n_bits
    if settings.gallery is not None:
        gallery = open_gallery(settings.gallery)
        n_bits = gallery.contract.n_bits
    try:
        encoder = Encoder.open(
            settings.model, settings.engine, n_bits=n_bits, flip=settings.flip, threads=settings.threads
        )
        if settings.gallery is None:
            gallery = create_gallery("memory:", Contract.of(encoder.card, n_bits), audited=False)
        gallery.contract.check_model(encoder.model)
    except BaseException:
        if settings.gallery is not None:
            gallery.close()
        raise
    return Loaded(gallery, encoder)


class Sent(NamedTuple):
    """A picture that a client sent, and what they call it."""

    name: str
    content: bytes


class Searched(NamedTuple):
    """The hits of each query, and what the filter asks that no item has, as filters of their own."""

    hits: list[Hits]
    unmet: list[str]


class SearchKey(NamedTuple):
    """What searches have in common that are done together; `caller` is who the audit names."""

    caller: Caller
    request: SearchRequest
    model: str
    n_bits: int
    short: bool
    features: bool


@dataclass
class Service:
    """One running service. `loaded` is None until everything is loaded, and `stopping` true from then on when it ends.

    `decoders` and `pictures` are given; whoever makes it starts the decoders.
    """

    settings: ServiceSettings
    decoders: Decoders
    pictures: KeptPictures | None = None
    metrics: Metrics = field(default_factory=Metrics)
    loaded: Loaded | None = None
    stopping: bool = False
    naming: threading.Lock = field(default_factory=threading.Lock)
    """Held while new names of cameras get their numbers."""

    @property
    def ready(self) -> bool:
        """Whether requests are answered."""
        return self.loaded is not None and not self.stopping

    @property
    def gallery(self) -> Gallery:
        """The gallery; a `Problem` (503) until it is loaded."""
        return self._loaded().gallery

    @property
    def encoder(self) -> Encoder:
        """The encoder; a `Problem` (503) until it is loaded."""
        return self._loaded().encoder

    def _loaded(self) -> Loaded:
        if self.loaded is None:
            message = "expected a service that is ready, got one that still loads; try again later"
            raise Problem(503, "not_ready", message)
        return self.loaded

    def start(self, loaded: Loaded) -> None:
        """Begin to answer from what was loaded, in the running event loop."""
        encoder = loaded.encoder
        self._encoders = {
            flip: encoder
            if flip is None or flip == encoder.flip
            else Encoder(encoder.card, encoder.engine, encoder.n_bits, flip, encoder.runs, encoder.threads)
            for flip in (None, True, False)
        }
        self._threads = anyio.CapacityLimiter(THREADS)
        self._decoding = anyio.CapacityLimiter(self.decoders.n)
        self._encoding = Batcher(self._encode, len, most=PICTURES_TOGETHER)
        self._searching = Batcher(
            self._search, lambda queries: len(queries.names), most=QUERIES_TOGETHER, n_threads=SEARCHES
        )
        if self.pictures is not None:
            loaded.gallery.on_delete = self.pictures.forget
        self.loaded = loaded

    def stop(self) -> None:
        """Wait for what is under way, and close the gallery."""
        self.stopping = True
        if self.loaded is not None:
            self._encoding.close()
            self._searching.close()
            self.loaded.gallery.close()
        self.decoders.close()

    # Work in threads, off the event loop.

    async def call(self, caller: Caller, work: Callable[..., Result], *arguments: Any) -> Result:
        """Return what `work(*arguments)` returns, which uses the gallery for a caller."""

        self._loaded()

        def acting() -> Result:
            with acting_as(caller.name):
                return work(*arguments)

        return await anyio.to_thread.run_sync(acting, limiter=self._threads)

    async def write(self, caller: Caller, work: Callable[..., Result], *arguments: Any) -> Result:
        """Return what `work(*arguments)` returns, which writes to the gallery for a caller."""

        def timed() -> Result:
            with self.metrics.timed("gallery_write"):
                return work(*arguments)

        return await self.call(caller, timed)

    async def decoded(
        self, pictures: Sequence[Sent], box: Sequence[float] | None = None
    ) -> list[Decoded | PictureError]:
        """Return pictures in order, or what is in a box of the first; the error of each that cannot be read.

        `box` is left, top, width and height, in pixels. A `Problem` for a box outside the picture.
        """

        self._loaded()

        async def one(i: int) -> Decoded | PictureError:
            return await anyio.to_thread.run_sync(
                self._decode, pictures[i], box if i == 0 else None, limiter=self._decoding
            )

        return await asyncio.gather(*map(one, range(len(pictures))))

    def _decode(self, picture: Sent, box: Sequence[float] | None) -> Decoded | PictureError:
        size = self.encoder.card.input
        try:
            with self.metrics.timed("decode"):
                kept = self.pictures is not None
                return self.decoders.decode(
                    picture.content, size.height, size.width, box, thumbnail=kept, name=picture.name
                )
        except PictureError as error:
            return error

    async def encode(self, pictures: Pixels, flip: bool | None = None) -> Encoded:
        """Return the codes of pictures `(n, H, W, 3)` of the encoder's size, beside those of other requests.

        At most `PICTURES_TOGETHER` of them.
        """
        assert len(pictures) <= PICTURES_TOGETHER
        return await self._encoding.do(flip, pictures)

    async def search(self, caller: Caller, queries: Queries, request: SearchRequest) -> Searched:
        """Return the hits of each query, which are searched for with those of other requests that ask the same way."""
        if queries.item is not None:

            def alone() -> Searched:
                with self.metrics.timed("search"), unmet_told() as unmet:
                    return Searched(search_queries(self.gallery, queries, request), unmet)

            return await self.call(caller, alone)
        short, features = queries.attribute_codes is not None, queries.features is not None
        key = SearchKey(caller, request, queries.model, queries.codes.n_bits, short, features)
        return await self._searching.do(key, queries)

    def _encode(self, key: Hashable, given: Sequence[Pixels]) -> list[Encoded]:
        pictures = np.concatenate(given)
        self.metrics.batch("encode", len(pictures))
        with self.metrics.timed("encode"):
            encoded = self._encoders[cast(bool | None, key)].encode(pictures)
        return [encoded[rows] for rows in _slices([len(each) for each in given])]

    def _search(self, key: Hashable, given: Sequence[Queries]) -> list[Searched]:
        assert isinstance(key, SearchKey)
        sizes = [len(each.names) for each in given]
        self.metrics.batch("search", sum(sizes))
        with self.metrics.timed("search"), acting_as(key.caller.name), unmet_told() as unmet:
            hits = search_queries(self.gallery, _together(given), key.request)
        return [Searched(hits[rows], unmet) for rows in _slices(sizes)]


def service_of(request: Request) -> Service:
    """Return the service that a request came to."""
    service = request.app.state.service
    assert isinstance(service, Service)
    return service


def all_read(decoded: Decoded | PictureError) -> Decoded:
    """Return a picture that could be read; raises the error of any other."""
    if isinstance(decoded, PictureError):
        raise decoded
    return decoded


def _slices(sizes: Sequence[int]) -> list[slice]:
    """Return the rows of parts of these sizes, one after the other."""
    ends = np.cumsum(sizes).tolist()
    return [slice(end - size, end) for size, end in zip(sizes, ends, strict=True)]


def _together(given: Sequence[Queries]) -> Queries:
    if len(given) == 1:
        return given[0]
    short: list[Codes] = [each.attribute_codes for each in given if each.attribute_codes is not None]
    features = [each.features for each in given if each.features is not None]
    return Queries(
        [name for each in given for name in each.names],
        concatenated([each.codes for each in given]),
        concatenated(short) if short else None,
        given[0].model,
        features=np.concatenate(features) if features else None,
    )
