"""The kernels in Triton's language: all steps of a tile of cases, and one step of any size, both ways.

Lower-case names of one letter are those of the equations; a name with `_0` is the state before, with `_T` that after.
"""

import triton
import triton.language as tl


@triton.jit
def sigmoid(z):
    """1 / (1 + exp(-z)), by an exponential that never overflows."""
    e = tl.exp(-tl.abs(z))
    return tl.where(z < 0.0, e, 1.0) / (1.0 + e)


@triton.jit
def tanh(z):
    """By exp(-2 |z|), and by its series around zero, where that would cancel."""
    e = tl.exp(-2.0 * tl.abs(z))
    far = (1.0 - e) / (1.0 + e)
    s = z * z
    near = z + z * s * (-0.3333333333 + s * (0.1333333333 + s * (-0.0539682540 + s * 0.0218694885)))
    return tl.where(tl.abs(z) < 0.25, near, tl.where(z < 0.0, -far, far))


@triton.jit
def _weights(w_h, gate: tl.constexpr, H, rows, columns):
    """Load the part of one gate, zero where it is filled up."""
    fits = (rows[:, None] < H) & (columns[None, :] < H)
    return tl.load(w_h + rows[:, None] * (4 * H) + gate * H + columns[None, :], mask=fits, other=0.0)


@triton.jit
def _transposed(w_t, gate: tl.constexpr, H, rows, columns):
    """The same of `[4H, H]`: turned around in memory before, since a tile that is turned here is stored twice."""
    fits = (rows[:, None] < H) & (columns[None, :] < H)
    return tl.load(w_t + (gate * H + rows[:, None]) * H + columns[None, :], mask=fits, other=0.0)


@triton.jit
def _lengths_of(lengths, n, N, T, HAS_LENGTHS: tl.constexpr):
    if HAS_LENGTHS:
        return tl.load(lengths + n, mask=n < N, other=0)
    return tl.where(n < N, T, 0)


@triton.jit
def _row_of(n, s, length, T, REVERSE: tl.constexpr):
    """The place of step s of each case among the N * T; past its end, that of position s."""
    position = tl.where(s < length, length - 1 - s, s) if REVERSE else s + 0 * n
    return n.to(tl.int64) * T + position


