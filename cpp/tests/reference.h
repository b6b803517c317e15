// The LSTM as loops over scalars, in float64 whatever the arrays hold: the judge of the kernels.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "lstm.h"

namespace quadgate::reference {

inline double function(Activation activation, double z) {
  switch (activation) {
    case Activation::sigmoid: return 1 / (1 + std::exp(-z));
    case Activation::tanh: return std::tanh(z);
    case Activation::relu: return z < 0 ? 0 : z;
    case Activation::linear: return z;
    case Activation::hard_sigmoid: return std::clamp(z / 5 + 0.5, 0.0, 1.0);
    case Activation::hard_sigmoid_v3: return std::clamp(z / 6 + 0.5, 0.0, 1.0);
  }
  return NAN;
}

// The slope at a point whose value is y; at a corner, that of the flat side.
inline double slope(Activation activation, double y) {
  switch (activation) {
    case Activation::sigmoid: return y * (1 - y);
    case Activation::tanh: return 1 - y * y;
    case Activation::relu: return y > 0;
    case Activation::linear: return 1;
    case Activation::hard_sigmoid: return y > 0 && y < 1 ? 0.2 : 0;
    case Activation::hard_sigmoid_v3: return y > 0 && y < 1 ? 1.0 / 6 : 0;
  }
  return NAN;
}

// Like std::clamp, and a NaN stays.
inline double clip(double value, double limit) { return value > limit ? limit : value < -limit ? -limit : value; }
inline double within(double value, double limit) { return std::fabs(value) <= limit; }

// The weights in the normal form, [gate][row][unit].
struct Weights {
  std::vector<double> w_x, w_h, bias, peepholes, projection;

  template <class Real>
  Weights(const LstmCell& cell, const LstmArrays<const Real>& arrays)
      : w_x(read(arrays.w_x, 4, cell.inputs, cell.units)),
        w_h(read(arrays.w_h, 4, cell.width, cell.units)),
        bias(read(arrays.b_x, 4, 1, cell.units)),
        peepholes(read(arrays.peepholes, 4, 1, cell.units)),
        projection(read(arrays.projection, 1, cell.units, cell.width)) {
    const std::vector<double> second = read(arrays.b_h, 4, 1, cell.units);
    for (std::size_t k = 0; k < bias.size(); ++k) bias[k] += second[k];
    for (std::int64_t u = 0; u < cell.units; ++u) bias[2 * cell.units + u] += cell.forget_bias;
  }

