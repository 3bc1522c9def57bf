// ddsas::sgd_ and ddsas::adam_: one step of an optimizer over all its tensors, clipping included. Nothing is waited for on
// a device, so that a step can be captured in a graph.
#include <torch/library.h>

#include <cmath>

#include "grid/device.h"
#include "parallel.h"

namespace ddsas {

namespace {

using OptionalTensors = c10::List<c10::optional<at::Tensor>>;

/// The gradient, lying in memory as its weight does; undefined for none.
at::Tensor gradient_like(const at::Tensor& weight, const c10::optional<at::Tensor>& gradient) {
  if (!gradient) return {};
  TORCH_CHECK(gradient->sizes() == weight.sizes(), "a gradient ", gradient->sizes(), " for a weight ", weight.sizes());
  if (gradient->strides() == weight.strides()) return *gradient;
  return at::empty_like(weight).copy_(*gradient);
}

struct Moving {
  at::TensorList weights, first, second;
  std::vector<at::Tensor> gradients;

  Moving(at::TensorList weights, const OptionalTensors& given, at::TensorList first, at::TensorList second)
      : weights(weights), first(first), second(second) {
    TORCH_CHECK(given.size() == weights.size() && first.size() == weights.size(), "there are ", weights.size(),
                " weights, ", given.size(), " gradients and ", first.size(), " states");
    for (size_t k = 0; k < weights.size(); ++k) {
      TORCH_CHECK(first[k].sizes() == weights[k].sizes(), "a state ", first[k].sizes(), " for a weight ", weights[k].sizes());
      gradients.push_back(gradient_like(weights[k], given.get(k)));
    }
  }

  /// Whether the kernels can: float32 on one device, all dense and laid out as their weights are.
  bool fits() const {
    if (weights.empty() || !grid::has_table(weights[0].device())) return false;
    for (size_t k = 0; k < weights.size(); ++k) {
      const auto& w = weights[k];
      const auto is_like = [&](const at::Tensor& t) {
        return t.scalar_type() == at::kFloat && t.device() == weights[0].device() && t.strides() == w.strides();
      };
      if (!w.is_non_overlapping_and_dense() || !is_like(w) || !is_like(first[k])) return false;
      if (!second.empty() && !is_like(second[k])) return false;
      if (gradients[k].defined() && !is_like(gradients[k])) return false;
    }
    return true;
  }

  /// Calls use(tensors) for chunks of what moves.
  template <typename Use>
  void in_chunks(Use use) const {
    for (size_t begin = 0; begin < weights.size(); begin += grid::kMostTensors) {
      grid::Tensors chunk{};
      for (size_t k = begin; k < std::min(weights.size(), begin + grid::kMostTensors); ++k) {
        const int at = chunk.count++;
        chunk.weight[at] = weights[k].data_ptr<float>();
        chunk.first[at] = first[k].data_ptr<float>();
        chunk.second[at] = second.empty() ? nullptr : second[k].data_ptr<float>();
        chunk.gradient[at] = gradients[k].defined() ? gradients[k].data_ptr<float>() : nullptr;
        chunk.start[at + 1] = chunk.start[at] + weights[k].numel();
      }
      use(chunk);
    }
  }

  /// What autograd saved of them before is not what they are now: a backward pass that needs it is refused.
  void count_as_changed() const {
    for (const auto& moved : {weights, first, second})
      for (const auto& tensor : moved) tensor.unsafeGetTensorImpl()->bump_version();
  }

