"""English."""

from __future__ import annotations

from quadgate.explain.texts import Texts

TEXTS = Texts(
    inputs=("{} input", "{} inputs"),
    units=("{} unit", "{} units"),
    row_numbers=("row {}", "rows {}"),
    arithmetic="({inputs} + {P} hidden) x (4 gates x {units}) = {rows} x {columns} = {numbers:,}",
    gates={"i": "input gate", "j": "candidate", "f": "forget gate", "o": "output gate"},
    x_rows="x: {inputs}",
    h_rows="h: {P} hidden",
    bias="bias ({columns},)",
    forget_bias="forget_bias is added here, while running, not stored",
    page="""\
kernel ({rows}, {columns}): an LSTM layer with {inputs} and {units}

  {arithmetic}

{drawing}

WHY {rows} ROWS: x and h are stacked

At every step the layer reads two vectors: the input x ({inputs}) and its own previous
output h ({P} numbers). Laid end to end they are {C} + {P} = {rows} numbers, and each
has one row of weights. The rows of x lie above the rows of h, so one
product does the work of two and gives the same sum:

  [x, h] @ kernel  =  x @ W_x + h @ W_h
                      W_x = kernel[:{C}]    W_h = kernel[{C}:]

WHY {columns} COLUMNS: 4 x {H}

Every unit needs four numbers at every step: three gates and a candidate. Each of
the four has its own block of columns, {H} wide, and one product yields all:

  z = [x, h] @ kernel + bias      {columns} numbers, {H} each for i, j, f, o

  i  input gate    sigmoid(i)                how much of the candidate to write
  j  candidate     tanh(j)                   what there is to write
  f  forget gate   sigmoid(f + forget_bias)  how much of the memory c to keep
  o  output gate   sigmoid(o)                how much of the memory to show

  c' = sigmoid(f + forget_bias) * c + sigmoid(i) * tanh(j)    the new memory
  h' = sigmoid(o) * tanh(c')                                  the new output

Two sources times four gates are eight blocks, eight small products. Stored as one
matrix they are one product per step.

THE BIAS ({columns},), and where the forget bias is

The bias has one number per column: 4 x {H} = {columns}. The forget_bias of BasicLSTMCell,
1.0 unless told otherwise, is not among them: it is added to f while running and is
no variable, so it is not among the saved weights either. With it a fresh cell, whose weights say
little yet, keeps sigmoid(1) = {kept:.0%} of its memory at each step; without it, half.

  kernel {numbers:,} + bias {columns:,} = {total:,} numbers in this layer

ONE BLOCK in NumPy

  W_xf = kernel[:{C}, {f_start}:{f_end}]      from the inputs to the forget gate
  W_hf = kernel[{C}:, {f_start}:{f_end}]      from the hidden state to the forget gate
  W_i, W_j, W_f, W_o = np.split(kernel, 4, axis=1)
""",
    cell="""\
{name}

  {arithmetic}
  the layout of {layout}, gates {order}

{tensors}

{forget}
  what each block does: quadgate explain --inputs {C} --units {H}
""",
    forget="""\
  forget bias: {added:g} is added while running; with what is stored it is {low:.2f} to {high:.2f},
  so the memory fades to 1/e in {shortest} to {longest} steps while nothing comes in
""",
    update="""\
  bias of the update gate z: {low:.2f} to {high:.2f}, so the memory fades to 1/e in
  {shortest} to {longest} steps while nothing comes in
""",
    products="""\
WHY ONE PRODUCT AND NOT EIGHT

One step of {name} takes, on this machine (NumPy, float32):

{table}

  8: each gate and x and h apart    4: each gate apart, [x, h] laid together
  2: x and h apart                  1: [x, h] @ kernel
""",
    products_head=("products", "1 case", "32 cases", "of one product"),
    projection="""\
  projection ({H}, {P}): h' = (sigmoid(o) * tanh(c')) @ projection
""",
    peepholes="""\
  peepholes: i, f and o see the memory too, each through a vector ({H},)
""",
    found_as={
        "stacked": "",
        "input": """\
({found_rows},~{found_columns}) is no whole kernel of TensorFlow 1: {units} feed {H} numbers back, so it would need
more than {H} rows. It looks like the rows of x alone, the input kernel of a layer with {inputs} and {units}, as
Keras keeps it (`kernel`); a recurrent kernel ({H},~{columns}) then stands beside it. Stacked, x above h, the two are
the kernel ({rows},~{columns}) that follows. Mind the order: there the gates stand as i, f, j, o, here as i, j, f, o.
""",
        "stacked_transposed": """\
({found_rows},~{found_columns}) looks transposed: its {found_rows} rows are the gates, for W~@~[x,~h] in place of
[x,~h]~@~W. Turned round it is the kernel ({rows},~{columns}) that follows.
""",
        "input_transposed": """\
({found_rows},~{found_columns}) looks like the weights of x alone with the gates along the rows, for W~@~x, as PyTorch
keeps them (`weight_ih_l0`); a matrix ({columns},~{H}) for h then stands beside it (`weight_hh_l0`). Turned round and
stacked, x above h, the two are the kernel ({rows},~{columns}) that follows. Mind the order: there the gates stand as
i, f, j, o, here as i, j, f, o.
""",
    },
    could_be_recurrent="""\
It may as well be the rows of h alone (`{recurrent_name}`). Then the matrix for x beside it tells the inputs:
  quadgate explain --inputs C --units {H}
""",
    others="""\
WHAT ELSE ({found_rows}, {found_columns}) COULD BE

A shape alone does not settle it; the names and shapes beside it in the file do. It
could also be
""",
    other={
        "stacked": "  a stacked kernel as in TensorFlow 1: {inputs}, {units}",
        "input": "  an input kernel as in Keras: {inputs}, {units}, beside a ({H}, {columns})",
        "stacked_transposed": "  a stacked kernel, transposed: {inputs}, {units}",
        "input_transposed": "  weight_ih_l0 as in PyTorch: {inputs}, {units}, beside a ({columns}, {H})",
    },
    trace="""\
ONE STEP IN NUMBERS: {inputs}, {units}
{smaller}
  x = {x}
  h = {h}
  c = {c}

The kernel ({rows}, {columns}), x above h, and the bias ({columns},):

{kernel}

Eight small products, x @ W_x and h @ W_h for each gate, then the bias; and the same
from one product, [x, h] @ kernel + bias:

{products}

  largest difference between eight products and one: {difference}
  (float64; the same terms, added in another order)

Then each number goes through its function, with forget_bias {forget_bias}:

{gates}

  c' = sigmoid(f + {forget_bias}) * c + sigmoid(i) * tanh(j)
     = {c_next}
  h' = sigmoid(o) * tanh(c')
     = {h_next}
""",
    trace_smaller="""
(Small enough to read; {asked_rows} x {asked_columns} works the same way, with longer rows.)
""",
    x_part="x @ W_x",
    h_part="h @ W_h",
    eight="sum + bias",
    one="one product",
)
