// Numbers of less than the smallest normal exponent count as zero while libtorch computes.
#pragma once

#include <ATen/Context.h>

namespace ddsas {

/// So on this thread while it lives, and for good on those that are started meanwhile, as those of OpenMP: a processor takes some
/// hundred cycles for one such number, and weights near zero, as of a softmax at a low temperature, make tensors of them.
/// JavaScript's own arithmetic keeps them. Nothing where the processor cannot.
class FlushDenormals final {
 public:
  FlushDenormals() { at::Context::setFlushDenormal(true); }
  ~FlushDenormals() { at::Context::setFlushDenormal(false); }
  FlushDenormals(const FlushDenormals&) = delete;
  FlushDenormals& operator=(const FlushDenormals&) = delete;
};

}  // namespace ddsas