  std::vector<at::Tensor> present() const {
    std::vector<at::Tensor> list;
    for (const auto& gradient : gradients)
      if (gradient.defined()) list.push_back(gradient);
    return list;
  }
};

double sum_of_squares(const float* x, int64_t count) {
  double sum = 0;
  for (int64_t i = 0; i < count; ++i) sum += static_cast<double>(x[i]) * x[i];
  return sum;
}

/// Joint 2-norm [], where the gradients are.
at::Tensor joint_norm(const std::vector<at::Tensor>& gradients, const at::TensorOptions& options) {
  if (gradients.empty()) return at::zeros({}, options);
  const bool dense = std::all_of(gradients.begin(), gradients.end(), [](const at::Tensor& g) {
    return g.device().is_cpu() && g.scalar_type() == at::kFloat && g.is_non_overlapping_and_dense();
  });
  if (!dense) return at::stack(at::_foreach_norm(gradients, 2)).norm();
  std::vector<double> squares(gradients.size());
  parallel_for(0, static_cast<int64_t>(gradients.size()), 8, [&](int64_t begin, int64_t end) {
    for (int64_t k = begin; k < end; ++k) squares[k] = sum_of_squares(gradients[k].data_ptr<float>(), gradients[k].numel());
  });
  double total = 0;
  for (const double square : squares) total += square;
  return at::scalar_tensor(std::sqrt(total), options);
}

/// The same with ATen's operators, for other devices and types.
void compose_sgd(const Moving& moving, const at::Tensor& norm, double rate, double momentum, double decay, double clip,
                 bool nesterov) {
  if (norm.device().is_cpu() && !std::isfinite(norm.item<double>())) return;
  const auto scale = (clip / (norm + 1e-6)).clamp_max(1);
  for (size_t k = 0; k < moving.weights.size(); ++k) {
    const auto &weight = moving.weights[k], &velocity = moving.first[k];
    auto gradient = weight * decay;
    if (moving.gradients[k].defined()) gradient.add_(moving.gradients[k] * scale);
    velocity.mul_(momentum).add_(gradient);
    weight.add_(nesterov ? gradient + velocity * momentum : velocity, -rate);
  }
}

at::Tensor sgd(at::TensorList weights, const OptionalTensors& given, at::TensorList velocities, double rate,
               double momentum, double decay, double clip, bool nesterov) {
  const Moving moving(weights, given, velocities, {});
  TORCH_CHECK(!weights.empty(), "there is no weight to move");
  const auto norm = joint_norm(moving.present(), weights[0].options().memory_format(c10::nullopt));
  if (!moving.fits()) {
    count_run(Kernel::sgd_, Path::aten);
    compose_sgd(moving, norm, rate, momentum, decay, clip, nesterov);
    return norm;
  }
  const auto narrow = [](double x) { return static_cast<float>(x); };
  const grid::Sgd how{norm.data_ptr<float>(), narrow(clip), narrow(rate), narrow(momentum), narrow(decay), nesterov};
  count_run(Kernel::sgd_, grid::path_of(weights[0]));
  const auto on = grid::launcher_of(weights[0]);
  moving.in_chunks([&](const grid::Tensors& chunk) { on.table.sgd(chunk, how, on.stream); });
  moving.count_as_changed();
  return norm;
}

void compose_adam(const Moving& moving, const at::Tensor& steps, double rate, double beta1, double beta2, double eps,
                  double decay) {
  const auto correction1 = 1 - at::pow(beta1, steps), correction2 = (1 - at::pow(beta2, steps)).sqrt();
  for (size_t k = 0; k < moving.weights.size(); ++k) {
    const auto &weight = moving.weights[k], &mean = moving.first[k], &square = moving.second[k];
    const auto gradient = moving.gradients[k].defined() ? moving.gradients[k] + weight * decay : weight * decay;
    mean.mul_(beta1).add_(gradient, 1 - beta1);
    square.mul_(beta2).addcmul_(gradient, gradient, 1 - beta2);
    weight.sub_(rate / correction1 * mean / (square.sqrt() / correction2 + eps));
  }
}

void adam(at::TensorList weights, const OptionalTensors& given, at::TensorList means, at::TensorList squares,
          const at::Tensor& steps, double rate, double beta1, double beta2, double eps, double decay) {
  const Moving moving(weights, given, means, squares);
  TORCH_CHECK(steps.scalar_type() == at::kDouble && steps.numel() == 1, "steps should be a float64 tensor of one element");
  TORCH_CHECK(squares.size() == weights.size(), "there are ", weights.size(), " weights and ", squares.size(), " squares");
  steps.add_(1);
  if (!moving.fits() || steps.device() != weights[0].device()) {
    count_run(Kernel::adam_, Path::aten);
    compose_adam(moving, steps, rate, beta1, beta2, eps, decay);
    return;
  }
  const grid::Adam how{steps.data_ptr<double>(), rate, beta1, beta2, eps, decay};
  count_run(Kernel::adam_, grid::path_of(weights[0]));
  const auto on = grid::launcher_of(weights[0]);
  moving.in_chunks([&](const grid::Tensors& chunk) { on.table.adam(chunk, how, on.stream); });
  moving.count_as_changed();
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(ddsas, library) {
  library.def(
      "sgd_(Tensor[] weights, Tensor?[] gradients, Tensor[] velocities, float rate, float momentum, float decay, "
      "float clip, bool nesterov=False) -> Tensor",
      sgd);
  library.def(
      "adam_(Tensor[] weights, Tensor?[] gradients, Tensor[] means, Tensor[] squares, Tensor steps, float rate, "
      "float beta1, float beta2, float eps, float decay) -> ()",
      adam);
}

}  // namespace ddsas
