// 3x3 maximum and average pooling with padding 1, stride 1 and 2: forward and backward. A few columns of windows at a time
// go through the image from top to bottom, so that what windows share stays in registers.
#pragma once

#include "ahead.h"
#include "kernels.h"
#include "pack.h"

namespace ddsas {
namespace DDSAS_INSTRUCTIONS {

/// Pixels of a row that are read by T neighbouring windows.
template <int S, int T>
constexpr int kReach = S * (T - 1) + 3;

/// T columns of windows from `first` on: pool.across is what three pixels of a row give, once for all windows that read
/// them; pool.down writes what three such rows give. x: from the first of W channels on.
template <int W, int S, int T, typename Pool>
inline void gather_columns(const Window& window, const float* x, int64_t first, const Pool& pool, Ahead& ahead) {
  using Row = typename Pool::Row;
  constexpr int R = kReach<S, T>;
  const int64_t left = first * S - 1;
  const bool from_outside = left < 0, to_outside = left + R > window.width;
  Row rows[3][T];
  const auto read = [&](int64_t row, Row* to) {
    Pack<W> pixels[R];
    const float* const at = x + (row * window.width + left) * window.channels;
    const bool outside = row < 0 || row >= window.height;
#pragma GCC unroll 9
    for (int i = 0; i < R; ++i) {
      const bool beyond = outside || (i == 0 && from_outside) || (i == R - 1 && to_outside);
      pixels[i] = beyond ? Pool::outside() : load<W>(at + i * window.channels);
    }
#pragma GCC unroll 4
    for (int t = 0; t < T; ++t) to[t] = Pool::across(pixels[S * t], pixels[S * t + 1], pixels[S * t + 2]);
  };
  read(-1, rows[0]);
  if constexpr (S == 1) read(0, rows[1]);
  for (int64_t row = 0; row < window.out_height(); ++row) {
    ahead.step();
    if constexpr (S == 2) read(row * S, rows[1]);
    read(row * S + 1, rows[2]);
#pragma GCC unroll 4
    for (int t = 0; t < T; ++t) {
      pool.down(row, first + t, rows[0][t], rows[1][t], rows[2][t]);
      rows[0][t] = S == 1 ? rows[1][t] : rows[2][t];
      if constexpr (S == 1) rows[1][t] = rows[2][t];
    }
  }
}

/// The other way: pool.added(upstream, tap, so_far) gives each of the nine pixels its part of what T columns of windows
/// return, pool.upstream. dx: as x; `add`: to what is there.
template <int W, int S, int T, typename Pool>
inline void scatter_columns(const Window& window, float* dx, bool add, int64_t first, const Pool& pool, Ahead& ahead) {
  constexpr int R = kReach<S, T>;
  const int64_t left = first * S - 1;
  Pack<W> sums[3][R] = {};
  const auto write = [&](int64_t row, const Pack<W>* from) {
    if (row < 0 || row >= window.height) return;
    float* const to = dx + (row * window.width + left) * window.channels;
#pragma GCC unroll 9
    for (int i = 0; i < R; ++i) {
      if ((i == 0 && left < 0) || (i == R - 1 && left + R > window.width)) continue;
      float* const at = to + i * window.channels;
      const bool begun = add || (i < 3 - S && first > 0);  // by the columns before
      store<W>(at, begun ? load<W>(at) + from[i] : from[i]);
    }
  };
  for (int64_t row = 0; row < window.out_height(); ++row) {
    ahead.step();
#pragma GCC unroll 4
    for (int t = 0; t < T; ++t) {
      const auto upstream = pool.upstream(row, first + t);
#pragma GCC unroll 3
      for (int kh = 0; kh < 3; ++kh)
#pragma GCC unroll 3
        for (int kw = 0; kw < 3; ++kw) {
          auto& sum = sums[kh][S * t + kw];
          sum = Pool::added(upstream, 3 * kh + kw, sum);
        }
    }
    write(row * S - 1, sums[0]);
    if constexpr (S == 2) write(row * S, sums[1]);
#pragma GCC unroll 9
    for (int i = 0; i < R; ++i) {
      sums[0][i] = S == 1 ? sums[1][i] : sums[2][i];
      sums[1][i] = S == 1 ? sums[2][i] : Pack<W>{};
      sums[2][i] = Pack<W>{};
    }
  }
  write(window.out_height() * S - 1, sums[0]);
}

/// Maxima, and which of the nine pixels each is: the first of equals, except that a NaN wins, as in PyTorch.
template <int W>
struct MaxForward {
  using Which = typename PackOf<W>::integers;
  struct Row {
    Pack<W> value;
    Which which;
  };

  const Window& window;
  float* y;
  uint8_t* choice;

  static Pack<W> outside() { return Pack<W>{} - __builtin_inff(); }

  static Row better(Row best, Row next) {
    const auto wins = (next.value > best.value) | (next.value != next.value);
    return {wins ? next.value : best.value, wins ? next.which : best.which};
  }

  static Row across(Pack<W> a, Pack<W> b, Pack<W> c) {
    return better(better({a, Which{}}, {b, Which{} + 1}), {c, Which{} + 2});
  }

