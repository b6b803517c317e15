"""Chinese."""

from __future__ import annotations

from quadgate.explain.texts import Texts

TEXTS = Texts(
    inputs=("{} 个输入", "{} 个输入"),
    units=("{} 个单元", "{} 个单元"),
    row_numbers=("第 {} 行", "第 {} 行"),
    arithmetic="({inputs} + {P} 个隐藏值) x (4 个门 x {units}) = {rows} x {columns} = {numbers:,}",
    gates={"i": "输入门", "j": "候选值", "f": "遗忘门", "o": "输出门"},
    x_rows="x：{inputs}",
    h_rows="h：{P} 个隐藏值",
    bias="偏置 ({columns},)",
    forget_bias="forget_bias 在运行时加到这里，并不保存",
    page="""\
kernel ({rows}, {columns})：一个有 {inputs}、{units}的 LSTM 层

  {arithmetic}

{drawing}

【为什么是 {rows} 行：x 和 h 叠在一起】

每一步，这一层读入两个向量：输入 x（{C} 个数）和它自己上一步的输出 h（{P} 个数）。
首尾相接，共 {C} + {P} = {rows} 个数，每个数对应一行权重。x 的行在上，h 的行在下，
于是一次矩阵乘法就做完了两次的事，得到的和完全一样：

  [x, h] @ kernel  =  x @ W_x + h @ W_h
                      W_x = kernel[:{C}]    W_h = kernel[{C}:]

【为什么是 {columns} 列：4 x {H}】

每个单元每一步需要四个数：三个门和一个候选值。四者各占 {H} 列，一次算出：

  z = [x, h] @ kernel + bias      {columns} 个数，i、j、f、o 各 {H} 个

  i  输入门   sigmoid(i)                  候选值写入多少
  j  候选值   tanh(j)                     可以写入的内容
  f  遗忘门   sigmoid(f + forget_bias)    记忆 c 保留多少
  o  输出门   sigmoid(o)                  记忆展示多少

  c' = sigmoid(f + forget_bias) * c + sigmoid(i) * tanh(j)    新的记忆
  h' = sigmoid(o) * tanh(c')                                  新的输出

两个来源乘以四个门，是八个小块，八次小乘法；存成一个矩阵，每一步只需一次乘法。

【偏置 ({columns},)，以及遗忘偏置在哪里】

偏置的每个数对应一列：4 x {H} = {columns}。BasicLSTMCell 的 forget_bias（默认 1.0）
不在其中：它在运行时才加到 f 上，本身不是变量，所以保存的权重里也没有它。
刚建好的网络，权重还起不了多大作用：有它，每一步保留 sigmoid(1) = {kept:.0%} 的记忆；没有它，只保留一半。

  kernel {numbers:,} + 偏置 {columns:,} = 这一层共 {total:,} 个数

【用 NumPy 取出一块】

  W_xf = kernel[:{C}, {f_start}:{f_end}]      从输入到遗忘门
  W_hf = kernel[{C}:, {f_start}:{f_end}]      从隐藏状态到遗忘门
  W_i, W_j, W_f, W_o = np.split(kernel, 4, axis=1)
""",
    cell="""\
{name}

  {arithmetic}
  {layout} 的存放方式，门的次序 {order}

{tensors}

{forget}
  每一块的作用：quadgate explain --inputs {C} --units {H} --lang zh
""",
    forget="""\
  遗忘偏置：运行时加 {added:g}；连同保存的偏置共 {low:.2f} 到 {high:.2f}，
  没有输入时，记忆经 {shortest} 到 {longest} 步衰减到 1/e
""",
    update="""\
  更新门 z 的偏置：{low:.2f} 到 {high:.2f}，
  没有输入时，记忆经 {shortest} 到 {longest} 步衰减到 1/e
""",
    products="""\
【为什么是一次乘法，而不是八次】

{name} 的一步，在这台机器上（NumPy，float32）：

{table}

  8：每个门、x 与 h 都分开            4：每个门分开，[x, h] 拼在一起
  2：x 与 h 分开                      1：[x, h] @ kernel
""",
    products_head=("乘法次数", "1 个样本", "32 个样本", "是一次的几倍"),
    projection="""\
  投影 ({H}, {P})：h' = (sigmoid(o) * tanh(c')) @ projection
""",
    peepholes="""\
  窥视孔：i、f、o 还各通过一个向量 ({H},) 看到记忆
""",
    found_as={
        "stacked": "",
        "input": """\
({found_rows},~{found_columns}) 不是 TensorFlow 1 的完整 kernel：{units}要反馈 {H} 个数，行数应多于 {H}。
它看起来只含 x 的那些行，即一个有 {inputs}、{units}的层的输入核，Keras 就是这样保存的（`kernel`）；
旁边应另有一个循环核 ({H},~{columns})。把两者叠起来，x 在上，h 在下，就是下面的 kernel ({rows},~{columns})。
注意次序：那里的门按 i、f、j、o 排列，这里按 i、j、f、o。
""",
        "stacked_transposed": """\
({found_rows},~{found_columns}) 看起来是转置过的：它的 {found_rows} 行才是各个门，用于 W~@~[x,~h]，而不是 [x,~h]~@~W。
转回来就是下面的 kernel ({rows},~{columns})。
""",
        "input_transposed": """\
({found_rows},~{found_columns}) 看起来只含 x 的权重，而且各个门沿行排列，用于 W~@~x，PyTorch 就是这样保存的
（`weight_ih_l0`）；旁边应另有 h 的矩阵 ({columns},~{H})（`weight_hh_l0`）。
转回来再叠起来，x 在上，h 在下，就是下面的 kernel ({rows},~{columns})。
注意次序：那里的门按 i、f、j、o 排列，这里按 i、j、f、o。
""",
    },
    could_be_recurrent="""\
它也可能只含 h 的那些行（`{recurrent_name}`）。那样的话，输入的个数要看旁边 x 的矩阵：
  quadgate explain --inputs C --units {H}
""",
    others="""\
【({found_rows}, {found_columns}) 还可能是什么】

只看形状无法断定，要看文件里与它相邻的名字和形状。它也可以是：
""",
    other={
        "stacked": "  TensorFlow 1 那样叠起来的 kernel：{inputs}，{units}",
        "input": "  Keras 的输入核：{inputs}，{units}，旁边是 ({H}, {columns})",
        "stacked_transposed": "  转置过的叠起来的 kernel：{inputs}，{units}",
        "input_transposed": "  PyTorch 的 weight_ih_l0：{inputs}，{units}，旁边是 ({columns}, {H})",
    },
    trace="""\
【用数字走一步：{inputs}，{units}】
{smaller}
  x = {x}
  h = {h}
  c = {c}

kernel ({rows}, {columns})，x 在上，h 在下；以及偏置 ({columns},)：

{kernel}

八次小乘法：对每个门分别算 x @ W_x 和 h @ W_h，再加偏置；同样的结果用一次乘法
[x, h] @ kernel + bias 得到：

{products}

  八次乘法与一次乘法的最大差别：{difference}
  （float64；同样的各项，相加的次序不同）

然后每个数经过各自的函数，forget_bias 为 {forget_bias}：

{gates}

  c' = sigmoid(f + {forget_bias}) * c + sigmoid(i) * tanh(j)
     = {c_next}
  h' = sigmoid(o) * tanh(c')
     = {h_next}
""",
    trace_smaller="""
（取小尺寸，便于阅读；{asked_rows} x {asked_columns} 的算法完全相同，只是每行更长。）
""",
    x_part="x @ W_x",
    h_part="h @ W_h",
    eight="相加 + 偏置",
    one="一次乘法",
)
