// Memory of tensors: on the CPU an allocator that counts bytes exactly and keeps to a limit, and a C library told to keep large
// buffers; on CUDA what libtorch's caching allocator counts and keeps to.
#include "memory.h"

#include <c10/core/Allocator.h>
#include <torch/version.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdlib>
#include <memory>
#include <new>

#include "errors.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif
#ifdef DDSAS_CUDA
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAGuard.h>
#include <cuda_runtime_api.h>

#include <utility>
#endif

namespace ddsas {

namespace {

std::atomic<int64_t> live{0};
std::atomic<int64_t> peak{0};
std::atomic<int64_t> peak_before{0};  // the most there was before the peak was reset
std::atomic<int64_t> limit{0};        // 0: none

// Vector loads want 64-byte alignment.
constexpr size_t kAlignment = 64;

/// Stands right before a block's data.
struct Header {
  void* start;  // what malloc gave
  size_t bytes;
};

Header* header_of(void* data) { return static_cast<Header*>(data) - 1; }

/// "1 byte", "960 bytes", "1.5 MiB".
std::string readable(int64_t bytes) {
  if (bytes < 1 << 20) return std::to_string(bytes) + (bytes == 1 ? " byte" : " bytes");
  const int64_t tenths = bytes / (1 << 20) * 10 + bytes % (1 << 20) * 10 / (1 << 20);
  return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + " MiB";
}

/// Counts bytes before they are taken; throws where that would be beyond the limit.
void take(int64_t bytes) {
  int64_t before = live.load(std::memory_order_relaxed);
  // a failed attempt must not be counted even for a moment: on another thread a tensor that fits would be refused
  do {
    const int64_t most = limit.load(std::memory_order_relaxed);
    if (most > 0 && bytes > most - before)
      throw OutOfMemory("tensors hold " + readable(before) + ", " + readable(bytes) + " more would go beyond the limit of " +
                        readable(most));
  } while (!live.compare_exchange_weak(before, before + bytes, std::memory_order_relaxed));
  int64_t seen = peak.load(std::memory_order_relaxed);
  while (before + bytes > seen && !peak.compare_exchange_weak(seen, before + bytes, std::memory_order_relaxed)) {
  }
}

void give_back(int64_t bytes) { live.fetch_sub(bytes, std::memory_order_relaxed); }

void release(void* data) {
  if (data == nullptr) return;
  const Header header = *header_of(data);
  give_back(static_cast<int64_t>(header.bytes));
  std::free(header.start);
}

#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 3)
#define DDSAS_ALLOCATE_CONST
#else
#define DDSAS_ALLOCATE_CONST const
#endif

class CountingAllocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(size_t bytes) DDSAS_ALLOCATE_CONST override {
    if (bytes == 0) return {nullptr, nullptr, &release, c10::Device(c10::kCPU)};
    take(static_cast<int64_t>(bytes));
    // Aligned by hand: glibc's posix_memalign splits a larger block every time, malloc keeps small ones at hand.
    size_t room = bytes + kAlignment;
    void* const start = std::malloc(room + sizeof(Header));
    if (start == nullptr) {
      give_back(static_cast<int64_t>(bytes));
      throw OutOfMemory("not enough memory for a tensor of " + std::to_string(bytes) + " bytes");
    }
    void* data = static_cast<char*>(start) + sizeof(Header);
    std::align(kAlignment, bytes, data, room);
    *header_of(data) = {start, bytes};
    return {data, data, &release, c10::Device(c10::kCPU)};
  }

