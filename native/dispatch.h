// One generic call for every operator libtorch knows, converted by the operator's own schema.
#pragma once

#include <napi.h>

namespace ddsas {

/// operator(name: string) -> id. `name` is "aten::relu" or, with an overload, "aten::add.Tensor".
Napi::Value FindOperator(const Napi::CallbackInfo& info);

/// call(id, arguments: array) -> result. Tensors are slots; null takes the schema's default.
Napi::Value Call(const Napi::CallbackInfo& info);

/// callLater(id, arguments) -> ticket: the same call on a thread of its own.
Napi::Value CallLater(const Napi::CallbackInfo& info);

/// finish(ticket) -> result: waits for a call started by callLater; throws what it threw.
Napi::Value Finish(const Napi::CallbackInfo& info);

}  // namespace ddsas
