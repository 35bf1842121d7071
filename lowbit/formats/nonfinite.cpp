#include "lowbit/formats/nonfinite.h"

#include <algorithm>

namespace lowbit {
namespace {

/// The first element whose exponent bits are all set (NaN or infinity).
template <typename Bits>
std::optional<int64_t> find_exponent(const Tensor& tensor, Bits exponent) {
  const Bits* bits = reinterpret_cast<const Bits*>(tensor.raw().data());
  constexpr int64_t kBlock = 4096;
  for (int64_t begin = 0; begin < tensor.count(); begin += kBlock) {
    const int64_t end = std::min(begin + kBlock, tensor.count());
    int found = 0;  // no early exit inside a block, so that the loop becomes vector code
    for (int64_t i = begin; i < end; ++i) found |= (bits[i] & exponent) == exponent;
    if (!found) continue;
    for (int64_t i = begin; i < end; ++i)
      if ((bits[i] & exponent) == exponent) return i;
  }
  return std::nullopt;
}

}  // namespace

std::optional<int64_t> first_nonfinite(const Tensor& tensor) {
  switch (tensor.dtype()) {
    case DType::float32:
      return find_exponent<uint32_t>(tensor, 0x7f800000u);
    case DType::float64:
      return find_exponent<uint64_t>(tensor, 0x7ff0000000000000u);
    case DType::float16:
      return find_exponent<uint16_t>(tensor, 0x7c00u);
    case DType::bfloat16:
      return find_exponent<uint16_t>(tensor, 0x7f80u);
    default:
      return std::nullopt;
  }
}

}  // namespace lowbit
