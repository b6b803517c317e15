"""Small sets of Parquet files, written by pyarrow itself."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from quadgate.data import make_sequences


@pytest.fixture
def write():
    """Write the cases of sequences as one file, so many cases in a row group."""

    def to(path, sequences, names, per_group=5, labels=("no", "yes"), **more):
        path.parent.mkdir(exist_ok=True)
        tables = []
        for start in range(0, len(sequences), per_group):
            chosen = range(start, min(start + per_group, len(sequences)))
            steps = [len(sequences.series[i]) for i in chosen]
            values = np.concatenate([sequences.series[i] for i in chosen])
            columns = {"case": np.repeat([names[i] for i in chosen], steps)}
            columns |= {f"c{c}": values[:, c] for c in range(values.shape[1])}
            if labels is not None:
                columns["label"] = np.repeat([labels[int(sequences.labels[i])] for i in chosen], steps)
            columns |= {name: np.repeat([one[i] for i in chosen], steps) for name, one in more.items()}
            tables.append(pa.table(columns))
        with pq.ParquetWriter(path, tables[0].schema) as writer:
            for table in tables:
                writer.write_table(table)

    return to


@pytest.fixture
def made(tmp_path, write):
    """A set of 40 cases of 20 to 28 steps in 3 files with 8 row groups, and what is in it."""
    sequences = make_sequences(40, time=(20, 28), channels=3, seed=3)
    for file, chosen in enumerate(np.split(np.arange(40), [15, 30])):
        part = sequences.take(chosen)
        write(tmp_path / "set" / f"part-{file}.parquet", part, [f"case {i:02}" for i in chosen])
    return tmp_path / "set", sequences
