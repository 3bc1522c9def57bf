// What all window kernels share: an image block with a border of zeros, and the correlation of weights with it.
#pragma once

#include "kernels.h"
#include "pack.h"

namespace ddsas {
namespace DDSAS_INSTRUCTIONS {

/// Size of a scratch image for one block of channels.
inline int64_t padded_pixels(const Window& window) {
  return (window.height + 2 * window.padding()) * (window.width + 2 * window.padding());
}

inline int64_t window_scratch(const Window& window) { return padded_pixels(window) * DDSAS_WIDTH; }

template <int W>
inline void fill(float* to, int64_t pixels, Pack<W> value) {
  for (int64_t i = 0; i < pixels; ++i) store<W>(to + i * W, value);
}

/// Copies one block of channels of an image into the middle of `padded`, each value through `change(value, row, column)`.
/// With `spread`, pixels are set that far apart: what a gradient of a strided output looks like at the input's size.
template <int W, typename Change>
inline void pad(const Window& window, const float* from, int64_t rows, int64_t columns, int64_t spread, float border,
                float* padded, Change change) {
  const int64_t margin = window.padding();
  const int64_t line = window.width + 2 * margin;
  fill<W>(padded, padded_pixels(window), Pack<W>{} + border);
  for (int64_t row = 0; row < rows; ++row) {
    float* to = padded + ((row * spread + margin) * line + margin) * W;
    for (int64_t column = 0; column < columns; ++column, from += window.channels)
      store<W>(to + column * spread * W, change(load<W>(from), row, column));
  }
}

/// T neighbouring outputs at once: each weight is loaded once for all of them.
template <int W, int K, int D, int S, int T, typename Weights>
inline void correlate_tile(const float* corner, int64_t line, Weights weights, Pack<W>* sums) {
  for (int t = 0; t < T; ++t) sums[t] = Pack<W>{};
#pragma GCC unroll 5
  for (int kh = 0; kh < K; ++kh) {
    const float* row = corner + kh * D * line * W;
#pragma GCC unroll 5
    for (int kw = 0; kw < K; ++kw) {
      const Pack<W> weight = weights(kh * K + kw);
#pragma GCC unroll 8
      for (int t = 0; t < T; ++t) sums[t] += weight * load<W>(row + (t * S + kw * D) * W);
    }
  }
}

/// write(row, column, sum over the window of weight x padded image) for every output.
template <int W, int K, int D, int S, typename Weights, typename Write>
inline void correlate(const float* padded, int64_t line, int64_t rows, int64_t columns, Weights weights, Write write) {
  for (int64_t row = 0; row < rows; ++row) {
    int64_t column = 0;
    const auto tiles = [&](auto count) {
      constexpr int T = count();
      for (; column + T <= columns; column += T) {
        Pack<W> sums[T];
        correlate_tile<W, K, D, S, T>(padded + (row * S * line + column * S) * W, line, weights, sums);
        for (int t = 0; t < T; ++t) write(row, column + t, sums[t]);
      }
    };
    tiles(std::integral_constant<int, 8>{});
    tiles(std::integral_constant<int, 4>{});
    tiles(std::integral_constant<int, 1>{});
  }
}

}  // namespace DDSAS_INSTRUCTIONS
}  // namespace ddsas
