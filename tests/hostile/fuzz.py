"""Fuzzes the readers that are quadgate's own. `python tests/hostile/fuzz.py TARGET SECONDS FOLDER` needs atheris.

Whatever the bytes, a file is loaded or refused in one line that names it, within a second of processor time and 200 MB.
What atheris finds stays in `FOLDER/TARGET`, an input that breaks the promise as `crash-*`; `fuzz_all.py` runs every
target, and takes what was found over into `corpus/TARGET`, which `test_fuzz.py` reads again for ever.
"""

from __future__ import annotations

import io
import json
import pickle
import random
import shutil
import sys
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import FunctionType

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

import quadgate
from checkpoint_files import (
    block,
    block_body,
    cell_arrays,
    entry,
    finish,
    header,
    message,
    number,
    single_file_items,
    snappy_literals,
    varint,
    write_bundle,
    write_single_file,
)
from hostile.limits import limits
from quadgate.errors import FileFormatError, InputError
from quadgate.formats.keras_layers import KerasLayer, build_keras
from quadgate.formats.recognition import HDF5
from quadgate.formats.registry import FORMATS
from quadgate.formats.tensorflow_checkpoint.objects import OBJECTS

CORPUS = Path(__file__).with_name("corpus")
GOLDEN = Path(__file__).parents[1] / "golden" / "oracle"
SLICED = {"sliced": np.ones((7, 3), np.float32)}


@dataclass(frozen=True)
class Target:
    """What is fuzzed: files that are whole, and how changed bytes reach the reader."""

    seeds: Callable[[Path], list[bytes]]
    read: Callable[[bytes, Path], None]


def load(name: str) -> Callable[[bytes | None, Path], None]:
    """Write the bytes under that name, load the model and read all its numbers."""

    def read(data: bytes | None, folder: Path) -> None:
        if data is not None:
            if data.startswith(HDF5):
                return  # that library reads in a process of its own, and has tests of its own
            (folder / name).write_bytes(data)
        model = quadgate.load(folder / name.removesuffix(".index").removesuffix(".meta"))
        for variable in model.variables:
            _ = model.variables[variable]
        str(model.summary())

    return read


def whole_checkpoint(folder: Path) -> None:
    if not (folder / "x.data-00000-of-00001").exists():
        write_bundle(folder / "x", cell_arrays() | SLICED, rows_per_slice={"sliced": 2})


def read_index(data: bytes, folder: Path) -> None:
    whole_checkpoint(folder)
    load("x.index")(data, folder)


def read_block(name: str) -> Callable[[bytes, Path], None]:
    """Read the bytes as the one block of a table of TensorFlow's, its checksum right."""

    def read(data: bytes, folder: Path) -> None:
        whole_checkpoint(folder)
        packing, body = data[:1] == b"\1", data[1:]
        load(name)(finish(block(body, int(packing)), [(b"z", varint(0) + varint(len(body)))]), folder)

    return read


def read_objects(data: bytes, folder: Path) -> None:
    """Read the bytes as the graph of objects that a checkpoint of TensorFlow 2 has beside its variables."""
    text = varint(len(data)) + b"\0\0\0\0" + data
    write_bundle(folder / "x", cell_arrays("a/.ATTRIBUTES/VARIABLE_VALUE"), text={OBJECTS: text})
    load("x.index")((folder / "x.index").read_bytes(), folder)


def read_saved_model(data: bytes, folder: Path) -> None:
    """Read the bytes as the graph of a SavedModel whose variables are whole."""
    if not (folder / "a" / "variables").exists():
        shutil.copytree(GOLDEN.parent / "tensorflow" / "saved_model_1", folder / "a")
    (folder / "a" / "saved_model.pb").write_bytes(data)
    load("a")(None, folder)


def read_archive(data: bytes, folder: Path) -> None:
    """Read the bytes as a `.pt` file, or where they are no archive as the pickle in one that is whole."""
    if not data.startswith(b"PK"):
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w") as archive:
            for name, part in {
                "data.pkl": data,
                "version": b"3\n",
                **{f"data/{k}": bytes(96) for k in range(4)},
            }.items():
                archive.writestr(f"a/{name}", part)
        data = content.getvalue()
    load("a.pt")(data, folder)


def read_graph(data: bytes, folder: Path) -> None:
    if not (folder / "x.index").exists():
        write_bundle(folder / "x", cell_arrays())
    load("x.meta")(data, folder)


def read_settings(data: bytes, folder: Path) -> None:
    """Read the bytes as the settings of a Keras model of two layers."""
    config = json.loads(data.decode("utf-8", "replace"))
    layers = []
    for name, kind, sizes in (("bidirectional/forward_a", "Bidirectional", (3, 5)), ("b", "RNN", (5, 5))):
        shapes = {"kernel": (sizes[0], 20), "recurrent_kernel": (5, 20), "bias": (20,)}
        arrays = {role: np.ones(shape, np.float32) for role, shape in shapes.items()}
        given = config if isinstance(config, dict) else {}
        layers.append(KerasLayer(name, kind, arrays, {role: f"{name}/{role}" for role in arrays}, given))
    build_keras(layers, config, "2.2.4", folder / "x", {})


