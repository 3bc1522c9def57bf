// ddsas::relu_pointwise: a 1x1 convolution of relu(x), with x given in parts that are not concatenated in memory.
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include "statistics.h"

namespace ddsas {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

bool fits(at::TensorList xs, const at::Tensor& weight) {
  if (xs.empty() || weight.scalar_type() != at::kFloat || !weight.device().is_cpu() || weight.dim() != 4) return false;
  int64_t channels = 0;
  for (const auto& x : xs) {
    if (!are_cpu_images(x) || x.size(0) != xs[0].size(0) || x.size(2) != xs[0].size(2) || x.size(3) != xs[0].size(3))
      return false;
    channels += x.size(1);
  }
  return weight.size(1) == channels && weight.size(2) == 1 && weight.size(3) == 1;
}

/// One kernel call for each part: its channels are a range of the weight's columns.
std::vector<Pointwise> parts_of(at::TensorList xs, const at::Tensor& weight, const at::Tensor& transposed) {
  std::vector<Pointwise> parts;
  int64_t first = 0;
  const int64_t outputs = weight.size(0);
  for (const auto& x : xs) {
    const auto extent = extent_of(x);
    parts.push_back({extent.channels, extent.pixels, outputs, weight.data_ptr<float>() + first, weight.size(1),
                     transposed.data_ptr<float>() + first * outputs});
    first += extent.channels;
  }
  return parts;
}

int64_t scratch_of(const std::vector<Pointwise>& parts) {
  int64_t largest = 0;
  for (const auto& part : parts) largest = std::max(largest, kernels().pointwise_scratch(part));
  return largest;
}

struct ReluPointwise : torch::autograd::Function<ReluPointwise> {
  static variable_list forward(AutogradContext* context, at::TensorList xs, const at::Tensor& weight) {
    const auto transposed = weight.flatten(1).t().contiguous();
    const auto parts = parts_of(xs, weight, transposed);
    auto y = empty_images(xs[0], weight.size(0), xs[0].size(2), xs[0].size(3));
    const auto extent = extent_of(y);
    MomentParts moments(extent);
    for_each_image(extent.images, scratch_of(parts), [&](int64_t image, float* scratch) {
      float* to = y.data_ptr<float>() + image * extent.channels * extent.pixels;
      for (size_t i = 0; i < parts.size(); ++i) {
        const float* from = xs[i].data_ptr<float>() + image * parts[i].channels * parts[i].pixels;
        kernels().pointwise_forward(parts[i], from, i > 0, to, scratch);
      }
      moments.add(image, to);
    });
    variable_list saved(xs.begin(), xs.end());
    saved.push_back(weight);
    context->save_for_backward(saved);
    auto found = moments.combine(y.data_ptr<float>());
    context->mark_non_differentiable({found});
    return {y, found};
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    auto xs = context->get_saved_variables();
    const auto weight = xs.back();
    xs.pop_back();
    const auto dy = channels_last(gradients[0]);
    const auto transposed = weight.flatten(1).t().contiguous();
    const auto parts = parts_of(xs, weight, transposed);
    const bool wants_weight = context->needs_input_grad(xs.size());
    variable_list result, dweights;
    for (size_t i = 0; i < xs.size(); ++i) {
      const auto [dx, dweight] = backward_part(parts[i], xs[i], dy, context->needs_input_grad(i), wants_weight);
      result.push_back(dx);
      dweights.push_back(dweight);
    }
    result.push_back(wants_weight ? at::cat(dweights, 1).view(weight.sizes()) : at::Tensor());
    return result;
  }

  static std::pair<at::Tensor, at::Tensor> backward_part(const Pointwise& part, const at::Tensor& x, const at::Tensor& dy,
                                                         bool wants_x, bool wants_weight) {
    const int64_t images = x.size(0), size = part.channels * part.pixels, out_size = part.outputs * part.pixels;
    const int64_t weights = part.outputs * part.channels;
    auto dx = wants_x ? empty_images(x, x.size(1), x.size(2), x.size(3)) : at::Tensor();
    auto dweight = wants_weight ? at::empty({images, part.outputs, part.channels}, x.options()) : at::Tensor();
    for_each_image(images, kernels().pointwise_scratch(part), [&](int64_t image, float* scratch) {
      float* to = wants_x ? dx.data_ptr<float>() + image * size : nullptr;
      float* own = wants_weight ? dweight.data_ptr<float>() + image * weights : nullptr;
      kernels().pointwise_backward(part, x.data_ptr<float>() + image * size, dy.data_ptr<float>() + image * out_size, to,
                                   own, scratch);
    });
    return {dx, wants_weight ? dweight.sum(0) : dweight};
  }
};

std::tuple<at::Tensor, at::Tensor> relu_pointwise(at::TensorList xs, const at::Tensor& weight) {
  if (!fits(xs, weight)) {
    const auto x = xs.size() == 1 ? xs[0] : at::cat(xs, 1);
    return {at::conv2d(at::relu(x), weight), at::empty({0}, weight.options())};
  }
  std::vector<at::Tensor> images;
  for (const auto& x : xs) images.push_back(channels_last(x));
  const auto result = ReluPointwise::apply(at::TensorList(images), weight.contiguous());
  return {result[0], result[1]};
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(ddsas, library) {
  library.def("relu_pointwise(Tensor[] xs, Tensor weight) -> (Tensor, Tensor)", relu_pointwise);
}

}  // namespace ddsas
