// Gradients that every image has a part of, added up in the order of the images: the same bits on any number of threads.
#pragma once

#include "images.h"

namespace ddsas {

/// As many images as are computed before their parts are added up: what is kept does not grow with the batch, and there are
/// enough for threads not to wait for each other. The order is the same whatever this is, so that no bit depends on it.
inline int64_t images_at_once() { return std::max<int64_t>(64, 4 * at::get_num_threads()); }

/// The parts of a gradient, or none of them.
class Parts {
 public:
  Parts() = default;
  Parts(int64_t images, at::IntArrayRef shape) : sum_(at::empty(shape, at::kFloat)) {
    parts_ = at::empty({std::min(images, images_at_once()), sum_.numel()}, at::kFloat);
  }

  bool wanted() const { return sum_.defined(); }

  /// Where the part of an image goes; null where none is wanted.
  float* of(int64_t image) const {
    return wanted() ? parts_.data_ptr<float>() + image % parts_.size(0) * parts_.size(1) : nullptr;
  }

  /// Adds the parts of the images from `first` to `end`, which begin a group; all before were added.
  void add(int64_t first, int64_t end) const {
    if (!wanted()) return;
    const float* const parts = parts_.data_ptr<float>();
    float* const to = sum_.data_ptr<float>();
    const int64_t size = parts_.size(1), count = end - first;
    // few enough for one thread to keep the sums in its nearest cache
    constexpr int64_t kNumbers = 1024;
    parallel_for(0, size, kNumbers, [&](int64_t from, int64_t until) {
      if (first == 0) std::copy(parts + from, parts + until, to + from);
      for (int64_t part = first == 0 ? 1 : 0; part < count; ++part)
        for (int64_t i = from; i < until; ++i) to[i] += parts[part * size + i];
    });
  }

  /// Not defined where none was wanted.
  const at::Tensor& sum() const { return sum_; }

 private:
  at::Tensor sum_, parts_;
};

/// Calls body(image, next, scratch) for every image, and add(first, end) for each group of them when it is done.
template <typename Body, typename Add>
void for_each_image_in_groups(int64_t images, const ScratchSize& size, const Body& body, const Add& add) {
  const int64_t group = images_at_once();
  for (int64_t first = 0; first < images; first += group) {
    const int64_t end = std::min(images, first + group);
    for_each_image_between(first, end, size, body);
    add(first, end);
  }
}

}  // namespace ddsas
