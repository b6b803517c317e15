"""What a server counts, for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 5)


class Measures:
    """The counters of one server."""

    def __init__(self) -> None:
        registry = self._registry = CollectorRegistry()
        self.requests = Counter("quadgate_requests", "Inference requests over HTTP", ["status"], registry=registry)
        self.sessions = Gauge("quadgate_sessions", "Streams that are open", registry=registry)
        self.frames = Counter("quadgate_frames", "WebSocket messages with samples", ["status"], registry=registry)
        self.answered = self.frames.labels("answered")
        self.samples = Counter("quadgate_samples", "Samples that streams took", registry=registry)
        self.frame_seconds = Histogram(
            "quadgate_frame_seconds", "From a message with samples to its answer", buckets=SECONDS, registry=registry
        )
        self.together = Histogram(
            "quadgate_streams_together",
            "Streams computed in one call",
            buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256),
            registry=registry,
        )

    def text(self) -> bytes:
        """Return all of them in Prometheus' text format."""
        return generate_latest(self._registry)
