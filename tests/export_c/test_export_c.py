"""A network in C: compiled strictly, run on three processors, compared to the last bit."""

import ctypes
import re

import numpy as np
import pytest

from c_machines import HOST, MACHINES, STRICT
from networks import ensemble, model_of
from quadgate.cell import Activations, GRUParameters, LSTMParameters
from quadgate.errors import InputError
from quadgate.export_c import check, export_c
from quadgate.export_c.check import answers, build, run, samples
from quadgate.kernels import explain_choice
from quadgate.model import Model, Network, Scaling

COMPILED = explain_choice().implementation == "compiled"


def network(C=12, H=64, K=9, layers=1, dtype=np.float32, scaled=True, **options) -> Model:
    made, random = Network(C, H, K, layers, **options), np.random.default_rng(H)
    variables = {name: random.normal(0, 0.5, shape).astype(dtype) for name, shape in made.shapes.items()}
    scaling = Scaling(random.normal(size=C), random.uniform(0.1, 10, C)) if scaled else None
    return Model(made, variables, scaling=scaling)


def lstm(C, H, P=None, dtype=np.float32, peepholes=False, seed=1, **options):
    random = np.random.default_rng(seed)

    def draw(*shape):
        return random.normal(0, 0.5, shape).astype(dtype)

    return LSTMParameters(
        draw(4, C, H),
        draw(4, P or H, H),
        draw(4, H),
        peepholes=draw(3, H) if peepholes else None,
        projection=draw(H, P) if P else None,
        **options,
    )


def gru(C, H, dtype=np.float32, seed=1, **options):
    random = np.random.default_rng(seed)
    shapes = [(3, C, H), (3, H, H), (3, H), (3, H)]
    return GRUParameters(*(random.normal(0, 0.5, shape).astype(dtype) for shape in shapes), **options)


MODELS = {
    "one layer, last": lambda: network(),
    "a unit of one": lambda: network(1, 1, 1, scaled=False),
    "primes, mean": lambda: network(3, 7, 2, layers=2, pool="mean"),
    "max": lambda: network(5, 17, 40, pool="max"),
    "attention": lambda: network(4, 13, 3, pool="attention"),
    "in double, attention": lambda: network(4, 9, 3, layers=2, dtype=np.float64, pool="attention"),
    "relu": lambda: network(4, 8, 3, activation="relu", scaled=False),
    "no head": lambda: network(4, 8, None),
    "peepholes, projection, clips": lambda: model_of(
        (lstm(3, 21, 18, peepholes=True, cell_clip=0.7, projection_clip=0.4, forget_bias=1.0),),
        (lstm(18, 9, 5, peepholes=True, forget_bias=1.0),),
        layout="tf1.LSTMCell",
    ),
    "peepholes in double": lambda: model_of(
        (lstm(3, 10, dtype=np.float64, peepholes=True, forget_bias=1.0),), layout="tf1.LSTMCell"
    ),
    "hard sigmoid, input clip": lambda: model_of(
        (lstm(3, 6, input_clip=0.9, activations=Activations("hard_sigmoid", "relu", "linear")),), layout="onnx.LSTM"
    ),
    "hard sigmoid of Keras 3": lambda: model_of(
        (lstm(3, 6, activations=Activations("hard_sigmoid_v3", "tanh", "tanh")),), layout="keras.LSTM"
    ),
    "GRU, reset after": lambda: model_of((gru(3, 18),), (gru(18, 5),), layout="torch.nn.GRU", head=(5, 3)),
    "GRU, reset before": lambda: model_of((gru(3, 18, reset_after=False),), layout="onnx.GRU"),
    "GRU in double": lambda: model_of((gru(3, 6, np.float64, reset_after=False),), layout="onnx.GRU"),
    "patches that overlap": lambda: ensemble(1, 5, 3, pool="attention"),
    "patches side by side": lambda: ensemble(1, 4, 4, layers=2),
    "networks together": lambda: ensemble(3, 5, 1, pool="max"),
    "networks without patches": lambda: ensemble(2, 1, 1, pool="mean"),
    "GRU of other functions": lambda: model_of(
        (gru(3, 6, activations=Activations("hard_sigmoid", "relu", "relu")),), layout="onnx.GRU"
    ),
}


