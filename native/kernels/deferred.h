// Gradients left to the operator that made a tensor: it computes them where it reads them, image by image in the cache,
// instead of its reader writing all of them to memory.
#pragma once

#include <ATen/ATen.h>
#include <ATen/core/ivalue.h>
#include <torch/csrc/autograd/custom_function.h>

#include "images.h"

namespace ddsas {

/// a, b, d of the gradient a dy + b y + d that goes back through a norm, float32 [3, channels].
class Coefficients {
 public:
  explicit Coefficients(int64_t channels) : matrix_(at::empty({3, channels}, at::kFloat)) {}

  /// Of one channel: what y was multiplied by in all, its norm without weight and bias (hat), and the means over all pixels
  /// of dy and of dy hat(y); both 0 where the norm, if there is one, does not go by the batch.
  void set(int64_t channel, double scale, double hat_scale, double hat_shift, double total, double dot);

  const at::Tensor& matrix() const { return matrix_; }

 private:
  at::Tensor matrix_;
};

/// Stands for the gradient of an operator's result y: kept upstream a + y b + d, channel by channel.
struct Deferred {
  at::Tensor upstream, y;   // images of one shape, channels last; y detached, or it would keep the graph that keeps this
  at::Tensor coefficients;  // a, b, d; not defined: the gradient is `upstream`
  at::Tensor kept;          // float32 [images], or not defined: 1
};

/// As the kernels take it, of one image.
ResultGradient gradient_of(const Deferred&, int64_t image);

/// What a kernel will read of it for an image; nothing for one before the first.
void add_soon(Soon&, const Deferred&, int64_t image);

/// A gradient, and the images it is written to.
struct ToCompute {
  Deferred gradient;
  at::Tensor to;
};

/// Computes gradients of one shape, all of an image before the next: what they share is read from the cache.
void compute(const std::vector<ToCompute>&);

/// The place where the reader of a result leaves it: the gradient it returns then is `upstream` itself.
struct Deferral : torch::CustomClassHolder {
  bool claimed = false;
  c10::optional<Deferred> left;
};
using DeferralPtr = c10::intrusive_ptr<Deferral>;

/// What is to be saved in an autograd context, and back; some may be null.
c10::IValue saved_deferrals(std::vector<DeferralPtr>);
std::vector<DeferralPtr> deferrals_of(const c10::IValue&);

/// That of the kernel which made y, for one reader of y; null where nothing can be left, or another reader was first.
DeferralPtr claim_deferral(const at::Tensor& y);

/// Whether a reader has claimed it: the gradient that autograd sees of y is then not y's, but what that reader returned.
bool gradient_is_left(const at::Tensor& y);

/// The place for y where it was `Function` that made it: it saved "deferrals", for its first results in their order.
template <typename Function>
DeferralPtr place_from(const at::Tensor& y) {
  const auto maker = y.grad_fn();
  auto* const own = dynamic_cast<torch::autograd::CppNode<Function>*>(maker.get());
  if (own == nullptr) return {};
  const auto deferrals = deferrals_of(own->ctx_.saved_data["deferrals"]);
  const auto result = static_cast<size_t>(y.output_nr());
  return result < deferrals.size() ? deferrals[result] : DeferralPtr();
}

/// For what reads one tensor together, and for the pointwise convolutions.
DeferralPtr place_together(const at::Tensor& y);
DeferralPtr place_pointwise(const at::Tensor& y);

/// Takes what was left with a gradient that has come back. Where `gradient` is no longer what the reader returned, since
/// there were other readers, all of it is computed at once: the result has coefficients no more.
Deferred arrived(const DeferralPtr&, const at::Tensor& gradient);

}  // namespace ddsas
