// 3x3 maximum and average pooling with padding 1, stride 1 and 2: forward and backward.
#pragma once

#include "window.h"

namespace ddsas {
namespace DDSAS_INSTRUCTIONS {

constexpr int kTaps = 9;

/// Offset of tap k (row by row) from the window's corner in a padded block.
template <int W>
inline int64_t tap(int k, int64_t line) {
  return (k / 3 * line + k % 3) * W;
}

template <int W>
void max_forward_block(const Window& window, int64_t c, const float* x, float* y, uint8_t* choice, float* scratch) {
  const int64_t line = window.width + 2, columns = window.out_width();
  fill<W>(scratch, padded_pixels(window), Pack<W>{} - __builtin_inff());
  pad<W>(window, x + c, window.height, window.width, 1, scratch,
         [](Pack<W> value, int64_t, int64_t) { return value; });
  for (int64_t row = 0; row < window.out_height(); ++row)
    for (int64_t column = 0; column < columns; ++column) {
      const float* corner = scratch + (row * window.stride * line + column * window.stride) * W;
      Pack<W> best = load<W>(corner);
      typename PackOf<W>::integers which{};
#pragma GCC unroll 8
      for (int k = 1; k < kTaps; ++k) {
        const Pack<W> value = load<W>(corner + tap<W>(k, line));
        // a NaN wins, as in PyTorch
        const auto better = (value > best) | (value != value);
        best = better ? value : best;
        which = better ? which * 0 + k : which;
      }
      const int64_t at = (row * columns + column) * window.channels + c;
      store<W>(y + at, best);
      const auto bytes = __builtin_convertvector(which, typename PackOf<W>::bytes);
      std::memcpy(choice + at, &bytes, W);
    }
}

/// Each input collects the gradients of the windows that chose it: no window writes where another does.
template <int W>
void max_backward_block(const Window& window, int64_t c, const float* dy, const uint8_t* choice, float* dx,
                        float* scratch) {
  const int64_t line = window.width + 2, columns = window.out_width();
  fill<W>(scratch, padded_pixels(window), Pack<W>{});
  for (int64_t row = 0; row < window.out_height(); ++row)
    for (int64_t column = 0; column < columns; ++column) {
      const int64_t at = (row * columns + column) * window.channels + c;
      const Pack<W> upstream = load<W>(dy + at);
      typename PackOf<W>::bytes bytes;
      std::memcpy(&bytes, choice + at, W);
      const auto which = __builtin_convertvector(bytes, typename PackOf<W>::integers);
      float* corner = scratch + (row * window.stride * line + column * window.stride) * W;
#pragma GCC unroll 9
      for (int k = 0; k < kTaps; ++k) {
        float* to = corner + tap<W>(k, line);
        store<W>(to, load<W>(to) + (which == k ? upstream : Pack<W>{}));
      }
    }
  for (int64_t row = 0; row < window.height; ++row)
    for (int64_t column = 0; column < window.width; ++column)
      store<W>(dx + (row * window.width + column) * window.channels + c,
               load<W>(scratch + ((row + 1) * line + column + 1) * W));
}

/// One over the number of pixels of the image in the window of output (row, column).
inline float share(const Window& window, int64_t row, int64_t column) {
  const auto inside = [](int64_t first, int64_t length) {
    return (first + 2 < length ? first + 2 : length - 1) - (first < 0 ? 0 : first) + 1;
  };
  return 1.0f / static_cast<float>(inside(row * window.stride - 1, window.height) *
                                   inside(column * window.stride - 1, window.width));
}

template <int W, int S>
void avg_forward_block(const Window& window, int64_t c, const float* x, float* y, float* scratch) {
  Ahead nothing({}, 1);
  const int64_t columns = window.out_width();
  float* const padded = padded_block<W>(window, scratch);
  pad<W>(window, x + c, window.height, window.width, 1, padded,
         [](Pack<W> value, int64_t, int64_t) { return value; });
  correlate<W, 3, 1, S>(
      padded, window.width + 2, window.out_height(), columns, [](int) { return Pack<W>{} + 1.0f; },
      nothing, [&](int64_t row, int64_t column, Pack<W> sum) {
        store<W>(y + (row * columns + column) * window.channels + c, sum * share(window, row, column));
      });
}

template <int W, int S>
void avg_backward_block(const Window& window, int64_t c, const float* dy, float* dx, float* scratch) {
  Ahead nothing({}, 1);
  float* const padded = padded_block<W>(window, scratch);
  pad<W>(window, dy + c, window.out_height(), window.out_width(), S, padded,
         [&](Pack<W> value, int64_t row, int64_t column) { return value * share(window, row, column); });
  correlate<W, 3, 1, 1>(
      padded, window.width + 2, window.height, window.width, [](int) { return Pack<W>{} + 1.0f; },
      nothing, [&](int64_t row, int64_t column, Pack<W> sum) {
        store<W>(dx + (row * window.width + column) * window.channels + c, sum);
      });
}

inline void max_pool_forward(const Window& window, const float* x, float* y, uint8_t* choice, float* scratch) {
  for_channel_blocks(window.channels, [&](auto width, int64_t c) {
    max_forward_block<width()>(window, c, x, y, choice, scratch);
  });
}

inline void max_pool_backward(const Window& window, const float* dy, const uint8_t* choice, float* dx, float* scratch) {
  for_channel_blocks(window.channels, [&](auto width, int64_t c) {
    max_backward_block<width()>(window, c, dy, choice, dx, scratch);
  });
}

inline void avg_pool_forward(const Window& window, const float* x, float* y, float* scratch) {
  for_channel_blocks(window.channels, [&](auto width, int64_t c) {
    if (window.stride == 1)
      avg_forward_block<width(), 1>(window, c, x, y, scratch);
    else
      avg_forward_block<width(), 2>(window, c, x, y, scratch);
  });
}

inline void avg_pool_backward(const Window& window, const float* dy, float* dx, float* scratch) {
  for_channel_blocks(window.channels, [&](auto width, int64_t c) {
    if (window.stride == 1)
      avg_backward_block<width(), 1>(window, c, dy, dx, scratch);
    else
      avg_backward_block<width(), 2>(window, c, dy, dx, scratch);
  });
}

}  // namespace DDSAS_INSTRUCTIONS
}  // namespace ddsas
