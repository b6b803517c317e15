"""The server as its clients meet it: a process of its own, real sockets, a real browser."""

import asyncio
import base64
import json
import signal
import time
import urllib.error
import urllib.request
from contextlib import contextmanager, suppress
from socket import create_connection

import numpy as np
import pytest

from browser import chromium
from networks import ensemble
from quadgate import save
from quadgate.errors import InputError
from quadgate.kernels import explain_choice
from quadgate.model import Model, Network, Scaling
from quadgate.streaming import StreamState
from served import load, serving

pytest.importorskip("fastapi", reason="not run: found no fastapi; pip install 'quadgate[serve]'")
websockets = pytest.importorskip("websockets.sync.client", reason="not run: found no websockets")

from quadgate.serving import Settings  # noqa: E402

COMPILED = explain_choice().implementation == "compiled"


def a_model(**options) -> Model:
    network, random = (
        Network(**{"inputs": 3, "units": 16, "classes": 4, "pool": "mean", **options}),
        np.random.default_rng(1),
    )
    variables = {name: random.normal(0, 0.6, shape).astype(np.float32) for name, shape in network.shapes.items()}
    return Model(network, variables, labels=("sit", "walk", "run", "fall"), scaling=Scaling([0.5, 0, 1], [2, 1, 0.5]))


MODEL = a_model()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    run = tmp_path_factory.mktemp("served") / "model"
    save(MODEL, run)
    with serving(run, "--body", "1", "--sessions", "64") as (address, _):
        yield address


def get(address, path, **headers):
    with urllib.request.urlopen(urllib.request.Request(f"http://{address}{path}", headers=headers)) as reply:
        return reply.read().decode()


def post(address, body, path="/v2/models/model/infer", **headers):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(f"http://{address}{path}", data, headers)) as reply:
            return reply.status, reply.read(), reply.headers
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read(), error.headers


def tensor(x, kind="FP64", **more):
    return {"name": "x", "shape": list(x.shape), "datatype": kind, "data": x.tolist(), **more}


@contextmanager
def connect(address, **options):
    with websockets.connect(f"ws://{address}/v2/models/model/stream", **options) as socket:
        assert json.loads(socket.recv())["channels"] == 3
        yield socket


def refuses(address, **options):
    """Meet a refusal; the socket is opened here, because the library leaves its own to the collector then."""
    from websockets.exceptions import InvalidStatus

    host, port = address.rsplit(":", 1)
    with create_connection((host, int(port))) as opened:
        with pytest.raises(InvalidStatus) as refusal, connect(address, sock=opened, **options):
            pass
        return refusal.value.response.status_code


def ask(socket, message):
    socket.send(message if isinstance(message, (bytes, str)) else json.dumps(message))
    reply = socket.recv()
    return json.loads(reply) if isinstance(reply, str) else np.frombuffer(reply, "<f4").reshape(-1, 4)


def same(found, expected):
    if COMPILED:
        assert np.asarray(found, np.float32).tobytes() == np.asarray(expected, np.float32).tobytes()
    else:
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def draw(steps, seed=0):
    return np.random.default_rng(seed).normal(size=(steps, 3)).astype(np.float32)