def compare(model, folder, machine, output=None, steps=60):
    machine.need()
    done, x = export_c(model, folder / "c", output=output), samples(model, steps)
    libraries = list(machine.libraries)
    if "CRT0" in libraries:
        start = run([*machine.compile_with, "-print-file-name=rdimon-crt0.o"]).strip()
        libraries[libraries.index("CRT0")] = start
    program = build(done, x, folder, machine.compile_with, *libraries)
    expected = model.stream(done.output).run(x)
    found = answers(run([*machine.run_with, str(program)]), expected.shape)
    if COMPILED:
        assert found.tobytes() == expected.tobytes()
    else:
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    return done


@pytest.mark.parametrize("name", MODELS)
def test_the_bits_of_the_stream(name, tmp_path):
    compare(MODELS[name](), tmp_path, HOST)


@pytest.mark.parametrize("output", ["logits", "probabilities", "outputs"])
def test_every_answer(output, tmp_path):
    compare(MODELS["primes, mean"](), tmp_path, HOST, output)


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("name", ["one layer, last", "attention", "peepholes, projection, clips", "GRU, reset before"])
def test_other_processors_give_the_same_bits(name, machine, tmp_path):
    compare(MODELS[name](), tmp_path, MACHINES[machine], None if name != "attention" else "probabilities", steps=12)


@pytest.mark.slow
@pytest.mark.parametrize("machine", ["aarch64", "Cortex-M4F"])
@pytest.mark.parametrize("name", MODELS)
def test_every_model_on_other_processors(name, machine, tmp_path):
    compare(MODELS[name](), tmp_path, MACHINES[machine], steps=8)


@pytest.mark.parametrize("kind", ["silent", "decaying", "subnormal"])
@pytest.mark.parametrize("machine", ["gcc", "aarch64", "Cortex-M4F"])
def test_the_smallest_numbers_have_the_same_bits(kind, machine, tmp_path):
    """Without biases a state decays through the subnormal numbers to zero."""
    made = Network(2, 9, 2, forget_bias=-2.0)
    random = np.random.default_rng(0)
    variables = {
        name: np.zeros(shape, np.float32) if "bias" in name else random.normal(size=shape).astype(np.float32) / 4
        for name, shape in made.shapes.items()
    }
    model, x = Model(made, variables), np.zeros((150, 2), np.float32)
    x[:3] = {"silent": 0, "decaying": 1, "subnormal": 1e-42}[kind]
    if kind == "subnormal":
        x[:] = 1e-42
    MACHINES[machine].need()
    libraries = [
        run([*MACHINES[machine].compile_with, "-print-file-name=rdimon-crt0.o"]).strip() if one == "CRT0" else one
        for one in MACHINES[machine].libraries
    ]
    program = build(export_c(model, tmp_path / "c"), x, tmp_path, MACHINES[machine].compile_with, *libraries)
    expected = model.stream().run(x)
    found = answers(run([*MACHINES[machine].run_with, str(program)]), expected.shape)
    if COMPILED:
        assert found.tobytes() == expected.tobytes()


def shared_library(model, folder, **options):
    HOST.need()
    done = export_c(model, folder, **options)
    library = folder / "network.so"
    run(["gcc", *STRICT, "-shared", "-fPIC", f"-I{folder}", str(done.source), "-o", str(library), "-lm"])
    return done, ctypes.CDLL(str(library))


@pytest.mark.parametrize("name", MODELS)
def test_the_sizes_that_are_told_are_those_of_the_compiler(name, tmp_path):
    HOST.need()
    done = export_c(MODELS[name](), tmp_path)
    (tmp_path / "size.c").write_text(
        '#include <stdio.h>\n#include "network.h"\nint main(void) { printf("%zu", sizeof(network_state)); return 0; }\n'
    )
    run(["gcc", *STRICT, str(tmp_path / "size.c"), "-o", str(tmp_path / "size")])
    assert int(run([str(tmp_path / "size")])) == done.ram
    constants = re.findall(r"static const (\w+) \w+\[(\d+)\] = ", done.source.read_text())
    assert sum(int(size) * {"float": 4, "double": 8}[kind] for kind, size in constants) == done.flash


