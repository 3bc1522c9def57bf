// ddsas::mix: the tail of a node. Batch norms without affine of its terms and their weighted sum (Eq. 7), over all edges
// into the node at once, with hand-written backward for the terms and the weights.
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include <numeric>

#include "grid/functions.h"
#include "statistics.h"

namespace ddsas {

namespace {

using c10::optional;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;
using OptionalTensors = c10::List<optional<at::Tensor>>;

/// The batch norm of each term, or none: such a term enters as it is.
struct Norms {
  const OptionalTensors &moments, &means, &variances;
  bool training;
  double momentum, eps;

  bool has(int64_t k) const { return means.get(k).has_value(); }
  Norm of(int64_t k) const { return {*means.get(k), *variances.get(k), training, momentum, eps}; }

  /// Those found by the kernel that made the term, or by one more pass over it.
  at::Tensor moments_for(int64_t k, const at::Tensor& x) const {
    const auto found = moments.get(k);
    return found && found->numel() > 0 ? *found : moments_of(x);
  }
};

/// Scale and shift of each term [terms, channels]; 1 and 0 for a term without a norm.
Normaliser normalisers_of(at::TensorList xs, const Norms& norms) {
  const auto [images, channels, pixels] = extent_of(xs[0]);
  const auto terms = static_cast<int64_t>(xs.size());
  Normaliser all{at::ones({terms, channels}, xs[0].options()), at::zeros({terms, channels}, xs[0].options())};
  for (int64_t k = 0; k < terms; ++k) {
    if (!norms.has(k)) continue;
    const auto moments = norms.training ? norms.moments_for(k, xs[k]) : at::Tensor();
    const auto own = normaliser_of(norms.of(k), moments, images * pixels);
    all.scale[k].copy_(own.scale);
    all.shift[k].copy_(own.shift);
  }
  return all;
}

at::Tensor forward_terms(at::TensorList xs, const at::Tensor& weights, const Normaliser& normaliser) {
  const auto [images, channels, pixels] = extent_of(xs[0]);
  const auto terms = static_cast<int64_t>(xs.size());
  const auto scale = (normaliser.scale * weights.view({-1, 1})).contiguous();
  const auto bias = (normaliser.shift * weights.view({-1, 1})).sum(0).contiguous();
  auto y = empty_images(xs[0], channels, xs[0].size(2), xs[0].size(3));
  std::vector<const float*> data;
  for (const auto& x : xs) data.push_back(x.data_ptr<float>());
  const float* scales = scale.data_ptr<float>();
  for_each_image(images, 0, [&, channels = channels, pixels = pixels](int64_t image, float*) {
    const int64_t at = image * channels * pixels;
    std::vector<MixTerm> parts;
    for (int64_t k = 0; k < terms; ++k) parts.push_back({data[k] + at, scales + k * channels});
    kernels().mix_forward(channels, pixels, parts.data(), terms, bias.data_ptr<float>(), y.data_ptr<float>() + at);
  });
  return y;
}

/// Sums over all pixels: of dy (row 0), and of dy norm_k(x_k) for each term (row k + 1); [terms + 1, channels].
std::vector<double> backward_sums(at::TensorList xs, const Normaliser& normaliser, const at::Tensor& dy) {
  const auto [images, channels, pixels] = extent_of(dy);
  const auto terms = static_cast<int64_t>(xs.size());
  const int64_t values = (terms + 1) * channels;
  std::vector<float> parts(images * values);
  std::vector<const float*> data;
  for (const auto& x : xs) data.push_back(x.data_ptr<float>());
  const float *scale = normaliser.scale.data_ptr<float>(), *shift = normaliser.shift.data_ptr<float>();
  for_each_image(images, 0, [&, channels = channels, pixels = pixels](int64_t image, float*) {
    const int64_t at = image * channels * pixels;
    const float* upstream = dy.data_ptr<float>() + at;
    float* part = parts.data() + image * values;
    kernels().channel_sum(channels, pixels, upstream, part);
    for (int64_t k = 0; k < terms; ++k)
      kernels().mix_dot(channels, pixels, upstream, data[k] + at, scale + k * channels, shift + k * channels,
                        part + (k + 1) * channels);
  });
  return sum_parts(parts, images, values);
}

/// dx = a dy + b x + d for one term, channel by channel. Without a norm that is weight x dy.
struct Coefficients {
  std::vector<float> a, b, d;

