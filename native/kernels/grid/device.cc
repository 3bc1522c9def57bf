// Which table of grid kernels serves a tensor.
#include "device.h"

#include <cstdlib>
#include <map>
#include <mutex>
#include <string>

#include "../simd/kernels.h"

#ifdef DDSAS_CUDA
#include <ATen/cuda/CUDAContext.h>
#endif

namespace ddsas::grid {

namespace {

/// DDSAS_SIMD=grid: the bodies that GPUs run compute float32 on the CPU too, which is how they are tested without one.
bool preferred() {
  static const char* wanted = std::getenv("DDSAS_SIMD");
  return wanted != nullptr && std::string(wanted) == "grid";
}

#ifdef DDSAS_CUDA
void* stream_of(const at::Tensor& x) { return at::cuda::getCurrentCUDAStream(x.device().index()).stream(); }
#endif

const Table* table_of(const at::Device& device) {
#ifdef DDSAS_CUDA_KERNELS
  if (device.is_cuda()) return &cuda_table;
#endif
  return device.is_cpu() ? &cpu_table : nullptr;
}

}  // namespace

bool are_images(const at::Tensor& x) {
  const bool typed = x.scalar_type() == at::kBFloat16 ||
                     (x.scalar_type() == at::kFloat && (preferred() || !x.device().is_cpu()));
  return kernels_enabled() && typed && x.dim() == 4 && x.numel() > 0 && are_few(x.numel()) &&
         has_table(x.device());
}

bool is_parameter_for(const at::Tensor& parameter, const at::Tensor& x) {
  return parameter.scalar_type() == at::kFloat && parameter.device() == x.device();
}

bool has_table(const at::Device& device) { return table_of(device) != nullptr; }

Launcher launcher_of(const at::Tensor& x) {
  const Table* table = table_of(x.device());
  TORCH_CHECK(table != nullptr, "there are no grid kernels on ", x.device());
#ifdef DDSAS_CUDA
  if (x.is_cuda()) return {c10::DeviceGuard(x.device()), *table, stream_of(x)};
#endif
  return {c10::DeviceGuard(x.device()), *table, nullptr};
}

Type type_of(const at::Tensor& x) { return x.scalar_type() == at::kBFloat16 ? Type::kBrain : Type::kFloat; }

Scratch scratch_for(const at::Tensor& x, int64_t columns, int64_t parts, at::Tensor& memory) {
  if (x.device().is_cpu()) return {nullptr, nullptr};
  // sums on two streams may run at once; never freed: graphs refer to them for as long as they are replayed
  static auto& counters = *new std::map<std::pair<int, void*>, at::Tensor>();
  static std::mutex alone;  // autograd computes each device's gradients on a thread of its own
  const std::lock_guard<std::mutex> lock(alone);
  auto& own = counters[{x.device().index(), launcher_of(x).stream}];
  if (!own.defined()) own = at::zeros({kCounters}, x.options().dtype(at::kInt).memory_format(c10::nullopt));
  memory = at::empty({partial_floats(columns, parts)}, x.options().dtype(at::kFloat).memory_format(c10::nullopt));
  return {reinterpret_cast<uint32_t*>(own.data_ptr<int32_t>()), memory.data_ptr<float>()};
}

}  // namespace ddsas::grid
