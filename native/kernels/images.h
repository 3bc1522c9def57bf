// What the vector kernels ask of a tensor, and how they are spread over the images of a batch.
#pragma once

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <memory>

#include "simd/kernels.h"

namespace ddsas {

/// Float images on the CPU: what the kernels compute on; anything else takes the ATen composition.
inline bool are_cpu_images(const at::Tensor& x) {
  return kernels_enabled() && x.device().is_cpu() && x.scalar_type() == at::kFloat && x.dim() == 4 && x.numel() > 0;
}

inline at::Tensor channels_last(const at::Tensor& x) { return x.contiguous(at::MemoryFormat::ChannelsLast); }

/// A float32 weight as a composition takes it for images x: in bfloat16 where they are, else as it is.
inline at::Tensor weight_for(const at::Tensor& x, const at::Tensor& weight) {
  return x.scalar_type() == at::kBFloat16 ? weight.to(at::kBFloat16) : weight;
}

/// Images of x's type and number, channels last, not initialised.
inline at::Tensor empty_images(const at::Tensor& x, int64_t channels, int64_t height, int64_t width) {
  return at::empty({x.size(0), channels, height, width}, x.options().memory_format(at::MemoryFormat::ChannelsLast));
}

/// Calls body(image, scratch) for every image, in parallel; scratch is a thread's own.
template <typename Body>
void for_each_image(int64_t images, int64_t scratch_floats, Body body) {
  at::parallel_for(0, images, 1, [&](int64_t begin, int64_t end) {
    const std::unique_ptr<float[]> scratch(new float[scratch_floats]);
    for (int64_t image = begin; image < end; ++image) body(image, scratch.get());
  });
}

}  // namespace ddsas
