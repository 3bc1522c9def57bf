// ddsas::separable: depthwise, then pointwise convolution of relu(x), or of relu(batch norm(x)), with hand-written backward;
// and several of them that read one x. Only x is kept for the backward pass.
#include "separable.h"

#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include "deferred.h"
#include "fan_out.h"
#include "grid/functions.h"
#include "statistics.h"

namespace ddsas {

namespace {

using c10::optional;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// The batch norm before the ReLU where there is one, and the moments it normalises by.
struct Before {
  optional<Norm> norm;
  optional<at::Tensor> moments;
};

void check(const at::Tensor& x, const Convolution& by) {
  const auto& [spatial, pointwise, stride, dilation] = by;
  TORCH_CHECK(x.dim() == 4 && x.size(1) > 0, "separable needs images [n, c, h, w] with channels, not ", x.sizes());
  const int64_t c = x.size(1);
  TORCH_CHECK(spatial.dim() == 4 && spatial.size(0) == c && spatial.size(1) == 1 && spatial.size(2) % 2 == 1 &&
                  spatial.size(3) % 2 == 1,
              "separable needs depthwise weights [", c, ", 1, k, k] with odd k, not ", spatial.sizes());
  TORCH_CHECK(pointwise.dim() == 4 && pointwise.size(1) == c && pointwise.size(2) == 1 && pointwise.size(3) == 1,
              "separable needs pointwise weights [o, ", c, ", 1, 1], not ", pointwise.sizes());
  TORCH_CHECK(stride > 0 && dilation > 0, "separable needs a stride and a dilation of at least 1, not ", stride,
              " and ", dilation);
}

bool one_or_two(int64_t n) { return n == 1 || n == 2; }

bool fits(const at::Tensor& x, const Convolution& by) {
  const auto& [spatial, pointwise, stride, dilation] = by;
  const auto is_weight = [](const at::Tensor& w) {
    return w.scalar_type() == at::kFloat && w.device().is_cpu() && w.dim() == 4;
  };
  return are_cpu_images(x) && is_weight(spatial) && is_weight(pointwise) && pointwise.size(0) > 0 &&
         spatial.size(2) == spatial.size(3) && (spatial.size(2) == 3 || spatial.size(2) == 5) &&
         one_or_two(stride) && one_or_two(dilation);
}

/// One convolution as the kernels take it, kept alive together with the pointers into it.
struct Weights {
  at::Tensor taps, pointwise, across;
  Separable kernel;
};

/// Everything one call needs: x and the convolutions of it.
struct Call {
  at::Tensor x;
  Normaliser normaliser;
  std::vector<Weights> convolutions;
  int64_t scratch = 0;

  /// forward: the backward pass does not read pointwise weights by columns.
  Call(const at::Tensor& images, const std::vector<Convolution>& all, const Normaliser& before, bool forward)
      : x(images), normaliser(before) {
    int64_t border = 0;
    for (const auto& by : all) border = std::max(border, window_of(by).padding());
    for (const auto& by : all) {
      convolutions.push_back({transposed(by.spatial), by.pointwise, forward ? transposed(by.pointwise) : at::Tensor(), {}});
      auto& [taps, pointwise, across, kernel] = convolutions.back();
      Window window = window_of(by);
      window.border = border;
      kernel = {window, pointwise.size(0), data(normaliser.scale), data(normaliser.shift), data(normaliser.hat_scale),
                data(normaliser.hat_shift), data(taps), data(pointwise), data(across)};
      scratch = std::max(scratch, kernels().separable_scratch(kernel));
    }
  }

  int64_t count() const { return static_cast<int64_t>(convolutions.size()); }
  const Separable& kernel(int64_t k) const { return convolutions[k].kernel; }
  const float* image(int64_t i) const { return image_of(x, i); }

