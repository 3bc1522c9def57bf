// Mean and variance of each channel over a batch, from each image's moments about its first pixel (Chan et al.).
#include "statistics.h"

#include <ATen/core/grad_mode.h>

#include <cmath>

namespace ddsas {

void MomentParts::add(int64_t image, const float* data) {
  const int64_t channels = extent_.channels;
  float* const part = parts_.data() + image * 3 * channels;
  std::copy_n(data, channels, part);
  kernels().moments(channels, extent_.pixels, data, part + channels, part + 2 * channels);
}

at::Tensor MomentParts::combine() const {
  const auto [images, channels, pixels] = extent_;
  const auto count = static_cast<double>(pixels);
  std::vector<double> total(channels), within(channels), squares(channels);
  for (int64_t image = 0; image < images; ++image) {
    const float* const first = parts_.data() + image * 3 * channels;
    const float *const sum = first + channels, *const square = sum + channels;
    for (int64_t c = 0; c < channels; ++c) {
      const double mean = sum[c] / count, own = first[c] + mean;
      total[c] += own;
      squares[c] += own * own;
      within[c] += square[c] - sum[c] * mean;
    }
  }
  auto result = at::empty({2, channels}, at::TensorOptions().dtype(at::kFloat));
  float* const to = result.data_ptr<float>();
  for (int64_t c = 0; c < channels; ++c) {
    const double between = squares[c] - total[c] * total[c] / images;
    to[c] = static_cast<float>(total[c] / images);
    to[channels + c] = static_cast<float>((within[c] + count * between) / (count * images));
  }
  return result;
}

at::Tensor moments_of(const at::Tensor& x) {
  const auto extent = extent_of(x);
  MomentParts parts(extent);
  for_each_image(extent.images, [&](int64_t image) { parts.add(image, image_of(x, image)); });
  return parts.combine();
}

void check_norm(const Norm& norm, const at::Tensor& moments, int64_t channels) {
  TORCH_CHECK(norm.weight.defined() == norm.bias.defined(), "a norm has a weight and a bias, or neither");
  for (const auto& part : {norm.weight, norm.bias})
    TORCH_CHECK(!part.defined() || part.sizes() == at::IntArrayRef({channels}), "a norm of ", channels,
                " channels has a weight and a bias of as many, not ", part.sizes());
  for (const auto& statistic : {norm.running_mean, norm.running_var})
    TORCH_CHECK(statistic.sizes() == at::IntArrayRef({channels}), "a norm of ", channels,
                " channels has running statistics of as many, not ", statistic.sizes());
  if (!moments.defined() || moments.numel() == 0) return;
  TORCH_CHECK(moments.sizes() == at::IntArrayRef({2, channels}) && moments.scalar_type() == at::kFloat &&
                  moments.is_contiguous() && moments.device() == norm.running_mean.device(),
              "moments should be contiguous float32 [2, ", channels, "], not ", moments.scalar_type(), moments.sizes());
}

bool are_plain(const Norm& norm, const at::Device& device) {
  const auto plain = [&](const at::Tensor& x) {
    return x.scalar_type() == at::kFloat && x.is_contiguous() && x.device() == device;
  };
  for (const auto& part : {norm.weight, norm.bias})
    if (part.defined() && !plain(part)) return false;
  return plain(norm.running_mean) && plain(norm.running_var);
}

namespace {

void update_running(const Norm& norm, const at::Tensor& moments, int64_t count) {
  float *mean = norm.running_mean.data_ptr<float>(), *variance = norm.running_var.data_ptr<float>();
  const int64_t channels = norm.running_mean.numel();
  const float* batch = moments.data_ptr<float>();
  const double unbiased = static_cast<double>(count) / static_cast<double>(count - 1), m = norm.momentum;
  for (int64_t c = 0; c < channels; ++c) {
    mean[c] = static_cast<float>((1 - m) * mean[c] + m * batch[c]);
    variance[c] = static_cast<float>((1 - m) * variance[c] + m * batch[channels + c] * unbiased);
  }
}

}  // namespace

Normaliser normaliser_of(const Norm& norm, const at::Tensor& moments, int64_t count) {
  if (norm.training) update_running(norm, moments, count);
  const int64_t channels = norm.running_mean.numel();
  const float* mean = norm.training ? moments.data_ptr<float>() : norm.running_mean.data_ptr<float>();
  const float* variance = norm.training ? mean + channels : norm.running_var.data_ptr<float>();
  const auto empty = [&] { return at::empty({channels}, norm.running_mean.options()); };
  Normaliser result{empty(), empty()};
  float *scale = result.hat_scale.data_ptr<float>(), *shift = result.hat_shift.data_ptr<float>();
  for (int64_t c = 0; c < channels; ++c) {
    const double inverse = 1 / std::sqrt(static_cast<double>(variance[c]) + norm.eps);
    scale[c] = static_cast<float>(inverse);
    shift[c] = static_cast<float>(-mean[c] * inverse);
  }
  if (!norm.weight.defined()) return result;
  const at::NoGradGuard constants;
  result.scale = result.hat_scale * norm.weight;
  result.shift = at::addcmul(norm.bias, result.hat_shift, norm.weight);
  return result;
}

}  // namespace ddsas
