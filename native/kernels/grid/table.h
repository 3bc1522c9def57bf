// The functions of a device, made from the bodies: picks the instance for an element type, a window and a vector width.
#pragma once

#include "grid.h"
#include "norm.h"
#include "update.h"
#include "window.h"

namespace ddsas::grid {

/// Neighbouring pixels that one thread of a depthwise convolution computes: each weight is read once for all of them.
constexpr int kRun = 4;

template <typename T>
bool aligned(const void* data) {
  return reinterpret_cast<uintptr_t>(data) % (4 * sizeof(T)) == 0;
}

/// Calls use(T{}) for the element type.
template <typename Use>
void with_type(Type type, Use use) {
  if (type == Type::kFloat)
    use(float{});
  else
    use(Brain{});
}

/// An integer known when the code is compiled.
template <int N>
struct Constant {
  static constexpr int value = N;
};

template <typename Use>
void with_size(int size, Use use) {
  if (size == 3)
    use(Constant<3>{});
  else
    use(Constant<5>{});
}

template <typename Use>
void with_width(bool four, Use use) {
  if (four)
    use(Constant<4>{});
  else
    use(Constant<1>{});
}

/// Device: `each(count, body, stream)`, `sum_rows(rows, columns, body, scratch, stream)`, `elements(tensors, body, stream)`.
template <typename Device>
struct Functions {
  static void depthwise(const Depthwise& a, void* z, void* stream) {
    const Window& w = a.window;
    const int rows = w.out(w.height), columns = w.out(w.width);
    with_type(w.type, [&](auto type) {
      using T = decltype(type);
      with_size(w.size, [&](auto size) {
        with_width(w.channels % 4 == 0 && aligned<T>(a.x) && aligned<T>(z), [&](auto width) {
          constexpr int K = decltype(size)::value, V = decltype(width)::value;
          Device::each(place_count<V, kRun>(w.images, w.channels, rows, columns),
                       DepthwiseForward<T, K, V, kRun>{a, static_cast<T*>(z), rows, columns}, stream);
        });
      });
    });
  }

  static void depthwise_input(const Depthwise& a, const void* dz, void* dx, void* stream) {
    const Window& w = a.window;
    const int rows = w.out(w.height), columns = w.out(w.width);
    with_type(w.type, [&](auto type) {
      using T = decltype(type);
      with_size(w.size, [&](auto size) {
        with_width(w.channels % 4 == 0 && aligned<T>(a.x) && aligned<T>(dz) && aligned<T>(dx), [&](auto width) {
          constexpr int K = decltype(size)::value, V = decltype(width)::value;
          const DepthwiseInput<T, K, V, kRun> body{a, static_cast<const T*>(dz), static_cast<T*>(dx), rows, columns};
          Device::each(place_count<V, kRun>(w.images, w.channels, w.height, w.width), body, stream);
        });
      });
    });
  }

  static void depthwise_weight(const Depthwise& a, const void* dz, float* dweight, const Scratch& scratch, void* stream) {
    const Window& w = a.window;
    const int rows = w.out(w.height), columns = w.out(w.width);
    with_type(w.type, [&](auto type) {
      using T = decltype(type);
      with_size(w.size, [&](auto size) {
        with_width(w.channels % 4 == 0 && aligned<T>(a.x) && aligned<T>(dz), [&](auto width) {
          constexpr int K = decltype(size)::value, V = decltype(width)::value;
          const DepthwiseWeight<T, K, V> body{a, static_cast<const T*>(dz), dweight, rows, columns};
          Device::sum_rows(static_cast<int64_t>(w.images) * rows, K * (w.channels / V), body, scratch, stream);
        });
      });
    });
  }

  static void pointwise_weight(const Product& a, float* dweight, const Scratch& scratch, void* stream) {
    with_type(a.type, [&](auto type) {
      using T = decltype(type);
      with_width(a.channels % 4 == 0 && aligned<T>(a.z), [&](auto width) {
        constexpr int V = decltype(width)::value;
        const PointwiseWeight<T, V> body{static_cast<const T*>(a.z), static_cast<const T*>(a.dy), dweight, a.channels,
                                         a.outputs};
        Device::sum_rows(a.pixels, static_cast<int64_t>(a.outputs) * (a.channels / V), body, scratch, stream);
      });
    });
  }

