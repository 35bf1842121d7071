#include "lowbit/core/tensor.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <new>

#include <fmt/format.h>

#include "lowbit/base/checked.h"
#include "lowbit/core/float8_format.h"

namespace lowbit {
namespace {

constexpr int64_t kMaxTensorBytes = int64_t{1} << 40;

std::shared_ptr<const std::byte> allocate(size_t bytes) {
  // 64: a cache line and the widest vector. One byte more than asked for keeps the pointer non-null for empty tensors.
  constexpr std::align_val_t kAlignment{64};
  void* memory = ::operator new(bytes + 1, kAlignment, std::nothrow);
  if (!memory) throw Error(ErrorCode::out_of_memory, fmt::format("{} bytes for a tensor are not available", bytes));
  return {static_cast<const std::byte*>(memory),
          [](const std::byte* p) { ::operator delete (const_cast<std::byte*>(p), std::align_val_t{64}); }};
}

template <typename From, typename To>
To convert(From value) {
  if constexpr (std::is_same_v<To, bool>) {
    return value != From{};
  } else if constexpr (std::is_floating_point_v<From> && std::is_integral_v<To>) {
    // Out of range is undefined in C++ and unspecified in ONNX: we saturate, NaN gives 0.
    if (std::isnan(value)) return 0;
    const double wide = static_cast<double>(value);
    if (wide <= static_cast<double>(std::numeric_limits<To>::min())) return std::numeric_limits<To>::min();
    if (wide >= static_cast<double>(std::numeric_limits<To>::max())) return std::numeric_limits<To>::max();
    return static_cast<To>(value);
  } else {
    return static_cast<To>(value);
  }
}

/// Sub-byte codes: bits 2 or 4, wrapped as a C cast would.
int8_t wrap_code(int64_t value, DType type) {
  const int bits = dtype_bits(type);
  const int64_t mask = (int64_t{1} << bits) - 1;
  int64_t code = value & mask;
  if (is_signed_integer(type) && code >> (bits - 1)) code -= mask + 1;
  return static_cast<int8_t>(code);
}

/// Calls f with a reader: index -> float, double or integer, of the stored element.
template <typename F>
void with_reader(const Tensor& t, F&& f) {
  const std::byte* raw = t.raw().data();
  const auto typed = [raw]<typename T>(T) { return [p = reinterpret_cast<const T*>(raw)](int64_t i) { return p[i]; }; };
  switch (t.dtype()) {
    case DType::float32:
      return f(typed(float{}));
    case DType::float64:
      return f(typed(double{}));
    case DType::float16:
      return f([p = reinterpret_cast<const uint16_t*>(raw)](int64_t i) { return half_to_float(p[i]); });
    case DType::bfloat16:
      return f([p = reinterpret_cast<const uint16_t*>(raw)](int64_t i) { return bfloat16_to_float(p[i]); });
    case DType::int8:
    case DType::int4:
    case DType::int2:
      return f(typed(int8_t{}));
    case DType::int16:
      return f(typed(int16_t{}));
    case DType::int32:
      return f(typed(int32_t{}));
    case DType::int64:
      return f(typed(int64_t{}));
    case DType::uint8:
    case DType::uint4:
    case DType::uint2:
    case DType::bool_:
      return f(typed(uint8_t{}));
    case DType::uint16:
      return f(typed(uint16_t{}));
    case DType::uint32:
      return f(typed(uint32_t{}));
    case DType::uint64:
      return f(typed(uint64_t{}));
    default:
      break;
  }
  if (const auto format = float8_format(t.dtype()))
    return f([p = reinterpret_cast<const uint8_t*>(raw), format](int64_t i) { return float8_to_float(p[i], *format); });
  throw Error(ErrorCode::unsupported, fmt::format("{} elements cannot be converted to numbers", dtype_name(t.dtype())));
}

template <typename To, typename Read>
void fill(Tensor& out, Read read) {
  To* y = reinterpret_cast<To*>(out.mutable_raw());
  for (int64_t i = 0; i < out.count(); ++i) y[i] = convert<decltype(read(0)), To>(read(i));
}

template <typename Read>
void fill_small_float(Tensor& out, Read read) {
  const auto as_float = [&](int64_t i) { return static_cast<float>(read(i)); };
  std::byte* raw = out.mutable_raw();
  if (const auto format = float8_format(out.dtype())) {
    uint8_t* y = reinterpret_cast<uint8_t*>(raw);
    for (int64_t i = 0; i < out.count(); ++i) y[i] = float_to_float8(as_float(i), *format, /*saturate=*/true);
    return;
  }
  uint16_t* y = reinterpret_cast<uint16_t*>(raw);
  for (int64_t i = 0; i < out.count(); ++i)
    y[i] = out.dtype() == DType::float16 ? float_to_half(as_float(i)) : float_to_bfloat16(as_float(i));
}

template <typename Read>
void fill_any(Tensor& out, Read read) {
  switch (out.dtype()) {
    case DType::float32:
      return fill<float>(out, read);
    case DType::float64:
      return fill<double>(out, read);
    case DType::int8:
      return fill<int8_t>(out, read);
    case DType::int16:
      return fill<int16_t>(out, read);
    case DType::int32:
      return fill<int32_t>(out, read);
    case DType::int64:
      return fill<int64_t>(out, read);
    case DType::uint8:
      return fill<uint8_t>(out, read);
    case DType::uint16:
      return fill<uint16_t>(out, read);
    case DType::uint32:
      return fill<uint32_t>(out, read);
    case DType::uint64:
      return fill<uint64_t>(out, read);
    case DType::bool_:
      return fill<bool>(out, read);
    case DType::int4:
    case DType::uint4:
    case DType::int2:
    case DType::uint2: {
      int8_t* y = reinterpret_cast<int8_t*>(out.mutable_raw());
      for (int64_t i = 0; i < out.count(); ++i)
        y[i] = wrap_code(convert<decltype(read(0)), int64_t>(read(i)), out.dtype());
      return;
    }
    default:
      return fill_small_float(out, read);
  }
}

}  // namespace

Tensor Tensor::uninitialized(DType type, Dims dims) {
  Tensor result;
  result.type_ = type;
  result.count_ = element_count(dims);
  result.dims_ = std::move(dims);
  const int64_t bytes = checked_mul(result.count_, static_cast<int64_t>(dtype_bytes(type)));
  if (bytes > kMaxTensorBytes)
    throw Error(ErrorCode::out_of_memory, fmt::format("a tensor {} of {} is above the limit of 1 TiB",
                                                      dims_text(result.dims_), dtype_name(type)));
  result.bytes_ = allocate(static_cast<size_t>(bytes));
  return result;
}

Tensor::Tensor(DType type, Dims dims) : Tensor(uninitialized(type, std::move(dims))) {
  std::memset(const_cast<std::byte*>(bytes_.get()), 0, byte_size());
  if (type == DType::string) strings_ = std::make_shared<std::vector<std::string>>(static_cast<size_t>(count_));
}

Tensor Tensor::view(DType type, Dims dims, Bytes bytes, std::shared_ptr<const void> owner) {
  Tensor result;
  result.type_ = type;
  result.count_ = element_count(dims);
  result.dims_ = std::move(dims);
  const int64_t wanted = checked_mul(result.count_, static_cast<int64_t>(dtype_bytes(type)));
  if (wanted != static_cast<int64_t>(bytes.size()))
    throw Error(ErrorCode::bad_file, fmt::format("{} bytes do not fill a tensor {} of {}, which takes {}", bytes.size(),
                                                 dims_text(result.dims_), dtype_name(type), wanted));
  if (bytes.empty()) return uninitialized(type, result.dims_);
  result.view_ = true;
  result.bytes_ = std::shared_ptr<const std::byte>(std::move(owner), bytes.data());
  return result;
}

Tensor Tensor::strings(Dims dims, std::vector<std::string> values) {
  Tensor result(DType::string, std::move(dims));
  if (result.count() != static_cast<int64_t>(values.size()))
    throw Error(ErrorCode::bad_file, "the number of strings does not fit the shape " + dims_text(result.dims()));
  result.strings_ = std::make_shared<const std::vector<std::string>>(std::move(values));
  return result;
}

const std::vector<std::string>& Tensor::string_values() const {
  LOWBIT_CHECK(strings_ != nullptr);
  return *strings_;
}

void Tensor::check_access(DType wanted, size_t bytes) const {
  // A typed pointer is given for the exact type; codes and the small floats have no C++ type, so any type of their
  // width will do.
  const bool plain = type_ == DType::float32 || type_ == DType::float64 ||
                     (is_integer(type_) && dtype_bits(type_) >= 8) || type_ == DType::bool_;
  LOWBIT_CHECK(plain ? wanted == type_ : bytes == dtype_bytes(type_));
}

void Tensor::make_unique() {
  if (!view_ && bytes_.use_count() == 1) return;
  const std::shared_ptr<const std::byte> copy = allocate(byte_size());
  if (byte_size() > 0) std::memcpy(const_cast<std::byte*>(copy.get()), bytes_.get(), byte_size());
  bytes_ = copy;
  view_ = false;
}

Tensor Tensor::reshaped(Dims dims) const {
  if (element_count(dims) != count_)
    throw Error(ErrorCode::bad_file,
                fmt::format("a tensor {} cannot be reshaped to {}", dims_text(dims_), dims_text(dims)));
  Tensor result = *this;
  result.dims_ = std::move(dims);
  return result;
}

Tensor Tensor::reinterpreted(DType type) const {
  LOWBIT_CHECK(dtype_bytes(type) == dtype_bytes(type_));
  Tensor result = *this;
  result.type_ = type;
  return result;
}

Tensor Tensor::cast(DType type) const {
  if (type == type_) return *this;
  Tensor result = uninitialized(type, dims_);
  if (type == DType::string) throw Error(ErrorCode::unsupported, "numbers are not converted to strings");
  with_reader(*this, [&](auto read) { fill_any(result, read); });
  return result;
}

std::vector<int64_t> to_int64(const Tensor& tensor) {
  if (!is_integer(tensor.dtype()) && tensor.dtype() != DType::bool_)
    throw Error(ErrorCode::bad_file, fmt::format("integers are needed where {} was found", dtype_name(tensor.dtype())));
  if (tensor.dtype() == DType::uint64)
    for (uint64_t value : tensor.values<uint64_t>())
      if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()))
        throw Error(ErrorCode::bad_file, "a uint64 value is beyond int64");
  const Tensor wide = tensor.cast(DType::int64);
  return {wide.values<int64_t>().begin(), wide.values<int64_t>().end()};
}

Tensor to_float32(const Tensor& tensor) { return tensor.cast(DType::float32); }

bool identical(const Tensor& a, const Tensor& b) {
  if (a.dtype() != b.dtype() || a.dims() != b.dims()) return false;
  if (a.dtype() == DType::string) return a.string_values() == b.string_values();
  return a.byte_size() == 0 || std::memcmp(a.raw().data(), b.raw().data(), a.byte_size()) == 0;
}

}  // namespace lowbit
