import numpy as np
import pytest

from quadgate.formats.tensorflow_checkpoint.crc32c import BLOCK, LANES, crc32c, masked


def one_bit_at_a_time(data: bytes) -> int:
    state = 0xFFFFFFFF
    for byte in data:
        state ^= byte
        for _ in range(8):
            state = state >> 1 ^ (0x82F63B78 if state & 1 else 0)
    return state ^ 0xFFFFFFFF


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", 0),
        (b"123456789", 0xE3069283),
        (bytes(32), 0x8A9136AA),  # these three: RFC 3720, B.4
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
    ],
)
def test_published_values(data, expected):
    assert crc32c(data) == expected


@pytest.mark.parametrize("size", [1, 3, 4 * LANES - 1, 4 * LANES, 4 * LANES + 1, 8 * LANES + 13, 77777])
def test_lanes_give_what_single_bits_give(size):
    data = np.random.default_rng(size).bytes(size)
    assert crc32c(data) == one_bit_at_a_time(data)


def test_blocks_join():
    data = np.random.default_rng(0).bytes(5)
    whole = data + bytes(2 * BLOCK) + data
    # A checksum of data followed by its own little-endian checksum is a constant: a check without a second algorithm.
    assert crc32c(whole + crc32c(whole).to_bytes(4, "little")) == 0x48674BC7


def test_mask_is_tensorflows():
    assert masked(0) == 0xA282EAD8
    assert masked(0xE3069283) == ((0xE3069283 >> 15 | 0xE3069283 << 17 & 0xFFFFFFFF) + 0xA282EAD8) % 2**32
