"""The summary of a file of two gigabytes needs the memory and the time of its header alone."""

import json
import struct
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from checkpoint_files import cell_arrays, entry, header, table, write_bundle

ROWS, COLUMNS = 1 << 15, 1 << 14  # 2 GiB of float32
BYTES = 4 * ROWS * COLUMNS


def as_safetensors(path):
    arrays = cell_arrays()
    table, at = {}, 0
    for name, shape in (*((name, array.shape) for name, array in arrays.items()), ("embedding", (ROWS, COLUMNS))):
        size = 4 * int(np.prod(shape))
        table[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    renamed = {"rnn/basic_lstm_cell/kernel": "weight_ih", "rnn/basic_lstm_cell/bias": "unused"}
    table = {renamed.get(name, name): one for name, one in table.items()}
    table["weight_ih"]["shape"], table["weight_hh"] = [8, 3], {"dtype": "F32", "shape": [8, 2]}
    table["weight_ih"]["data_offsets"], table["weight_hh"]["data_offsets"] = [0, 96], [96, 160]
    text = json.dumps(table).encode()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(file.tell() + at)
    return path


def as_checkpoint(path):
    write_bundle(path, cell_arrays())
    data = path.with_name(f"{path.name}.data-00000-of-00001")
    cell = data.read_bytes()
    with data.open("r+b") as file:
        file.truncate(len(cell) + BYTES)
    items = [(b"", header()), (b"embedding", entry(1, (ROWS, COLUMNS), b"", len(cell), size=BYTES))]
    at = 0
    for name, array in cell_arrays().items():
        raw = array.tobytes()
        items.append((name.encode(), entry(1, array.shape, raw, at)))
        at += len(raw)
    path.with_name(f"{path.name}.index").write_bytes(table(sorted(items)))
    return path


def as_torch(path):
    import torch

    state = {"lstm.weight_ih_l0": torch.ones(8, 3), "lstm.weight_hh_l0": torch.ones(8, 2)}
    torch.save(state | {"embedding.weight": torch.zeros(ROWS, COLUMNS)}, path)
    assert zipfile.is_zipfile(path)
    return path


@pytest.mark.long
@pytest.mark.parametrize("write", [as_safetensors, as_checkpoint, as_torch])
def test_the_summary_of_two_gigabytes(tmp_path, write):
    path = write(tmp_path / {"as_safetensors": "a.safetensors", "as_torch": "a.pt"}.get(write.__name__, "a"))
    text = (
        "import re, sys, time; start = time.perf_counter()\n"
        "import quadgate; print(quadgate.load(sys.argv[1]).summary())\n"
        "print(time.perf_counter() - start, re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1])"
    )
    done = subprocess.run([sys.executable, "-c", text, str(path)], capture_output=True, text=True, check=True)
    assert f"{ROWS * COLUMNS}" in done.stdout
    seconds, kilobytes = (float(number) for number in done.stdout.split()[-2:])
    print(f"{write.__name__}: {seconds:.2f} s, {kilobytes / 1000:.0f} MB")  # `pytest -m long -s` shows it
    assert kilobytes < 300_000
    assert seconds < 2
