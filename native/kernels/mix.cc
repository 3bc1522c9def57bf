// ddsas::mix: the tail of a node. Batch norms of its terms and their weighted sum (Eq. 7), over all edges into the node at
// once, with hand-written backward for the terms, the weights, and in networks the norms' own weights and biases.
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include <algorithm>
#include <numeric>

#include "deferred.h"
#include "grid/functions.h"
#include "statistics.h"

namespace ddsas {

namespace {

using c10::optional;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;
using grid::OptionalTensors;

/// The batch norm of each term, or none: such a term enters as it is. weights, biases: of affine norms, else null.
struct Norms : grid::TermNorms {
  const OptionalTensors &weights, &biases;

  bool has(int64_t k) const { return means.get(k).has_value(); }
  bool is_affine(int64_t k) const { return weights.get(k).has_value(); }
  bool any_affine() const {
    for (int64_t k = 0; k < static_cast<int64_t>(weights.size()); ++k)
      if (is_affine(k)) return true;
    return false;
  }

  /// Without weight and bias.
  Norm plain(int64_t k) const { return {*means.get(k), *variances.get(k), training, momentum, eps, {}, {}}; }
  Norm whole(int64_t k) const {
    auto norm = plain(k);
    const optional<at::Tensor> weight = weights.get(k), bias = biases.get(k);
    if (weight) norm.weight = *weight;
    if (bias) norm.bias = *bias;
    return norm;
  }

  /// Those found by the kernel that made the term, or by one more pass over it.
  at::Tensor moments_for(int64_t k, const at::Tensor& x) const {
    const auto found = moments.get(k);
    return found && found->numel() > 0 ? *found : moments_of(x);
  }
};

/// What the terms, normalised to mean 0 and variance 1, are multiplied by and moved by before they are added up.
struct Factors {
  at::Tensor weights;  // [terms], or [terms, channels] where there are biases
  at::Tensor biases;   // [terms, channels], or undefined: zero
  at::Tensor kept;     // [terms, images]: what drop-path leaves of each term, or undefined: all

