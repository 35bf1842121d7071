#include "lowbit/ops/op.h"

#include <fmt/format.h>

#include "lowbit/base/text.h"

namespace lowbit {

const Tensor& EvalContext::input(size_t i) const {
  if (!has_input(i))
    throw Error(ErrorCode::bad_file, fmt::format("{} lacks its input {}", node_.full_op(), i),
                "node " + printable(node_.name));
  return *inputs_[i];
}

}  // namespace lowbit
