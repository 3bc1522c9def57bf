// What the grid kernels need of tensors: which device's table serves them, on what stream, with what scratch memory.
#pragma once

#include <ATen/ATen.h>
#include <c10/core/DeviceGuard.h>

#include "../runs.h"
#include "grid.h"

namespace ddsas::grid {

/// Whether this build has grid kernels for a device.
bool has_table(const at::Device& device);

/// Where and with what a tensor is computed on; its device is the current one for as long as this lives.
struct Launcher {
  c10::DeviceGuard device;
  const Table& table;
  void* stream;
};

/// Whether a kernel's indices of images are of 31 bits.
inline bool are_few(int64_t numbers) { return numbers < (int64_t{1} << 31); }

/// Float32 or bfloat16 images for which there is a table: CUDA's, and the CPU's for what its vector kernels do not take.
bool are_images(const at::Tensor& x);

/// Whether parameters lie where images x are computed on: float32, on its device.
bool is_parameter_for(const at::Tensor& parameter, const at::Tensor& x);

Launcher launcher_of(const at::Tensor& x);

/// How a run of these kernels is counted.
inline Path path_of(const at::Tensor& x) { return x.is_cuda() ? Path::cuda : Path::grid; }

Type type_of(const at::Tensor& x);

/// Scratch for a sum over rows into `columns` of `parts` floats; kept alive by `memory`.
Scratch scratch_for(const at::Tensor& x, int64_t columns, int64_t parts, at::Tensor& memory);

/// Whether a sum into so many columns can be taken.
inline bool can_sum(int64_t columns) { return (columns + kColumns - 1) / kColumns <= kCounters; }

}  // namespace ddsas::grid
