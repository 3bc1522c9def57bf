// What engine this addon runs on: libtorch's version and place, threads, devices.
#pragma once

#include <napi.h>

namespace ddsas {

/// The table of tensors, the allocator and the interrupts are the process's: throws where another thread's JavaScript has them.
void own_process(Napi::Env);

/// engine() -> { version, path, config, threads, cuda, cudaKernels }: cuda is the number of devices, config libtorch's own
/// summary.
Napi::Value Engine(const Napi::CallbackInfo& info);

/// setThreads(n): how many threads libtorch computes one operator with.
Napi::Value SetThreads(const Napi::CallbackInfo& info);

}  // namespace ddsas
