// ddsas::max_pool3 and ddsas::avg_pool3: 3x3 pooling with padding 1, with hand-written backward.
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include "grid/functions.h"
#include "images.h"
#include "simd/kernels.h"

namespace ddsas {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

bool fits(const at::Tensor& x, int64_t stride) { return are_cpu_images(x) && (stride == 1 || stride == 2); }

/// What backward needs of the input besides the gradient: its shape and the stride.
void remember(AutogradContext* context, const at::Tensor& x, int64_t stride) {
  context->saved_data["shape"] = x.sizes().vec();
  context->saved_data["stride"] = stride;
}

Window window_of(at::IntArrayRef shape, int64_t stride) { return {shape[1], shape[2], shape[3], 3, stride, 1, 1}; }

Window remembered(AutogradContext* context) {
  return window_of(context->saved_data["shape"].toIntVector(), context->saved_data["stride"].toInt());
}

struct MaxPool3 : torch::autograd::Function<MaxPool3> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, int64_t stride) {
    const auto window = window_of(x.sizes(), stride);
    auto y = empty_images(x, window.channels, window.out_height(), window.out_width());
    auto choice = at::empty({y.numel()}, x.options().dtype(at::kByte));
    const int64_t size = x[0].numel(), out_size = y[0].numel();
    for_each_image(x.size(0), kernels().window_scratch(window), [&](int64_t image, float* scratch) {
      kernels().max_pool_forward(window, x.data_ptr<float>() + image * size, y.data_ptr<float>() + image * out_size,
                                 choice.data_ptr<uint8_t>() + image * out_size, scratch);
    });
    remember(context, x, stride);
    context->save_for_backward({choice});
    return y;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto window = remembered(context);
    const auto choice = context->get_saved_variables()[0];
    const auto dy = channels_last(gradients[0]);
    auto dx = empty_images(dy, window.channels, window.height, window.width);
    const int64_t size = dx[0].numel(), out_size = dy[0].numel();
    for_each_image(dy.size(0), kernels().window_scratch(window), [&](int64_t image, float* scratch) {
      kernels().max_pool_backward(window, dy.data_ptr<float>() + image * out_size,
                                  choice.data_ptr<uint8_t>() + image * out_size, dx.data_ptr<float>() + image * size,
                                  scratch);
    });
    return {dx, at::Tensor()};
  }
};

struct AvgPool3 : torch::autograd::Function<AvgPool3> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, int64_t stride) {
    const auto window = window_of(x.sizes(), stride);
    auto y = empty_images(x, window.channels, window.out_height(), window.out_width());
    const int64_t size = x[0].numel(), out_size = y[0].numel();
    for_each_image(x.size(0), kernels().window_scratch(window), [&](int64_t image, float* scratch) {
      kernels().avg_pool_forward(window, x.data_ptr<float>() + image * size, y.data_ptr<float>() + image * out_size,
                                 scratch);
    });
    remember(context, x, stride);
    return y;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto window = remembered(context);
    const auto dy = channels_last(gradients[0]);
    auto dx = empty_images(dy, window.channels, window.height, window.width);
    const int64_t size = dx[0].numel(), out_size = dy[0].numel();
    for_each_image(dy.size(0), kernels().window_scratch(window), [&](int64_t image, float* scratch) {
      kernels().avg_pool_backward(window, dy.data_ptr<float>() + image * out_size, dx.data_ptr<float>() + image * size,
                                  scratch);
    });
    return {dx, at::Tensor()};
  }
};

at::Tensor max_pool3(const at::Tensor& x, int64_t stride) {
  if (grid::fits_pool(x, stride)) return grid::max_pool3(x, stride);
  if (fits(x, stride)) return MaxPool3::apply(channels_last(x), stride);
  return at::max_pool2d(x, 3, stride, 1);
}

at::Tensor avg_pool3(const at::Tensor& x, int64_t stride) {
  if (grid::fits_pool(x, stride)) return grid::avg_pool3(x, stride);
  if (fits(x, stride)) return AvgPool3::apply(channels_last(x), stride);
  return at::avg_pool2d(x, 3, stride, 1, /*ceil_mode=*/false, /*count_include_pad=*/false);
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(ddsas, library) {
  library.def("max_pool3(Tensor x, int stride) -> Tensor", max_pool3);
  library.def("avg_pool3(Tensor x, int stride) -> Tensor", avg_pool3);
}

}  // namespace ddsas