  void down(int64_t row, int64_t column, Row a, Row b, Row c) const {
    const Row best = better(better(a, {b.value, b.which + 3}), {c.value, c.which + 6});
    const int64_t at = (row * window.out_width() + column) * window.channels;
    store<W>(y + at, best.value);
    const auto bytes = __builtin_convertvector(best.which, typename PackOf<W>::bytes);
    std::memcpy(choice + at, &bytes, W);
  }
};

template <int W>
struct MaxBackward {
  struct Upstream {
    Pack<W> gradient;
    typename PackOf<W>::integers which;
  };

  const Window& window;
  const float* dy;
  const uint8_t* choice;

  Upstream upstream(int64_t row, int64_t column) const {
    const int64_t at = (row * window.out_width() + column) * window.channels;
    typename PackOf<W>::bytes bytes;
    std::memcpy(&bytes, choice + at, W);
    return {load<W>(dy + at), __builtin_convertvector(bytes, typename PackOf<W>::integers)};
  }

  static Pack<W> added(const Upstream& upstream, int tap, Pack<W> sum) {
    return upstream.which == tap ? sum + upstream.gradient : sum;
  }
};

/// One over the number of pixels of the image in the window of output (row, column).
inline float share(const Window& window, int64_t row, int64_t column) {
  const auto inside = [&](int64_t place, int64_t length) {
    const int64_t middle = place * window.stride;
    return 1 + (middle > 0 ? 1 : 0) + (middle + 1 < length ? 1 : 0);
  };
  constexpr float shares[] = {0, 1, 1 / 2.0f, 1 / 3.0f, 1 / 4.0f, 0, 1 / 6.0f, 0, 0, 1 / 9.0f};
  return shares[inside(row, window.height) * inside(column, window.width)];
}

template <int W>
struct AvgForward {
  using Row = Pack<W>;

  const Window& window;
  float* y;

  static Pack<W> outside() { return Pack<W>{}; }
  static Row across(Pack<W> a, Pack<W> b, Pack<W> c) { return a + b + c; }

  void down(int64_t row, int64_t column, Row a, Row b, Row c) const {
    store<W>(y + (row * window.out_width() + column) * window.channels, (a + b + c) * share(window, row, column));
  }
};

template <int W>
struct AvgBackward {
  const Window& window;
  const float* dy;

  Pack<W> upstream(int64_t row, int64_t column) const {
    return load<W>(dy + (row * window.out_width() + column) * window.channels) * share(window, row, column);
  }

  static Pack<W> added(Pack<W> upstream, int /*tap*/, Pack<W> sum) { return sum + upstream; }
};

/// How many windows side by side the registers hold, at stride 1 and 2.
template <bool Backward>
constexpr int kWindows[] = {DDSAS_REGISTERS < 32 ? 1 : Backward ? 4 : 2, DDSAS_REGISTERS < 32 ? 1 : 2};

/// Calls body(width, stride, windows, channel, column, ahead) for all blocks of channels and columns of windows.
template <bool Backward, typename Body>
inline void for_pool_columns(const Window& window, const Soon& soon, Body body) {
  const auto at_stride = [&](auto stride) {
    constexpr int most = kWindows<Backward>[stride() - 1];
    const int64_t columns = window.out_width(), steps = columns / most + columns % most;
    Ahead ahead(soon, channel_blocks(window.channels) * steps * window.out_height());
    for_channel_blocks(window.channels, [&](auto width, int64_t c) {
      int64_t first = 0;
      for (; first + most <= columns; first += most)
        body(width, stride, std::integral_constant<int, most>{}, c, first, ahead);
      for (; first < columns; ++first) body(width, stride, std::integral_constant<int, 1>{}, c, first, ahead);
    });
  };
  if (window.stride == 1)
    at_stride(std::integral_constant<int, 1>{});
  else
    at_stride(std::integral_constant<int, 2>{});
}

inline void max_pool_forward(const Window& window, const float* x, const Soon& soon, float* y, uint8_t* choice) {
  for_pool_columns<false>(
      window, soon, [&](auto width, auto stride, auto windows, int64_t c, int64_t first, Ahead& ahead) {
        const MaxForward<width()> pool{window, y + c, choice + c};
        gather_columns<width(), stride(), windows()>(window, x + c, first, pool, ahead);
      });
}

inline void max_pool_backward(const Window& window, const float* dy, const uint8_t* choice, const Soon& soon, bool add,
                              float* dx) {
  for_pool_columns<true>(
      window, soon, [&](auto width, auto stride, auto windows, int64_t c, int64_t first, Ahead& ahead) {
        const MaxBackward<width()> pool{window, dy + c, choice + c};
        scatter_columns<width(), stride(), windows()>(window, dx + c, add, first, pool, ahead);
      });
}

inline void avg_pool_forward(const Window& window, const float* x, const Soon& soon, float* y) {
  for_pool_columns<false>(
      window, soon, [&](auto width, auto stride, auto windows, int64_t c, int64_t first, Ahead& ahead) {
        const AvgForward<width()> pool{window, y + c};
        gather_columns<width(), stride(), windows()>(window, x + c, first, pool, ahead);
      });
}

inline void avg_pool_backward(const Window& window, const float* dy, const Soon& soon, bool add, float* dx) {
  for_pool_columns<true>(
      window, soon, [&](auto width, auto stride, auto windows, int64_t c, int64_t first, Ahead& ahead) {
        const AvgBackward<width()> pool{window, dy + c};
        scatter_columns<width(), stride(), windows()>(window, dx + c, add, first, pool, ahead);
      });
}

}  // namespace DDSAS_INSTRUCTIONS
}  // namespace ddsas
