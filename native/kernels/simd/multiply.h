// Small matrix products with channels innermost: what a pointwise convolution and its gradients are.
#pragma once

#include "pack.h"

namespace ddsas {
namespace DDSAS_INSTRUCTIONS {

/// A matrix by rows, and the distance from one row to the next.
struct Rows {
  const float* data;
  int64_t stride;
};

struct Target {
  float* data;
  int64_t stride;
};

/// T rows by B packs of columns of the product at once.
template <int W, int T, int B>
inline void multiply_tile(const float* from, int64_t from_stride, int64_t inner, const float* by, int64_t by_stride,
                          Pack<W> (&sums)[T][B]) {
  for (int64_t i = 0; i < inner; ++i) {
    Pack<W> row[B];
#pragma GCC unroll 2
    for (int b = 0; b < B; ++b) row[b] = load<W>(by + i * by_stride + b * W);
#pragma GCC unroll 8
    for (int t = 0; t < T; ++t)
#pragma GCC unroll 2
      for (int b = 0; b < B; ++b) sums[t][b] += row[b] * from[t * from_stride + i];
  }
}

template <int W, int B>
inline void multiply_columns(Rows from, int64_t rows, int64_t inner, Rows by, bool add, Target to) {
  int64_t row = 0;
  const auto tiles = [&](auto count) {
    constexpr int T = count();
    for (; row + T <= rows; row += T) {
      Pack<W> sums[T][B] = {};
      multiply_tile<W, T, B>(from.data + row * from.stride, from.stride, inner, by.data, by.stride, sums);
      for (int t = 0; t < T; ++t)
        for (int b = 0; b < B; ++b) {
          float* at = to.data + (row + t) * to.stride + b * W;
          store<W>(at, add ? load<W>(at) + sums[t][b] : sums[t][b]);
        }
    }
  };
  tiles(std::integral_constant<int, (DDSAS_REGISTERS >= 32 ? 8 : 4)>{});
  tiles(std::integral_constant<int, 1>{});
}

/// to [rows, columns] = from [rows, inner] x by [inner, columns], plus `to` where `add`.
inline void multiply(Rows from, int64_t rows, int64_t inner, Rows by, int64_t columns, bool add, Target to) {
  for_channel_blocks<2>(columns, [&](auto width, auto packs, int64_t c) {
    multiply_columns<width(), packs()>(from, rows, inner, {by.data + c, by.stride}, add, {to.data + c, to.stride});
  });
}

template <int W, int R, int B>
inline void outer_block(const float* left, int64_t left_stride, const float* right, int64_t right_stride, int64_t rows,
                        float* to, int64_t to_stride) {
  Pack<W> sums[R][B] = {};
  for (int64_t p = 0; p < rows; ++p) {
    Pack<W> values[B];
#pragma GCC unroll 2
    for (int b = 0; b < B; ++b) values[b] = load<W>(right + p * right_stride + b * W);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 2
      for (int b = 0; b < B; ++b) sums[r][b] += values[b] * left[p * left_stride + r];
  }
  for (int r = 0; r < R; ++r)
    for (int b = 0; b < B; ++b) store<W>(to + r * to_stride + b * W, sums[r][b]);
}

/// to [m, n] = left [rows, m] transposed x right [rows, n].
inline void outer(Rows left, int64_t m, Rows right, int64_t n, int64_t rows, float* to) {
  for_channel_blocks<2>(n, [&](auto width, auto packs, int64_t c) {
    int64_t r = 0;
    const auto blocks = [&](auto count) {
      constexpr int R = count();
      for (; r + R <= m; r += R)
        outer_block<width(), R, packs()>(left.data + r, left.stride, right.data + c, right.stride, rows, to + r * n + c, n);
    };
    blocks(std::integral_constant<int, (DDSAS_REGISTERS >= 32 ? 8 : 4)>{});
    blocks(std::integral_constant<int, 1>{});
  });
}

}  // namespace DDSAS_INSTRUCTIONS
}  // namespace ddsas
