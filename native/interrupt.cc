// Ctrl-C while libtorch computes: the first is counted for the search loop to see, the second exits at once. A terminal
// that closes counts once, however often it says so: shells pass a hang-up on to what already had it.
#include "interrupt.h"

#include <csignal>
#include <cstring>
#include <unistd.h>

namespace ddsas {

namespace {

volatile std::sig_atomic_t seen = 0;
struct sigaction before_int;
struct sigaction before_term;
struct sigaction before_hangup;
bool watching = false;

void on_signal(int) {
  seen = seen + 1;
  if (seen > 1) _exit(130);
}

void on_hangup(int) {
  if (seen == 0) seen = 1;
}

}  // namespace

Napi::Value WatchInterrupts(const Napi::CallbackInfo& info) {
  const bool wanted = info[0].As<Napi::Boolean>().Value();
  if (wanted && !watching) {
    seen = 0;
    struct sigaction action;
    std::memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    action.sa_flags = SA_RESTART;
    sigaction(SIGINT, &action, &before_int);
    sigaction(SIGTERM, &action, &before_term);
    action.sa_handler = on_hangup;
    sigaction(SIGHUP, &action, &before_hangup);
  }
  if (!wanted && watching) {
    sigaction(SIGINT, &before_int, nullptr);
    sigaction(SIGTERM, &before_term, nullptr);
    sigaction(SIGHUP, &before_hangup, nullptr);
  }
  watching = wanted;
  return info.Env().Undefined();
}

Napi::Value Interrupts(const Napi::CallbackInfo& info) { return Napi::Number::New(info.Env(), seen); }

}  // namespace ddsas
