// The vector kernels as the rest of the addon sees them: a table of plain functions for each instruction set.
//
// Images are NHWC: pixel (row, column) of an image begins at (row * width + column) * channels. All functions work on
// one image, so that the caller spreads images over threads and results do not depend on how many there are.
#pragma once

#include <cstdint>

#include "../runs.h"

namespace ddsas {

/// A square window moved over an image; padding keeps the size at stride 1: (size - 1) / 2 * dilation on each side.
struct Window {
  int64_t channels, height, width;
  int64_t size, stride, dilation;
  int64_t border;  // of zeros around the image in scratch: at least the padding

  int64_t padding() const { return (size - 1) / 2 * dilation; }
  int64_t out_height() const { return (height - 1) / stride + 1; }
  int64_t out_width() const { return (width - 1) / stride + 1; }
};

/// One term of a node's weighted sum on one image: channel c contributes scale[c] x[c] (+ a shift kept for all terms).
struct MixTerm {
  const float* x;
  const float* scale;
};

/// Memory that is wanted soon, to be brought to the cache while something else is computed.
struct Soon {
  struct Stretch {
    const void* data;
    int64_t bytes;
  };
  static constexpr int kMost = 8;
  Stretch stretches[kMost];
  int count = 0;

  /// Null: nothing. More than fit are left to the processor's own guess.
  template <typename Number>
  void add(const Number* data, int64_t numbers) {
    if (data != nullptr && count < kMost) stretches[count++] = {data, numbers * static_cast<int64_t>(sizeof(Number))};
  }
};

/// Depthwise, then pointwise convolution of relu(x), or of relu(scale x + shift) where x is normalised first.
struct Separable {
  Window window;
  int64_t outputs;
  const float *scale, *shift;          // [channels], or null
  const float *hat_scale, *hat_shift;  // the same without an affine norm's weight and bias
  const float* spatial;                // [size * size, channels]
  const float* pointwise;              // [outputs, channels]
  const float* transposed;             // [channels, outputs], for the forward pass
};

/// The gradient of an operator's result y on one image: dy, or kept a[c] dy + b[c] y + d[c] where y is not null.
struct ResultGradient {
  const float *dy, *y;
  float kept;
  const float *a, *b, *d;
};

/// The gradients of several results that were read from one x are added up before the ReLU: each Separable adds its part.
struct InputGradient {
  bool first, last;
  float* dz;    // [pixels, channels]: with respect to what the ReLU reads; written with the last part
  float* sums;  // [2, channels]: over pixels, of dz and of dz (hat_scale x + hat_shift); or null
};

/// One image's part of the gradients of a Separable; null where not wanted.
struct SeparableGradient {
  const InputGradient* input;
  float* dspatial;    // [size * size, channels]
  float* dpointwise;  // [outputs, channels]
};

/// A 1x1 convolution of relu(x), of every `step`-th pixel from `offset` on in both directions.
struct Pointwise {
  int64_t channels, outputs;
  int64_t width;          // of the input
  int64_t rows, columns;  // of the output
  int64_t step, offset;
  const float* weight;  // row o begins at o * weight_stride: [outputs, channels]
  int64_t weight_stride;
  const float* transposed;  // [channels, outputs], for the forward pass
  int64_t y_stride;         // floats from one pixel of y to the next
};

/// Floats of scratch, and how many of the first are zero before a thread's first image.
struct ScratchSize {
  int64_t floats, zeros;
};

struct Kernels {
  Path path;

  /// What a thread needs for a Separable, and floats for a Pointwise. Scratch is aligned to 64 bytes, and with each image as
  /// the same function left it with the one before.
  ScratchSize (*separable_scratch)(const Separable&);
  int64_t (*pointwise_scratch)(const Pointwise&);

  // A Separable's scratch begins with relu(norm(x)) as `rectify` left it: once for all that are computed from one x. They
  // have one border.
  void (*rectify)(const Separable&, const float* x, float* scratch);
  /// y [out pixels, outputs] = pointwise(depthwise(relu(norm(x)))).
  void (*separable_forward)(const Separable&, const Soon&, float* y, float* scratch);
  /// This image's part of all gradients; those whose pointer is null are left out. `rectify` may be left out where no
  /// weight's gradient is wanted.
  void (*separable_backward)(const Separable&, const float* x, const ResultGradient&, const Soon&, const SeparableGradient&,
                             float* scratch);

  /// y [pixels, outputs] = relu(x) x weight, plus y where `add`.
  void (*pointwise_forward)(const Pointwise&, const float* x, const Soon&, bool add, float* y, float* scratch);
  /// dx = gradient through the ReLU, in the rows that are read: zero for pixels in them that are not. dweight = this image's
  /// part, laid out as the weight. Null: left out.
  void (*pointwise_backward)(const Pointwise&, const float* x, const float* dy, const Soon&, float* dx, float* dweight,
                             float* scratch);

  /// y = 3x3 maximum over the pixels of the image; choice: which of the nine, first of equals.
  void (*max_pool_forward)(const Window&, const float* x, const Soon&, float* y, uint8_t* choice);
  /// Writes dx, or adds to it.
  void (*max_pool_backward)(const Window&, const float* dy, const uint8_t* choice, const Soon&, bool add, float* dx);
  /// y = 3x3 average over the pixels of the image; the padding does not count.
  void (*avg_pool_forward)(const Window&, const float* x, const Soon&, float* y);
  void (*avg_pool_backward)(const Window&, const float* dy, const Soon&, bool add, float* dx);

  /// Sums over pixels of (x - shift[c]) and its square, both [channels], shift being the image's first pixel.
  void (*moments)(int64_t channels, int64_t pixels, const float* x, float* sum, float* square);
  /// y = bias[c] + the sum of all terms.
  void (*mix_forward)(int64_t channels, int64_t pixels, const MixTerm* terms, int64_t count, const float* bias,
                      float* y);
  /// dot[c] = sum over pixels of dy (scale[c] x + shift[c]). next: an image of the same size that will be read after x.
  void (*mix_dot)(int64_t channels, int64_t pixels, const float* dy, const float* x, const float* next,
                  const float* scale, const float* shift, float* dot);
  /// total[c] = sum over pixels of dy.
  void (*channel_sum)(int64_t channels, int64_t pixels, const float* dy, float* total);
  /// The gradient as numbers, written or added to what is there.
  void (*whole_gradient)(int64_t channels, int64_t pixels, const ResultGradient&, bool add, float* to);
};

/// The table for the widest instruction set this processor has; DDSAS_SIMD=portable|avx2|avx512 asks for a narrower one.
const Kernels& kernels();

/// Whether the kernels are used at all: `ddsas::enable_kernels(false)` leaves everything to ATen, as tests compare with.
bool kernels_enabled();

// those that are built: see native/CMakeLists.txt
namespace portable {
extern const Kernels table;
}
namespace avx2 {
extern const Kernels table;
}
namespace avx512 {
extern const Kernels table;
}

}  // namespace ddsas
