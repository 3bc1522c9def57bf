// A 1x1 convolution of relu(x), of every pixel or of every second one in both directions; row by row, in the nearest cache.
#pragma once

#include "ahead.h"
#include "kernels.h"
#include "multiply.h"

namespace ddsas {
namespace DDSAS_INSTRUCTIONS {

inline int64_t pointwise_scratch(const Pointwise& p) { return p.channels * p.columns; }

/// The first pixel of the input that a row of the output reads.
inline int64_t first_of(const Pointwise& p, int64_t row) {
  return ((row * p.step + p.offset) * p.width + p.offset) * p.channels;
}

inline void gather_rectified(const Pointwise& p, const float* x, float* to) {
  for_channel_blocks(p.channels, [&](auto width, int64_t c) {
    for (int64_t column = 0; column < p.columns; ++column)
      store<width()>(to + column * p.channels + c,
                     rectify<width()>(load<width()>(x + column * p.step * p.channels + c)));
  });
}

/// Writes the gradients of a row's pixels that were read, where the ReLU let them through, and zeros between them.
inline void scatter_masked(const Pointwise& p, const float* x, const float* from, float* dx) {
  for_channel_blocks(p.channels, [&](auto width, int64_t c) {
    constexpr int W = width();
    for (int64_t column = 0; column < p.columns; ++column) {
      const int64_t at = column * p.step * p.channels + c;
      for (int64_t beside = -p.offset; beside < p.step - p.offset; ++beside)
        if (beside != 0) store<W>(dx + at + beside * p.channels, Pack<W>{});
      store<W>(dx + at, load<W>(x + at) <= 0 ? Pack<W>{} : load<W>(from + column * p.channels + c));
    }
  });
}

template <bool Add>
inline void pointwise_rows(const Pointwise& p, const float* x, const Soon& soon, float* y, float* scratch) {
  Ahead ahead(soon, p.rows);
  for (int64_t row = 0; row < p.rows; ++row) {
    ahead.step();
    gather_rectified(p, x + first_of(p, row), scratch);
    multiply<Add>({scratch, p.channels}, p.columns, p.channels, {p.transposed, p.outputs}, p.outputs,
                  dense(y + row * p.columns * p.y_stride, p.y_stride));
  }
}

inline void pointwise_forward(const Pointwise& p, const float* x, const Soon& soon, bool add, float* y, float* scratch) {
  if (add)
    pointwise_rows<true>(p, x, soon, y, scratch);
  else
    pointwise_rows<false>(p, x, soon, y, scratch);
}

inline void pointwise_backward(const Pointwise& p, const float* x, const float* dy, const Soon& soon, float* dx,
                               float* dweight, float* scratch) {
  if (dweight != nullptr) {
    const int64_t line = p.step * p.width * p.channels;
    outer<true>({dy, p.y_stride}, p.outputs,
                {x + first_of(p, 0), p.rows, p.columns, line, p.step * p.channels}, p.channels, dweight, p.weight_stride);
  }
  if (dx == nullptr) return;
  Ahead ahead(soon, p.rows);
  for (int64_t row = 0; row < p.rows; ++row) {
    ahead.step();
    multiply<false>({dy + row * p.columns * p.y_stride, p.y_stride}, p.columns, p.outputs,
                    {p.weight, p.weight_stride}, p.channels, dense(scratch, p.channels));
    scatter_masked(p, x + first_of(p, row), scratch, dx + first_of(p, row));
  }
}

}  // namespace DDSAS_INSTRUCTIONS
}  // namespace ddsas