def test_a_sample_that_is_not_finite_is_refused_and_reset_forgets(tmp_path):
    model = network(3, 5, 2, pool="mean")
    done, library = shared_library(model, tmp_path)
    state = (ctypes.c_char * done.ram)()
    y = (ctypes.c_float * 2)()

    def step(*x):
        return library.network_step(state, (ctypes.c_float * 3)(*x), y), list(y)

    library.network_init(state)
    first = step(1, 2, 3)
    assert first[0] == 0
    assert step(1, float("nan"), 3)[0] == 2
    assert step(float("inf"), 2, 3)[0] == 1
    second = step(1, 2, 3)
    np.testing.assert_array_equal(second[1], model.stream().run(np.array([[1, 2, 3], [1, 2, 3]], np.float32))[1])
    library.network_reset(state)
    assert step(1, 2, 3) == first


def test_it_calls_no_malloc(tmp_path):
    HOST.need()
    known = {"fma", "fmaf", "memcpy", "memmove", "memset", "__stack_chk_fail", "_GLOBAL_OFFSET_TABLE_"}
    for model in (network(pool="attention"), ensemble(2, pool="attention")):
        done = export_c(model, tmp_path, output="probabilities")
        run(["gcc", *STRICT, "-c", str(done.source), "-o", str(tmp_path / "network.o")])
        assert set(run(["nm", "-u", str(tmp_path / "network.o")]).split()[1::2]) <= known


def test_fast_math_is_refused_by_the_compiler(tmp_path):
    HOST.need()
    done = export_c(network(2, 3, 2), tmp_path)
    with pytest.raises(InputError, match="compile without -ffast-math"):
        run(["gcc", "-ffast-math", "-c", str(done.source), "-o", str(tmp_path / "network.o")])


def test_two_networks_live_in_one_program(tmp_path):
    HOST.need()
    first, second = (export_c(network(2, n, 2), tmp_path, name) for n, name in ((3, "left"), (5, "right")))
    both = tmp_path / "both.c"
    both.write_text('#include "left.h"\n#include "right.h"\nint main(void) { left_state l; right_state r;'
                    " left_init(&l); right_init(&r); return 0; }\n")  # fmt: skip
    run(["gcc", *STRICT, str(both), str(first.source), str(second.source), "-o", str(tmp_path / "both"), "-lm"])


def test_what_a_file_says_of_itself_ends_no_comment(tmp_path):
    model = network(2, 3, 2)
    object.__setattr__(model, "source", "x */ int evil; /* \\\n??/")
    object.__setattr__(model, "labels", ("*/ #error", "b\n#error"))
    header = export_c(model, tmp_path).header.read_text()
    assert "int evil?" in header
    assert header.count("*/") == header.count("/*")
    assert check(model, export_c(model, tmp_path)).same_bits or not COMPILED


def test_what_cannot_be_written(tmp_path):
    with pytest.raises(InputError, match="reads in both directions"):
        export_c(network(bidirectional=True), tmp_path)
    with pytest.raises(InputError, match="did you mean 'logits'"):
        export_c(network(), tmp_path, output="logit")
    with pytest.raises(InputError, match=r"reads in both directions.*--preset stream"):
        export_c(ensemble(bidirectional=True), tmp_path)
    with pytest.raises(InputError, match="convolutions look 3 steps ahead"):
        export_c(ensemble(filters=2), tmp_path)
    with pytest.raises(InputError, match="found 'logits', expected 'probabilities': logits of several networks"):
        export_c(ensemble(2), tmp_path, output="logits")
    for name in ("int", "2x", "a-b", "", "a b"):
        with pytest.raises(InputError, match="expected a C identifier"):
            export_c(network(), tmp_path, name)
    model = network(2, 3, 2)
    model.variables["out/biases"][0] = np.nan
    with pytest.raises(InputError, match="variable out/biases: found a number that is not finite"):
        export_c(model, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_without_a_compiler_it_is_said(tmp_path, monkeypatch):
    model = network(2, 3, 2)
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert check(model, export_c(model, tmp_path)) is None


def test_a_compiler_that_fails_is_told(tmp_path):
    model = network(2, 3, 2)
    done = export_c(model, tmp_path)
    done.source.write_text("int network_step(void) { return x; }\n")
    with pytest.raises(InputError, match="error"):
        check(model, done)
