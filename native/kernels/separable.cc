// ddsas::separable: depthwise, then pointwise convolution of relu(x), or of relu(batch norm(x)).
#include "separable.h"

#include <torch/library.h>

#include "grid/functions.h"
#include "together.h"

namespace ddsas {

namespace {

using c10::optional;

bool one_or_two(int64_t n) { return n == 1 || n == 2; }

/// The same with ATen's operators: any device and type, and what the kernel is tested against. It finds no moments.
at::Tensor compose(const at::Tensor& x, const Convolution& by, const Before& before) {
  const auto z = before.norm ? normalise(x, *before.norm) : x;
  count_run(Kernel::separable, Path::aten);
  const auto padding = [&](int64_t dim) { return (by.spatial.size(dim) - 1) / 2 * by.dilation; };
  const auto across = at::conv2d(at::relu(z), weight_for(x, by.spatial), {}, by.stride,
                                 at::IntArrayRef({padding(2), padding(3)}), by.dilation, x.size(1));
  return at::conv2d(across, weight_for(x, by.pointwise));
}

}  // namespace

void check_separable(const at::Tensor& x, const Convolution& by) {
  const auto& [spatial, pointwise, stride, dilation] = by;
  TORCH_CHECK(x.dim() == 4 && x.size(1) > 0, "separable needs images [n, c, h, w] with channels, not ", x.sizes());
  const int64_t c = x.size(1);
  TORCH_CHECK(spatial.dim() == 4 && spatial.size(0) == c && spatial.size(1) == 1 && spatial.size(2) % 2 == 1 &&
                  spatial.size(3) % 2 == 1,
              "separable needs depthwise weights [", c, ", 1, k, k] with odd k, not ", spatial.sizes());
  TORCH_CHECK(pointwise.dim() == 4 && pointwise.size(1) == c && pointwise.size(2) == 1 && pointwise.size(3) == 1,
              "separable needs pointwise weights [o, ", c, ", 1, 1], not ", pointwise.sizes());
  TORCH_CHECK(stride > 0 && dilation > 0, "separable needs a stride and a dilation of at least 1, not ", stride,
              " and ", dilation);
}

bool fits_separable(const at::Tensor& x, const Convolution& by) {
  const auto& [spatial, pointwise, stride, dilation] = by;
  const auto is_weight = [](const at::Tensor& w) {
    return w.scalar_type() == at::kFloat && w.device().is_cpu() && w.dim() == 4;
  };
  return are_cpu_images(x) && is_weight(spatial) && is_weight(pointwise) && pointwise.size(0) > 0 &&
         spatial.size(2) == spatial.size(3) && (spatial.size(2) == 3 || spatial.size(2) == 5) &&
         one_or_two(stride) && one_or_two(dilation);
}

std::tuple<at::Tensor, at::Tensor> separable_after(const at::Tensor& x, const Convolution& by, Before before) {
  if (before.norm && before.norm->weight.defined() && grid::are_images(x))  // whose kernels know no affine norm
    return separable_after(normalise(x, *before.norm), by, {});
  const grid::SeparableOptions on_grid{by.stride, by.dilation, before.norm, before.moments};
  if (grid::fits_separable(x, by.spatial, by.pointwise, on_grid))
    return grid::separable(x, by.spatial, by.pointwise, on_grid);
  const bool alone = before.norm && before.norm->training && x.size(0) * x.size(2) * x.size(3) == 1;
  if (alone || (before.norm && !are_plain(*before.norm, x.device())) || !fits_separable(x, by))
    return {compose(x, by, before), at::empty({0}, x.options())};
  const auto images = channels_last(x);
  const bool known = before.moments && before.moments->numel() > 0;
  if (before.norm && before.norm->training && !known) before.moments = moments_of(images);
  const auto of_x = images.is_same(x) && before.norm ? claim_deferral(x) : DeferralPtr();
  const auto result = read_together(images, {0, {by}, {}}, before, of_x);
  return {result[0], result[1]};
}

namespace {

std::tuple<at::Tensor, at::Tensor> separable(const at::Tensor& x, const at::Tensor& spatial, const at::Tensor& pointwise,
                                             int64_t stride, int64_t dilation, const optional<at::Tensor>& moments,
                                             const optional<at::Tensor>& running_mean,
                                             const optional<at::Tensor>& running_var, const optional<at::Tensor>& weight,
                                             const optional<at::Tensor>& bias, bool training, double momentum, double eps) {
  const Convolution by{spatial, pointwise, stride, dilation};
  check_separable(x, by);
  TORCH_CHECK(running_mean.has_value() == running_var.has_value(), "separable needs a mean and a variance, or neither");
  if (!running_mean || !running_var) return separable_after(x, by, {});
  const at::Tensor none;
  const Norm norm{*running_mean, *running_var, training, momentum, eps, weight.value_or(none), bias.value_or(none)};
  check_norm(norm, moments.value_or(none), x.size(1));
  return separable_after(x, by, {norm, moments});
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(ddsas, library) {
  library.def(
      "separable(Tensor x, Tensor spatial, Tensor pointwise, int stride, int dilation, Tensor? moments, "
      "Tensor? running_mean, Tensor? running_var, Tensor? weight, Tensor? bias, bool training, float momentum, float eps) "
      "-> (Tensor, Tensor)",
      separable);
}

}  // namespace ddsas
