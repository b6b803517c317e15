import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quadgate.errors import FileFormatError
from quadgate.formats.numpy_pickle import read

REAL_FILE = Path(__file__).parents[3] / "shared" / "models" / "35_g2pm_bilstm_npy" / "np_ckpt.pkl"


@given(
    kind=st.sampled_from(["f4", ">f8", "i2", "?", "f2", "c8"]),
    shape=st.sampled_from([(), (0,), (3,), (2, 5), (2, 1, 3)]),
    fortran=st.booleans(),
    protocol=st.sampled_from([0, 2, 3, 4]),
)
def test_arrays_come_back(tmp_path_factory, kind, shape, fortran, protocol):
    count = int(np.prod(shape))
    array = np.arange(count).reshape(shape).astype(kind)
    array = np.asfortranarray(array) if fortran else array
    path = tmp_path_factory.mktemp("p") / "a.pkl"
    path.write_bytes(pickle.dumps({"x": [array, {"y": array}]}, protocol=protocol))
    found = read(path)
    assert "x.0" in found
    np.testing.assert_array_equal(found["x.0"], array)
    assert found["x.0"].dtype == array.dtype


def test_arrays_of_objects_are_refused(tmp_path):
    (tmp_path / "a.pkl").write_bytes(pickle.dumps({"x": np.array([{}], dtype=object)}))
    with pytest.raises(FileFormatError, match="expected numbers"):
        read(tmp_path / "a.pkl")


@pytest.mark.skipif(not REAL_FILE.exists(), reason="the real models lie beside the project, and are not here")
def test_real_file():
    found = read(REAL_FILE)
    assert found["lstm.weight_hh_l0_reverse"].shape == (128, 32)
    assert found["embedding.weight"].shape == (5398, 64)
