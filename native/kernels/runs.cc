// Counts of the kernels' runs: one number for each kernel and path.
#include "runs.h"

#include <ATen/core/List.h>
#include <torch/library.h>

#include <atomic>
#include <iterator>
#include <string>

namespace ddsas {

namespace {

constexpr const char* kKernels[] = {"separable", "fan_out",       "max_pool3", "avg_pool3",     "relu_pointwise", "factorized_reduce",
                                    "mix",       "left_gradient", "augment",   "image_augment", "sgd_",           "adam_"};
constexpr const char* kPaths[] = {"portable", "avx2", "avx512", "grid", "cuda", "aten"};
static_assert(std::size(kKernels) == static_cast<size_t>(Kernel::count), "a name for each kernel");
static_assert(std::size(kPaths) == static_cast<size_t>(Path::count), "a name for each path");

std::atomic<int64_t> runs[std::size(kKernels)][std::size(kPaths)];

/// "<kernel>/<path>" of each that ran, and how often.
std::tuple<c10::List<std::string>, c10::List<int64_t>> kernel_runs() {
  c10::List<std::string> names;
  c10::List<int64_t> counts;
  for (size_t kernel = 0; kernel < std::size(kKernels); ++kernel)
    for (size_t path = 0; path < std::size(kPaths); ++path) {
      const int64_t count = runs[kernel][path].load(std::memory_order_relaxed);
      if (count == 0) continue;
      names.push_back(std::string(kKernels[kernel]) + "/" + kPaths[path]);
      counts.push_back(count);
    }
  return {names, counts};
}

}  // namespace

const char* name_of(Path path) { return kPaths[static_cast<size_t>(path)]; }

void count_run(Kernel kernel, Path path) {
  runs[static_cast<size_t>(kernel)][static_cast<size_t>(path)].fetch_add(1, std::memory_order_relaxed);
}

TORCH_LIBRARY_FRAGMENT(ddsas, library) { library.def("kernel_runs() -> (str[], int[])", kernel_runs); }

}  // namespace ddsas
