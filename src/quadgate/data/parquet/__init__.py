"""Sets of series in Parquet that are larger than memory: opening, statistics, parts, and the order of training."""

from quadgate.data.parquet.parquet_set import ParquetSet, is_parquet_set
from quadgate.data.parquet.part import Part, Window, joined, windows
from quadgate.data.parquet.statistics import Statistics, statistics_of

__all__ = ["ParquetSet", "Part", "Statistics", "Window", "is_parquet_set", "joined", "statistics_of", "windows"]
