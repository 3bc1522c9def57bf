// Bodies of batch norms without affine and of the weighted sum over a node's terms (Eq. 7), with their gradients.
#pragma once

#include <math.h>

#include "grid.h"
#include "lanes.h"

namespace ddsas::grid {

/// Mean and variance of V channels, from differences to their first pixel.
template <typename T, int V>
struct Moments {
  using Value = Sum<2 * V>;
  static constexpr int kRowsOfThread = 8;
  const T* x;
  float* moments;
  int channels;
  int64_t pixels;

  DDSAS_BODY Value at(uint32_t row, uint32_t column) const {
    float first[V], own[V];
    load<T, V>(x + column * V, first);
    load<T, V>(x + static_cast<int64_t>(row) * channels + column * V, own);
    Value sum;
DDSAS_UNROLL
    for (int v = 0; v < V; ++v) {
      const float d = own[v] - first[v];
      sum.part[v] = d;
      sum.part[V + v] = d * d;
    }
    return sum;
  }

  DDSAS_BODY void finish(uint32_t column, const Value& total) const {
DDSAS_UNROLL
    for (int v = 0; v < V; ++v) {
      const uint32_t channel = column * V + v;
      const double mean = total.part[v] / static_cast<double>(pixels);
      const double variance = total.part[V + v] / static_cast<double>(pixels) - mean * mean;
      moments[channel] = static_cast<float>(to_float(x[channel]) + mean);
      moments[channels + channel] = static_cast<float>(variance > 0 ? variance : 0);
    }
  }
};

/// One channel of one norm: running statistics as torch.nn.BatchNorm2d keeps them, scale and shift that normalise.
struct NormaliseTerm {
  Norms a;

  DDSAS_BODY void operator()(uint32_t index) const {
    const int k = index / a.channels, c = index % a.channels;
    if (a.mean[k] == nullptr) {
      a.scale[index] = 1;
      a.shift[index] = 0;
      return;
    }
    double mean = a.mean[k][c], variance = a.variance[k][c];
    if (a.training) {
      const double own = a.moments[k][c], spread = a.moments[k][a.channels + c];
      a.mean[k][c] = static_cast<float>((1 - a.momentum) * mean + a.momentum * own);
      a.variance[k][c] =
          static_cast<float>((1 - a.momentum) * variance + a.momentum * spread * (a.pixels / (a.pixels - 1)));
      mean = own;
      variance = spread;
    }
    const double inverse = 1 / sqrt(variance + a.eps);
    a.scale[index] = static_cast<float>(inverse);
    a.shift[index] = static_cast<float>(-mean * inverse);
  }
};

template <typename T, int V>
struct Mix {
  Terms a;
  T* y;

  DDSAS_BODY void operator()(uint32_t index) const {
    const int channel = static_cast<int>(index % (a.channels / V)) * V;
    float sum[V] = {};
    for (int k = 0; k < a.count; ++k) {
      const float weight = a.weights != nullptr ? a.weights[k] : 1.0f;
      float x[V];
      load<T, V>(static_cast<const T*>(a.x[k]) + static_cast<int64_t>(index) * V, x);
DDSAS_UNROLL
      for (int v = 0; v < V; ++v) {
        const int at = k * a.channels + channel + v;
        sum[v] += weight * (a.scale != nullptr ? a.scale[at] * x[v] + a.shift[at] : x[v]);
      }
    }
    store<T, V>(y + static_cast<int64_t>(index) * V, sum);
  }
};

/// Columns: groups of V channels of dy, then those of each term.
template <typename T, int V>
struct MixSums {
  using Value = Sum<V>;
  static constexpr int kRowsOfThread = 8;
  Terms a;
  const T* dy;
  float* sums;

  DDSAS_BODY Value at(uint32_t row, uint32_t column) const {
    const uint32_t groups = a.channels / V, channel = column % groups * V;
    const int64_t place = static_cast<int64_t>(row) * a.channels + channel;
    Value sum;
    load<T, V>(dy + place, sum.part);
    if (column < groups) return sum;
    const uint32_t k = column / groups - 1, term = k * a.channels + channel;
    float x[V];
    load<T, V>(static_cast<const T*>(a.x[k]) + place, x);
DDSAS_UNROLL
    for (int v = 0; v < V; ++v) sum.part[v] *= a.scale[term + v] * x[v] + a.shift[term + v];
    return sum;
  }

  DDSAS_BODY void finish(uint32_t column, const Value& total) const {
DDSAS_UNROLL
    for (int v = 0; v < V; ++v) sums[column * V + v] = total.part[v];
  }
};

/// dx_k = a dy + b x_k + d, channel by channel: the gradient of a batch norm; without one, weight x dy.
template <typename T, int V>
struct MixBackward {
  Terms a;
  const T* dy;
  const float* sums;
  TermGradients to;
  uint32_t groups;  // of V values in one term

  DDSAS_BODY void operator()(uint32_t index) const {
    const int k = index / groups;
    if (to.dx[k] == nullptr) return;
    const int64_t at = static_cast<int64_t>(index % groups) * V;
    const int channel = static_cast<int>(at % a.channels);
    const float weight = a.weights != nullptr ? a.weights[k] : 1.0f;
    float upstream[V], x[V], dx[V];
    load<T, V>(dy + at, upstream);
    if (to.normed[k] != 0) load<T, V>(static_cast<const T*>(a.x[k]) + at, x);
DDSAS_UNROLL
    for (int v = 0; v < V; ++v) {
      if (to.normed[k] == 0) {
        dx[v] = weight * upstream[v];
        continue;
      }
      const int own = k * a.channels + channel + v;
      const float count = static_cast<float>(a.pixels);
      const float mean = sums[channel + v] / count, dot = sums[own + a.channels] / count;
      const float normalised = a.scale[own] * x[v] + a.shift[own];
      dx[v] = weight * a.scale[own] * (upstream[v] - mean - normalised * dot);
    }
    store<T, V>(static_cast<T*>(to.dx[k]) + at, dx);
  }
};

}  // namespace ddsas::grid
