// Tensors to and from JavaScript's typed arrays, and what JavaScript asks of a tensor.
#include "tensor.h"

#include <ATen/ATen.h>

#include <cmath>
#include <cstring>

#include "convert.h"
#include "errors.h"
#include "slots.h"

namespace ddsas {

namespace {

int32_t slot_of(const Napi::Value& value) { return value.As<Napi::Number>().Int32Value(); }

int64_t whole(const Napi::Value& value) {
  const double number = value.As<Napi::Number>().DoubleValue();
  TORCH_CHECK(number == std::floor(number) && std::abs(number) < 9e15, "a length should be a whole number, not ", number);
  return static_cast<int64_t>(number);
}

std::vector<int64_t> shape_of(const Napi::Value& value) {
  const auto array = value.As<Napi::Array>();
  std::vector<int64_t> shape;
  for (uint32_t i = 0; i < array.Length(); ++i)
    shape.push_back(whole(array[i]));
  return shape;
}

}  // namespace

Napi::Value FromBytes(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [] { return std::string("fromBytes"); }, [&]() -> Napi::Value {
    const auto bytes = info[0].As<Napi::Uint8Array>();
    auto tensor = at::empty(shape_of(info[2]), at::TensorOptions().dtype(to_dtype(info[1])));
    TORCH_CHECK(tensor.nbytes() == bytes.ByteLength(), "a tensor of shape ", tensor.sizes(), " takes ", tensor.nbytes(),
                " bytes, ", bytes.ByteLength(), " were given");
    if (tensor.nbytes() > 0) std::memcpy(tensor.data_ptr(), bytes.Data(), tensor.nbytes());
    return Napi::Number::New(info.Env(), put(std::move(tensor)));
  });
}

Napi::Value ToBytes(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [] { return std::string("toBytes"); }, [&]() -> Napi::Value {
    const auto tensor = at_slot(slot_of(info[0])).detach().to(at::kCPU).contiguous();
    auto buffer = Napi::ArrayBuffer::New(info.Env(), tensor.nbytes());
    if (tensor.nbytes() > 0) std::memcpy(buffer.Data(), tensor.data_ptr(), tensor.nbytes());
    return buffer;
  });
}

Napi::Value DescribeTensor(const Napi::CallbackInfo& info) {
  const auto env = info.Env();
  return guarded(env, [] { return std::string("describe"); }, [&]() -> Napi::Value {
    const auto& tensor = at_slot(slot_of(info[0]));
    auto shape = Napi::Array::New(env, tensor.dim());
    for (int64_t i = 0; i < tensor.dim(); ++i)
      shape[static_cast<uint32_t>(i)] = Napi::Number::New(env, static_cast<double>(tensor.size(i)));
    auto result = Napi::Object::New(env);
    result["shape"] = shape;
    result["dtype"] = Napi::Number::New(env, static_cast<int>(tensor.scalar_type()));
    result["device"] = Napi::String::New(env, tensor.device().str());
    return result;
  });
}

Napi::Value Item(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [] { return std::string("item"); }, [&]() -> Napi::Value {
    return Napi::Number::New(info.Env(), at_slot(slot_of(info[0])).item().toDouble());
  });
}

Napi::Value Free(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [] { return std::string("free"); }, [&]() -> Napi::Value {
    const auto slots = info[0].As<Napi::Array>();
    for (uint32_t i = 0; i < slots.Length(); ++i) free_slot(slot_of(slots[i]));
    return info.Env().Undefined();
  });
}

Napi::Value LiveSlots(const Napi::CallbackInfo& info) { return Napi::Number::New(info.Env(), live_slots()); }

}  // namespace ddsas
