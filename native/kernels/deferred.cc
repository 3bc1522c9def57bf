// Gradients left to the operator that made a tensor: how they are kept, and computed in full where they must be.
#include "deferred.h"

namespace ddsas {

c10::IValue saved_deferrals(const std::vector<DeferralPtr>& deferrals) {
  c10::impl::GenericList list(c10::AnyType::get());
  for (const auto& deferral : deferrals)
    list.push_back(deferral ? c10::IValue::make_capsule(deferral) : c10::IValue());
  return list;
}

std::vector<DeferralPtr> deferrals_of(const c10::IValue& saved) {
  std::vector<DeferralPtr> deferrals;
  for (const c10::IValue& value : saved.toListRef())
    deferrals.push_back(value.isNone() ? DeferralPtr()
                                       : c10::static_intrusive_pointer_cast<Deferral>(value.toCapsule()));
  return deferrals;
}

namespace {

at::Tensor whole(const Deferred& by) {
  const auto coefficient = [&](int64_t row) { return by.coefficients[row].view({1, -1, 1, 1}); };
  auto scaled = by.upstream * coefficient(0);
  if (by.kept.defined()) scaled = scaled * by.kept.view({-1, 1, 1, 1});
  return scaled + by.y * coefficient(1) + coefficient(2);
}

}  // namespace

Deferred arrived(const DeferralPtr& deferral, const at::Tensor& gradient) {
  c10::optional<Deferred> left;
  if (deferral) std::swap(left, deferral->left);
  if (!left || !gradient.defined()) return {gradient, {}, {}, {}};
  if (gradient.is_same(left->upstream)) return *left;
  return {whole(*left) + (gradient - left->upstream), {}, {}, {}};
}

}  // namespace ddsas
