"""Streams among clients that vanish, send garbage, too much, half a frame or the wrong order, until a SIGTERM."""

import asyncio
import base64
import json
import os
import signal
import struct
from contextlib import suppress

import numpy as np
import pytest

from quadgate import save
from quadgate.kernels import explain_choice
from quadgate.model import Model, Network, Scaling
from served import serving

pytest.importorskip("fastapi", reason="not run: found no fastapi; pip install 'quadgate[serve]'")
websockets = pytest.importorskip("websockets.asyncio.client", reason="not run: found no websockets")
ConnectionClosed = pytest.importorskip("websockets.exceptions").ConnectionClosed

COMPILED = explain_choice().implementation == "compiled"
PATH = "/v2/models/model/stream"
GOOD, STEPS, FRAME = 24, 20_000, 5


def drawn():
    network, random = Network(3, 16, 4, pool="attention"), np.random.default_rng(1)
    variables = {name: random.normal(0, 0.6, shape).astype(np.float32) for name, shape in network.shapes.items()}
    return Model(network, variables, scaling=Scaling([0.5, 0, 1], [2, 1, 0.5]))


def same(found, expected):
    if COMPILED:
        assert found.tobytes() == expected.tobytes()
    else:
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


class Good:
    """A stream that goes on until the server hands it its state, and then in another process."""

    def __init__(self, x, expected):
        self.x, self.expected, self.at, self.state = x, expected, 0, None
        self.answers = []

    async def play(self, address, frames):
        async with websockets.connect(f"ws://{address}{PATH}", compression=None) as socket:
            await socket.recv()
            if self.state is not None:
                await socket.send(json.dumps({"restore": self.state}))
                assert json.loads(await socket.recv()) == {"restored": True}
            for _ in range(frames):
                with suppress(ConnectionClosed):  # what the server said before can be read
                    await socket.send(self.x[self.at : self.at + FRAME].tobytes())
                reply = await socket.recv()
                if isinstance(reply, str):
                    told = json.loads(reply)
                    assert (told["closing"], told["steps"]) == ("the server stops", self.at)
                    self.state = told["state"]
                    return
                self.answers.append(np.frombuffer(reply, "<f4").reshape(-1, 4))
                self.at += FRAME
                await asyncio.sleep(0.02)
            assert self.state is not None, "the series ended before the server did"

    def check(self):
        same(np.concatenate(self.answers), self.expected[: self.at])


async def opened(address):
    socket = await websockets.connect(f"ws://{address}{PATH}", compression=None, max_size=None)
    await socket.recv()
    return socket


async def vanishes(address, model, x):
    socket = await opened(address)
    await socket.send(x.tobytes())
    socket.transport.abort()


async def talks_nonsense(address, model, x):
    """Every refusal leaves its own stream as it was too."""
    bad = x.copy()
    bad[3, 1] = np.nan
    other = base64.b64encode(Model(model.network, model.variables).stream("probabilities").state.to_bytes()).decode()
    refused = [bad.tobytes(), bad.tobytes()[:-3], b"", np.ones((5000, 3), "f4").tobytes(), "\0", "[]", "{" * 10_000]
    refused += [json.dumps({"restore": other}), json.dumps({"samples": [[1]]}), json.dumps({"state": False})]
    socket = await opened(address)
    await socket.send(x[:10].tobytes())
    found = [await socket.recv()]
    for message in refused:
        await socket.send(message)
        assert "error" in json.loads(await socket.recv())
    await socket.send(x[10:].tobytes())
    found.append(await socket.recv())
    same(np.frombuffer(b"".join(found), "<f4").reshape(-1, 4), model.stream("probabilities").run(x))
    await socket.close()


async def sends_too_much(address, model, x):
    socket = await opened(address)
    with pytest.raises(ConnectionClosed):  # noqa: PT012 - which of the two notices it is chance
        await socket.send(b"x" * (2**20 + 12))
        await socket.recv()


async def does_not_read(address, model, x):
    """Its answers wait, in order."""
    socket = await opened(address)
    for row in x:
        await socket.send(row.tobytes())
    found = [await socket.recv() for _ in x]
    same(np.frombuffer(b"".join(found), "<f4").reshape(-1, 4), model.stream("probabilities").run(x))
    await socket.close()


async def by_hand(address, *, handshake=True):
    """A connection whose bytes are ours."""
    host, port = address.rsplit(":", 1)
    reader, writer = await asyncio.open_connection(host, int(port))
    if handshake:
        key = base64.b64encode(os.urandom(16)).decode()
        head = [f"GET {PATH} HTTP/1.1", f"Host: {address}", "Upgrade: websocket", "Connection: Upgrade"]
        head += [f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13", "", ""]
        writer.write("\r\n".join(head).encode())
        await reader.readuntil(b"\r\n\r\n")
    return reader, writer


HALF_A_FRAME = b"\x82" + bytes([0x80 | 60]) + b"mask" + b"x" * 20


async def leaves_in_a_frame(address, model, x):
    _, writer = await by_hand(address)
    writer.write(HALF_A_FRAME)
    await writer.drain()
    await asyncio.sleep(0.02)
    writer.transport.abort()


async def breaks_the_protocol(address, model, x):
    """A frame without a mask, which only servers may send, and one with bits that are not agreed on."""
    for frame in (b"\x82\x0c" + x[0].tobytes(), b"\xf2\x8c" + b"mask" + x[0].tobytes()):
        reader, writer = await by_hand(address)
        writer.write(frame)
        await asyncio.wait_for(reader.read(), 30)  # to the end: the server closes
        writer.close()


async def begins_with_a_frame(address, model, x):
    reader, writer = await by_hand(address, handshake=False)
    writer.write(struct.pack("!BB", 0x82, 0x80 | 12) + b"mask" + x[0].tobytes() + b"\r\n\r\n")
    assert b"400" in await asyncio.wait_for(reader.read(), 30)
    writer.close()


BAD = [vanishes, talks_nonsense, sends_too_much, does_not_read, leaves_in_a_frame, breaks_the_protocol]
BAD += [begins_with_a_frame]


@pytest.mark.slow
def test_nothing_is_lost_and_no_stream_sees_another(tmp_path):
    model, random = drawn(), np.random.default_rng(2)
    save(model, tmp_path / "model")
    series = random.normal(size=(GOOD, STEPS, 3)).astype(np.float32)
    expected = model.streams(GOOD, "probabilities").run(series)
    streams = [Good(x, right) for x, right in zip(series, expected, strict=True)]

    async def until_it_stops(address, process):
        playing = [asyncio.create_task(one.play(address, STEPS // FRAME)) for one in streams]
        _, held = await by_hand(address)
        held.write(HALF_A_FRAME)  # and never the rest
        x = random.normal(size=(40, 3)).astype(np.float32)
        for _ in range(3):
            await asyncio.gather(*(bad(address, model, x) for bad in BAD))
        while min(one.at for one in streams) < 20 * FRAME:
            await asyncio.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        await asyncio.gather(*playing)
        held.close()

    with serving(tmp_path / "model", "--body", "1", "--sessions", "64") as (address, process):
        asyncio.run(asyncio.wait_for(until_it_stops(address, process), 120))
        assert process.wait(timeout=60) == 0
    for one in streams:
        one.check()

    async def go_on(address):
        await asyncio.gather(*(one.play(address, 8) for one in reversed(streams)))

    with serving(tmp_path / "model") as (address, _):
        asyncio.run(asyncio.wait_for(go_on(address), 120))
    for one in streams:
        assert len(one.answers) >= 28
        one.check()
