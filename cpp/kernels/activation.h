// The functions of a cell.
#pragma once

namespace quadgate {

// hard_sigmoid is clip(z / 5 + 1/2, 0, 1), Keras up to 2 and ONNX; hard_sigmoid_v3 is clip(z / 6 + 1/2, 0, 1).
enum class Activation { sigmoid, tanh, relu, linear, hard_sigmoid, hard_sigmoid_v3 };

}  // namespace quadgate
