// Conversion between JavaScript values and libtorch's IValues, driven by an operator's schema.
#include "convert.h"

#include <algorithm>
#include <sstream>
#include <stdexcept>

#include "slots.h"

namespace ddsas {

namespace {

using c10::IValue;
using c10::TypeKind;
using c10::TypePtr;

[[noreturn]] void mismatch(const char* wanted) {
  throw std::invalid_argument(std::string("an argument should be ") + wanted);
}

double number(const Napi::Value& value) {
  if (!value.IsNumber()) mismatch("a number");
  return value.As<Napi::Number>().DoubleValue();
}

int64_t integer(const Napi::Value& value) {
  const double got = number(value);
  if (got != static_cast<double>(static_cast<int64_t>(got))) mismatch("a whole number");
  return static_cast<int64_t>(got);
}

/// A dtype, layout or memory format: libtorch looks them up in tables without a look at their size.
template <typename Option>
int64_t option(const Napi::Value& value, const char* what) {
  const int64_t got = integer(value);
  if (got < 0 || got >= static_cast<int64_t>(Option::NumOptions)) mismatch(what);
  return got;
}

at::Tensor tensor(const Napi::Value& value) {
  if (!value.IsNumber()) mismatch("a tensor");
  return at_slot(value.As<Napi::Number>().Int32Value());
}

/// A whole JavaScript number becomes an integer scalar: libtorch then keeps integer tensors integer.
at::Scalar scalar(const Napi::Value& value) {
  if (value.IsBoolean()) return at::Scalar(value.As<Napi::Boolean>().Value());
  const double got = number(value);
  const auto whole = static_cast<int64_t>(got);
  return got == static_cast<double>(whole) ? at::Scalar(whole) : at::Scalar(got);
}

template <typename Item, typename Convert>
IValue list(const Napi::Value& value, Convert convert) {
  if (!value.IsArray()) mismatch("an array");
  const auto array = value.As<Napi::Array>();
  c10::List<Item> items;
  items.reserve(array.Length());
  for (uint32_t i = 0; i < array.Length(); ++i) items.push_back(convert(array[i]));
  return items;
}

c10::optional<at::Tensor> maybe_tensor(const Napi::Value& value) {
  if (value.IsNull()) return c10::nullopt;
  return tensor(value);
}

IValue to_list(const Napi::Value& value, const TypePtr& element) {
  switch (element->kind()) {
    case TypeKind::TensorType:
      return list<at::Tensor>(value, tensor);
    case TypeKind::OptionalType:
      return list<c10::optional<at::Tensor>>(value, maybe_tensor);
    case TypeKind::FloatType:
      return list<double>(value, number);
    case TypeKind::BoolType:
      return list<bool>(value, [](const Napi::Value& item) { return item.ToBoolean().Value(); });
    case TypeKind::IntType:
    case TypeKind::SymIntType:
      return list<int64_t>(value, integer);
    default:
      mismatch(element->str().c_str());
  }
}

}  // namespace

at::ScalarType to_dtype(const Napi::Value& value) {
  return static_cast<at::ScalarType>(option<at::ScalarType>(value, "a dtype"));
}

IValue to_ivalue(const Napi::Value& value, const TypePtr& type) {
  switch (type->kind()) {
    case TypeKind::OptionalType:
      if (value.IsNull()) return IValue();
      return to_ivalue(value, type->expectRef<c10::OptionalType>().getElementType());
    case TypeKind::ListType:
      return to_list(value, type->expectRef<c10::ListType>().getElementType());
    case TypeKind::TensorType:
      return tensor(value);
    case TypeKind::NumberType:
      return scalar(value);
    case TypeKind::FloatType:
      return number(value);
    case TypeKind::BoolType:
      if (!value.IsBoolean()) mismatch("true or false");
      return value.As<Napi::Boolean>().Value();
    case TypeKind::StringType:
      if (!value.IsString()) mismatch("a string");
      return value.As<Napi::String>().Utf8Value();
    case TypeKind::DeviceObjType:
      if (!value.IsString()) mismatch("a device such as 'cpu' or 'cuda:0'");
      return c10::Device(value.As<Napi::String>().Utf8Value());
    case TypeKind::IntType:
    case TypeKind::SymIntType:
      return integer(value);
    case TypeKind::ScalarTypeType:
      return to_dtype(value);
    case TypeKind::LayoutType:
      return option<at::Layout>(value, "a layout");
    case TypeKind::MemoryFormatType:
      return option<at::MemoryFormat>(value, "a memory format");
    default:
      mismatch(type->str().c_str());
  }
}

Napi::Value from_ivalue(Napi::Env env, const IValue& value) {
  if (value.isTensor()) {
    const auto& result = value.toTensor();
    return result.defined() ? Napi::Number::New(env, put(result)) : env.Null();
  }
  if (value.isInt()) return Napi::Number::New(env, static_cast<double>(value.toInt()));
  if (value.isDouble()) return Napi::Number::New(env, value.toDouble());
  if (value.isBool()) return Napi::Boolean::New(env, value.toBool());
  if (value.isString()) return Napi::String::New(env, value.toStringRef());
  if (value.isNone()) return env.Null();
  if (value.isList() || value.isTuple()) {
    const auto items = value.isList() ? value.toListRef().vec() : value.toTupleRef().elements().vec();
    auto array = Napi::Array::New(env, items.size());
    for (size_t i = 0; i < items.size(); ++i) array[i] = from_ivalue(env, items[i]);
    return array;
  }
  throw std::invalid_argument("a result of type " + value.tagKind() + " cannot be returned");
}

std::string describe(const IValue& value) {
  constexpr size_t shown = 8;  // an optimizer's calls list hundreds of tensors
  std::ostringstream text;
  if (value.isTensor() && value.toTensor().defined()) {
    text << value.toTensor().scalar_type() << value.toTensor().sizes();
  } else if (value.isList()) {
    const auto elements = value.toListRef();
    for (size_t i = 0; i < std::min(elements.size(), shown); ++i) text << (i ? ", " : "[") << describe(elements[i]);
    if (elements.empty()) text << "[";
    if (elements.size() > shown) text << ", ... " << elements.size() << " in all";
    text << "]";
  } else {
    text << value;
  }
  return text.str();
}

}  // namespace ddsas