@triton.jit
def forward(
    z, w_h, c_0, h_0, lengths, outputs, c_T, h_T, gates, cells,
    N, T, start, stop, forget_bias, H,
    HP: tl.constexpr, CASES: tl.constexpr, HAS_LENGTHS: tl.constexpr, REVERSE: tl.constexpr, KEEP: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """Run the steps `start` to `stop` of a tile of cases."""
    n = tl.program_id(0) * CASES + tl.arange(0, CASES)
    u = tl.arange(0, HP)
    there = (n[:, None] < N) & (u[None, :] < H)
    state = n[:, None] * H + u[None, :]
    length = _lengths_of(lengths, n, N, T, HAS_LENGTHS)
    w_i, w_j = _weights(w_h, 0, H, u, u), _weights(w_h, 1, H, u, u)
    w_f, w_o = _weights(w_h, 2, H, u, u), _weights(w_h, 3, H, u, u)
    c = tl.load(c_0 + state, mask=there, other=0.0)
    h = tl.load(h_0 + state, mask=there, other=0.0)
    for s in range(start, stop):
        alive = there & (s < length)[:, None]
        row = _row_of(n, s, length, T, REVERSE)
        quarter = row[:, None] * (4 * H) + u[None, :]
        z_i = tl.load(z + quarter, mask=alive, other=0.0).to(tl.float32)
        z_j = tl.load(z + quarter + H, mask=alive, other=0.0).to(tl.float32)
        z_f = tl.load(z + quarter + 2 * H, mask=alive, other=0.0).to(tl.float32)
        z_o = tl.load(z + quarter + 3 * H, mask=alive, other=0.0).to(tl.float32)
        i = sigmoid(tl.dot(h, w_i, acc=z_i, input_precision=PRECISION))
        j = tanh(tl.dot(h, w_j, acc=z_j, input_precision=PRECISION))
        f = sigmoid(tl.dot(h, w_f, acc=z_f, input_precision=PRECISION) + forget_bias)
        o = sigmoid(tl.dot(h, w_o, acc=z_o, input_precision=PRECISION))
        c_next = c * f + i * j
        h_next = (o * tanh(c_next)).to(h.dtype)
        if KEEP:
            tl.store(gates + quarter, i.to(h.dtype), mask=alive)
            tl.store(gates + quarter + H, j.to(h.dtype), mask=alive)
            tl.store(gates + quarter + 2 * H, f.to(h.dtype), mask=alive)
            tl.store(gates + quarter + 3 * H, o.to(h.dtype), mask=alive)
            tl.store(cells + row[:, None] * H + u[None, :], c_next, mask=alive)
        tl.store(outputs + row[:, None] * H + u[None, :], tl.where(alive, h_next, 0.0), mask=there)
        c = tl.where(alive, c_next, c)
        h = tl.where(alive, h_next, h)
    tl.store(c_T + state, c, mask=there)
    tl.store(h_T + state, h, mask=there)


@triton.jit
def backward(
    w_t, gates, cells, c_0, lengths, d_outputs, d_c_T, d_h_T, d_z, d_c_0, d_h_0,
    N, T, start, stop, H,
    HP: tl.constexpr, CASES: tl.constexpr, HAS_LENGTHS: tl.constexpr, REVERSE: tl.constexpr,
    HAS_OUTPUTS: tl.constexpr, HAS_C: tl.constexpr, HAS_H: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Run them back; `w_t` is the transpose of w_h."""
    n = tl.program_id(0) * CASES + tl.arange(0, CASES)
    u = tl.arange(0, HP)
    there = (n[:, None] < N) & (u[None, :] < H)
    state = n[:, None] * H + u[None, :]
    length = _lengths_of(lengths, n, N, T, HAS_LENGTHS)
    w_i, w_j = _transposed(w_t, 0, H, u, u), _transposed(w_t, 1, H, u, u)
    w_f, w_o = _transposed(w_t, 2, H, u, u), _transposed(w_t, 3, H, u, u)
    d_c = tl.zeros((CASES, HP), tl.float32)
    d_h = tl.zeros((CASES, HP), tl.float32)
    if HAS_C:
        d_c = tl.load(d_c_T + state, mask=there, other=0.0).to(tl.float32)
    if HAS_H:
        d_h = tl.load(d_h_T + state, mask=there, other=0.0).to(tl.float32)
    c_start = tl.load(c_0 + state, mask=there, other=0.0)
    for back in range(stop - start):
        s = stop - 1 - back
        alive = there & (s < length)[:, None]
        row = _row_of(n, s, length, T, REVERSE)
        quarter = row[:, None] * (4 * H) + u[None, :]
        i = tl.load(gates + quarter, mask=alive, other=0.0).to(tl.float32)
        j = tl.load(gates + quarter + H, mask=alive, other=0.0).to(tl.float32)
        f = tl.load(gates + quarter + 2 * H, mask=alive, other=0.0).to(tl.float32)
        o = tl.load(gates + quarter + 3 * H, mask=alive, other=0.0).to(tl.float32)
        at = cells + row[:, None] * H + u[None, :]
        c = tl.load(at, mask=alive, other=0.0)
        earlier = at + H if REVERSE else at - H
        inside = s + 0 * length > start  # not the first of these steps, before which stands the starting state
        c_before = tl.load(earlier, mask=alive & inside[:, None], other=0.0)
        c_before = tl.where(inside[:, None], c_before, c_start)
        d_here = d_h
        if HAS_OUTPUTS:
            d_here += tl.load(d_outputs + row[:, None] * H + u[None, :], mask=alive, other=0.0).to(tl.float32)
        shown = tanh(c)
        d_cell = d_c + d_here * o * (1.0 - shown * shown)
        z_type = d_z.dtype.element_ty
        d_i = tl.where(alive, d_cell * j * i * (1.0 - i), 0.0).to(z_type)
        d_j = tl.where(alive, d_cell * i * (1.0 - j * j), 0.0).to(z_type)
        d_f = tl.where(alive, d_cell * c_before * f * (1.0 - f), 0.0).to(z_type)
        d_o = tl.where(alive, d_here * shown * o * (1.0 - o), 0.0).to(z_type)
        tl.store(d_z + quarter, d_i, mask=there)
        tl.store(d_z + quarter + H, d_j, mask=there)
        tl.store(d_z + quarter + 2 * H, d_f, mask=there)
        tl.store(d_z + quarter + 3 * H, d_o, mask=there)
        d_before = tl.dot(d_i, w_i, input_precision=PRECISION)
        d_before = tl.dot(d_j, w_j, acc=d_before, input_precision=PRECISION)
        d_before = tl.dot(d_f, w_f, acc=d_before, input_precision=PRECISION)
        d_before = tl.dot(d_o, w_o, acc=d_before, input_precision=PRECISION)
        d_h = tl.where(alive, d_before, d_h)
        d_c = tl.where(alive, d_cell * f, d_c)
    tl.store(d_c_0 + state, d_c, mask=there)
    tl.store(d_h_0 + state, d_h, mask=there)


@triton.jit
def step(
    z, z_h, c, h, outputs, gates, cells, lengths, first, k, count, forget_bias, H,
    KEEP: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Run step `first + k` of all cases, of which `z_h = h @ w_h` is there; c and h are written in place."""
    e = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    there = e < count
    n = e // H
    alive = there & (tl.load(first) + k < tl.load(lengths + n, mask=there, other=0))
    at = n * (4 * H) + e % H
    i = sigmoid(tl.load(z + at, mask=alive, other=0.0).to(tl.float32) + tl.load(z_h + at, mask=alive, other=0.0))
    j = tanh(tl.load(z + at + H, mask=alive, other=0.0).to(tl.float32) + tl.load(z_h + at + H, mask=alive, other=0.0))
    f = tl.load(z + at + 2 * H, mask=alive, other=0.0).to(tl.float32)
    f = sigmoid(f + tl.load(z_h + at + 2 * H, mask=alive, other=0.0) + forget_bias)
    o = tl.load(z + at + 3 * H, mask=alive, other=0.0).to(tl.float32)
    o = sigmoid(o + tl.load(z_h + at + 3 * H, mask=alive, other=0.0))
    c_next = tl.load(c + e, mask=alive, other=0.0) * f + i * j
    h_next = (o * tanh(c_next)).to(h.dtype.element_ty)
    if KEEP:
        tl.store(gates + at, i.to(h.dtype.element_ty), mask=alive)
        tl.store(gates + at + H, j.to(h.dtype.element_ty), mask=alive)
        tl.store(gates + at + 2 * H, f.to(h.dtype.element_ty), mask=alive)
        tl.store(gates + at + 3 * H, o.to(h.dtype.element_ty), mask=alive)
        tl.store(cells + e, c_next, mask=alive)
    tl.store(outputs + e, tl.where(alive, h_next, 0.0), mask=there)
    tl.store(c + e, c_next, mask=alive)
    tl.store(h + e, h_next, mask=alive)


@triton.jit
def step_back(
    gates, c_after, c_before, d_outputs, d_z, d_c, d_h, carried, lengths, first, k, count, H, BLOCK: tl.constexpr
):  # fmt: skip
    """Run it back up to d_z; `d_h = carried + d_z @ w_t` follows. d_c is written in place."""
    e = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    there = e < count
    n = e // H
    alive = there & (tl.load(first) + k < tl.load(lengths + n, mask=there, other=0))
    at = n * (4 * H) + e % H
    i = tl.load(gates + at, mask=alive, other=0.0).to(tl.float32)
    j = tl.load(gates + at + H, mask=alive, other=0.0).to(tl.float32)
    f = tl.load(gates + at + 2 * H, mask=alive, other=0.0).to(tl.float32)
    o = tl.load(gates + at + 3 * H, mask=alive, other=0.0).to(tl.float32)
    later = tl.load(d_h + e, mask=there, other=0.0)
    d_here = later.to(tl.float32) + tl.load(d_outputs + e, mask=alive, other=0.0).to(tl.float32)
    shown = tanh(tl.load(c_after + e, mask=alive, other=0.0))
    d_cell = tl.load(d_c + e, mask=alive, other=0.0) + d_here * o * (1.0 - shown * shown)
    d_f = d_cell * tl.load(c_before + e, mask=alive, other=0.0) * f * (1.0 - f)
    z_type = d_z.dtype.element_ty
    tl.store(d_z + at, tl.where(alive, d_cell * j * i * (1.0 - i), 0.0).to(z_type), mask=there)
    tl.store(d_z + at + H, tl.where(alive, d_cell * i * (1.0 - j * j), 0.0).to(z_type), mask=there)
    tl.store(d_z + at + 2 * H, tl.where(alive, d_f, 0.0).to(z_type), mask=there)
    tl.store(d_z + at + 3 * H, tl.where(alive, d_here * shown * o * (1.0 - o), 0.0).to(z_type), mask=there)
    tl.store(d_c + e, d_cell * f, mask=alive)
    # What the product of this step is added to: the gradient passes a case by that has ended.
    tl.store(carried + e, tl.where(alive, 0.0, later), mask=there)
