// The readers of a tensor as one operator for autograd.
#pragma once

#include "separable.h"

namespace ddsas {

/// x `copies` times, the results of the convolutions, each pooling's as often as it is read, then the moments of every
/// convolution and pooling. All gradients that come back are added in one pass over x. before: the norm that the convolutions
/// read x through; of_x: where the gradient of x may be left.
std::vector<at::Tensor> read_together(const at::Tensor& x, const Readers&, const Before& before, const DeferralPtr& of_x);

}  // namespace ddsas
