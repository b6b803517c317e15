// The functions of the gates. In float32 without tf32 they are as exact as those of the C library; where the product has 11
// bits or fewer, four gates share one division; in bfloat16 tanh is the device's own, whose error is a quarter of what
// rounding to bfloat16 costs.
#pragma once

struct Gates {
    float i, j, f, o;
};

constexpr float log2_e = 1.4426950408889634f;

// tanh(x) = 1 - 2 / (e^2x + 1), and near zero, where that cancels, x + x^3 P(x^2): Cephes, S. L. Moshier (1989), tanhf.
DEVICE float exact_tanh(float x) {
    const float magnitude = fabsf(x), square = x * x;
    const float far = 1.0f - 2.0f * reciprocal(expf(2.0f * magnitude) + 1.0f);
    float near = fmaf(-5.70498872745e-3f, square, 2.06390887954e-2f);
    near = fmaf(near, square, -5.37397155531e-2f);
    near = fmaf(near, square, 1.33314422036e-1f);
    near = fmaf(near, square, -3.33332819422e-1f);
    near = fmaf(near * square, x, x);
    return magnitude < 0.625f ? near : copysignf(far, x);
}

DEVICE float exact_sigmoid(float x) { return reciprocal(1.0f + expf(-x)); }

template <Mode mode>
DEVICE float tanh_of(float x) {
    if constexpr (mode == Mode::exact) {
        return exact_tanh(x);
    } else if constexpr (mode == Mode::bfloat16) {
        return tanh_approximate(x);
    } else {
        const float e = exp2_approximate(limited(x, 15.0f) * (-2.0f * log2_e));
        return (1.0f - e) * reciprocal(1.0f + e);
    }
}

template <Mode mode>
DEVICE Gates gates_of(float i, float j, float f, float o) {
    if constexpr (mode == Mode::exact) {
        return {exact_sigmoid(i), exact_tanh(j), exact_sigmoid(f), exact_sigmoid(o)};
    } else if constexpr (mode == Mode::bfloat16) {
        return {fmaf(0.5f, tanh_approximate(0.5f * i), 0.5f), tanh_approximate(j),
                fmaf(0.5f, tanh_approximate(0.5f * f), 0.5f), fmaf(0.5f, tanh_approximate(0.5f * o), 0.5f)};
    } else {
        // The limits keep the product of the four denominators below 2^127; beyond them a gate is within 2e-9 of its end.
        const float in_i = 1.0f + exp2_approximate(limited(i, 20.0f) * -log2_e);
        const float e_j = exp2_approximate(limited(j, 10.0f) * (-2.0f * log2_e)), in_j = 1.0f + e_j;
        const float in_f = 1.0f + exp2_approximate(limited(f, 20.0f) * -log2_e);
        const float in_o = 1.0f + exp2_approximate(limited(o, 20.0f) * -log2_e);
        const float ij = in_i * in_j, fo = in_f * in_o;
        const float shared = reciprocal(ij * fo), of_ij = shared * fo, of_fo = shared * ij;
        return {of_ij * in_j, of_ij * in_i * (1.0f - e_j), of_fo * in_o, of_fo * in_f};
    }
}
