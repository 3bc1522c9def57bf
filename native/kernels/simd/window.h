// What all window kernels share: an image block with a border around it, and the correlation of weights with it.
#pragma once

#include "ahead.h"
#include "kernels.h"
#include "pack.h"

namespace ddsas {
namespace DDSAS_INSTRUCTIONS {

/// Pixels of an image with its border.
inline int64_t padded_pixels(const Window& window) {
  return (window.height + 2 * window.border) * (window.width + 2 * window.border);
}

inline int64_t padded_width(const Window& window) { return window.width + 2 * window.border; }

inline int64_t out_pixels(const Window& window) { return window.out_height() * window.out_width(); }

/// Where pixel (0, 0) of an image stands in a padded block, in pixels.
inline int64_t origin(const Window& window) { return window.border * (padded_width(window) + 1); }

/// Where the window of output (0, 0) begins there.
inline int64_t first_corner(const Window& window) {
  return (window.border - window.padding()) * (padded_width(window) + 1);
}

/// Copies one block of channels of an image into the middle of `padded`, each value through `change(value, row, column)`.
/// With `spread`, pixels are set that far apart: what a gradient of a strided output looks like at the input's size. All
/// else stays as it is: zero, as scratch begins with.
template <int W, typename Change>
inline void pad(const Window& window, const float* from, int64_t rows, int64_t columns, int64_t spread, float* padded,
                Change change) {
  for (int64_t row = 0; row < rows; ++row) {
    float* to = padded + (origin(window) + row * spread * padded_width(window)) * W;
    for (int64_t column = 0; column < columns; ++column, from += window.channels)
      store<W>(to + column * spread * W, change(load<W>(from), row, column));
  }
}

/// T neighbouring outputs at once: each weight is loaded once for all of them.
template <int W, int K, int D, int S, int T, typename Weights>
inline void correlate_tile(const float* corner, int64_t line, Weights weights, Pack<W>* sums) {
#pragma GCC unroll 8
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

/// write(column, sum over the window of weight x padded image) for every output of a row.
template <int W, int K, int D, int S, typename Weights, typename Write>
inline void correlate_row(const float* corner, int64_t line, int64_t columns, Weights weights, Write write) {
  int64_t column = 0;
  const auto tiles = [&](auto count) {
    constexpr int T = count();
    for (; column + T <= columns; column += T) {
      Pack<W> sums[T];
      correlate_tile<W, K, D, S, T>(corner + column * S * W, line, weights, sums);
#pragma GCC unroll 8
      for (int t = 0; t < T; ++t) write(column + t, sums[t]);
    }
  };
  tiles(std::integral_constant<int, 8>{});
  tiles(std::integral_constant<int, 4>{});
  tiles(std::integral_constant<int, 1>{});
}

/// write(row, column, sum over the window of weight x padded image) for every output; a step ahead for every row.
/// `padded`: from the first window on.
template <int W, int K, int D, int S, typename Weights, typename Write>
inline void correlate(const float* padded, int64_t line, int64_t rows, int64_t columns, Weights weights, Ahead& ahead,
                      Write write) {
  for (int64_t row = 0; row < rows; ++row) {
    ahead.step();
    correlate_row<W, K, D, S>(padded + row * S * line * W, line, columns, weights,
                              [&](int64_t column, Pack<W> sum) { write(row, column, sum); });
  }
}

}  // namespace DDSAS_INSTRUCTIONS
}  // namespace ddsas
