#include "lowbit/formats/lbq/annotations.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "lowbit/base/small_floats.h"
#include "lowbit/core/weights.h"
#include "lowbit/formats/lbq/layout.h"

namespace lowbit::lbq {
namespace {

constexpr size_t kLeastAnnotationBytes = 9;
constexpr uint8_t kDynamic = 1;
constexpr uint64_t kMostGroups = uint64_t{1} << 40;
/// Of a value without elements to explain them, so that a small file cannot ask for large tables.
constexpr uint64_t kMostUnexplainedGroups = uint64_t{1} << 20;
/// Of a value, whatever its number system; a codebook may be larger than what it codes, but not without limit.
constexpr uint64_t kMostUnexplainedParams = uint64_t{1} << 22;

/// How a column form stores one float32. `encode` gives the nearest stored number; a form is used where decoding gives
/// back every bit.
struct ColumnForm {
  Column column;
  size_t bytes;
  uint32_t (*encode)(float);
  float (*decode)(uint32_t);
};

uint32_t encode_power(float x) {
  const uint32_t bits = std::bit_cast<uint32_t>(x);
  // 2^-127 is a denormal float: its only bit is the highest of the mantissa.
  return bits == 0x00400000u ? 0 : bits >> 23 & 0xff;
}

float decode_power(uint32_t stored) { return std::bit_cast<float>(stored == 0 ? 0x00400000u : stored << 23); }

int32_t to_integer(float x, int32_t low, int32_t high) { return x >= low && x <= high ? static_cast<int32_t>(x) : low; }

constexpr std::array kForms = {
    ColumnForm{Column::power, 1, encode_power, decode_power},
    ColumnForm{Column::int8, 1, [](float x) { return static_cast<uint32_t>(to_integer(x, -128, 127)) & 0xffu; },
               [](uint32_t s) { return static_cast<float>(static_cast<int8_t>(s)); }},
    ColumnForm{Column::uint8, 1, [](float x) { return static_cast<uint32_t>(to_integer(x, 0, 255)); },
               [](uint32_t s) { return static_cast<float>(s); }},
    ColumnForm{Column::float8e4m3, 1,
               [](float x) { return uint32_t{float_to_float8(x, Float8::e4m3fn, /*saturate=*/true)}; },
               [](uint32_t s) { return float8_to_float(static_cast<uint8_t>(s), Float8::e4m3fn); }},
    ColumnForm{Column::float16, 2, [](float x) { return uint32_t{float_to_half(x)}; },
               [](uint32_t s) { return half_to_float(static_cast<uint16_t>(s)); }},
    ColumnForm{Column::bfloat16, 2, [](float x) { return std::bit_cast<uint32_t>(x) >> 16; },
               [](uint32_t s) { return std::bit_cast<float>(s << 16); }},
    ColumnForm{Column::float32, 4, [](float x) { return std::bit_cast<uint32_t>(x); },
               [](uint32_t s) { return std::bit_cast<float>(s); }},
};

bool same_bits(float a, float b) { return std::bit_cast<uint32_t>(a) == std::bit_cast<uint32_t>(b); }

void write_column(const std::vector<float>& values, Writer& writer) {
  const auto equals_first = [&](float x) { return same_bits(x, values[0]); };
  if (std::all_of(values.begin(), values.end(), equals_first)) {
    writer.byte(static_cast<uint8_t>(Column::constant));
    return writer.number(values[0]);
  }
  const auto exact = [&](const ColumnForm& form) {
    return std::all_of(values.begin(), values.end(),
                       [&](float x) { return same_bits(form.decode(form.encode(x)), x); });
  };
  const ColumnForm& form = *std::find_if(kForms.begin(), kForms.end(), exact);  // float32 is always exact
  writer.byte(static_cast<uint8_t>(form.column));
  for (float x : values) {
    const uint32_t stored = form.encode(x);
    writer.raw(std::as_bytes(std::span(&stored, 1)).first(form.bytes));
  }
}

const ColumnForm* form_of(uint8_t number) {
  const auto found = std::find_if(kForms.begin(), kForms.end(),
                                  [&](const ColumnForm& form) { return static_cast<uint8_t>(form.column) == number; });
  return found == kForms.end() ? nullptr : &*found;
}

NumberFormat read_format(Cursor& cursor) {
  const std::string name = cursor.text();
  try {
    return parse_number_format(name);
  } catch (const Error& error) {
    throw Error(ErrorCode::unsupported, error.message());
  }
}

Granularity read_granularity(Cursor& cursor) {
  Granularity granularity;
  const uint8_t kind = cursor.byte();
  if (kind > static_cast<uint8_t>(Granularity::Kind::block)) cursor.fail("holds an unknown granularity");
  granularity.kind = static_cast<Granularity::Kind>(kind);
  const uint64_t axis = cursor.varint(), rows = cursor.varint(), size = cursor.varint();
  if (axis > 64 || rows > kMostGroups || size > kMostGroups) cursor.fail("holds an impossible granularity");
  granularity.axis = static_cast<int64_t>(axis);
  granularity.rows = static_cast<int64_t>(rows);
  granularity.size = static_cast<int64_t>(size);
  return granularity;
}

AnnotationEntry read_annotation(Cursor& cursor) {
  AnnotationEntry entry;
  Quantization& quantization = entry.quantization;
  quantization.format = read_format(cursor);
  const uint8_t flags = cursor.byte();
  if ((flags & ~kDynamic) != 0) cursor.fail("holds an annotation with unknown flags");
  quantization.dynamic = flags == kDynamic;
  quantization.granularity = read_granularity(cursor);
  quantization.origin = cursor.text();
  entry.groups = cursor.varint();
  entry.columns.resize(cursor.count(1));
  if (entry.groups > kMostGroups) cursor.fail("holds an annotation with too many groups");
  for (AnnotationEntry::StoredColumn& column : entry.columns) {
    column.form = cursor.byte();
    if (column.form == static_cast<uint8_t>(Column::constant)) {
      column.bytes = cursor.take(sizeof(float));
      continue;
    }
    const ColumnForm* form = form_of(column.form);
    if (!form) cursor.fail("holds parameters in an unknown form");
    column.bytes = cursor.take(entry.groups * form->bytes);
  }
  return entry;
}

[[noreturn]] void unfit(const Value& value, const std::string& what) {
  throw Error(ErrorCode::bad_file, "the annotation of '" + value.name + "' " + what + " (the file is damaged)");
}

/// Groups that a value of these dimensions has. Of an activation of unknown dimensions nobody knows its channels, so
/// what the file claims is taken.
uint64_t groups_of(const Granularity& granularity, const Value& value, uint64_t claimed, std::optional<Dims> dims) {
  if (granularity.kind == Granularity::Kind::tensor) return 1;
  if (!dims && value.constant) dims = value.constant->dims();
  if (!dims && value.shape) dims = concrete(*value.shape);
  const auto axis = static_cast<size_t>(granularity.axis);
  if (!dims && value.shape && granularity.kind == Granularity::Kind::channel && axis < value.shape->size() &&
      (*value.shape)[axis].known())
    return static_cast<uint64_t>(*(*value.shape)[axis].size);
  if (!dims && granularity.kind == Granularity::Kind::channel) return claimed;
  if (!dims) unfit(value, "has groups of a tensor of unknown dimensions");
  try {
    return static_cast<uint64_t>(group_count(granularity, *dims));
  } catch (const Error& error) {
    unfit(value, "does not fit its tensor: " + error.message());
  }
}

void check_parameters(const Quantization& quantization, const Value& value) {
  for (float x : quantization.params)
    if (!std::isfinite(x)) unfit(value, "has a parameter that is no number");
  if (!quantization.linear()) return;
  const CodeRange range = quantization.codes();
  for (size_t i = 0; i + 1 < quantization.params.size(); i += 2) {
    const float scale = quantization.params[i], zero = quantization.params[i + 1];
    if (!(scale > 0)) unfit(value, "has a scale that is not positive");
    if (!(zero >= static_cast<float>(range.min) && zero <= static_cast<float>(range.max)) || zero != std::floor(zero))
      unfit(value, "has a zero point that is no code");
  }
}

/// Smallest and largest of some numbers (count > 0). In blocks of a fixed length, so that the compiler takes whole
/// vectors.
template <typename T>
std::pair<T, T> extremes(const T* x, int64_t count, T flip) {
  constexpr int64_t kBlock = 64;
  std::array<T, kBlock> low, high;
  low.fill(static_cast<T>(x[0] ^ flip));
  high = low;
  const int64_t whole = count / kBlock * kBlock;
  for (int64_t i = 0; i < whole; i += kBlock)
    for (int64_t k = 0; k < kBlock; ++k) {
      const T value = static_cast<T>(x[i + k] ^ flip);
      low[static_cast<size_t>(k)] = std::min(low[static_cast<size_t>(k)], value);
      high[static_cast<size_t>(k)] = std::max(high[static_cast<size_t>(k)], value);
    }
  for (int64_t i = whole; i < count; ++i) {
    low[0] = std::min(low[0], static_cast<T>(x[i] ^ flip));
    high[0] = std::max(high[0], static_cast<T>(x[i] ^ flip));
  }
  return {*std::min_element(low.begin(), low.end()), *std::max_element(high.begin(), high.end())};
}

template <typename T>
bool all_within(const Tensor& codes, CodeRange range) {
  const auto [low, high] = extremes<T>(codes.data<T>(), codes.count(), 0);
  return low >= range.min && high <= range.max;
}

/// Signed bytes as unsigned ones 128 higher, which the oldest processors compare in vectors too.
bool bytes_within(const Tensor& codes, CodeRange range) {
  const auto [low, high] =
      extremes<uint8_t>(reinterpret_cast<const uint8_t*>(codes.data<int8_t>()), codes.count(), 0x80);
  return low - 128 >= range.min && high - 128 <= range.max;
}

/// Tables are read at the place of a code, so no constant may hold a code outside its range.
bool codes_fit(const Tensor& codes, CodeRange range) {
  if (codes.count() == 0) return true;
  switch (codes.dtype()) {
    case DType::uint8:
      return (range.min <= 0 && range.max >= 255) || all_within<uint8_t>(codes, range);
    case DType::int8:
      return (range.min <= -128 && range.max >= 127) || bytes_within(codes, range);
    case DType::uint16:
      return all_within<uint16_t>(codes, range);
    case DType::int16:
      return all_within<int16_t>(codes, range);
    default:
      return all_within<int32_t>(codes, range);
  }
}

}  // namespace

void write_annotation(const Quantization& quantization, Writer& writer) {
  const NumberFormat& format = quantization.format;
  const std::string name = to_string(format);
  if (!(parse_number_format(name) == format))
    throw Error(ErrorCode::unsupported, "a container cannot name this form of " + name);
  writer.text(name);
  writer.byte(quantization.dynamic ? kDynamic : 0);
  writer.byte(static_cast<uint8_t>(quantization.granularity.kind));
  writer.varint(static_cast<uint64_t>(quantization.granularity.axis));
  writer.varint(static_cast<uint64_t>(quantization.granularity.rows));
  writer.varint(static_cast<uint64_t>(quantization.granularity.size));
  writer.text(quantization.origin);
  const auto columns = static_cast<size_t>(quantization.dynamic ? 0 : format.system->param_count(format));
  const size_t groups = columns > 0 ? quantization.params.size() / columns : 0;
  writer.varint(groups);
  writer.varint(groups > 0 ? columns : 0);
  if (groups == 0) return;
  std::vector<float> column(groups);
  for (size_t c = 0; c < columns; ++c) {
    for (size_t g = 0; g < groups; ++g) column[g] = quantization.params[g * columns + c];
    write_column(column, writer);
  }
}

std::vector<AnnotationEntry> read_annotations(Bytes section) {
  Cursor cursor(section, "the annotations");
  const size_t count = cursor.count(kLeastAnnotationBytes);
  std::vector<AnnotationEntry> entries;
  for (size_t i = 0; i < count; ++i) entries.push_back(read_annotation(cursor));
  cursor.finish();
  return entries;
}

Quantization expand_annotation(const AnnotationEntry& entry, const Value& value, const std::optional<Dims>& dims) {
  Quantization result = entry.quantization;
  if (result.dynamic) {
    if (entry.groups != 0 || !entry.columns.empty()) unfit(value, "is dynamic, but has parameters");
    return result;
  }
  const auto columns = static_cast<uint64_t>(result.format.system->param_count(result.format));
  const uint64_t wanted = columns > 0 ? groups_of(result.granularity, value, entry.groups, dims) : 0;
  const auto elements = value.constant ? static_cast<uint64_t>(value.constant->count()) : 0;
  if (wanted > std::max(elements, kMostUnexplainedGroups)) unfit(value, "has more groups than elements");
  if (wanted * columns > std::max(4 * elements, kMostUnexplainedParams)) unfit(value, "has too many parameters");
  if (entry.groups != wanted || entry.columns.size() != (wanted > 0 ? columns : 0))
    unfit(value, "has parameters for another number of groups");
  result.params.resize(static_cast<size_t>(wanted * columns));
  for (size_t c = 0; c < entry.columns.size(); ++c) {
    const AnnotationEntry::StoredColumn& column = entry.columns[c];
    const bool constant = column.form == static_cast<uint8_t>(Column::constant);
    const ColumnForm& form = constant ? *form_of(static_cast<uint8_t>(Column::float32)) : *form_of(column.form);
    for (size_t g = 0; g < entry.groups; ++g) {
      uint32_t stored = 0;
      std::memcpy(&stored, column.bytes.data() + (constant ? 0 : g * form.bytes), form.bytes);
      result.params[g * columns + c] = form.decode(stored);
    }
  }
  check_parameters(result, value);
  if (value.constant && is_integer(value.constant->dtype())) {
    if (value.constant->dtype() != code_dtype(result)) unfit(value, "has codes of another type");
    if (!codes_fit(*value.constant, result.codes())) unfit(value, "has a code outside its number system");
  }
  return result;
}

}  // namespace lowbit::lbq
