"""Settings of the service."""

import math
from dataclasses import dataclass
from pathlib import Path

from bitreid.data.decoding import MAX_PIXELS
from bitreid.errors import SettingsError
from bitreid.service.entrance import is_loopback
from bitreid.service.limits import Limits

MOST_WORKERS = 64
RATE = 100.0
"""Requests a second of each key, where nothing else is said."""


@dataclass(frozen=True)
class ServiceSettings:
    """How a service is started; see `bitreid serve --help`."""

    gallery: str | None = None
    """The gallery's place; None for an empty one in memory."""

    model: str = "drawn"
    """What encodes pictures: the folder of an artifact, or the name of a model that comes with bitreid."""

    n_bits: int | None = None
    """Length of the codes where the gallery is a new one in memory; any other gallery knows its own."""

    engine: str | None = None
    """What runs the model; None for `onnx` where the model has it."""

    flip: bool | None = None
    """Whether each picture is encoded as the mean over it and its mirror image; None as the model's card says."""

    host: str = "127.0.0.1"
    """Address to listen at. Any but this machine's own (loopback) needs keys."""

    port: int = 8080
    """Port to listen at; 0 for one that is free."""

    keys: Path | None = None
    """The file of keys; None where nobody needs one."""

    keep_pictures: Path | None = None
    """The folder of thumbnails; None where no picture is kept."""

    max_body: int = 16 * 2**20
    """Bytes of a request, at most."""

    max_pixels: int = 2**25
    """Pixels of a picture, at most."""

    rate: float | None = None
    """Requests a second of each key, or address where there are no keys; None for `RATE`, or, without keys, for any."""

    decoders: int = 2
    """Processes of each worker that decode pictures."""

    workers: int = 1
    """Processes that answer, which share the gallery."""

    threads: int | None = None
    """Threads of the encoder and of each search; None for `default_threads`."""

    grace_s: float = 20.0
    """How long requests that are under way may take when the service is told to stop."""

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise SettingsError(f"expected a port from 0 to 65535, got {self.port}")
        if not 1 <= self.workers <= MOST_WORKERS:
            raise SettingsError(f"expected 1 to {MOST_WORKERS} workers, got {self.workers}")
        if self.workers > 1 and self.gallery is None:
            raise SettingsError(f"expected --gallery with {self.workers} workers, which share it, got none; name one")
        if not self.is_loopback and self.keys is None:
            raise SettingsError(
                f"expected --keys with the address {self.host}, which others reach, got none; `bitreid keys create` "
                "makes one"
            )
        if not 1 <= self.decoders <= MOST_WORKERS:
            raise SettingsError(f"expected 1 to {MOST_WORKERS} processes that decode pictures, got {self.decoders}")
        if not 1 <= self.max_pixels <= MAX_PIXELS:
            raise SettingsError(f"expected pictures of at most 1 to {MAX_PIXELS:,} pixels, got {self.max_pixels:,}")
        if not 0 <= self.grace_s < math.inf:
            raise SettingsError(f"expected a number of seconds to stop in, got {self.grace_s}")

    @property
    def limits(self) -> Limits:
        """The limits of each worker; among several, requests are taken to be shared out evenly."""
        rate = RATE if self.rate is None and self.keys is not None else self.rate
        return Limits(body=self.max_body, rate=None if rate is None else rate / self.workers)

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the service."""
        return is_loopback(self.host)
