// CUDA graphs for JavaScript: what is computed between two calls, recorded once and replayed.
#pragma once

#include <napi.h>

namespace ddsas {

/// (device): makes the work of a CUDA device go to a stream of its own, in full float32.
Napi::Value PrepareDevice(const Napi::CallbackInfo& info);
/// Begins to record instead of to compute; one at a time.
Napi::Value BeginGraph(const Napi::CallbackInfo& info);
/// -> { graph, launches }: its number, and how many kernels, copies and fills it is.
Napi::Value EndGraph(const Napi::CallbackInfo& info);
Napi::Value ReplayGraph(const Napi::CallbackInfo& info);
Napi::Value FreeGraph(const Napi::CallbackInfo& info);
/// Waits for the device.
Napi::Value Synchronize(const Napi::CallbackInfo& info);

}  // namespace ddsas
