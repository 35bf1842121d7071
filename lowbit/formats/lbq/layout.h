// layout.h: the numbers of the container format .lbq, as docs/container.md specifies them byte by byte.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "lowbit/core/dtype.h"

namespace lowbit::lbq {

inline constexpr std::array<uint8_t, 8> kMagic = {0x89, 'L', 'B', 'Q', '\r', '\n', 0x1a, '\n'};
inline constexpr uint16_t kMajor = 1, kMinor = 0;
inline constexpr uint64_t kHeaderBytes = 64, kEntryBytes = 64, kAlignment = 64;
inline constexpr size_t kNameBytes = 32;         ///< of a section's name in its entry
inline constexpr uint32_t kMostSections = 4096;  ///< a reader refuses more
inline constexpr size_t kMostRank = 64;          ///< of a tensor
inline constexpr int kMostDepth = 32;            ///< of subgraphs in subgraphs
/// Tensors of at most this many stored bytes lie inside the index.
inline constexpr uint64_t kMostInline = 64;

/// The next multiple of kAlignment.
constexpr uint64_t aligned(uint64_t offset) { return (offset + kAlignment - 1) / kAlignment * kAlignment; }

constexpr uint32_t kind_of(const char (&text)[5]) {
  return static_cast<uint32_t>(text[0]) | static_cast<uint32_t>(text[1]) << 8 | static_cast<uint32_t>(text[2]) << 16 |
         static_cast<uint32_t>(text[3]) << 24;
}
inline constexpr uint32_t kModel = kind_of("MODL"), kTensors = kind_of("TENS"), kData = kind_of("DATA"),
                          kAnnotations = kind_of("ANNO"), kPreprocessing = kind_of("PREP"), kRecipe = kind_of("RCPE"),
                          kProvenance = kind_of("PROV"), kNamed = kind_of("NAME"), kSignature = kind_of("SIGN");

/// A reader that does not know the kind must refuse the file.
inline constexpr uint32_t kRequired = 1;

/// How the elements of a tensor are stored.
enum class Coding : uint8_t { raw = 0, packed = 1, ternary = 2, entropy = 3, text = 4 };
inline constexpr std::array<std::string_view, 5> kCodingNames = {"raw", "packed", "ternary", "entropy", "text"};

/// How one parameter of all groups is stored; the writer takes the first that is exact among the smallest.
enum class Column : uint8_t {
  constant = 0,  ///< one float32 for all groups
  float32 = 1,
  float16 = 2,
  bfloat16 = 3,
  power = 4,  ///< byte e: 2^(e - 127), 0 <= e <= 254
  float8e4m3 = 5,
  int8 = 6,
  uint8 = 7,
};

enum class AttributeKind : uint8_t {
  integer = 1,
  real = 2,
  text = 3,
  tensor = 4,
  integers = 5,
  reals = 6,
  texts = 7,
  graph = 8,
};

/// Position = the number of an element type in files. Never reordered; new types go to the end.
inline constexpr std::array kTypes = {
    DType::undefined,      DType::float32,    DType::float64,       DType::float16, DType::bfloat16,
    DType::int8,           DType::int16,      DType::int32,         DType::int64,   DType::uint8,
    DType::uint16,         DType::uint32,     DType::uint64,        DType::bool_,   DType::string,
    DType::int4,           DType::uint4,      DType::int2,          DType::uint2,   DType::float8e4m3fn,
    DType::float8e4m3fnuz, DType::float8e5m2, DType::float8e5m2fnuz};

constexpr uint8_t number_of(DType type) {
  for (size_t i = 0; i < kTypes.size(); ++i)
    if (kTypes[i] == type) return static_cast<uint8_t>(i);
  return 0;
}
constexpr std::optional<DType> type_of(uint8_t number) {
  return number < kTypes.size() ? std::optional(kTypes[number]) : std::nullopt;
}

}  // namespace lowbit::lbq
