"""A refusal reaches clients that send first and read later."""

import asyncio
import json
import time
from socket import create_connection

import numpy as np
import pytest

from quadgate import save
from quadgate.model import Model, Network
from served import serving

pytest.importorskip("fastapi", reason="not run: found no fastapi; pip install 'quadgate[serve]'")

from quadgate.serving import lingering

TOO_LARGE = 2**20 + 1


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    """Addresses by what they want: a token, or nothing."""
    network = Network(inputs=1, units=2, classes=2)
    run = tmp_path_factory.mktemp("served") / "model"
    save(Model(network, {name: np.zeros(shape, np.float32) for name, shape in network.shapes.items()}), run)
    with serving(run, "--body", "1") as (free, _), serving(run, "--body", "1", QUADGATE_TOKEN="secret") as (closed, _):  # noqa: S106
        yield {"free": free, "closed": closed}


@pytest.fixture
def server(servers):
    return servers["free"]


def ask(server, *head, path="/v2/models/model/infer"):
    host, port = server.rsplit(":", 1)
    socket = create_connection((host, int(port)), timeout=20)
    lines = [f"POST {path} HTTP/1.1", *head, *([] if "Host:" in str(head) else [f"Host: {server}"]), "", ""]
    socket.sendall("\r\n".join(lines).encode())
    return socket


def answer(socket):
    """Read to the end, which comes without a reset."""
    text = b"".join(iter(lambda: socket.recv(2**16), b""))
    head, body = text.split(b"\r\n\r\n", 1)
    return int(head.split()[1]), json.loads(body)["error"]


def send_slowly(socket, body):
    for begin in range(0, len(body), 2**17):
        time.sleep(0.05)  # in which the server has long refused
        socket.sendall(body[begin : begin + 2**17])


CHUNKED = b"%x\r\n%s\r\n0\r\n\r\n" % (TOO_LARGE, b"x" * TOO_LARGE)


@pytest.mark.parametrize(
    ("kind", "head", "body", "status", "text"),
    [
        ("free", [f"Content-Length: {TOO_LARGE}"], b"x" * TOO_LARGE, 413, "found more than 1,048,576 bytes"),
        ("free", ["Transfer-Encoding: chunked"], CHUNKED, 413, "found more than 1,048,576 bytes"),
        ("free", ["Content-Length: 1000000", "Host: evil.example"], b"x" * 1_000_000, 403, "host: found another"),
        ("closed", ["Content-Length: 1000000"], b"x" * 1_000_000, 401, "token: found none"),
        ("free", ["Content-Length: 1000000"], b"x" * 1_000_000, 400, "found no JSON"),
    ],
    ids=["length", "chunked", "another host", "no token", "no JSON"],
)
def test_a_client_that_still_sends_has_its_answer(servers, kind, head, body, status, text):
    with ask(servers[kind], *head, "Connection: close") as socket:
        send_slowly(socket, body)
        found, said = answer(socket)
    assert (found, text in said) == (status, True), said


def test_an_address_that_there_is_not(server):
    with ask(server, "Content-Length: 1000000", "Connection: close", path="/none") as socket:
        send_slowly(socket, b"x" * 1_000_000)
        assert socket.recv(2**16).startswith(b"HTTP/1.1 404")


def test_a_client_that_asks_first_need_not_send(server):
    with ask(server, f"Content-Length: {TOO_LARGE}", "Expect: 100-continue") as socket:
        text = socket.recv(2**16)
        while text.endswith(b"\r\n") and (more := socket.recv(2**16)):
            text += more
    assert text.startswith(b"HTTP/1.1 413")
    assert text.endswith(b'expected less"}')


async def end(receive):
    """Answer without reading and return what was sent."""
    sent = []

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 404, "headers": []})
        await send({"type": "http.response.body", "body": b"no"})

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "headers": [(b"transfer-encoding", b"chunked")]}
    await asyncio.wait_for(lingering.Lingering(app)(scope, receive, send), 20)
    assert [message.get("more_body", False) for message in sent[1:]] == [True, False]
    assert [message.get("body", b"") for message in sent[1:]] == [b"no", b""]


def test_it_discards_only_so_many_bytes():
    taken = 0

    async def receive():
        nonlocal taken
        taken += 2**20
        return {"type": "http.request", "body": bytes(2**20), "more_body": True}

    asyncio.run(end(receive))
    assert taken == lingering.BYTES + 2**20


def test_it_waits_only_so_long(monkeypatch):
    async def receive():
        await asyncio.sleep(0.01)
        return {"type": "http.request", "body": b"x", "more_body": True}

    monkeypatch.setattr(lingering, "SECONDS", 0.2)
    asyncio.run(end(receive))


def test_it_notices_that_the_client_left():
    async def receive():
        return {"type": "http.disconnect"}

    asyncio.run(end(receive))
