import numpy as np
import pytest

from quadgate.errors import InputError
from quadgate.model.build import Found, build


def test_a_setting_of_one_layer_that_its_file_contradicts_is_refused_for_that_layer():
    arrays = {
        f"{scope}/{name}": array
        for scope in "ab"
        for name, array in (("kernel", np.ones((3, 8))), ("bias", np.ones(8)))
    }
    names = [{"kernel": f"{scope}/kernel", "bias": f"{scope}/bias"} for scope in "ab"]
    found = [
        Found("a", "tf1.BasicLSTMCell", names[0], group="a"),
        Found("b", "tf1.BasicLSTMCell", names[1], told={"forget_bias": 1.0}, group="b"),
    ]
    zero = {"forget_bias": 0.0}
    model = build(arrays, found, source="x.ckpt", settings={"layers": {"a": zero}})
    assert [cell.forget_bias for (cell,) in model.cells] == [0.0, 1.0]
    with pytest.raises(InputError, match=r"found forget_bias=0.0 for 'b', but b \(tf1.BasicLSTMCell\) has 1.0"):
        build(arrays, found, source="x.ckpt", settings={"layers": {"a": zero, "b": zero}})
    with pytest.raises(InputError, match=r"found forget_bias=0.5 for 'b', but b"):
        build(arrays, found, source="x.ckpt", settings={"layers": {"b": {"forget_bias": 0.5}}})
