#include "lowbit/base/error.h"

namespace lowbit {

Error::Error(ErrorCode code, std::string message, std::string where)
    : code_(code), message_(std::move(message)), where_(std::move(where)) {
  text_ = where_.empty() ? message_ : where_ + ": " + message_;
}

void fail_check(const char* condition, const char* file, int line) {
  throw Error(ErrorCode::internal, std::string("check failed: ") + condition + " (a bug in lowbit; please report it)",
              std::string(file) + ":" + std::to_string(line));
}

}  // namespace lowbit
