"""A model behind HTTP and WebSocket: whole series in the Open Inference Protocol, samples as they come."""

from quadgate.serving.app import make_app
from quadgate.serving.server import serve
from quadgate.serving.settings import Settings

__all__ = ["Settings", "make_app", "serve"]
