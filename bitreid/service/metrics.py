"""What the service measures, for Prometheus."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SHARED = "PROMETHEUS_MULTIPROC_DIR"
"""The environment variable that names the folder in which several workers keep what they measure."""

Step = Literal["decode", "encode", "search", "gallery_write"]
_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128)


class Metrics:
    """The metrics of one app, with a registry of their own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        registry = self._registry
        labels = ("method", "route", "status")
        self._requests = Histogram(
            "bitreid_request_seconds", "Whole requests.", labels, registry=registry, buckets=_SECONDS
        )
        self._steps = Histogram(
            "bitreid_step_seconds", "Steps of requests.", ("step",), registry=registry, buckets=_SECONDS
        )
        self._sizes = Histogram(
            "bitreid_batch_size",
            "Pictures that were encoded, and queries that were searched for, together.",
            ("step",),
            registry=registry,
            buckets=_SIZES,
        )
        self._problems = Counter("bitreid_problems", "Errors that were answered.", ("kind",), registry=registry)
        self._in_progress = Gauge(
            "bitreid_requests_in_progress",
            "Requests that are under way.",
            registry=registry,
            multiprocess_mode="livesum",
        )

    @contextmanager
    def timed(self, step: Step) -> Iterator[None]:
        """Within it passes the time that a step takes."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self._steps.labels(step).observe(time.perf_counter() - start)

    def batch(self, step: Step, size: int) -> None:
        """Count pictures or queries that were handled together."""
        self._sizes.labels(step).observe(size)

    def text(self) -> bytes:
        """Return all metrics as Prometheus reads them, those of all workers where there are several."""
        if SHARED not in os.environ:
            return generate_latest(self._registry)
        together = CollectorRegistry()
        MultiProcessCollector(together)  # type: ignore[no-untyped-call]
        return generate_latest(together)

    def measured(self, app: ASGIApp) -> ASGIApp:
        """Return an app whose requests are measured, by route and status."""

        async def run(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                return await app(scope, receive, send)
            status, start = 500, time.perf_counter()

            async def told(message: Message) -> None:
                nonlocal status
                if message["type"] == "http.response.start":
                    status = message["status"]
                await send(message)

            self._in_progress.inc()
            try:
                await app(scope, receive, told)
            finally:
                self._in_progress.dec()
                route = getattr(scope.get("route"), "path", "none")
                taken = time.perf_counter() - start
                self._requests.labels(scope["method"] if route != "none" else "any", route, status).observe(taken)
                if "problem" in scope:
                    self._problems.labels(scope["problem"]).inc()
            return None

        return run
