// ddsas::max_pool3 and ddsas::avg_pool3: 3x3 pooling with padding 1, by itself.
#include "pool.h"

#include <torch/library.h>

#include "grid/functions.h"
#include "together.h"

namespace ddsas {

namespace {

bool fits(const at::Tensor& x, int64_t stride) { return are_cpu_images(x) && (stride == 1 || stride == 2); }

/// As one reader of x.
at::Tensor read_alone(const at::Tensor& x, const Pool& pool) {
  return read_together(channels_last(x), {0, {}, {pool}}, {}, {})[0];
}

}  // namespace

at::Tensor max_pool3(const at::Tensor& x, int64_t stride) {
  if (grid::fits_pool(x, stride)) return grid::max_pool3(x, stride);
  if (fits(x, stride)) return read_alone(x, {/*maximum=*/true, stride, 1});
  count_run(Kernel::max_pool3, Path::aten);
  return at::max_pool2d(x, 3, stride, 1);
}

at::Tensor avg_pool3(const at::Tensor& x, int64_t stride) {
  if (grid::fits_pool(x, stride)) return grid::avg_pool3(x, stride);
  if (fits(x, stride)) return read_alone(x, {/*maximum=*/false, stride, 1});
  count_run(Kernel::avg_pool3, Path::aten);
  return at::avg_pool2d(x, 3, stride, 1, /*ceil_mode=*/false, /*count_include_pad=*/false);
}

TORCH_LIBRARY_FRAGMENT(ddsas, library) {
  library.def("max_pool3(Tensor x, int stride) -> Tensor", max_pool3);
  library.def("avg_pool3(Tensor x, int stride) -> Tensor", avg_pool3);
}

}  // namespace ddsas
