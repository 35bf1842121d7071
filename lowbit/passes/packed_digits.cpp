#include "lowbit/passes/packed_digits.h"

#include <bit>
#include <numeric>

namespace lowbit {
namespace {

constexpr int64_t kByteCodes = 256;

/// Codes that are written as low and high digits: the number of low ones, or 0. Chunks of seven bytes would need sums
/// above 2^53, which ONNX Runtime's ReduceSum rounds (1.31 sums int64 in double).
int64_t low_codes(int64_t codes) {
  constexpr int64_t kSixBits = 64, kSevenBits = 128, kHalfByte = 16;
  if (codes > kByteCodes) return kByteCodes;
  return codes > kSixBits && codes <= kSevenBits ? kHalfByte : 0;
}

std::vector<uint8_t> pack(std::span<const int32_t> digits, const DigitPacking& packing) {
  const auto per = static_cast<size_t>(packing.digits), bytes = static_cast<size_t>(packing.bytes);
  const size_t chunks = (digits.size() + per - 1) / per;
  std::vector<uint8_t> packed(chunks * bytes);
  for (size_t c = 0; c < chunks; ++c) {
    uint64_t word = 0;
    for (size_t k = per; k-- > 0;) {
      const size_t i = c * per + k;
      word = word * static_cast<uint64_t>(packing.base) + (i < digits.size() ? static_cast<uint64_t>(digits[i]) : 0);
    }
    for (size_t b = 0; b < bytes; ++b) packed[c * bytes + b] = static_cast<uint8_t>(word >> (8 * b));
  }
  return packed;
}

std::vector<int64_t> powers(int64_t base, int64_t count) {
  std::vector<int64_t> result(static_cast<size_t>(count), 1);
  for (size_t i = 1; i < result.size(); ++i) result[i] = result[i - 1] * base;
  return result;
}

/// Chunks [n, bytes] -> digits [n, digits].
ValueId split_digits(NodeWriter& writer, ValueId chunks, const DigitPacking& packing) {
  const bool wide = packing.bytes > 1;
  const DType type = wide ? DType::int64 : DType::int32;
  const auto constant = [&](const std::vector<int64_t>& values, const Dims& dims) {
    return writer.shared(Tensor::from(dims, values).cast(type));
  };
  ValueId number = writer.cast(chunks, type);
  if (wide) {
    number = writer.node("Mul", {number, constant(powers(kByteCodes, packing.bytes), {packing.bytes})});
    number = writer.node("ReduceSum", {number, writer.shared(std::vector<int64_t>{1})}, {{"keepdims", int64_t{1}}});
  }
  number = writer.node("Div", {number, constant(powers(packing.base, packing.digits), {packing.digits})});
  return writer.node("Mod", {number, constant({packing.base}, {})});
}

}  // namespace

DigitPacking digit_packing(int64_t codes) {
  if (codes == 3) return {3, 5, 1};
  const auto width = static_cast<int64_t>(std::bit_width(static_cast<uint64_t>(std::max<int64_t>(codes, 2) - 1)));
  const int64_t bits = std::lcm(width, int64_t{8});
  return {int64_t{1} << width, bits / width, bits / 8};
}

int64_t packed_digit_bytes(int64_t codes, int64_t n) {
  if (const int64_t low = low_codes(codes); low > 0)
    return packed_digit_bytes(low, n) + packed_digit_bytes((codes + low - 1) / low, n);
  const DigitPacking packing = digit_packing(codes);
  return (n + packing.digits - 1) / packing.digits * packing.bytes;
}

ValueId write_digits(NodeWriter& writer, const std::string& name, std::span<const int32_t> digits, int64_t codes,
                     const Dims& dims) {
  Graph& graph = writer.graph();
  if (const int64_t base = low_codes(codes); base > 0) {
    std::vector<int32_t> low, high;
    for (int32_t digit : digits) {
      low.push_back(digit % static_cast<int32_t>(base));
      high.push_back(digit / static_cast<int32_t>(base));
    }
    const ValueId small = writer.cast(write_digits(writer, name, low, base, dims), DType::int32);
    const ValueId large =
        writer.cast(write_digits(writer, name + "_high", high, (codes + base - 1) / base, dims), DType::int32);
    const ValueId factor = writer.shared(Tensor::scalar(static_cast<int32_t>(base)));
    return writer.node("Add", {small, writer.node("Mul", {large, factor})});
  }
  const DigitPacking packing = digit_packing(codes);
  const std::vector<uint8_t> packed = pack(digits, packing);
  if (packing.digits == 1) return writer.cast(graph.add_constant(name, Tensor::from(dims, packed)), DType::int32);
  const auto chunks = static_cast<int64_t>(packed.size()) / packing.bytes;
  ValueId split =
      split_digits(writer, graph.add_constant(name, Tensor::from(Dims{chunks, packing.bytes}, packed)), packing);
  const auto count = static_cast<int64_t>(digits.size());
  if (chunks * packing.digits != count) {
    split = writer.reshape(split, {-1});
    split = writer.slice(split, {0}, {count});
  }
  return writer.reshape(split, dims);
}

}  // namespace lowbit
