import pytest
from hypothesis import given
from hypothesis import strategies as st

from quadgate.errors import InputError
from quadgate.explain import KernelShape, parse_shape, readings

sizes = st.integers(1, 5000)


@given(C=sizes, H=sizes)
def test_rows_and_columns_are_cut_without_gap_or_overlap(C, H):
    kernel = KernelShape(C, H)
    assert (kernel.rows, kernel.columns, kernel.numbers) == (C + H, 4 * H, (C + H) * 4 * H)
    rows = [row for source in "xh" for row in kernel.rows_of(source)]
    columns = [column for gate in "ijfo" for column in kernel.columns_of(gate)]
    assert rows == list(range(C + H))
    assert columns == list(range(4 * H))


def test_the_seed_network():
    kernel = KernelShape(inputs=12, units=64)
    assert (kernel.rows, kernel.columns, kernel.numbers) == (76, 256, 19456)
    # The head of the seed has 64 x 2 weights and 2 biases; TensorFlow counts 19,842 numbers in all.
    assert kernel.numbers + kernel.columns + 64 * 2 + 2 == 19842


@given(C=sizes, H=sizes)
def test_every_arrangement_of_a_kernel_is_among_the_readings_of_its_shape(C, H):
    kernel = KernelShape(C, H)

    def found(rows, columns):
        return {(reading.arrangement, reading.kernel) for reading in readings(rows, columns)}

    assert ("stacked", kernel) in found(C + H, 4 * H)
    assert ("input", kernel) in found(C, 4 * H)
    if 4 * H > C + H:
        assert ("stacked_transposed", kernel) in found(4 * H, C + H)
    if 4 * H > C:
        assert ("input_transposed", kernel) in found(4 * H, C)


@given(rows=sizes, columns=sizes)
def test_every_reading_has_the_shape_that_was_read(rows, columns):
    try:
        read_as = readings(rows, columns)
    except InputError:
        return
    for reading in read_as:
        kernel = reading.kernel
        first = kernel.rows if reading.arrangement.startswith("stacked") else kernel.inputs
        shape = (first, kernel.columns)
        assert (shape[::-1] if reading.arrangement.endswith("transposed") else shape) == (rows, columns)


@pytest.mark.parametrize(
    ("shape", "arrangement", "sizes"),
    [
        ((76, 256), "stacked", (12, 64)),
        ((364, 256), "stacked", (300, 64)),  # more rows than columns, yet 64 units are likelier than 91
        ((112, 400), "stacked", (12, 100)),
        ((5, 12), "stacked", (2, 3)),
        ((256, 76), "stacked_transposed", (12, 64)),
        ((256, 75), "stacked_transposed", (11, 64)),
        ((400, 112), "stacked_transposed", (12, 100)),
        ((12, 256), "input", (12, 64)),
        ((64, 256), "input", (64, 64)),
        ((256, 12), "input_transposed", (12, 64)),
        ((1024, 256), "input_transposed", (256, 256)),
    ],
)
def test_the_likeliest_reading(shape, arrangement, sizes):
    likeliest = readings(*shape)[0]
    assert (likeliest.arrangement, likeliest.kernel) == (arrangement, KernelShape(*sizes))


@pytest.mark.parametrize(
    ("shape", "could"), [((64, 256), True), ((256, 64), True), ((12, 256), False), ((128, 256), False)]
)
def test_a_matrix_of_four_squares_could_be_the_recurrent_one(shape, could):
    assert readings(*shape)[0].could_be_recurrent is could


@pytest.mark.parametrize(
    "text",
    ["76x256", "76X256", "76×256", "76*256", "76,256", "76, 256", "(76, 256)", "[76, 256]", " 76 x 256 ", "(76,256,)"],
)
def test_shapes_as_people_write_them(text):
    assert parse_shape(text) == (76, 256)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("76", "19 units"),
        ("(256,)", "a bias, of 64 units"),
        ("7", "found 1 sizes"),
        ("1x256x12", "found 3 sizes"),
        ("76 256", "such as 76x256"),
        ("-76x256", "such as 76x256"),
        ("7.6x256", "such as 76x256"),
        ("٧٦x256", "such as 76x256"),
        ("", "such as 76x256"),
    ],
)
def test_what_is_no_shape_is_refused_in_one_line(text, told):
    with pytest.raises(InputError, match=told) as refused:
        parse_shape(text)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("shape", "told"),
    [
        ((76, 255), "255 columns, expected a multiple of 4 .*--shape 255x76"),
        ((75, 255), r"255 columns, expected a multiple of 4 \(gates x units\)$"),
        ((255, 75), "neither 255 nor 75"),
        ((0, 256), "at least one row"),
        ((10**8, 256), "inputs: found 99999936"),
    ],
)
def test_what_is_no_kernel_is_refused_in_one_line(shape, told):
    with pytest.raises(InputError, match=told) as refused:
        readings(*shape)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("sizes", [(0, 64), (12, 0), (-1, 64), (12, 10**7 + 1)])
def test_sizes_of_no_layer_are_refused(sizes):
    with pytest.raises(InputError, match="expected a number from 1 to 10,000,000"):
        KernelShape(*sizes)
