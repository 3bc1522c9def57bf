// What the vector kernels ask of a tensor, and how they are spread over the images of a batch.
#pragma once

#include <ATen/ATen.h>

#include <algorithm>
#include <atomic>
#include <memory>

#include "grid/device.h"
#include "parallel.h"
#include "simd/kernels.h"

namespace ddsas {

/// Float images on the CPU: what the vector kernels compute on, but where those of the grid are tested in their stead;
/// anything else takes the ATen composition.
inline bool are_cpu_images(const at::Tensor& x) {
  return kernels_enabled() && x.device().is_cpu() && x.scalar_type() == at::kFloat && x.dim() == 4 && x.numel() > 0 &&
         !grid::are_images(x);
}

inline at::Tensor channels_last(const at::Tensor& x) { return x.contiguous(at::MemoryFormat::ChannelsLast); }

/// A float32 weight as a composition takes it for images x: in bfloat16 where they are, else as it is.
inline at::Tensor weight_for(const at::Tensor& x, const at::Tensor& weight) {
  return x.scalar_type() == at::kBFloat16 ? weight.to(at::kBFloat16) : weight;
}

/// A weight [rows, columns, …] by columns: [columns …, rows].
inline at::Tensor transposed(const at::Tensor& weight) {
  const int64_t rows = weight.size(0), columns = weight.numel() / rows;
  auto result = at::empty({columns, rows}, weight.options());
  const float* const from = weight.data_ptr<float>();
  float* const to = result.data_ptr<float>();
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t column = 0; column < columns; ++column) to[column * rows + row] = from[row * columns + column];
  return result;
}

/// Images of x's type and number, channels last, not initialised.
inline at::Tensor empty_images(const at::Tensor& x, int64_t channels, int64_t height, int64_t width) {
  return at::empty({x.size(0), channels, height, width}, x.options().memory_format(at::MemoryFormat::ChannelsLast));
}

/// Floats of an image of a batch.
inline int64_t image_size(const at::Tensor& x) { return x.numel() / x.size(0); }

/// Image i of a batch in channels last; null for one before the first.
template <typename Number = float>
inline const Number* image_of(const at::Tensor& x, int64_t i) {
  return i < 0 ? nullptr : x.data_ptr<Number>() + i * image_size(x);
}

/// The same, to write to.
template <typename Number = float>
inline Number* image_to(const at::Tensor& x, int64_t i) {
  return x.data_ptr<Number>() + i * image_size(x);
}

/// Memory as the vector kernels want it: a load across two cache lines takes twice the time.
class Scratch {
 public:
  explicit Scratch(const ScratchSize& size) : room_(new float[size.floats + kLine]) {
    void* data = room_.get();
    size_t bytes = (size.floats + kLine) * sizeof(float);
    data_ = static_cast<float*>(std::align(kLine * sizeof(float), size.floats * sizeof(float), data, bytes));
    std::fill_n(data_, size.zeros, 0.0f);
  }

  float* data() const { return data_; }

 private:
  static constexpr size_t kLine = 16;
  std::unique_ptr<float[]> room_;
  float* data_;
};

/// Calls body(image, next, scratch) for every image from `first` to `end`, in parallel; next is the image that the thread does
/// after it, or -1; scratch is a thread's own. A thread takes an image when it begins with the one before:
/// with a share fixed for each, all would wait for the slowest.
template <typename Body>
void for_each_image_between(int64_t first, int64_t end, const ScratchSize& size, const Body& body) {
  std::atomic<int64_t> untaken{first};
  parallel_for(0, std::min<int64_t>(end - first, at::get_num_threads()), 1, [&](int64_t, int64_t) {
    const Scratch scratch(size);
    for (int64_t image = untaken++, next; image < end; image = next) {
      next = untaken++;
      body(image, next < end ? next : -1, scratch.data());
    }
  });
}

/// All images of a batch.
template <typename Body>
void for_each_image_and_next(int64_t images, const ScratchSize& size, const Body& body) {
  for_each_image_between(0, images, size, body);
}

/// The same for a body(image) that needs neither.
template <typename Body>
void for_each_image(int64_t images, Body body) {
  for_each_image_and_next(images, {0, 0}, [&](int64_t image, int64_t, float*) { body(image); });
}

}  // namespace ddsas
