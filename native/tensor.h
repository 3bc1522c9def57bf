// Tensors to and from JavaScript's typed arrays, and what JavaScript asks of a tensor.
#pragma once

#include <napi.h>

namespace ddsas {

/// fromBytes(bytes: Uint8Array, dtype, shape) -> slot: a contiguous CPU tensor with a copy of the bytes.
Napi::Value FromBytes(const Napi::CallbackInfo& info);

/// toBytes(slot) -> ArrayBuffer: a copy of the elements in row-major order, from any device.
Napi::Value ToBytes(const Napi::CallbackInfo& info);

/// describe(slot) -> { shape, dtype, device, bytes }
Napi::Value DescribeTensor(const Napi::CallbackInfo& info);

/// item(slot) -> the value of a tensor of one element
Napi::Value Item(const Napi::CallbackInfo& info);

/// free(slots)
Napi::Value Free(const Napi::CallbackInfo& info);

/// liveSlots() -> how many tensors JavaScript holds
Napi::Value LiveSlots(const Napi::CallbackInfo& info);

}  // namespace ddsas
