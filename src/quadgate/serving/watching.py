"""What the live page sees of a stream: input, gates, memory cells and answer after each sample."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from starlette.websockets import WebSocket, WebSocketDisconnect

from quadgate.cell import LSTMParameters
from quadgate.cell.gru import gru_step
from quadgate.cell.lstm import lstm_step
from quadgate.errors import QuadgateError

if TYPE_CHECKING:
    from quadgate.model import Model

Array = NDArray[Any]

MOST = 50  # samples of a message


class Watch:
    """A stream whose top layer's step is taken again in float64, gate by gate, from the state before it."""

    def __init__(self, model: Model, output: str) -> None:
        self._model, self._stream = model, model.stream(output)

    def step(self, x: Array) -> dict[str, Any]:
        """Take a sample `[C]` and return what it did, as lists."""
        before = self._stream.state.layers
        answer = self._stream.step(x)
        after = self._stream.state.layers
        top = self._model.layers[-1][0]
        if len(after) > 1:
            below: Array = after[-2][-1]
        else:
            scaling = self._model.scaling
            below = (np.asarray(x, np.float32) if scaling is None else scaling.apply(np.asarray(x)))[None]
        state = before[-1]
        if isinstance(top, LSTMParameters):
            step = lstm_step(below, state[0], state[1], top)
            gates = {name: getattr(step, name)[0] for name in "ijfo"}
            cells = after[-1][0][0]
        else:
            done = gru_step(below, state[0], top)
            gates = {name: getattr(done, name)[0] for name in "zrn"}
            cells = after[-1][0][0]
        shown = {name: np.round(values, 4).tolist() for name, values in gates.items()}
        return {
            "x": np.asarray(x, np.float64).tolist(),
            "gates": shown,
            "c": np.round(cells, 4).tolist(),
            "answer": answer.tolist(),
        }

    async def run(self, socket: WebSocket) -> None:
        """Answer `{"samples": [[...]]}` and `{"reset": true}` until the client leaves."""
        while True:
            try:
                message = await socket.receive_json()
                if isinstance(message, dict) and message.get("reset") is True:
                    self._stream.reset()
                    await socket.send_json({"reset": True})
                    continue
                samples = message.get("samples") if isinstance(message, dict) else None
                if not isinstance(samples, list) or len(samples) > MOST:
                    await socket.send_json({"error": f"expected samples, at most {MOST}"})
                    continue
                await socket.send_json({"steps": [self.step(np.asarray(one, np.float64)) for one in samples]})
            except (WebSocketDisconnect, RuntimeError):
                return
            except (QuadgateError, ValueError, TypeError, KeyError) as error:
                await socket.send_json({"error": str(error)[:300]})
