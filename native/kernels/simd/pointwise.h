// A 1x1 convolution of relu(x), of every pixel or of every second one in both directions.
#pragma once

#include "multiply.h"
#include "kernels.h"

namespace ddsas {
namespace DDSAS_INSTRUCTIONS {

inline int64_t pointwise_scratch(const Pointwise& p) { return p.channels * p.rows * p.columns; }

/// Calls body(pixel of the output, pixel of the input) for all that the convolution reads.
template <typename Body>
inline void for_each_pixel(const Pointwise& p, Body body) {
  for (int64_t row = 0; row < p.rows; ++row)
    for (int64_t column = 0; column < p.columns; ++column)
      body(row * p.columns + column, (row * p.step + p.offset) * p.width + column * p.step + p.offset);
}

inline void gather_rectified(const Pointwise& p, const float* x, float* to) {
  for_channel_blocks(p.channels, [&](auto width, int64_t c) {
    for_each_pixel(p, [&](int64_t out, int64_t in) {
      store<width()>(to + out * p.channels + c, rectify<width()>(load<width()>(x + in * p.channels + c)));
    });
  });
}

/// Writes the gradients of the pixels that were read, where the ReLU let them through.
inline void scatter_masked(const Pointwise& p, const float* x, const float* from, float* dx) {
  for_channel_blocks(p.channels, [&](auto width, int64_t c) {
    constexpr int W = width();
    for_each_pixel(p, [&](int64_t out, int64_t in) {
      const int64_t at = in * p.channels + c;
      store<W>(dx + at, load<W>(x + at) <= 0 ? Pack<W>{} : load<W>(from + out * p.channels + c));
    });
  });
}

inline void pointwise_forward(const Pointwise& p, const float* x, bool add, float* y, float* scratch) {
  gather_rectified(p, x, scratch);
  const auto product = [&](auto adds) {
    multiply<adds()>({scratch, p.channels}, p.rows * p.columns, p.channels, {p.transposed, p.outputs}, p.outputs,
                     dense(y, p.y_stride));
  };
  if (add)
    product(std::true_type{});
  else
    product(std::false_type{});
}

inline void pointwise_backward(const Pointwise& p, const float* x, const float* dy, float* dx, float* dweight,
                               float* scratch) {
  const int64_t pixels = p.rows * p.columns;
  if (dweight != nullptr) {
    gather_rectified(p, x, scratch);
    outer({dy, p.y_stride}, p.outputs, {scratch, p.channels}, p.channels, pixels, dweight, p.channels);
  }
  if (dx == nullptr) return;
  multiply<false>({dy, p.y_stride}, pixels, p.outputs, {p.weight, p.weight_stride}, p.channels,
                  dense(scratch, p.channels));
  scatter_masked(p, x, scratch, dx);
}

}  // namespace DDSAS_INSTRUCTIONS
}  // namespace ddsas