 private:
  template <class Real>
  static std::vector<double> read(const GateArray<const Real>& array, int gates, std::int64_t rows, std::int64_t units) {
    std::vector<double> values(gates * rows * units, 0.0);
    if (!array.data) return values;
    for (int g = 0; g < gates; ++g) {
      for (std::int64_t r = 0; r < rows; ++r) {
        for (std::int64_t u = 0; u < units; ++u) {
          values[(g * rows + r) * units + u] =
              array.data[array.gate_offset[g] + r * array.row_stride + u * array.unit_stride];
        }
      }
    }
    return values;
  }
};

// All that one step of one case computes; vectors of [H] or [P].
struct Step {
  std::vector<double> x, h_before, c_before, z[4], gate[4], c_open, c, shown_c, shown, h_open, h;
};

inline Step step(const LstmCell& cell, const Weights& w, std::vector<double> x, std::vector<double> c,
                 std::vector<double> h) {
  const std::int64_t C = cell.inputs, H = cell.units, P = cell.width;
  Step s{std::move(x), std::move(h), std::move(c), {}, {}, {}, {}, {}, {}, {}, {}};
  for (int g = 0; g < 4; ++g) {
    s.z[g].resize(H);
    s.gate[g].resize(H);
    for (std::int64_t u = 0; u < H; ++u) {
      double z = w.bias[g * H + u];
      for (std::int64_t k = 0; k < C; ++k) z += s.x[k] * w.w_x[(g * C + k) * H + u];
      for (std::int64_t k = 0; k < P; ++k) z += s.h_before[k] * w.w_h[(g * P + k) * H + u];
      s.z[g][u] = z;
    }
  }
  s.c_open.resize(H), s.c.resize(H), s.shown_c.resize(H), s.shown.resize(H);
  for (std::int64_t u = 0; u < H; ++u) {
    const auto open = [&](int g, double c_seen) {
      if (cell.peepholes) s.z[g][u] += w.peepholes[g * H + u] * c_seen;
      s.gate[g][u] = function(g == 1 ? cell.cell : cell.gate, clip(s.z[g][u], cell.input_clip));
    };
    open(0, s.c_before[u]), open(1, 0), open(2, s.c_before[u]);
    s.c_open[u] = s.gate[2][u] * s.c_before[u] + s.gate[0][u] * s.gate[1][u];
    s.c[u] = clip(s.c_open[u], cell.cell_clip);
    open(3, s.c[u]);
    s.shown_c[u] = function(cell.output, s.c[u]);
    s.shown[u] = s.gate[3][u] * s.shown_c[u];
  }
  s.h_open = s.shown;
  if (cell.projection) {
    s.h_open.assign(P, 0.0);
    for (std::int64_t u = 0; u < H; ++u) {
      for (std::int64_t k = 0; k < P; ++k) s.h_open[k] += s.shown[u] * w.projection[u * P + k];
    }
  }
  s.h = s.h_open;
  for (double& value : s.h) value = clip(value, cell.projection_clip);
  return s;
}

template <class Real>
std::vector<double> row(const Real* data, std::int64_t size) {
  return data ? std::vector<double>(data, data + size) : std::vector<double>(size, 0.0);
}

template <class Real>
void write(const std::vector<double>& values, Real* data) {
  if (data) std::copy(values.begin(), values.end(), data);
}

// The steps of case n in the order of reading; *place is where the last one's t is.
template <class Real>
std::vector<Step> steps(const LstmCell& cell, const Weights& w, const LstmForward<Real>& call, std::int64_t n) {
  const std::int64_t length = call.lengths ? call.lengths[n] : call.steps;
  std::vector<double> c = row(call.c_start ? call.c_start + n * cell.units : nullptr, cell.units);
  std::vector<double> h = row(call.h_start ? call.h_start + n * cell.width : nullptr, cell.width);
  std::vector<Step> taken;
  for (std::int64_t read = 0; read < length; ++read) {
    const std::int64_t t = cell.reverse ? length - 1 - read : read;
    taken.push_back(step(cell, w, row(call.x.data + n * call.x.n + t * call.x.t, cell.inputs), c, h));
    c = taken.back().c;
    h = taken.back().h;
  }
  return taken;
}

template <class Real>
void forward(const LstmCell& cell, const LstmArrays<const Real>& arrays, const LstmForward<Real>& call) {
  const Weights w(cell, arrays);
  const std::int64_t H = cell.units, P = cell.width;
  for (std::int64_t n = 0; n < call.cases; ++n) {
    const std::vector<Step> taken = steps(cell, w, call, n);
    const std::int64_t length = static_cast<std::int64_t>(taken.size());
    for (std::int64_t t = 0; call.outputs.data && t < call.steps; ++t) {
      const std::int64_t read = cell.reverse ? length - 1 - t : t;
      write(t < length ? taken[read].h : std::vector<double>(P, 0.0),
            call.outputs.data + n * call.outputs.n + t * call.outputs.t);
    }
    const std::vector<double> c_start = row(call.c_start ? call.c_start + n * H : nullptr, H);
    const std::vector<double> h_start = row(call.h_start ? call.h_start + n * P : nullptr, P);
    write(length ? taken.back().c : c_start, call.c_final ? call.c_final + n * H : nullptr);
    write(length ? taken.back().h : h_start, call.h_final ? call.h_final + n * P : nullptr);
  }
}

template <class Real>
void scatter(const std::vector<double>& values, const GateArray<Real>& array, int gates, std::int64_t rows,
             std::int64_t units) {
  for (int g = 0; array.data && g < gates; ++g) {
    for (std::int64_t r = 0; r < rows; ++r) {
      for (std::int64_t u = 0; u < units; ++u) {
        array.data[array.gate_offset[g] + r * array.row_stride + u * array.unit_stride] =
            static_cast<Real>(values[(g * rows + r) * units + u]);
      }
    }
  }
}

template <class Real>
void backward(const LstmCell& cell, const LstmArrays<const Real>& arrays, const LstmBackward<Real>& call) {
  const Weights w(cell, arrays);
  const std::int64_t C = cell.inputs, H = cell.units, P = cell.width;
  std::vector<double> d_w_x(4 * C * H), d_w_h(4 * P * H), d_bias(4 * H), d_peepholes(4 * H), d_projection(H * P);
  for (std::int64_t n = 0; n < call.forward.cases; ++n) {
    const std::vector<Step> taken = steps(cell, w, call.forward, n);
    const std::int64_t length = static_cast<std::int64_t>(taken.size());
    std::vector<double> d_c = row(call.d_c_final ? call.d_c_final + n * H : nullptr, H);
    std::vector<double> d_h = row(call.d_h_final ? call.d_h_final + n * P : nullptr, P);
    for (std::int64_t t = length; call.d_x.data && t < call.forward.steps; ++t) {
      write(std::vector<double>(C, 0.0), call.d_x.data + n * call.d_x.n + t * call.d_x.t);
    }
    for (std::int64_t read = length - 1; read >= 0; --read) {
      const Step& s = taken[read];
      const std::int64_t t = cell.reverse ? length - 1 - read : read;
      const std::vector<double> d_output =
          row(call.d_outputs.data ? call.d_outputs.data + n * call.d_outputs.n + t * call.d_outputs.t : nullptr, P);
      for (std::int64_t k = 0; k < P; ++k) d_h[k] = (d_h[k] + d_output[k]) * within(s.h_open[k], cell.projection_clip);
      std::vector<double> d_shown = d_h;
      if (cell.projection) {
        d_shown.assign(H, 0.0);
        for (std::int64_t u = 0; u < H; ++u) {
          for (std::int64_t k = 0; k < P; ++k) {
            d_shown[u] += d_h[k] * w.projection[u * P + k];
            d_projection[u * P + k] += s.shown[u] * d_h[k];
          }
        }
      }
      std::vector<double> d_z(4 * H), d_x(C, 0.0), d_h_before(P, 0.0);
      for (std::int64_t u = 0; u < H; ++u) {
        const double i = s.gate[0][u], j = s.gate[1][u], f = s.gate[2][u], o = s.gate[3][u];
        const auto through = [&](int g, Activation activation) {
          return slope(activation, s.gate[g][u]) * within(s.z[g][u], cell.input_clip);
        };
        const double d_o = d_shown[u] * s.shown_c[u] * through(3, cell.gate);
        double d = d_c[u] + d_shown[u] * o * slope(cell.output, s.shown_c[u]) + d_o * w.peepholes[3 * H + u];
        d *= within(s.c_open[u], cell.cell_clip);
        d_z[u] = d * j * through(0, cell.gate);
        d_z[H + u] = d * i * through(1, cell.cell);
        d_z[2 * H + u] = d * s.c_before[u] * through(2, cell.gate);
        d_z[3 * H + u] = d_o;
        d_c[u] = d * f + d_z[u] * w.peepholes[u] + d_z[2 * H + u] * w.peepholes[2 * H + u];
        d_peepholes[u] += d_z[u] * s.c_before[u];
        d_peepholes[2 * H + u] += d_z[2 * H + u] * s.c_before[u];
        d_peepholes[3 * H + u] += d_o * s.c[u];
        for (int g = 0; g < 4; ++g) {
          const double d_gate = d_z[g * H + u];
          d_bias[g * H + u] += d_gate;
          for (std::int64_t k = 0; k < C; ++k) {
            d_w_x[(g * C + k) * H + u] += s.x[k] * d_gate;
            d_x[k] += d_gate * w.w_x[(g * C + k) * H + u];
          }
          for (std::int64_t k = 0; k < P; ++k) {
            d_w_h[(g * P + k) * H + u] += s.h_before[k] * d_gate;
            d_h_before[k] += d_gate * w.w_h[(g * P + k) * H + u];
          }
        }
      }
      d_h = d_h_before;
      write(d_x, call.d_x.data ? call.d_x.data + n * call.d_x.n + t * call.d_x.t : nullptr);
    }
    write(d_c, call.d_c_start ? call.d_c_start + n * H : nullptr);
    write(d_h, call.d_h_start ? call.d_h_start + n * P : nullptr);
  }
  scatter(d_w_x, call.d_weights.w_x, 4, C, H);
  scatter(d_w_h, call.d_weights.w_h, 4, P, H);
  scatter(d_bias, call.d_weights.b_x, 4, 1, H);
  scatter(d_bias, call.d_weights.b_h, 4, 1, H);
  scatter(d_peepholes, call.d_weights.peepholes, 4, 1, H);
  scatter(d_projection, call.d_weights.projection, 1, H, P);
}

}  // namespace quadgate::reference
