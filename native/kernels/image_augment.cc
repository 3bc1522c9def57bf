// ddsas::image_augment: crop, resize, flip, colour jitter and normalising of decoded images, as torchvision's transforms.
//
// Resizing is PIL's antialiased bilinear filter; the jitter is torchvision's on float images. No sum depends on the
// width of the vector registers and nothing is contracted to fused multiply-adds, so that a seed gives the same batches
// on every processor.
#include <ATen/ATen.h>
#include <torch/library.h>

#include <algorithm>
#include <cmath>
#include <cstring>

// GCC compiles these loops twice and picks by processor; elsewhere they are compiled for the base instructions alone.
// Without the promise that nobody looks at floating-point traps, it would not make one flow of the choices in a loop.
#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__) && defined(__gnu_linux__) && \
    !defined(__SANITIZE_ADDRESS__)
#define DDSAS_VECTORS __attribute__((target_clones("avx2", "default")))
#pragma GCC optimize("no-trapping-math")
#else
#define DDSAS_VECTORS
#endif

namespace ddsas {

namespace {

constexpr int64_t channels = 3;
constexpr int64_t lanes = 16;

/// Which part of a decoded image is taken, in its pixels; edges may lie between two.
struct Box {
  double left, top, width, height;
};

/// Mirrored or not, then the jitter's operations in their order (-1: none).
struct Draw {
  int32_t flip, order[4];
};
static_assert(sizeof(Draw) == 5 * sizeof(int32_t), "a row of `draws`");

enum Jitter { brightness, contrast, saturation, hue, jitters };

/// For each output pixel along an axis: the first input pixel of its filter, and `width` weights (zeros at the end).
struct Taps {
  int64_t width = 0;
  std::vector<int64_t> first;
  std::vector<float> weights;
};

/// Weights of the triangle filter that maps `length` pixels from `start` on to `out`, among `in` pixels.
Taps make_taps(double start, double length, int64_t in, int64_t out) {
  const double scale = length / static_cast<double>(out), radius = std::max(scale, 1.0);
  Taps taps;
  taps.width = std::min<int64_t>(in, static_cast<int64_t>(std::ceil(radius)) * 2 + 1);
  taps.first.resize(out);
  taps.weights.assign(out * taps.width, 0.0f);
  std::vector<double> row(taps.width);
  for (int64_t i = 0; i < out; ++i) {
    const double centre = start + (static_cast<double>(i) + 0.5) * scale;
    const int64_t begin = std::max<int64_t>(0, static_cast<int64_t>(centre - radius + 0.5));
    const int64_t end = std::min<int64_t>(in, static_cast<int64_t>(centre + radius + 0.5));
    const int64_t first = std::min(begin, in - taps.width);
    double sum = 0;
    for (int64_t k = 0; k < taps.width; ++k) {
      const int64_t pixel = first + k;
      const double distance = std::abs(static_cast<double>(pixel) + 0.5 - centre) / radius;
      row[k] = pixel >= begin && pixel < end ? std::max(0.0, 1.0 - distance) : 0.0;
      sum += row[k];
    }
    taps.first[i] = first;
    for (int64_t k = 0; k < taps.width; ++k) taps.weights[i * taps.width + k] = static_cast<float>(row[k] / sum);
  }
  return taps;
}

/// to[v] = sum over k of weights[k] rows[k][v]: one output row before it is resized across.
DDSAS_VECTORS void blend_rows(const uint8_t* rows, int64_t values, const float* weights, int64_t count, float* to) {
  for (int64_t v = 0; v < values; ++v) to[v] = weights[0] * static_cast<float>(rows[v]);
  for (int64_t k = 1; k < count; ++k) {
    const uint8_t* row = rows + k * values;
    for (int64_t v = 0; v < values; ++v) to[v] += weights[k] * static_cast<float>(row[v]);
  }
}

/// Four floats as one register: a pixel's channels and one value more, which is not used.
typedef float Pixel __attribute__((vector_size(16)));

/// One row of pixels -> `size` values in each of three planes, scaled to 0..1.
void resize_row(const float* row, const Taps& taps, int64_t size, bool flip, float* red, float* green, float* blue) {
  for (int64_t i = 0; i < size; ++i) {
    const int64_t from = flip ? size - 1 - i : i;
    const float* weights = taps.weights.data() + from * taps.width;
    const float* pixels = row + channels * taps.first[from];
    Pixel sum = {0, 0, 0, 0};
    for (int64_t k = 0; k < taps.width; ++k) {
      Pixel pixel;
      std::memcpy(&pixel, pixels + channels * k, sizeof pixel);
      sum += weights[k] * pixel;
    }
    red[i] = sum[0] * (1.0f / 255);
    green[i] = sum[1] * (1.0f / 255);
    blue[i] = sum[2] * (1.0f / 255);
  }
}

inline float clamp01(float x) {
  const float above = x < 0.0f ? 0.0f : x;
  return above > 1.0f ? 1.0f : above;
}

inline float grey_of(float red, float green, float blue) { return 0.2989f * red + 0.587f * green + 0.114f * blue; }

DDSAS_VECTORS void adjust_brightness(float* values, int64_t count, float factor) {
  for (int64_t i = 0; i < count; ++i) values[i] = clamp01(values[i] * factor);
}

DDSAS_VECTORS double mean_grey(const float* red, const float* green, const float* blue, int64_t count) {
  double sums[lanes] = {};
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes)
    for (int64_t lane = 0; lane < lanes; ++lane) sums[lane] += grey_of(red[i + lane], green[i + lane], blue[i + lane]);
  for (; i < count; ++i) sums[0] += grey_of(red[i], green[i], blue[i]);
  double sum = 0;
  for (const double part : sums) sum += part;
  return sum / static_cast<double>(count);
}

DDSAS_VECTORS void blend_with(float* values, int64_t count, float factor, float other) {
  for (int64_t i = 0; i < count; ++i) values[i] = clamp01(factor * values[i] + other);
}

DDSAS_VECTORS void adjust_saturation(float* __restrict red, float* __restrict green, float* __restrict blue,
                                     int64_t count, float factor) {
  for (int64_t i = 0; i < count; ++i) {
    const float grey = (1.0f - factor) * grey_of(red[i], green[i], blue[i]);
    red[i] = clamp01(factor * red[i] + grey);
    green[i] = clamp01(factor * green[i] + grey);
    blue[i] = clamp01(factor * blue[i] + grey);
  }
}

/// A channel of the colour with this hue (sixths of a turn, 0..6), largest channel and chroma: offset 5, 3, 1 is R, G, B.
inline float channel_of(float hue, float offset, float largest, float chroma) {
  const float sum = hue + offset, k = sum >= 6.0f ? sum - 6.0f : sum;
  const float ramp = k < 4.0f - k ? k : 4.0f - k;
  return largest - chroma * clamp01(ramp);
}

/// Turns the hue by `turn` sixths, -3..3, without leaving the registers for HSV: value and chroma stay as they are.
DDSAS_VECTORS void adjust_hue(float* __restrict red, float* __restrict green, float* __restrict blue, int64_t count,
                              float turn) {
  for (int64_t i = 0; i < count; ++i) {
    const float r = red[i], g = green[i], b = blue[i];
    const float rg = r > g ? r : g, largest = rg > b ? rg : b;
    const float low = r < g ? r : g, chroma = largest - (low < b ? low : b);
    const float scale = 1.0f / (chroma > 0.0f ? chroma : 1.0f);
    const float from_blue = 4.0f + (r - g) * scale, from_green = 2.0f + (b - r) * scale, from_red = (g - b) * scale;
    const float not_red = largest == g ? from_green : from_blue;
    float turned = (largest == r ? from_red : not_red) + turn;
    turned = turned < 0.0f ? turned + 6.0f : turned;
    turned = turned >= 6.0f ? turned - 6.0f : turned;
    red[i] = channel_of(turned, 5.0f, largest, chroma);
    green[i] = channel_of(turned, 3.0f, largest, chroma);
    blue[i] = channel_of(turned, 1.0f, largest, chroma);
  }
}

DDSAS_VECTORS void normalise(const float* __restrict red, const float* __restrict green, const float* __restrict blue,
                             int64_t count, const float* scale, const float* shift, float* __restrict to) {
  const float s0 = scale[0], s1 = scale[1], s2 = scale[2], t0 = shift[0], t1 = shift[1], t2 = shift[2];
  for (int64_t i = 0; i < count; ++i) {
    to[channels * i] = red[i] * s0 + t0;
    to[channels * i + 1] = green[i] * s1 + t1;
    to[channels * i + 2] = blue[i] * s2 + t2;
  }
}

/// Three planes of one image, and the row under work with room for the value beyond its end that a Pixel reads.
struct Scratch {
  int64_t count;
  std::vector<float> planes, row;

