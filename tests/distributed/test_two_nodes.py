"""Two nodes with their own addresses, as two network namespaces, and the link between them cut in mid-epoch."""

import shutil
import subprocess
import sys
import time

import numpy as np
import pytest

import quadgate
from distributed.torchrun import ENVIRONMENT
from quadgate.data import make_sequences
from small_training import assert_same_bits

NODES = {"quadgate0": "10.231.0.1", "quadgate1": "10.231.0.2"}
OPTIONS = ["--units", "8", "--batch-size", "8", "--seed", "3", "--epochs", "10"]


def ip(*words):
    return subprocess.run(["ip", *words], capture_output=True, text=True)


@pytest.fixture
def network():
    """Two namespaces joined by a pair of interfaces of the same names."""
    if shutil.which("ip") is None or ip("netns", "add", "quadgate0").returncode:
        pytest.skip("network namespaces cannot be made here: needs iproute2 and the right to use it")
    ip("netns", "add", "quadgate1")
    ip("link", "add", "quadgate0", "type", "veth", "peer", "name", "quadgate1")
    try:
        for name, address in NODES.items():
            ip("link", "set", name, "netns", name)
            for words in (["addr", "add", f"{address}/24", "dev", name], ["link", "set", name, "up"]):
                ip("-n", name, *words)
            assert ip("-n", name, "link", "set", "lo", "up").returncode == 0
        yield
    finally:
        for name in NODES:
            ip("netns", "del", name)


def node(number, data, folder, *more):
    name = f"quadgate{number}"
    rendezvous = ["--nnodes", "2", "--node-rank", str(number), "--master-addr", NODES["quadgate0"]]
    launcher = [sys.executable, "-m", "torch.distributed.run", *rendezvous, "--master-port", "29400"]
    train = ["--nproc-per-node", "1", "-m", "quadgate", "train", str(data), *OPTIONS, "--out", str(folder), *more]
    return subprocess.Popen(
        ["ip", "netns", "exec", name, *launcher, *train],
        env=ENVIRONMENT | {"GLOO_SOCKET_IFNAME": name, "TP_SOCKET_IFNAME": name},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def weights(folder):
    return {name: np.asarray(array) for name, array in quadgate.load(folder).variables.items()}


@pytest.mark.long
def test_a_link_that_is_cut_ends_the_run_and_it_goes_on(tmp_path, network):
    made = make_sequences(240, time=100, channels=3, seed=1)
    data, folder = tmp_path / "made.npz", tmp_path / "run"
    np.savez(data, X=np.array(made.series), y=made.labels)

    def together(folder, *more):
        nodes = [node(number, data, folder, *more) for number in (0, 1)]
        for one in nodes:
            said, _ = one.communicate(timeout=200)
            assert one.returncode == 0, said

    together(tmp_path / "whole")
    nodes = [node(number, data, folder) for number in (0, 1)]
    history, deadline = folder / "history.jsonl", time.monotonic() + 120
    while not history.exists() or len(history.read_text().splitlines()) < 3:
        assert nodes[0].poll() is None, nodes[0].communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert ip("-n", "quadgate1", "link", "set", "quadgate1", "down").returncode == 0
    begun = time.monotonic()
    told = []
    for one in nodes:
        while one.poll() is None and time.monotonic() < begun + 90:
            time.sleep(0.05)
        told.append((one.returncode, time.monotonic() - begun, one.communicate(timeout=60)[0]))
    for code, _, said in told:
        assert code not in (0, None)
        assert "error: process" in said
    assert "process 1 has given no sign of life for 15 s" in told[0][2]
    assert "has not answered for 15 s" in told[1][2]
    assert not list(folder.rglob("*.part"))
    assert 3 <= len(history.read_text().splitlines()) < 10
    assert ip("-n", "quadgate1", "link", "set", "quadgate1", "up").returncode == 0
    together(folder, "--resume")
    assert_same_bits(weights(folder), weights(tmp_path / "whole"))
