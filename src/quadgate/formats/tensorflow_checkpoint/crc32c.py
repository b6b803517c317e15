"""CRC32C (Castagnoli), the checksum of TensorFlow's files, fast enough in NumPy for large tensors.

A checksum is a polynomial over GF(2), so it need not be computed byte after byte: the data is cut into lanes of equal
length, all lanes advance together four bytes at a time, and neighbours are joined by a product with x^(8 * length).
Polynomials are written reflected, the highest power in the lowest bit.
"""

from __future__ import annotations

from functools import cache
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

POLYNOMIAL = 0x82F63B78
LANES = 2048
BLOCK = 4 << 20  # bytes that are worked on at a time

Words = NDArray[Any]
Polynomials = TypeVar("Polynomials", int, Words)


def crc32c(data: bytes | memoryview) -> int:
    """Return the CRC32C of the data.

    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    view = memoryview(data).cast("B")
    state = 0xFFFFFFFF
    at = 0
    while len(view) - at >= 4 * LANES:
        words = min(len(view) - at, BLOCK) // (4 * LANES)
        size = words * 4 * LANES
        lanes = np.frombuffer(view[at : at + size], "<u4").reshape(LANES, words)
        state = _times(_power(8 * size), state) ^ _join(_advance(lanes), 4 * words)
        at += size
    table = _byte_table()
    for byte in view[at:]:
        state = table[(state ^ byte) & 0xFF] ^ (state >> 8)
    return state ^ 0xFFFFFFFF


def masked(crc: int) -> int:
    """Return a checksum as TensorFlow stores it: rotated and shifted, so that data may hold its own checksums."""
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def _advance(lanes: Words) -> Words:
    """Return the remainder of each lane `[LANES, words]`, started from zero."""
    low, high = _half_tables()
    state: Words = np.zeros(len(lanes), np.uint32)
    for word in np.ascontiguousarray(lanes.T):
        state ^= word
        state = low.take(state & 0xFFFF, mode="clip") ^ high.take(state >> 16, mode="clip")  # take: faster than [...]
    return state


def _join(remainders: Words, size: int) -> int:
    """Return the remainder of all lanes as one, each of `size` bytes: pairs of neighbours, then pairs of pairs."""
    power = _power(8 * size)
    while len(remainders) > 1:
        remainders = _times(power, remainders[::2]) ^ remainders[1::2]
        power = _times(power, power)
    return int(remainders[0])


def _times(a: int, b: Polynomials) -> Polynomials:
    """Return the product of a polynomial with one or many others, modulo the Castagnoli polynomial."""
    product: Polynomials = b & 0
    for bit in range(31, -1, -1):
        if a >> bit & 1:
            product = product ^ b
        b = (b >> 1) ^ ((b & 1) * POLYNOMIAL)
    return product


@cache
def _power(n: int) -> int:
    """Return x^n."""
    result, square = 1 << 31, 1 << 30
    while n:
        if n & 1:
            result = _times(result, square)
        square = _times(square, square)
        n >>= 1
    return result


@cache
def _byte_table() -> list[int]:
    return [_times(_power(8), byte) for byte in range(256)]


@cache
def _half_tables() -> tuple[Words, Words]:
    """Return what the lower and the upper 16 bits of a state become after four bytes."""
    half = np.arange(1 << 16, dtype=np.uint32)
    power = _power(32)
    return _times(power, half), _times(power, half << np.uint32(16))