def index_seeds(folder: Path) -> list[bytes]:
    write_bundle(folder / "a", cell_arrays())
    write_bundle(folder / "b", cell_arrays() | SLICED, rows_per_slice={"sliced": 2}, snappy=True)
    return [(folder / f"{name}.index").read_bytes() for name in "ab"]


def block_seeds(folder: Path) -> list[bytes]:
    """The blocks of an index as they are and as they would be packed."""
    items = [(b"", header())]
    for name, array in sorted(cell_arrays().items()):
        items.append((name.encode(), entry(1, array.shape, array.tobytes(), 160 if name.endswith("bias") else 0)))
    body = block_body(items)
    return [b"\0" + body, b"\1" + snappy_literals(body)]


def single_file_seeds(folder: Path) -> list[bytes]:
    write_single_file(folder / "a", cell_arrays() | {"half": np.ones(3, np.float16), "steps": np.array(7)})
    return [(folder / "a").read_bytes()]


def graph_seeds(folder: Path) -> list[bytes]:
    return [(GOLDEN / "basic_forget0" / "model.ckpt.meta").read_bytes()]


def torch_arrays() -> dict[str, np.ndarray]:
    shapes = {"weight_ih_l0": (8, 3), "weight_hh_l0": (8, 2), "bias_ih_l0": (8,), "bias_hh_l0": (8,)}
    return {f"rnn.{name}": np.ones(shape, np.float32) for name, shape in shapes.items()}


def pickle_seeds(folder: Path) -> list[bytes]:
    return [pickle.dumps(torch_arrays(), protocol=protocol) for protocol in (2, 4)]


def torch_seeds(zipped: bool) -> Callable[[Path], list[bytes]]:
    """A checkpoint of the format; of the newer one also the archive of a script, and the pickles of both."""

    def seeds(folder: Path) -> list[bytes]:
        import torch

        state = {name: torch.from_numpy(array) for name, array in torch_arrays().items()}
        torch.save({"state_dict": state, "epoch": 3}, folder / "a.pt", _use_new_zipfile_serialization=zipped)
        if not zipped:
            return [(folder / "a.pt").read_bytes()]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            torch.jit.save(torch.jit.script(torch.nn.LSTM(3, 2)), folder / "b.pt")
        found = []
        for path in (folder / "a.pt", folder / "b.pt"):
            with zipfile.ZipFile(path) as archive:
                found += [path.read_bytes(), archive.read(f"{path.stem}/data.pkl")]
        return found

    return seeds


def safetensors_seeds(folder: Path) -> list[bytes]:
    from safetensors.numpy import save

    return [save(torch_arrays())]


def settings_seeds(folder: Path) -> list[bytes]:
    cell = {"class_name": "LSTMCell", "config": {"units": 5, "activation": "tanh", "recurrent_activation": "sigmoid"}}
    inner = {
        "name": "b",
        "cell": {"class_name": "StackedRNNCells", "config": {"cells": [cell, cell]}},
        "merge_mode": "sum",
    }
    layers = [
        {"class_name": "Bidirectional", "config": {"name": "bidirectional", "layer": cell, "backward_layer": cell}},
        {"class_name": "RNN", "config": inner, "inbound_nodes": [[["bidirectional", 0, 0, {}]]]},
    ]
    whole = {"class_name": "Functional", "config": {"layers": layers}, **inner}
    return [
        json.dumps(whole).encode(),
        json.dumps({"class_name": "Sequential", "config": layers, **cell["config"]}).encode(),
    ]


def block_1_seeds(folder: Path) -> list[bytes]:
    """The blocks of a checkpoint of version 1 as they are and as they would be packed."""
    body = block_body(single_file_items(cell_arrays() | {"half": np.ones(3, np.float16), "steps": np.array(7)}))
    return [b"\0" + body, b"\1" + snappy_literals(body)]


def object_seeds(folder: Path) -> list[bytes]:
    """Two variables by their keys and the names they had, as nodes of a graph."""
    told = {"kernel": "rnn/lstm_cell/kernel", "bias": "rnn/lstm_cell/bias"}
    nodes = b""
    for role, name in told.items():
        key = f"a/.ATTRIBUTES/VARIABLE_VALUE/{role}".encode()
        attribute = message(1, b"VARIABLE_VALUE") + message(2, name.encode()) + message(3, key)
        nodes += message(1, message(1, number(1, 1) + message(2, b"cell")) + message(2, attribute))
    return [nodes]


def onnx_seeds(folder: Path) -> list[bytes]:
    """A bidirectional LSTM with peepholes, and a GRU."""
    from onnx_files import save_node, weights

    arrays = weights(np.random.default_rng(0), "LSTM", 2, 1, 1, peepholes=True)
    path = save_node(folder / "seed.onnx", "LSTM", arrays, direction="bidirectional")
    gru = save_node(folder / "gru.onnx", "GRU", weights(np.random.default_rng(0), "GRU", 1, 1, 1))
    return [path.read_bytes(), gru.read_bytes()]


