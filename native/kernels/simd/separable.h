// Depthwise, then pointwise convolutions of relu(norm(x)), image by image: all that read one x take it from the cache, and
// the depthwise result never leaves it. That is computed again for the backward pass, which costs less than reading it from
// memory.
#pragma once

#include "mix.h"
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

/// Copies one block of channels of x into the middle of `padded`; the border stays as it is: zero, as scratch begins with.
template <int W>
inline void pad_rectified(const Separable& s, int64_t c, const float* x, float* padded) {
  const Normalise<W> normalise(s.scale, s.shift, c);
  const Padded block = padded_input(s.window);
  const float* from = x + c;
  for (int64_t row = 0; row < block.height; ++row) {
    float* const to = padded + block.at(row, 0) * W;
    for (int64_t column = 0; column < block.width; ++column, from += s.window.channels)
      store<W>(to + column * W, rectify<W>(normalise(load<W>(from))));
  }
}

/// Depthwise convolution of one block of channels of relu(norm(x)); pixels of `to` lie `stride` apart.
template <int W, int K, int D, int S>
inline void spatial_block(const Separable& s, int64_t c, const float* padded, Ahead& ahead, float* to, int64_t stride) {
  const Taps<W, K> taps(s, c);
  const int64_t columns = s.window.out_width();
  correlate<W, K, D, S>(
      s.window, padded, [&](int k) { return taps.values[k]; }, ahead,
      [&](int64_t row, int64_t column, Pack<W> sum) { store<W>(to + (row * columns + column) * stride, sum); });
}

/// The depthwise convolution's way back: write(place of pixel and channel in x, gradient).
template <int W, int K, int D, int S, typename Write>
inline void spatial_back(const Separable& s, int64_t c, const float* padded, Ahead& ahead, Write write) {
  const Window& window = s.window;
  const Taps<W, K> taps(s, c);
  correlate_back<W, K, D, S>(
      window, padded, [&](int k) { return taps.values[k]; }, ahead,
      [&](int64_t row, int64_t column, Pack<W> sum) { write((row * window.width + column) * window.channels + c, sum); });
}

/// What comes back from one result, added to what came from others; with the last of them dz: where the ReLU let z through.
template <int W, int K, int D, int S, bool First>
inline void input_block(const Separable& s, int64_t c, const float* x, const float* padded, Ahead& ahead, float* so_far,
                        const InputGradient& to) {
  const auto with_others = [so_far](int64_t at, Pack<W> sum) { return First ? sum : sum + load<W>(so_far + at); };
  if (!to.last) {
    spatial_back<W, K, D, S>(s, c, padded, ahead,
                             [=](int64_t at, Pack<W> sum) { store<W>(so_far + at, with_others(at, sum)); });
    return;
  }
  const Normalise<W> normalise(s.scale, s.shift, c), hat(s.hat_scale, s.hat_shift, c);
  Pack<W> total{}, dot{};
  spatial_back<W, K, D, S>(s, c, padded, ahead, [&, dz = to.dz](int64_t at, Pack<W> sum) {
    const Pack<W> value = load<W>(x + at);
    const Pack<W> gradient = normalise(value) <= 0 ? Pack<W>{} : with_others(at, sum);
    store<W>(dz + at, gradient);
    total += gradient;
    dot += gradient * hat(value);
  });
  if (to.sums == nullptr) return;
  store<W>(to.sums + c, total);
  store<W>(to.sums + s.window.channels + c, dot);
}