 private:
  static const float* data(const at::Tensor& t) { return t.defined() ? t.data_ptr<float>() : nullptr; }
  Window window_of(const Convolution& by) const {
    return {x.size(1), x.size(2), x.size(3), by.spatial.size(2), by.stride, by.dilation, 0};
  }
};

/// The results and their moments.
std::pair<variable_list, variable_list> forward_images(const Call& call) {
  const auto& window = call.kernel(0).window;
  variable_list ys, moments;
  std::vector<MomentParts> parts;
  for (const auto& by : call.convolutions) {
    ys.push_back(empty_images(call.x, by.kernel.outputs, window.out_height(), window.out_width()));
    parts.emplace_back(extent_of(ys.back()));
  }
  for_each_image_and_next(call.x.size(0), call.scratch, [&](int64_t image, int64_t next, float* scratch) {
    kernels().rectify(call.kernel(0), call.image(image), scratch);
    for (int64_t k = 0; k < call.count(); ++k) {
      const int64_t size = image_size(ys[k]);
      float* const own = image_to(ys[k], image);
      Soon soon;
      soon.add(own, size);
      if (k + 1 == call.count()) soon.add(call.image(next), image_size(call.x));
      kernels().separable_forward(call.kernel(k), soon, own, scratch);
      parts[k].add(image, own);
    }
  });
  for (int64_t k = 0; k < call.count(); ++k) moments.push_back(parts[k].combine());
  return {ys, moments};
}

/// The gradient of the result of convolution `index`, and what is computed from it.
struct Returned {
  int64_t index;
  Deferred gradient;
  Parts spatial, pointwise;

  /// What the kernel will read for an image; nothing for one before the first.
  void add_to(Soon& soon, int64_t image) const {
    const int64_t size = image_size(gradient.upstream);
    soon.add(image_of(gradient.upstream, image), size);
    if (gradient.coefficients.defined()) soon.add(image_of(gradient.y, image), size);
  }
};

struct Gradients {
  at::Tensor dx, sums;
  variable_list spatial, pointwise;
};

/// `others`: gradients that came back from other readers of x.
Gradients backward_images(const Call& call, const std::vector<Returned>& returned, const variable_list& others,
                          bool wants_z) {
  const auto [images, channels, pixels] = extent_of(call.x);
  (void)pixels;
  auto dz = wants_z ? empty_images(call.x, channels, call.x.size(2), call.x.size(3)) : at::Tensor();
  const Parts sums = wants_z && call.normaliser.scale.defined() ? Parts(images, {2, channels}) : Parts();
  const bool rectified = std::any_of(returned.begin(), returned.end(), [](const Returned& r) {
    return r.spatial.wanted() || r.pointwise.wanted();
  });
  const auto last = returned.size() - 1;
  for_each_image_and_next(images, call.scratch, [&](int64_t image, int64_t next, float* scratch) {
    std::vector<const float*> added;
    for (const auto& other : others) added.push_back(image_of(other, image));
    if (rectified) kernels().rectify(call.kernel(0), call.image(image), scratch);
    float* const own = wants_z ? image_to(dz, image) : nullptr;
    for (size_t k = 0; k <= last; ++k) {
      const auto& [index, gradient, spatial, pointwise] = returned[k];
      Soon soon;
      const size_t following = k < last ? k + 1 : 0;
      const int64_t then = k < last ? image : next;
      returned[following].add_to(soon, then);
      if (following == last || (rectified && following == 0)) soon.add(call.image(then), image_size(call.x));
      if (following == last && wants_z) {
        soon.add(image_of(dz, then), image_size(call.x));
        for (const auto& other : others) soon.add(image_of(other, then), image_size(call.x));
      }
      const InputGradient input{k == 0, k == last, own, sums.of(image), added.data(), static_cast<int64_t>(added.size())};
      const SeparableGradient to{wants_z ? &input : nullptr, spatial.of(image), pointwise.of(image)};
      kernels().separable_backward(call.kernel(index), call.image(image), gradient_of(gradient, image), soon, to, scratch);
    }
  });
  Gradients result{dz, sums.sum(), variable_list(call.count()), variable_list(call.count())};
  for (const auto& [index, gradient, spatial, pointwise] : returned) {
    const auto& by = call.convolutions[index];
    const int64_t size = by.kernel.window.size;
    if (spatial.wanted()) result.spatial[index] = transposed(spatial.sum()).view({channels, 1, size, size});
    if (pointwise.wanted()) result.pointwise[index] = pointwise.sum().view(by.pointwise.sizes());
  }
  return result;
}

/// How dx, the gradient of what a norm reads, is made of dz, that of what it gives, and x. sums: over all pixels, of dz and
/// of dz hat, [2, channels].
Deferred through_norm(const Call& call, const at::Tensor& sums, bool by_batch, const at::Tensor& dz) {
  const auto [images, channels, pixels] = extent_of(dz);
  const double share = by_batch ? 1 / static_cast<double>(images * pixels) : 0;
  const Separable& kernel = call.kernel(0);
  const float *total = sums.data_ptr<float>(), *dot = total + channels;
  Coefficients by(channels);
  for (int64_t c = 0; c < channels; ++c)
    by.set(c, kernel.scale[c], kernel.hat_scale[c], kernel.hat_shift[c], share * total[c], share * dot[c]);
  return {dz, call.x, by.matrix(), {}};
}

/// Where its arguments are among those of `forward`, and its results among those it returns.
struct Layout {
  int64_t copies, convolutions;

