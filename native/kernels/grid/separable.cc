// ddsas::separable on the grid kernels: depthwise convolution of relu(norm(x)), then a matrix product, with hand-written
// backward. x alone is kept; the depthwise result is found again where the gradient of the pointwise weight needs it.
#include <torch/csrc/autograd/custom_function.h>

#include "functions.h"
#include "launch.h"

namespace ddsas::grid {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct Shape {
  int64_t stride, dilation;
};

Depthwise depthwise_of(const at::Tensor& x, const at::Tensor& spatial, const Normaliser& by, Shape shape) {
  const auto data = [](const at::Tensor& t) { return t.defined() ? t.data_ptr<float>() : nullptr; };
  return {window_of(x, spatial.size(2), shape.stride, shape.dilation), x.data_ptr(), data(by.scale), data(by.shift),
          data(spatial)};
}

at::Tensor depthwise_forward(const at::Tensor& x, const Depthwise& call) {
  const auto& w = call.window;
  auto z = empty_images(x, w.channels, w.out(w.height), w.out(w.width));
  const auto on = launcher_of(x);
  on.table.depthwise(call, z.data_ptr(), on.stream);
  return z;
}

/// Images as a matrix [pixels, channels], without a copy.
at::Tensor matrix_of(const at::Tensor& images) { return images.permute({0, 2, 3, 1}).reshape({-1, images.size(1)}); }

at::Tensor pointwise_matrix(const at::Tensor& pointwise, const at::Tensor& x) {
  return pointwise.flatten(1).to(x.scalar_type());
}

/// x [pixels, c] times the transposed weight [o, c, 1, 1], as images of x's number and size.
at::Tensor times(const at::Tensor& x, const at::Tensor& pointwise) {
  const auto product = matrix_of(x).mm(pointwise_matrix(pointwise, x).t());
  return product.view({x.size(0), x.size(2), x.size(3), pointwise.size(0)}).permute({0, 3, 1, 2});
}

/// The gradient of the weight in `times`; dy [pixels, o].
at::Tensor times_weight(const at::Tensor& x, const at::Tensor& dy, const at::Tensor& pointwise) {
  const auto z = matrix_of(x);
  auto gradient = at::empty_like(pointwise);
  const int64_t columns = dy.size(1) * z.size(1);
  if (!can_sum(columns)) return dy.t().mm(z).to(at::kFloat).view(pointwise.sizes());
  at::Tensor memory;
  const auto scratch = scratch_for(x, columns, 1, memory);
  const auto on = launcher_of(x);
  const Product call{type_of(x), static_cast<int>(z.size(1)), static_cast<int>(dy.size(1)), z.size(0), z.data_ptr(),
                     dy.data_ptr()};
  on.table.pointwise_weight(call, gradient.data_ptr<float>(), scratch, on.stream);
  return gradient;
}

struct PointwiseProduct : torch::autograd::Function<PointwiseProduct> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight) {
    context->save_for_backward({x, weight});
    return times(x, weight);
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const auto &x = saved[0], &weight = saved[1];
    const auto dy = matrix_of(channels_last(gradients[0]));
    at::Tensor dx, dweight;
    if (context->needs_input_grad(0))
      dx = dy.mm(pointwise_matrix(weight, x)).view({x.size(0), x.size(2), x.size(3), x.size(1)}).permute({0, 3, 1, 2});
    if (context->needs_input_grad(1)) dweight = times_weight(x, dy, weight);
    return {dx, dweight};
  }
};

/// From dz, the gradient of what the ReLU reads, to that of what the norm before it reads; in place.
void through_norm(const at::Tensor& x, const Normaliser& by, at::Tensor& dz) {
  const auto on = launcher_of(x);
  auto terms = terms_of({x}, {}, by);
  TermGradients to{};
  to.dx[0] = dz.data_ptr();
  to.normed[0] = 1;
  const auto sums = sums_of(terms, x, dz);
  on.table.mix_backward(terms, dz.data_ptr(), sums.data_ptr<float>(), to, on.stream);
}

