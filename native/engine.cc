// What engine this addon runs on: libtorch's version and place, threads, devices.
#include "engine.h"

#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <dlfcn.h>
#include <torch/version.h>

#include <atomic>
#include <stdexcept>

namespace ddsas {

namespace {

std::atomic<bool> owned{false};

std::string library_path() {
  Dl_info found;
  return dladdr(reinterpret_cast<void*>(&at::show_config), &found) != 0 ? found.dli_fname : "";
}

}  // namespace

void own_process(Napi::Env env) {
  if (owned.exchange(true))
    throw Napi::Error::New(env, "another thread of this process uses it; load ddsas in one thread, or start a process");
  env.AddCleanupHook([] { owned.store(false); });
}

Napi::Value Engine(const Napi::CallbackInfo& info) {
  auto result = Napi::Object::New(info.Env());
  const auto& cuda = at::detail::getCUDAHooks();
  result["version"] = TORCH_VERSION;
  result["path"] = library_path();
  result["config"] = at::show_config();
  result["threads"] = at::get_num_threads();
  result["cuda"] = static_cast<int>(cuda.hasCUDA() ? cuda.getNumGPUs() : 0);
#ifdef DDSAS_CUDA_KERNELS
  result["cudaKernels"] = true;
#else
  result["cudaKernels"] = false;
#endif
  return result;
}

Napi::Value SetThreads(const Napi::CallbackInfo& info) {
  const int32_t count = info[0].As<Napi::Number>().Int32Value();
  if (count < 1) throw std::invalid_argument(std::to_string(count) + " threads; at least 1 is needed");
  at::set_num_threads(count);
  return info.Env().Undefined();
}

}  // namespace ddsas
