// ddsas::mix, the pools and the sum of images on the grid kernels, with hand-written backward.
#include <torch/csrc/autograd/custom_function.h>

#include "functions.h"
#include "launch.h"

namespace ddsas::grid {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

at::Tensor sum_terms(at::TensorList xs, const at::Tensor& weights, const Normaliser& by) {
  auto y = empty_images(xs[0], xs[0].size(1), xs[0].size(2), xs[0].size(3));
  const auto on = launcher_of(xs[0]);
  on.table.mix(terms_of(xs, weights, by), y.data_ptr(), on.stream);
  return y;
}

struct GridMix : torch::autograd::Function<GridMix> {
  static at::Tensor forward(AutogradContext* context, at::TensorList xs, const at::Tensor& weights,
                            const TermNorms& norms) {
    count_run(Kernel::mix, path_of(xs[0]));
    const auto by = normaliser_of(xs, norms);
    c10::List<bool> normed;
    for (size_t k = 0; k < xs.size(); ++k) normed.push_back(norms.means.get(k).has_value());
    variable_list saved(xs.begin(), xs.end());
    saved.insert(saved.end(), {weights, by.scale, by.shift});
    context->save_for_backward(saved);
    context->saved_data["normed"] = normed;
    return sum_terms(xs, weights, by);
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    auto xs = context->get_saved_variables();
    const Normaliser by{xs[xs.size() - 2], xs[xs.size() - 1]};
    const auto weights = xs[xs.size() - 3];
    xs.resize(xs.size() - 3);
    const auto normed = context->saved_data["normed"].toBoolList();
    const auto dy = channels_last(gradients[0]);
    const auto terms = terms_of(xs, weights, by);
    const auto sums = sums_of(terms, xs[0], dy);
    variable_list result(xs.size() + 2);
    TermGradients to{};
    for (size_t k = 0; k < xs.size(); ++k) {
      to.normed[k] = normed.get(k) ? 1 : 0;
      if (!context->needs_input_grad(k)) continue;
      result[k] = empty_images(dy, dy.size(1), dy.size(2), dy.size(3));
      to.dx[k] = result[k].data_ptr();
    }
    const auto on = launcher_of(dy);
    on.table.mix_backward(terms, dy.data_ptr(), sums.data_ptr<float>(), to, on.stream);
    if (context->needs_input_grad(xs.size())) result[xs.size()] = sums.slice(0, 1).sum(1);
    return result;
  }
};

at::Tensor choices_of(const at::Tensor& y) {
  return at::empty({y.numel()}, y.options().dtype(at::kByte).memory_format(c10::nullopt));
}

/// kMax: the choice is kept for the backward pass, which needs nothing else.
template <bool kMax>
struct GridPool : torch::autograd::Function<GridPool<kMax>> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, int64_t stride) {
    count_run(kMax ? Kernel::max_pool3 : Kernel::avg_pool3, path_of(x));
    const auto window = window_of(x, 3, stride, 1);
    auto y = empty_images(x, x.size(1), window.out(window.height), window.out(window.width));
    const auto choice = kMax ? choices_of(y) : at::Tensor();
    const auto on = launcher_of(x);
    const Pool call{window, x.data_ptr(), y.data_ptr(), kMax ? choice.template data_ptr<uint8_t>() : nullptr};
    (kMax ? on.table.max_pool : on.table.avg_pool)(call, on.stream);
    context->saved_data["shape"] = x.sizes().vec();
    context->saved_data["stride"] = stride;
    context->save_for_backward({choice});
    return y;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto shape = context->saved_data["shape"].toIntVector();
    const auto choice = context->get_saved_variables()[0];
    const auto dy = channels_last(gradients[0]);
    auto dx = empty_images(dy, shape[1], shape[2], shape[3]);
    const auto window = window_of(dx, 3, context->saved_data["stride"].toInt(), 1);
    const auto on = launcher_of(dy);
    const Pool call{window, dy.data_ptr(), dx.data_ptr(), kMax ? choice.template data_ptr<uint8_t>() : nullptr};
    (kMax ? on.table.max_pool_backward : on.table.avg_pool_backward)(call, on.stream);
    return {dx, at::Tensor()};
  }
};

}  // namespace

bool fits_mix(at::TensorList xs, const at::Tensor& weights, const TermNorms& norms) {
  if (xs.empty() || xs.size() > static_cast<size_t>(kMostTerms)) return false;
  if (!is_parameter_for(weights, xs[0])) return false;
  for (const auto& x : xs)
    if (!are_images(x) || x.sizes() != xs[0].sizes() || x.scalar_type() != xs[0].scalar_type() || x.device() != xs[0].device())
      return false;
  for (size_t k = 0; k < xs.size(); ++k) {
    const c10::optional<at::Tensor> mean = norms.means.get(k), variance = norms.variances.get(k);
    if (mean && !are_plain({*mean, *variance, norms.training, norms.momentum, norms.eps, {}, {}}, xs[0].device())) return false;
  }
  const auto terms = static_cast<int64_t>(xs.size());
  if (!can_sum((terms + 1) * xs[0].size(1)) || terms * xs[0].numel() >= kMostIndices) return false;
  // in evaluation mode the statistics are constants: only a forward pass is written for that
  return norms.training ? xs[0].numel() > xs[0].size(1) : !at::GradMode::is_enabled();
}

at::Tensor mix(at::TensorList xs, const at::Tensor& weights, const TermNorms& norms) {
  std::vector<at::Tensor> images;
  for (const auto& x : xs) images.push_back(channels_last(x));
  return GridMix::apply(at::TensorList(images), weights.contiguous(), norms);
}

bool fits_pool(const at::Tensor& x, int64_t stride) { return are_images(x) && (stride == 1 || stride == 2); }
at::Tensor max_pool3(const at::Tensor& x, int64_t stride) { return GridPool<true>::apply(channels_last(x), stride); }
at::Tensor avg_pool3(const at::Tensor& x, int64_t stride) { return GridPool<false>::apply(channels_last(x), stride); }

at::Tensor add_images(at::TensorList xs) {
  auto sum = xs[0];
  for (size_t first = 1; first < xs.size(); first += kMostTerms - 1) {
    std::vector<at::Tensor> some{sum};
    for (size_t k = first; k < std::min(xs.size(), first + kMostTerms - 1); ++k) some.push_back(xs[k]);
    sum = sum_terms(some, {}, {});
  }
  return sum;
}

}  // namespace ddsas::grid
