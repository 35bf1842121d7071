// granularity.h: which elements of a tensor share parameters, and the driver that walks the groups. No number system
// ever sees an axis.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lowbit/numbers/number_system.h"

namespace lowbit {

struct Granularity {
  enum class Kind : uint8_t {
    tensor,   ///< one group
    channel,  ///< one group per index of `axis`
    group,    ///< per channel of `axis`, runs of `size` elements along the other dimensions flattened (the last run may
              ///< be shorter)
    block,    ///< the tensor as a matrix [dims[axis], rest] cut into blocks of rows x columns
  };
  Kind kind = Kind::tensor;
  int64_t axis = 0;
  int64_t rows = 1;  ///< block only
  int64_t size = 0;  ///< group: run length; block: columns

  bool operator==(const Granularity&) const = default;
};

/// "tensor", "channel", "group:32", "block:16x16" (axis is not part of the name). Throws Error{bad_argument} otherwise.
Granularity parse_granularity(std::string_view text);
std::string to_string(const Granularity& granularity);

/// Number of groups of a tensor with these dimensions (>= 1 for non-empty tensors).
int64_t group_count(const Granularity& granularity, std::span<const int64_t> dims);

/// The group of each element is a function of its index; this calls visit(group, offsets) for each group with the
/// element offsets as a list of runs: (first element, number of elements) of consecutive elements in memory. The order
/// of groups and runs is fixed.
struct Run {
  int64_t begin, count;
};
void for_each_group(const Granularity& granularity, std::span<const int64_t> dims,
                    const std::function<void(int64_t group, std::span<const Run> runs)>& visit);

/// The dimensions of the codes of a tensor. Scalar systems: those of the tensor. Vector systems: a matrix
/// [channels, codes of a row], where the rows are the channels of granularity.axis (in every kind, `tensor` included)
/// with their other dimensions flattened in order, and each part of a row that lies in one group is cut into vectors of
/// D neighbours, the last of which may be shorter. A tensor without dimensions is one row.
std::vector<int64_t> code_dims(const NumberFormat& format, const Granularity& granularity,
                               std::span<const int64_t> dims);

/// Throws Error{bad_argument} unless params has one set of parameters for each group.
void check_group_params(const NumberFormat& format, const Granularity& granularity, std::span<const int64_t> dims,
                        std::span<const float> params);

/// Whole-tensor versions: params holds group_count * param_count floats, codes as many elements as code_dims() says.
/// importance: empty or one weight per element. With options.threads the groups are fitted side by side.
std::vector<float> fit_groups(const NumberFormat& format, const Granularity& granularity, std::span<const int64_t> dims,
                              const float* x, std::span<const float> importance, const FitOptions& options);
void encode_groups(const NumberFormat& format, const Granularity& granularity, std::span<const int64_t> dims,
                   std::span<const float> params, const float* x, int32_t* codes);
void decode_groups(const NumberFormat& format, const Granularity& granularity, std::span<const int64_t> dims,
                   std::span<const float> params, const int32_t* codes, float* y);

}  // namespace lowbit
