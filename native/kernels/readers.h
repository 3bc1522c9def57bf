// What reads one tensor x, computed together: separable convolutions and poolings of it, image by image while it is in the
// cache, and operators that take x itself.
#pragma once

#include "deferred.h"
#include "parts.h"
#include "statistics.h"

namespace ddsas {

/// Depthwise, then pointwise convolution of relu(x): spatial [c, 1, k, k], pointwise [o, c, 1, 1].
struct Convolution {
  at::Tensor spatial, pointwise;
  int64_t stride, dilation;
};

/// A 3x3 pooling; those who read its result see the same images.
struct Pool {
  bool maximum;
  int64_t stride, readers;
};

struct Readers {
  int64_t copies;  // of x
  std::vector<Convolution> convolutions;
  std::vector<Pool> pools;
};

/// x and its readers as the kernels take them.
class Call {
 public:
  /// before: the norm that the convolutions read x through, where it is defined. forward: only then are pointwise weights
  /// read by columns.
  Call(const at::Tensor& x, const Readers&, const Normaliser& before, bool forward);

  at::Tensor x;
  Normaliser normaliser;
  std::vector<Pool> pools;
  ScratchSize scratch{0, 0};

  int64_t convolutions() const { return static_cast<int64_t>(weights_.size()); }
  const Separable& kernel(int64_t k) const { return weights_[k].kernel; }
  Window window(const Pool&) const;

 private:
  /// Kept alive together with the pointers into it.
  struct Weights {
    at::Tensor taps, pointwise, across;
    Separable kernel;
  };
  std::vector<Weights> weights_;
};

/// Results of the convolutions, then those of the poolings; their moments; and which pixel each maximum took.
struct Results {
  std::vector<at::Tensor> ys, moments, choices;
};
Results forward_images(const Call&);

/// The gradient of the result of convolution `index`, and what is computed from it.
struct ReturnedConvolution {
  int64_t index;
  Deferred gradient;
  Parts spatial, pointwise;
};

/// The gradients that came back from the readers of a pooling.
struct ReturnedPool {
  Pool pool;
  std::vector<Deferred> gradients;
  at::Tensor choice;  // of a maximum
};

/// All that came back; others: of readers of x itself.
struct Returned {
  std::vector<ReturnedConvolution> convolutions;
  std::vector<ReturnedPool> pools;
  std::vector<Deferred> others;
};

/// dz: of what the convolutions' ReLU reads, and with it of x where there is no norm. sums: over all pixels, of dz and of dz
/// hat, [2, channels], where there is one.
struct Gradients {
  at::Tensor dz, sums;
};
Gradients backward_images(const Call&, const Returned&, bool wants_z);

}  // namespace ddsas
