// Depthwise convolution of relu(x), 3x3 and 5x5, dilation 1 and 2, stride 1 and 2: forward and both gradients.
#pragma once

#include "window.h"

namespace ddsas {
namespace DDSAS_INSTRUCTIONS {

/// Weights of W channels as packs: element k is tap k of each channel.
template <int W, int K>
struct Taps {
  Pack<W> values[K * K];

  Taps(const float* weight, int64_t channel) {
    for (int k = 0; k < K * K; ++k) {
      float lanes[W];
      for (int i = 0; i < W; ++i) lanes[i] = weight[(channel + i) * K * K + k];
      values[k] = load<W>(lanes);
    }
  }
};

template <int W, int K, int D, int S>
void forward_block(const Window& window, int64_t c, const float* x, const float* weight, float* y, float* scratch) {
  pad<W>(window, x + c, window.height, window.width, 1, 0, scratch,
         [](Pack<W> value, int64_t, int64_t) { return rectify<W>(value); });
  const Taps<W, K> taps(weight, c);
  const int64_t columns = window.out_width();
  correlate<W, K, D, S>(
      scratch, window.width + 2 * window.padding(), window.out_height(), columns,
      [&](int k) { return taps.values[k]; },
      [&](int64_t row, int64_t column, Pack<W> sum) {
        store<W>(y + (row * columns + column) * window.channels + c, sum);
      });
}

/// A correlation of the output's gradient with the weights turned around, where the ReLU let x through.
template <int W, int K, int D, int S>
void input_block(const Window& window, int64_t c, const float* x, const float* weight, const float* dy, float* dx,
                 float* scratch) {
  pad<W>(window, dy + c, window.out_height(), window.out_width(), S, 0, scratch,
         [](Pack<W> value, int64_t, int64_t) { return value; });
  const Taps<W, K> taps(weight, c);
  correlate<W, K, D, 1>(
      scratch, window.width + 2 * window.padding(), window.height, window.width,
      [&](int k) { return taps.values[K * K - 1 - k]; },
      [&](int64_t row, int64_t column, Pack<W> sum) {
        const int64_t at = (row * window.width + column) * window.channels + c;
        store<W>(dx + at, load<W>(x + at) <= 0 ? Pack<W>{} : sum);
      });
}

/// Rows kh0 to kh1 of the weight's gradient: as many sums at a time as the processor has registers for.
template <int W, int K, int D, int S, int KH0, int KH1>
inline void weight_rows(const Window& window, int64_t c, const float* padded, const float* dy, float* dweight) {
  const int64_t line = window.width + 2 * window.padding();
  Pack<W> sums[(KH1 - KH0) * K] = {};
  for (int64_t row = 0; row < window.out_height(); ++row)
    for (int64_t column = 0; column < window.out_width(); ++column) {
      const Pack<W> upstream = load<W>(dy + (row * window.out_width() + column) * window.channels + c);
      const float* corner = padded + (row * S * line + column * S) * W;
#pragma GCC unroll 5
      for (int kh = KH0; kh < KH1; ++kh)
#pragma GCC unroll 5
        for (int kw = 0; kw < K; ++kw)
          sums[(kh - KH0) * K + kw] += upstream * load<W>(corner + (kh * D * line + kw * D) * W);
    }
  for (int k = 0; k < (KH1 - KH0) * K; ++k) store<W>(dweight + (KH0 * K + k) * window.channels + c, sums[k]);
}

template <int W, int K, int D, int S>
void weight_block(const Window& window, int64_t c, const float* x, const float* dy, float* dweight, float* scratch) {
  pad<W>(window, x + c, window.height, window.width, 1, 0, scratch,
         [](Pack<W> value, int64_t, int64_t) { return rectify<W>(value); });
  if constexpr (K == 3 || DDSAS_REGISTERS >= 32) {
    weight_rows<W, K, D, S, 0, K>(window, c, scratch, dy, dweight);
  } else {
    weight_rows<W, K, D, S, 0, 2>(window, c, scratch, dy, dweight);
    weight_rows<W, K, D, S, 2, 4>(window, c, scratch, dy, dweight);
    weight_rows<W, K, D, S, 4, 5>(window, c, scratch, dy, dweight);
  }
}

/// Calls body(size, dilation, stride) with the window's three numbers as constants.
template <typename Body>
inline void with_window(const Window& window, Body body) {
  const auto with_stride = [&](auto size, auto dilation) {
    if (window.stride == 1)
      body(size, dilation, std::integral_constant<int, 1>{});
    else
      body(size, dilation, std::integral_constant<int, 2>{});
  };
  const auto with_dilation = [&](auto size) {
    if (window.dilation == 1)
      with_stride(size, std::integral_constant<int, 1>{});
    else
      with_stride(size, std::integral_constant<int, 2>{});
  };
  if (window.size == 3)
    with_dilation(std::integral_constant<int, 3>{});
  else
    with_dilation(std::integral_constant<int, 5>{});
}

inline void depthwise_forward(const Window& window, const float* x, const float* weight, float* y, float* scratch) {
  with_window(window, [&](auto size, auto dilation, auto stride) {
    for_channel_blocks(window.channels, [&](auto width, int64_t c) {
      forward_block<width(), size(), dilation(), stride()>(window, c, x, weight, y, scratch);
    });
  });
}

inline void depthwise_input(const Window& window, const float* x, const float* weight, const float* dy, float* dx,
                            float* scratch) {
  with_window(window, [&](auto size, auto dilation, auto stride) {
    for_channel_blocks(window.channels, [&](auto width, int64_t c) {
      input_block<width(), size(), dilation(), stride()>(window, c, x, weight, dy, dx, scratch);
    });
  });
}

inline void depthwise_weight(const Window& window, const float* x, const float* dy, float* dweight, float* scratch) {
  with_window(window, [&](auto size, auto dilation, auto stride) {
    for_channel_blocks(window.channels, [&](auto width, int64_t c) {
      weight_block<width(), size(), dilation(), stride()>(window, c, x, dy, dweight, scratch);
    });
  });
}

}  // namespace DDSAS_INSTRUCTIONS
}  // namespace ddsas
