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
  if constexpr (kMany<W> && DDSAS_REGISTERS >= 32) tiles(std::integral_constant<int, 8>{});
  if constexpr (kMany<W>) tiles(std::integral_constant<int, 4>{});
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

/// Pixels of an image, or those of them that are read.
struct Pixels {
  const float* data;
  int64_t rows, columns;
  int64_t row_stride, stride;
};

template <bool Rectify, int W, int R, int B>
inline void outer_block(Rows left, const Pixels& right, float* to, int64_t to_stride) {
  Pack<W> sums[R][B] = {};
  const float* values = left.data;
  for (int64_t row = 0; row < right.rows; ++row) {
    const float* pixel = right.data + row * right.row_stride;
    for (int64_t column = 0; column < right.columns; ++column, pixel += right.stride, values += left.stride) {
      Pack<W> packs[B];
#pragma GCC unroll 2
      for (int b = 0; b < B; ++b) {
        packs[b] = load<W>(pixel + b * W);
        if constexpr (Rectify) packs[b] = rectify<W>(packs[b]);
      }
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r)
#pragma GCC unroll 2
        for (int b = 0; b < B; ++b) sums[r][b] += packs[b] * values[r];
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 2
    for (int b = 0; b < B; ++b) store<W>(to + r * to_stride + b * W, sums[r][b]);
}

/// to [m, n] = left [pixels, m] transposed x right [pixels, n], or relu(right); rows of `to` lie `to_stride` apart.
template <bool Rectify>
inline void outer(Rows left, int64_t m, Pixels right, int64_t n, float* to, int64_t to_stride) {
  const float* const first = right.data;
  for_channel_blocks<2>(n, [&](auto width, auto packs, int64_t c) {
    right.data = first + c;
    int64_t r = 0;
    const auto blocks = [&](auto count) {
      constexpr int R = count();
      for (; r + R <= m; r += R)
        outer_block<Rectify, width(), R, packs()>({left.data + r, left.stride}, right, to + r * to_stride + c, to_stride);
    };
    constexpr bool many = kMany<width()>;
    if constexpr (many && DDSAS_REGISTERS >= 32 && packs() == 1) blocks(std::integral_constant<int, 16>{});
    if constexpr (many && DDSAS_REGISTERS >= 32) blocks(std::integral_constant<int, 8>{});
    if constexpr (many) blocks(std::integral_constant<int, 4>{});
    blocks(std::integral_constant<int, 1>{});
  });
}

}  // namespace DDSAS_INSTRUCTIONS
}  // namespace ddsas
