// ddsas::mix: the tail of a node. Batch norms without affine of its terms and their weighted sum (Eq. 7), over all edges
// into the node at once, with hand-written backward for the terms and the weights.
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include "images.h"
#include "simd/kernels.h"

namespace ddsas {

namespace {

using c10::optional;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;
using OptionalTensors = c10::List<optional<at::Tensor>>;

/// Running statistics of each term's batch norm; a term without one enters as it is.
struct Norms {
  const OptionalTensors& means;
  const OptionalTensors& variances;
  bool training;
  double momentum, eps;

  bool has(int64_t k) const { return means.get(k).has_value(); }
  at::Tensor mean(int64_t k) const { return *means.get(k); }
  at::Tensor variance(int64_t k) const { return *variances.get(k); }
};

struct Extent {
  int64_t images, channels, pixels;
};

Extent extent_of(const at::Tensor& x) { return {x.size(0), x.size(1), x.size(2) * x.size(3)}; }

/// Sums over images of parts [images, rows, channels], in double and in order: the same for any number of threads.
std::vector<double> sum_parts(const std::vector<float>& parts, int64_t images, int64_t values) {
  std::vector<double> total(values, 0.0);
  for (int64_t image = 0; image < images; ++image)
    for (int64_t i = 0; i < values; ++i) total[i] += parts[image * values + i];
  return total;
}

/// Mean and variance of each channel over all images, from each image's moments about its first pixel (Chan et al.).
void batch_moments(const at::Tensor& x, double* mean, double* variance) {
  const auto [images, channels, pixels] = extent_of(x);
  std::vector<float> parts(images * 2 * channels);
  const float* data = x.data_ptr<float>();
  at::parallel_for(0, images, 1, [&, channels = channels, pixels = pixels](int64_t begin, int64_t end) {
    for (int64_t image = begin; image < end; ++image) {
      float* part = parts.data() + image * 2 * channels;
      kernels().moments(channels, pixels, data + image * channels * pixels, part, part + channels);
    }
  });
  const auto count = static_cast<double>(pixels);
  for (int64_t c = 0; c < channels; ++c) {
    double total = 0, within = 0, squares = 0;
    for (int64_t image = 0; image < images; ++image) {
      const double sum = parts[image * 2 * channels + c], square = parts[image * 2 * channels + channels + c];
      const double own = data[image * channels * pixels + c] + sum / count;
      total += own;
      squares += own * own;
      within += square - sum * sum / count;
    }
    mean[c] = total / images;
    const double between = squares - total * total / images;
    variance[c] = (within + count * between) / (count * images);
  }
}

void update_running(const Norms& norms, int64_t k, const double* mean, const double* variance, int64_t count) {
  auto running_mean = norms.mean(k), running_variance = norms.variance(k);
  float *m = running_mean.data_ptr<float>(), *v = running_variance.data_ptr<float>();
  const double unbiased = static_cast<double>(count) / static_cast<double>(count - 1);
  for (int64_t c = 0; c < running_mean.numel(); ++c) {
    m[c] = static_cast<float>((1 - norms.momentum) * m[c] + norms.momentum * mean[c]);
    v[c] = static_cast<float>((1 - norms.momentum) * v[c] + norms.momentum * variance[c] * unbiased);
  }
}

/// Mean and 1 / standard deviation of each term [terms, channels]; 0 and 1 for a term without a norm.
struct Statistics {
  at::Tensor mean, inverse;
};

Statistics statistics_of(at::TensorList xs, const Norms& norms) {
  const auto [images, channels, pixels] = extent_of(xs[0]);
  const auto terms = static_cast<int64_t>(xs.size());
  Statistics result{at::zeros({terms, channels}, xs[0].options()), at::ones({terms, channels}, xs[0].options())};
  std::vector<double> mean(channels), variance(channels);
  for (int64_t k = 0; k < terms; ++k) {
    if (!norms.has(k)) continue;
    if (norms.training) {
      batch_moments(xs[k], mean.data(), variance.data());
      update_running(norms, k, mean.data(), variance.data(), images * pixels);
    } else {
      const auto m = norms.mean(k), v = norms.variance(k);
      std::copy_n(m.data_ptr<float>(), channels, mean.begin());
      std::copy_n(v.data_ptr<float>(), channels, variance.begin());
    }
    float *to = result.mean.data_ptr<float>() + k * channels, *inverse = result.inverse.data_ptr<float>() + k * channels;
    for (int64_t c = 0; c < channels; ++c) {
      to[c] = static_cast<float>(mean[c]);
      inverse[c] = static_cast<float>(1 / std::sqrt(variance[c] + norms.eps));
    }
  }
  return result;
}

at::Tensor forward_terms(at::TensorList xs, const at::Tensor& weights, const Statistics& statistics) {
  const auto [images, channels, pixels] = extent_of(xs[0]);
  const auto terms = static_cast<int64_t>(xs.size());
  const auto scale = (statistics.inverse * weights.view({-1, 1})).contiguous();
  const auto bias = (scale * statistics.mean).sum(0).neg_().contiguous();
  auto y = empty_images(xs[0], channels, xs[0].size(2), xs[0].size(3));
  std::vector<const float*> data;
  for (const auto& x : xs) data.push_back(x.data_ptr<float>());
  const float* scales = scale.data_ptr<float>();
  at::parallel_for(0, images, 1, [&, channels = channels, pixels = pixels](int64_t begin, int64_t end) {
    std::vector<MixTerm> parts(terms);
    for (int64_t image = begin; image < end; ++image) {
      const int64_t at = image * channels * pixels;
      for (int64_t k = 0; k < terms; ++k) parts[k] = {data[k] + at, scales + k * channels};
      kernels().mix_forward(channels, pixels, parts.data(), terms, bias.data_ptr<float>(), y.data_ptr<float>() + at);
    }
  });
  return y;
}

/// Sums over all pixels: of dy (row 0), and of dy (x_k - mean_k) for each term (row k + 1); [terms + 1, channels].
std::vector<double> backward_sums(at::TensorList xs, const at::Tensor& mean, const at::Tensor& dy) {
  const auto [images, channels, pixels] = extent_of(dy);
  const auto terms = static_cast<int64_t>(xs.size());
  const int64_t values = (terms + 1) * channels;
  std::vector<float> parts(images * values);
  std::vector<const float*> data;
  for (const auto& x : xs) data.push_back(x.data_ptr<float>());
  const float* means = mean.data_ptr<float>();
  at::parallel_for(0, images, 1, [&, channels = channels, pixels = pixels](int64_t begin, int64_t end) {
    for (int64_t image = begin; image < end; ++image) {
      const int64_t at = image * channels * pixels;
      const float* upstream = dy.data_ptr<float>() + at;
      float* part = parts.data() + image * values;
      kernels().channel_sum(channels, pixels, upstream, part);
      for (int64_t k = 0; k < terms; ++k)
        kernels().mix_dot(channels, pixels, upstream, data[k] + at, means + k * channels, part + (k + 1) * channels);
    }
  });
  return sum_parts(parts, images, values);
}

/// dx = a dy + b x + d for one term, channel by channel.
struct Coefficients {
  std::vector<float> a, b, d;
};

Coefficients coefficients_of(int64_t channels, double count, bool normed, float weight, const double* total,
                             const double* dot, const float* mean, const float* inverse) {
  Coefficients result{std::vector<float>(channels), std::vector<float>(channels), std::vector<float>(channels)};
  for (int64_t c = 0; c < channels; ++c) {
    const double a = static_cast<double>(weight) * inverse[c];
    const double b = normed ? -a * inverse[c] * inverse[c] * dot[c] / count : 0;
    const double d = normed ? -a * total[c] / count - b * mean[c] : 0;
    result.a[c] = static_cast<float>(a);
    result.b[c] = static_cast<float>(b);
    result.d[c] = static_cast<float>(d);
  }
  return result;
}

at::Tensor backward_term(const at::Tensor& x, const at::Tensor& dy, const Coefficients& by) {
  const auto [images, channels, pixels] = extent_of(dy);
  auto dx = empty_images(x, channels, x.size(2), x.size(3));
  at::parallel_for(0, images, 1, [&, channels = channels, pixels = pixels](int64_t begin, int64_t end) {
    const int64_t from = begin * channels * pixels, size = (end - begin) * pixels;
    const MixGradient term{x.data_ptr<float>() + from, dx.data_ptr<float>() + from, by.a.data(), by.b.data(), by.d.data()};
    kernels().mix_backward(channels, size, dy.data_ptr<float>() + from, term);
  });
  return dx;
}

struct Mix : torch::autograd::Function<Mix> {
  static at::Tensor forward(AutogradContext* context, at::TensorList xs, const at::Tensor& weights, const Norms& norms) {
    const auto statistics = statistics_of(xs, norms);
    std::vector<bool> normed;
    for (size_t k = 0; k < xs.size(); ++k) normed.push_back(norms.has(static_cast<int64_t>(k)));
    variable_list saved(xs.begin(), xs.end());
    saved.insert(saved.end(), {weights, statistics.mean, statistics.inverse});
    context->save_for_backward(saved);
    context->saved_data["normed"] = c10::List<bool>(c10::ArrayRef<bool>());
    auto flags = context->saved_data["normed"].toBoolList();
    for (const bool flag : normed) flags.push_back(flag);
    return forward_terms(xs, weights, statistics);
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    auto saved = context->get_saved_variables();
    const auto inverse = saved.back(), mean = saved[saved.size() - 2], weights = saved[saved.size() - 3];
    saved.resize(saved.size() - 3);
    const auto terms = static_cast<int64_t>(saved.size());
    const auto normed = context->saved_data["normed"].toBoolList();
    const auto dy = channels_last(gradients[0]);
    const auto [images, channels, pixels] = extent_of(dy);
    const auto sums = backward_sums(saved, mean, dy);
    variable_list result(terms + 2);
    auto dweights = at::zeros_like(weights);
    for (int64_t k = 0; k < terms; ++k) {
      const double* dot = sums.data() + (k + 1) * channels;
      const float *m = mean.data_ptr<float>() + k * channels, *r = inverse.data_ptr<float>() + k * channels;
      double slope = 0;
      for (int64_t c = 0; c < channels; ++c) slope += dot[c] * r[c];
      dweights.data_ptr<float>()[k] = static_cast<float>(slope);
      if (!context->needs_input_grad(k)) continue;
      const auto by = coefficients_of(channels, static_cast<double>(images * pixels), normed.get(k),
                                      weights.data_ptr<float>()[k], sums.data(), dot, m, r);
      result[k] = backward_term(saved[k], dy, by);
    }
    if (context->needs_input_grad(terms)) result[terms] = dweights;
    return result;
  }
};

bool fits(at::TensorList xs, const at::Tensor& weights, const Norms& norms) {
  if (weights.scalar_type() != at::kFloat || !weights.device().is_cpu()) return false;
  for (const auto& x : xs)
    if (!are_cpu_images(x) || x.sizes() != xs[0].sizes()) return false;
  const auto [images, channels, pixels] = extent_of(xs[0]);
  (void)channels;
  // in evaluation mode the statistics are constants: only a forward pass is written for that
  return norms.training ? images * pixels > 1 : !at::GradMode::is_enabled();
}

/// The same with ATen's operators: any device and type, and what the kernel is tested against.
at::Tensor compose(at::TensorList xs, const at::Tensor& weights, const Norms& norms) {
  at::Tensor sum;
  for (int64_t k = 0; k < static_cast<int64_t>(xs.size()); ++k) {
    const auto value = norms.has(k) ? at::batch_norm(xs[k], {}, {}, norms.mean(k), norms.variance(k), norms.training,
                                                     norms.momentum, norms.eps, true)
                                    : xs[k];
    const auto term = value * weights[k];
    sum = k == 0 ? term : sum + term;
  }
  return sum;
}

at::Tensor mix(at::TensorList xs, const at::Tensor& weights, const OptionalTensors& means,
               const OptionalTensors& variances, bool training, double momentum, double eps) {
  TORCH_CHECK(!xs.empty() && weights.dim() == 1 && weights.size(0) == static_cast<int64_t>(xs.size()) &&
                  means.size() == xs.size() && variances.size() == xs.size(),
              "one weight, mean and variance for each of ", xs.size(), " terms, not weights ", weights.sizes(), ", ",
              means.size(), " means, ", variances.size(), " variances");
  const Norms norms{means, variances, training, momentum, eps};
  if (!fits(xs, weights, norms)) return compose(xs, weights, norms);
  std::vector<at::Tensor> images;
  for (const auto& x : xs) images.push_back(channels_last(x));
  return Mix::apply(at::TensorList(images), weights.contiguous(), norms);
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(ddsas, library) {
  library.def(
      "mix(Tensor[] xs, Tensor weights, Tensor?[] means, Tensor?[] variances, bool training, float momentum, float eps) "
      "-> Tensor",
      mix);
}

}  // namespace ddsas
