// A separable convolution by itself, as the other operators call it.
#pragma once

#include "readers.h"

namespace ddsas {

/// The batch norm before the ReLU where there is one, and the moments it normalises by.
struct Before {
  c10::optional<Norm> norm;
  c10::optional<at::Tensor> moments;
};

/// Throws where x and the weights do not belong together.
void check_separable(const at::Tensor& x, const Convolution&);

/// Whether the vector kernels compute it.
bool fits_separable(const at::Tensor& x, const Convolution&);

/// The result, after the norm if there is one, and its moments where the kernel found them; by the kernels that fit.
std::tuple<at::Tensor, at::Tensor> separable_after(const at::Tensor& x, const Convolution&, Before);

}  // namespace ddsas
