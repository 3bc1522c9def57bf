// Depthwise, then pointwise convolution of relu(norm(x)), image by image: the depthwise result never leaves the cache. It
// is computed again for the backward pass, which costs less than reading it from memory.
#pragma once

#include "multiply.h"
#include "window.h"

namespace ddsas {
namespace DDSAS_INSTRUCTIONS {

/// Weights of W channels: element k is tap k of each channel.
template <int W, int K>
struct Taps {
  Pack<W> values[K * K];

  Taps(const Separable& s, int64_t channel) {
#pragma GCC unroll 25
    for (int k = 0; k < K * K; ++k) values[k] = load<W>(s.spatial + k * s.window.channels + channel);
  }
};

/// scale x + shift: what a norm makes of x.
template <int W>
struct Normalise {
  Pack<W> scale, shift;

  /// Null: x as it is.
  Normalise(const float* scales, const float* shifts, int64_t c)
      : scale(scales != nullptr ? load<W>(scales + c) : Pack<W>{} + 1.0f),
        shift(shifts != nullptr ? load<W>(shifts + c) : Pack<W>{}) {}

  Pack<W> operator()(Pack<W> x) const { return x * scale + shift; }
};

template <int W>
inline void pad_rectified(const Separable& s, int64_t c, const float* x, float* padded) {
  const Normalise<W> normalise(s.scale, s.shift, c);
  pad<W>(s.window, x + c, s.window.height, s.window.width, 1, padded,
         [&](Pack<W> value, int64_t, int64_t) { return rectify<W>(normalise(value)); });
}

/// Depthwise convolution of one block of channels of relu(norm(x)); pixels of `to` lie `stride` apart.
template <int W, int K, int D, int S>
inline void spatial_block(const Separable& s, int64_t c, const float* padded, Ahead& ahead, float* to, int64_t stride) {
  const Taps<W, K> taps(s, c);
  const int64_t columns = s.window.out_width();
  correlate<W, K, D, S>(
      padded, padded_width(s.window), s.window.out_height(), columns, [&](int k) { return taps.values[k]; },
      ahead, [&](int64_t row, int64_t column, Pack<W> sum) { store<W>(to + (row * columns + column) * stride, sum); });
}

/// dz: a correlation of the depthwise result's gradient with the weights turned around, where the ReLU let z through.
template <int W, int K, int D>
inline void input_block(const Separable& s, int64_t c, const float* x, const float* padded, Ahead& ahead, float* dz,
                        float* sums) {
  const Window& window = s.window;
  const Taps<W, K> taps(s, c);
  const Normalise<W> normalise(s.scale, s.shift, c), hat(s.hat_scale, s.hat_shift, c);
  Pack<W> total{}, dot{};
  correlate<W, K, D, 1>(
      padded, padded_width(window), window.height, window.width, [&](int k) { return taps.values[K * K - 1 - k]; },
      ahead, [&](int64_t row, int64_t column, Pack<W> sum) {
        const int64_t at = (row * window.width + column) * window.channels + c;
        const Pack<W> value = load<W>(x + at);
        const Pack<W> gradient = normalise(value) <= 0 ? Pack<W>{} : sum;
        store<W>(dz + at, gradient);
        total += gradient;
        dot += gradient * hat(value);
      });
  if (sums == nullptr) return;
  store<W>(sums + c, total);
  store<W>(sums + window.channels + c, dot);
}

/// Rows KH0 to KH1 of the depthwise weight's gradient: as many sums at a time as the processor has registers for.
template <int W, int K, int D, int S, int KH0, int KH1>
inline void weight_rows(const Window& window, const float* padded, const float* upstream, float* dweight) {
  const int64_t line = padded_width(window);
  Pack<W> sums[(KH1 - KH0) * K] = {};
  for (int64_t row = 0; row < window.out_height(); ++row)
    for (int64_t column = 0; column < window.out_width(); ++column) {
      const int64_t corner = row * S * line + column * S;
      const Pack<W> da = load<W>(upstream + (origin(window) + corner) * W);
#pragma GCC unroll 5
      for (int kh = KH0; kh < KH1; ++kh)
#pragma GCC unroll 5
        for (int kw = 0; kw < K; ++kw)
          sums[(kh - KH0) * K + kw] += da * load<W>(padded + (corner + kh * D * line + kw * D) * W);
    }
#pragma GCC unroll 25
  for (int k = 0; k < (KH1 - KH0) * K; ++k) store<W>(dweight + (KH0 * K + k) * window.channels, sums[k]);
}

template <int W, int K, int D, int S>
inline void weight_block(const Window& window, const float* padded, const float* upstream, float* dweight) {
  if constexpr (K == 3 || DDSAS_REGISTERS >= 32) {
    weight_rows<W, K, D, S, 0, K>(window, padded, upstream, dweight);
  } else {
    weight_rows<W, K, D, S, 0, 2>(window, padded, upstream, dweight);
    weight_rows<W, K, D, S, 2, 4>(window, padded, upstream, dweight);
    weight_rows<W, K, D, S, 4, 5>(window, padded, upstream, dweight);
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

/// Padded blocks of what the ReLU lets through, padded blocks of all channels for a gradient, and a depthwise result.
struct SeparableScratch {
  float *block, *gradient, *result;

  SeparableScratch(const Separable& s, float* scratch)
      : block(scratch), gradient(block + window_scratch(s.window)),
        result(gradient + padded_pixels(s.window) * s.window.channels) {}
};

inline int64_t separable_scratch(const Separable& s) {
  return window_scratch(s.window) + (padded_pixels(s.window) + out_pixels(s.window)) * s.window.channels;
}

inline int64_t in_floats(const Separable& s) { return s.window.height * s.window.width * s.window.channels; }

inline void separable_forward(const Separable& s, const float* x, const float* next_x, float* y, float* scratch) {
  const Window& window = s.window;
  Ahead ahead(channel_blocks(window.channels) * window.out_height());
  ahead.add(next_x, in_floats(s));
  ahead.add(y, out_pixels(window) * s.outputs);
  const SeparableScratch room(s, scratch);
  with_window(window, [&](auto size, auto dilation, auto stride) {
    for_channel_blocks(window.channels, [&](auto width, int64_t c) {
      float* const padded = padded_block<width()>(window, room.block);
      pad_rectified<width()>(s, c, x, padded);
      spatial_block<width(), size(), dilation(), stride()>(s, c, padded, ahead, room.result + c, window.channels);
    });
  });
  multiply<false>({room.result, window.channels}, out_pixels(window), window.channels, {s.transposed, s.outputs}, s.outputs,
                  dense(y, s.outputs));
}

/// Gradient of the depthwise result: dy x pointwise, set into padded blocks as far apart as its pixels were read.
inline void spread_gradient(const Separable& s, const float* dy, float* padded) {
  const Window& window = s.window;
  const int64_t columns = window.out_width(), pixels = padded_pixels(window);
  for (int64_t row = 0; row < window.out_height(); ++row) {
    const int64_t first = origin(window) + row * window.stride * padded_width(window);
    multiply<false>({dy + row * columns * s.outputs, s.outputs}, columns, s.outputs, {s.pointwise, window.channels},
                    window.channels, [&](auto width, int64_t c) {
                      return Target{padded + c * pixels + first * width(), window.stride * width(), pixels * width()};
                    });
  }
}

inline void separable_backward(const Separable& s, Upstream now, Upstream next, const SeparableGradient& to,
                               float* scratch) {
  const float *const x = now.x, *const dy = now.dy;
  const Window& window = s.window;
  const int64_t channels = window.channels, pixels = out_pixels(window);
  const SeparableScratch room(s, scratch);
  Ahead ahead(channel_blocks(channels) *
              ((to.dpointwise != nullptr ? window.out_height() : 0) + (to.dz != nullptr ? window.height : 0)));
  ahead.add(next.x, in_floats(s));
  ahead.add(next.dy, pixels * s.outputs);
  ahead.add(to.dz, in_floats(s));
  if (to.dz != nullptr || to.dspatial != nullptr) spread_gradient(s, dy, room.gradient);
  with_window(window, [&](auto size, auto dilation, auto stride) {
    for_channel_blocks(channels, [&](auto width, int64_t c) {
      constexpr int W = width(), K = size(), D = dilation(), S = stride();
      const float* upstream = room.gradient + c * padded_pixels(window);
      float* const block = padded_block<W>(window, room.block);
      if (to.dpointwise != nullptr || to.dspatial != nullptr) pad_rectified<W>(s, c, x, block);
      if (to.dpointwise != nullptr) {
        spatial_block<W, K, D, S>(s, c, block, ahead, room.result, W);
        outer<false>({dy, s.outputs}, s.outputs, {room.result, 1, pixels, 0, W}, W, to.dpointwise + c, channels);
      }
      if (to.dspatial != nullptr) weight_block<W, K, D, S>(window, block, upstream, to.dspatial + c);
      if (to.dz != nullptr) input_block<W, K, D>(s, c, x, upstream, ahead, to.dz, to.sums);
    });
  });
}

}  // namespace DDSAS_INSTRUCTIONS
}  // namespace ddsas
