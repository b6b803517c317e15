"""A real server in a process of its own, and clients that load it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from contextlib import contextmanager

import numpy as np


@contextmanager
def serving(run, *options, **variables):
    """Serve a run folder; yields the address, such as `127.0.0.1:40123`, and the process."""
    command = [sys.executable, "-u", "-m", "quadgate", "serve", str(run), "--port", "0", *options]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", env={**os.environ, **variables}
    )
    try:
        line = process.stdout.readline()
        if "listening at" not in line:
            raise RuntimeError(line + process.stdout.read())
        yield line.split("http://")[1].split(",")[0], process
    finally:
        process.terminate()
        process.wait(timeout=60)
        process.stdout.close()


async def play(address, x, frame, rate, start, seconds):
    """Send `x [T, C]` in frames of so many samples at `rate` frames per second; returns answers, adds latencies."""
    from websockets.asyncio.client import connect

    answers = []
    async with connect(f"ws://{address}/v2/models/model/stream", max_size=None, compression=None) as socket:
        await socket.recv()
        for k, begin in enumerate(range(0, len(x), frame)):
            if rate:
                await asyncio.sleep(max(0, start + k / rate - time.perf_counter()))
            sent = time.perf_counter()
            await socket.send(x[begin : begin + frame].tobytes())
            answers.append(await socket.recv())
            seconds.append(time.perf_counter() - sent)
    return np.frombuffer(b"".join(answers), "<f4")


async def load(address, series, frame=5, rate=20.0):
    """Play every series `[N, T, C]` at once, spread over the period; returns answers `[N, T, K]` and latencies."""
    seconds: list[float] = []
    begin = time.perf_counter() + 1.0
    starts = [begin + k / len(series) / (rate or 1) for k in range(len(series))]
    tasks = [play(address, x, frame, rate, start, seconds) for x, start in zip(series, starts, strict=True)]
    answers = await asyncio.gather(*tasks)
    return np.stack(answers).reshape(len(series), series.shape[1], -1), np.array(seconds)
