// The vector kernels as the rest of the addon sees them: a table of plain functions for each instruction set.
//
// Images are NHWC: pixel (row, column) of an image begins at (row * width + column) * channels. All functions work on
// one image, so that the caller spreads images over threads and results do not depend on how many there are.
#pragma once

#include <cstdint>

namespace ddsas {

/// A square window moved over an image; padding keeps the size at stride 1: (size - 1) / 2 * dilation on each side.
struct Window {
  int64_t channels, height, width;
  int64_t size, stride, dilation;

  int64_t padding() const { return (size - 1) / 2 * dilation; }
  int64_t out_height() const { return (height - 1) / stride + 1; }
  int64_t out_width() const { return (width - 1) / stride + 1; }
};

/// One term of a node's weighted sum on one image: channel c contributes scale[c] x[c] (+ a shift kept for all terms).
struct MixTerm {
  const float* x;
  const float* scale;
};

/// Gradient of one term on one image: dx = a[c] dy + b[c] x + d[c]; dx null where it is not wanted.
struct MixGradient {
  const float* x;
  float* dx;
  const float *a, *b, *d;
};

struct Kernels {
  const char* name;

  /// Floats of scratch a thread needs for the window functions.
  int64_t (*scratch_floats)(const Window&);

  /// y = depthwise convolution of relu(x); weight [channels, size, size].
  void (*depthwise_forward)(const Window&, const float* x, const float* weight, float* y, float* scratch);
  /// dx = gradient with respect to x, through the ReLU.
  void (*depthwise_input)(const Window&, const float* x, const float* weight, const float* dy, float* dx,
                          float* scratch);
  /// dweight [size * size, channels] = this image's part of the gradient with respect to the weight.
  void (*depthwise_weight)(const Window&, const float* x, const float* dy, float* dweight, float* scratch);

  /// y = 3x3 maximum over the pixels of the image; choice: which of the nine, first of equals.
  void (*max_pool_forward)(const Window&, const float* x, float* y, uint8_t* choice, float* scratch);
  void (*max_pool_backward)(const Window&, const float* dy, const uint8_t* choice, float* dx, float* scratch);
  /// y = 3x3 average over the pixels of the image; the padding does not count.
  void (*avg_pool_forward)(const Window&, const float* x, float* y, float* scratch);
  void (*avg_pool_backward)(const Window&, const float* dy, float* dx, float* scratch);

  /// Sums over pixels of (x - shift[c]) and its square, both [channels], shift being the image's first pixel.
  void (*moments)(int64_t channels, int64_t pixels, const float* x, float* sum, float* square);
  /// y = bias[c] + the sum of all terms.
  void (*mix_forward)(int64_t channels, int64_t pixels, const MixTerm* terms, int64_t count, const float* bias,
                      float* y);
  /// dot[c] = sum over pixels of dy (x - mean[c]).
  void (*mix_dot)(int64_t channels, int64_t pixels, const float* dy, const float* x, const float* mean, float* dot);
  /// total[c] = sum over pixels of dy.
  void (*channel_sum)(int64_t channels, int64_t pixels, const float* dy, float* total);
  void (*mix_backward)(int64_t channels, int64_t pixels, const float* dy, const MixGradient& term);
};

/// The table for the widest instruction set this processor has; DDSAS_SIMD=portable|avx2|avx512 asks for a narrower one.
const Kernels& kernels();

/// Whether the kernels are used at all: `ddsas::enable_kernels(false)` leaves everything to ATen, as tests compare with.
bool kernels_enabled();

namespace portable {
extern const Kernels table;
}
#ifdef DDSAS_X86
namespace avx2 {
extern const Kernels table;
}
namespace avx512 {
extern const Kernels table;
}
#endif

}  // namespace ddsas