def test_health_and_metadata(server):
    assert json.loads(get(server, "/v2/health/live")) == {"live": True}
    assert json.loads(get(server, "/v2/health/ready")) == {"ready": True}
    assert json.loads(get(server, "/v2"))["name"] == "quadgate"
    told = json.loads(get(server, "/v2/models/model"))
    assert told["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [-1, -1, 3]}]
    assert [one["name"] for one in told["outputs"]] == ["probabilities", "logits", "outputs"]
    assert json.loads(get(server, "/v2/models/model/versions/1/ready"))["ready"]


def test_whole_series_have_the_answers_of_run(server):
    x, lengths = np.random.default_rng(0).normal(size=(5, 9, 3)), np.array([9, 1, 0, 4, 9])
    request = {
        "id": "seven",
        "inputs": [tensor(x), {"name": "lengths", "shape": [5], "datatype": "INT64", "data": lengths.tolist()}],
        "outputs": [{"name": "logits"}, {"name": "probabilities"}],
    }
    status, body, _ = post(server, request)
    told = json.loads(body)
    assert (status, told["id"], told["model_name"]) == (200, "seven", "model")
    for one in told["outputs"]:
        same(np.reshape(one["data"], one["shape"]), MODEL.run(x, lengths=lengths, output=one["name"])[0])


def test_tensors_in_binary(server):
    x = np.random.default_rng(0).normal(size=(2, 9, 3)).astype("<f4")
    described = {"name": "x", "shape": [2, 9, 3], "datatype": "FP32", "parameters": {"binary_data_size": x.nbytes}}
    wanted = {"name": "logits", "parameters": {"binary_data": True}}
    text = json.dumps({"inputs": [described], "outputs": [wanted]}).encode()
    size = {"Inference-Header-Content-Length": str(len(text))}
    status, body, headers = post(server, text + x.tobytes(), **size)
    assert status == 200
    length = int(headers["Inference-Header-Content-Length"])
    assert json.loads(body[:length])["outputs"][0]["shape"] == [2, 4]
    same(np.frombuffer(body[length:], "<f4").reshape(2, 4), MODEL.run(x)[0])


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        (b"\xff{", 400, "found no JSON"),
        (b"[]", 400, "expected an object"),
        ({}, 400, "expected a list of tensors"),
        ({"inputs": []}, 400, "expected x"),
        ({"inputs": [{"name": "y"}]}, 400, "found another tensor"),
        ({"inputs": [tensor(np.ones((1, 2, 3)), "BYTES")]}, 400, "found datatype 'BYTES'"),
        ({"inputs": [tensor(np.ones((1, 3, 2)))]}, 400, "axes look swapped"),
        ({"inputs": [{**tensor(np.ones((1, 2, 3))), "shape": [9, 9, 3]}]}, 400, "found 6 numbers"),
        ({"inputs": [{**tensor(np.ones((1, 2, 3))), "data": ["a"]}]}, 400, "no numbers"),
        ({"inputs": [tensor(np.full((1, 2, 3), np.nan))]}, 400, "found nan"),
        ({"inputs": [tensor(np.ones((1, 2, 3)))], "outputs": [{"name": "logit"}]}, 400, "did you mean 'logits'"),
        (b"[" * 100_000, 400, "found no JSON"),
        (b"x" * (2**20 + 1), 413, "found more than 1,048,576 bytes"),
    ],
)  # fmt: skip
def test_requests_that_are_none(server, body, status, text):
    found, reply, _ = post(server, body)
    assert (found, text in json.loads(reply)["error"]) == (status, True), reply


def test_a_stream_gives_the_answers_of_the_batch(server):
    x = draw(40)
    with connect(server) as a, connect(server) as b:
        found = [ask(a, x[:7].tobytes()), ask(a, {"samples": x[7:9].tolist()})["answers"]]
        ask(b, (2 * x[:3]).tobytes())
        found += [ask(a, x[k : k + 1].tobytes()) for k in range(9, 40)]
        same(np.concatenate(found), MODEL.stream("probabilities").run(x))
        same(found[-1][0], MODEL.run(x[None], output="probabilities")[0][0])
        same(ask(b, (2 * x[3:]).tobytes())[-1], MODEL.run(2 * x[None], output="probabilities")[0][0])
        assert ask(a, {"reset": True}) == {"reset": True}
        same(ask(a, x.tobytes()), MODEL.stream("probabilities").run(x))


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (b"", "found 0 bytes"),
        (b"x" * 13, "found 13 bytes, expected samples of 12 bytes"),
        (np.array([1, np.nan, 0], "f4").tobytes(), "found nan at step 0, channel 1"),
        (np.full((5000, 3), 1, "f4").tobytes(), "found 5000 samples, expected at most 4096"),
        ("no json", "found no JSON"),
        ("[" * 50_000, "found no JSON"),
        ({"samples": [[1, 2], [1]]}, "unequal lengths"),
        ({"samples": [[1], [2], [3]]}, "expected (1, steps, 3)"),
        ({"samples": "abc"}, "dtype"),
        ({"jump": 3}, "expected one of samples"),
        ({"restore": "!"}, "base64"),
        ({"restore": base64.b64encode(b"nothing").decode()}, "the state of a stream"),
        ({"restore": base64.b64encode(a_model(units=5).stream().state.to_bytes()).decode()}, "another model"),
    ],
)  # fmt: skip
def test_messages_that_are_none_leave_the_stream_as_it_was(server, message, text):
    x = draw(6)
    with connect(server) as socket:
        ask(socket, x[:3].tobytes())
        assert text in ask(socket, message)["error"]
        same(ask(socket, x[3:].tobytes()), MODEL.stream("probabilities").run(x)[3:])


