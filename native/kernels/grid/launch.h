// From tensors to the arguments of the grid kernels that several operators share.
#pragma once

#include "functions.h"

namespace ddsas::grid {

Window window_of(const at::Tensor& x, int64_t size, int64_t stride, int64_t dilation);

/// The terms of a sum; weights and the normaliser may be undefined.
Terms terms_of(at::TensorList xs, const at::Tensor& weights, const Normaliser& by);

/// What `Table::mix_sums` finds, float32 [terms + 1, channels].
at::Tensor sums_of(const Terms& terms, const at::Tensor& x, const at::Tensor& dy);

/// Scale and shift of the norm before images x; updates its running statistics in training.
Normaliser normaliser_of(const Norm& norm, const at::Tensor& moments, const at::Tensor& x);

/// Scale and shift [terms, channels] of all terms of a node; what is undefined in `moments` is found here.
Normaliser normaliser_of(at::TensorList xs, const TermNorms& norms);

}  // namespace ddsas::grid
