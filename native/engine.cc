// What engine this addon runs on: libtorch's version and place, threads, devices.
#include "engine.h"

#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <dlfcn.h>
#include <torch/version.h>

namespace ddsas {

namespace {

std::string library_path() {
  Dl_info found;
  return dladdr(reinterpret_cast<void*>(&at::show_config), &found) != 0 ? found.dli_fname : "";
}

}  // namespace

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
  at::set_num_threads(info[0].As<Napi::Number>().Int32Value());
  return info.Env().Undefined();
}

}  // namespace ddsas
