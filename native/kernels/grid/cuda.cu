// The bodies on CUDA: one thread for each index; sums over rows in blocks, the last block to end adds up their parts.
#include <cuda_runtime.h>

#include <algorithm>
#include <stdexcept>
#include <string>

#include "table.h"

namespace ddsas::grid {

namespace {

constexpr int kThreads = 256;
/// Blocks of a sum over rows: some for each of a large device's processors. More would leave more parts to the last one.
constexpr int64_t kBlocks = 512;

template <typename Body>
__global__ void __launch_bounds__(kThreads) each_kernel(const __grid_constant__ Body body, uint32_t count) {
  const uint32_t index = blockIdx.x * kThreads + threadIdx.x;
  if (index < count) body(index);
}

/// Adds up the values of all threads with the same x; the thread with y = 0 holds the result.
template <typename Value, int X>
__device__ Value across(Value* parts, Value value) {
  constexpr int kRows = kThreads / X;
  const int x = threadIdx.x, y = threadIdx.y;
  parts[y * X + x] = value;
  __syncthreads();
  for (int half = kRows / 2; half > 0; half /= 2) {
    if (y < half) parts[y * X + x].add(parts[(y + half) * X + x]);
    __syncthreads();
  }
  return parts[x];
}

template <typename Value>
__device__ Value fresh(const float* from) {
  Value value;
#pragma unroll
  for (unsigned i = 0; i < sizeof(Value) / sizeof(float); ++i) value.part[i] = __ldcg(from + i);
  return value;
}

template <typename Body, int X>
__global__ void __launch_bounds__(kThreads)
    sum_kernel(const __grid_constant__ Body body, uint32_t rows, uint32_t columns, uint32_t chunk, Scratch scratch) {
  using Value = typename Body::Value;
  constexpr int kRows = kThreads / X, kFloats = sizeof(Value) / sizeof(float);
  __shared__ Value parts[kThreads];
  __shared__ bool last;
  const uint32_t column = blockIdx.x * X + threadIdx.x;
  const bool inside = column < columns;
  const uint32_t begin = blockIdx.y * chunk, end = min(rows, begin + chunk);
  auto sum = Value::zero();
  if (inside) {
#pragma unroll 4
    for (uint32_t row = begin + threadIdx.y; row < end; row += kRows) sum.add(body.at(row, column));
  }
  sum = across<Value, X>(parts, sum);
  if (gridDim.y > 1) {
    float* own = scratch.partials + (static_cast<int64_t>(blockIdx.y) * columns + column) * kFloats;
    if (threadIdx.y == 0 && inside)
      for (int i = 0; i < kFloats; ++i) own[i] = sum.part[i];
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0 && threadIdx.y == 0) last = atomicAdd(scratch.counters + blockIdx.x, 1u) == gridDim.y - 1;
    __syncthreads();
    if (!last) return;
    __threadfence();
    sum = Value::zero();
    if (inside) {
      // several loads under way at once: one block has nobody to hide their latency behind
#pragma unroll 8
      for (uint32_t part = threadIdx.y; part < gridDim.y; part += kRows)
        sum.add(fresh<Value>(scratch.partials + (static_cast<int64_t>(part) * columns + column) * kFloats));
    }
    sum = across<Value, X>(parts, sum);
    if (threadIdx.x == 0 && threadIdx.y == 0) scratch.counters[blockIdx.x] = 0;
  }
  if (threadIdx.y == 0 && inside) body.finish(column, sum);
}

template <typename Body>
__global__ void __launch_bounds__(kThreads) elements_kernel(const __grid_constant__ Body body) {
  const Tensors& to = body.to;
  const int64_t index = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (index >= to.start[to.count]) return;
  int low = 0, high = to.count;  // start[low] <= index < start[high]
  while (high - low > 1) {
    const int middle = (low + high) / 2;
    if (to.start[middle] <= index)
      low = middle;
    else
      high = middle;
  }
  body(low, index - to.start[low]);
}

void check(const char* what) {
  const auto error = cudaGetLastError();
  if (error != cudaSuccess) throw std::runtime_error(std::string(what) + " was not launched: " + cudaGetErrorString(error));
}

int64_t ceiling(int64_t a, int64_t b) { return (a + b - 1) / b; }

struct Cuda {
  template <typename Body>
  static void each(int64_t count, const Body& body, void* stream) {
    if (count == 0) return;
    check_indices(count);
    each_kernel<<<static_cast<unsigned>(ceiling(count, kThreads)), kThreads, 0, static_cast<cudaStream_t>(stream)>>>(
        body, static_cast<uint32_t>(count));
    check("a kernel");
  }

  template <typename Body>
  static void sum_rows(int64_t rows, int64_t columns, const Body& body, const Scratch& scratch, void* stream) {
    check_indices(rows);
    // a block no wider than the columns divide into: threads beyond them would idle
    if (columns % 32 == 0 || columns > 256)
      sum_wide<Body, 32>(rows, columns, body, scratch, stream);
    else if (columns % 16 == 0)
      sum_wide<Body, 16>(rows, columns, body, scratch, stream);
    else
      sum_wide<Body, kColumns>(rows, columns, body, scratch, stream);
  }

  template <typename Body, int X>
  static void sum_wide(int64_t rows, int64_t columns, const Body& body, const Scratch& scratch, void* stream) {
    const int64_t across = ceiling(columns, X), in_block = kThreads / X;
    const int64_t most = std::min(kMostChunks, ceiling(kBlocks, across));
    const int64_t chunks = std::max<int64_t>(1, std::min(most, rows / (Body::kRowsOfThread * in_block)));
    const int64_t chunk = ceiling(rows, chunks);
    const dim3 blocks(static_cast<unsigned>(across), static_cast<unsigned>(ceiling(rows, chunk)));
    const dim3 threads(X, static_cast<unsigned>(in_block));
    sum_kernel<Body, X><<<blocks, threads, 0, static_cast<cudaStream_t>(stream)>>>(
        body, static_cast<uint32_t>(rows), static_cast<uint32_t>(columns), static_cast<uint32_t>(chunk), scratch);
    check("a sum");
  }

  template <typename Body>
  static void elements(const Tensors& to, const Body& body, void* stream) {
    const int64_t count = to.start[to.count];
    if (count == 0) return;
    elements_kernel<<<static_cast<unsigned>(ceiling(count, kThreads)), kThreads, 0, static_cast<cudaStream_t>(stream)>>>(
        body);
    check("an optimizer's step");
  }
};

}  // namespace

const Table cuda_table = Functions<Cuda>::table();

}  // namespace ddsas::grid
