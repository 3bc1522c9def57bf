// Pooling as the other operators call it.
#pragma once

#include <ATen/ATen.h>

namespace ddsas {

/// 3x3 with padding 1 of images [n, c, h, w]; an average is over the pixels of the image alone.
at::Tensor max_pool3(const at::Tensor& x, int64_t stride);
at::Tensor avg_pool3(const at::Tensor& x, int64_t stride);

}  // namespace ddsas
