// number_system.h: what a number system is. A system maps codes to real values: level(params, code) is its definition,
// and everything else (encode, decode, tables, tests) follows from it. Granularity, rounding, bit packing and entropy
// coding are other things in other files.
//
// To add one: a file numbers/<name>.cpp that fills a NumberSystem, and its row in numbers/list.cpp.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lowbit {

struct NumberSystem;
class ThreadPool;

/// A system with its discrete options: what a user names with "int8", "uint4", "log4-2", "std-int4". Comparable,
/// printable, a value.
struct NumberFormat {
  const NumberSystem* system = nullptr;
  int bits = 0;               ///< width of a code
  int option = 0;             ///< the system's own second number (M of logN-M, K of vq-DxK; 0 where it has none)
  int vector_size = 1;        ///< elements that one code stands for (D of vq-DxK); 1 for all systems with a level()
  bool asymmetric = false;    ///< linear systems: a fitted zero point; otherwise zero sits on the fixed code
  bool narrow = false;        ///< linear signed: leave out the lowest code, so that the range is symmetric
  bool standardized = false;  ///< mean 0, variance 1 first ("std-" prefix)

  bool operator==(const NumberFormat&) const = default;
};

/// Inclusive range of codes.
struct CodeRange {
  int32_t min = 0, max = 0;
  int64_t count() const { return static_cast<int64_t>(max) - min + 1; }
};

enum class FitRule {
  minmax,  ///< the range covers every value
  range,   ///< the range is given (FitOptions::low, high)
  mse,     ///< the parameters minimise the (importance-weighted) squared error
};

struct FitOptions {
  FitRule rule = FitRule::minmax;
  float low = 0, high = 0;  ///< for FitRule::range: the real range to cover
  /// Vector systems: the values are rows of this length, and no vector crosses from one row into the next; 0: one row.
  int64_t row_length = 0;
  ThreadPool* threads = nullptr;  ///< may be used; results do not depend on it. Null: the calling thread alone
};

/// Rows of numbers/list.cpp. Function pointers that may be null say so.
struct NumberSystem {
  std::string_view name = {};     ///< stem of the names users type: "int", "uint", "log" ...
  std::string_view summary = {};  ///< one line for `lowbit list numbers`
  std::string_view paper = {};    ///< source, or empty
  int min_bits = 0, max_bits = 0;

  /// Parses what follows the stem ("8", "4-2"); nothing if it is no such name.
  std::optional<NumberFormat> (*parse)(std::string_view tail) = nullptr;
  /// The name that parse() reads back.
  std::string (*format_name)(const NumberFormat& format) = nullptr;
  CodeRange (*codes)(const NumberFormat& format) = nullptr;
  /// Number of float parameters of one group (linear: scale and zero_point = 2).
  int (*param_count)(const NumberFormat& format) = nullptr;
  /// Chooses the parameters of ONE group. x: finite values (n >= 0); importance: empty or n weights >= 0. Writes
  /// param_count floats, always usable ones: a zero range gives scale 1 and zero point 0, a tiny one the smallest
  /// normal float.
  void (*fit)(const NumberFormat& format, std::span<const float> x, std::span<const float> importance,
              const FitOptions& options, float* params) = nullptr;
  /// THE DEFINITION: the real value of a code. Null in vector systems (vector_size > 1), whose definition is
  /// vector_level: the real value of one component, 0 <= component < vector_size, of the vector that a code stands for.
  double (*level)(const NumberFormat& format, const float* params, int32_t code) = nullptr;
  double (*vector_level)(const NumberFormat& format, const float* params, int32_t code, int component) = nullptr;
  /// codes[i] = a code whose level is nearest to x[i], ties as the system defines (linear: round half to even of x /
  /// scale). Null: by table of levels.
  void (*encode)(const NumberFormat& format, const float* params, const float* x, int64_t n, int32_t* codes) = nullptr;
  /// y[i] = float32(level(codes[i])). Null: level() for each code.
  void (*decode)(const NumberFormat& format, const float* params, const int32_t* codes, int64_t n, float* y) = nullptr;
  /// The granularity that belongs to the system ("group:32" for block-scaled forms); empty: any, the caller chooses.
  std::string_view default_granularity = {};
  /// Bits that the parameters of one group take in a file. Null: 32 for each parameter.
  int (*param_bits)(const NumberFormat& format) = nullptr;
};

/// Every system of this build (numbers/list.cpp).
std::span<const NumberSystem* const> number_systems();
const NumberSystem* find_number_system(std::string_view name);

/// "int8" -> format. Throws Error{bad_argument} with the nearest names.
NumberFormat parse_number_format(std::string_view name);
std::string to_string(const NumberFormat& format);

/// Codes that a run of n elements takes: n, or ceil(n / D) in a vector system, where the last vector may be cut short.
inline int64_t code_count(const NumberFormat& format, int64_t n) {
  return n / format.vector_size + (n % format.vector_size != 0 ? 1 : 0);
}

/// The generic paths: use the system's encode / decode where it has one, the definition otherwise. n counts elements,
/// consecutive ones of one row; there are code_count(format, n) codes. In a vector system a code is the one whose
/// vector is nearest (least sum of squares, the smallest such code); missing components of a last short vector do not
/// count.
void encode(const NumberFormat& format, const float* params, const float* x, int64_t n, int32_t* codes);
void decode(const NumberFormat& format, const float* params, const int32_t* codes, int64_t n, float* y);

}  // namespace lowbit
