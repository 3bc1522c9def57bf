// The readers of a tensor as one operator for autograd. Only x is kept for its backward pass, and which pixels maxima took.
#include "together.h"

namespace ddsas {

namespace {

using c10::optional;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// How dx, the gradient of what a norm reads, is made of dz, that of what it gives, and x.
Deferred through_norm(const Call& call, const Gradients& found, bool by_batch) {
  const auto [images, channels, pixels] = extent_of(found.dz);
  const double share = by_batch ? 1 / static_cast<double>(images * pixels) : 0;
  const Separable& kernel = call.kernel(0);
  const float *total = found.sums.data_ptr<float>(), *dot = total + channels;
  Coefficients by(channels);
  for (int64_t c = 0; c < channels; ++c)
    by.set(c, kernel.scale[c], kernel.hat_scale[c], kernel.hat_shift[c], share * total[c], share * dot[c]);
  return {found.dz, call.x.detach(), by.matrix(), {}};
}

/// What the backward pass has to know besides tensors; weights of the convolutions are not in it.
struct Remembered : torch::CustomClassHolder {
  Readers readers;
  bool by_batch, affine;
  DeferralPtr of_x;

  Remembered(const Readers& given, const Before& before, DeferralPtr place)
      : readers(given), by_batch(before.norm && before.norm->training),
        affine(before.norm && before.norm->weight.defined()), of_x(std::move(place)) {
    for (auto& by : readers.convolutions) by.spatial = by.pointwise = at::Tensor();
  }
};

/// Where things are: among the arguments of `forward`, its results, and what it saved.
struct Layout {
  int64_t copies, convolutions;

  explicit Layout(const Readers& readers)
      : copies(readers.copies), convolutions(static_cast<int64_t>(readers.convolutions.size())) {}

  size_t spatial(int64_t k) const { return 1 + k; }
  size_t pointwise(int64_t k) const { return 1 + convolutions + k; }
  size_t weight() const { return 1 + 2 * convolutions; }
  size_t bias() const { return weight() + 1; }
  size_t arguments() const { return bias() + 1 + 3; }  // readers, before, of_x

  size_t result(int64_t k) const { return copies + k; }
  size_t first_pooled() const { return copies + convolutions; }

