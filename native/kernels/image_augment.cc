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

#include "runs.h"

// GCC compiles these loops twice and picks by processor; elsewhere they are compiled for the base instructions alone.
// Without the promise that nobody looks at floating-point traps, it would not make one flow of the choices in a loop.
#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__) && defined(__gnu_linux__) && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define DDSAS_VECTORS __attribute__((target_clones("avx2", "default")))
#define DDSAS_VECTORS_PATH (__builtin_cpu_supports("avx2") ? Path::avx2 : Path::portable)
#pragma GCC optimize("no-trapping-math")
#else
#define DDSAS_VECTORS
#define DDSAS_VECTORS_PATH Path::portable
#endif

namespace ddsas {

namespace {

constexpr int64_t kChannels = 3;
constexpr int64_t kLanes = 16;

/// Which part of a decoded image is taken, in its pixels; edges may lie between two.
struct Box {
  double left, top, width, height;
};

/// Mirrored or not, then the jitter's operations in their order, each at most once (-1: no more).
struct ImageDraw {
  int32_t flip, order[4];
};
static_assert(sizeof(ImageDraw) == 5 * sizeof(int32_t), "a row of `draws`");

enum Jitter { brightness, contrast, saturation, hue, jitters };

/// For each output pixel along an axis: the first input pixel of its filter, and `width` weights (zeros at the end).
struct Taps {
  int64_t width = 0;
  std::vector<int64_t> first;
  std::vector<float> weights;
};

/// Weights, times `unit`, of the triangle filter that maps `length` pixels from `start` on to `out`, among `in` pixels.
Taps make_taps(double start, double length, int64_t in, int64_t out, double unit) {
  const double scale = length / static_cast<double>(out), radius = std::max(scale, 1.0);
  Taps taps;
  // the whole numbers between two that lie 2 radius apart
  taps.width = std::min<int64_t>(in, static_cast<int64_t>(std::ceil(2 * radius)));
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
    for (int64_t k = 0; k < taps.width; ++k) taps.weights[i * taps.width + k] = static_cast<float>(row[k] / sum * unit);
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

/// Two pixels as one register: channels and a value that is not used, of the same column in two rows.
typedef float PixelPair __attribute__((vector_size(32)));
constexpr int64_t kPairFloats = 8;

/// Lays two rows of pixels side by side. Each is read one value beyond its end.
void pair_up(const float* upper, const float* lower, int64_t width, float* pairs) {
  for (int64_t x = 0; x < width; ++x, pairs += kPairFloats) {
    std::memcpy(pairs, upper + kChannels * x, kPairFloats / 2 * sizeof(float));
    std::memcpy(pairs + kPairFloats / 2, lower + kChannels * x, kPairFloats / 2 * sizeof(float));
  }
}

/// Two rows laid side by side -> `size` values each in three planes, whose rows follow each other.
DDSAS_VECTORS void resize_rows(const float* pairs, const Taps& taps, int64_t size, bool flip, float* red, float* green,
                               float* blue) {
  const int64_t* first = taps.first.data();
  const float* weights = taps.weights.data();
  const int64_t count = taps.width;
  for (int64_t i = 0; i < size; ++i, weights += count) {
    const float* from = pairs + kPairFloats * first[i];
    PixelPair sum = {0, 0, 0, 0, 0, 0, 0, 0};
    for (int64_t k = 0; k < count; ++k) {
      PixelPair pixels;
      std::memcpy(&pixels, from + kPairFloats * k, sizeof pixels);
      sum += weights[k] * pixels;
    }
    const int64_t to = flip ? size - 1 - i : i;
    red[to] = sum[0];
    green[to] = sum[1];
    blue[to] = sum[2];
    red[to + size] = sum[4];
    green[to + size] = sum[5];
    blue[to + size] = sum[6];
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

DDSAS_VECTORS double sum_grey(const float* red, const float* green, const float* blue, int64_t count) {
  double sums[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes)
    for (int64_t lane = 0; lane < kLanes; ++lane) sums[lane] += grey_of(red[i + lane], green[i + lane], blue[i + lane]);
  for (; i < count; ++i) sums[0] += grey_of(red[i], green[i], blue[i]);
  double sum = 0;
  for (const double part : sums) sum += part;
  return sum;
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
    to[kChannels * i] = red[i] * s0 + t0;
    to[kChannels * i + 1] = green[i] * s1 + t1;
    to[kChannels * i + 2] = blue[i] * s2 + t2;
  }
}

/// Three planes of one image, 0..1, each with a row to spare, and the rows under work.
struct Scratch {
  int64_t count, stride;
  std::vector<float> planes, upper, lower, pairs;

  explicit Scratch(int64_t size) : count(size * size), stride(count + size), planes(kChannels * stride) {}
  float* red() { return planes.data(); }
  float* green() { return planes.data() + stride; }
  float* blue() { return planes.data() + 2 * stride; }
};

/// Two rows at a time; with an odd size, the last one goes a second time to the spare row.
void resize(const at::Tensor& image, const Box& box, bool flip, int64_t size, Scratch& scratch) {
  const int64_t height = image.size(0), width = image.size(1), values = kChannels * width;
  const Taps down = make_taps(box.top, box.height, height, size, 1.0 / 255);
  const Taps across = make_taps(box.left, box.width, width, size, 1);
  scratch.upper.resize(values + 1);
  scratch.lower.resize(values + 1);
  scratch.pairs.resize(kPairFloats * width);
  const auto* pixels = image.data_ptr<uint8_t>();
  const auto blend = [&](int64_t y, std::vector<float>& row) {
    blend_rows(pixels + down.first[y] * values, values, down.weights.data() + y * down.width, down.width, row.data());
  };
  for (int64_t y = 0; y < size; y += 2) {
    blend(y, scratch.upper);
    blend(std::min(y + 1, size - 1), scratch.lower);
    pair_up(scratch.upper.data(), scratch.lower.data(), width, scratch.pairs.data());
    const int64_t at = y * size;
    resize_rows(scratch.pairs.data(), across, size, flip, scratch.red() + at, scratch.green() + at,
                scratch.blue() + at);
  }
}

/// Part of the three planes of an image.
struct Colours {
  float *red, *green, *blue;
  int64_t count;
};

/// The image in parts small enough to stay in the nearest cache over several operations.
template <typename Body>
void for_each_part(Scratch& scratch, Body body) {
  constexpr int64_t pixels = 1024;
  for (int64_t at = 0; at < scratch.count; at += pixels) {
    const int64_t count = std::min(pixels, scratch.count - at);
    body(at, Colours{scratch.red() + at, scratch.green() + at, scratch.blue() + at, count});
  }
}

/// mean: the image's mean grey, for the contrast.
void apply(int32_t operation, const float* factors, double mean, const Colours& part) {
  const float factor = factors[operation];
  if (operation == saturation) adjust_saturation(part.red, part.green, part.blue, part.count, factor);
  if (operation == hue) adjust_hue(part.red, part.green, part.blue, part.count, 6.0f * factor);
  for (float* plane : {part.red, part.green, part.blue}) {
    if (operation == brightness) adjust_brightness(plane, part.count, factor);
    if (operation == contrast) blend_with(plane, part.count, factor, (1.0f - factor) * static_cast<float>(mean));
  }
}

/// Jitters and normalises: once over the image up to the contrast, which needs the mean of all, and once from there.
void jitter(const ImageDraw& draw, const float* factors, const float* scale, const float* shift, Scratch& scratch,
            float* to) {
  const auto* end = std::find(draw.order, draw.order + jitters, -1);
  const auto* turn = std::find(draw.order, end, contrast);
  double sum = 0;
  for_each_part(scratch, [&](int64_t, const Colours& part) {
    for (const auto* operation = draw.order; operation != turn; ++operation) apply(*operation, factors, 0, part);
    if (turn != end) sum += sum_grey(part.red, part.green, part.blue, part.count);
  });
  const double mean = sum / static_cast<double>(scratch.count);
  for_each_part(scratch, [&](int64_t at, const Colours& part) {
    for (const auto* operation = turn; operation != end; ++operation) apply(*operation, factors, mean, part);
    normalise(part.red, part.green, part.blue, part.count, scale, shift, to + kChannels * at);
  });
}

void check_image(const at::Tensor& image, const Box& box) {
  TORCH_CHECK(image.dim() == 3 && image.size(2) == kChannels && image.scalar_type() == at::kByte &&
                  image.is_contiguous() && image.numel() > 0 && image.device().is_cpu(),
              "images should be contiguous uint8 [h, w, 3] on the CPU, not ", image.scalar_type(), image.sizes());
  const auto height = static_cast<double>(image.size(0)), width = static_cast<double>(image.size(1));
  // written so that a box that is not a number fails too
  const bool inside = box.left >= 0 && box.top >= 0 && box.width > 0 && box.height > 0 &&
                      box.left + box.width <= width + 1e-6 && box.top + box.height <= height + 1e-6;
  TORCH_CHECK(inside, "box ", box.left, ", ", box.top, ", ", box.width, " x ", box.height,
              " is not inside an image of ", width, " x ", height);
}

void check_draw(const ImageDraw& draw, const float* factors) {
  for (const int32_t operation : draw.order) {
    TORCH_CHECK(operation >= -1 && operation < jitters, "operation ", operation, " of the jitter's ", int{jitters});
    TORCH_CHECK(operation < 0 || std::count(draw.order, draw.order + jitters, operation) == 1, "operation ", operation,
                " is drawn twice");
  }
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

/// images: one uint8 [h, w, 3] each, boxes float64 [b, 4] (left, top, width, height), draws int32 [b, 5] (see ImageDraw),
/// factors float32 [b, 4] (brightness, contrast, saturation, hue) -> float32 [b, 3, size, size], channels last.
at::Tensor image_augment(at::TensorList images, const at::Tensor& boxes, const at::Tensor& draws,
                         const at::Tensor& factors, at::ArrayRef<double> mean, at::ArrayRef<double> std,
                         int64_t size) {
  const auto batch = static_cast<int64_t>(images.size());
  check_batch(batch, boxes, draws, factors);
  TORCH_CHECK(mean.size() == kChannels && std.size() == kChannels, "mean and std should have 3 values");
  TORCH_CHECK(size > 0, "size should be positive, not ", size);
  count_run(Kernel::image_augment, DDSAS_VECTORS_PATH);
  float scale[kChannels], shift[kChannels];
  for (int64_t c = 0; c < kChannels; ++c) {
    scale[c] = static_cast<float>(1.0 / std[c]);
    shift[c] = static_cast<float>(-mean[c] / std[c]);
  }
  auto result = at::empty({batch, kChannels, size, size},
                          at::TensorOptions().dtype(at::kFloat).memory_format(at::MemoryFormat::ChannelsLast));
  Scratch scratch(size);
  for (int64_t i = 0; i < batch; ++i) {
    const auto& box = reinterpret_cast<const Box*>(boxes.data_ptr<double>())[i];
    const auto& draw = reinterpret_cast<const ImageDraw*>(draws.data_ptr<int32_t>())[i];
    const float* factor = factors.data_ptr<float>() + i * jitters;
    check_image(images[i], box);
    check_draw(draw, factor);
    resize(images[i], box, draw.flip != 0, size, scratch);
    jitter(draw, factor, scale, shift, scratch, result.data_ptr<float>() + i * kChannels * scratch.count);
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
