// From tensors to the arguments of the grid kernels: windows, terms, norms and the sums that several operators take.
#include "launch.h"

namespace ddsas::grid {

Window window_of(const at::Tensor& x, int64_t size, int64_t stride, int64_t dilation) {
  const auto narrow = [](int64_t n) { return static_cast<int>(n); };
  return {type_of(x),           narrow(x.size(0)), narrow(x.size(1)), narrow(x.size(2)),
          narrow(x.size(3)),    narrow(size),      narrow(stride),    narrow(dilation)};
}

namespace {

float* floats(const at::Tensor& x) { return x.defined() ? x.data_ptr<float>() : nullptr; }

int64_t pixels_of(const at::Tensor& x) { return x.numel() / x.size(1); }

Normaliser empty_normaliser(int64_t terms, const at::Tensor& x) {
  const auto both = at::empty({2, terms, x.size(1)}, x.options().dtype(at::kFloat).memory_format(c10::nullopt));
  return {both[0], both[1]};
}

void normalise(Norms& norms, const Normaliser& to, const at::Tensor& x) {
  norms.channels = static_cast<int>(x.size(1));
  norms.pixels = static_cast<double>(pixels_of(x));
  norms.scale = floats(to.scale);
  norms.shift = floats(to.shift);
  const auto on = launcher_of(x);
  on.table.normalise(norms, on.stream);
}

}  // namespace

Terms terms_of(at::TensorList xs, const at::Tensor& weights, const Normaliser& by) {
  Terms terms{};
  terms.type = type_of(xs[0]);
  terms.count = static_cast<int>(xs.size());
  terms.channels = static_cast<int>(xs[0].size(1));
  terms.pixels = pixels_of(xs[0]);
  for (size_t k = 0; k < xs.size(); ++k) terms.x[k] = xs[k].data_ptr();
  terms.scale = floats(by.scale);
  terms.shift = floats(by.shift);
  terms.weights = floats(weights);
  return terms;
}

at::Tensor sums_of(const Terms& terms, const at::Tensor& x, const at::Tensor& dy) {
  const int64_t columns = static_cast<int64_t>(terms.count + 1) * terms.channels;
  auto sums = at::empty({terms.count + 1, terms.channels}, x.options().dtype(at::kFloat).memory_format(c10::nullopt));
  at::Tensor memory;
  const auto on = launcher_of(x);
  const auto scratch = scratch_for(x, columns, 1, memory);
  on.table.mix_sums(terms, dy.data_ptr(), floats(sums), scratch, on.stream);
  return sums;
}

at::Tensor moments_of(const at::Tensor& x) {
  auto moments = at::empty({2, x.size(1)}, x.options().dtype(at::kFloat).memory_format(c10::nullopt));
  at::Tensor memory;
  const auto on = launcher_of(x);
  const auto scratch = scratch_for(x, x.size(1), 2, memory);
  on.table.moments(type_of(x), static_cast<int>(x.size(1)), pixels_of(x), x.data_ptr(), floats(moments), scratch,
                       on.stream);
  return moments;
}

Normaliser normaliser_of(const Norm& norm, const at::Tensor& moments, const at::Tensor& x) {
  Norms norms{};
  norms.count = 1;
  norms.training = norm.training;
  norms.momentum = norm.momentum;
  norms.eps = norm.eps;
  norms.moments[0] = floats(moments);
  norms.mean[0] = floats(norm.running_mean);
  norms.variance[0] = floats(norm.running_var);
  auto to = empty_normaliser(1, x);
  normalise(norms, to, x);
  return to;
}

Normaliser normaliser_of(at::TensorList xs, const TermNorms& given) {
  Norms norms{};
  norms.count = static_cast<int>(xs.size());
  norms.training = given.training;
  norms.momentum = given.momentum;
  norms.eps = given.eps;
  std::vector<at::Tensor> alive;
  for (int k = 0; k < norms.count; ++k) {
    const auto mean = given.means.get(k), variance = given.variances.get(k), found = given.moments.get(k);
    if (!mean) continue;
    norms.mean[k] = floats(*mean);
    norms.variance[k] = floats(*variance);
    if (!given.training) continue;
    alive.push_back(found && found->numel() > 0 ? *found : moments_of(xs[k]));
    norms.moments[k] = floats(alive.back());
  }
  auto to = empty_normaliser(norms.count, xs[0]);
  normalise(norms, to, xs[0]);
  return to;
}

}  // namespace ddsas::grid