/// Rows KH0 to KH1 of the depthwise weight's gradient: as many sums at a time as the processor has registers for.
template <int W, int K, int D, int S, int KH0, int KH1>
inline void weight_rows(const Window& window, const float* padded, const float* upstream, float* dweight) {
  const Padded block = padded_input(window), result = padded_result(window);
  const int64_t line = block.line();
  Pack<W> sums[(KH1 - KH0) * K] = {};
  for (int64_t row = 0; row < result.height; ++row) {
    const float* const first = padded + block.at(row * S - window.padding(), -window.padding()) * W;
    const float* const from = upstream + result.at(row, 0) * W;
    for (int64_t column = 0; column < result.width; ++column) {
      const float* const corner = first + column * S * W;
      const Pack<W> da = load<W>(from + column * W);
#pragma GCC unroll 5
      for (int kh = KH0; kh < KH1; ++kh)
#pragma GCC unroll 5
        for (int kw = 0; kw < K; ++kw)
          sums[(kh - KH0) * K + kw] += da * load<W>(corner + (kh * D * line + kw * D) * W);
    }
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

/// Padded blocks of all channels of what the ReLU lets through and of the gradient of a depthwise result, such a result, the
/// sum of gradients of several results, and the gradient of one.
struct SeparableScratch {
  float *rectified, *gradient, *result, *so_far, *upstream;

  SeparableScratch(const Separable& s, float* scratch)
      : rectified(scratch), gradient(rectified + padded_input(s.window).pixels() * s.window.channels),
        result(gradient + padded_result(s.window).pixels() * s.window.channels),
        so_far(result + out_pixels(s.window) * s.window.channels),
        upstream(so_far + s.window.height * s.window.width * s.window.channels) {}
};

inline ScratchSize separable_scratch(const Separable& s) {
  const Window& window = s.window;
  const int64_t padded = (padded_input(window).pixels() + padded_result(window).pixels()) * window.channels;
  const int64_t rest = (out_pixels(window) + window.height * window.width) * window.channels + out_pixels(window) * s.outputs;
  return {padded + rest, padded};
}

inline void rectify(const Separable& s, const float* x, float* scratch) {
  for_channel_blocks(s.window.channels, [&](auto width, int64_t c) {
    pad_rectified<width()>(s, c, x, scratch + c * padded_input(s.window).pixels());
  });
}

inline void separable_forward(const Separable& s, const Soon& soon, float* y, float* scratch) {
  const Window& window = s.window;
  Ahead ahead(soon, channel_blocks(window.channels) * window.out_height());
  const SeparableScratch room(s, scratch);
  with_window(window, [&](auto size, auto dilation, auto stride) {
    for_channel_blocks(window.channels, [&](auto width, int64_t c) {
      const float* const padded = room.rectified + c * padded_input(window).pixels();
      spatial_block<width(), size(), dilation(), stride()>(s, c, padded, ahead, room.result + c, window.channels);
    });
  });
  multiply<false>({room.result, window.channels}, out_pixels(window), window.channels, {s.transposed, s.outputs}, s.outputs,
                  dense(y, s.outputs));
}

/// The gradient of some pixels of the result, `first` floats from its beginning: as it came, or computed into `to`.
inline const float* result_gradient(ResultGradient g, int64_t outputs, int64_t first, int64_t pixels, float* to) {
  g.dy += first;
  if (g.y == nullptr) return g.dy;
  g.y += first;
  whole_gradient(outputs, pixels, g, false, to + first);
  return to + first;
}

/// Gradient of the depthwise result: dy x pointwise, set into padded blocks. Returns the whole dy.
inline const float* spatial_gradient(const Separable& s, const ResultGradient& upstream, const SeparableScratch& room) {
  const Padded block = padded_result(s.window);
  for (int64_t row = 0; row < block.height; ++row) {
    const int64_t first = row * block.width * s.outputs;
    const float* const dy = result_gradient(upstream, s.outputs, first, block.width, room.upstream);
    multiply<false>({dy, s.outputs}, block.width, s.outputs, {s.pointwise, s.window.channels}, s.window.channels,
                    [&](auto width, int64_t c) {
                      float* const to = room.gradient + c * block.pixels() + block.at(row, 0) * width();
                      return Target{to, width(), block.pixels() * width()};
                    });
  }
  return upstream.y == nullptr ? upstream.dy : room.upstream;
}

inline void separable_backward(const Separable& s, const float* x, const ResultGradient& upstream, const Soon& soon,
                               const SeparableGradient& to, float* scratch) {
  const Window& window = s.window;
  const int64_t channels = window.channels, pixels = out_pixels(window);
  const SeparableScratch room(s, scratch);
  Ahead ahead(soon, channel_blocks(channels) * ((to.dpointwise != nullptr ? window.out_height() : 0) +
                                                (to.input != nullptr ? window.height : 0)));
  const float* const dy = spatial_gradient(s, upstream, room);
  with_window(window, [&](auto size, auto dilation, auto stride) {
    for_channel_blocks(channels, [&](auto width, int64_t c) {
      constexpr int W = width(), K = size(), D = dilation(), S = stride();
      const float* const gradient = room.gradient + c * padded_result(window).pixels();
      const float* const block = room.rectified + c * padded_input(window).pixels();
      if (to.dpointwise != nullptr) {
        spatial_block<W, K, D, S>(s, c, block, ahead, room.result, W);
        outer<false>({dy, s.outputs}, s.outputs, {room.result, 1, pixels, 0, W}, W, to.dpointwise + c, channels);
      }
      if (to.dspatial != nullptr) weight_block<W, K, D, S>(window, block, gradient, to.dspatial + c);
      if (to.input == nullptr) return;
      if (to.input->first)
        input_block<W, K, D, S, true>(s, c, x, gradient, ahead, room.so_far, *to.input);
      else
        input_block<W, K, D, S, false>(s, c, x, gradient, ahead, room.so_far, *to.input);
    });
  });
}

}  // namespace DDSAS_INSTRUCTIONS
}  // namespace ddsas
