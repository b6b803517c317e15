"""Writes the files beside it: `python make.py`, with equinox and jax; `NAME.npz` holds what Equinox gives for `x`."""

from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

HERE = Path(__file__).parent


class Classifier(eqx.Module):
    """A cell over the steps, then a dense layer of its last state."""

    cell: eqx.nn.LSTMCell | eqx.nn.GRUCell
    out: eqx.nn.Linear

    def __init__(self, kind, key):
        self.cell = kind(4, 5, key=key)
        self.out = eqx.nn.Linear(5, 2, key=key)

    def __call__(self, x):
        zeros = jnp.zeros(5)
        start = (zeros, zeros) if isinstance(self.cell, eqx.nn.LSTMCell) else zeros

        def step(state, x_t):
            state = self.cell(x_t, state)
            return state, state[0] if isinstance(state, tuple) else state

        _, outputs = jax.lax.scan(step, start, x)
        return outputs, self.out(outputs[-1])


def stack(key):
    keys = jax.random.split(key)
    return [eqx.nn.LSTMCell(4, 5, key=keys[0]), eqx.nn.LSTMCell(5, 5, use_bias=False, key=keys[1])]


if __name__ == "__main__":
    x = np.random.default_rng(7).normal(size=(3, 6, 4)).astype(np.float32)
    for name, kind in (("lstm", eqx.nn.LSTMCell), ("gru", eqx.nn.GRUCell)):
        model = Classifier(kind, jax.random.PRNGKey(3))
        outputs, logits = jax.vmap(model)(x)
        np.savez(HERE / f"{name}.npz", x=x, outputs=outputs, logits=logits)
        eqx.tree_serialise_leaves(HERE / f"{name}.eqx", model)
    eqx.tree_serialise_leaves(HERE / "stack.eqx", stack(jax.random.PRNGKey(4)))
    with (HERE / "with_settings.eqx").open("wb") as file:  # as Equinox's documentation shows: a line of JSON first
        file.write(b'{"hidden": 5}\n')
        eqx.tree_serialise_leaves(file, Classifier(eqx.nn.LSTMCell, jax.random.PRNGKey(3)))
