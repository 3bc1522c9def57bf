// Bodies of the depthwise convolution of relu(norm(x)) and of 3x3 pooling, in NHWC, with their gradients.
#pragma once

#include "grid.h"
#include "lanes.h"

namespace ddsas::grid {

/// Where an index stands: image, row, first column of a run of R pixels, first of V channels.
struct Place {
  int image, row, column, channel;
};

template <int V, int R>
DDSAS_BODY Place place_of(uint32_t index, int channels, int height, int width) {
  const uint32_t groups = channels / V, runs = (width + R - 1) / R;
  const uint32_t group = index % groups;
  index /= groups;
  const uint32_t run = index % runs;
  index /= runs;
  return {static_cast<int>(index / height), static_cast<int>(index % height), static_cast<int>(run * R),
          static_cast<int>(group * V)};
}

template <int V, int R>
inline int64_t place_count(int images, int channels, int height, int width) {
  return static_cast<int64_t>(images) * height * ((width + R - 1) / R) * (channels / V);
}

DDSAS_BODY int64_t offset_of(const Window& w, int image, int row, int column, int height, int width) {
  return ((static_cast<int64_t>(image) * height + row) * width + column) * w.channels;
}

/// What the ReLU reads: x through the norm where there is one.
template <int V>
struct Normalise {
  float scale[V], shift[V];

  DDSAS_BODY Normalise(const Depthwise& a, int channel) {
DDSAS_UNROLL
    for (int v = 0; v < V; ++v) {
      scale[v] = a.scale != nullptr ? a.scale[channel + v] : 1.0f;
      shift[v] = a.scale != nullptr ? a.shift[channel + v] : 0.0f;
    }
  }
  DDSAS_BODY float operator()(float x, int v) const { return scale[v] * x + shift[v]; }
};

template <typename T, int K, int V, int R>
struct DepthwiseForward {
  Depthwise a;
  T* z;
  int out_height, out_width;

  DDSAS_BODY void operator()(uint32_t index) const {
    const Window& w = a.window;
    const auto p = place_of<V, R>(index, w.channels, out_height, out_width);
    const Normalise<V> norm(a, p.channel);
    const int padding = K / 2 * w.dilation;
    float sums[R][V] = {};
    for (int kh = 0; kh < K; ++kh) {
      const int row = p.row * w.stride - padding + kh * w.dilation;
      if (row < 0 || row >= w.height) continue;
      const T* line = static_cast<const T*>(a.x) + offset_of(w, p.image, row, 0, w.height, w.width) + p.channel;
DDSAS_UNROLL
      for (int kw = 0; kw < K; ++kw) {
        float weight[V];
DDSAS_UNROLL
        for (int v = 0; v < V; ++v) weight[v] = a.weight[(p.channel + v) * K * K + kh * K + kw];
DDSAS_UNROLL
        for (int r = 0; r < R; ++r) {
          const int column = (p.column + r) * w.stride - padding + kw * w.dilation;
          if (column < 0 || column >= w.width) continue;
          float x[V];
          load<T, V>(line + static_cast<int64_t>(column) * w.channels, x);
DDSAS_UNROLL
          for (int v = 0; v < V; ++v) {
            const float u = norm(x[v], v);
            sums[r][v] += weight[v] * (u > 0 ? u : 0.0f);
          }
        }
      }
    }
    T* to = z + offset_of(w, p.image, p.row, p.column, out_height, out_width) + p.channel;
DDSAS_UNROLL
    for (int r = 0; r < R; ++r)
      if (p.column + r < out_width) store<T, V>(to + r * w.channels, sums[r]);
  }
};

/// Which output reads input `position` through tap k; -1: none.
DDSAS_BODY int reader_of(int position, int k, const Window& w, int padding, int outputs) {
  const int at = position + padding - k * w.dilation;
  // a stride is 1 or 2: no division
  const int half = w.stride - 1;
  if (at < 0 || (at & half) != 0) return -1;
  return (at >> half) < outputs ? at >> half : -1;
}

template <typename T, int K, int V, int R>
struct DepthwiseInput {
  Depthwise a;
  const T* dz;
  T* dx;
  int out_height, out_width;

  DDSAS_BODY void operator()(uint32_t index) const {
    const Window& w = a.window;
    const auto p = place_of<V, R>(index, w.channels, w.height, w.width);
    const int padding = K / 2 * w.dilation;
    float sums[R][V] = {};
    for (int kh = 0; kh < K; ++kh) {
      const int row = reader_of(p.row, kh, w, padding, out_height);
      if (row < 0) continue;
      const T* line = dz + offset_of(w, p.image, row, 0, out_height, out_width) + p.channel;
DDSAS_UNROLL
      for (int kw = 0; kw < K; ++kw) {
        float weight[V];
DDSAS_UNROLL
        for (int v = 0; v < V; ++v) weight[v] = a.weight[(p.channel + v) * K * K + kh * K + kw];
DDSAS_UNROLL
        for (int r = 0; r < R; ++r) {
          const int column = reader_of(p.column + r, kw, w, padding, out_width);
          if (column < 0) continue;
          float upstream[V];
          load<T, V>(line + static_cast<int64_t>(column) * w.channels, upstream);
DDSAS_UNROLL
          for (int v = 0; v < V; ++v) sums[r][v] += weight[v] * upstream[v];
        }
      }
    }
    write(p, sums);
  }