  explicit Scratch(int64_t size) : count(size * size), planes(channels * size * size) {}
  float* red() { return planes.data(); }
  float* green() { return planes.data() + count; }
  float* blue() { return planes.data() + 2 * count; }
};

void resize(const at::Tensor& image, const Box& box, bool flip, int64_t size, Scratch& scratch) {
  const int64_t height = image.size(0), width = image.size(1), values = channels * width;
  const Taps down = make_taps(box.top, box.height, height, size);
  const Taps across = make_taps(box.left, box.width, width, size);
  scratch.row.resize(values + 1);
  const auto* pixels = image.data_ptr<uint8_t>();
  for (int64_t y = 0; y < size; ++y) {
    const auto* rows = pixels + down.first[y] * values;
    blend_rows(rows, values, down.weights.data() + y * down.width, down.width, scratch.row.data());
    const int64_t at = y * size;
    resize_row(scratch.row.data(), across, size, flip, scratch.red() + at, scratch.green() + at, scratch.blue() + at);
  }
}

void jitter(int32_t operation, const float* factors, Scratch& scratch) {
  const float factor = factors[operation];
  const int64_t count = scratch.count;
  float *red = scratch.red(), *green = scratch.green(), *blue = scratch.blue();
  if (operation == brightness) adjust_brightness(red, channels * count, factor);
  if (operation == contrast)
    blend_with(red, channels * count, factor, (1.0f - factor) * static_cast<float>(mean_grey(red, green, blue, count)));
  if (operation == saturation) adjust_saturation(red, green, blue, count, factor);
  if (operation == hue) adjust_hue(red, green, blue, count, 6.0f * factor);
}

void check_image(const at::Tensor& image, const Box& box) {
  TORCH_CHECK(image.dim() == 3 && image.size(2) == channels && image.scalar_type() == at::kByte &&
                  image.is_contiguous() && image.numel() > 0 && image.device().is_cpu(),
              "images should be contiguous uint8 [h, w, 3] on the CPU, not ", image.scalar_type(), image.sizes());
  const auto height = static_cast<double>(image.size(0)), width = static_cast<double>(image.size(1));
  // written so that a box that is not a number fails too
  const bool inside = box.left >= 0 && box.top >= 0 && box.width > 0 && box.height > 0 &&
                      box.left + box.width <= width + 1e-6 && box.top + box.height <= height + 1e-6;
  TORCH_CHECK(inside, "box ", box.left, ", ", box.top, ", ", box.width, " x ", box.height,
              " is not inside an image of ", width, " x ", height);
}

void check_draw(const Draw& draw, const float* factors) {
  for (const int32_t operation : draw.order)
    TORCH_CHECK(operation >= -1 && operation < jitters, "operation ", operation, " of the jitter's ", int{jitters});
  TORCH_CHECK(std::abs(factors[hue]) <= 0.5f, "a hue is turned by -0.5 to 0.5, not ", factors[hue]);
}

void check_batch(int64_t batch, const at::Tensor& boxes, const at::Tensor& draws, const at::Tensor& factors) {
  const auto matrix = [batch](const at::Tensor& x, at::ScalarType type, int64_t columns) {
    return x.scalar_type() == type && x.sizes() == at::IntArrayRef({batch, columns}) && x.is_contiguous();
  };
  TORCH_CHECK(matrix(boxes, at::kDouble, 4), "boxes should be float64 [", batch, ", 4], not ", boxes.sizes());
  TORCH_CHECK(matrix(draws, at::kInt, 5), "draws should be int32 [", batch, ", 5], not ", draws.sizes());
  TORCH_CHECK(matrix(factors, at::kFloat, jitters), "factors should be float32 [", batch, ", 4], not ",
              factors.sizes());
}

/// images: one uint8 [h, w, 3] each, boxes float64 [b, 4] (left, top, width, height), draws int32 [b, 5] (see Draw),
/// factors float32 [b, 4] (brightness, contrast, saturation, hue) -> float32 [b, 3, size, size], channels last.
at::Tensor image_augment(at::TensorList images, const at::Tensor& boxes, const at::Tensor& draws,
                         const at::Tensor& factors, at::ArrayRef<double> mean, at::ArrayRef<double> std,
                         int64_t size) {
  const auto batch = static_cast<int64_t>(images.size());
  check_batch(batch, boxes, draws, factors);
  TORCH_CHECK(mean.size() == channels && std.size() == channels, "mean and std should have 3 values");
  TORCH_CHECK(size > 0, "size should be positive, not ", size);
  float scale[channels], shift[channels];
  for (int64_t c = 0; c < channels; ++c) {
    scale[c] = static_cast<float>(1.0 / std[c]);
    shift[c] = static_cast<float>(-mean[c] / std[c]);
  }
  auto result = at::empty({batch, channels, size, size},
                          at::TensorOptions().dtype(at::kFloat).memory_format(at::MemoryFormat::ChannelsLast));
  Scratch scratch(size);
  for (int64_t i = 0; i < batch; ++i) {
    const auto& box = reinterpret_cast<const Box*>(boxes.data_ptr<double>())[i];
    const auto& draw = reinterpret_cast<const Draw*>(draws.data_ptr<int32_t>())[i];
    const float* factor = factors.data_ptr<float>() + i * jitters;
    check_image(images[i], box);
    check_draw(draw, factor);
    resize(images[i], box, draw.flip != 0, size, scratch);
    for (const int32_t operation : draw.order)
      if (operation >= 0) jitter(operation, factor, scratch);
    normalise(scratch.red(), scratch.green(), scratch.blue(), scratch.count, scale, shift,
              result.data_ptr<float>() + i * channels * scratch.count);
  }
  return result;
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(ddsas, library) {
  library.def(
      "image_augment(Tensor[] images, Tensor boxes, Tensor draws, Tensor factors, float[] mean, float[] std, int size) "
      "-> Tensor");
}

// an empty list of images has no device to be dispatched by, the boxes have
TORCH_LIBRARY_IMPL(ddsas, CPU, library) { library.impl("image_augment", image_augment); }

}  // namespace ddsas
