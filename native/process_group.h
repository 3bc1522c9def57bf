// Several processes of one run, through libtorch's own process groups: Gloo on the CPU, NCCL on CUDA (torch.distributed).
#pragma once

#include <napi.h>

namespace ddsas {

/// groupBackends() -> names of the process groups that this build has: `gloo`, `nccl`; an empty list where it has none.
Napi::Value GroupBackends(const Napi::CallbackInfo& info);

/// openStore(host, port, serve, milliseconds) -> port: a table of bytes that all ranks share. One process serves it, on any free port
/// where `port` is 0; the others connect within that time.
Napi::Value OpenStore(const Napi::CallbackInfo& info);

/// storeSet(key, bytes)
Napi::Value StoreSet(const Napi::CallbackInfo& info);

/// storeGet(key, wait) -> bytes, or null where nobody has set them yet; `wait`: until somebody has, or a rank is gone.
Napi::Value StoreGet(const Napi::CallbackInfo& info);

/// storeDelete(key)
Napi::Value StoreDelete(const Napi::CallbackInfo& info);

/// openGroup(backend, rank, names, silence, milliseconds): joins all ranks, one for each name, which errors call them by, within that
/// time. From then on each tells the others every second that it lives; one that is silent for `silence` seconds counts as gone.
Napi::Value OpenGroup(const Napi::CallbackInfo& info);

/// sumLater(slots) -> ticket: begins to sum tensors over all ranks, in one flat buffer of the first one's element type. All ranks
/// give tensors of the same shapes, on one device, in the same order.
Napi::Value SumLater(const Napi::CallbackInfo& info);

/// takeSum(ticket) -> slots of the sums, in the order and with the shapes of the tensors given; views of the one buffer.
Napi::Value TakeSum(const Napi::CallbackInfo& info);

/// leaveGroup(text): this rank takes part no more; a text tells all that wait for it why, an empty one says that all is done.
Napi::Value LeaveGroup(const Napi::CallbackInfo& info);

}  // namespace ddsas
