"""Recurrent layers with different numbers in every gate and both biases, for the tests of proofs and writers."""

from dataclasses import replace

import numpy as np

from quadgate.cell import GRUParameters, LSTMParameters


def lstm_layer(seed, C, H, P=None, forget_bias=0.0, peepholes=False, **options):
    rng = np.random.default_rng(seed)

    def draw(*shape):
        return rng.normal(0, 0.8, shape).astype(np.float32)

    return LSTMParameters(
        draw(4, C, H),
        draw(4, P or H, H),
        draw(4, H),
        draw(4, H),
        forget_bias,
        peepholes=draw(3, H) if peepholes else None,
        projection=draw(H, P) if P else None,
        **options,
    )


def gru_layer(seed, C, H, **options):
    rng = np.random.default_rng(seed)
    shapes = ((3, C, H), (3, H, H), (3, H), (3, H))
    return GRUParameters(*(rng.normal(0, 0.8, shape).astype(np.float32) for shape in shapes), **options)


def with_gates(layer, order):
    return replace(layer, **{name: getattr(layer, name)[list(order)] for name in ("w_x", "w_h", "b_x", "b_h")})
