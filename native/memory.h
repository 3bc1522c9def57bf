// Memory of CPU tensors: an allocator that counts, and a C library told to keep what it has.
#pragma once

#include <napi.h>

namespace ddsas {

/// Installs the counting allocator and the C library's settings; called once, when the addon loads.
void keep_and_count_memory();

/// memory(device) -> { live, peak, reserved, free }: bytes of tensors now, and the most since resetPeakMemory(). On CUDA
/// also the most that libtorch took from the device, graphs included, and what the device has left; 0 on the CPU.
Napi::Value Memory(const Napi::CallbackInfo& info);

/// resetPeakMemory(device): the peak becomes what is live now.
Napi::Value ResetPeakMemory(const Napi::CallbackInfo& info);

}  // namespace ddsas
