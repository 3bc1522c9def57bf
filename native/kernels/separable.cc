// ddsas::separable: depthwise, then pointwise convolution of relu(x), or of relu(batch norm(x)), with hand-written backward.
// Only x is kept for the backward pass.
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include "grid/functions.h"
#include "statistics.h"

namespace ddsas {

namespace {

using c10::optional;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct Shape {
  int64_t stride, dilation;
};

/// The batch norm before the ReLU where there is one, and the moments it normalises by.
struct Before {
  optional<Norm> norm;
  at::Tensor moments;
};

void check(const at::Tensor& x, const at::Tensor& spatial, const at::Tensor& pointwise, Shape shape) {
  TORCH_CHECK(x.dim() == 4 && x.size(1) > 0, "separable needs images [n, c, h, w] with channels, not ", x.sizes());
  const int64_t c = x.size(1);
  TORCH_CHECK(spatial.dim() == 4 && spatial.size(0) == c && spatial.size(1) == 1 && spatial.size(2) % 2 == 1 &&
                  spatial.size(3) % 2 == 1,
              "separable needs depthwise weights [", c, ", 1, k, k] with odd k, not ", spatial.sizes());
  TORCH_CHECK(pointwise.dim() == 4 && pointwise.size(1) == c && pointwise.size(2) == 1 && pointwise.size(3) == 1,
              "separable needs pointwise weights [o, ", c, ", 1, 1], not ", pointwise.sizes());
  TORCH_CHECK(shape.stride > 0 && shape.dilation > 0, "separable needs a stride and a dilation of at least 1, not ",
              shape.stride, " and ", shape.dilation);
}

bool one_or_two(int64_t n) { return n == 1 || n == 2; }

bool fits(const at::Tensor& x, const at::Tensor& spatial, const at::Tensor& pointwise, Shape shape) {
  const auto is_weight = [](const at::Tensor& w) {
    return w.scalar_type() == at::kFloat && w.device().is_cpu() && w.dim() == 4;
  };
  return are_cpu_images(x) && is_weight(spatial) && is_weight(pointwise) && pointwise.size(0) > 0 &&
         spatial.size(2) == spatial.size(3) && (spatial.size(2) == 3 || spatial.size(2) == 5) &&
         one_or_two(shape.stride) && one_or_two(shape.dilation);
}

/// Everything one call needs, kept alive together with the pointers into it.
struct Call {
  at::Tensor x, spatial, taps, pointwise, transposed;
  Normaliser normaliser;
  Separable kernel;

  Call(const at::Tensor& images, const at::Tensor& by, const at::Tensor& across, const Normaliser& before, Shape shape)
      : x(images), spatial(by), pointwise(across), normaliser(before) {
    taps = spatial.flatten(1).t().contiguous();
    transposed = pointwise.flatten(1).t().contiguous();
    const Window window{x.size(1), x.size(2), x.size(3), spatial.size(2), shape.stride, shape.dilation};
    const auto data = [](const at::Tensor& t) { return t.defined() ? t.data_ptr<float>() : nullptr; };
    kernel = {window,
              pointwise.size(0),
              data(normaliser.scale),
              data(normaliser.shift),
              data(normaliser.hat_scale),
              data(normaliser.hat_shift),
              data(taps),
              data(pointwise),
              data(transposed)};
  }

  const float* image(int64_t i) const { return image_of(x, i); }
};

/// y and its moments.
std::pair<at::Tensor, at::Tensor> forward_images(const Call& call) {
  const auto& window = call.kernel.window;
  auto y = empty_images(call.x, call.kernel.outputs, window.out_height(), window.out_width());
  const auto extent = extent_of(y);
  MomentParts parts(extent);
  float* to = y.data_ptr<float>();
  const int64_t room = kernels().separable_scratch(call.kernel);
  for_each_image_and_next(extent.images, room, [&](int64_t image, int64_t next, float* scratch) {
    float* own = to + image * extent.channels * extent.pixels;
    kernels().separable_forward(call.kernel, call.image(image), call.image(next), own, scratch);
    parts.add(image, own);
  });
  return {y, parts.combine(to)};
}

/// Parts of a gradient found image by image, added up in order.
struct Parts {
  at::Tensor tensor;
  int64_t size = 0;

