// The tail of a node: moments of each term, the weighted sum of the normalised terms, and its gradients.
#pragma once

#include "kernels.h"
#include "pack.h"

namespace ddsas {
namespace DDSAS_INSTRUCTIONS {

/// Independent partial sums hide the latency of an addition, and round less than one long sum.
constexpr int kChains = 4;

/// Sums over all pixels of value(pixel), W channels at a time.
template <int W, int Count, typename Value>
inline void accumulate(int64_t pixels, Value value, float* const* totals) {
  Pack<W> sums[kChains][Count] = {};
  int64_t p = 0;
  for (; p + kChains <= pixels; p += kChains)
#pragma GCC unroll 4
    for (int chain = 0; chain < kChains; ++chain) value(p + chain, sums[chain]);
  for (; p < pixels; ++p) value(p, sums[0]);
  for (int i = 0; i < Count; ++i) store<W>(totals[i], (sums[0][i] + sums[1][i]) + (sums[2][i] + sums[3][i]));
}

inline void moments(int64_t channels, int64_t pixels, const float* x, float* sum, float* square) {
  for_channel_blocks(channels, [&](auto width, int64_t c) {
    constexpr int W = width();
    const Pack<W> shift = load<W>(x + c);
    float* const totals[] = {sum + c, square + c};
    accumulate<W, 2>(
        pixels,
        [&](int64_t p, Pack<W>* sums) {
          const Pack<W> value = load<W>(x + p * channels + c) - shift;
          sums[0] += value;
          sums[1] += value * value;
        },
        totals);
  });
}

inline void mix_forward(int64_t channels, int64_t pixels, const MixTerm* terms, int64_t count, const float* bias,
                        float* y) {
  for_channel_blocks(channels, [&](auto width, int64_t c) {
    constexpr int W = width();
    for (int64_t p = 0; p < pixels; ++p) {
      Pack<W> sum = load<W>(bias + c);
      for (int64_t k = 0; k < count; ++k) sum += load<W>(terms[k].scale + c) * load<W>(terms[k].x + p * channels + c);
      store<W>(y + p * channels + c, sum);
    }
  });
}

inline void mix_dot(int64_t channels, int64_t pixels, const float* dy, const float* x, const float* next,
                    const float* scale, const float* shift, float* dot) {
  for_channel_blocks(channels, [&](auto width, int64_t c) {
    constexpr int W = width();
    const Pack<W> a = load<W>(scale + c), b = load<W>(shift + c);
    float* const totals[] = {dot + c};
    accumulate<W, 1>(
        pixels,
        [&](int64_t p, Pack<W>* sums) {
          __builtin_prefetch(next + p * channels + c, /*write=*/0, /*locality=*/2);
          sums[0] += load<W>(dy + p * channels + c) * (load<W>(x + p * channels + c) * a + b);
        },
        totals);
  });
}

inline void channel_sum(int64_t channels, int64_t pixels, const float* dy, float* total) {
  for_channel_blocks(channels, [&](auto width, int64_t c) {
    constexpr int W = width();
    float* const totals[] = {total + c};
    accumulate<W, 1>(
        pixels, [&](int64_t p, Pack<W>* sums) { sums[0] += load<W>(dy + p * channels + c); }, totals);
  });
}

template <bool Add>
inline void gradient_numbers(int64_t channels, int64_t pixels, const ResultGradient& g, float* to) {
  for_channel_blocks(channels, [&](auto width, int64_t c) {
    constexpr int W = width();
    const auto each = [&](auto value) {
      for (int64_t p = 0; p < pixels; ++p) {
        const int64_t at = p * channels + c;
        store<W>(to + at, Add ? load<W>(to + at) + value(at) : value(at));
      }
    };
    if (g.y == nullptr) return each([&](int64_t at) { return load<W>(g.dy + at); });
    const Pack<W> a = load<W>(g.a + c) * g.kept, b = load<W>(g.b + c), d = load<W>(g.d + c);
    each([&](int64_t at) { return a * load<W>(g.dy + at) + (b * load<W>(g.y + at) + d); });
  });
}

inline void whole_gradient(int64_t channels, int64_t pixels, const ResultGradient& g, bool add, float* to) {
  if (add)
    gradient_numbers<true>(channels, pixels, g, to);
  else
    gradient_numbers<false>(channels, pixels, g, to);
}

}  // namespace DDSAS_INSTRUCTIONS
}  // namespace ddsas
