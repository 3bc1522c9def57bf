// Memory of tensors: an allocator that counts and keeps to a limit, and a C library told to keep what it has.
#pragma once

#include <napi.h>

namespace ddsas {

/// Installs the counting allocator and the C library's settings; called once, when the addon loads.
void keep_and_count_memory();

/// memory(device) -> { live, peak, held, reserved, free }: bytes of tensors now, the most since resetPeakMemory(), and what the
/// process holds for them and would use again. On CUDA also the most that libtorch took from the device, graphs included, and
/// what the device has left; 0 on the CPU.
Napi::Value Memory(const Napi::CallbackInfo& info);

/// resetPeakMemory(device): the peak becomes what is live now.
Napi::Value ResetPeakMemory(const Napi::CallbackInfo& info);

/// releaseMemory(): what the C library keeps for tensors of the CPU and none needs now goes back to the system; the peak becomes what
/// is live.
Napi::Value ReleaseMemory(const Napi::CallbackInfo& info);

/// setMemoryLimit(device, bytes): what tensors of the whole process may take from now on; 0: no limit. On the CPU to the byte; on
/// CUDA it is what libtorch may take from the device, spare blocks and graphs included. An allocation beyond it throws.
Napi::Value SetMemoryLimit(const Napi::CallbackInfo& info);

}  // namespace ddsas
