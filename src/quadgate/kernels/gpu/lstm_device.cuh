// What the kernels ask of the device, one instruction a function. The tests put a file of the same name in front of this
// one, which says in C++ what each instruction does, and compile the kernels for the CPU.
#pragma once

#define DEVICE __device__ __forceinline__
#define KERNEL(threads) extern "C" __global__ void __launch_bounds__(threads, 1)

enum class Mode { exact, tf32, bfloat16, float16 };

// d += a @ b: a [16, k] and b [k, 8] of 16-bit numbers with k = 16, or of tf32 with k = 8.
// Which lane holds what: PTX ISA, "Matrix fragments for mma.m16n8k16" and "... m16n8k8".
template <Mode mode>
DEVICE void multiply_tile(float (&d)[4], const unsigned (&a)[4], uint2 b) {
#define QUADGATE_MMA(kind)                                                                                       \
    asm volatile("mma.sync.aligned." kind " {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"     \
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])                                                \
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b.x), "r"(b.y))
    if constexpr (mode == Mode::bfloat16) {
        QUADGATE_MMA("m16n8k16.row.col.f32.bf16.bf16.f32");
    } else if constexpr (mode == Mode::float16) {
        QUADGATE_MMA("m16n8k16.row.col.f32.f16.f16.f32");
    } else {
        QUADGATE_MMA("m16n8k8.row.col.f32.tf32.tf32.f32");
    }
#undef QUADGATE_MMA
}

DEVICE unsigned short to_bfloat16(float value) {
    unsigned short bits;
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(value));
    return bits;
}

DEVICE float from_bfloat16(unsigned short bits) { return __uint_as_float(static_cast<unsigned>(bits) << 16); }

DEVICE unsigned short to_float16(float value) {
    unsigned short bits;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(value));
    return bits;
}

DEVICE float from_float16(unsigned short bits) {
    float value;
    asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(bits));
    return value;
}

DEVICE unsigned to_tf32(float value) {
    unsigned bits;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(value));
    return bits;
}

DEVICE unsigned bits_of(float value) { return __float_as_uint(value); }

// 2^x and 1/x to the last place or two; tanh to 2^-11 of its value.
DEVICE float exp2_approximate(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

DEVICE float reciprocal(float x) {
    float y;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

DEVICE float tanh_approximate(float x) {
    float y;
    asm("tanh.approx.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

// x within [-limit, limit]; NaN stays NaN, which fminf would lose.
DEVICE float limited(float x, float limit) {
    float y;
    asm("{.reg .f32 t; min.NaN.f32 t, %1, %2; max.NaN.f32 %0, t, %3;}" : "=f"(y) : "f"(x), "f"(limit), "f"(-limit));
    return y;
}

// The same number, of which the compiler does not know what it was computed from: it is kept, not computed anew.
DEVICE int opaque(int number) {
    asm volatile("" : "+r"(number));
    return number;
}

// The value of the lane whose number differs by `mask`.
DEVICE float across(float value, int mask) { return __shfl_xor_sync(0xffffffffu, value, mask); }

DEVICE void fetch_to_cache(const void* address) { asm volatile("prefetch.global.L2 [%0];" ::"l"(address)); }
