// ddsas::relu_depthwise: depthwise convolution of relu(x) in one pass, with hand-written backward.
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include "images.h"
#include "simd/kernels.h"

namespace ddsas {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

Window window_of(const at::Tensor& x, const at::Tensor& weight, int64_t stride, int64_t dilation) {
  return {x.size(1), x.size(2), x.size(3), weight.size(2), stride, dilation};
}

bool fits(const at::Tensor& x, const at::Tensor& weight, int64_t stride, int64_t dilation) {
  const auto one_or_two = [](int64_t n) { return n == 1 || n == 2; };
  return are_cpu_images(x) && weight.scalar_type() == at::kFloat && weight.device().is_cpu() && weight.dim() == 4 &&
         weight.size(0) == x.size(1) && weight.size(1) == 1 && weight.size(2) == weight.size(3) &&
         (weight.size(2) == 3 || weight.size(2) == 5) && one_or_two(stride) && one_or_two(dilation);
}

at::Tensor forward_images(const Window& window, const at::Tensor& x, const at::Tensor& weight) {
  auto y = empty_images(x, window.channels, window.out_height(), window.out_width());
  const auto& k = kernels();
  const float *from = x.data_ptr<float>(), *taps = weight.data_ptr<float>();
  float* to = y.data_ptr<float>();
  const int64_t size = x[0].numel(), out_size = y[0].numel();
  for_each_image(x.size(0), k.scratch_floats(window), [&](int64_t image, float* scratch) {
    k.depthwise_forward(window, from + image * size, taps, to + image * out_size, scratch);
  });
  return y;
}

/// Gradients with respect to x and the weight; undefined where not wanted.
variable_list backward_images(const Window& window, const at::Tensor& x, const at::Tensor& weight, const at::Tensor& dy,
                              bool want_dx, bool want_dweight) {
  const auto& k = kernels();
  const int64_t images = x.size(0), taps = window.size * window.size;
  at::Tensor dx, parts;
  if (want_dx) dx = empty_images(x, window.channels, window.height, window.width);
  if (want_dweight) parts = at::empty({images, taps, window.channels}, x.options());
  const float *from = x.data_ptr<float>(), *upstream = dy.data_ptr<float>();
  const int64_t size = x[0].numel(), out_size = dy[0].numel();
  for_each_image(images, k.scratch_floats(window), [&](int64_t image, float* scratch) {
    const float *xi = from + image * size, *dyi = upstream + image * out_size;
    if (want_dx)
      k.depthwise_input(window, xi, weight.data_ptr<float>(), dyi, dx.data_ptr<float>() + image * size, scratch);
    if (want_dweight)
      k.depthwise_weight(window, xi, dyi, parts.data_ptr<float>() + image * taps * window.channels, scratch);
  });
  // one part an image, summed in order: the result does not depend on the number of threads
  if (want_dweight) parts = parts.sum(0).t().contiguous().view(weight.sizes());
  return {dx, parts};
}

struct ReluDepthwise : torch::autograd::Function<ReluDepthwise> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight, int64_t stride,
                            int64_t dilation) {
    context->save_for_backward({x, weight});
    context->saved_data["stride"] = stride;
    context->saved_data["dilation"] = dilation;
    return forward_images(window_of(x, weight, stride, dilation), x, weight);
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const auto window = window_of(saved[0], saved[1], context->saved_data["stride"].toInt(),
                                  context->saved_data["dilation"].toInt());
    auto result = backward_images(window, saved[0], saved[1], channels_last(gradients[0]), context->needs_input_grad(0),
                                  context->needs_input_grad(1));
    result.resize(4);
    return result;
  }
};

at::Tensor relu_depthwise(const at::Tensor& x, const at::Tensor& weight, int64_t stride, int64_t dilation) {
  if (fits(x, weight, stride, dilation)) return ReluDepthwise::apply(channels_last(x), weight.contiguous(), stride, dilation);
  const int64_t padding = (weight.size(-1) - 1) / 2 * dilation;
  return at::conv2d(at::relu(x), weight, {}, stride, padding, dilation, x.size(1));
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(ddsas, library) {
  library.def("relu_depthwise(Tensor x, Tensor weight, int stride, int dilation) -> Tensor", relu_depthwise);
}

}  // namespace ddsas
