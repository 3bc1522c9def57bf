// One generic call for every operator: arguments by the operator's schema, `callBoxed`, results back as slots.
#include "dispatch.h"

#include <ATen/core/dispatch/Dispatcher.h>

#include <deque>
#include <future>
#include <map>

#include "convert.h"
#include "errors.h"
#include "flush_denormals.h"

namespace ddsas {

namespace {

// a deque: calls under way on other threads refer to its elements
std::deque<c10::OperatorHandle> operators;

/// A call on another thread, with what an error message says of it.
struct Pending {
  std::string description;
  std::future<torch::jit::Stack> result;
};
std::map<int32_t, Pending> pending;
int32_t next_ticket = 0;

const c10::OperatorHandle& operator_of(const Napi::CallbackInfo& info) {
  return operators.at(info[0].As<Napi::Number>().Uint32Value());
}

torch::jit::Stack stack_of(const c10::OperatorHandle& op, const Napi::Array& given) {
  const auto& expected = op.schema().arguments();
  if (given.Length() > expected.size()) throw std::invalid_argument("too many arguments");
  torch::jit::Stack stack;
  stack.reserve(expected.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    const Napi::Value value = i < given.Length() ? Napi::Value(given[i]) : given.Env().Undefined();
    if (!value.IsUndefined())
      stack.push_back(to_ivalue(value, expected[i].real_type()));
    else if (expected[i].default_value())
      stack.push_back(*expected[i].default_value());
    else
      throw std::invalid_argument("argument '" + expected[i].name() + "' is missing");
  }
  return stack;
}

std::string name_of(const c10::OperatorHandle& op) {
  const auto& name = op.operator_name();
  return name.overload_name.empty() ? name.name : name.name + "." + name.overload_name;
}

/// "aten::mm(float[2, 3], float[4, 5])": what stands before the colon of an error message.
std::string describe_call(const c10::OperatorHandle& op, const torch::jit::Stack& arguments) {
  std::string text = name_of(op) + "(";
  for (size_t i = 0; i < arguments.size(); ++i) text += (i ? ", " : "") + describe(arguments[i]);
  return text + ")";
}

Napi::Value result_of(Napi::Env env, const torch::jit::Stack& stack) {
  if (stack.empty()) return env.Undefined();
  if (stack.size() == 1) return from_ivalue(env, stack[0]);
  auto array = Napi::Array::New(env, stack.size());
  for (size_t i = 0; i < stack.size(); ++i) array[i] = from_ivalue(env, stack[i]);
  return array;
}

}  // namespace

Napi::Value FindOperator(const Napi::CallbackInfo& info) {
  const std::string name = info[0].As<Napi::String>().Utf8Value();
  return guarded(info.Env(), [&] { return name; }, [&]() -> Napi::Value {
    const auto dot = name.find('.');
    const std::string overload = dot == std::string::npos ? "" : name.substr(dot + 1);
    operators.push_back(c10::Dispatcher::singleton().findSchemaOrThrow(name.substr(0, dot).c_str(), overload.c_str()));
    return Napi::Number::New(info.Env(), static_cast<double>(operators.size() - 1));
  });
}

Napi::Value Call(const Napi::CallbackInfo& info) {
  const auto& op = operator_of(info);
  // callBoxed consumes the arguments, so they are described from the JavaScript side again when it throws
  const auto what = [&] {
    try {
      return describe_call(op, stack_of(op, info[1].As<Napi::Array>()));
    } catch (const std::exception&) {
      return name_of(op);
    }
  };
  return guarded(info.Env(), what, [&] {
    auto stack = stack_of(op, info[1].As<Napi::Array>());
    const FlushDenormals flush;
    op.callBoxed(&stack);
    return result_of(info.Env(), stack);
  });
}

Napi::Value CallLater(const Napi::CallbackInfo& info) {
  const auto& op = operator_of(info);
  return guarded(info.Env(), [&] { return name_of(op); }, [&]() -> Napi::Value {
    auto stack = stack_of(op, info[1].As<Napi::Array>());
    auto description = describe_call(op, stack);
    const FlushDenormals flush;
    auto work = std::async(std::launch::async, [&op, stack = std::move(stack)]() mutable {
      op.callBoxed(&stack);
      return std::move(stack);
    });
    pending.emplace(next_ticket, Pending{std::move(description), std::move(work)});
    return Napi::Number::New(info.Env(), next_ticket++);
  });
}

Napi::Value Finish(const Napi::CallbackInfo& info) {
  auto found = pending.find(info[0].As<Napi::Number>().Int32Value());
  if (found == pending.end()) throw Napi::Error::New(info.Env(), "this call was finished before");
  auto call = std::move(found->second);
  pending.erase(found);
  return guarded(info.Env(), [&] { return call.description; }, [&] { return result_of(info.Env(), call.result.get()); });
}

}  // namespace ddsas
