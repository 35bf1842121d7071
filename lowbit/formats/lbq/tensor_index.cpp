// The section TENS: what each tensor is, how it is stored and where.
#include <algorithm>

#include "lowbit/base/checked.h"
#include "lowbit/base/hash.h"
#include "lowbit/coding/rans.h"
#include "lowbit/formats/lbq/sections.h"
#include "lowbit/formats/lbq/tensors.h"
#include "lowbit/numbers/packing.h"

namespace lowbit::lbq {
namespace {

constexpr size_t kLeastTensorBytes = 5;

Dims read_dims(Cursor& cursor) {
  const size_t rank = cursor.count(1);
  if (rank > kMostRank) cursor.fail("holds a tensor of too many dimensions");
  Dims dims;
  for (size_t i = 0; i < rank; ++i) {
    const uint64_t dim = cursor.varint();
    if (dim > static_cast<uint64_t>(INT64_MAX)) cursor.fail("holds a tensor with an impossible dimension");
    dims.push_back(static_cast<int64_t>(dim));
  }
  checked_product(dims);
  return dims;
}

bool is_byte_code(DType type) { return is_integer(type) && dtype_bytes(type) == 1; }

void read_coding(Cursor& cursor, TensorEntry& entry) {
  const uint8_t coding = cursor.byte();
  if (coding >= kCodingNames.size()) cursor.fail("holds a tensor of an unknown coding");
  entry.coding = static_cast<Coding>(coding);
  if (entry.coding == Coding::packed) entry.bits = cursor.byte();
  if (entry.coding == Coding::entropy) entry.base = cursor.svarint();
  const bool texts = entry.dtype == DType::string;
  bool fits = texts == (entry.coding == Coding::text) && (texts || dtype_bytes(entry.dtype) > 0);
  if (entry.coding == Coding::packed)
    fits = is_integer(entry.dtype) && entry.bits >= 1 && entry.bits <= kMostPackedBits &&
           entry.bits <= static_cast<int>(8 * dtype_bytes(entry.dtype));
  if (entry.coding == Coding::ternary) fits = is_byte_code(entry.dtype) && is_signed_integer(entry.dtype);
  if (entry.coding == Coding::entropy) fits = is_byte_code(entry.dtype) && entry.base >= -128 && entry.base <= 255;
  if (!fits) cursor.fail("holds a tensor whose coding does not fit its type");
}

/// Bytes that the coding must take; nothing more may be allocated than they explain.
void check_size(const Cursor& cursor, const TensorEntry& entry) {
  const int64_t count = element_count(entry.dims);
  const uint64_t bytes = entry.stored.size();
  bool fits = true;
  switch (entry.coding) {
    case Coding::raw:
      fits = bytes == static_cast<uint64_t>(checked_mul(count, static_cast<int64_t>(dtype_bytes(entry.dtype))));
      break;
    case Coding::packed:
      fits = bytes == packed_bytes(count, entry.bits);
      break;
    case Coding::ternary:
      fits = bytes == packed_ternary_bytes(count);
      break;
    case Coding::entropy:
      fits = count > 0 && static_cast<uint64_t>(count) / kRansMostSymbolsPerByte <= bytes;
      break;
    case Coding::text:
      fits = static_cast<uint64_t>(count) <= bytes;
      break;
  }
  if (!fits) cursor.fail("holds a tensor whose bytes do not fit its dimensions");
}

}  // namespace

std::vector<TensorEntry> read_tensor_index(Bytes index, Bytes data) {
  Cursor cursor(index, "the tensor index");
  std::vector<TensorEntry> entries(cursor.count(kLeastTensorBytes));
  uint64_t end = 0;
  for (TensorEntry& entry : entries) {
    const auto type = type_of(cursor.byte());
    if (!type || *type == DType::undefined) cursor.fail("holds a tensor of an unknown type");
    entry.dtype = *type;
    entry.dims = read_dims(cursor);
    read_coding(cursor, entry);
    const uint64_t place = cursor.varint();
    const uint64_t bytes = cursor.varint();
    entry.inlined = place == 0;
    if (entry.inlined) {
      entry.stored = cursor.take(bytes);
    } else {
      entry.offset = aligned(end);
      if (place - 1 != entry.offset / kAlignment || entry.offset > data.size() || bytes > data.size() - entry.offset)
        cursor.fail("holds a tensor that does not lie where it should");
      if (!all_zero(data.subspan(end, entry.offset - end))) cursor.fail("belongs to data with bytes between tensors");
      entry.hash = cursor.number<uint64_t>();
      entry.stored = data.subspan(entry.offset, bytes);
      end = entry.offset + bytes;
    }
    check_size(cursor, entry);
  }
  cursor.finish();
  if (end != data.size()) cursor.fail("belongs to data with bytes behind the last tensor");
  return entries;
}

Bytes TensorTable::Item::bytes() const {
  return stored.coding == Coding::raw ? tensor.raw() : std::as_bytes(std::span(stored.made));
}

size_t TensorTable::add(const Tensor& tensor, const std::optional<CodeRange>& codes) {
  // Two tensors are one if they have the same bytes in memory, and the same meaning.
  std::string meaning = std::string(dtype_name(tensor.dtype())) + " " + dims_text(tensor.dims());
  if (codes) meaning += " " + std::to_string(codes->min) + " " + std::to_string(codes->max);
  const bool shareable = tensor.dtype() != DType::string && tensor.byte_size() > 0;
  const auto key = std::pair(tensor.raw().data(), std::move(meaning));
  if (shareable)
    if (const auto found = known_.find(key); found != known_.end()) return found->second;
  items_.push_back({tensor, store_tensor(tensor, codes, entropy_)});
  if (shareable) known_[key] = items_.size() - 1;
  return items_.size() - 1;
}

std::string TensorTable::index() const {
  Writer writer;
  writer.varint(items_.size());
  uint64_t end = 0;
  for (const Item& item : items_) {
    writer.byte(number_of(item.tensor.dtype()));
    writer.varint(item.tensor.dims().size());
    for (int64_t dim : item.tensor.dims()) writer.varint(static_cast<uint64_t>(dim));
    writer.byte(static_cast<uint8_t>(item.stored.coding));
    if (item.stored.coding == Coding::packed) writer.byte(static_cast<uint8_t>(item.stored.bits));
    if (item.stored.coding == Coding::entropy) writer.svarint(item.stored.base);
    const Bytes bytes = item.bytes();
    if (bytes.size() <= kMostInline) {
      writer.varint(0);
      writer.text({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
      continue;
    }
    writer.varint(aligned(end) / kAlignment + 1);
    writer.varint(bytes.size());
    writer.number(xxhash64(bytes));
    end = aligned(end) + bytes.size();
  }
  return std::move(writer.bytes);
}

std::vector<Bytes> TensorTable::data() const {
  std::vector<Bytes> parts;
  for (const Item& item : items_)
    if (const Bytes bytes = item.bytes(); bytes.size() > kMostInline) parts.push_back(bytes);
  return parts;
}

}  // namespace lowbit::lbq
