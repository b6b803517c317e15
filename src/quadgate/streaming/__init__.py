"""One sample at a time, for ever: the answer after every sample, with the bits that one batch has.

NumPy and the compiled kernels alone; a step allocates nothing there, takes no lock and calls no system.
"""

from quadgate.streaming.shared import SharedStreams
from quadgate.streaming.state import StreamState
from quadgate.streaming.stream import Stream, Streams

__all__ = ["SharedStreams", "Stream", "StreamState", "Streams"]