  /// One place for each of `rows` x `columns` pixels.
  template <template <typename, int> class Body>
  static void pool(const Pool& a, int rows, int columns, void* stream) {
    const Window& w = a.window;
    with_type(w.type, [&](auto type) {
      using T = decltype(type);
      const bool choices = reinterpret_cast<uintptr_t>(a.choice) % 4 == 0;
      with_width(w.channels % 4 == 0 && aligned<T>(a.from) && aligned<T>(a.to) && choices, [&](auto width) {
        constexpr int V = decltype(width)::value;
        const Body<T, V> body{a, w.out(w.height), w.out(w.width)};
        Device::each(place_count<V, 1>(w.images, w.channels, rows, columns), body, stream);
      });
    });
  }

  template <template <typename, int> class Body>
  static void pool_to_outputs(const Pool& a, void* stream) {
    pool<Body>(a, a.window.out(a.window.height), a.window.out(a.window.width), stream);
  }

  template <template <typename, int> class Body>
  static void pool_to_inputs(const Pool& a, void* stream) {
    pool<Body>(a, a.window.height, a.window.width, stream);
  }

  static void moments(Type type, int channels, int64_t pixels, const void* x, float* to, const Scratch& scratch,
                      void* stream) {
    with_type(type, [&](auto element) {
      using T = decltype(element);
      with_width(channels % 4 == 0 && aligned<T>(x), [&](auto width) {
        constexpr int V = decltype(width)::value;
        const Moments<T, V> body{static_cast<const T*>(x), to, channels, pixels};
        Device::sum_rows(pixels, channels / V, body, scratch, stream);
      });
    });
  }

  static void normalise(const Norms& a, void* stream) {
    Device::each(static_cast<int64_t>(a.count) * a.channels, NormaliseTerm{a}, stream);
  }

  template <typename T>
  static bool all_aligned(const Terms& a, const void* y) {
    bool four = a.channels % 4 == 0 && aligned<T>(y);
    for (int k = 0; k < a.count; ++k) four = four && aligned<T>(a.x[k]);
    return four;
  }

  static void mix(const Terms& a, void* y, void* stream) {
    with_type(a.type, [&](auto type) {
      using T = decltype(type);
      with_width(all_aligned<T>(a, y), [&](auto width) {
        constexpr int V = decltype(width)::value;
        Device::each(a.pixels * (a.channels / V), Mix<T, V>{a, static_cast<T*>(y)}, stream);
      });
    });
  }

  static void mix_sums(const Terms& a, const void* dy, float* sums, const Scratch& scratch, void* stream) {
    with_type(a.type, [&](auto type) {
      using T = decltype(type);
      with_width(all_aligned<T>(a, dy), [&](auto width) {
        constexpr int V = decltype(width)::value;
        const MixSums<T, V> body{a, static_cast<const T*>(dy), sums};
        Device::sum_rows(a.pixels, static_cast<int64_t>(a.count + 1) * (a.channels / V), body, scratch, stream);
      });
    });
  }

  static void mix_backward(const Terms& a, const void* dy, const float* sums, const TermGradients& to, void* stream) {
    with_type(a.type, [&](auto type) {
      using T = decltype(type);
      bool four = all_aligned<T>(a, dy);
      for (int k = 0; k < a.count; ++k) four = four && aligned<T>(to.dx[k]);
      with_width(four, [&](auto width) {
        constexpr int V = decltype(width)::value;
        const auto groups = static_cast<uint32_t>(a.pixels * (a.channels / V));
        const MixBackward<T, V> body{a, static_cast<const T*>(dy), sums, to, groups};
        Device::each(static_cast<int64_t>(a.count) * groups, body, stream);
      });
    });
  }

  static void augment(const Augment& a, void* stream) {
    Device::each(static_cast<int64_t>(a.batch) * a.height * a.width, AugmentBody{a}, stream);
  }

  static void sgd(const Tensors& to, const Sgd& how, void* stream) { Device::elements(to, SgdBody{to, how}, stream); }

  static void adam(const Tensors& to, const Adam& how, void* stream) { Device::elements(to, AdamBody{to, how}, stream); }

  static constexpr Table table() {
    return {depthwise,
            depthwise_input,
            depthwise_weight,
            pointwise_weight,
            pool_to_outputs<MaxPool>,
            pool_to_inputs<MaxPoolBackward>,
            pool_to_outputs<AvgPool>,
            pool_to_inputs<AvgPoolBackward>,
            moments,
            normalise,
            mix,
            mix_sums,
            mix_backward,
            augment,
            sgd,
            adam};
  }
};

}  // namespace ddsas::grid