  Coefficients(int64_t channels, double count, bool normed, double weight, const double* total, const double* dot,
               const float* scale, const float* shift)
      : a(channels), b(channels), d(channels) {
    for (int64_t c = 0; c < channels; ++c) {
      const double r = scale[c], mean_total = normed ? total[c] / count : 0, mean_dot = normed ? dot[c] / count : 0;
      a[c] = static_cast<float>(weight * r);
      b[c] = static_cast<float>(-weight * r * r * mean_dot);
      d[c] = static_cast<float>(-weight * r * (mean_total + shift[c] * mean_dot));
    }
  }
};

/// A term whose gradient is wanted.
struct Wanted {
  const float* x;
  float* dx;
  Coefficients by;
};

/// All gradients of one image before the next: dy is read from the cache for all but the first.
void backward_terms(const at::Tensor& dy, const std::vector<Wanted>& terms) {
  const auto [images, channels, pixels] = extent_of(dy);
  for_each_image(images, 0, [&, channels = channels, pixels = pixels](int64_t image, float*) {
    const int64_t at = image * channels * pixels;
    for (const auto& [x, dx, by] : terms) {
      const MixGradient term{x + at, dx + at, by.a.data(), by.b.data(), by.d.data()};
      kernels().mix_backward(channels, pixels, dy.data_ptr<float>() + at, term);
    }
  });
}

struct Mix : torch::autograd::Function<Mix> {
  static at::Tensor forward(AutogradContext* context, at::TensorList xs, const at::Tensor& weights, const Norms& norms) {
    const auto normaliser = normalisers_of(xs, norms);
    c10::List<bool> normed;
    for (int64_t k = 0; k < static_cast<int64_t>(xs.size()); ++k) normed.push_back(norms.has(k));
    variable_list saved(xs.begin(), xs.end());
    saved.insert(saved.end(), {weights, normaliser.scale, normaliser.shift});
    context->save_for_backward(saved);
    context->saved_data["normed"] = normed;
    return forward_terms(xs, weights, normaliser);
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    auto xs = context->get_saved_variables();
    const Normaliser normaliser{xs[xs.size() - 2], xs[xs.size() - 1]};
    const auto weights = xs[xs.size() - 3];
    xs.resize(xs.size() - 3);
    const auto terms = static_cast<int64_t>(xs.size());
    const auto normed = context->saved_data["normed"].toBoolList();
    const auto dy = channels_last(gradients[0]);
    const auto [images, channels, pixels] = extent_of(dy);
    const auto sums = backward_sums(xs, normaliser, dy);
    variable_list result(terms + 2);
    std::vector<Wanted> wanted;
    auto slopes = at::zeros_like(weights);
    for (int64_t k = 0; k < terms; ++k) {
      const double* dot = sums.data() + (k + 1) * channels;
      slopes.data_ptr<float>()[k] = static_cast<float>(std::accumulate(dot, dot + channels, 0.0));
      if (!context->needs_input_grad(k)) continue;
      Coefficients by(channels, static_cast<double>(images * pixels), normed.get(k), weights.data_ptr<float>()[k],
                            sums.data(), dot, normaliser.scale.data_ptr<float>() + k * channels,
                            normaliser.shift.data_ptr<float>() + k * channels);
      result[k] = empty_images(dy, channels, dy.size(2), dy.size(3));
      wanted.push_back({xs[k].data_ptr<float>(), result[k].data_ptr<float>(), std::move(by)});
    }
    backward_terms(dy, wanted);
    if (context->needs_input_grad(terms)) result[terms] = slopes;
    return result;
  }
};

bool fits(at::TensorList xs, const at::Tensor& weights, const Norms& norms) {
  if (weights.scalar_type() != at::kFloat || !weights.device().is_cpu()) return false;
  for (const auto& x : xs)
    if (!are_cpu_images(x)) return false;
  for (int64_t k = 0; k < static_cast<int64_t>(xs.size()); ++k)
    if (norms.has(k) && !are_plain(norms.of(k), at::kCPU)) return false;
  const auto [images, channels, pixels] = extent_of(xs[0]);
  (void)channels;
  // in evaluation mode the statistics are constants: only a forward pass is written for that
  return norms.training ? images * pixels > 1 : !at::GradMode::is_enabled();
}

/// The same with ATen's operators: any device and type, and what the kernel is tested against.
at::Tensor compose(at::TensorList xs, const at::Tensor& weights, const Norms& norms) {
  at::Tensor sum;
  for (int64_t k = 0; k < static_cast<int64_t>(xs.size()); ++k) {
    auto value = xs[k];
    if (norms.has(k)) {
      const auto n = norms.of(k);
      value = at::batch_norm(value, {}, {}, n.running_mean, n.running_var, n.training, n.momentum, n.eps, true);
    }
    const auto term = value * weights[k];
    sum = k == 0 ? term : sum + term;
  }
  return sum;
}

at::Tensor mix(at::TensorList xs, const optional<at::Tensor>& given, const OptionalTensors& moments,
               const OptionalTensors& means, const OptionalTensors& variances, bool training, double momentum,
               double eps) {
  const size_t terms = xs.size();
  TORCH_CHECK(terms > 0 && moments.size() == terms && means.size() == terms && variances.size() == terms,
              "mix needs moments, a mean and a variance (or null) for each of ", terms, " terms, not ", moments.size(),
              " moments, ", means.size(), " means, ", variances.size(), " variances");
  for (const auto& x : xs)
    TORCH_CHECK(x.sizes() == xs[0].sizes(), "mix needs terms of one shape, not ", xs[0].sizes(), " and ", x.sizes());
  const auto plain = at::TensorOptions().dtype(at::kFloat).device(xs[0].device());
  const auto weights = given ? *given : at::ones({static_cast<int64_t>(terms)}, plain);
  TORCH_CHECK(weights.dim() == 1 && weights.size(0) == static_cast<int64_t>(terms), "mix needs a weight for each of ",
              terms, " terms, not weights ", weights.sizes());
  const Norms norms{moments, means, variances, training, momentum, eps};
  for (int64_t k = 0; k < static_cast<int64_t>(terms); ++k) {
    const optional<at::Tensor> own = moments.get(k), variance = variances.get(k);
    TORCH_CHECK(norms.has(k) == variance.has_value(), "term ", k, " has a mean or a variance, but not both");
    if (norms.has(k)) check_norm(norms.of(k), own.value_or(at::Tensor()), xs[k].size(1));
  }
  const grid::TermNorms on_grid{moments, means, variances, training, momentum, eps};
  if (grid::fits_mix(xs, weights, on_grid)) return grid::mix(xs, weights, on_grid);
  if (!fits(xs, weights, norms)) return compose(xs, weights, norms);
  std::vector<at::Tensor> images;
  for (const auto& x : xs) images.push_back(channels_last(x));
  return Mix::apply(at::TensorList(images), weights.contiguous(), norms);
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(ddsas, library) {
  library.def(
      "mix(Tensor[] xs, Tensor? weights, Tensor?[] moments, Tensor?[] means, Tensor?[] variances, bool training, "
      "float momentum, float eps) -> Tensor",
      mix);
}

}  // namespace ddsas
