// Prints a digest of what the kernels compute forward, a line for each of many layers: the same on every instruction set
// that has fused multiply-add, which is for the caller to compare.
#include <cstdio>
#include <cstring>

#include "gru.h"
#include "problem.h"
#include "processor.h"

namespace {

using namespace quadgate;
using namespace quadgate::testing;

class Digest {
 public:
  template <class Real>
  void add(const std::vector<Real>& values) {
    for (const Real value : values) {
      unsigned char bytes[sizeof(Real)];
      std::memcpy(bytes, &value, sizeof(Real));
      for (const unsigned char byte : bytes) state_ = (state_ ^ byte) * 0x100000001b3;  // FNV-1a
    }
  }
  void print(const std::string& name) const {
    std::printf("%016llx %s\n", static_cast<unsigned long long>(state_), name.c_str());
  }

 private:
  std::uint64_t state_ = 0xcbf29ce484222325;
};

template <class Real>
void lstm(const LstmCell& cell, std::int64_t N, std::int64_t T, double scale, const std::string& name) {
  Problem<Real> p(cell, N, T, scale);
  for (std::int64_t n = 0; n < N; ++n) p.lengths.push_back(n == 1 ? 0 : T - n % 2);
  const Results<Real> results = run_forward(p, 2);
  Digest digest;
  digest.add(results.outputs), digest.add(results.c), digest.add(results.h);
  digest.print("lstm " + name);
}

template <class Real>
void gru(const GruCell& cell, std::int64_t N, std::int64_t T, double scale, const std::string& name) {
  LstmCell like;  // its batch and its weights serve for a GRU: three gates of the four
  like.inputs = cell.inputs, like.units = cell.units;
  const Problem<Real> p(like, N, T, scale);
  const std::int64_t C = cell.inputs, H = cell.units;
  const auto gates = [&](const std::vector<Real>& data, std::int64_t rows) {
    return GateArray<const Real>{data.data(), {0, rows * H, 2 * rows * H, 0}, rows == 1 ? 0 : H, 1};
  };
  const GruArrays<const Real> weights{gates(p.weights.w_x, C), gates(p.weights.w_h, H), gates(p.weights.b_x, 1),
                                      gates(p.weights.b_h, 1)};
  std::vector<Real> outputs = poison<Real>(N * T * H), h = poison<Real>(N * H);
  GruForward<Real> call;
  call.cases = N, call.steps = T, call.x = {p.x.data(), T * C, C}, call.h_start = p.h_start.data();
  call.outputs = {outputs.data(), T * H, H}, call.h_final = h.data();
  Gru<Real>(cell, weights, false).forward(call, 2);
  Digest digest;
  digest.add(outputs), digest.add(h);
  digest.print("gru " + name);
}

template <class Real>
void all_layers(const std::string& type) {
  using enum Activation;
  for (const auto& [C, H, N, T] : std::vector<std::array<std::int64_t, 4>>{
           {1, 1, 1, 1}, {12, 64, 5, 9}, {3, 17, 7, 3}, {40, 5, 13, 2}, {2, 33, 1, 50}}) {
    for (const double scale : {1e-30, 1.0, 100.0}) {
      const std::string name = type + " C=" + std::to_string(C) + " H=" + std::to_string(H) + " N=" + std::to_string(N) +
                               " scale=" + std::to_string(scale);
      LstmCell cell;
      cell.inputs = C, cell.units = H, cell.forget_bias = 1;
      lstm<Real>(cell, N, T, scale, name);
      cell.projection = cell.peepholes = cell.reverse = true;
      cell.width = 6, cell.cell_clip = 0.8, cell.input_clip = 2, cell.projection_clip = 0.7;
      lstm<Real>(cell, N, T, scale, name + " every part");
      GruCell other;
      other.inputs = C, other.units = H;
      for (const bool after : {true, false}) {
        other.reset_after = after;
        gru<Real>(other, N, T, scale, name + (after ? " after" : " before"));
      }
    }
  }
  for (const Activation gate : {sigmoid, hard_sigmoid, hard_sigmoid_v3}) {
    for (const Activation cell : {tanh, sigmoid, relu, linear}) {
      const std::string name = type + " activations " + std::to_string(int(gate)) + std::to_string(int(cell));
      LstmCell one;
      one.inputs = 4, one.units = 18, one.gate = gate, one.cell = one.output = cell;
      lstm<Real>(one, 5, 6, 0.7, name);
      GruCell other;
      other.inputs = 4, other.units = 18, other.gate = gate, other.candidate = cell;
      gru<Real>(other, 5, 6, 0.7, name);
    }
  }
}

}  // namespace

int main() {
  std::fprintf(stderr, "%s\n", instruction_set().c_str());
  all_layers<float>("float32");
  all_layers<double>("float64");
}
