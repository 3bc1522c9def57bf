// Automatic differentiation for JavaScript: which tensors need a gradient, and the gradients themselves.
#pragma once

#include <napi.h>

namespace ddsas {

/// grad(output, inputs: slots) -> slots: d output / d input for each input; null where it does not depend on it.
Napi::Value Grad(const Napi::CallbackInfo& info);

/// setRequiresGrad(slots, flag): leaf tensors only.
Napi::Value SetRequiresGrad(const Napi::CallbackInfo& info);

/// setGradMode(flag) -> the mode before: whether operators record what backward needs.
Napi::Value SetGradMode(const Napi::CallbackInfo& info);

}  // namespace ddsas