  /// Through the ReLU.
  DDSAS_BODY void write(const Place& p, float (&sums)[R][V]) const {
    const Window& w = a.window;
    const Normalise<V> norm(a, p.channel);
    const int64_t at = offset_of(w, p.image, p.row, p.column, w.height, w.width) + p.channel;
DDSAS_UNROLL
    for (int r = 0; r < R; ++r) {
      if (p.column + r >= w.width) continue;
      float x[V];
      load<T, V>(static_cast<const T*>(a.x) + at + r * w.channels, x);
DDSAS_UNROLL
      for (int v = 0; v < V; ++v) sums[r][v] = norm(x[v], v) > 0 ? sums[r][v] : 0.0f;
      store<T, V>(dx + at + r * w.channels, sums[r]);
    }
  }
};

/// A sum over the rows of all images; a column is a row of taps of V channels.
template <typename T, int K, int V>
struct DepthwiseWeight {
  using Value = Sum<K * V>;
  static constexpr int kRowsOfThread = 1;  // a row is a line of pixels
  Depthwise a;
  const T* dz;
  float* dweight;
  int out_height, out_width;

  DDSAS_BODY Value at(uint32_t row, uint32_t column) const {
    const Window& w = a.window;
    const int groups = w.channels / V, channel = column % groups * V, kh = column / groups;
    const int image = row / out_height, out_row = row % out_height;
    const int padding = K / 2 * w.dilation;
    const int in_row = out_row * w.stride - padding + kh * w.dilation;
    auto sum = Value::zero();
    if (in_row < 0 || in_row >= w.height) return sum;
    const Normalise<V> norm(a, channel);
    const T* upstream = dz + offset_of(w, image, out_row, 0, out_height, out_width) + channel;
    const T* line = static_cast<const T*>(a.x) + offset_of(w, image, in_row, 0, w.height, w.width) + channel;
    for (int out = 0; out < out_width; ++out) {
      float gradient[V];
      load<T, V>(upstream + out * w.channels, gradient);
DDSAS_UNROLL
      for (int kw = 0; kw < K; ++kw) {
        const int in = out * w.stride - padding + kw * w.dilation;
        if (in < 0 || in >= w.width) continue;
        float x[V];
        load<T, V>(line + in * w.channels, x);
DDSAS_UNROLL
        for (int v = 0; v < V; ++v) {
          const float u = norm(x[v], v);
          sum.part[kw * V + v] += gradient[v] * (u > 0 ? u : 0.0f);
        }
      }
    }
    return sum;
  }

  DDSAS_BODY void finish(uint32_t column, const Value& total) const {
    const int groups = a.window.channels / V, channel = column % groups * V, kh = column / groups;
DDSAS_UNROLL
    for (int kw = 0; kw < K; ++kw)
DDSAS_UNROLL
      for (int v = 0; v < V; ++v) dweight[((channel + v) * K + kh) * K + kw] = total.part[kw * V + v];
  }
};

/// dweight [outputs, channels] = dy^T z, a sum over pixels; a column is V channels of one output.
template <typename T, int V>
struct PointwiseWeight {
  using Value = Sum<V>;
  static constexpr int kRowsOfThread = 8;
  const T *z, *dy;
  float* dweight;
  int channels, outputs;

  DDSAS_BODY Value at(uint32_t row, uint32_t column) const {
    const uint32_t groups = channels / V, output = column / groups, channel = column % groups * V;
    const float upstream = to_float(dy[static_cast<int64_t>(row) * outputs + output]);
    Value sum;
    load<T, V>(z + static_cast<int64_t>(row) * channels + channel, sum.part);
DDSAS_UNROLL
    for (int v = 0; v < V; ++v) sum.part[v] *= upstream;
    return sum;
  }

