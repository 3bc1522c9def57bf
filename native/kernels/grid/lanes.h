// Element types and short vectors for code that is compiled for the CPU and for CUDA alike.
#pragma once

#include <cstdint>
#include <cstring>

#ifdef __CUDACC__
#include <cuda_bf16.h>
#define DDSAS_BODY __host__ __device__ __forceinline__
#else
#define DDSAS_BODY inline
#endif
#ifdef __CUDA_ARCH__
#define DDSAS_UNROLL _Pragma("unroll")
#else
#define DDSAS_UNROLL
#endif

namespace ddsas::grid {

/// bfloat16 as it lies in memory: the upper half of a float.
struct Brain {
  uint16_t bits;
};

DDSAS_BODY float to_float(float x) { return x; }
DDSAS_BODY float to_float(Brain x) {
  const uint32_t bits = static_cast<uint32_t>(x.bits) << 16;
  float result;
  memcpy(&result, &bits, sizeof result);
  return result;
}

DDSAS_BODY void set(float& to, float value) { to = value; }
/// Rounds to the nearest, ties to even.
DDSAS_BODY void set(Brain& to, float value) {
#ifdef __CUDA_ARCH__
  to.bits = __bfloat16_as_ushort(__float2bfloat16_rn(value));
#else
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  const bool is_nan = (bits & 0x7fffffffu) > 0x7f800000u;
  to.bits = is_nan ? 0x7fc0 : static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
#endif
}

/// V neighbouring values, read and written in one access.
template <typename T, int V>
struct alignas(sizeof(T) * V) Packed {
  T lane[V];
};

template <typename T, int V>
DDSAS_BODY void load(const T* from, float* to) {
  const auto packed = *reinterpret_cast<const Packed<T, V>*>(from);
DDSAS_UNROLL
  for (int v = 0; v < V; ++v) to[v] = to_float(packed.lane[v]);
}

template <typename T, int V>
DDSAS_BODY void store(T* to, const float* from) {
  Packed<T, V> packed;
DDSAS_UNROLL
  for (int v = 0; v < V; ++v) set(packed.lane[v], from[v]);
  *reinterpret_cast<Packed<T, V>*>(to) = packed;
}

/// What a sum over rows adds up.
template <int N>
struct Sum {
  float part[N];

  DDSAS_BODY static Sum zero() {
    Sum sum;
DDSAS_UNROLL
    for (int n = 0; n < N; ++n) sum.part[n] = 0.0f;
    return sum;
  }
  DDSAS_BODY void add(const Sum& other) {
DDSAS_UNROLL
    for (int n = 0; n < N; ++n) part[n] += other.part[n];
  }
};

}  // namespace ddsas::grid
