// A block of an image with a border around it, the correlation of weights with it, and the transpose of that.
#pragma once

#include "ahead.h"
#include "kernels.h"
#include "pack.h"

namespace ddsas {
namespace DDSAS_INSTRUCTIONS {

inline int64_t out_pixels(const Window& window) { return window.out_height() * window.out_width(); }

/// A block of channels of an image with a border of zeros around it, one pack a pixel.
struct Padded {
  int64_t height, width, border;

  int64_t line() const { return width + 2 * border; }
  int64_t pixels() const { return (height + 2 * border) * line(); }
  /// Where a pixel of the image stands, or one up to `border` outside of it.
  int64_t at(int64_t row, int64_t column) const { return (row + border) * line() + column + border; }
};

inline Padded padded_input(const Window& window) { return {window.height, window.width, window.border}; }

/// The result's: an input pixel is reached from a `stride`-th as far outside.
inline Padded padded_result(const Window& window) {
  return {window.out_height(), window.out_width(), (window.border + window.stride - 1) / window.stride};
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

/// Calls body(count, column) for all columns, `count` of them at a time.
template <int W, typename Body>
inline void in_tiles(int64_t columns, Body body) {
  int64_t column = 0;
  const auto tiles = [&](auto count) {
    for (; column + count() <= columns; column += count()) body(count, column);
  };
  if constexpr (kMany<W>) tiles(std::integral_constant<int, 8>{});
  if constexpr (kMany<W>) tiles(std::integral_constant<int, 4>{});
  tiles(std::integral_constant<int, 1>{});
}

/// write(row, column, sum over the window of weight x padded image) for every output; a step ahead for every row.
template <int W, int K, int D, int S, typename Weights, typename Write>
inline void correlate(const Window& window, const float* padded, Weights weights, Ahead& ahead, Write write) {
  const Padded block = padded_input(window);
  const int64_t rows = window.out_height(), columns = window.out_width(), padding = window.padding();
  for (int64_t row = 0; row < rows; ++row) {
    ahead.step();
    const float* const corner = padded + block.at(row * S - padding, -padding) * W;
    in_tiles<W>(columns, [&](auto count, int64_t column) {
      constexpr int T = count();
      Pack<W> sums[T];
      correlate_tile<W, K, D, S, T>(corner + column * S * W, block.line(), weights, sums);
#pragma GCC unroll 8
      for (int t = 0; t < T; ++t) write(row, column + t, sums[t]);
    });
  }
}

/// Which windows read an input pixel that is `Phase` more than a multiple of the stride, along one side: by tap `tap` the
/// one `offset` after that which stands at the multiple, if any.
template <int K, int D, int S, int Phase>
struct Reach {
  static constexpr int distance(int tap) { return Phase + (K - 1) / 2 * D - tap * D; }
  static constexpr bool any(int tap) { return distance(tap) % S == 0; }
  static constexpr int offset(int tap) { return distance(tap) / S; }
};

/// The transpose of correlate_tile at T input pixels of one phase: only taps that reach them are computed.
template <int W, int K, int D, int S, int P, int Q, int T, typename Weights>
inline void correlate_back_tile(const float* at, int64_t line, Weights weights, Pack<W>* sums) {
  using Row = Reach<K, D, S, P>;
  using Column = Reach<K, D, S, Q>;
#pragma GCC unroll 8
  for (int t = 0; t < T; ++t) sums[t] = Pack<W>{};
#pragma GCC unroll 5
  for (int kh = K - 1; kh >= 0; --kh) {
    if (!Row::any(kh)) continue;
    const float* const row = at + Row::offset(kh) * line * W;
#pragma GCC unroll 5
    for (int kw = K - 1; kw >= 0; --kw) {
      if (!Column::any(kw)) continue;
      const Pack<W> weight = weights(kh * K + kw);
#pragma GCC unroll 8
      for (int t = 0; t < T; ++t) sums[t] += weight * load<W>(row + (t + Column::offset(kw)) * W);
    }
  }
}

/// The transpose of `correlate`: write(row, column, sum of weight x padded result over the windows that read the pixel) for
/// every input pixel.
template <int W, int K, int D, int S, typename Weights, typename Write>
inline void correlate_back(const Window& window, const float* padded, Weights weights, Ahead& ahead, Write write) {
  const Padded block = padded_result(window);
  const auto in_row = [&](int64_t row, auto p, auto q) {
    const float* const from = padded + block.at(row / S, 0) * W;
    in_tiles<W>((window.width - q() + S - 1) / S, [&](auto count, int64_t column) {
      constexpr int T = count();
      Pack<W> sums[T];
      correlate_back_tile<W, K, D, S, p(), q(), T>(from + column * W, block.line(), weights, sums);
#pragma GCC unroll 8
      for (int t = 0; t < T; ++t) write(row, (column + t) * S + q(), sums[t]);
    });
  };
  constexpr std::integral_constant<int, 0> even;
  constexpr std::integral_constant<int, S - 1> odd;
  for (int64_t row = 0; row < window.height; ++row) {
    ahead.step();
    if constexpr (S == 1) {
      in_row(row, even, even);
    } else if (row % S == 0) {
      in_row(row, even, even);
      in_row(row, even, odd);
    } else {
      in_row(row, odd, even);
      in_row(row, odd, odd);
    }
  }
}

}  // namespace DDSAS_INSTRUCTIONS
}  // namespace ddsas
