// Several processes of one run: torch.distributed's TCPStore and process groups, and a watch that says which of them is gone.
#include "process_group.h"

#include <stdexcept>
#include <string>

#if defined(USE_C10D_GLOO) || defined(USE_C10D_NCCL)

#include <ATen/ATen.h>
#include <netdb.h>
#include <sys/socket.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#ifdef USE_C10D_GLOO
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#endif
#ifdef USE_C10D_NCCL
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>
#endif
#include <torch/library.h>
#include <torch/version.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "errors.h"
#include "slots.h"

namespace ddsas {

namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

#if TORCH_VERSION_MAJOR >= 2
using Group = c10d::Backend;
#else
using Group = c10d::ProcessGroup;
#endif

/// How long a rank that waits does so before it looks whether the others live.
constexpr milliseconds kLook{1000};
/// How often a rank says that it lives.
constexpr milliseconds kBeat{1000};
/// What is silent for so long after a connection broke is what broke it.
constexpr milliseconds kMissedBeats{3500};
/// What a rank that waits for another may have to wait: for the one that evaluates or writes a checkpoint. Ranks that are
/// gone are seen by the watch.
constexpr milliseconds kPatience{24 * 60 * 60 * 1000};

std::vector<uint8_t> bytes_of(const std::string& text) { return {text.begin(), text.end()}; }

/// Tells the other ranks that this one lives, and sees whether they do, in a thread and with a connection of its own.
class Watch final {
 public:
  Watch(c10::intrusive_ptr<c10d::Store> store, int rank, std::vector<std::string> names, milliseconds silence)
      : store_(std::move(store)), rank_(rank), names_(std::move(names)), silence_(silence) {
    const auto now = Clock::now();
    answered_ = now;
    seen_.assign(names_.size(), {0, now});
    thread_ = std::thread([this] { run(); });
  }

  ~Watch() {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      stop_ = true;
    }
    wake_.notify_all();
    thread_.join();
  }

  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

  /// Which rank is gone, and why where it said so; empty while all live. `silence`: how long one may say nothing.
  std::string lost(milliseconds silence) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!left_.empty()) return left_;
    const auto now = Clock::now();
    if (rank_ != 0 && (store_gone_ || now - answered_ > silence)) return gone(0);
    std::string list;
    for (size_t r = 0; r < names_.size(); ++r)
      if (static_cast<int>(r) != rank_ && now - seen_[r].when > silence) list += (list.empty() ? "" : "; ") + gone(r);
    return list;
  }

  std::string lost() { return lost(silence_); }

  /// After a connection broke: the rank that broke it.
  std::string blame(const std::exception& error) {
    const auto until = Clock::now() + kMissedBeats + 2 * kBeat;
    while (Clock::now() < until) {
      const auto text = lost(kMissedBeats);
      if (!text.empty()) return text;
      std::this_thread::sleep_for(milliseconds(100));
    }
    return "the connection between the ranks broke (" + first_line(error) + ")";
  }

 private:
  struct Seen {
    int64_t beats;
    Clock::time_point when;
  };

  std::string gone(size_t rank) const { return names_[rank] + " is gone or does not answer"; }

  void run() {
    std::unique_lock<std::mutex> lock(mutex_);
    while (!stop_) {
      lock.unlock();
      const bool answered = look();
      lock.lock();
      if (!answered) store_gone_ = true;
      if (!answered) return;
      wake_.wait_for(lock, kBeat, [this] { return stop_; });
    }
  }

  /// False where the store is gone.
  bool look() {
    try {
      store_->add("beat/" + std::to_string(rank_), 1);
      std::string left;
      if (store_->check({"left"})) {
        const auto found = store_->get("left");
        left.assign(found.begin(), found.end());
      }
      std::vector<int64_t> beats;
      for (size_t r = 0; r < names_.size(); ++r) beats.push_back(store_->add("beat/" + std::to_string(r), 0));
      const std::lock_guard<std::mutex> lock(mutex_);
      const auto now = Clock::now();
      answered_ = now;
      left_ = left;
      for (size_t r = 0; r < names_.size(); ++r)
        if (seen_[r].beats != beats[r]) seen_[r] = {beats[r], now};
      return true;
    } catch (const std::exception&) {
      return false;
    }
  }

  const c10::intrusive_ptr<c10d::Store> store_;
  const int rank_;
  const std::vector<std::string> names_;
  const milliseconds silence_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stop_ = false;
  bool store_gone_ = false;
  std::string left_;
  Clock::time_point answered_;
  std::vector<Seen> seen_;
  std::thread thread_;
};

