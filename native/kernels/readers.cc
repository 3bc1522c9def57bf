// What reads one tensor x, computed together: both passes over the images.
#include "readers.h"

namespace ddsas {

namespace {

const float* data(const at::Tensor& t) { return t.defined() ? t.data_ptr<float>() : nullptr; }

Window window_of(const at::Tensor& x, const Convolution& by) {
  return {x.size(1), x.size(2), x.size(3), by.spatial.size(2), by.stride, by.dilation, 0};
}

}  // namespace

Call::Call(const at::Tensor& images, const Readers& readers, const Normaliser& before, bool forward)
    : x(images), normaliser(before), pools(readers.pools) {
  int64_t border = 0;
  for (const auto& by : readers.convolutions) border = std::max(border, window_of(x, by).padding());
  for (const auto& by : readers.convolutions) {
    weights_.push_back({transposed(by.spatial), by.pointwise, forward ? transposed(by.pointwise) : at::Tensor(), {}});
    auto& [taps, pointwise, across, kernel] = weights_.back();
    Window window = window_of(x, by);
    window.border = border;
    kernel = {window, pointwise.size(0), data(normaliser.scale), data(normaliser.shift), data(normaliser.hat_scale),
              data(normaliser.hat_shift), data(taps), data(pointwise), data(across)};
    const auto needed = kernels().separable_scratch(kernel);
    scratch = {std::max(scratch.floats, needed.floats), std::max(scratch.zeros, needed.zeros)};
  }
}

Window Call::window(const Pool& pool) const { return {x.size(1), x.size(2), x.size(3), 3, pool.stride, 1, 1}; }

Results forward_images(const Call& call) {
  Results results;
  std::vector<MomentParts> parts;
  const auto add = [&](int64_t channels, const Window& window) {
    results.ys.push_back(empty_images(call.x, channels, window.out_height(), window.out_width()));
    parts.emplace_back(extent_of(results.ys.back()));
  };
  for (int64_t k = 0; k < call.convolutions(); ++k) {
    count_run(Kernel::separable, kernels().path);
    add(call.kernel(k).outputs, call.kernel(k).window);
  }
  for (const auto& pool : call.pools) {
    count_run(pool.maximum ? Kernel::max_pool3 : Kernel::avg_pool3, kernels().path);
    add(call.x.size(1), call.window(pool));
    const auto& y = results.ys.back();
    results.choices.push_back(
        pool.maximum ? at::empty(y.sizes(), y.options().dtype(at::kByte), at::MemoryFormat::ChannelsLast) : at::Tensor());
  }
  const auto& ys = results.ys;
  const auto count = static_cast<int64_t>(ys.size());
  for_each_image_and_next(call.x.size(0), call.scratch, [&](int64_t image, int64_t next, float* scratch) {
    const float* const x = image_of(call.x, image);
    if (call.convolutions() > 0) kernels().rectify(call.kernel(0), x, scratch);
    for (int64_t k = 0; k < count; ++k) {
      float* const y = image_to(ys[k], image);
      Soon soon;
      soon.add(y, image_size(ys[k]));
      if (k + 1 == count) soon.add(image_of(call.x, next), image_size(call.x));
      if (k < call.convolutions()) {
        kernels().separable_forward(call.kernel(k), soon, y, scratch);
      } else {
        const int64_t p = k - call.convolutions();
        const auto& pool = call.pools[p];
        if (pool.maximum)
          kernels().max_pool_forward(call.window(pool), x, soon, y, image_to<uint8_t>(results.choices[p], image));
        else
          kernels().avg_pool_forward(call.window(pool), x, soon, y);
      }
      parts[k].add(image, y);
    }
  });
  for (const auto& part : parts) results.moments.push_back(part.combine());
  return results;
}

namespace {

/// The backward pass over one image after another: convolutions first, since they begin dz.
class Backward {
 public:
  Backward(const Call& call, const Returned& returned, const at::Tensor& dz, const Parts& sums)
      : call_(call), returned_(returned), dz_(dz), sums_(sums),
        rectified_(std::any_of(returned.convolutions.begin(), returned.convolutions.end(), [](const ReturnedConvolution& r) {
          return r.spatial.wanted() || r.pointwise.wanted();
        })) {}

  /// Of a thread: what the convolutions need, then the gradient of a pooling's result.
  ScratchSize scratch() const {
    return {call_.scratch.floats + (returned_.pools.empty() ? 0 : image_size(call_.x)), call_.scratch.zeros};
  }