def test_a_message_that_is_too_large_ends_its_stream_alone(server):
    from websockets.exceptions import ConnectionClosed

    with connect(server) as good, connect(server) as bad:
        with pytest.raises(ConnectionClosed):  # noqa: PT012 - which of the two notices it is chance
            bad.send(b"x" * (2**20 + 4))
            bad.recv()
        assert ask(good, draw(2).tobytes()).shape == (2, 4)


def test_a_state_goes_on_in_another_process(server):
    x = draw(20)
    with connect(server) as socket:
        ask(socket, x[:11].tobytes())
        told = ask(socket, {"state": True})
    assert told["steps"] == 11
    here = MODEL.stream("probabilities")
    here.state = StreamState.from_bytes(base64.b64decode(told["state"]))
    same(here.run(x[11:]), MODEL.stream("probabilities").run(x)[11:])
    with connect(server) as socket:
        assert ask(socket, {"restore": told["state"]}) == {"restored": True}
        same(ask(socket, x[11:].tobytes()), MODEL.stream("probabilities").run(x)[11:])


def test_clients_that_vanish_leave_their_places(server):
    x = draw(30)
    for _ in range(2):  # more than there are places
        for _ in range(40):
            with connect(server) as socket:
                socket.send(x.tobytes())
                socket.socket.shutdown(2)
        deadline = time.monotonic() + 60
        while "quadgate_sessions 0.0" not in get(server, "/metrics") and time.monotonic() < deadline:
            time.sleep(0.1)
        assert "quadgate_sessions 0.0" in get(server, "/metrics")
    with connect(server) as socket:
        same(ask(socket, x.tobytes()), MODEL.stream("probabilities").run(x))


def test_metrics(server):
    with connect(server) as socket:
        ask(socket, draw(5).tobytes())
        text = get(server, "/metrics")
    assert "quadgate_sessions 1.0" in text
    assert "quadgate_frame_seconds_bucket" in text
    assert "quadgate_streams_together_count" in text


def test_many_streams_at_once_are_each_as_if_alone(server):
    series = np.random.default_rng(3).normal(size=(48, 60, 3)).astype(np.float32)
    answers, seconds = asyncio.run(load(server, series, rate=0))
    same(answers, MODEL.streams(48, "probabilities").run(series))
    assert len(seconds) == 48 * 12


@pytest.mark.parametrize("header", [{"Host": "evil.example"}, {"Origin": "http://evil.example"}])
def test_no_web_site_reaches_a_local_server(server, header):
    with pytest.raises(urllib.error.HTTPError) as refused:
        get(server, "/v2", **header)
    refused.value.close()
    assert refused.value.code == 403
    if "Origin" in header:
        assert refuses(server, origin="http://evil.example") == 403


def test_beyond_this_machine_a_token_is_needed():
    with pytest.raises(InputError, match="without a token"):
        Settings(host="0.0.0.0")  # noqa: S104
    assert Settings(host="0.0.0.0", token="t").host == "0.0.0.0"  # noqa: S104, S106


def test_limits_tokens_and_a_shutdown_that_hands_out_the_states(tmp_path):
    save(MODEL, tmp_path / "model")
    bearer = {"Authorization": "Bearer secret"}
    with serving(tmp_path / "model", "--sessions", "2", "--idle", "2", QUADGATE_TOKEN="secret") as (address, process):  # noqa: S106
        assert get(address, "/v2/health/live")
        with pytest.raises(urllib.error.HTTPError) as refused:
            get(address, "/v2/models/model")
        assert refused.value.code == 401
        assert get(address, "/metrics", **bearer)
        refused.value.close()
        assert refuses(address) in (401, 403)
        x = draw(9)
        with connect(address, additional_headers=bearer) as a:
            with connect(address, subprotocols=["quadgate", "bearer.secret"]) as idle:
                with websockets.connect(f"ws://{address}/v2/models/model/stream", additional_headers=bearer) as third:
                    assert "found 2 open" in json.loads(third.recv())["error"]
                told = None
                while told is None:
                    ask(a, {"reset": True})
                    with suppress(TimeoutError):
                        told = json.loads(idle.recv(timeout=0.25))
                assert "no message for 2 s" in told["closing"]
            ask(a, x[:4].tobytes())
            process.send_signal(signal.SIGTERM)
            told = json.loads(a.recv())
        assert (told["closing"], told["steps"]) == ("the server stops", 4)
        assert process.wait(timeout=60) == 0 or process.returncode == -signal.SIGTERM
    here = MODEL.stream("probabilities")
    here.state = StreamState.from_bytes(base64.b64decode(told["state"]))
    same(here.run(x[4:]), MODEL.stream("probabilities").run(x)[4:])