def golden_seeds(*names: str) -> Callable[[Path], list[bytes]]:
    return lambda folder: [(GOLDEN.parent / name).read_bytes() for name in names]


TARGETS = {
    "checkpoint-index": Target(index_seeds, read_index),
    "checkpoint-block": Target(block_seeds, read_block("x.index")),
    "checkpoint-1": Target(single_file_seeds, load("one.ckpt")),
    "checkpoint-1-block": Target(block_1_seeds, read_block("one.ckpt")),
    "checkpoint-graph": Target(graph_seeds, read_graph),
    "checkpoint-objects": Target(object_seeds, read_objects),
    "frozen-graph": Target(golden_seeds("tensorflow/by_hand.pb", "tensorflow/block.pb"), load("a.pb")),
    "saved-model": Target(golden_seeds("tensorflow/saved_model_1/saved_model.pb"), read_saved_model),
    "torch-zip": Target(torch_seeds(zipped=True), read_archive),
    "torch-pickle": Target(torch_seeds(zipped=False), load("a.pt")),
    "pickle": Target(pickle_seeds, load("a.pkl")),
    "flax": Target(golden_seeds("flax/linen.msgpack", "flax/nnx.msgpack"), load("a.msgpack")),
    "equinox": Target(golden_seeds("equinox/lstm.eqx", "equinox/with_settings.eqx"), load("a.eqx")),
    "tflite": Target(golden_seeds("tflite/classifier.tflite", "tflite/half.tflite"), load("a.tflite")),
    "onnx": Target(onnx_seeds, load("a.onnx")),
    "safetensors": Target(safetensors_seeds, load("a.safetensors")),
    "keras-settings": Target(settings_seeds, read_settings),
}


def check(target: Target, data: bytes, folder: Path) -> None:
    """Read the bytes: they are loaded or refused in one line, and quickly; anything else is raised."""
    with limits():
        try:
            target.read(data, folder)
        except (FileFormatError, InputError) as error:
            text = str(error)
            assert "\n" not in text, text
            assert str(folder) in text, text
        except (json.JSONDecodeError, RecursionError):
            assert target is TARGETS["keras-settings"]  # its reader is handed what is already parsed


def inputs(name: str, folder: Path, changes: int) -> Iterator[bytes]:
    """Yield the whole files, the kept corpus, and changed ones, the same at every run."""
    seeds = TARGETS[name].seeds(folder)
    yield from seeds
    kept = sorted((CORPUS / name).glob("*")) if (CORPUS / name).is_dir() else []
    yield from (path.read_bytes() for path in kept)
    random_numbers = random.Random(name)  # noqa: S311
    for _ in range(changes):
        yield changed(bytearray(random_numbers.choice(seeds)), random_numbers)


def changed(data: bytearray, random_numbers: random.Random) -> bytes:
    """Flip, cut, repeat and overwrite some places."""
    for _ in range(random_numbers.choice((1, 1, 2, 5))):
        if not data:
            break
        at = random_numbers.randrange(len(data))
        kind = random_numbers.randrange(5)
        if kind == 0:
            data[at] ^= 1 << random_numbers.randrange(8)
        elif kind == 1:
            data[at] = random_numbers.choice((0, 1, 0x7F, 0x80, 0xFF))
        elif kind == 2:
            del data[at : at + random_numbers.choice((1, 4, len(data)))]
        elif kind == 3:
            data[at:at] = data[at : at + random_numbers.randrange(40)]
        else:
            data[at : at + 8] = random_numbers.choice((b"\xff" * 8, b"\0" * 8, (1 << 62).to_bytes(8, "little")))
    return bytes(data)


def watch() -> None:
    """Let atheris see which lines of the readers run; those of torch and NumPy would only slow it down."""
    import atheris

    for one in FORMATS:
        import_module(f"quadgate.formats.{one.reader}")
    for module in [one for name, one in sys.modules.items() if name.startswith("quadgate.")]:
        for thing in vars(module).values():
            for one in (thing, *(vars(thing).values() if isinstance(thing, type) else ())):
                if isinstance(one, FunctionType) and one.__module__ == module.__name__:
                    atheris.instrument_func(one)


def main() -> None:
    import atheris

    watch()
    name, seconds, found = sys.argv[1], sys.argv[2], Path(sys.argv[3]) / sys.argv[1]
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108
    with tempfile.TemporaryDirectory(dir=memory) as place:
        folder, grown, seeds = Path(place) / "files", found / "corpus", Path(place) / "seeds"
        for one in (folder, grown, seeds):
            one.mkdir(parents=True, exist_ok=True)
        for number, seed in enumerate(inputs(name, folder, changes=0)):
            (seeds / str(number)).write_bytes(seed)
        options = [f"-max_total_time={seconds}", "-timeout=300", "-rss_limit_mb=1500", f"-artifact_prefix={found}/"]
        atheris.Setup(
            [
                " ".join([sys.executable, *sys.argv[:4]]),
                *options,
                "-print_final_stats=1",
                *sys.argv[4:],
                str(grown),
                str(seeds),
            ],
            lambda data: check(TARGETS[name], data, folder),
        )
        atheris.Fuzz()


if __name__ == "__main__":
    main()
