// The stored bytes of one tensor: choosing a coding, writing it, reading it.
#include <algorithm>
#include <bit>
#include <cstring>

#include "lowbit/base/checked.h"
#include "lowbit/base/hash.h"
#include "lowbit/coding/rans.h"
#include "lowbit/formats/lbq/tensors.h"
#include "lowbit/numbers/packing.h"

namespace lowbit::lbq {
namespace {

[[noreturn]] void damaged_tensor(const std::string& what) {
  throw Error(ErrorCode::bad_file, "a tensor of the container " + what + " (the file is damaged_tensor)");
}

std::span<const uint8_t> as_bytes8(Bytes bytes) {
  return {reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()};
}

/// Codes that take one byte each: what entropy coding and the small widths work on.
bool has_byte_elements(DType type) { return is_integer(type) && dtype_bytes(type) == 1; }

std::vector<uint8_t> pack(const Tensor& tensor, int bits) {
  std::vector<uint8_t> packed(packed_bytes(tensor.count(), bits));
  const Tensor wide = tensor.cast(DType::int32);
  pack_codes(wide.data<int32_t>(), tensor.count(), bits, packed.data());
  return packed;
}

std::vector<uint8_t> pack_trits(const Tensor& tensor) {
  std::vector<uint8_t> packed(packed_ternary_bytes(tensor.count()));
  const Tensor wide = tensor.cast(DType::int32);
  pack_ternary(wide.data<int32_t>(), tensor.count(), packed.data());
  return packed;
}

std::vector<uint8_t> code_entropy(const Tensor& tensor, int64_t base) {
  const auto bytes = as_bytes8(tensor.raw());
  std::vector<uint8_t> symbols(bytes.size());
  std::transform(bytes.begin(), bytes.end(), symbols.begin(),
                 [base](uint8_t b) { return static_cast<uint8_t>(b - base); });
  return rans_encode(symbols);
}

std::vector<uint8_t> store_texts(const Tensor& tensor) {
  Writer writer;
  for (const std::string& text : tensor.string_values()) writer.text(text);
  const auto bytes = as_bytes8(bytes_of(writer.bytes));
  return {bytes.begin(), bytes.end()};
}

Tensor read_raw(const TensorEntry& entry, const std::shared_ptr<const void>& owner) {
  const size_t alignment = std::max<size_t>(1, dtype_bytes(entry.dtype));
  const bool aligned = std::bit_cast<uintptr_t>(entry.stored.data()) % alignment == 0;
  if (owner && aligned && !entry.inlined) return Tensor::view(entry.dtype, entry.dims, entry.stored, owner);
  Tensor copy = Tensor::uninitialized(entry.dtype, entry.dims);
  if (!entry.stored.empty()) std::memcpy(copy.mutable_raw(), entry.stored.data(), entry.stored.size());
  return copy;
}

Tensor read_packed(const TensorEntry& entry) {
  const auto packed = as_bytes8(entry.stored);
  const bool is_signed = is_signed_integer(entry.dtype);
  Tensor result = Tensor::uninitialized(entry.dtype, entry.dims);
  const int64_t n = result.count();
  const int used = static_cast<int>(n * entry.bits % 8);
  if (used != 0 && packed.back() >> used != 0) damaged_tensor("has bits behind its last code");
  if (has_byte_elements(entry.dtype)) {
    unpack_codes(packed, n, entry.bits, is_signed, reinterpret_cast<int8_t*>(result.mutable_raw()));
    return result;
  }
  Tensor wide = Tensor::uninitialized(DType::int32, entry.dims);
  unpack_codes(packed, n, entry.bits, is_signed, wide.mutable_data<int32_t>());
  return wide.cast(entry.dtype);
}

Tensor read_ternary(const TensorEntry& entry) {
  Tensor result = Tensor::uninitialized(entry.dtype, entry.dims);
  unpack_ternary(as_bytes8(entry.stored), result.count(), reinterpret_cast<int8_t*>(result.mutable_raw()));
  return result;
}

Tensor read_entropy(const TensorEntry& entry) {
  Tensor result = Tensor::uninitialized(entry.dtype, entry.dims);
  const std::span<uint8_t> symbols(reinterpret_cast<uint8_t*>(result.mutable_raw()), result.byte_size());
  rans_decode(as_bytes8(entry.stored), symbols, static_cast<uint8_t>(entry.base));
  return result;
}

Tensor read_texts(const TensorEntry& entry) {
  Cursor cursor(entry.stored, "a tensor of texts");
  std::vector<std::string> texts;
  for (int64_t i = 0, n = element_count(entry.dims); i < n; ++i) texts.push_back(cursor.text());
  cursor.finish();
  return Tensor::strings(entry.dims, std::move(texts));
}

/// Types that ONNX packs in files although they hold no codes of an annotation.
int sub_byte_bits(DType type) { return is_integer(type) && dtype_bits(type) < 8 ? dtype_bits(type) : 0; }

}  // namespace

int packed_width(CodeRange range) {
  if (range.min >= 0) return std::max(1, static_cast<int>(std::bit_width(static_cast<uint32_t>(range.max))));
  const auto magnitude = static_cast<uint32_t>(std::max(~range.min, range.max));
  return static_cast<int>(std::bit_width(magnitude)) + 1;
}

StoredTensor store_tensor(const Tensor& tensor, const std::optional<CodeRange>& codes, bool entropy) {
  StoredTensor best;
  if (tensor.dtype() == DType::string) return {Coding::text, 0, 0, store_texts(tensor)};
  const int bits = codes ? packed_width(*codes) : sub_byte_bits(tensor.dtype());
  if (bits > 0 && bits < static_cast<int>(8 * dtype_bytes(tensor.dtype())) && bits <= kMostPackedBits)
    best = {Coding::packed, bits, 0, pack(tensor, bits)};
  if (!codes || !has_byte_elements(tensor.dtype())) return best;
  const auto size = [&] { return best.coding == Coding::raw ? tensor.byte_size() : best.made.size(); };
  if (codes->min == -1 && codes->max == 1 && packed_ternary_bytes(tensor.count()) < size())
    best = {Coding::ternary, 0, 0, pack_trits(tensor)};
  if (entropy && tensor.count() > 0)
    if (auto coded = code_entropy(tensor, codes->min); coded.size() < size())
      best = {Coding::entropy, 0, codes->min, std::move(coded)};
  return best;
}

Tensor read_tensor(const TensorEntry& entry, const std::shared_ptr<const void>& owner) {
  if (!entry.inlined && xxhash64(entry.stored) != entry.hash) damaged_tensor("has another checksum than its bytes");
  switch (entry.coding) {
    case Coding::raw: {
      Tensor tensor = read_raw(entry, owner);
      if (entry.dtype == DType::bool_)
        for (uint8_t b : as_bytes8(tensor.raw()))
          if (b > 1) damaged_tensor("holds a truth value that is neither 0 nor 1");
      return tensor;
    }
    case Coding::packed:
      return read_packed(entry);
    case Coding::ternary:
      return read_ternary(entry);
    case Coding::entropy:
      return read_entropy(entry);
    case Coding::text:
      return read_texts(entry);
  }
  damaged_tensor("has an unknown coding");
}

}  // namespace lowbit::lbq
