// The operators of ddsas:: on the grid kernels: on CUDA, and on the CPU for bfloat16. Each mirrors the one of the same name
// in native/kernels, which calls it.
#pragma once

#include "../statistics.h"
#include "device.h"

namespace ddsas::grid {

struct SeparableOptions {
  int64_t stride, dilation;
  c10::optional<Norm> norm;
  c10::optional<at::Tensor> moments;
};

bool fits_separable(const at::Tensor& x, const at::Tensor& spatial, const at::Tensor& pointwise, const SeparableOptions&);
std::tuple<at::Tensor, at::Tensor> separable(const at::Tensor& x, const at::Tensor& spatial, const at::Tensor& pointwise,
                                             const SeparableOptions&);

using OptionalTensors = c10::List<c10::optional<at::Tensor>>;

/// The norms of a node's terms; a mean of null: the term enters as it is.
struct TermNorms {
  const OptionalTensors &moments, &means, &variances;
  bool training;
  double momentum, eps;
};

bool fits_mix(at::TensorList xs, const at::Tensor& weights, const TermNorms&);
at::Tensor mix(at::TensorList xs, const at::Tensor& weights, const TermNorms&);

bool fits_pool(const at::Tensor& x, int64_t stride);
at::Tensor max_pool3(const at::Tensor& x, int64_t stride);
at::Tensor avg_pool3(const at::Tensor& x, int64_t stride);

/// A 1x1 convolution as a product of matrices: x [n, c, h, w], weight [o, c, 1, 1] -> [n, o, h, w], channels last.
at::Tensor pointwise_product(const at::Tensor& x, const at::Tensor& weight);

/// Mean and variance (biased) of each channel, float32 [2, channels].
at::Tensor moments_of(const at::Tensor& x);

/// The sum of images of one shape, channels last.
at::Tensor add_images(at::TensorList xs);

}  // namespace ddsas::grid