  c10::DeleterFnPtr raw_deleter() const override { return &release; }

#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 3)
  void copy_data(void* to, const void* from, std::size_t bytes) const override { default_copy_data(to, from, bytes); }
#endif
};

CountingAllocator allocator;

/// What the process holds for tensors whether they need it now or not: glibc, as it is told to, gives nothing back.
int64_t held() {
#ifdef __GLIBC__
  return std::max(peak_before.load(), peak.load());
#else
  return live.load();
#endif
}

#ifdef DDSAS_CUDA
/// Bytes of the device: free, and all.
std::pair<size_t, size_t> device_memory(const c10::Device& device) {
  const c10::cuda::CUDAGuard guard(device);
  size_t free_bytes = 0, all = 0;
  if (cudaMemGetInfo(&free_bytes, &all) != cudaSuccess) return {0, 0};
  return {free_bytes, all};
}
#endif

}  // namespace

void keep_and_count_memory() {
#ifdef __GLIBC__
  // By default glibc maps every large buffer anew and unmaps it on free: each operator then pays a page fault per
  // 4 KiB of its output. Never map, never trim: a freed buffer is reused by the next operator.
  mallopt(M_MMAP_MAX, 0);
  mallopt(M_TRIM_THRESHOLD, -1);
  mallopt(M_TOP_PAD, 64 << 20);
#endif
  c10::SetAllocator(c10::kCPU, &allocator, /*priority=*/100);
}

Napi::Value Memory(const Napi::CallbackInfo& info) {
  auto result = Napi::Object::New(info.Env());
  const c10::Device device(info[0].As<Napi::String>().Utf8Value());
  double now = 0, most = 0, kept = 0, reserved = 0, left = 0;
  if (device.is_cpu()) {
    now = static_cast<double>(live.load());
    most = static_cast<double>(peak.load());
    kept = static_cast<double>(held());
  }
#ifdef DDSAS_CUDA
  if (device.is_cuda()) {
    const auto stats = c10::cuda::CUDACachingAllocator::getDeviceStats(device.index());
    left = static_cast<double>(device_memory(device).first);
    now = static_cast<double>(stats.allocated_bytes[0].current);
    most = static_cast<double>(stats.allocated_bytes[0].peak);
    kept = static_cast<double>(stats.reserved_bytes[0].current);
    reserved = static_cast<double>(stats.reserved_bytes[0].peak);
  }
#endif
  result["live"] = now;
  result["peak"] = most;
  result["held"] = kept;
  result["reserved"] = reserved;
  result["free"] = left;
  return result;
}

Napi::Value ResetPeakMemory(const Napi::CallbackInfo& info) {
  const c10::Device device(info[0].As<Napi::String>().Utf8Value());
  if (device.is_cpu()) {
    peak_before.store(std::max(peak_before.load(), peak.load()));
    peak.store(live.load());
  }
#ifdef DDSAS_CUDA
  if (device.is_cuda()) c10::cuda::CUDACachingAllocator::resetPeakStats(device.index());
#endif
  return info.Env().Undefined();
}

Napi::Value ReleaseMemory(const Napi::CallbackInfo& info) {
#ifdef __GLIBC__
  malloc_trim(0);
  peak_before.store(0);
  peak.store(live.load());
#endif
  return info.Env().Undefined();
}

Napi::Value SetMemoryLimit(const Napi::CallbackInfo& info) {
  const c10::Device device(info[0].As<Napi::String>().Utf8Value());
  const double bytes = info[1].As<Napi::Number>().DoubleValue();
  TORCH_CHECK(bytes >= 0 && bytes <= 9e15 && bytes == std::floor(bytes), "a limit should be a whole number of bytes, not ", bytes);
  if (device.is_cpu()) {
    limit.store(static_cast<int64_t>(bytes));
    return info.Env().Undefined();
  }
#ifdef DDSAS_CUDA
  if (device.is_cuda()) {
    const auto all = static_cast<double>(device_memory(device).second);
    TORCH_CHECK(all > 0, device, " does not say how much memory it has");
    c10::cuda::CUDACachingAllocator::setMemoryFraction(bytes > 0 ? std::min(1.0, bytes / all) : 1.0, device.index());
    return info.Env().Undefined();
  }
#endif
  TORCH_CHECK(false, "memory of ", device, " has no limit in this build");
}

}  // namespace ddsas
