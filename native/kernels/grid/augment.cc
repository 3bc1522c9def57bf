// ddsas::augment where the images lie on a GPU. An index beyond the images gives zeros: to look at it would be to wait.
#include <torch/library.h>

#include "device.h"

namespace ddsas::grid {

namespace {

/// As ddsas::augment on the CPU: images uint8 [n, c, h, w] -> float32 [b, c, h, w], channels last.
at::Tensor augment(const at::Tensor& images, const at::Tensor& indices, const at::Tensor& draws,
                   at::ArrayRef<double> mean, at::ArrayRef<double> std, int64_t padding, int64_t cutout) {
  const int64_t batch = indices.numel(), channels = images.size(1);
  TORCH_CHECK(images.dim() == 4 && images.scalar_type() == at::kByte && images.is_contiguous() && channels <= 4,
              "images should be contiguous uint8 [n, up to 4, h, w], not ", images.scalar_type(), images.sizes());
  TORCH_CHECK(indices.scalar_type() == at::kLong && indices.dim() == 1 && indices.is_contiguous() &&
                  draws.scalar_type() == at::kInt && draws.sizes() == at::IntArrayRef({batch, 5}) && draws.is_contiguous(),
              "indices should be int64 [batch], draws int32 [", batch, ", 5]");
  TORCH_CHECK(indices.device() == images.device() && draws.device() == images.device(), "indices are on ",
              indices.device(), ", draws on ", draws.device(), ", images on ", images.device());
  TORCH_CHECK(static_cast<int64_t>(mean.size()) == channels && static_cast<int64_t>(std.size()) == channels,
              "mean and std should have ", channels, " values");
  TORCH_CHECK(batch * images.size(2) * images.size(3) < kMostIndices, "a batch of ", batch, " images of ", images.size(2), " x ",
              images.size(3), " pixels is too large for one launch; take fewer at a time");
  auto result = at::empty({batch, channels, images.size(2), images.size(3)},
                          images.options().dtype(at::kFloat).memory_format(at::MemoryFormat::ChannelsLast));
  const auto narrow = [](int64_t n) { return static_cast<int>(n); };
  Augment call{images.data_ptr<uint8_t>(), indices.data_ptr<int64_t>(), draws.data_ptr<int32_t>(),
               result.data_ptr<float>(), images.size(0), narrow(batch), narrow(channels), narrow(images.size(2)),
               narrow(images.size(3)), narrow(padding), narrow(cutout), {}, {}};
  for (int64_t c = 0; c < channels; ++c) {
    call.scale[c] = static_cast<float>(1.0 / (255.0 * std[c]));
    call.shift[c] = static_cast<float>(-mean[c] / std[c]);
  }
  count_run(Kernel::augment, path_of(images));
  const auto on = launcher_of(images);
  on.table.augment(call, on.stream);
  return result;
}

}  // namespace

// also under a name of its own, so that a machine without a GPU can test it
TORCH_LIBRARY_FRAGMENT(ddsas, library) {
  library.def(
      "augment_on_grid(Tensor images, Tensor indices, Tensor draws, float[] mean, float[] std, int padding, int cutout) "
      "-> Tensor",
      augment);
}

TORCH_LIBRARY_IMPL(ddsas, CUDA, library) { library.impl("augment", augment); }

}  // namespace ddsas::grid
