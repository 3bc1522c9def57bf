// Gradients left to the operator that made a tensor: it computes them where it reads them, image by image in the cache,
// instead of its reader writing all of them to memory.
#pragma once

#include <ATen/ATen.h>
#include <ATen/core/ivalue.h>

namespace ddsas {

/// Stands for the gradient of an operator's result y: kept upstream a + y b + d, channel by channel.
struct Deferred {
  at::Tensor upstream, y;   // images of one shape
  at::Tensor coefficients;  // a, b, d: float32 [3, channels]
  at::Tensor kept;          // float32 [images], or undefined: 1
};

/// The place where the reader of a result leaves it: the gradient it returns then is `upstream` itself.
struct Deferral : torch::CustomClassHolder {
  bool claimed = false;
  c10::optional<Deferred> left;
};
using DeferralPtr = c10::intrusive_ptr<Deferral>;

/// That of the kernel which made y, for one reader of y; null where nothing can be left, or another reader was first.
DeferralPtr claim_deferral(const at::Tensor& y);

/// What is to be saved in an autograd context, and back.
c10::IValue saved_deferrals(const std::vector<DeferralPtr>&);
std::vector<DeferralPtr> deferrals_of(const c10::IValue&);

/// Takes what was left with a gradient that has come back. Where `gradient` is no longer what the reader returned, since
/// there were other readers, all of it is computed at once: the result has coefficients no more.
Deferred arrived(const DeferralPtr&, const at::Tensor& gradient);

}  // namespace ddsas
