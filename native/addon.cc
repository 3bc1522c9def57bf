// The doorway to libtorch: every function that JavaScript can call, on one screen.
#include <napi.h>

#include "autograd.h"
#include "dispatch.h"
#include "engine.h"
#include "errors.h"
#include "graph.h"
#include "interrupt.h"
#include "memory.h"
#include "process_group.h"
#include "tensor.h"

namespace {

Napi::Object Initialise(Napi::Env env, Napi::Object exports) {
  ddsas::own_process(env);
  ddsas::keep_and_count_memory();
  // whatever a function throws, the process goes on: an exception that passed Node would end it
  const auto add = [&](const char* name, Napi::Value (*function)(const Napi::CallbackInfo&)) {
    const auto safe = [function, name](const Napi::CallbackInfo& info) {
      return ddsas::guarded(info.Env(), [name] { return std::string(name); }, [&] { return function(info); });
    };
    exports.Set(name, Napi::Function::New(env, safe, name));
  };
  // any operator of ATen or of native/kernels, by its schema
  add("operator", ddsas::FindOperator);
  add("call", ddsas::Call);
  add("callLater", ddsas::CallLater);
  add("finish", ddsas::Finish);
  // tensors, named by integer slots
  add("fromBytes", ddsas::FromBytes);
  add("toBytes", ddsas::ToBytes);
  add("describe", ddsas::DescribeTensor);
  add("item", ddsas::Item);
  add("free", ddsas::Free);
  add("liveSlots", ddsas::LiveSlots);
  // gradients
  add("grad", ddsas::Grad);
  add("setRequiresGrad", ddsas::SetRequiresGrad);
  add("setGradMode", ddsas::SetGradMode);
  // CUDA: its stream, and graphs
  add("prepareDevice", ddsas::PrepareDevice);
  add("beginGraph", ddsas::BeginGraph);
  add("endGraph", ddsas::EndGraph);
  add("replayGraph", ddsas::ReplayGraph);
  add("freeGraph", ddsas::FreeGraph);
  add("synchronize", ddsas::Synchronize);
  // several processes
  add("groupBackends", ddsas::GroupBackends);
  add("openStore", ddsas::OpenStore);
  add("storeSet", ddsas::StoreSet);
  add("storeGet", ddsas::StoreGet);
  add("storeDelete", ddsas::StoreDelete);
  add("openGroup", ddsas::OpenGroup);
  add("sumLater", ddsas::SumLater);
  add("takeSum", ddsas::TakeSum);
  add("leaveGroup", ddsas::LeaveGroup);
  // the machine
  add("engine", ddsas::Engine);
  add("setThreads", ddsas::SetThreads);
  add("memory", ddsas::Memory);
  add("resetPeakMemory", ddsas::ResetPeakMemory);
  add("releaseMemory", ddsas::ReleaseMemory);
  add("setMemoryLimit", ddsas::SetMemoryLimit);
  add("watchInterrupts", ddsas::WatchInterrupts);
  add("interrupts", ddsas::Interrupts);
  return exports;
}

}  // namespace

NODE_API_MODULE(ddsas, Initialise)
