#include "lowbit/formats/onnx/tensors.h"
#include "lowbit/core/onnx_types.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <optional>

#include <fmt/format.h>
#include <onnx/onnx_pb.h>

#include "lowbit/base/checked.h"
#include "lowbit/base/resident.h"
#include "lowbit/base/text.h"
#include "lowbit/formats/nonfinite.h"
#include "lowbit/formats/onnx/slim.h"

namespace lowbit::onnx_format {
namespace {

constexpr int kMaxRank = 64;
constexpr int64_t kMaxDenseBytes = int64_t{256} << 20;

[[noreturn]] void fail(const std::string& what, const std::string& message) {
  throw Error(ErrorCode::bad_file, what + " " + message);
}

Dims dims_of(const google::protobuf::RepeatedField<int64_t>& proto, const std::string& what) {
  if (proto.size() > kMaxRank)
    fail(what, fmt::format("has {} dimensions (at most {} are read)", proto.size(), kMaxRank));
  Dims dims(proto.begin(), proto.end());
  for (int64_t dim : dims)
    if (dim < 0) fail(what, fmt::format("has the negative dimension {}", dim));
  return dims;
}

DType type_of(int32_t number, const std::string& what) {
  const auto type = dtype_of_onnx(number);
  if (type) return *type;
  if (number >= 14 && number <= 24)
    throw Error(ErrorCode::unsupported,
                fmt::format("{} has an element type that is not supported (ONNX type {}: complex "
                            "numbers, float4 or float8e8m0)",
                            what, number));
  fail(what, fmt::format("has the unknown element type {}", number));
}

/// Bytes of the elements as ONNX packs them.
int64_t checked_packed_bytes(DType type, const Dims& dims, const std::string& what) {
  try {
    const int64_t bits = checked_mul(checked_product(dims), dtype_bits(type));
    return bits / 8 + (bits % 8 != 0);
  } catch (const Error&) {
    fail(what, fmt::format("has the impossible shape {}", dims_text(dims)));
  }
}

/// Codes of 4 or 2 bits, the first in the lowest bits -> one per byte.
Tensor unpack(DType type, const Dims& dims, Bytes packed) {
  const int bits = dtype_bits(type);
  const int per_byte = 8 / bits;
  const int mask = (1 << bits) - 1, sign = is_signed_integer(type) ? 1 << (bits - 1) : 0;
  Tensor codes = Tensor::uninitialized(type, dims);
  int8_t* out = codes.mutable_data<int8_t>();
  for (int64_t i = 0; i < codes.count(); ++i) {
    const int byte = std::to_integer<int>(packed[static_cast<size_t>(i / per_byte)]);
    const int code = byte >> (static_cast<int>(i % per_byte) * bits) & mask;
    out[i] = static_cast<int8_t>((code ^ sign) - sign);
  }
  return codes;
}

Tensor copied(DType type, const Dims& dims, Bytes bytes) {
  Tensor tensor = Tensor::uninitialized(type, dims);
  if (!bytes.empty()) std::memcpy(tensor.mutable_raw(), bytes.data(), bytes.size());
  return tensor;
}

/// The fields that hold elements, with how many there are.
struct TypedField {
  const char* name;
  int size;
};

TypedField typed_field(const onnx::TensorProto& proto, const std::string& what) {
  TypedField found{nullptr, 0};
  for (const TypedField& field :
       {TypedField{"float_data", proto.float_data_size()}, TypedField{"int32_data", proto.int32_data_size()},
        TypedField{"string_data", proto.string_data_size()}, TypedField{"int64_data", proto.int64_data_size()},
        TypedField{"double_data", proto.double_data_size()}, TypedField{"uint64_data", proto.uint64_data_size()}}) {
    if (field.size == 0) continue;
    if (found.name) fail(what, fmt::format("stores elements in both {} and {}", found.name, field.name));
    found = field;
  }
  return found;
}

template <typename T, typename Field>
Tensor narrowed(DType type, const Dims& dims, const Field& field, const std::string& what) {
  Tensor tensor = Tensor::uninitialized(type, dims);
  T* out = reinterpret_cast<T*>(tensor.mutable_raw());
  for (int i = 0; i < field.size(); ++i) {
    if (!std::in_range<T>(field.Get(i)))
      fail(what, fmt::format("has the element {} at index {}, which is no {}", field.Get(i), i, dtype_name(type)));
    out[i] = static_cast<T>(field.Get(i));
  }
  return tensor;
}

template <typename Field>
Tensor bytes_of(DType type, const Dims& dims, const Field& field) {
  Tensor tensor = Tensor::uninitialized(type, dims);
  if (field.size() > 0) std::memcpy(tensor.mutable_raw(), field.data(), tensor.byte_size());
  return tensor;
}

Tensor from_int32_data(const onnx::TensorProto& proto, DType type, const Dims& dims, const std::string& what) {
  const auto& field = proto.int32_data();
  switch (type) {
    case DType::int32:
      return bytes_of(type, dims, field);
    case DType::int16:
      return narrowed<int16_t>(type, dims, field, what);
    case DType::int8:
      return narrowed<int8_t>(type, dims, field, what);
    case DType::bool_: {
      Tensor tensor = Tensor::uninitialized(type, dims);
      std::transform(field.begin(), field.end(), tensor.mutable_data<bool>(), [](int32_t x) { return x != 0; });
      return tensor;
    }
    default:
      break;
  }
  if (dtype_bits(type) == 16) return narrowed<uint16_t>(type, dims, field, what);
  if (dtype_bits(type) == 8) return narrowed<uint8_t>(type, dims, field, what);
  const Tensor packed = narrowed<uint8_t>(DType::uint8, {field.size()}, field, what);
  return unpack(type, dims, packed.raw());
}

Tensor from_typed_field(const onnx::TensorProto& proto, DType type, const Dims& dims, const std::string& what) {
  const TypedField field = typed_field(proto, what);
  const int64_t count = element_count(dims);
  const bool sub_byte = dtype_bits(type) > 0 && dtype_bits(type) < 8;
  const int64_t wanted = sub_byte ? checked_packed_bytes(type, dims, what) : count;
  if (wanted != field.size)
    fail(what, fmt::format("has {} elements, but its shape {} needs {}", field.size, dims_text(dims), wanted));
  if (type == DType::string) return Tensor::strings(dims, {proto.string_data().begin(), proto.string_data().end()});
  const std::string_view name = field.name ? field.name : "";
  if (name.empty()) return Tensor::uninitialized(type, dims);
  if (name == "float_data" && type == DType::float32) return bytes_of(type, dims, proto.float_data());
  if (name == "double_data" && type == DType::float64) return bytes_of(type, dims, proto.double_data());
  if (name == "int64_data" && type == DType::int64) return bytes_of(type, dims, proto.int64_data());
  if (name == "uint64_data" && type == DType::uint64) return bytes_of(type, dims, proto.uint64_data());
  if (name == "uint64_data" && type == DType::uint32) return narrowed<uint32_t>(type, dims, proto.uint64_data(), what);
  const bool in_int32 = dtype_bits(type) < 32 || type == DType::int32;
  if (name == "int32_data" && in_int32) return from_int32_data(proto, type, dims, what);
  fail(what, fmt::format("stores {} elements in {}, where they cannot be", dtype_name(type), name));
}

int64_t external_number(const std::string& key, const std::string& value, const std::string& what) {
  const auto number = parse_int(value);
  if (!number || *number < 0)
    fail(what, fmt::format("has the external data {} '{}', which is no number >= 0", key, printable(value, 40)));
  return *number;
}

}  // namespace

TensorReader::Source TensorReader::external_source(const onnx::TensorProto& proto, int64_t wanted_bytes,
                                                   const std::string& what) {
  std::string location;
  int64_t offset = 0;
  std::optional<int64_t> length;
  for (const auto& entry : proto.external_data()) {
    if (entry.key() == "location")
      location = entry.value();
    else if (entry.key() == "offset")
      offset = external_number("offset", entry.value(), what);
    else if (entry.key() == "length")
      length = external_number("length", entry.value(), what);
    else if (entry.key() != "checksum")
      fail(what, fmt::format("has the unknown external data key '{}'", printable(entry.key(), 40)));
  }
  if (options_.folder.empty())
    fail(what, "lies in external data, which can only be read for a model that is read from a file");
  auto& file = external_[location];
  if (!file) file = MappedFile::open_beneath(options_.folder, location);
  const int64_t size = static_cast<int64_t>(file->bytes().size());
  if (length && *length != wanted_bytes)
    fail(what, fmt::format("takes {} bytes, but its external data say {}", wanted_bytes, *length));
  if (offset > size || wanted_bytes > size - offset)
    fail(what, fmt::format("needs bytes {} to {} of '{}', which has only {}", offset, checked_add(offset, wanted_bytes),
                           printable(location, 100), size));
  return {file->bytes().subspan(static_cast<size_t>(offset), static_cast<size_t>(wanted_bytes)), file};
}

TensorReader::Source TensorReader::raw_source(const onnx::TensorProto& proto, int64_t wanted_bytes,
                                              const std::string& what) {
  const RawReference raw = raw_reference(proto.raw_data());
  LOWBIT_CHECK(raw.offset <= file_.size() && raw.length <= file_.size() - raw.offset);
  if (static_cast<int64_t>(raw.length) != wanted_bytes)
    fail(what, fmt::format("has {} bytes at offset {}, but its shape and type need {}", raw.length, raw.offset,
                           wanted_bytes));
  return {file_.subspan(raw.offset, raw.length), options_.file};
}

Tensor TensorReader::read(const onnx::TensorProto& proto, const std::string& what) {
  const DType type = type_of(proto.data_type(), what);
  const Dims dims = dims_of(proto.dims(), what);
  if (proto.has_segment()) throw Error(ErrorCode::unsupported, what + " is stored in segments, which is not supported");
  const int64_t wanted = checked_packed_bytes(type, dims, what);
  const bool external = proto.data_location() == onnx::TensorProto::EXTERNAL;
  if (!external && !proto.has_raw_data()) return from_typed_field(proto, type, dims, what);
  if (type == DType::string) fail(what, "is a string tensor with raw bytes");
  if (typed_field(proto, what).size > 0 || (external && proto.has_raw_data()))
    fail(what, "stores its elements in two places");
  const Source source = external ? external_source(proto, wanted, what) : raw_source(proto, wanted, what);
  if (dtype_bits(type) < 8) return unpack(type, dims, source.bytes);
  if (type == DType::bool_) {
    // Any byte but 0 means true in a file; in memory a bool is 0 or 1.
    Tensor tensor = Tensor::uninitialized(type, dims);
    std::transform(source.bytes.begin(), source.bytes.end(), tensor.mutable_data<bool>(),
                   [](std::byte b) { return b != std::byte{0}; });
    return tensor;
  }
  const bool aligned = reinterpret_cast<uintptr_t>(source.bytes.data()) % dtype_bytes(type) == 0;
  if (source.owner && aligned) return Tensor::view(type, dims, source.bytes, source.owner);
  Tensor copy = copied(type, dims, source.bytes);
  constexpr size_t kLarge = size_t{1} << 16;
  if (source.bytes.size() > kLarge) release_file_pages(source.bytes);
  return copy;
}

Tensor TensorReader::read_sparse(const onnx::SparseTensorProto& proto, const std::string& what) {
  const Tensor values = read(proto.values(), what);
  const Tensor indices = read(proto.indices(), what + " (indices)");
  const Dims dims = dims_of(proto.dims(), what);
  if (dtype_bytes(values.dtype()) == 0) throw Error(ErrorCode::unsupported, what + " is a sparse tensor of strings");
  if (values.rank() != 1 || indices.dtype() != DType::int64) fail(what, "is no sparse tensor as ONNX defines it");
  const int64_t count = values.count(), rank = static_cast<int64_t>(dims.size());
  const bool linear = indices.dims() == Dims{count};
  if (!linear && indices.dims() != Dims{count, rank})
    fail(what, fmt::format("has indices {} for {} values of rank {}", dims_text(indices.dims()), count, rank));
  const size_t width = dtype_bytes(values.dtype());
  checked_packed_bytes(values.dtype(), dims, what);
  if (element_count(dims) > kMaxDenseBytes / static_cast<int64_t>(width))
    throw Error(ErrorCode::unsupported, what + " would take more than 256 MiB as a dense tensor");
  Tensor dense(values.dtype(), dims);
  std::byte* out = dense.mutable_raw();
  const int64_t* index = indices.data<int64_t>();
  int64_t previous = -1;
  for (int64_t i = 0; i < count; ++i) {
    int64_t at = linear ? index[i] : 0;
    for (int64_t axis = 0; !linear && axis < rank; ++axis) {
      const int64_t part = index[i * rank + axis];
      if (part < 0 || part >= dims[static_cast<size_t>(axis)])
        fail(what,
             fmt::format("has the index {} along axis {} of length {}", part, axis, dims[static_cast<size_t>(axis)]));
      at = at * dims[static_cast<size_t>(axis)] + part;
    }
    if (at <= previous || at >= dense.count())
      fail(what, fmt::format("has the index {} at position {}, out of order or outside the shape {}", at, i,
                             dims_text(dims)));
    previous = at;
    std::memcpy(out + static_cast<size_t>(at) * width, values.raw().data() + static_cast<size_t>(i) * width, width);
  }
  return dense;
}

void TensorReader::check_finite(const Tensor& tensor, const std::string& what) const {
  if (options_.allow_nonfinite || tensor.count() <= kMostNonfiniteElements) return;
  const auto index = first_nonfinite(tensor);
  // What was only looked at need not stay in memory: a model may be larger than that.
  if (options_.file && tensor.is_view()) options_.file->release(tensor.raw());
  if (index)
    fail(what, fmt::format("is NaN or infinite at index {} (repair the weights, or allow it with --allow-nonfinite)",
                           *index));
}

int64_t TensorReader::external_bytes() const {
  int64_t bytes = 0;
  for (const auto& [name, file] : external_) bytes += static_cast<int64_t>(file->bytes().size());
  return bytes;
}

}  // namespace lowbit::onnx_format