struct Sum {
  at::Tensor flat;
  std::vector<at::Tensor> views;
  c10::intrusive_ptr<c10d::Work> work;
};

/// All that this process has of its group. Never destroyed: a thread of libtorch's may wait for a rank that is gone.
struct State {
  std::string host;
  uint16_t port = 0;
  c10::intrusive_ptr<c10d::TCPStore> store;
  c10::intrusive_ptr<Group> group;
  std::unique_ptr<Watch> watch;
  std::map<int32_t, Sum> sums;
  int32_t next = 0;
};

State& state() {
  static auto* const one = new State;
  return *one;
}

c10d::TCPStore& store() {
  if (!state().store) throw std::logic_error("no store is open");
  return *state().store;
}

c10::intrusive_ptr<c10d::TCPStore> connect(const std::string& host, uint16_t port, bool serve, milliseconds timeout) {
  c10d::TCPStoreOptions options;
  options.port = port;
  options.isServer = serve;
  options.waitWorkers = false;
  options.timeout = timeout;
  return c10::make_intrusive<c10d::TCPStore>(host, options);
}

/// Runs `body`; what breaks in it is put down to the rank that broke it.
template <typename Body>
auto blaming(Body body) {
  try {
    return body();
  } catch (const OtherRank&) {
    throw;
  } catch (const std::exception& error) {
    if (!state().watch) throw;
    throw OtherRank(state().watch->blame(error));
  }
}

void throw_if_lost() {
  if (!state().watch) return;
  const auto lost = state().watch->lost();
  if (!lost.empty()) throw OtherRank(lost);
}

void wait_for(c10d::Work& work) {
  for (;;) {
    try {
      work.wait(kLook);
      return;
    } catch (const std::exception&) {
      if (work.isCompleted()) throw;
    }
    throw_if_lost();
  }
}

#ifdef USE_C10D_GLOO
/// This machine's address on the way to another: what the others can reach it by.
std::string address_towards(const std::string& host, uint16_t port) {
  addrinfo wanted{};
  wanted.ai_socktype = SOCK_DGRAM;
  addrinfo* found = nullptr;
  if (getaddrinfo(host.c_str(), std::to_string(port).c_str(), &wanted, &found) != 0 || found == nullptr) return host;
  std::string address = host;
  const int socket = ::socket(found->ai_family, SOCK_DGRAM, 0);
  sockaddr_storage own{};
  socklen_t length = sizeof own;
  char text[NI_MAXHOST];
  if (socket >= 0 && ::connect(socket, found->ai_addr, found->ai_addrlen) == 0 &&
      getsockname(socket, reinterpret_cast<sockaddr*>(&own), &length) == 0 &&
      getnameinfo(reinterpret_cast<sockaddr*>(&own), length, text, sizeof text, nullptr, 0, NI_NUMERICHOST) == 0)
    address = text;
  if (socket >= 0) close(socket);
  freeaddrinfo(found);
  return address;
}

c10::intrusive_ptr<Group> open_gloo(int rank, int world, milliseconds timeout) {
  auto options = c10d::ProcessGroupGloo::Options::create(timeout);
  const char* interface = std::getenv("GLOO_SOCKET_IFNAME");
  options->devices.push_back(
      interface != nullptr
          ? c10d::ProcessGroupGloo::createDeviceForInterface(interface)
          : c10d::ProcessGroupGloo::createDeviceForHostname(address_towards(state().host, state().port)));
  options->threads = 2;
  const auto prefixed = c10::make_intrusive<c10d::PrefixStore>("gloo", state().store);
  auto group = c10::make_intrusive<c10d::ProcessGroupGloo>(prefixed, rank, world, options);
  // connecting took `timeout` at most; what follows may wait for a rank that evaluates
  options->timeout = kPatience;
  return group;
}
#endif