  static constexpr int64_t saved_weights = 5;  // after x and the normaliser
  int64_t saved_choices() const { return saved_weights + 2 * convolutions; }
};

struct Together : torch::autograd::Function<Together> {
  /// spatial, pointwise, and weight and bias of the norm: for autograd to see.
  static variable_list forward(AutogradContext* context, const at::Tensor& x, at::TensorList spatial,
                               at::TensorList pointwise, const optional<at::Tensor>& /*weight*/,
                               const optional<at::Tensor>& /*bias*/, const Readers& readers, const Before& before,
                               const DeferralPtr& of_x) {
    Normaliser normaliser;
    if (before.norm) normaliser = normaliser_of(*before.norm, before.moments.value_or(at::Tensor()), x.numel() / x.size(1));
    auto [ys, moments, choices] = forward_images(Call(x, readers, normaliser, true));
    variable_list saved{x, normaliser.scale, normaliser.shift, normaliser.hat_scale, normaliser.hat_shift};
    for (const auto& more : {spatial, pointwise, at::TensorList(choices)}) saved.insert(saved.end(), more.begin(), more.end());
    context->save_for_backward(saved);
    context->saved_data["remembered"] = c10::IValue::make_capsule(c10::make_intrusive<Remembered>(readers, before, of_x));
    variable_list results;
    for (int64_t i = 0; i < readers.copies; ++i) results.push_back(x.detach());
    const size_t convolutions = readers.convolutions.size();
    results.insert(results.end(), ys.begin(), ys.begin() + static_cast<int64_t>(convolutions));
    for (size_t p = 0; p < readers.pools.size(); ++p)
      for (int64_t i = 0; i < readers.pools[p].readers; ++i) results.push_back(ys[convolutions + p].detach());
    std::vector<DeferralPtr> deferrals;
    for (size_t i = 0; i < results.size(); ++i) deferrals.push_back(c10::make_intrusive<Deferral>());
    context->saved_data["deferrals"] = saved_deferrals(deferrals);
    context->mark_non_differentiable(moments);
    context->set_materialize_grads(false);
    results.insert(results.end(), moments.begin(), moments.end());
    return results;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto remembered = c10::static_intrusive_pointer_cast<Remembered>(context->saved_data["remembered"].toCapsule());
    const auto saved = context->get_saved_variables();
    const Layout at(remembered->readers);
    auto readers = remembered->readers;
    for (int64_t k = 0; k < at.convolutions; ++k) {
      readers.convolutions[k].spatial = saved[at.saved_weights + k];
      readers.convolutions[k].pointwise = saved[at.saved_weights + at.convolutions + k];
    }
    const Call call(saved[0], readers, {saved[1], saved[2], saved[3], saved[4]}, false);
    const auto deferrals = deferrals_of(context->saved_data["deferrals"]);
    const auto returned = [&](size_t result) { return arrived(deferrals[result], gradients[result]); };
    const auto needs = [&](size_t input) { return context->needs_input_grad(input); };
    Returned all;
    for (int64_t k = 0; k < at.convolutions; ++k)
      if (const auto gradient = returned(at.result(k)); gradient.upstream.defined())
        all.convolutions.push_back(convolution(call, k, gradient, needs(at.spatial(k)), needs(at.pointwise(k))));
    size_t result = at.first_pooled();
    for (size_t p = 0; p < readers.pools.size(); ++p) {
      ReturnedPool pool{readers.pools[p], {}, saved[at.saved_choices() + static_cast<int64_t>(p)]};
      for (int64_t i = 0; i < pool.pool.readers; ++i)
        if (const auto gradient = returned(result++); gradient.upstream.defined()) pool.gradients.push_back(gradient);
      if (!pool.gradients.empty()) all.pools.push_back(pool);
    }
    for (int64_t i = 0; i < at.copies; ++i)
      if (const auto gradient = returned(i); gradient.upstream.defined()) all.others.push_back(gradient);
    const bool affine = remembered->affine && (needs(at.weight()) || needs(at.bias()));
    const bool some = !all.convolutions.empty() || !all.pools.empty() || !all.others.empty();
    variable_list results(at.arguments());
    if (!some) return results;
    const auto found = backward_images(call, all, needs(0) || affine);
    for (const auto& [k, gradient, spatial, pointwise] : all.convolutions) {
      const auto& by = readers.convolutions[k];
      if (spatial.wanted()) results[at.spatial(k)] = transposed(spatial.sum()).view(by.spatial.sizes());
      if (pointwise.wanted()) results[at.pointwise(k)] = pointwise.sum().view(by.pointwise.sizes());
    }
    if (affine) {
      results[at.weight()] = found.sums[1];
      results[at.bias()] = found.sums[0];
    }
    if (!needs(0)) return results;
    results[0] = found.dz;
    if (!call.normaliser.scale.defined()) return results;
    const auto left = through_norm(call, found, remembered->by_batch);
    if (remembered->of_x)
      remembered->of_x->left = left;
    else
      compute({{left, found.dz}});
    return results;
  }

  static ReturnedConvolution convolution(const Call& call, int64_t k, const Deferred& gradient, bool spatial, bool pointwise) {
    const auto& window = call.kernel(k).window;
    const auto parts = [&](bool wanted, int64_t rows) {
      return wanted ? Parts(call.x.size(0), {rows, window.channels}) : Parts();
    };
    return {k, gradient, parts(spatial, window.size * window.size), parts(pointwise, call.kernel(k).outputs)};
  }
};

}  // namespace

DeferralPtr place_together(const at::Tensor& y) { return place_from<Together>(y); }

std::vector<at::Tensor> read_together(const at::Tensor& x, const Readers& given, const Before& before,
                                      const DeferralPtr& of_x) {
  auto readers = given;
  variable_list spatial, pointwise;
  for (auto& by : readers.convolutions) {
    spatial.push_back(by.spatial = by.spatial.contiguous());
    pointwise.push_back(by.pointwise = by.pointwise.contiguous());
  }
  const auto part = [&](const at::Tensor& of_norm) { return before.norm ? optional<at::Tensor>(of_norm) : c10::nullopt; };
  const Norm none{};
  const Norm& norm = before.norm ? *before.norm : none;
  return Together::apply(x, at::TensorList(spatial), at::TensorList(pointwise), part(norm.weight), part(norm.bias), readers,
                         before, of_x);
}

}  // namespace ddsas
