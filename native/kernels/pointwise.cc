// ddsas::relu_pointwise and ddsas::factorized_reduce: 1x1 convolutions of relu(x), with x given in parts that are not
// concatenated in memory.
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include "deferred.h"
#include "grid/functions.h"
#include "parts.h"
#include "statistics.h"

namespace ddsas {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// One weight [outputs, all channels, 1, 1] and which pixels it reads.
struct Reading {
  at::Tensor weight;
  at::Tensor across;  // the weight by columns, for the forward pass alone
  int64_t step, offset;
  int64_t first;  // of its outputs among the channels of y
};

/// Every pixel by one weight, or every second pixel by the first weight and those one further by the second.
std::vector<Reading> readings_of(at::TensorList weights, bool forward) {
  std::vector<Reading> readings;
  int64_t first = 0;
  for (size_t i = 0; i < static_cast<size_t>(weights.size()); ++i) {
    readings.push_back({weights[i], forward ? transposed(weights[i]) : at::Tensor(), static_cast<int64_t>(weights.size()),
                        static_cast<int64_t>(i), first});
    first += weights[i].size(0);
  }
  return readings;
}

int64_t outputs_of(const std::vector<Reading>& readings) {
  return readings.back().first + readings.back().weight.size(0);
}

/// The kernel calls for one part of x, a call for each reading.
std::vector<Pointwise> calls_of(const std::vector<Reading>& readings, const at::Tensor& x, int64_t first_channel,
                                int64_t y_stride) {
  std::vector<Pointwise> calls;
  for (const auto& [weight, across, step, offset, first] : readings) {
    const int64_t outputs = weight.size(0);
    calls.push_back({x.size(1), outputs, x.size(3), x.size(2) / step, x.size(3) / step, step, offset,
                     weight.data_ptr<float>() + first_channel, weight.size(1),
                     across.defined() ? across.data_ptr<float>() + first_channel * outputs : nullptr, y_stride});
  }
  return calls;
}

/// A part of x, where its channels begin among all, and how it is read.
struct Part {
  at::Tensor x;
  int64_t channel;
  std::vector<Pointwise> calls;
};

std::vector<Part> parts_of(at::TensorList xs, const std::vector<Reading>& readings) {
  std::vector<Part> parts;
  int64_t channel = 0;
  for (const auto& x : xs) {
    parts.push_back({x, channel, calls_of(readings, x, channel, outputs_of(readings))});
    channel += x.size(1);
  }
  return parts;
}

int64_t scratch_of(const std::vector<Part>& parts) {
  int64_t largest = 0;
  for (const auto& part : parts) largest = std::max(largest, kernels().pointwise_scratch(part.calls[0]));
  return largest;
}

/// Throws where parts are not images of one size, or weights not [o, all their channels, 1, 1].
void check(at::TensorList xs, const std::vector<at::Tensor>& weights) {
  TORCH_CHECK(!xs.empty(), "a pointwise convolution needs at least one part");
  int64_t channels = 0;
  for (const auto& x : xs) {
    TORCH_CHECK(x.dim() == 4 && xs[0].dim() == 4 && x.size(0) == xs[0].size(0) && x.size(2) == xs[0].size(2) &&
                    x.size(3) == xs[0].size(3),
                "parts should be images [n, c, h, w] of one size, not ", xs[0].sizes(), " and ", x.sizes());
    channels += x.size(1);
  }
  const auto step = static_cast<int64_t>(weights.size());
  TORCH_CHECK(xs[0].size(2) % step == 0 && xs[0].size(3) % step == 0, "images of odd height or width are not halved: ",
              xs[0].sizes());
  for (const auto& w : weights)
    TORCH_CHECK(w.dim() == 4 && w.size(1) == channels && channels > 0 && w.size(2) == 1 && w.size(3) == 1,
                "pointwise weights should be [o, ", channels, ", 1, 1] and read at least one channel, not ", w.sizes());
}

bool fits(at::TensorList xs, const std::vector<at::Tensor>& weights) {
  for (const auto& x : xs)
    if (!are_cpu_images(x)) return false;
  for (const auto& w : weights)
    if (w.scalar_type() != at::kFloat || !w.device().is_cpu() || w.size(0) == 0) return false;
  return true;
}

at::Tensor forward_images(at::TensorList xs, const std::vector<Reading>& readings, at::Tensor& moments) {
  const int64_t step = readings[0].step;
  count_run(step == 1 ? Kernel::relu_pointwise : Kernel::factorized_reduce, kernels().path);
  auto y = empty_images(xs[0], outputs_of(readings), xs[0].size(2) / step, xs[0].size(3) / step);
  const auto extent = extent_of(y);
  const auto parts = parts_of(xs, readings);
  MomentParts of_images(extent);
  for_each_image_and_next(extent.images, {scratch_of(parts), 0}, [&](int64_t image, int64_t next, float* scratch) {
    float* const to = image_to(y, image);
    for (size_t i = 0; i < readings.size(); ++i)
      for (size_t part = 0; part < parts.size(); ++part) {
        const bool last = part + 1 == parts.size();
        const auto& following = last ? xs[0] : xs[part + 1];
        Soon soon;
        soon.add(image_of(following, last ? next : image), image_size(following));
        kernels().pointwise_forward(parts[part].calls[i], image_of(parts[part].x, image), soon, part > 0,
                                    to + readings[i].first, scratch);
      }
    of_images.add(image, to);
  });
  moments = of_images.combine();
  return y;
}

/// Of every part of x and every weight; not defined where not wanted.
struct PointwiseGradients {
  variable_list xs, weights;
};

/// `wants_x`: by part. All parts of an image are computed while the gradient of its result is in the cache.
PointwiseGradients backward_images(at::TensorList xs, const std::vector<Reading>& readings, const Deferred& gradient,
                          const std::vector<bool>& wants_x, bool wants_weights) {
  const auto extent = extent_of(gradient.upstream);
  const int64_t size = extent.channels * extent.pixels;
  const bool computed = gradient.coefficients.defined();
  const auto parts = parts_of(xs, readings);
  variable_list dxs, dweights;
  for (size_t part = 0; part < parts.size(); ++part) {
    const auto& x = xs[part];
    dxs.push_back(wants_x[part] ? empty_images(x, x.size(1), x.size(2), x.size(3)) : at::Tensor());
  }
  std::vector<Parts> of_weights;
  for (const auto& [weight, across, step, offset, first] : readings)
    of_weights.push_back(wants_weights ? Parts(extent.images, {weight.size(0), weight.size(1)}) : Parts());
  const int64_t rows = scratch_of(parts);
  const ScratchSize room{rows + (computed ? size : 0), 0};
  const auto each = [&](int64_t image, int64_t next, float* scratch) {
    const auto given = gradient_of(gradient, image);
    if (computed) kernels().whole_gradient(extent.channels, extent.pixels, given, false, scratch + rows);
    const float* const dy = computed ? scratch + rows : given.dy;
    for (size_t part = 0; part < parts.size(); ++part) {
      const auto& [x, channel, calls] = parts[part];
      const bool last = part + 1 == parts.size();
      const size_t following = last ? 0 : part + 1;
      const int64_t then = last ? next : image;
      Soon soon;
      soon.add(image_of(xs[following], then), image_size(xs[following]));
      if (wants_x[following]) soon.add(image_of(dxs[following], then), image_size(xs[following]));
      if (last) add_soon(soon, gradient, next);
      for (size_t i = 0; i < readings.size(); ++i)
        kernels().pointwise_backward(calls[i], image_of(x, image), dy + readings[i].first, i == 0 ? soon : Soon(),
                                     wants_x[part] ? image_to(dxs[part], image) : nullptr,
                                     wants_weights ? of_weights[i].of(image) + channel : nullptr, scratch);
    }
  };
  for_each_image_in_groups(extent.images, room, each, [&](int64_t first, int64_t end) {
    for (const auto& parts_of_weight : of_weights) parts_of_weight.add(first, end);
  });
  for (size_t i = 0; i < readings.size(); ++i)
    dweights.push_back(wants_weights ? of_weights[i].sum().view(readings[i].weight.sizes()) : at::Tensor());
  return {dxs, dweights};
}

struct ReluPointwise : torch::autograd::Function<ReluPointwise> {
  static variable_list forward(AutogradContext* context, at::TensorList xs, at::TensorList weights) {
    at::Tensor moments;
    const auto y = forward_images(xs, readings_of(weights, true), moments);
    variable_list saved(xs.begin(), xs.end());
    saved.insert(saved.end(), weights.begin(), weights.end());
    context->save_for_backward(saved);
    context->saved_data["parts"] = static_cast<int64_t>(xs.size());
    context->saved_data["deferrals"] = saved_deferrals({c10::make_intrusive<Deferral>()});
    context->mark_non_differentiable({moments});
    context->set_materialize_grads(false);
    return {y, moments};
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const auto parts = static_cast<size_t>(context->saved_data["parts"].toInt());
    const at::TensorList all(saved), xs = all.slice(0, parts), weights = all.slice(parts);
    const auto gradient = arrived(deferrals_of(context->saved_data["deferrals"])[0], gradients[0]);
    if (!gradient.upstream.defined()) return variable_list(saved.size());
    std::vector<bool> wants_x;
    for (size_t i = 0; i < parts; ++i) wants_x.push_back(context->needs_input_grad(i));
    bool wants_weights = false;
    for (size_t i = parts; i < saved.size(); ++i) wants_weights = wants_weights || context->needs_input_grad(i);
    auto [result, dweights] = backward_images(xs, readings_of(weights, false), gradient, wants_x, wants_weights);
    result.insert(result.end(), dweights.begin(), dweights.end());
    return result;
  }
};

std::tuple<at::Tensor, at::Tensor> run(at::TensorList xs, const std::vector<at::Tensor>& weights) {
  std::vector<at::Tensor> images, contiguous;
  for (const auto& x : xs) images.push_back(channels_last(x));
  for (const auto& weight : weights) contiguous.push_back(weight.contiguous());
  const auto result = ReluPointwise::apply(at::TensorList(images), at::TensorList(contiguous));
  return {result[0], result[1]};
}

/// A 1x1 convolution by what serves the device best: cuDNN takes ten times as long for the gradient of such a weight.
at::Tensor convolve(const at::Tensor& x, const at::Tensor& weight) {
  return grid::are_images(x) ? grid::pointwise_product(x, weight) : at::conv2d(x, weight_for(x, weight));
}

/// With the moments where the tail of a node takes them.
std::tuple<at::Tensor, at::Tensor> with_moments(const at::Tensor& y) {
  if (grid::are_images(y)) return {y, grid::moments_of(channels_last(y.detach()))};
  return {y, at::empty({0}, y.options())};
}

/// What `convolve` takes.
Path path_beside(const at::Tensor& x) { return grid::are_images(x) ? grid::path_of(x) : Path::aten; }

at::Tensor relu_of(at::TensorList xs) { return at::relu(xs.size() == 1 ? xs[0] : at::cat(xs, 1)); }

std::tuple<at::Tensor, at::Tensor> relu_pointwise(at::TensorList xs, const at::Tensor& weight) {
  check(xs, {weight});
  if (fits(xs, {weight})) return run(xs, {weight});
  count_run(Kernel::relu_pointwise, path_beside(xs[0]));
  const auto x = relu_of(xs);
  return with_moments(convolve(x, weight));
}

std::tuple<at::Tensor, at::Tensor> factorized_reduce(at::TensorList xs, const at::Tensor& first,
                                                     const at::Tensor& second) {
  check(xs, {first, second});
  if (fits(xs, {first, second})) return run(xs, {first, second});
  count_run(Kernel::factorized_reduce, path_beside(xs[0]));
  // thinned first, then convolved at stride 1: oneDNN 2 overruns its buffer in the weight's gradient of a 1x1 convolution
  // of stride 2 with few channels in channels last
  const auto x = relu_of(xs);
  const auto every_second = [&](int64_t from) { return x.slice(2, from, c10::nullopt, 2).slice(3, from, c10::nullopt, 2); };
  const auto half = [&](int64_t from, const at::Tensor& weight) {
    return convolve(every_second(from), weight);
  };
  return with_moments(at::cat({half(0, first), half(1, second)}, 1));
}

}  // namespace

DeferralPtr place_pointwise(const at::Tensor& y) { return place_from<ReluPointwise>(y); }

TORCH_LIBRARY_FRAGMENT(ddsas, library) {
  library.def("relu_pointwise(Tensor[] xs, Tensor weight) -> (Tensor, Tensor)", relu_pointwise);
  library.def("factorized_reduce(Tensor[] xs, Tensor first, Tensor second) -> (Tensor, Tensor)", factorized_reduce);
}

}  // namespace ddsas