  Parts(bool wanted, int64_t images, at::IntArrayRef shape) {
    if (!wanted) return;
    std::vector<int64_t> sizes{images};
    sizes.insert(sizes.end(), shape.begin(), shape.end());
    tensor = at::empty(sizes, at::TensorOptions().dtype(at::kFloat));
    size = tensor.numel() / images;
  }

  float* of(int64_t image) const { return size > 0 ? tensor.data_ptr<float>() + image * size : nullptr; }
  at::Tensor sum() const { return size > 0 ? tensor.sum(0) : at::Tensor(); }
};

/// From dz, the gradient of what the ReLU reads, to dx, that of what the norm before it reads; in place. sums: over all
/// pixels, of dz and of dz hat, [2, channels].
void through_norm(const Call& call, const at::Tensor& sums, bool by_batch, at::Tensor& dz) {
  const auto [images, channels, pixels] = extent_of(dz);
  const auto count = static_cast<double>(images * pixels);
  const Separable& kernel = call.kernel;
  std::vector<float> a(channels), b(channels), d(channels);
  for (int64_t c = 0; c < channels; ++c) {
    const double scale = kernel.scale[c];
    const double total = by_batch ? sums.data_ptr<float>()[c] / count : 0;
    const double dot = by_batch ? sums.data_ptr<float>()[channels + c] / count : 0;
    a[c] = static_cast<float>(scale);
    b[c] = static_cast<float>(-scale * kernel.hat_scale[c] * dot);
    d[c] = static_cast<float>(-scale * (total + kernel.hat_shift[c] * dot));
  }
  float* data = dz.data_ptr<float>();
  for_each_image(images, 0, [&, channels = channels, pixels = pixels](int64_t image, float*) {
    const int64_t from = image * channels * pixels;
    const MixGradient term{call.x.data_ptr<float>() + from, data + from, a.data(), b.data(), d.data()};
    kernels().mix_backward(channels, pixels, data + from, term);
  });
}

struct Wanted {
  bool x, spatial, pointwise, affine, by_batch;
};

variable_list backward_images(const Call& call, const at::Tensor& dy, Wanted wanted) {
  const auto& window = call.kernel.window;
  const int64_t images = call.x.size(0), channels = window.channels;
  const bool normed = call.normaliser.scale.defined(), wants_z = wanted.x || wanted.affine;
  auto dx = wants_z ? empty_images(call.x, channels, window.height, window.width) : at::Tensor();
  const Parts sums(wants_z && normed, images, {2, channels});
  const Parts spatial(wanted.spatial, images, {window.size * window.size, channels});
  const Parts pointwise(wanted.pointwise, images, {call.kernel.outputs, channels});
  const int64_t in_size = call.x.numel() / images, room = kernels().separable_scratch(call.kernel);
  const auto upstream = [&](int64_t image) { return Upstream{call.image(image), image_of(dy, image)}; };
  for_each_image_and_next(images, room, [&](int64_t image, int64_t next, float* scratch) {
    float* own = wants_z ? dx.data_ptr<float>() + image * in_size : nullptr;
    const SeparableGradient to{own, sums.of(image), spatial.of(image), pointwise.of(image)};
    kernels().separable_backward(call.kernel, upstream(image), upstream(next), to, scratch);
  });
  const auto total = sums.sum();
  if (wanted.x && normed) through_norm(call, total, wanted.by_batch, dx);
  auto dspatial = spatial.sum(), dpointwise = pointwise.sum();
  if (wanted.spatial) dspatial = dspatial.t().contiguous().view(call.spatial.sizes());
  if (wanted.pointwise) dpointwise = dpointwise.view(call.pointwise.sizes());
  if (!wanted.affine) return {dx, dspatial, dpointwise, at::Tensor(), at::Tensor()};
  return {wanted.x ? dx : at::Tensor(), dspatial, dpointwise, total[1], total[0]};
}

struct SeparableFunction : torch::autograd::Function<SeparableFunction> {
  /// weight, bias: those of the norm, once more for autograd to see.
  static variable_list forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& spatial,
                               const at::Tensor& pointwise, const optional<at::Tensor>& /*weight*/,
                               const optional<at::Tensor>& /*bias*/, Shape shape, const Before& before) {
    Normaliser normaliser;
    if (before.norm) normaliser = normaliser_of(*before.norm, before.moments, x.numel() / x.size(1));
    const Call call(x, spatial, pointwise, normaliser, shape);
    context->save_for_backward({x, spatial, pointwise, normaliser.scale, normaliser.shift, normaliser.hat_scale,
                                normaliser.hat_shift});
    context->saved_data["stride"] = shape.stride;
    context->saved_data["dilation"] = shape.dilation;
    context->saved_data["by_batch"] = before.norm && before.norm->training;
    context->saved_data["affine"] = before.norm && before.norm->weight.defined();
    const auto [y, moments] = forward_images(call);
    context->mark_non_differentiable({moments});
    context->set_materialize_grads(false);
    return {y, moments};
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const Shape shape{context->saved_data["stride"].toInt(), context->saved_data["dilation"].toInt()};
    const Call call(saved[0], saved[1], saved[2], {saved[3], saved[4], saved[5], saved[6]}, shape);
    const auto needs = [&](size_t input) { return context->needs_input_grad(input); };
    const bool affine = context->saved_data["affine"].toBool() && (needs(3) || needs(4));
    const Wanted wanted{needs(0), needs(1), needs(2), affine, context->saved_data["by_batch"].toBool()};
    auto result = backward_images(call, channels_last(gradients[0]), wanted);
    result.resize(7);
    return result;
  }
};

/// The same with ATen's operators: any device and type, and what the kernel is tested against. It finds no moments.
at::Tensor compose(const at::Tensor& x, const at::Tensor& spatial, const at::Tensor& pointwise, Shape shape,
                   const Before& before) {
  const auto z = before.norm ? normalise(x, *before.norm) : x;
  const auto padding = [&](int64_t dim) { return (spatial.size(dim) - 1) / 2 * shape.dilation; };
  const auto across = at::conv2d(at::relu(z), weight_for(x, spatial), {}, shape.stride,
                                 at::IntArrayRef({padding(2), padding(3)}), shape.dilation, x.size(1));
  return at::conv2d(across, weight_for(x, pointwise));
}

std::tuple<at::Tensor, at::Tensor> separable(const at::Tensor& x, const at::Tensor& spatial, const at::Tensor& pointwise,
                                             int64_t stride, int64_t dilation, const optional<at::Tensor>& moments,
                                             const optional<at::Tensor>& running_mean,
                                             const optional<at::Tensor>& running_var, const optional<at::Tensor>& weight,
                                             const optional<at::Tensor>& bias, bool training, double momentum,
                                             double eps) {
  check(x, spatial, pointwise, {stride, dilation});
  TORCH_CHECK(running_mean.has_value() == running_var.has_value(), "separable needs a mean and a variance, or neither");
  Before before;
  const at::Tensor none;
  if (running_mean && running_var)
    before.norm = Norm{*running_mean, *running_var, training, momentum, eps, weight.value_or(none), bias.value_or(none)};
  if (before.norm) check_norm(*before.norm, moments.value_or(none), x.size(1));
  if (before.norm && before.norm->weight.defined() && grid::are_images(x))  // whose kernels know no affine norm
    return separable(normalise(x, *before.norm), spatial, pointwise, stride, dilation, {}, {}, {}, {}, {}, training,
                     momentum, eps);
  const grid::SeparableOptions on_grid{stride, dilation, before.norm, moments};
  if (grid::fits_separable(x, spatial, pointwise, on_grid)) return grid::separable(x, spatial, pointwise, on_grid);
  const bool alone = before.norm && training && x.size(0) * x.size(2) * x.size(3) == 1;
  if (alone || (before.norm && !are_plain(*before.norm, x.device())) || !fits(x, spatial, pointwise, {stride, dilation}))
    return {compose(x, spatial, pointwise, {stride, dilation}, before), at::empty({0}, x.options())};
  const auto images = channels_last(x);
  const bool known = moments && moments->numel() > 0;
  if (before.norm && training) before.moments = known ? *moments : moments_of(images);
  const auto result =
      SeparableFunction::apply(images, spatial.contiguous(), pointwise.contiguous(), weight, bias,
                               Shape{stride, dilation}, before);
  return {result[0], result[1]};
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(ddsas, library) {
  library.def(
      "separable(Tensor x, Tensor spatial, Tensor pointwise, int stride, int dilation, Tensor? moments, "
      "Tensor? running_mean, Tensor? running_var, Tensor? weight, Tensor? bias, bool training, float momentum, float eps) "
      "-> (Tensor, Tensor)",
      separable);
}

}  // namespace ddsas