  void operator()(int64_t image, int64_t next, float* scratch) const {
    if (rectified_) kernels().rectify(call_.kernel(0), image_of(call_.x, image), scratch);
    for (size_t k = 0; k < returned_.convolutions.size(); ++k) convolve(k, image, next, scratch);
    if (!dz_.defined()) return;
    bool begun = !returned_.convolutions.empty();
    for (size_t p = 0; p < returned_.pools.size(); ++p, begun = true) pool(p, image, next, begun, scratch + call_.scratch.floats);
    const auto extent = extent_of(call_.x);
    for (const auto& other : returned_.others) {
      kernels().whole_gradient(extent.channels, extent.pixels, gradient_of(other, image), begun, image_to(dz_, image));
      begun = true;
    }
  }

 private:
  size_t tasks() const { return returned_.convolutions.size() + (dz_.defined() ? returned_.pools.size() : 0); }

  /// What the task after this one will read, of this image or, after the last one, of the next.
  Soon after(size_t task, int64_t image, int64_t next) const {
    const bool last = task + 1 == tasks();
    const size_t following = last ? 0 : task + 1, convolutions = returned_.convolutions.size();
    const int64_t then = last ? next : image;
    Soon soon;
    if (following < convolutions)
      add_soon(soon, returned_.convolutions[following].gradient, then);
    else
      for (const auto& gradient : returned_.pools[following - convolutions].gradients) add_soon(soon, gradient, then);
    if ((following == 0 && rectified_) || following + 1 == convolutions)
      soon.add(image_of(call_.x, then), image_size(call_.x));
    if (dz_.defined() && (following + 1 == convolutions || (convolutions == 0 && following == 0)))
      soon.add(image_of(dz_, then), image_size(call_.x));
    if (following + 1 == tasks())
      for (const auto& other : returned_.others) add_soon(soon, other, then);
    return soon;
  }

  void convolve(size_t k, int64_t image, int64_t next, float* scratch) const {
    const auto& [index, gradient, spatial, pointwise] = returned_.convolutions[k];
    const bool wanted = dz_.defined();
    const InputGradient input{k == 0, k + 1 == returned_.convolutions.size(), wanted ? image_to(dz_, image) : nullptr,
                              sums_.of(image)};
    kernels().separable_backward(call_.kernel(index), image_of(call_.x, image), gradient_of(gradient, image),
                                 after(k, image, next), {wanted ? &input : nullptr, spatial.of(image), pointwise.of(image)},
                                 scratch);
  }

  /// The gradients of all who read the result are added up, then scattered once.
  void pool(size_t p, int64_t image, int64_t next, bool begun, float* sum) const {
    const auto& [pool, gradients, choice] = returned_.pools[p];
    const auto window = call_.window(pool);
    const int64_t pixels = window.out_height() * window.out_width();
    const auto first = gradient_of(gradients[0], image);
    const bool computed = first.y != nullptr || gradients.size() > 1;
    for (size_t i = 0; computed && i < gradients.size(); ++i)
      kernels().whole_gradient(window.channels, pixels, gradient_of(gradients[i], image), i > 0, sum);
    const float* const dy = computed ? sum : first.dy;
    const auto soon = after(returned_.convolutions.size() + p, image, next);
    float* const dz = image_to(dz_, image);
    if (pool.maximum)
      kernels().max_pool_backward(window, dy, image_of<uint8_t>(choice, image), soon, begun, dz);
    else
      kernels().avg_pool_backward(window, dy, soon, begun, dz);
  }

  const Call& call_;
  const Returned& returned_;
  const at::Tensor& dz_;
  const Parts& sums_;
  const bool rectified_;
};

}  // namespace

Gradients backward_images(const Call& call, const Returned& returned, bool wants_z) {
  const int64_t images = call.x.size(0), channels = call.x.size(1);
  const auto dz = wants_z ? empty_images(call.x, channels, call.x.size(2), call.x.size(3)) : at::Tensor();
  const Parts sums = wants_z && call.normaliser.scale.defined() ? Parts(images, {2, channels}) : Parts();
  const Backward each(call, returned, dz, sums);
  for_each_image_in_groups(images, each.scratch(), each, [&](int64_t first, int64_t end) {
    for (const auto& by : returned.convolutions) {
      by.spatial.add(first, end);
      by.pointwise.add(first, end);
    }
    sums.add(first, end);
  });
  return {dz, sums.sum()};
}

}  // namespace ddsas
