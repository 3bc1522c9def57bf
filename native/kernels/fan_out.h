// Handing a tensor out to several readers, as the other operators call it.
#pragma once

#include <ATen/ATen.h>

#include <vector>

namespace ddsas {

/// The same tensor several times over, so that all gradients that come back are added in one pass.
std::vector<at::Tensor> copies_of(const at::Tensor& x, int64_t count);

/// The sum of images of one shape, channels last.
at::Tensor add_images(at::TensorList terms);

}  // namespace ddsas
