// verify_script.h: the Python program that runs a model in another engine (see verify.cpp for the files it exchanges).
#pragma once

#include <string_view>

namespace lowbit {

/// Usage: python SCRIPT JOB.json. Exit code 10: a module is missing (its name is the last line of stderr).
std::string_view verify_script();

}  // namespace lowbit
