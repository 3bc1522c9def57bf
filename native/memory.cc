// Memory of tensors: on the CPU an allocator that counts bytes exactly, and a C library told to keep large buffers; on
// CUDA what libtorch's caching allocator counts.
#include "memory.h"

#include <c10/core/Allocator.h>
#include <torch/version.h>

#include <atomic>
#include <cstdlib>
#include <memory>
#include <new>

#ifdef __GLIBC__
#include <malloc.h>
#endif
#ifdef DDSAS_CUDA
#include <c10/cuda/CUDACachingAllocator.h>
#include <cuda_runtime_api.h>
#endif

namespace ddsas {

namespace {

std::atomic<int64_t> live{0};
std::atomic<int64_t> peak{0};

// Vector loads want 64-byte alignment.
constexpr size_t kAlignment = 64;

/// Stands right before a block's data.
struct Header {
  void* start;  // what malloc gave
  size_t bytes;
};

Header* header_of(void* data) { return static_cast<Header*>(data) - 1; }

void count(int64_t bytes) {
  const int64_t now = live.fetch_add(bytes, std::memory_order_relaxed) + bytes;
  int64_t seen = peak.load(std::memory_order_relaxed);
  while (now > seen && !peak.compare_exchange_weak(seen, now, std::memory_order_relaxed)) {
  }
}

void release(void* data) {
  if (data == nullptr) return;
  const Header header = *header_of(data);
  count(-static_cast<int64_t>(header.bytes));
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
    // Aligned by hand: glibc's posix_memalign splits a larger block every time, malloc keeps small ones at hand.
    size_t room = bytes + kAlignment;
    void* const start = std::malloc(room + sizeof(Header));
    if (start == nullptr)
      throw std::runtime_error("not enough memory for a tensor of " + std::to_string(bytes) + " bytes");
    void* data = static_cast<char*>(start) + sizeof(Header);
    std::align(kAlignment, bytes, data, room);
    *header_of(data) = {start, bytes};
    count(static_cast<int64_t>(bytes));
    return {data, data, &release, c10::Device(c10::kCPU)};
  }

  c10::DeleterFnPtr raw_deleter() const override { return &release; }

#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 3)
  void copy_data(void* to, const void* from, std::size_t bytes) const override { default_copy_data(to, from, bytes); }
#endif
};

CountingAllocator allocator;

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
  double now = 0, most = 0, reserved = 0, left = 0;
  if (device.is_cpu()) {
    now = static_cast<double>(live.load());
    most = static_cast<double>(peak.load());
  }
#ifdef DDSAS_CUDA
  if (device.is_cuda()) {
    const auto stats = c10::cuda::CUDACachingAllocator::getDeviceStats(device.index());
    size_t free_bytes = 0, all = 0;
    if (cudaMemGetInfo(&free_bytes, &all) == cudaSuccess) left = static_cast<double>(free_bytes);
    now = static_cast<double>(stats.allocated_bytes[0].current);
    most = static_cast<double>(stats.allocated_bytes[0].peak);
    reserved = static_cast<double>(stats.reserved_bytes[0].peak);
  }
#endif
  result["live"] = now;
  result["peak"] = most;
  result["reserved"] = reserved;
  result["free"] = left;
  return result;
}

Napi::Value ResetPeakMemory(const Napi::CallbackInfo& info) {
  const c10::Device device(info[0].As<Napi::String>().Utf8Value());
  if (device.is_cpu()) peak.store(live.load());
#ifdef DDSAS_CUDA
  if (device.is_cuda()) c10::cuda::CUDACachingAllocator::resetPeakStats(device.index());
#endif
  return info.Env().Undefined();
}

}  // namespace ddsas
