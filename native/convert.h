// Conversion between JavaScript values and libtorch's IValues, driven by an operator's schema.
#pragma once

#include <ATen/core/function_schema.h>
#include <ATen/core/ivalue.h>
#include <ATen/core/jit_type.h>
#include <napi.h>

#include <string>

namespace ddsas {

/// A JavaScript value as the schema's argument type asks. Throws std::invalid_argument naming the type it wanted.
c10::IValue to_ivalue(const Napi::Value& value, const c10::TypePtr& type);

/// An element type by libtorch's number for it. Throws std::invalid_argument for any other.
at::ScalarType to_dtype(const Napi::Value& value);

/// What an operator returned: slots for tensors (null for an undefined one), arrays for lists and tuples.
Napi::Value from_ivalue(Napi::Env env, const c10::IValue& value);

/// "float32[2, 3]" for a tensor, also in a list, its value for anything else: what an error message shows of an argument.
std::string describe(const c10::IValue& value);

}  // namespace ddsas
