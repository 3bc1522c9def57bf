// Vectors of W floats through the compiler's vector extensions, and loops over channels in the widest steps that fit.
//
// Compiled once for each instruction set into a namespace of its own: nothing here may be seen by two of them.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

namespace ddsas {
namespace DDSAS_INSTRUCTIONS {

template <int W>
struct PackOf {
  typedef float type __attribute__((vector_size(W * sizeof(float))));
  typedef int32_t integers __attribute__((vector_size(W * sizeof(int32_t))));
  typedef uint8_t bytes __attribute__((vector_size(W)));
};

/// W floats; arithmetic and comparisons work element by element.
template <int W>
using Pack = typename PackOf<W>::type;

template <int W>
inline Pack<W> load(const float* from) {
  Pack<W> values;
  std::memcpy(&values, from, sizeof values);
  return values;
}

template <int W>
inline void store(float* to, Pack<W> values) {
  std::memcpy(to, &values, sizeof values);
}

/// Whether blocks of W channels are computed several pixels or rows at a time. Single channels, what four do not divide, come
/// one by one: the same numbers to the bit, and a quarter to a third less to compile.
template <int W>
constexpr bool kMany = W > 1;

/// Not the usual maximum: a NaN stays a NaN, so that a diverged search is noticed.
template <int W>
inline Pack<W> rectify(Pack<W> x) {
  return x < 0 ? Pack<W>{} : x;
}

/// Calls body(width, packs, channel) for blocks of channels: `Packs` of the widest vectors while they fit, then narrower.
template <int Packs, typename Body>
inline void for_channel_blocks(int64_t channels, Body body) {
  int64_t c = 0;
  const auto blocks = [&](auto width, auto packs) {
    constexpr int step = width() * packs();
    for (; c + step <= channels; c += step) body(width, packs, c);
  };
  constexpr std::integral_constant<int, 1> one;
  if constexpr (Packs > 1) blocks(std::integral_constant<int, DDSAS_WIDTH>{}, std::integral_constant<int, Packs>{});
  if constexpr (DDSAS_WIDTH >= 16) blocks(std::integral_constant<int, 16>{}, one);
  if constexpr (DDSAS_WIDTH >= 8) blocks(std::integral_constant<int, 8>{}, one);
  blocks(std::integral_constant<int, 4>{}, one);
  blocks(one, one);
}

/// Calls body(width, channel) for blocks of channels, as wide as the instruction set goes, then narrower.
template <typename Body>
inline void for_channel_blocks(int64_t channels, Body body) {
  for_channel_blocks<1>(channels, [&](auto width, auto, int64_t c) { body(width, c); });
}

}  // namespace DDSAS_INSTRUCTIONS
}  // namespace ddsas
