// Which kernels ran, and by which path: tests ask, so that none compares ATen's operators with themselves.
#pragma once

namespace ddsas {

/// What an operator of ddsas:: computes; left_gradient: a gradient that was computed where it was read (see deferred.h).
enum class Kernel {
  separable,
  fan_out,
  max_pool3,
  avg_pool3,
  relu_pointwise,
  factorized_reduce,
  mix,
  left_gradient,
  augment,
  image_augment,
  sgd_,
  adam_,
  count
};

/// An instruction set of the CPU, the grid kernels on the CPU or on CUDA, or ATen's operators instead.
enum class Path { portable, avx2, avx512, grid, cuda, aten, count };

const char* name_of(Path);

void count_run(Kernel, Path);

}  // namespace ddsas
