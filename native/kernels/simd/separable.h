// Depthwise, then pointwise convolution of relu(norm(x)), image by image: the depthwise result never leaves the cache. It
// is computed again for the backward pass, which costs less than reading it from memory.
#pragma once

#include "multiply.h"
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

/// What the ReLU reads: x, normalised where there is a norm.
template <int W>
struct Normalise {
  Pack<W> scale, shift;

  Normalise(const Separable& s, int64_t c)
      : scale(s.scale != nullptr ? load<W>(s.scale + c) : Pack<W>{} + 1.0f),
        shift(s.shift != nullptr ? load<W>(s.shift + c) : Pack<W>{}) {}

  Pack<W> operator()(Pack<W> x) const { return x * scale + shift; }
};

template <int W>
inline void pad_rectified(const Separable& s, int64_t c, const float* x, float* padded) {
  const Normalise<W> normalise(s, c);
  pad<W>(s.window, x + c, s.window.height, s.window.width, 1, 0, padded,
         [&](Pack<W> value, int64_t, int64_t) { return rectify<W>(normalise(value)); });
}

inline int64_t padded_width(const Window& window) { return window.width + 2 * window.padding(); }

/// Depthwise convolution of one block of channels into a [out pixels, channels].
template <int W, int K, int D, int S>
inline void spatial_block(const Separable& s, int64_t c, const float* x, float* a, float* padded) {
  pad_rectified<W>(s, c, x, padded);
  const Taps<W, K> taps(s.spatial, c);
  const int64_t columns = s.window.out_width();
  correlate<W, K, D, S>(
      padded, padded_width(s.window), s.window.out_height(), columns, [&](int k) { return taps.values[k]; },
      [&](int64_t row, int64_t column, Pack<W> sum) {
        store<W>(a + (row * columns + column) * s.window.channels + c, sum);
      });
}

/// dz: a correlation of the depthwise result's gradient with the weights turned around, where the ReLU let z through.
template <int W, int K, int D, int S>
inline void input_block(const Separable& s, int64_t c, const float* x, const float* da, float* dz, float* sums,
                        float* padded) {
  const Window& window = s.window;
  pad<W>(window, da + c, window.out_height(), window.out_width(), S, 0, padded,
         [](Pack<W> value, int64_t, int64_t) { return value; });
  const Taps<W, K> taps(s.spatial, c);
  const Normalise<W> normalise(s, c);
  Pack<W> total{}, dot{};
  correlate<W, K, D, 1>(
      padded, padded_width(window), window.height, window.width, [&](int k) { return taps.values[K * K - 1 - k]; },
      [&](int64_t row, int64_t column, Pack<W> sum) {
        const int64_t at = (row * window.width + column) * window.channels + c;
        const Pack<W> z = normalise(load<W>(x + at));
        const Pack<W> gradient = z <= 0 ? Pack<W>{} : sum;
        store<W>(dz + at, gradient);
        total += gradient;
        dot += gradient * z;
      });
  if (sums == nullptr) return;
  store<W>(sums + c, total);
  store<W>(sums + window.channels + c, dot);
}

/// Rows KH0 to KH1 of the depthwise weight's gradient: as many sums at a time as the processor has registers for.
template <int W, int K, int D, int S, int KH0, int KH1>
inline void weight_rows(const Window& window, int64_t c, const float* padded, const float* da, float* dweight) {
  const int64_t line = padded_width(window);
  Pack<W> sums[(KH1 - KH0) * K] = {};
  for (int64_t row = 0; row < window.out_height(); ++row)
    for (int64_t column = 0; column < window.out_width(); ++column) {
      const Pack<W> upstream = load<W>(da + (row * window.out_width() + column) * window.channels + c);
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
inline void weight_block(const Separable& s, int64_t c, const float* x, const float* da, float* dweight, float* padded) {
  pad_rectified<W>(s, c, x, padded);
  if constexpr (K == 3 || DDSAS_REGISTERS >= 32) {
    weight_rows<W, K, D, S, 0, K>(s.window, c, padded, da, dweight);
  } else {
    weight_rows<W, K, D, S, 0, 2>(s.window, c, padded, da, dweight);
    weight_rows<W, K, D, S, 2, 4>(s.window, c, padded, da, dweight);
    weight_rows<W, K, D, S, 4, 5>(s.window, c, padded, da, dweight);
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

inline void spatial(const Separable& s, const float* x, float* a, float* padded) {
  with_window(s.window, [&](auto size, auto dilation, auto stride) {
    for_channel_blocks(s.window.channels, [&](auto width, int64_t c) {
      spatial_block<width(), size(), dilation(), stride()>(s, c, x, a, padded);
    });
  });
}

inline int64_t out_pixels(const Window& window) { return window.out_height() * window.out_width(); }

/// A padded block, the depthwise result and its gradient.
inline int64_t separable_scratch(const Separable& s) {
  return window_scratch(s.window) + 2 * out_pixels(s.window) * s.window.channels;
}

inline void separable_forward(const Separable& s, const float* x, float* y, float* scratch) {
  float* a = scratch + window_scratch(s.window);
  spatial(s, x, a, scratch);
  multiply({a, s.window.channels}, out_pixels(s.window), s.window.channels, {s.transposed, s.outputs}, s.outputs, false,
           {y, s.outputs});
}

inline void separable_backward(const Separable& s, const float* x, const float* dy, const SeparableGradient& to,
                               float* scratch) {
  const Window& window = s.window;
  const int64_t pixels = out_pixels(window), channels = window.channels;
  float* a = scratch + window_scratch(window);
  float* da = a + pixels * channels;
  if (to.dpointwise != nullptr) {
    spatial(s, x, a, scratch);
    outer({dy, s.outputs}, s.outputs, {a, channels}, channels, pixels, to.dpointwise);
  }
  if (to.dz == nullptr && to.dspatial == nullptr) return;
  multiply({dy, s.outputs}, pixels, s.outputs, {s.pointwise, channels}, channels, false, {da, channels});
  with_window(window, [&](auto size, auto dilation, auto stride) {
    for_channel_blocks(channels, [&](auto width, int64_t c) {
      constexpr int W = width(), K = size(), D = dilation(), S = stride();
      if (to.dspatial != nullptr) weight_block<W, K, D, S>(s, c, x, da, to.dspatial, scratch);
      if (to.dz != nullptr) input_block<W, K, D, S>(s, c, x, da, to.dz, to.sums, scratch);
    });
  });
}

}  // namespace DDSAS_INSTRUCTIONS
}  // namespace ddsas
