// CUDA graphs on at::cuda::CUDAGraph: recorded on the stream that all work runs on, all from one pool of memory.
#include "graph.h"

#include <ATen/Context.h>

#include <map>
#include <memory>

#include "errors.h"

#ifdef DDSAS_CUDA
#include <ATen/cuda/CUDAContext.h>
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDAFunctions.h>
#include <cuda_runtime_api.h>
#endif

namespace ddsas {

namespace {

template <typename Body>
Napi::Value without_result(const Napi::CallbackInfo& info, const char* what, Body body) {
  return guarded(info.Env(), [&] { return std::string(what); }, [&]() -> Napi::Value {
    body();
    return info.Env().Undefined();
  });
}

#ifdef DDSAS_CUDA

std::map<int32_t, std::unique_ptr<at::cuda::CUDAGraph>> graphs;
std::unique_ptr<at::cuda::CUDAGraph> recording;
// The pool of memory that all graphs share ends with the last of them and cannot be taken up again: the last one stays
// until there is another.
std::unique_ptr<at::cuda::CUDAGraph> retired;
int32_t next_graph = 0;

at::cuda::MempoolId_t shared_pool() {
  static const auto pool = at::cuda::graph_pool_handle();
  return pool;
}

at::cuda::CUDAGraph& graph_at(const Napi::Value& number) {
  const auto found = graphs.find(number.As<Napi::Number>().Int32Value());
  if (found == graphs.end()) throw std::invalid_argument("there is no such graph");
  return *found->second;
}

/// Nodes of the graph under way.
size_t count_nodes() {
  const auto stream = at::cuda::getCurrentCUDAStream().stream();
  cudaStreamCaptureStatus status;
  cudaGraph_t graph = nullptr;
#if CUDART_VERSION >= 13000
  const auto found = cudaStreamGetCaptureInfo(stream, &status, nullptr, &graph, nullptr, nullptr, nullptr);
#else
  const auto found = cudaStreamGetCaptureInfo_v2(stream, &status, nullptr, &graph, nullptr, nullptr);
#endif
  size_t count = 0;
  if (found != cudaSuccess || graph == nullptr || cudaGraphGetNodes(graph, nullptr, &count) != cudaSuccess) return 0;
  return count;
}

/// For a graph that nobody has any more.
void retire(std::unique_ptr<at::cuda::CUDAGraph> graph) {
  if (graphs.empty()) retired = std::move(graph);
}

/// Ends a recording that CUDA gave up, and says why it did. libtorch could not, and would keep its memory divided, so that no
/// other could begin: it is given an empty one to end in its place.
std::string end_given_up(at::cuda::CUDAGraph& graph, cudaStream_t stream) {
  cudaGraph_t none = nullptr;
  const auto error = cudaStreamEndCapture(stream, &none);
  cudaGetLastError();  // or the next launch would report it
  if (cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal) == cudaSuccess) graph.capture_end();
  return cudaGetErrorString(error);
}

bool is_given_up(cudaStream_t stream) {
  cudaStreamCaptureStatus status;
  return cudaStreamIsCapturing(stream, &status) == cudaSuccess && status == cudaStreamCaptureStatusInvalidated;
}

#else

[[noreturn]] void refuse() { throw std::runtime_error("this build has no CUDA: build it on a libtorch with CUDA"); }

#endif

}  // namespace

#ifdef DDSAS_CUDA

Napi::Value PrepareDevice(const Napi::CallbackInfo& info) {
  return without_result(info, "prepareDevice", [&] {
    const c10::Device device(info[0].As<Napi::String>().Utf8Value());
    if (!device.is_cuda()) return;
    // what names no device means this one: streams, memory, kernels
    c10::cuda::set_device(device.index());
    // the default stream cannot be recorded
    at::cuda::setCurrentCUDAStream(at::cuda::getStreamFromPool(/*isHighPriority=*/false, device.index()));
    // what is called float32 is float32, and the same from run to run
    at::globalContext().setAllowTF32CuDNN(false);
    at::globalContext().setDeterministicCuDNN(true);
  });
}

Napi::Value BeginGraph(const Napi::CallbackInfo& info) {
  return without_result(info, "beginGraph", [] {
    if (recording != nullptr) throw std::invalid_argument("another graph is being recorded; end that first");
    auto graph = std::make_unique<at::cuda::CUDAGraph>();
    graph->capture_begin(shared_pool());
    recording = std::move(graph);  // only now: after a failed beginning another one is possible
  });
}

Napi::Value EndGraph(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [] { return std::string("endGraph"); }, [&]() -> Napi::Value {
    if (recording == nullptr) throw std::invalid_argument("no graph is being recorded");
    auto graph = std::move(recording);
    const auto stream = at::cuda::getCurrentCUDAStream().stream();
    if (is_given_up(stream)) {
      const auto reason = end_given_up(*graph, stream);
      retire(std::move(graph));
      throw std::runtime_error("what was computed cannot be recorded: " + reason);
    }
    auto result = Napi::Object::New(info.Env());
    result["launches"] = static_cast<double>(count_nodes());
    graph->capture_end();
    graphs.emplace(next_graph, std::move(graph));
    retired.reset();
    result["graph"] = next_graph++;
    return result;
  });
}

Napi::Value ReplayGraph(const Napi::CallbackInfo& info) {
  return without_result(info, "replayGraph", [&] { graph_at(info[0]).replay(); });
}

Napi::Value FreeGraph(const Napi::CallbackInfo& info) {
  return without_result(info, "freeGraph", [&] {
    // a replay may still be under way
    at::cuda::getCurrentCUDAStream().synchronize();
    const auto found = graphs.find(info[0].As<Napi::Number>().Int32Value());
    if (found == graphs.end()) return;
    auto graph = std::move(found->second);
    graphs.erase(found);
    retire(std::move(graph));
  });
}

Napi::Value Synchronize(const Napi::CallbackInfo& info) {
  return without_result(info, "synchronize", [] { at::cuda::getCurrentCUDAStream().synchronize(); });
}

#else

Napi::Value PrepareDevice(const Napi::CallbackInfo& info) { return info.Env().Undefined(); }
Napi::Value BeginGraph(const Napi::CallbackInfo& info) { return without_result(info, "beginGraph", refuse); }
Napi::Value EndGraph(const Napi::CallbackInfo& info) { return without_result(info, "endGraph", refuse); }
Napi::Value ReplayGraph(const Napi::CallbackInfo& info) { return without_result(info, "replayGraph", refuse); }
Napi::Value FreeGraph(const Napi::CallbackInfo& info) { return without_result(info, "freeGraph", refuse); }
Napi::Value Synchronize(const Napi::CallbackInfo& info) { return info.Env().Undefined(); }

#endif

}  // namespace ddsas
