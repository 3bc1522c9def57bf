// ddsas::fan_out: the same tensor several times over and separable convolutions of it, so that all gradients that come back
// are added in one pass.
#include "fan_out.h"

#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include "grid/functions.h"
#include "separable.h"
#include "statistics.h"

namespace ddsas {

at::Tensor add_images(at::TensorList terms) {
  if (grid::are_images(terms[0])) return grid::add_images(terms);
  const auto [images, channels, pixels] = extent_of(terms[0]);
  const std::vector<float> one(channels, 1.0f), zero(channels, 0.0f);
  auto sum = empty_images(terms[0], channels, terms[0].size(2), terms[0].size(3));
  for_each_image(images, 0, [&, channels = channels, pixels = pixels](int64_t image, float*) {
    const int64_t at = image * channels * pixels;
    std::vector<MixTerm> parts;
    for (const auto& term : terms) parts.push_back({term.data_ptr<float>() + at, one.data()});
    kernels().mix_forward(channels, pixels, parts.data(), static_cast<int64_t>(parts.size()), zero.data(),
                          sum.data_ptr<float>() + at);
  });
  return sum;
}

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct FanOut : torch::autograd::Function<FanOut> {
  static variable_list forward(AutogradContext* context, const at::Tensor& x, int64_t count) {
    context->set_materialize_grads(false);
    variable_list copies;
    for (int64_t i = 0; i < count; ++i) copies.push_back(x.detach());
    return copies;
  }

  static variable_list backward(AutogradContext*, variable_list gradients) {
    variable_list given;
    for (const auto& gradient : gradients)
      if (gradient.defined()) given.push_back(channels_last(gradient));
    if (given.empty()) return {at::Tensor(), at::Tensor()};
    return {given.size() == 1 ? given[0] : add_images(given), at::Tensor()};
  }
};

/// `copies` times x, then the results of the convolutions, then their moments.
std::vector<at::Tensor> fan_out(const at::Tensor& x, int64_t copies, at::TensorList spatials, at::TensorList pointwises,
                                at::IntArrayRef strides, at::IntArrayRef dilations) {
  TORCH_CHECK(copies >= 0, "fan_out needs a count of at least 0, not ", copies);
  const size_t count = spatials.size();
  TORCH_CHECK(pointwises.size() == count && strides.size() == count && dilations.size() == count,
              "fan_out needs a pointwise weight, a stride and a dilation for each of ", count, " depthwise weights, not ",
              pointwises.size(), ", ", strides.size(), " and ", dilations.size());
  std::vector<Convolution> convolutions;
  for (size_t k = 0; k < count; ++k) convolutions.push_back({spatials[k], pointwises[k], strides[k], dilations[k]});
  return separables(x, copies, convolutions);
}

}  // namespace

std::vector<at::Tensor> copies_of(const at::Tensor& x, int64_t count) {
  if (count > 1 && (are_cpu_images(x) || grid::are_images(x)) && x.requires_grad()) return FanOut::apply(x, count);
  return std::vector<at::Tensor>(count, x);
}

TORCH_LIBRARY_FRAGMENT(ddsas, library) {
  library.def(
      "fan_out(Tensor x, int copies, Tensor[] spatials, Tensor[] pointwises, int[] strides, int[] dilations) -> Tensor[]",
      fan_out);
}

}  // namespace ddsas
