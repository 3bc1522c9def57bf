// The one way a C++ exception reaches JavaScript: an Error with what was done and libtorch's first line.
#pragma once

#include <c10/util/Exception.h>
#include <napi.h>

#include <new>
#include <stdexcept>
#include <string>

namespace ddsas {

/// There is no memory for a tensor, or its limit allows no more.
class OutOfMemory final : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Another process of the run is gone, or left it.
class OtherRank final : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Whether memory is what an exception is about: ours, of libtorch's allocator for CUDA, or of `new`.
inline bool is_out_of_memory(const std::exception& error) {
  return dynamic_cast<const OutOfMemory*>(&error) || dynamic_cast<const c10::OutOfMemoryError*>(&error) ||
         dynamic_cast<const std::bad_alloc*>(&error);
}

/// The first line of an exception's message, without libtorch's C++ backtrace.
inline std::string first_line(const std::exception& error) {
  const auto* torch_error = dynamic_cast<const c10::Error*>(&error);
  const std::string text = torch_error ? torch_error->what_without_backtrace() : error.what();
  return text.substr(0, text.find('\n'));
}

/// Runs `body`; any exception becomes a JavaScript Error "<what()>: <first line>", whose `code` is "memory" where memory ran
/// out; one about another rank is its text alone, with the code "rank". `what` is only called then.
template <typename What, typename Body>
Napi::Value guarded(Napi::Env env, What what, Body body) {
  try {
    return body();
  } catch (const Napi::Error&) {
    throw;
  } catch (const OtherRank& error) {
    auto thrown = Napi::Error::New(env, error.what());
    thrown.Set("code", Napi::String::New(env, "rank"));
    throw thrown;
  } catch (const std::exception& error) {
    auto thrown = Napi::Error::New(env, what() + ": " + first_line(error));
    if (is_out_of_memory(error)) thrown.Set("code", Napi::String::New(env, "memory"));
    throw thrown;
  } catch (...) {
    throw Napi::Error::New(env, what() + ": an exception of no known kind");
  }
}

}  // namespace ddsas
