// Gradients left to the operator that made a tensor: how they are kept, and computed in full where they must be.
#include "deferred.h"

#include "statistics.h"

namespace ddsas {

void Coefficients::set(int64_t channel, double scale, double hat_scale, double hat_shift, double total, double dot) {
  const int64_t channels = matrix_.size(1);
  float* const to = matrix_.data_ptr<float>() + channel;
  to[0] = static_cast<float>(scale);
  to[channels] = static_cast<float>(-scale * hat_scale * dot);
  to[2 * channels] = static_cast<float>(-scale * (total + hat_shift * dot));
}

ResultGradient gradient_of(const Deferred& gradient, int64_t image) {
  const auto& [upstream, y, coefficients, kept] = gradient;
  if (!coefficients.defined()) return {image_of(upstream, image), nullptr, 1, nullptr, nullptr, nullptr};
  const float* const a = coefficients.data_ptr<float>();
  const int64_t channels = coefficients.size(1);
  const float part = kept.defined() ? kept.data_ptr<float>()[image] : 1;
  return {image_of(upstream, image), image_of(y, image), part, a, a + channels, a + 2 * channels};
}

void add_soon(Soon& soon, const Deferred& gradient, int64_t image) {
  const int64_t size = image_size(gradient.upstream);
  soon.add(image_of(gradient.upstream, image), size);
  if (gradient.coefficients.defined()) soon.add(image_of(gradient.y, image), size);
}

void compute(const std::vector<ToCompute>& all) {
  if (all.empty()) return;
  const auto [images, channels, pixels] = extent_of(all[0].to);
  for_each_image(images, [&, channels = channels, pixels = pixels](int64_t image) {
    for (const auto& [gradient, to] : all)
      kernels().whole_gradient(channels, pixels, gradient_of(gradient, image), false, image_to(to, image));
  });
}

namespace {

struct Deferrals : torch::CustomClassHolder {
  std::vector<DeferralPtr> all;
  explicit Deferrals(std::vector<DeferralPtr> given) : all(std::move(given)) {}
};

}  // namespace

c10::IValue saved_deferrals(std::vector<DeferralPtr> deferrals) {
  return c10::IValue::make_capsule(c10::make_intrusive<Deferrals>(std::move(deferrals)));
}

std::vector<DeferralPtr> deferrals_of(const c10::IValue& saved) {
  return c10::static_intrusive_pointer_cast<Deferrals>(saved.toCapsule())->all;
}

namespace {

DeferralPtr place_of(const at::Tensor& y) {
  const auto place = place_together(y);
  return place ? place : place_pointwise(y);
}

}  // namespace

DeferralPtr claim_deferral(const at::Tensor& y) {
  const auto place = place_of(y);
  if (!place || place->claimed) return {};
  place->claimed = true;
  return place;
}

bool gradient_is_left(const at::Tensor& y) {
  const auto place = place_of(y);
  return place && place->claimed;
}

Deferred arrived(const DeferralPtr& deferral, const at::Tensor& gradient) {
  c10::optional<Deferred> left;
  if (deferral) std::swap(left, deferral->left);
  if (!gradient.defined()) return {};
  if (!left) return {channels_last(gradient), {}, {}, {}};
  if (gradient.is_same(left->upstream)) {
    count_run(Kernel::left_gradient, kernels().path);
    return *left;
  }
  const auto own = at::empty_like(left->upstream);
  compute({{*left, own}});
  return {channels_last(own + (gradient - left->upstream)), {}, {}, {}};
}

}  // namespace ddsas
