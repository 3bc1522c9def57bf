// ddsas::fan_out: a tensor handed out to several readers, with separable convolutions and poolings of it, so that it is read
// once and all gradients that come back are added in one pass.
#include <torch/library.h>

#include "grid/functions.h"
#include "pool.h"
#include "together.h"

namespace ddsas {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// Copies whose gradients are added in one pass of a grid's kernel.
struct CopiesOnGrid : torch::autograd::Function<CopiesOnGrid> {
  static variable_list forward(AutogradContext* context, const at::Tensor& x, int64_t count) {
    context->set_materialize_grads(false);
    variable_list copies;
    for (int64_t i = 0; i < count; ++i) copies.push_back(x.detach());
    return copies;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    context->get_saved_variables();  // there are none: it refuses a second pass, as other kernels do
    variable_list given;
    for (const auto& gradient : gradients)
      if (gradient.defined()) given.push_back(channels_last(gradient));
    if (given.empty()) return {at::Tensor(), at::Tensor()};
    return {given.size() == 1 ? given[0] : grid::add_images(given), at::Tensor()};
  }
};

/// The same tensor several times over; where kernels can, all gradients that come back are added in one pass.
variable_list copies_of(const at::Tensor& x, int64_t count) {
  if (count > 1 && x.requires_grad()) {
    if (grid::are_images(x)) {
      count_run(Kernel::fan_out, grid::path_of(x));
      return CopiesOnGrid::apply(x, count);
    }
    if (are_cpu_images(x)) {
      count_run(Kernel::fan_out, kernels().path);
      return read_together(channels_last(x), {count, {}, {}}, {}, {});
    }
  }
  if (count > 1) count_run(Kernel::fan_out, Path::aten);
  return variable_list(count, x);
}

/// As many poolings as there are strides to pool with, and which of them each reader takes.
struct Grouped {
  std::vector<Pool> pools;
  std::vector<size_t> taken;

  void add(bool maximum, at::IntArrayRef strides) {
    for (const int64_t stride : strides) {
      TORCH_CHECK(stride > 0, "pooling needs a stride of at least 1, not ", stride);
      size_t p = 0;
      while (p < pools.size() && !(pools[p].maximum == maximum && pools[p].stride == stride)) ++p;
      if (p == pools.size()) pools.push_back({maximum, stride, 0});
      ++pools[p].readers;
      taken.push_back(p);
    }
  }
};

/// Whether the vector kernels compute all of them; convolutions share scratch, so that they need one stride.
bool fit(const at::Tensor& x, const Readers& readers) {
  const auto& convolutions = readers.convolutions;
  return are_cpu_images(x) &&
         std::all_of(convolutions.begin(), convolutions.end(),
                     [&](const Convolution& by) {
                       return fits_separable(x, by) && by.stride == convolutions[0].stride;
                     }) &&
         std::all_of(readers.pools.begin(), readers.pools.end(), [&](const Pool& pool) { return pool.stride <= 2; });
}

/// The same, each reader by itself.
variable_list read_apart(const at::Tensor& x, const Readers& readers) {
  const auto own = static_cast<int64_t>(readers.convolutions.size() + readers.pools.size());
  auto results = copies_of(x, readers.copies + own);
  const variable_list given(results.begin() + readers.copies, results.end());
  results.resize(readers.copies);
  variable_list moments;
  auto next = given.begin();
  for (const auto& by : readers.convolutions) {
    auto [y, found] = separable_after(*next++, by, {});
    results.push_back(y);
    moments.push_back(found);
  }
  for (const auto& pool : readers.pools) {
    const auto ys = copies_of((pool.maximum ? max_pool3 : avg_pool3)(*next++, pool.stride), pool.readers);
    results.insert(results.end(), ys.begin(), ys.end());
    moments.push_back(at::empty({0}, x.options()));
  }
  results.insert(results.end(), moments.begin(), moments.end());
  return results;
}

/// From results and moments by pooling those by reader; `first`: of the poolings' results, after `convolutions` others.
variable_list in_order(const variable_list& found, int64_t first, int64_t convolutions, const Grouped& grouped) {
  const auto readers = static_cast<int64_t>(grouped.taken.size());
  const auto moments = found.begin() + first + readers;
  variable_list results(found.begin(), found.begin() + first);
  std::vector<int64_t> begin(grouped.pools.size(), first);
  for (size_t p = 1; p < begin.size(); ++p) begin[p] = begin[p - 1] + grouped.pools[p - 1].readers;
  for (const size_t p : grouped.taken) results.push_back(found[begin[p]++]);
  results.insert(results.end(), moments, moments + convolutions);
  for (const size_t p : grouped.taken) results.push_back(*(moments + convolutions + static_cast<int64_t>(p)));
  return results;
}

/// x `copies` times, then the results of the convolutions and of a pooling for each stride given, then their moments. Poolings
/// that are the same are computed once.
std::vector<at::Tensor> fan_out(const at::Tensor& x, int64_t copies, at::TensorList spatials, at::TensorList pointwises,
                                at::IntArrayRef strides, at::IntArrayRef dilations, at::IntArrayRef max_pools,
                                at::IntArrayRef avg_pools) {
  TORCH_CHECK(copies >= 0, "fan_out needs a count of at least 0, not ", copies);
  const size_t count = spatials.size();
  TORCH_CHECK(pointwises.size() == count && strides.size() == count && dilations.size() == count,
              "fan_out needs a pointwise weight, a stride and a dilation for each of ", count, " depthwise weights, not ",
              pointwises.size(), ", ", strides.size(), " and ", dilations.size());
  Grouped grouped;
  grouped.add(true, max_pools);
  grouped.add(false, avg_pools);
  Readers readers{copies, {}, grouped.pools};
  for (size_t k = 0; k < count; ++k) {
    readers.convolutions.push_back({spatials[k], pointwises[k], strides[k], dilations[k]});
    check_separable(x, readers.convolutions.back());
  }
  if (count == 0 && grouped.pools.empty()) return copies_of(x, copies);
  // a tensor without gradient need not pass through an operator
  const int64_t through = x.requires_grad() ? copies : 0;
  variable_list found;
  if (fit(x, readers)) {
    count_run(Kernel::fan_out, kernels().path);
    readers.copies = through;
    found = read_together(channels_last(x), readers, {}, {});
    found.insert(found.begin(), copies - through, x);
  } else {
    found = read_apart(x, readers);
  }
  return in_order(found, copies + static_cast<int64_t>(count), static_cast<int64_t>(count), grouped);
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(ddsas, library) {
  library.def(
      "fan_out(Tensor x, int copies, Tensor[] spatials, Tensor[] pointwises, int[] strides, int[] dilations, "
      "int[] max_pools, int[] avg_pools) -> Tensor[]",
      fan_out);
}

}  // namespace ddsas
