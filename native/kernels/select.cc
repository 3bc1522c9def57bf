// Picks the vector kernels once, by what the processor can do; and the switch that leaves all work to ATen's operators.
#include <ATen/core/List.h>
#include <torch/library.h>

#include <atomic>
#include <cstdlib>
#include <string>
#include <vector>

#include "simd/kernels.h"

namespace ddsas {

namespace {

/// The tables that were built and that this processor can run, the widest last.
std::vector<const Kernels*> available() {
  std::vector<const Kernels*> tables{&portable::table};
#ifdef DDSAS_AVX2
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) tables.push_back(&avx2::table);
#endif
#ifdef DDSAS_AVX512
  if (__builtin_cpu_supports("fma") && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
    tables.push_back(&avx512::table);
#endif
  return tables;
}

const char* wanted() {
  static const char* value = std::getenv("DDSAS_SIMD");
  return value != nullptr ? value : "";
}

const Kernels& select() {
  const auto tables = available();
  for (const auto* table : tables)
    if (std::string(name_of(table->path)) == wanted()) return *table;
  return *tables.back();
}

/// What this processor can run, the widest last, and what computes float32 on it.
std::tuple<c10::List<std::string>, std::string> instruction_sets() {
  c10::List<std::string> names;
  for (const auto* table : available()) names.push_back(name_of(table->path));
  return {names, std::string(wanted()) == "grid" ? name_of(Path::grid) : name_of(kernels().path)};
}

std::atomic<bool> enabled{true};

}  // namespace

bool kernels_enabled() { return enabled.load(std::memory_order_relaxed); }

const Kernels& kernels() {
  static const Kernels& table = select();
  return table;
}

TORCH_LIBRARY_FRAGMENT(ddsas, library) {
  library.def("enable_kernels(bool flag) -> ()", [](bool flag) { enabled.store(flag); });
  library.def("instruction_sets() -> (str[], str)", instruction_sets);
}

}  // namespace ddsas