c10::intrusive_ptr<Group> open_group(const std::string& backend, int rank, int world,
                                     [[maybe_unused]] milliseconds timeout) {
#ifdef USE_C10D_NCCL
  if (backend == "nccl") {
    const auto prefixed = c10::make_intrusive<c10d::PrefixStore>("nccl", state().store);
    auto options = c10d::ProcessGroupNCCL::Options::create();
    options->timeout = kPatience;
    return c10::make_intrusive<c10d::ProcessGroupNCCL>(prefixed, rank, world, options);
  }
#endif
#ifdef USE_C10D_GLOO
  if (backend == "gloo") return open_gloo(rank, world, timeout);
#endif
  throw std::invalid_argument("this build has no process group '" + backend + "'");
}

/// The sum over all ranks; what each rank's loss owes to it adds up on the way back.
class SumOverRanks final : public torch::autograd::Function<SumOverRanks> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext*, const at::Tensor& x) { return summed(x); }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext*,
                                                 torch::autograd::variable_list gradients) {
    return {summed(gradients[0])};
  }

 private:
  static at::Tensor summed(const at::Tensor& x) {
    if (!state().group) throw std::logic_error("there is no group of ranks");
    std::vector<at::Tensor> buffers{x.contiguous().clone()};
    blaming([&] { wait_for(*state().group->allreduce(buffers)); });
    return buffers[0];
  }
};

at::Tensor sum_over_ranks(const at::Tensor& x) { return SumOverRanks::apply(x); }

TORCH_LIBRARY_FRAGMENT(ddsas, library) { library.def("sum_over_ranks(Tensor x) -> Tensor", sum_over_ranks); }

}  // namespace

Napi::Value GroupBackends(const Napi::CallbackInfo& info) {
  auto names = Napi::Array::New(info.Env());
#ifdef USE_C10D_GLOO
  names[names.Length()] = "gloo";
#endif
#ifdef USE_C10D_NCCL
  names[names.Length()] = "nccl";
#endif
  return names;
}

Napi::Value OpenStore(const Napi::CallbackInfo& info) {
  auto& own = state();
  own.host = info[0].As<Napi::String>();
  const auto timeout = milliseconds(info[3].As<Napi::Number>().Int64Value());
  own.store = connect(own.host, info[1].As<Napi::Number>().Uint32Value(), info[2].As<Napi::Boolean>(), timeout);
  own.port = own.store->getPort();
  return Napi::Number::New(info.Env(), own.port);
}

Napi::Value StoreSet(const Napi::CallbackInfo& info) {
  const auto bytes = info[1].As<Napi::Uint8Array>();
  blaming([&] { store().set(info[0].As<Napi::String>(), {bytes.Data(), bytes.Data() + bytes.ByteLength()}); });
  return info.Env().Undefined();
}

Napi::Value StoreGet(const Napi::CallbackInfo& info) {
  const std::string key = info[0].As<Napi::String>();
  const bool wait = info[1].As<Napi::Boolean>();
  return blaming([&]() -> Napi::Value {
    auto pause = std::chrono::microseconds(100);
    auto looked = Clock::now();
    while (!store().check({key})) {
      if (!wait) return info.Env().Null();
      std::this_thread::sleep_for(pause);
      pause = std::min(2 * pause, std::chrono::microseconds(20000));
      if (Clock::now() - looked < kLook) continue;
      looked = Clock::now();
      throw_if_lost();
    }
    const auto bytes = store().get(key);
    return Napi::Buffer<uint8_t>::Copy(info.Env(), bytes.data(), bytes.size());
  });
}

Napi::Value StoreDelete(const Napi::CallbackInfo& info) {
  blaming([&] { return store().deleteKey(info[0].As<Napi::String>()); });
  return info.Env().Undefined();
}

