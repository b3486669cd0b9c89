"""Settings of the service."""

from dataclasses import dataclass
from pathlib import Path

from bitreid.errors import SettingsError

LOOPBACK = ("127.0.0.1", "::1", "localhost")
MOST_WORKERS = 64


@dataclass(frozen=True)
class ServiceSettings:
    """How a service is started; see `bitreid serve --help`."""

    gallery: str | None = None
    """The gallery's place; None for an empty one in memory."""

    model: str = "drawn"
    """What encodes pictures: the folder of an artifact, or the name of a model that comes with bitreid."""

    bits: int | None = None
    """Length of the codes where the gallery is a new one in memory; any other gallery knows its own."""

    engine: str | None = None
    """What runs the model; None for `onnx` where the model has it."""

    flip: bool | None = None
    """Whether each picture is encoded as the mean over it and its mirror image; None as the model's card says."""

    host: str = "127.0.0.1"
    """Address to listen at. Any but this machine's own (`LOOPBACK`) needs keys."""

    port: int = 8080
    """Port to listen at; 0 for one that is free."""

    keys: Path | None = None
    """The file of keys; None where nobody needs one."""

    keep_pictures: Path | None = None
    """The folder of thumbnails; None where no picture is kept."""

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
        if self.grace_s < 0:
            raise SettingsError(f"expected a number of seconds to stop in, got {self.grace_s}")

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the service."""
        return self.host in LOOPBACK or self.host.startswith("127.")
