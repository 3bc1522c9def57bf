// Separable convolutions as the other operators call them.
#pragma once

#include <ATen/ATen.h>

#include <vector>

namespace ddsas {

/// Depthwise, then pointwise convolution: spatial [c, 1, k, k], pointwise [o, c, 1, 1].
struct Convolution {
  at::Tensor spatial, pointwise;
  int64_t stride, dilation;
};

/// x `copies` times, then the convolutions of relu(x), then the moments of each; all gradients that come back to x are
/// added in one pass.
std::vector<at::Tensor> separables(const at::Tensor& x, int64_t copies, const std::vector<Convolution>& convolutions);

}  // namespace ddsas
