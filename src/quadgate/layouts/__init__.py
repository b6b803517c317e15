"""How every framework arranges the numbers of a recurrent layer: one row of data for each class.

`decode` brings a framework's tensors to the normal form, `encode` writes the normal form as a framework keeps it; both
read the row. No gate permutation is written anywhere else.
"""

from quadgate.layouts.coding import Encoding, decode, encode
from quadgate.layouts.flat import cut_flat, join_flat
from quadgate.layouts.layout import Layout, Part, Tensor
from quadgate.layouts.rows import LAYOUTS, find
from quadgate.layouts.settings import Settings, settled
from quadgate.layouts.strides import Strided, strides

__all__ = [
    "LAYOUTS",
    "Encoding",
    "Layout",
    "Part",
    "Settings",
    "Strided",
    "Tensor",
    "cut_flat",
    "decode",
    "encode",
    "find",
    "join_flat",
    "settled",
    "strides",
]