  /// [terms, channels], contiguous. Like the other small matrices by hand: an operator of libtorch's takes longer to be
  /// called than that, after each pass over images.
  std::vector<float> weight_matrix(int64_t channels) const {
    const float* const from = weights.data_ptr<float>();
    if (weights.dim() == 2) return {from, from + weights.numel()};
    std::vector<float> matrix;
    for (int64_t k = 0; k < weights.size(0); ++k) matrix.insert(matrix.end(), channels, from[k]);
    return matrix;
  }
  float kept_of(int64_t k, int64_t image) const {
    return kept.defined() ? kept.data_ptr<float>()[k * kept.size(1) + image] : 1;
  }
};

/// Scale and shift of each term [terms, channels]; 1 and 0 for a term without a norm.
Normaliser normalisers_of(at::TensorList xs, const Norms& norms) {
  const auto [images, channels, pixels] = extent_of(xs[0]);
  const auto terms = static_cast<int64_t>(xs.size());
  Normaliser all{at::empty({terms, channels}, xs[0].options()), at::empty({terms, channels}, xs[0].options())};
  float *scale = all.scale.data_ptr<float>(), *shift = all.shift.data_ptr<float>();
  for (int64_t k = 0; k < terms; ++k, scale += channels, shift += channels) {
    std::fill_n(scale, channels, 1.0f);
    std::fill_n(shift, channels, 0.0f);
    if (!norms.has(k)) continue;
    const auto moments = norms.training ? norms.moments_for(k, xs[k]) : at::Tensor();
    const auto own = normaliser_of(norms.plain(k), moments, images * pixels);
    std::copy_n(own.scale.data_ptr<float>(), channels, scale);
    std::copy_n(own.shift.data_ptr<float>(), channels, shift);
  }
  return all;
}

/// The sum of the terms of one image, each as scale x + shift [terms, channels], of those that drop-path left.
void forward_dropped(const std::vector<MixTerm>& terms, const float* shifts, const Factors& by, int64_t image,
                     const Extent& extent, float* y) {
  const int64_t channels = extent.channels;
  std::vector<float> scales(terms.size() * channels), bias(channels);
  std::vector<MixTerm> kept;
  for (size_t k = 0; k < terms.size(); ++k) {
    const float part = by.kept_of(static_cast<int64_t>(k), image);
    if (part == 0) continue;
    float* const scale = scales.data() + k * channels;
    for (int64_t c = 0; c < channels; ++c) {
      scale[c] = part * terms[k].scale[c];
      bias[c] += part * shifts[k * channels + c];
    }
    kept.push_back({terms[k].x, scale});
  }
  kernels().mix_forward(channels, extent.pixels, kept.data(), static_cast<int64_t>(kept.size()), bias.data(), y);
}

at::Tensor forward_terms(at::TensorList xs, const Factors& by, const Normaliser& normaliser) {
  const auto extent = extent_of(xs[0]);
  const int64_t channels = extent.channels;
  auto scale = by.weight_matrix(channels), shift = scale;
  std::vector<float> bias(channels);
  for (size_t i = 0; i < scale.size(); ++i) {
    scale[i] *= normaliser.scale.data_ptr<float>()[i];
    shift[i] *= normaliser.shift.data_ptr<float>()[i];
    if (by.biases.defined()) shift[i] += by.biases.data_ptr<float>()[i];
    bias[static_cast<int64_t>(i) % channels] += shift[i];
  }
  auto y = empty_images(xs[0], channels, xs[0].size(2), xs[0].size(3));
  for_each_image(extent.images, [&](int64_t image) {
    std::vector<MixTerm> terms;
    for (size_t k = 0; k < static_cast<size_t>(xs.size()); ++k)
      terms.push_back({image_of(xs[k], image), scale.data() + static_cast<int64_t>(k) * channels});
    if (by.kept.defined())
      forward_dropped(terms, shift.data(), by, image, extent, image_to(y, image));
    else
      kernels().mix_forward(channels, extent.pixels, terms.data(), static_cast<int64_t>(terms.size()), bias.data(),
                            image_to(y, image));
  });
  return y;
}

/// Sums over all pixels for each term, [terms, channels]: of what drop-path left of dy, and of that times norm_k(x_k).
struct Sums {
  std::vector<double> total, dot;
};

Sums backward_sums(at::TensorList xs, const Factors& by, const Normaliser& normaliser, const at::Tensor& dy) {
  const auto [images, channels, pixels] = extent_of(dy);
  const auto terms = static_cast<int64_t>(xs.size());
  const int64_t values = (terms + 1) * channels;
  std::vector<float> parts(images * values);
  const float *scale = normaliser.scale.data_ptr<float>(), *shift = normaliser.shift.data_ptr<float>();
  for_each_image_and_next(images, {0, 0}, [&, channels = channels, pixels = pixels](int64_t image, int64_t next, float*) {
    const float* const upstream = image_of(dy, image);
    float* const part = parts.data() + image * values;
    kernels().channel_sum(channels, pixels, upstream, part);
    for (int64_t k = 0; k < terms; ++k) {
      if (by.kept_of(k, image) == 0) continue;
      const float* const x = image_of(xs[k], image);
      const float* const after = k + 1 < terms ? image_of(xs[k + 1], image) : next < 0 ? x : image_of(dy, next);
      kernels().mix_dot(channels, pixels, upstream, x, after, scale + k * channels, shift + k * channels,
                        part + (k + 1) * channels);
    }
  });
  Sums sums{std::vector<double>(terms * channels), std::vector<double>(terms * channels)};
  for (int64_t image = 0; image < images; ++image) {
    const float* const of_dy = parts.data() + image * values;
    for (int64_t k = 0; k < terms; ++k) {
      const double left = by.kept_of(k, image);
      const float* const of_term = of_dy + (k + 1) * channels;
      double *const total = sums.total.data() + k * channels, *const dot = sums.dot.data() + k * channels;
      for (int64_t c = 0; c < channels; ++c) dot[c] += left * of_term[c];
      if (k > 0 && !by.kept.defined()) continue;  // the same for all terms
      for (int64_t c = 0; c < channels; ++c) total[c] += left * of_dy[c];
    }
  }
  if (!by.kept.defined())
    for (int64_t k = 1; k < terms; ++k) std::copy_n(sums.total.begin(), channels, sums.total.begin() + k * channels);
  return sums;
}

at::Tensor matrix_of(const std::vector<double>& values, at::IntArrayRef shape) {
  auto result = at::empty(shape, at::TensorOptions().dtype(at::kFloat));
  std::copy(values.begin(), values.end(), result.data_ptr<float>());
  return result;
}

struct Mix : torch::autograd::Function<Mix> {
  static at::Tensor forward(AutogradContext* context, at::TensorList xs, const at::Tensor& weights,
                            const optional<at::Tensor>& biases, const optional<at::Tensor>& kept, const Norms& norms,
                            const std::vector<DeferralPtr>& deferrals) {
    const Factors by{weights, biases.value_or(at::Tensor()), kept.value_or(at::Tensor())};
    count_run(Kernel::mix, kernels().path);
    const auto normaliser = normalisers_of(xs, norms);
    c10::List<bool> normed;
    for (int64_t k = 0; k < static_cast<int64_t>(xs.size()); ++k) normed.push_back(norms.has(k));
    variable_list saved(xs.begin(), xs.end());
    saved.insert(saved.end(), {weights, by.kept, normaliser.scale, normaliser.shift});
    context->save_for_backward(saved);
    context->saved_data["normed"] = normed;
    context->saved_data["deferrals"] = saved_deferrals(deferrals);
    return forward_terms(xs, by, normaliser);
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    auto xs = context->get_saved_variables();
    const Normaliser normaliser{xs[xs.size() - 2], xs[xs.size() - 1]};
    const Factors factors{xs[xs.size() - 4], {}, xs[xs.size() - 3]};
    xs.resize(xs.size() - 4);
    const auto terms = static_cast<int64_t>(xs.size());
    const auto normed = context->saved_data["normed"].toBoolList();
    const auto dy = channels_last(gradients[0]);
    const auto [images, channels, pixels] = extent_of(dy);
    const auto sums = backward_sums(xs, factors, normaliser, dy);
    const auto weights = factors.weight_matrix(channels);
    const auto deferrals = deferrals_of(context->saved_data["deferrals"]);
    const auto count = static_cast<double>(images * pixels);
    variable_list result(terms + 5);  // weights, biases, kept, norms, deferrals
    std::vector<ToCompute> own;
    for (int64_t k = 0; k < terms; ++k) {
      if (!context->needs_input_grad(k)) continue;
      Coefficients by(channels);
      for (int64_t c = 0, at = k * channels; c < channels; ++c, ++at) {
        const double scale = normaliser.scale.data_ptr<float>()[at], shift = normaliser.shift.data_ptr<float>()[at];
        const double total = normed.get(k) ? sums.total[at] / count : 0, dot = normed.get(k) ? sums.dot[at] / count : 0;
        by.set(c, weights[at] * scale, scale, shift, total, dot);
      }
      const Deferred gradient{dy, xs[k].detach(), by.matrix(), factors.kept.defined() ? factors.kept[k] : at::Tensor()};
      if (deferrals[k]) {
        deferrals[k]->left = gradient;
        result[k] = dy;
      } else {
        result[k] = empty_images(dy, channels, dy.size(2), dy.size(3));
        own.push_back({gradient, result[k]});
      }
    }
    compute(own);
    if (context->needs_input_grad(terms)) result[terms] = slopes(sums.dot, factors.weights, channels);
    const bool affine = factors.weights.dim() == 2;
    if (affine && context->needs_input_grad(terms + 1)) result[terms + 1] = matrix_of(sums.total, {terms, channels});
    return result;
  }