Napi::Value OpenGroup(const Napi::CallbackInfo& info) {
  auto& own = state();
  const std::string backend = info[0].As<Napi::String>();
  const int rank = info[1].As<Napi::Number>().Int32Value();
  const auto given = info[2].As<Napi::Array>();
  std::vector<std::string> names;
  for (uint32_t r = 0; r < given.Length(); ++r) names.push_back(Napi::Value(given[r]).As<Napi::String>());
  const auto silence = milliseconds(info[3].As<Napi::Number>().Int64Value() * 1000);
  const auto timeout = milliseconds(info[4].As<Napi::Number>().Int64Value());
  const int world = static_cast<int>(names.size());
  own.watch = std::make_unique<Watch>(connect(own.host, own.port, false, timeout), rank, std::move(names), silence);
  blaming([&] { own.group = open_group(backend, rank, world, timeout); });
  return info.Env().Undefined();
}

Napi::Value SumLater(const Napi::CallbackInfo& info) {
  const at::NoGradGuard no_grad;
  const auto slots = info[0].As<Napi::Array>();
  if (!state().group) throw std::logic_error("there is no group of ranks");
  Sum sum;
  std::vector<at::Tensor> given;
  int64_t elements = 0;
  for (uint32_t i = 0; i < slots.Length(); ++i) {
    given.push_back(at_slot(Napi::Value(slots[i]).As<Napi::Number>().Int32Value()));
    elements += given.back().numel();
  }
  if (given.empty()) throw std::invalid_argument("nothing to sum over the ranks");
  sum.flat = at::empty({elements}, given[0].options());
  int64_t at = 0;
  for (const auto& tensor : given) {
    sum.views.push_back(sum.flat.narrow(0, at, tensor.numel()).view(tensor.sizes()));
    sum.views.back().copy_(tensor);
    at += tensor.numel();
  }
  std::vector<at::Tensor> buffers{sum.flat};
  blaming([&] { sum.work = state().group->allreduce(buffers); });
  const int32_t ticket = state().next++;
  state().sums.emplace(ticket, std::move(sum));
  return Napi::Number::New(info.Env(), ticket);
}

Napi::Value TakeSum(const Napi::CallbackInfo& info) {
  const auto found = state().sums.find(info[0].As<Napi::Number>().Int32Value());
  if (found == state().sums.end()) throw std::invalid_argument("there is no such sum");
  const Sum sum = std::move(found->second);
  state().sums.erase(found);
  blaming([&] { wait_for(*sum.work); });
  auto slots = Napi::Array::New(info.Env(), sum.views.size());
  for (size_t i = 0; i < sum.views.size(); ++i) slots[i] = Napi::Number::New(info.Env(), put(sum.views[i]));
  return slots;
}

Napi::Value LeaveGroup(const Napi::CallbackInfo& info) {
  auto& own = state();
  const std::string why = info[0].As<Napi::String>();
  if (!why.empty() && own.store) {
    try {
      own.store->compareSet("left", {}, bytes_of(why));
      // the others read it from the rank that serves the store
      if (own.watch) std::this_thread::sleep_for(kLook + 2 * kBeat);
    } catch (const std::exception&) {
      // nobody is left to tell
    }
  }
  own.watch.reset();
  if (!why.empty()) {
    // it waits for what it was asked, which may never come
    own.group.release();
    return info.Env().Undefined();
  }
  own.group.reset();
  own.store.reset();
  return info.Env().Undefined();
}

}  // namespace ddsas

#else

namespace ddsas {

namespace {

[[noreturn]] Napi::Value refuse() {
  throw std::runtime_error("this build has no process groups: install libgloo-dev, then set up again");
}

}  // namespace

Napi::Value GroupBackends(const Napi::CallbackInfo& info) { return Napi::Array::New(info.Env()); }
Napi::Value OpenStore(const Napi::CallbackInfo&) { refuse(); }
Napi::Value StoreSet(const Napi::CallbackInfo&) { refuse(); }
Napi::Value StoreGet(const Napi::CallbackInfo&) { refuse(); }
Napi::Value StoreDelete(const Napi::CallbackInfo&) { refuse(); }
Napi::Value OpenGroup(const Napi::CallbackInfo&) { refuse(); }
Napi::Value SumLater(const Napi::CallbackInfo&) { refuse(); }
Napi::Value TakeSum(const Napi::CallbackInfo&) { refuse(); }
Napi::Value LeaveGroup(const Napi::CallbackInfo& info) { return info.Env().Undefined(); }

}  // namespace ddsas

#endif
