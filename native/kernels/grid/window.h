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
  if (at < 0 || at % w.stride != 0) return -1;
  return at / w.stride < outputs ? at / w.stride : -1;
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

/// A sum over the rows of all images; a column is a row of taps of one channel.
template <typename T, int K>
struct DepthwiseWeight {
  using Value = Sum<K>;
  Depthwise a;
  const T* dz;
  float* dweight;
  int out_height, out_width;

  DDSAS_BODY Value at(uint32_t row, uint32_t column) const {
    const Window& w = a.window;
    const int channel = column % w.channels, kh = column / w.channels;
    const int image = row / out_height, out_row = row % out_height;
    const int padding = K / 2 * w.dilation;
    const int in_row = out_row * w.stride - padding + kh * w.dilation;
    auto sum = Value::zero();
    if (in_row < 0 || in_row >= w.height) return sum;
    const Normalise<1> norm(a, channel);
    const T* upstream = dz + offset_of(w, image, out_row, 0, out_height, out_width) + channel;
    const T* line = static_cast<const T*>(a.x) + offset_of(w, image, in_row, 0, w.height, w.width) + channel;
    for (int out = 0; out < out_width; ++out) {
      const float gradient = to_float(upstream[static_cast<int64_t>(out) * w.channels]);
DDSAS_UNROLL
      for (int kw = 0; kw < K; ++kw) {
        const int in = out * w.stride - padding + kw * w.dilation;
        if (in < 0 || in >= w.width) continue;
        const float u = norm(to_float(line[static_cast<int64_t>(in) * w.channels]), 0);
        sum.part[kw] += gradient * (u > 0 ? u : 0.0f);
      }
    }
    return sum;
  }

  DDSAS_BODY void finish(uint32_t column, const Value& total) const {
    const int channel = column % a.window.channels, kh = column / a.window.channels;
DDSAS_UNROLL
    for (int kw = 0; kw < K; ++kw) dweight[(channel * K + kh) * K + kw] = total.part[kw];
  }
};

/// The first of the largest of the nine, and which it is; one that is not a number wins.
template <typename T>
struct MaxPool {
  Pool a;
  int out_height, out_width;

  DDSAS_BODY void operator()(uint32_t index) const {
    const Window& w = a.window;
    const auto p = place_of<1, 1>(index, w.channels, out_height, out_width);
    float best = 0;
    int chosen = -1;
    for (int k = 0; k < 9; ++k) {
      const int row = p.row * w.stride - 1 + k / 3, column = p.column * w.stride - 1 + k % 3;
      if (row < 0 || row >= w.height || column < 0 || column >= w.width) continue;
      const float x = to_float(static_cast<const T*>(a.from)[offset_of(w, p.image, row, column, w.height, w.width) + p.channel]);
      if (chosen >= 0 && !(x > best) && x == x) continue;
      best = x;
      chosen = k;
    }
    const int64_t to = offset_of(w, p.image, p.row, p.column, out_height, out_width) + p.channel;
    set(static_cast<T*>(a.to)[to], best);
    a.choice[to] = static_cast<uint8_t>(chosen);
  }
};

template <typename T>
struct MaxPoolBackward {
  Pool a;
  int out_height, out_width;

  DDSAS_BODY void operator()(uint32_t index) const {
    const Window& w = a.window;
    const auto p = place_of<1, 1>(index, w.channels, w.height, w.width);
    float sum = 0;
    for (int k = 0; k < 9; ++k) {
      const int row = reader_of(p.row, k / 3, w, 1, out_height), column = reader_of(p.column, k % 3, w, 1, out_width);
      if (row < 0 || column < 0) continue;
      const int64_t from = offset_of(w, p.image, row, column, out_height, out_width) + p.channel;
      if (a.choice[from] == k) sum += to_float(static_cast<const T*>(a.from)[from]);
    }
    set(static_cast<T*>(a.to)[offset_of(w, p.image, p.row, p.column, w.height, w.width) + p.channel], sum);
  }
};

/// How many pixels of the image a 3-wide window around `centre` covers.
DDSAS_BODY int covered(int centre, int length) { return 1 + (centre > 0) + (centre + 1 < length); }

template <typename T>
struct AvgPool {
  Pool a;
  int out_height, out_width;

  DDSAS_BODY void operator()(uint32_t index) const {
    const Window& w = a.window;
    const auto p = place_of<1, 1>(index, w.channels, out_height, out_width);
    const int y = p.row * w.stride, x = p.column * w.stride;
    float sum = 0;
    for (int k = 0; k < 9; ++k) {
      const int row = y - 1 + k / 3, column = x - 1 + k % 3;
      if (row < 0 || row >= w.height || column < 0 || column >= w.width) continue;
      sum += to_float(static_cast<const T*>(a.from)[offset_of(w, p.image, row, column, w.height, w.width) + p.channel]);
    }
    const float count = static_cast<float>(covered(y, w.height) * covered(x, w.width));
    set(static_cast<T*>(a.to)[offset_of(w, p.image, p.row, p.column, out_height, out_width) + p.channel], sum / count);
  }
};

template <typename T>
struct AvgPoolBackward {
  Pool a;
  int out_height, out_width;

  DDSAS_BODY void operator()(uint32_t index) const {
    const Window& w = a.window;
    const auto p = place_of<1, 1>(index, w.channels, w.height, w.width);
    float sum = 0;
    for (int k = 0; k < 9; ++k) {
      const int row = reader_of(p.row, k / 3, w, 1, out_height), column = reader_of(p.column, k % 3, w, 1, out_width);
      if (row < 0 || column < 0) continue;
      const float upstream =
          to_float(static_cast<const T*>(a.from)[offset_of(w, p.image, row, column, out_height, out_width) + p.channel]);
      sum += upstream / static_cast<float>(covered(row * w.stride, w.height) * covered(column * w.stride, w.width));
    }
    set(static_cast<T*>(a.to)[offset_of(w, p.image, p.row, p.column, w.height, w.width) + p.channel], sum);
  }
};

}  // namespace ddsas::grid
