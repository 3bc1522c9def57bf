// Mean and variance of each channel over a batch, from parts found image by image.
#pragma once

#include "images.h"

#include <vector>

namespace ddsas {

/// images x channels x pixels of a batch in channels last.
struct Extent {
  int64_t images, channels, pixels;
};

inline Extent extent_of(const at::Tensor& x) { return {x.size(0), x.size(1), x.size(2) * x.size(3)}; }

/// Collects each image's moments while a kernel has the image in the cache.
class MomentParts {
 public:
  explicit MomentParts(Extent extent) : extent_(extent), parts_(extent.images * 3 * extent.channels) {}

  /// Reads the image; may be called for different images at once.
  void add(int64_t image, const float* data);

  /// Mean and variance (biased) of each channel, float32 [2, channels].
  at::Tensor combine() const;

 private:
  Extent extent_;
  std::vector<float> parts_;  // of each image its first pixel, and the sums of differences from it and of their squares
};

/// The moments of a batch that no kernel found on its way: one more pass over it.
at::Tensor moments_of(const at::Tensor& x);

/// A batch norm: what normalises, and whether by the batch or by the running statistics.
struct Norm {
  at::Tensor running_mean, running_var;
  bool training;
  double momentum, eps;
  at::Tensor weight, bias;  // of an affine norm, else undefined
};

/// Throws where the statistics are not [channels] each, or the moments, if there are any, not float32 [2, channels].
void check_norm(const Norm& norm, const at::Tensor& moments, int64_t channels);

/// Whether the kernels of a device can read and write the statistics; ATen's batch norm takes all others.
bool are_plain(const Norm& norm, const at::Device& device);

/// The norm by ATen.
inline at::Tensor normalise(const at::Tensor& x, const Norm& by) {
  return at::batch_norm(x, by.weight, by.bias, by.running_mean, by.running_var, by.training, by.momentum, by.eps, true);
}

/// y = scale x + shift is what the norm gives, hat = hat_scale x + hat_shift that without its weight and bias; float32
/// [channels] each.
struct Normaliser {
  at::Tensor scale, shift;
  at::Tensor hat_scale = scale, hat_shift = shift;
};

/// Updates the running statistics in training. `moments` are those of the batch; not looked at in evaluation mode.
Normaliser normaliser_of(const Norm& norm, const at::Tensor& moments, int64_t count);

}  // namespace ddsas
