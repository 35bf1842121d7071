#include "lowbit/ops/op.h"

#include <fmt/format.h>

#include "lowbit/base/text.h"

namespace lowbit {

const Tensor& EvalContext::input(size_t i) const {
  if (!has_input(i))
    throw Error(ErrorCode::bad_file, fmt::format("input {} is left out, but must be there", i),
                fmt::format("node '{}' ({})", printable(node_.name), printable(node_.full_op())));
  return *inputs_[i];
}

}  // namespace lowbit
