// Picks the vector kernels once, by what the processor can do; and the switch that leaves all work to ATen's operators.
#include <torch/library.h>

#include <atomic>
#include <cstdlib>
#include <string>

#include "simd/kernels.h"

namespace ddsas {

namespace {

#ifdef DDSAS_X86
bool has_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
bool has_avx512() {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

const Kernels& select(const std::string& wanted) {
  if (wanted == "portable" || !has_avx2()) return portable::table;
  return wanted != "avx2" && has_avx512() ? avx512::table : avx2::table;
}
#else
const Kernels& select(const std::string&) { return portable::table; }
#endif

std::atomic<bool> enabled{true};

}  // namespace

bool kernels_enabled() { return enabled.load(std::memory_order_relaxed); }

const Kernels& kernels() {
  static const char* wanted = std::getenv("DDSAS_SIMD");
  static const Kernels& table = select(wanted != nullptr ? wanted : "");
  return table;
}

TORCH_LIBRARY_FRAGMENT(ddsas, library) {
  library.def("enable_kernels(bool flag) -> ()", [](bool flag) { enabled.store(flag); });
}

}  // namespace ddsas