struct GridSeparable : torch::autograd::Function<GridSeparable> {
  static variable_list forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& spatial,
                               const at::Tensor& pointwise, const SeparableOptions& how) {
    count_run(Kernel::separable, path_of(x));
    Normaliser by;
    if (how.norm) {
      const bool known = how.moments && how.moments->numel() > 0;
      const auto moments = !how.norm->training ? at::Tensor() : known ? *how.moments : moments_of(x);
      by = normaliser_of(*how.norm, moments, x);
    }
    const auto call = depthwise_of(x, spatial, by, {how.stride, how.dilation});
    const auto y = times(depthwise_forward(x, call), pointwise);
    const auto moments = moments_of(y);
    context->save_for_backward({x, spatial, pointwise, by.scale, by.shift});
    context->saved_data["stride"] = how.stride;
    context->saved_data["dilation"] = how.dilation;
    context->mark_non_differentiable({moments});
    context->set_materialize_grads(false);
    return {y, moments};
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const auto &x = saved[0], &spatial = saved[1], &pointwise = saved[2];
    const Normaliser by{saved[3], saved[4]};
    const Shape shape{context->saved_data["stride"].toInt(), context->saved_data["dilation"].toInt()};
    const auto call = depthwise_of(x, spatial, by, shape);
    const auto on = launcher_of(x);
    const auto dy = matrix_of(channels_last(gradients[0]));
    const auto dz = dy.mm(pointwise_matrix(pointwise, x));
    at::Tensor dx, dspatial, dpointwise;
    if (context->needs_input_grad(2))
      dpointwise = times_weight(depthwise_forward(x, call), dy, pointwise);
    if (context->needs_input_grad(1)) {
      dspatial = at::empty_like(spatial);
      at::Tensor memory;
      const auto scratch = scratch_for(x, call.window.size * call.window.channels, call.window.size, memory);
      on.table.depthwise_weight(call, dz.data_ptr(), dspatial.data_ptr<float>(), scratch, on.stream);
    }
    if (context->needs_input_grad(0)) {
      dx = empty_images(x, x.size(1), x.size(2), x.size(3));
      on.table.depthwise_input(call, dz.data_ptr(), dx.data_ptr(), on.stream);
      if (by.scale.defined()) through_norm(x, by, dx);
    }
    return {dx, dspatial, dpointwise, at::Tensor()};
  }
};

}  // namespace

at::Tensor pointwise_product(const at::Tensor& x, const at::Tensor& weight) {
  return PointwiseProduct::apply(channels_last(x), weight.contiguous());
}

bool fits_separable(const at::Tensor& x, const at::Tensor& spatial, const at::Tensor& pointwise,
                    const SeparableOptions& how) {
  const auto one_or_two = [](int64_t n) { return n == 1 || n == 2; };
  if (!are_images(x) || !is_parameter_for(spatial, x) || !is_parameter_for(pointwise, x)) return false;
  if (spatial.dim() != 4 || pointwise.dim() != 4 || spatial.size(2) != spatial.size(3)) return false;
  const int64_t channels = x.size(1);
  // in evaluation mode the statistics are constants: only a forward pass is written for that
  if (how.norm && (how.norm->training ? x.numel() == channels : at::GradMode::is_enabled())) return false;
  if (how.norm && !are_plain(*how.norm, x.device())) return false;
  return spatial.size(0) == channels && spatial.size(1) == 1 && (spatial.size(2) == 3 || spatial.size(2) == 5) &&
         pointwise.size(1) == channels && pointwise.size(2) == 1 && pointwise.size(3) == 1 && one_or_two(how.stride) &&
         one_or_two(how.dilation) && can_sum(spatial.size(2) * channels) && can_sum(pointwise.size(0)) &&
         are_few(x.numel() / channels * pointwise.size(0));
}

std::tuple<at::Tensor, at::Tensor> separable(const at::Tensor& x, const at::Tensor& spatial, const at::Tensor& pointwise,
                                             const SeparableOptions& how) {
  const auto result = GridSeparable::apply(channels_last(x), spatial.contiguous(), pointwise.contiguous(), how);
  return {result[0], result[1]};
}

}  // namespace ddsas::grid
