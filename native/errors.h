// The one way a C++ exception reaches JavaScript: an Error with what was done and libtorch's first line.
#pragma once

#include <c10/util/Exception.h>
#include <napi.h>

#include <string>

namespace ddsas {

/// The first line of an exception's message, without libtorch's C++ backtrace.
inline std::string first_line(const std::exception& error) {
  const auto* torch_error = dynamic_cast<const c10::Error*>(&error);
  const std::string text = torch_error ? torch_error->what_without_backtrace() : error.what();
  return text.substr(0, text.find('\n'));
}

/// Runs `body`; any exception becomes a JavaScript Error "<what()>: <first line>". `what` is only called then.
template <typename What, typename Body>
Napi::Value guarded(Napi::Env env, What what, Body body) {
  try {
    return body();
  } catch (const Napi::Error&) {
    throw;
  } catch (const std::exception& error) {
    throw Napi::Error::New(env, what() + ": " + first_line(error));
  } catch (...) {
    throw Napi::Error::New(env, what() + ": an exception of no known kind");
  }
}

}  // namespace ddsas
