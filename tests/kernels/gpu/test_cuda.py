"""The CUDA kernels against the judge: emulated on a CPU everywhere, and on a GPU where there is one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from kernels.gpu.emulation import Emulated
from quadgate import cell
from quadgate.cell import LSTMParameters
from quadgate.errors import InputError
from quadgate.kernels.gpu import cuda
from quadgate.kernels.gpu.recurrence import Kept

MODES = {
    "exact": (torch.float32, True),
    "tf32": (torch.float32, False),
    "bfloat16": (torch.bfloat16, True),
    "float16": (torch.float16, True),
}
# Of the outputs, whose size is 1, over some ten steps with weights of standard deviation 1 / sqrt(H).
TOLERANCE = {"exact": 2e-6, "tf32": 4e-3, "bfloat16": 3e-2, "float16": 4e-3}
FORGET_BIAS = 0.75


@pytest.fixture
def emulated(monkeypatch):
    launch = Emulated()
    monkeypatch.setattr(cuda, "launch", launch)
    monkeypatch.setattr(cuda, "_processors", lambda device: 3)
    return launch


@pytest.fixture(params=["emulated", pytest.param("gpu", marks=pytest.mark.gpu)])
def device(request):
    if request.param == "emulated":
        request.getfixturevalue("emulated")
        return torch.device("cpu")
    if not torch.cuda.is_available():
        pytest.skip("torch finds no NVIDIA GPU")
    return torch.device("cuda")


@dataclass
class Batch:
    """What the recurrence takes, with NaN wherever it must not look."""

    z: torch.Tensor
    w_h: torch.Tensor
    c: torch.Tensor
    h: torch.Tensor
    lengths: torch.Tensor | None
    d_outputs: torch.Tensor
    d_c: torch.Tensor
    d_h: torch.Tensor

    def forward(self, steps=None, *, exact, reverse=False, keep=None, state=None):
        c, h = state or (self.c, self.h)
        return cuda.forward(
            self.z, self.w_h, c, h, self.lengths, steps or (0, self.z.shape[1]),
            forget_bias=FORGET_BIAS, reverse=reverse, keep=keep, exact=exact,
        )  # fmt: skip

    def backward(self, kept, steps=None, *, exact, reverse=False, c=None, d_state=None):
        steps, d_state = steps or (0, self.z.shape[1]), d_state or (self.d_c, self.d_h)
        return cuda.backward(
            self.w_h, kept, self.c if c is None else c, self.lengths, steps, self.d_outputs, *d_state,
            reverse=reverse, exact=exact,
        )  # fmt: skip

    def kept(self):
        N, T, wide = self.z.shape
        return Kept(torch.full_like(self.z, torch.nan), self.c.new_full((N, T, wide // 4), torch.nan))


def batch(N, T, H, dtype, device, lengths=None, size=1.0, seed=5):
    rng = np.random.default_rng(seed)

    def draw(*shape, size=1.0, dtype=dtype):
        return torch.tensor(rng.standard_normal(shape) * size, device=device).to(dtype)

    one = Batch(
        draw(N, T, 4 * H, size=size).clamp(-100, 100), draw(H, 4 * H, size=H**-0.5), draw(N, H, dtype=torch.float32),
        draw(N, H), None if lengths is None else torch.tensor(lengths, dtype=torch.int32, device=device),
        draw(N, T, H), draw(N, H, dtype=torch.float32), draw(N, H, dtype=torch.float32),
    )  # fmt: skip
    if lengths is not None:
        past = torch.arange(T, device=device) >= one.lengths[:, None]
        one.z[past] = one.d_outputs[past] = torch.nan
    return one


def judged(one: Batch, reverse: bool):
    """The reference in float64, on inputs z that pass through an identity; so its gradient of x is that of z."""
    wide = one.z.shape[2]
    numbers = {name: None if v is None else v.double().cpu().numpy() for name, v in vars(one).items()}
    H, lengths = wide // 4, None if one.lengths is None else one.lengths.cpu().numpy()
    p = LSTMParameters(
        w_x=np.eye(wide).reshape(wide, 4, H).swapaxes(0, 1),
        w_h=numbers["w_h"].reshape(H, 4, H).swapaxes(0, 1),
        forget_bias=FORGET_BIAS,
        reverse=reverse,
    )
    z, d_outputs, state = np.nan_to_num(numbers["z"]), np.nan_to_num(numbers["d_outputs"]), (numbers["c"], numbers["h"])
    outputs, final = cell.lstm(z, p, state, lengths)
    d_z, d_state, _ = cell.lstm_backward(z, p, d_outputs, (numbers["d_c"], numbers["d_h"]), state, lengths)
    return [outputs, *final], [d_z, *d_state]


def close(found, expected, tolerance):
    for mine, right in zip(found, expected, strict=True):
        scale = max(1.0, float(np.abs(right).max(initial=0)))
        np.testing.assert_allclose(mine.double().cpu().numpy(), right, rtol=0, atol=tolerance * scale)


def check(mode, device, N, T, H, lengths=None, reverse=False, size=1.0):
    dtype, exact = MODES[mode]
    one = batch(N, T, H, dtype, device, lengths, size)
    kept = one.kept()
    forward, backward = judged(one, reverse)
    found = one.forward(exact=exact, reverse=reverse, keep=kept)
    close(found, forward, TOLERANCE[mode])
    for mine, kept_too in zip(one.forward(exact=exact, reverse=reverse), found, strict=True):
        assert torch.equal(mine, kept_too)
    close(one.backward(kept, exact=exact, reverse=reverse), backward, 4 * TOLERANCE[mode])
    if lengths is not None:
        past = torch.arange(T, device=device) >= one.lengths[:, None]
        assert not found.outputs[past].any()
        assert kept.gates[past].isnan().all()
        assert kept.cells[past].isnan().all()


LENGTHS = [5, 0, 3, 1, 5, 2, 4, 0, 5, 3, 3, 1, 0, 2, 5, 4, 1]


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["exact", "bfloat16"])
@pytest.mark.parametrize("reverse", [False, True])
def test_against_the_judge(mode, reverse, device):
    check(mode, device, 7, 5, 3, LENGTHS[:7], reverse)
    check(mode, device, 9, 4, 16, None, reverse)


@pytest.mark.long
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("H", [1, 3, 16, 50, 64, 100, 112, 128])
@pytest.mark.parametrize("N", [1, 7, 8, 17])
def test_every_size_against_the_judge(mode, H, N, device):
    check(mode, device, N, 5, H)
    for reverse in (False, True):
        check(mode, device, N, 5, H, LENGTHS[:N], reverse)


@pytest.mark.long
@pytest.mark.parametrize("mode", MODES)
def test_saturated_gates(mode, device):
    check(mode, device, 9, 6, 50, size=60.0)


@pytest.mark.long
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("reverse", [False, True])
def test_ranges_of_steps_are_the_whole(mode, reverse, device):
    dtype, exact = MODES[mode]
    one = batch(7, 6, 50, dtype, device, [6, 0, 3, 1, 5, 2, 4])
    whole, parts = one.kept(), one.kept()
    right = one.forward(exact=exact, reverse=reverse, keep=whole)
    first = one.forward((0, 2), exact=exact, reverse=reverse, keep=parts)
    second = one.forward((2, 6), exact=exact, reverse=reverse, keep=parts, state=(first.c, first.h))
    assert torch.equal(second.c, right.c)
    assert torch.equal(second.h, right.h)
    step = torch.arange(6, device=device)[None, :, None]
    length = one.lengths[:, None, None]
    early = (torch.where(step < length, length - 1 - step, step) if reverse else step) < 2
    assert torch.equal(torch.where(early, first.outputs, second.outputs), right.outputs)
    for mine, expected in zip(parts, whole, strict=True):
        assert torch.equal(mine.nan_to_num(), expected.nan_to_num())

    d_z, d_c, d_h = one.backward(whole, exact=exact, reverse=reverse)
    late = one.backward(whole, (2, 6), exact=exact, reverse=reverse, c=first.c)
    soon = one.backward(whole, (0, 2), exact=exact, reverse=reverse, d_state=late[1:])
    assert torch.equal(torch.where(early, soon[0], late[0]), d_z)
    assert torch.equal(soon[1], d_c)
    assert torch.equal(soon[2], d_h)


@pytest.mark.long
@pytest.mark.parametrize("mode", MODES)
def test_a_case_gets_the_same_bits_in_any_batch(mode, device):
    dtype, exact = MODES[mode]
    one = batch(17, 5, 50, dtype, device, LENGTHS)
    kept = one.kept()
    forward = one.forward(exact=exact, keep=kept)
    backward = one.backward(kept, exact=exact)
    for size in (1, 2, 5):  # tiles of another size
        some = Batch(**{name: part if name == "w_h" else part[-size:].contiguous() for name, part in vars(one).items()})
        kept = some.kept()
        for mine, right in zip(some.forward(exact=exact, keep=kept), forward, strict=True):
            assert torch.equal(mine, right[-size:])
        for mine, right in zip(some.backward(kept, exact=exact), backward, strict=True):
            assert torch.equal(mine, right[-size:])


@pytest.mark.long
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("N", [3, 17])
def test_no_result_depends_on_the_order_of_the_threads(mode, N, emulated):
    dtype, exact = MODES[mode]
    one = batch(N, 5, 64, dtype, torch.device("cpu"), LENGTHS[:N])
    results = []
    for emulated.order in (0, 1, 17, 18):
        kept = one.kept()
        results.append([*one.forward(exact=exact, keep=kept), *one.backward(kept, exact=exact)])
    for other in results[1:]:
        for mine, right in zip(other, results[0], strict=True):
            assert torch.equal(mine, right)


@pytest.mark.long
@pytest.mark.parametrize("mode", MODES)
def test_the_error_is_at_most_twice_that_of_an_ordinary_loop(mode, device):
    dtype, exact = MODES[mode]
    one = batch(8, 40, 64, dtype, device)
    expected = judged(one, False)[0][0]
    found = one.forward(exact=exact).outputs.double().cpu().numpy()
    ordinary = ordinary_loop(one, rounded=dtype if dtype != torch.float32 else None if exact else "tf32")
    assert np.abs(found - expected).max() <= 2 * np.abs(ordinary.double().cpu().numpy() - expected).max()


def ordinary_loop(one: Batch, rounded):
    """In float32, with the operands of each product rounded to the type."""

    def narrow(x):
        if rounded == "tf32":
            return ((x.view(torch.int32) + 0x1000) & ~0x1FFF).view(torch.float32)
        return x if rounded is None else x.to(rounded).float()

    w_h, c, h, outputs = narrow(one.w_h.float()), one.c, one.h.float(), []
    for z in one.z.float().unbind(1):
        i, j, f, o = (z + narrow(h) @ w_h).chunk(4, 1)
        c = c * (f + FORGET_BIAS).sigmoid() + i.sigmoid() * j.tanh()
        h = o.sigmoid() * c.tanh()
        h = h.to(one.z.dtype).float()
        outputs.append(h)
    return torch.stack(outputs, 1)


@pytest.mark.slow
def test_missing_gradients_are_zeros_and_an_empty_batch_is_empty(device):
    one = batch(7, 4, 3, torch.float32, device)
    kept = one.kept()
    one.forward(exact=True, keep=kept)
    none = cuda.backward(one.w_h, kept, one.c, None, (0, 4), None, None, None, reverse=False, exact=True)
    assert not any(part.any() for part in none)
    only_h = cuda.backward(one.w_h, kept, one.c, None, (0, 4), None, None, one.d_h, reverse=False, exact=True)
    one.d_outputs.zero_()
    one.d_c.zero_()
    for mine, right in zip(only_h, one.backward(kept, exact=True), strict=True):
        assert torch.equal(mine, right)
    assert batch(0, 4, 3, torch.float32, device).forward(exact=True).outputs.shape == (0, 4, 3)
    still = one.forward((2, 2), exact=True)
    assert torch.equal(still.c, one.c)
    assert torch.equal(still.h, one.h)


def test_a_batch_of_too_many_steps_is_refused():
    one = batch(1, 1, 1, torch.float32, torch.device("cpu"))
    one.z = one.z.expand(1 << 16, 1 << 15, 4)
    with pytest.raises(InputError, match="65536 cases of 32768 steps"):
        cuda._run(cuda.Variant("forward", "exact", 16, 4), one.z.device, *one.z.shape[:2])


@pytest.mark.parametrize(
    ("H", "dtype", "device", "reason"),
    [
        (0, torch.float32, None, "at most 128 units, not 0"),
        (129, torch.float16, None, "at most 128 units, not 129"),
        (64, torch.float64, None, "not float64"),
        (64, torch.float32, torch.device("cpu"), "not on cpu"),
        (64, torch.float32, None, None),
    ],
)
def test_why_not_names_the_reason(H, dtype, device, reason):
    found = cuda.why_not(H, dtype, device)
    assert found is None if reason is None else reason in found


@pytest.mark.parametrize("kernel", ["forward", "backward"])
@pytest.mark.parametrize(
    "mode", [pytest.param(mode, marks=pytest.mark.slow if mode == "float16" else pytest.mark.long) for mode in MODES]
)
def test_nvrtc_compiles_without_a_gpu(kernel, mode, tmp_path, monkeypatch):
    pytest.importorskip("cuda.core", reason="cuda-core is not installed: pip install 'quadgate[gpu]'")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    code = cuda.compiled(cuda.Variant(kernel, mode, 64, 4), "sm_90")
    assert code.startswith(b"\x7fELF")


@pytest.mark.slow
def test_the_cache_of_compiled_kernels(tmp_path, monkeypatch):
    core = pytest.importorskip("cuda.core", reason="cuda-core is not installed: pip install 'quadgate[gpu]'")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    variant = cuda.Variant("forward", "exact", 16, 1)
    code = cuda.compiled(variant, "sm_90")
    (file,) = (path for path in tmp_path.rglob("*") if path.is_file())
    assert tmp_path / "quadgate" / "cuda" in file.parents

    # A damaged file is compiled again, and mended.
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    assert cuda.compiled(variant, "sm_90") == code
    assert file.read_bytes().endswith(code)

    with monkeypatch.context() as patched:
        patched.setattr(core, "Program", None)  # what is there is not compiled
        assert cuda.compiled(variant, "sm_90") == code

    # Another architecture, another variant and another source are other files.
    cuda.compiled(variant, "sm_80")
    cuda.compiled(cuda.Variant("forward", "exact", 16, 2), "sm_90")
    changed = cuda.source() + "\n// changed\n"
    monkeypatch.setattr(cuda, "source", lambda: changed)
    cuda.compiled(variant, "sm_90")
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 4


@pytest.mark.slow
def test_a_cache_that_cannot_be_written_only_says_so(tmp_path, monkeypatch):
    pytest.importorskip("cuda.core", reason="cuda-core is not installed: pip install 'quadgate[gpu]'")
    (tmp_path / "quadgate").write_text("a file in the place of the folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cuda.compiled(cuda.Variant("forward", "exact", 16, 1), "sm_90").startswith(b"\x7fELF")
