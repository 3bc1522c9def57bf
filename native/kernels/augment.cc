// ddsas::augment: gather, crop, flip, normalise and cut out a batch of images in one pass.
#include <ATen/ATen.h>
#include <torch/library.h>

#include "runs.h"

namespace ddsas {

namespace {

/// What is drawn for one image: offsets of the crop, whether to flip, centre of the square cut out (-1: none).
struct Draw {
  int32_t top, left, flip, centre_y, centre_x;
};
static_assert(sizeof(Draw) == 5 * sizeof(int32_t), "a row of `draws`");

struct Geometry {
  int64_t channels, height, width, padding, cutout;
};

/// Source pixel of output column x: flipped after cropping, as torchvision's transforms do.
int64_t source_column(int64_t x, const Draw& draw, const Geometry& g) {
  return (draw.flip != 0 ? g.width - 1 - x : x) + draw.left - g.padding;
}

bool cut_out(int64_t y, int64_t x, const Draw& draw, const Geometry& g) {
  const int64_t half = g.cutout / 2;
  return draw.centre_y >= 0 && y >= draw.centre_y - half && y < draw.centre_y + half && x >= draw.centre_x - half &&
         x < draw.centre_x + half;
}

/// One image: uint8 planes [channels, height, width] -> float [height, width, channels].
void augment_image(const uint8_t* from, float* to, const Draw& draw, const Geometry& g, const float* scale,
                   const float* shift) {
  for (int64_t y = 0; y < g.height; ++y) {
    const int64_t row = y + draw.top - g.padding;
    for (int64_t x = 0; x < g.width; ++x, to += g.channels) {
      const int64_t column = source_column(x, draw, g);
      const bool inside = row >= 0 && row < g.height && column >= 0 && column < g.width;
      const bool hidden = cut_out(y, x, draw, g);
      for (int64_t c = 0; c < g.channels; ++c) {
        const float pixel = inside ? static_cast<float>(from[(c * g.height + row) * g.width + column]) : 0.0f;
        to[c] = hidden ? 0.0f : pixel * scale[c] + shift[c];
      }
    }
  }
}

/// images uint8 [n, c, h, w], indices int64 [b], draws int32 [b, 5] -> float32 [b, c, h, w], channels last.
at::Tensor augment(const at::Tensor& images, const at::Tensor& indices, const at::Tensor& draws,
                   at::ArrayRef<double> mean, at::ArrayRef<double> std, int64_t padding, int64_t cutout) {
  TORCH_CHECK(images.dim() == 4 && images.scalar_type() == at::kByte && images.is_contiguous(),
              "images should be contiguous uint8 [n, c, h, w], not ", images.scalar_type(), images.sizes());
  const int64_t batch = indices.numel(), channels = images.size(1);
  TORCH_CHECK(indices.scalar_type() == at::kLong && indices.dim() == 1, "indices should be int64 [batch]");
  TORCH_CHECK(draws.scalar_type() == at::kInt && draws.sizes() == at::IntArrayRef({batch, 5}) && draws.is_contiguous(),
              "draws should be int32 [", batch, ", 5], not ", draws.scalar_type(), draws.sizes());
  TORCH_CHECK(static_cast<int64_t>(mean.size()) == channels && static_cast<int64_t>(std.size()) == channels,
              "mean and std should have ", channels, " values");
  std::vector<float> scale, shift;
  for (int64_t c = 0; c < channels; ++c) {
    scale.push_back(static_cast<float>(1.0 / (255.0 * std[c])));
    shift.push_back(static_cast<float>(-mean[c] / std[c]));
  }
  const Geometry g{channels, images.size(2), images.size(3), padding, cutout};
  const int64_t size = channels * g.height * g.width;
  count_run(Kernel::augment, Path::portable);
  auto result = at::empty({batch, channels, g.height, g.width},
                          at::TensorOptions().dtype(at::kFloat).memory_format(at::MemoryFormat::ChannelsLast));
  const auto positions = indices.contiguous();
  const auto* index = positions.data_ptr<int64_t>();
  const auto* draw = reinterpret_cast<const Draw*>(draws.data_ptr<int32_t>());
  for (int64_t i = 0; i < batch; ++i) {
    TORCH_CHECK(index[i] >= 0 && index[i] < images.size(0), "index ", index[i], " of ", images.size(0), " images");
    augment_image(images.data_ptr<uint8_t>() + index[i] * size, result.data_ptr<float>() + i * size, draw[i], g,
                  scale.data(), shift.data());
  }
  return result;
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(ddsas, library) {
  library.def(
      "augment(Tensor images, Tensor indices, Tensor draws, float[] mean, float[] std, int padding, int cutout) -> "
      "Tensor");
}

TORCH_LIBRARY_IMPL(ddsas, CPU, library) { library.impl("augment", augment); }

}  // namespace ddsas
