// The kernels that are written once for the CPU and CUDA: their arguments, and the table of a device's functions. A body
// says what happens at one index; a device says how indices are spread over its threads.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

namespace ddsas::grid {

/// Element type of images; weights and statistics are float32 always.
enum class Type { kFloat, kBrain };

/// Most terms of a node's sum: a kernel's arguments must fit in 4 KiB.
constexpr int kMostTerms = 64;
/// Most tensors that one call of an optimizer's function takes.
constexpr int kMostTensors = 64;

/// Images [images, height, width, channels] under a square window with padding size / 2 * dilation.
struct Window {
  Type type;
  int images, channels, height, width, size, stride, dilation;

  int out(int length) const { return (length - 1) / stride + 1; }
};

/// z = depthwise(relu(scale x + shift)); scale and shift [channels], or null: relu(x). weight [channels, size, size].
struct Depthwise {
  Window window;
  const void* x;
  const float *scale, *shift, *weight;
};

/// The gradient dweight [outputs, channels] of a 1x1 convolution of z [pixels, channels], from dy [pixels, outputs].
struct Product {
  Type type;
  int channels, outputs;
  int64_t pixels;
  const void *z, *dy;
};

/// 3x3 pooling.
struct Pool {
  Window window;
  const void* from;
  void* to;
  uint8_t* choice;
};

/// The terms of a sum over images of one shape. normaliser: scale and shift [terms, channels] or null.
struct Terms {
  Type type;
  int count, channels;
  int64_t pixels;
  const void* x[kMostTerms];
  const float *scale, *shift, *weights;
};

/// dx_k of each term, through its norm where `normed`; `sums` as found by `mix_sums`. Null: not wanted.
struct TermGradients {
  void* dx[kMostTerms];
  uint8_t normed[kMostTerms];
};

/// Batch norms without affine: their statistics, and where scale and shift [count, channels] go. A mean of null: no norm.
struct Norms {
  int count, channels;
  bool training;
  double momentum, eps, pixels;
  const float* moments[kMostTerms];
  float *mean[kMostTerms], *variance[kMostTerms];
  float *scale, *shift;
};

/// Images to gather and change: uint8 [n, channels, height, width] -> float [batch, height, width, channels].
struct Augment {
  const uint8_t* images;
  const int64_t* indices;
  const int32_t* draws;  // [batch, 5]: top, left, flip, centre y and x of the square cut out or -1
  float* to;
  int64_t count;
  int batch, channels, height, width, padding, cutout;
  float scale[4], shift[4];
};

/// Tensors that an optimizer moves, in chunks of kMostTensors; a gradient of null counts as zero.
struct Tensors {
  int count;
  float *weight[kMostTensors], *first[kMostTensors], *second[kMostTensors];
  const float* gradient[kMostTensors];
  int64_t start[kMostTensors + 1];
};

/// norm: of all gradients together, on the device; nothing moves where it is not finite.
struct Sgd {
  const float* norm;
  float clip, rate, momentum, decay;
  bool nesterov;
};

/// steps: how many were taken with this one, on the device.
struct Adam {
  const double* steps;
  double rate, beta1, beta2, eps, decay;
};

/// What a sum over rows works in. counters: kCounters of them, zero before and after, shared by all calls on a stream.
struct Scratch {
  uint32_t* counters;
  float* partials;  // partial_floats() of them
};

/// Most groups of columns that a sum over rows may have, and most chunks its rows are split in.
constexpr int64_t kCounters = 8192;
constexpr int64_t kMostChunks = 128;
/// Narrowest group of columns.
constexpr int64_t kColumns = 4;

inline int64_t partial_floats(int64_t columns, int64_t parts) { return columns * parts * kMostChunks; }

/// Indices of a launch are of 32 bits, also those of threads beyond the last: whoever launches sees to it that there are fewer
/// than this.
constexpr int64_t kMostIndices = (int64_t{1} << 32) - 1024;
inline void check_indices(int64_t count) {
  if (count >= kMostIndices) throw std::length_error(std::to_string(count) + " places are too many for one launch");
}

/// Functions of one device. `stream`: CUDA's; nothing is waited for.
struct Table {
  void (*depthwise)(const Depthwise&, void* z, void* stream);
  /// dx = gradient of what the ReLU reads.
  void (*depthwise_input)(const Depthwise&, const void* dz, void* dx, void* stream);
  void (*depthwise_weight)(const Depthwise&, const void* dz, float* dweight, const Scratch&, void* stream);
  void (*pointwise_weight)(const Product&, float* dweight, const Scratch&, void* stream);
  void (*max_pool)(const Pool&, void* stream);
  void (*max_pool_backward)(const Pool&, void* stream);
  void (*avg_pool)(const Pool&, void* stream);
  void (*avg_pool_backward)(const Pool&, void* stream);
  /// Mean and variance (biased) of each channel, [2, channels].
  void (*moments)(Type, int channels, int64_t pixels, const void* x, float* moments, const Scratch&, void* stream);
  /// Updates running statistics in training; scale and shift that normalise.
  void (*normalise)(const Norms&, void* stream);
  /// y = the sum over terms of weights[k] (scale x + shift), weights and normaliser taken for 1 where null.
  void (*mix)(const Terms&, void* y, void* stream);
  /// Over all pixels: of dy, then of dy (scale_k x_k + shift_k) for each term: [terms + 1, channels].
  void (*mix_sums)(const Terms&, const void* dy, float* sums, const Scratch&, void* stream);
  void (*mix_backward)(const Terms&, const void* dy, const float* sums, const TermGradients&, void* stream);
  void (*augment)(const Augment&, void* stream);
  void (*sgd)(const Tensors&, const Sgd&, void* stream);
  void (*adam)(const Tensors&, const Adam&, void* stream);
};

extern const Table cpu_table;
#ifdef DDSAS_CUDA_KERNELS
extern const Table cuda_table;
#endif

}  // namespace ddsas::grid
