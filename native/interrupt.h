// Ctrl-C while libtorch computes: JavaScript cannot run a handler then, so the count is kept here.
#pragma once

#include <napi.h>

namespace ddsas {

/// watchInterrupts(flag): from now on SIGINT and SIGTERM are counted, and a second one exits at once (code 130).
Napi::Value WatchInterrupts(const Napi::CallbackInfo& info);

/// interrupts() -> how many came since watching began.
Napi::Value Interrupts(const Napi::CallbackInfo& info);

}  // namespace ddsas
