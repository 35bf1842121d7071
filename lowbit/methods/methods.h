// methods.h: the methods' rows; methods/list.cpp joins them.
#pragma once

#include "lowbit/methods/method.h"

namespace lowbit {

const Method& bias_correct_method();

}  // namespace lowbit
