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

/// Where a block of columns of a product goes: rows lie `stride` apart, packs of columns `pack_stride`.
struct Target {
  float* data;
  int64_t stride, pack_stride;
};

/// T rows by B packs of columns of the product at once: as many sums as the processor has registers for.
template <int W, int T, int B, bool Add>
inline void multiply_tile(const float* from, int64_t from_stride, int64_t inner, Rows by, Target to) {
  Pack<W> sums[T][B];
#pragma GCC unroll 8
  for (int t = 0; t < T; ++t)
#pragma GCC unroll 2
    for (int b = 0; b < B; ++b) sums[t][b] = Add ? load<W>(to.data + t * to.stride + b * to.pack_stride) : Pack<W>{};
  for (int64_t i = 0; i < inner; ++i) {
    Pack<W> row[B];
#pragma GCC unroll 2
    for (int b = 0; b < B; ++b) row[b] = load<W>(by.data + i * by.stride + b * W);
#pragma GCC unroll 8
    for (int t = 0; t < T; ++t)
#pragma GCC unroll 2
      for (int b = 0; b < B; ++b) sums[t][b] += row[b] * from[t * from_stride + i];
  }
#pragma GCC unroll 8
  for (int t = 0; t < T; ++t)
#pragma GCC unroll 2
    for (int b = 0; b < B; ++b) store<W>(to.data + t * to.stride + b * to.pack_stride, sums[t][b]);
}

template <int W, int B, bool Add>
inline void multiply_columns(Rows from, int64_t rows, int64_t inner, Rows by, Target to) {
  int64_t row = 0;
  const auto tiles = [&](auto count) {
    constexpr int T = count();
    for (; row + T <= rows; row += T)
      multiply_tile<W, T, B, Add>(from.data + row * from.stride, from.stride, inner, by,
                                  {to.data + row * to.stride, to.stride, to.pack_stride});
  };
  if constexpr (DDSAS_REGISTERS >= 32) tiles(std::integral_constant<int, 8>{});
  tiles(std::integral_constant<int, 4>{});
  tiles(std::integral_constant<int, 1>{});
}

/// from [rows, inner] x by [inner, columns], plus what is there where `Add`; target(width, c) is where the columns from c
/// on go.
template <bool Add, typename Place>
inline void multiply(Rows from, int64_t rows, int64_t inner, Rows by, int64_t columns, Place target) {
  for_channel_blocks<2>(columns, [&](auto width, auto packs, int64_t c) {
    multiply_columns<width(), packs(), Add>(from, rows, inner, {by.data + c, by.stride}, target(width, c));
  });
}

/// Columns side by side, rows `stride` apart.
inline auto dense(float* data, int64_t stride) {
  return [=](auto width, int64_t c) { return Target{data + c, stride, width()}; };
}

template <int W, int R, int B>
inline void outer_block(const float* left, int64_t left_stride, const float* right, int64_t right_stride, int64_t rows,
                        float* to, int64_t to_stride) {
  Pack<W> sums[R][B] = {};
  for (int64_t p = 0; p < rows; ++p) {
    Pack<W> values[B];
#pragma GCC unroll 2
    for (int b = 0; b < B; ++b) values[b] = load<W>(right + p * right_stride + b * W);
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 2
      for (int b = 0; b < B; ++b) sums[r][b] += values[b] * left[p * left_stride + r];
  }
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 2
    for (int b = 0; b < B; ++b) store<W>(to + r * to_stride + b * W, sums[r][b]);
}

/// to [m, n] = left [rows, m] transposed x right [rows, n]; rows of `to` lie `to_stride` apart.
inline void outer(Rows left, int64_t m, Rows right, int64_t n, int64_t rows, float* to, int64_t to_stride) {
  for_channel_blocks<2>(n, [&](auto width, auto packs, int64_t c) {
    int64_t r = 0;
    const auto blocks = [&](auto count) {
      constexpr int R = count();
      for (; r + R <= m; r += R)
        outer_block<width(), R, packs()>(left.data + r, left.stride, right.data + c, right.stride, rows,
                                         to + r * to_stride + c, to_stride);
    };
    if constexpr (DDSAS_REGISTERS >= 32 && packs() == 1) blocks(std::integral_constant<int, 16>{});
    if constexpr (DDSAS_REGISTERS >= 32) blocks(std::integral_constant<int, 8>{});
    blocks(std::integral_constant<int, 4>{});
    blocks(std::integral_constant<int, 1>{});
  });
}

}  // namespace DDSAS_INSTRUCTIONS
}  // namespace ddsas