  size_t spatial(int64_t k) const { return 1 + k; }
  size_t pointwise(int64_t k) const { return 1 + convolutions + k; }
  size_t weight() const { return 1 + 2 * convolutions; }
  size_t bias() const { return weight() + 1; }
  size_t result(int64_t k) const { return copies + k; }
};

struct SeparableFunction : torch::autograd::Function<SeparableFunction> {
  /// x `copies` times for other readers, then the results, then their moments. weight, bias: those of the norm, for autograd
  /// to see.
  static variable_list forward(AutogradContext* context, const at::Tensor& x, at::TensorList spatial,
                               at::TensorList pointwise, const optional<at::Tensor>& /*weight*/,
                               const optional<at::Tensor>& /*bias*/, int64_t copies, int64_t stride,
                               const std::vector<int64_t>& dilations, const Before& before, const DeferralPtr& of_x) {
    Normaliser normaliser;
    if (before.norm) normaliser = normaliser_of(*before.norm, before.moments.value_or(at::Tensor()), x.numel() / x.size(1));
    variable_list saved{x, normaliser.scale, normaliser.shift, normaliser.hat_scale, normaliser.hat_shift};
    saved.insert(saved.end(), spatial.begin(), spatial.end());
    saved.insert(saved.end(), pointwise.begin(), pointwise.end());
    context->save_for_backward(saved);
    context->saved_data["copies"] = copies;
    context->saved_data["stride"] = stride;
    context->saved_data["dilations"] = dilations;
    context->saved_data["by_batch"] = before.norm && before.norm->training;
    context->saved_data["affine"] = before.norm && before.norm->weight.defined();
    context->saved_data["of_x"] = saved_deferrals({of_x});
    const Call call(x, convolutions_of(saved, dilations, stride), normaliser, true);
    std::vector<DeferralPtr> deferrals(copies);  // nothing is left for those
    for (int64_t k = 0; k < call.count(); ++k) deferrals.push_back(c10::make_intrusive<Deferral>());
    context->saved_data["deferrals"] = saved_deferrals(deferrals);
    auto [ys, moments] = forward_images(call);
    context->mark_non_differentiable(moments);
    context->set_materialize_grads(false);
    variable_list results;
    for (int64_t i = 0; i < copies; ++i) results.push_back(x.detach());
    results.insert(results.end(), ys.begin(), ys.end());
    results.insert(results.end(), moments.begin(), moments.end());
    return results;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    auto& data = context->saved_data;
    const auto saved = context->get_saved_variables();
    const auto dilations = data["dilations"].toIntVector();
    const Call call(saved[0], convolutions_of(saved, dilations, data["stride"].toInt()),
                    {saved[1], saved[2], saved[3], saved[4]}, false);
    const Layout at{data["copies"].toInt(), call.count()};
    const auto needs = [&](size_t input) { return context->needs_input_grad(input); };
    const bool affine = data["affine"].toBool() && (needs(at.weight()) || needs(at.bias()));
    const auto parts = [&](bool wanted, at::IntArrayRef shape) {
      return wanted ? Parts(call.x.size(0), shape) : Parts();
    };
    const auto deferrals = deferrals_of(data["deferrals"]);
    std::vector<Returned> returned;
    for (int64_t k = 0; k < call.count(); ++k) {
      const auto gradient = arrived(deferrals[at.result(k)], gradients[at.result(k)]);
      if (!gradient.upstream.defined()) continue;
      const Separable& kernel = call.kernel(k);
      const auto& [channels, height, width, size, stride, dilation, border] = kernel.window;
      returned.push_back({k, gradient, parts(needs(at.spatial(k)), {size * size, channels}),
                          parts(needs(at.pointwise(k)), {kernel.outputs, channels})});
    }
    variable_list others;
    for (int64_t i = 0; i < at.copies; ++i)
      if (gradients[i].defined()) others.push_back(channels_last(gradients[i]));
    variable_list result(at.bias() + 1 + 5);  // copies, stride, dilations, before, of_x
    if (returned.empty()) {
      if (!others.empty()) result[0] = others.size() == 1 ? others[0] : add_images(others);
      return result;
    }
    auto found = backward_images(call, returned, others, needs(0) || affine);
    for (int64_t k = 0; k < call.count(); ++k) {
      result[at.spatial(k)] = found.spatial[k];
      result[at.pointwise(k)] = found.pointwise[k];
    }
    if (affine) {
      result[at.weight()] = found.sums[1];
      result[at.bias()] = found.sums[0];
    }
    if (!needs(0)) return result;
    if (call.normaliser.scale.defined()) {
      const auto left = through_norm(call, found.sums, data["by_batch"].toBool(), found.dx);
      if (const auto of_x = deferrals_of(data["of_x"])[0])
        of_x->left = left;
      else
        compute({{left, found.dx}});
    }
    result[0] = found.dx;
    return result;
  }

