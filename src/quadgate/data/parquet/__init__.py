"""Sets of series in Parquet that are larger than memory: packing, opening, statistics, parts, the order of training."""

from quadgate.data.parquet.packing import identity_of, pack, packed_so_far
from quadgate.data.parquet.parquet_set import LeftOut, ParquetSet, is_parquet_set, parts_of_sets
from quadgate.data.parquet.part import Part, Window, joined, windows
from quadgate.data.parquet.sources import open_source
from quadgate.data.parquet.statistics import Statistics, statistics_of

__all__ = [
    "LeftOut",
    "ParquetSet",
    "Part",
    "Statistics",
    "Window",
    "identity_of",
    "is_parquet_set",
    "joined",
    "open_source",
    "pack",
    "packed_so_far",
    "parts_of_sets",
    "statistics_of",
    "windows",
]
