// Automatic differentiation for JavaScript over torch::autograd.
#include "autograd.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/ones.h>
#include <torch/csrc/autograd/autograd.h>

#include "errors.h"
#include "flush_denormals.h"
#include "kernels/deferred.h"
#include "slots.h"

namespace ddsas {

namespace {

torch::autograd::variable_list tensors_of(const Napi::Value& value) {
  const auto slots = value.As<Napi::Array>();
  torch::autograd::variable_list tensors;
  tensors.reserve(slots.Length());
  for (uint32_t i = 0; i < slots.Length(); ++i)
    tensors.push_back(at_slot(Napi::Value(slots[i]).As<Napi::Number>().Int32Value()));
  return tensors;
}

/// Gradients, whose inputs may have none. After an error the engine's queue of this thread keeps what was still to be computed, and
/// with it the graph and its tensors, until it is asked for gradients again: so it is, for those of a number.
torch::autograd::variable_list gradients_of(const at::Tensor& output, const torch::autograd::variable_list& inputs) {
  try {
    return torch::autograd::grad({output}, inputs, {}, false, false, true);
  } catch (...) {
    try {
      const at::AutoGradMode recorded(true);
      const auto one = at::ones({}).set_requires_grad(true);
      torch::autograd::grad({one * 1}, {one});
    } catch (const std::exception&) {
      // no memory for a number: what is asked for next does it
    }
    throw;
  }
}

}  // namespace

Napi::Value Grad(const Napi::CallbackInfo& info) {
  const auto env = info.Env();
  return guarded(env, [] { return std::string("grad"); }, [&]() -> Napi::Value {
    const auto& output = at_slot(info[0].As<Napi::Number>().Int32Value());
    const auto inputs = tensors_of(info[1]);
    for (size_t i = 0; i < inputs.size(); ++i)
      if (gradient_is_left(inputs[i]))
        throw std::invalid_argument("input " + std::to_string(i) + " lies between two kernels that leave its gradient to one "
                                    "another; ask for gradients of what it was made of, or compute without kernels");
    const FlushDenormals flush;
    const auto gradients = gradients_of(output, inputs);
    auto slots = Napi::Array::New(env, gradients.size());
    for (size_t i = 0; i < gradients.size(); ++i)
      slots[i] = gradients[i].defined() ? Napi::Number::New(env, put(gradients[i])) : env.Null();
    return slots;
  });
}

Napi::Value SetRequiresGrad(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [] { return std::string("requiresGrad"); }, [&]() -> Napi::Value {
    for (auto& tensor : tensors_of(info[0])) tensor.set_requires_grad(info[1].As<Napi::Boolean>().Value());
    return info.Env().Undefined();
  });
}

Napi::Value SetGradMode(const Napi::CallbackInfo& info) {
  const bool before = at::GradMode::is_enabled();
  at::GradMode::set_enabled(info[0].As<Napi::Boolean>().Value());
  return Napi::Boolean::New(info.Env(), before);
}

}  // namespace ddsas