  DDSAS_BODY void finish(uint32_t column, const Value& total) const {
DDSAS_UNROLL
    for (int v = 0; v < V; ++v) dweight[column * V + v] = total.part[v];
  }
};

/// Calls use(k, offset in the images) for the pixels of the image that the 3x3 window of an output covers.
template <typename Use>
DDSAS_BODY void for_each_covered(const Window& w, const Place& output, Use use) {
  for (int k = 0; k < 9; ++k) {
    const int row = output.row * w.stride - 1 + k / 3, column = output.column * w.stride - 1 + k % 3;
    if (row < 0 || row >= w.height || column < 0 || column >= w.width) continue;
    use(k, offset_of(w, output.image, row, column, w.height, w.width) + output.channel);
  }
}

/// Calls use(k, row, column, offset in the results) for the outputs that read an input, each through its tap k.
template <typename Use>
DDSAS_BODY void for_each_reader(const Window& w, const Place& input, int out_height, int out_width, Use use) {
  for (int k = 0; k < 9; ++k) {
    const int row = reader_of(input.row, k / 3, w, 1, out_height), column = reader_of(input.column, k % 3, w, 1, out_width);
    if (row < 0 || column < 0) continue;
    use(k, row, column, offset_of(w, input.image, row, column, out_height, out_width) + input.channel);
  }
}

/// The first of the largest of the nine, and which it is; one that is not a number wins.
template <typename T, int V>
struct MaxPool {
  Pool a;
  int out_height, out_width;

  DDSAS_BODY void operator()(uint32_t index) const {
    const auto p = place_of<V, 1>(index, a.window.channels, out_height, out_width);
    float best[V] = {};
    Packed<uint8_t, V> chosen{};
    bool any = false;
    for_each_covered(a.window, p, [&](int k, int64_t from) {
      float x[V];
      load<T, V>(static_cast<const T*>(a.from) + from, x);
DDSAS_UNROLL
      for (int v = 0; v < V; ++v) {
        if (any && !(x[v] > best[v]) && x[v] == x[v]) continue;
        best[v] = x[v];
        chosen.lane[v] = static_cast<uint8_t>(k);
      }
      any = true;
    });
    const int64_t to = offset_of(a.window, p.image, p.row, p.column, out_height, out_width) + p.channel;
    store<T, V>(static_cast<T*>(a.to) + to, best);
    *reinterpret_cast<Packed<uint8_t, V>*>(a.choice + to) = chosen;
  }
};

template <typename T, int V>
struct MaxPoolBackward {
  Pool a;
  int out_height, out_width;

  DDSAS_BODY void operator()(uint32_t index) const {
    const Window& w = a.window;
    const auto p = place_of<V, 1>(index, w.channels, w.height, w.width);
    float sum[V] = {};
    for_each_reader(w, p, out_height, out_width, [&](int k, int, int, int64_t from) {
      const auto chosen = *reinterpret_cast<const Packed<uint8_t, V>*>(a.choice + from);
      float upstream[V];
      load<T, V>(static_cast<const T*>(a.from) + from, upstream);
DDSAS_UNROLL
      for (int v = 0; v < V; ++v) sum[v] += chosen.lane[v] == k ? upstream[v] : 0.0f;
    });
    store<T, V>(static_cast<T*>(a.to) + offset_of(w, p.image, p.row, p.column, w.height, w.width) + p.channel, sum);
  }
};

/// One over how many pixels of the image the window of output (row, column) covers.
DDSAS_BODY float share_of(int row, int column, const Window& w) {
  const int y = row * w.stride, x = column * w.stride;
  const int rows = 1 + (y > 0) + (y + 1 < w.height), columns = 1 + (x > 0) + (x + 1 < w.width);
  return 1.0f / static_cast<float>(rows * columns);
}

template <typename T, int V>
struct AvgPool {
  Pool a;
  int out_height, out_width;

  DDSAS_BODY void operator()(uint32_t index) const {
    const auto p = place_of<V, 1>(index, a.window.channels, out_height, out_width);
    float sum[V] = {};
    for_each_covered(a.window, p, [&](int, int64_t from) {
      float x[V];
      load<T, V>(static_cast<const T*>(a.from) + from, x);
DDSAS_UNROLL
      for (int v = 0; v < V; ++v) sum[v] += x[v];
    });
    const float share = share_of(p.row, p.column, a.window);
DDSAS_UNROLL
    for (int v = 0; v < V; ++v) sum[v] *= share;
    const int64_t to = offset_of(a.window, p.image, p.row, p.column, out_height, out_width) + p.channel;
    store<T, V>(static_cast<T*>(a.to) + to, sum);
  }
};

template <typename T, int V>
struct AvgPoolBackward {
  Pool a;
  int out_height, out_width;

  DDSAS_BODY void operator()(uint32_t index) const {
    const Window& w = a.window;
    const auto p = place_of<V, 1>(index, w.channels, w.height, w.width);
    float sum[V] = {};
    for_each_reader(w, p, out_height, out_width, [&](int, int row, int column, int64_t from) {
      float upstream[V];
      load<T, V>(static_cast<const T*>(a.from) + from, upstream);
      const float share = share_of(row, column, w);
DDSAS_UNROLL
      for (int v = 0; v < V; ++v) sum[v] += share * upstream[v];
    });
    store<T, V>(static_cast<T*>(a.to) + offset_of(w, p.image, p.row, p.column, w.height, w.width) + p.channel, sum);
  }
};

}  // namespace ddsas::grid
