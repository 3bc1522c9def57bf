// ddsas::max_pool3 and ddsas::avg_pool3: 3x3 pooling with padding 1, with hand-written backward.
#include "pool.h"

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
    auto choice = at::empty(y.sizes(), x.options().dtype(at::kByte), at::MemoryFormat::ChannelsLast);
    for_each_image_and_next(x.size(0), 0, [&](int64_t image, int64_t next, float*) {
      Soon soon;
      soon.add(image_of(x, next), image_size(x));
      kernels().max_pool_forward(window, image_of(x, image), soon, image_to(y, image), image_to<uint8_t>(choice, image));
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
    for_each_image_and_next(dy.size(0), 0, [&](int64_t image, int64_t next, float*) {
      Soon soon;
      soon.add(image_of(dy, next), image_size(dy));
      soon.add(image_of<uint8_t>(choice, next), image_size(choice));
      soon.add(image_of(dx, next), image_size(dx));
      kernels().max_pool_backward(window, image_of(dy, image), image_of<uint8_t>(choice, image), soon, false, image_to(dx, image));
    });
    return {dx, at::Tensor()};
  }
};

struct AvgPool3 : torch::autograd::Function<AvgPool3> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, int64_t stride) {
    const auto window = window_of(x.sizes(), stride);
    auto y = empty_images(x, window.channels, window.out_height(), window.out_width());
    for_each_image_and_next(x.size(0), 0, [&](int64_t image, int64_t next, float*) {
      Soon soon;
      soon.add(image_of(x, next), image_size(x));
      kernels().avg_pool_forward(window, image_of(x, image), soon, image_to(y, image));
    });
    remember(context, x, stride);
    return y;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto window = remembered(context);
    const auto dy = channels_last(gradients[0]);
    auto dx = empty_images(dy, window.channels, window.height, window.width);
    for_each_image_and_next(dy.size(0), 0, [&](int64_t image, int64_t next, float*) {
      Soon soon;
      soon.add(image_of(dy, next), image_size(dy));
      soon.add(image_of(dx, next), image_size(dx));
      kernels().avg_pool_backward(window, image_of(dy, image), soon, false, image_to(dx, image));
    });
    return {dx, at::Tensor()};
  }
};

}  // namespace

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

TORCH_LIBRARY_FRAGMENT(ddsas, library) {
  library.def("max_pool3(Tensor x, int stride) -> Tensor", max_pool3);
  library.def("avg_pool3(Tensor x, int stride) -> Tensor", avg_pool3);
}

}  // namespace ddsas