  /// The gradient of the weights, as they were given.
  static at::Tensor slopes(const std::vector<double>& dot, const at::Tensor& weights, int64_t channels) {
    if (weights.dim() == 2) return matrix_of(dot, weights.sizes());
    auto result = at::zeros_like(weights);
    for (int64_t k = 0; k < weights.size(0); ++k)
      result.data_ptr<float>()[k] = static_cast<float>(
          std::accumulate(dot.begin() + k * channels, dot.begin() + (k + 1) * channels, 0.0));
    return result;
  }
};

bool fits(at::TensorList xs, const Factors& by, const Norms& norms) {
  for (const auto& factor : {by.weights, by.biases, by.kept})
    if (factor.defined() && (factor.scalar_type() != at::kFloat || !factor.device().is_cpu())) return false;
  for (const auto& x : xs)
    if (!are_cpu_images(x)) return false;
  for (int64_t k = 0; k < static_cast<int64_t>(xs.size()); ++k)
    if (norms.has(k) && !are_plain(norms.whole(k), at::kCPU)) return false;
  const auto [images, channels, pixels] = extent_of(xs[0]);
  (void)channels;
  // in evaluation mode the statistics are constants: only a forward pass is written for that
  return norms.training ? images * pixels > 1 : !at::GradMode::is_enabled();
}

/// The same with ATen's operators: any device and type, and what the kernel is tested against.
at::Tensor compose(at::TensorList xs, const optional<at::Tensor>& weights, const optional<at::Tensor>& kept,
                   const Norms& norms) {
  count_run(Kernel::mix, Path::aten);
  at::Tensor sum;
  for (int64_t k = 0; k < static_cast<int64_t>(xs.size()); ++k) {
    auto term = norms.has(k) ? normalise(xs[k], norms.whole(k)) : xs[k];
    if (weights) term = term * (*weights)[k];
    if (kept) term = term * (*kept)[k].view({-1, 1, 1, 1}).to(term.scalar_type());
    sum = k == 0 ? term : sum + term;
  }
  return sum;
}

at::Tensor ones_of(at::TensorList xs) {
  return at::ones({static_cast<int64_t>(xs.size())}, at::TensorOptions().dtype(at::kFloat).device(xs[0].device()));
}

/// Weights of the terms together with those and the biases of their norms.
Factors factors_of(at::TensorList xs, const optional<at::Tensor>& given, const at::Tensor& kept, const Norms& norms) {
  const auto terms = static_cast<int64_t>(xs.size());
  if (!norms.any_affine()) return {given ? *given : ones_of(xs), {}, kept};
  std::vector<at::Tensor> weights, biases;
  for (int64_t k = 0; k < terms; ++k) {
    const bool affine = norms.is_affine(k);
    const int64_t channels = xs[k].size(1);
    weights.push_back(affine ? norms.whole(k).weight : at::ones({channels}, at::kFloat));
    biases.push_back(affine ? norms.whole(k).bias : at::zeros({channels}, at::kFloat));
  }
  const auto weight = at::stack(weights), bias = at::stack(biases);
  if (!given) return {weight, bias, kept};
  const auto each = given->view({-1, 1});
  return {weight * each, bias * each, kept};
}

/// Throws where there is not something for each term, or it is not of the terms' shape.
void check(at::TensorList xs, const optional<at::Tensor>& weights, const optional<at::Tensor>& kept, const Norms& norms) {
  const size_t terms = xs.size();
  for (const OptionalTensors* list : {&norms.moments, &norms.means, &norms.variances, &norms.weights, &norms.biases})
    TORCH_CHECK(terms > 0 && list->size() == terms, "mix needs moments, a mean, a variance, a weight and a bias (or null) for "
                "each of ", terms, " terms, not ", list->size());
  for (const auto& x : xs)
    TORCH_CHECK(x.sizes() == xs[0].sizes(), "mix needs terms of one shape, not ", xs[0].sizes(), " and ", x.sizes());
  const auto count = static_cast<int64_t>(terms);
  TORCH_CHECK(!weights || weights->sizes() == at::IntArrayRef({count}), "mix needs a weight for each of ", terms,
              " terms, not weights ", weights ? weights->sizes() : at::IntArrayRef());
  TORCH_CHECK(!kept || kept->sizes() == at::IntArrayRef({count, xs[0].size(0)}), "mix needs what is kept of each term and "
              "image, [", count, ", ", xs[0].size(0), "], not ", kept ? kept->sizes() : at::IntArrayRef());
  for (int64_t k = 0; k < count; ++k) {
    const optional<at::Tensor> own = norms.moments.get(k), variance = norms.variances.get(k);
    TORCH_CHECK(norms.has(k) == variance.has_value(), "term ", k, " has a mean or a variance, but not both");
    TORCH_CHECK(norms.has(k) || !norms.is_affine(k), "term ", k, " has a weight but no norm");
    if (norms.has(k)) check_norm(norms.whole(k), own.value_or(at::Tensor()), xs[k].size(1));
  }
}

at::Tensor mix(at::TensorList xs, const optional<at::Tensor>& weights, const optional<at::Tensor>& kept,
               const OptionalTensors& moments, const OptionalTensors& means, const OptionalTensors& variances,
               const OptionalTensors& norm_weights, const OptionalTensors& norm_biases, bool training, double momentum,
               double eps) {
  const Norms norms{{moments, means, variances, training, momentum, eps}, norm_weights, norm_biases};
  check(xs, weights, kept, norms);
  if (grid::are_images(xs[0]) && !norms.any_affine() && !kept) {
    const auto each = weights ? *weights : ones_of(xs);
    if (grid::fits_mix(xs, each, norms)) return grid::mix(xs, each, norms);
  }
  if (!are_cpu_images(xs[0])) return compose(xs, weights, kept, norms);
  const auto by = factors_of(xs, weights, kept.value_or(at::Tensor()), norms);
  if (!fits(xs, by, norms)) return compose(xs, weights, kept, norms);
  std::vector<at::Tensor> images;
  std::vector<DeferralPtr> deferrals;
  for (const auto& x : xs) {
    images.push_back(channels_last(x));
    deferrals.push_back(images.back().is_same(x) ? claim_deferral(x) : DeferralPtr());
  }
  const auto given = [](const at::Tensor& x) { return x.defined() ? optional<at::Tensor>(x.contiguous()) : c10::nullopt; };
  return Mix::apply(at::TensorList(images), by.weights.contiguous(), given(by.biases), given(by.kept), norms,
                    deferrals);
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(ddsas, library) {
  library.def(
      "mix(Tensor[] xs, Tensor? weights, Tensor? kept, Tensor?[] moments, Tensor?[] means, Tensor?[] variances, "
      "Tensor?[] norm_weights, Tensor?[] norm_biases, bool training, float momentum, float eps) -> Tensor",
      mix);
}

}  // namespace ddsas