def test_a_model_that_reads_backwards_is_served_whole_and_not_streamed(tmp_path):
    save(a_model(bidirectional=True), tmp_path / "model")
    with serving(tmp_path / "model") as (address, _):
        assert post(address, {"inputs": [tensor(np.ones((1, 4, 3)))]})[0] == 200
        with websockets.connect(f"ws://{address}/v2/models/model/stream") as socket:
            assert "reads in both directions" in json.loads(socket.recv())["error"]


@pytest.mark.parametrize("streams", [True, False])
def test_an_ensemble_is_served_whole_and_streamed_where_it_can_be(tmp_path, streams):
    model = ensemble(2, 5, 3, bidirectional=not streams)
    save(model, tmp_path / "model")
    x = np.random.default_rng(0).normal(size=(1, 8, 2)).astype(np.float32)
    with serving(tmp_path / "model") as (address, _):
        outputs = json.loads(get(address, "/v2/models/model"))["outputs"]
        assert [one["name"] for one in outputs] == ["probabilities", "logits"]
        status, body, _ = post(address, {"inputs": [tensor(x)]})
        assert status == 200
        same(np.array(json.loads(body)["outputs"][0]["data"], np.float32), model.run(x, output="probabilities")[0][0])
        with websockets.connect(f"ws://{address}/v2/models/model/stream") as socket:
            told = json.loads(socket.recv())
            if not streams:
                assert "reads in both directions" in told["error"]
                return
            socket.send(x[0].tobytes())
            found = np.frombuffer(socket.recv(), "<f4").reshape(8, 2)
            same(found, model.stream("probabilities").run(x[0]))
        with websockets.connect(f"ws://{address}/watch") as socket:
            assert "no one network whose gates to draw" in json.loads(socket.recv())["error"]


@pytest.fixture(scope="module")
def browser():
    with chromium() as running:
        yield running


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 1280])
def test_the_live_page(server, browser, tmp_path, width):
    page = browser.new_page(viewport={"width": width, "height": 844})
    problems, asked = [], []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.on("request", lambda sent: asked.append(sent.url))
    page.goto(f"http://{server}/")
    page.get_by_text("3 channels, classes sit, walk, run, fall").wait_for()
    page.get_by_label("Samples per second").select_option("100")
    page.get_by_role("button", name="Play the built-in signal").click()
    page.wait_for_function("Number(document.body.dataset.samples) >= 60", timeout=60_000)
    page.get_by_role("button", name="Stop").click()
    for canvas in page.locator("canvas").all():
        drawn = (
            "c => new Uint32Array(c.getContext('2d').getImageData(0, 0, c.width, c.height).data.buffer).some(v => v)"
        )
        assert canvas.evaluate(drawn)
    assert page.locator("#answers .row").count() == 4
    shown = [float(text) for text in page.locator("#answers .number").all_inner_texts()]
    assert abs(sum(shown) - 1) < 0.01
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    page.screenshot(path=str(tmp_path / f"page-{width}.png"), full_page=True)
    (tmp_path / "good.csv").write_text("a,b,c\n" + "1,2,3\n" * 7)
    (tmp_path / "bad.csv").write_text("1,2\n")
    page.get_by_role("button", name="Forget").click()
    page.locator("#file").set_input_files(tmp_path / "bad.csv")
    page.get_by_text("bad.csv: row 1: expected 3 numbers, one for each channel").wait_for()
    page.locator("#file").set_input_files(tmp_path / "good.csv")
    page.get_by_text("good.csv: the end, 7 samples").wait_for()
    expected = MODEL.run(np.tile([1.0, 2.0, 3.0], (1, 7, 1)), output="probabilities")[0][0]
    shown = [float(text) for text in page.locator("#answers .number").all_inner_texts()]
    np.testing.assert_allclose(shown, expected, atol=0.0006)
    assert problems == []
    assert {url.split("/")[2] for url in asked if not url.startswith("data:")} == {server}
    page.close()