  /// From what was saved: after five others the depthwise weights, then the pointwise ones.
  static std::vector<Convolution> convolutions_of(const variable_list& saved, const std::vector<int64_t>& dilations,
                                                  int64_t stride) {
    std::vector<Convolution> convolutions;
    const size_t count = dilations.size();
    for (size_t k = 0; k < count; ++k)
      convolutions.push_back({saved[5 + k], saved[5 + count + k], stride, dilations[k]});
    return convolutions;
  }
};

/// The same with ATen's operators: any device and type, and what the kernel is tested against. It finds no moments.
at::Tensor compose(const at::Tensor& x, const Convolution& by, const Before& before) {
  const auto z = before.norm ? normalise(x, *before.norm) : x;
  const auto padding = [&](int64_t dim) { return (by.spatial.size(dim) - 1) / 2 * by.dilation; };
  const auto across = at::conv2d(at::relu(z), weight_for(x, by.spatial), {}, by.stride,
                                 at::IntArrayRef({padding(2), padding(3)}), by.dilation, x.size(1));
  return at::conv2d(across, weight_for(x, by.pointwise));
}

using Result = std::tuple<at::Tensor, at::Tensor>;

/// One of them alone, after the norm if there is one: by the kernels that fit.
Result separable_after(const at::Tensor& x, const Convolution& by, Before before) {
  if (before.norm && before.norm->weight.defined() && grid::are_images(x))  // whose kernels know no affine norm
    return separable_after(normalise(x, *before.norm), by, {});
  const grid::SeparableOptions on_grid{by.stride, by.dilation, before.norm, before.moments};
  if (grid::fits_separable(x, by.spatial, by.pointwise, on_grid))
    return grid::separable(x, by.spatial, by.pointwise, on_grid);
  const bool alone = before.norm && before.norm->training && x.size(0) * x.size(2) * x.size(3) == 1;
  if (alone || (before.norm && !are_plain(*before.norm, x.device())) || !fits(x, by))
    return {compose(x, by, before), at::empty({0}, x.options())};
  const auto images = channels_last(x);
  const bool known = before.moments && before.moments->numel() > 0;
  if (before.norm && before.norm->training && !known) before.moments = moments_of(images);
  const auto of_x = images.is_same(x) && before.norm ? claim_deferral(x) : DeferralPtr();
  const auto weight = before.norm ? optional<at::Tensor>(before.norm->weight) : c10::nullopt;
  const auto bias = before.norm ? optional<at::Tensor>(before.norm->bias) : c10::nullopt;
  const auto result =
      SeparableFunction::apply(images, at::TensorList({by.spatial.contiguous()}), at::TensorList({by.pointwise.contiguous()}),
                               weight, bias, 0, by.stride, std::vector<int64_t>{by.dilation}, before, of_x);
  return {result[0], result[1]};
}

Result separable(const at::Tensor& x, const at::Tensor& spatial, const at::Tensor& pointwise, int64_t stride,
                 int64_t dilation, const optional<at::Tensor>& moments, const optional<at::Tensor>& running_mean,
                 const optional<at::Tensor>& running_var, const optional<at::Tensor>& weight,
                 const optional<at::Tensor>& bias, bool training, double momentum, double eps) {
  const Convolution by{spatial, pointwise, stride, dilation};
  check(x, by);
  TORCH_CHECK(running_mean.has_value() == running_var.has_value(), "separable needs a mean and a variance, or neither");
  if (!running_mean || !running_var) return separable_after(x, by, {});
  const at::Tensor none;
  const Norm norm{*running_mean, *running_var, training, momentum, eps, weight.value_or(none), bias.value_or(none)};
  check_norm(norm, moments.value_or(none), x.size(1));
  return separable_after(x, by, {norm, moments});
}

}  // namespace

DeferralPtr claim_separable(const at::Tensor& y) { return claim_from<SeparableFunction>(y); }

std::vector<at::Tensor> separables(const at::Tensor& x, int64_t copies, const std::vector<Convolution>& convolutions) {
  for (const auto& by : convolutions) check(x, by);
  const bool all_fit = std::all_of(convolutions.begin(), convolutions.end(), [&](const auto& by) {
    return fits(x, by) && by.stride == convolutions[0].stride;
  });
  variable_list spatial, pointwise;
  std::vector<int64_t> dilations;
  if (all_fit && !convolutions.empty()) {
    for (const auto& by : convolutions) {
      spatial.push_back(by.spatial.contiguous());
      pointwise.push_back(by.pointwise.contiguous());
      dilations.push_back(by.dilation);
    }
    const auto images = channels_last(x);
    const int64_t own = images.requires_grad() ? copies : 0;
    const optional<at::Tensor> none;
    auto results = SeparableFunction::apply(images, at::TensorList(spatial), at::TensorList(pointwise), none, none, own,
                                            convolutions[0].stride, dilations, Before{}, DeferralPtr());
    results.insert(results.begin(), copies - own, x);
    return results;
  }
  auto results = copies_of(x, copies + static_cast<int64_t>(convolutions.size()));
  variable_list moments;
  for (size_t k = 0; k < convolutions.size(); ++k) {
    auto& result = results[copies + k];
    moments.emplace_back();
    std::tie(result, moments.back()) = separable_after(result, convolutions[k], {});
  }
  results.insert(results.end(), moments.begin(), moments.end());
  return results;
}

TORCH_LIBRARY_FRAGMENT(ddsas, library) {
  library.def(
      "separable(Tensor x, Tensor spatial, Tensor pointwise, int stride, int dilation, Tensor? moments, "
      "Tensor? running_mean, Tensor? running_var, Tensor? weight, Tensor? bias, bool training, float momentum, float eps) "
      "-> (Tensor, Tensor)",
      separable);
}

}  // namespace ddsas
