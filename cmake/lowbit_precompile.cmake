# The headers of the standard library and of fmt are half of the work of compiling most files, so they are compiled once
# for each target:
#   lowbit_precompile(lowbit_ops)                       the common ones
#   lowbit_precompile(lowbit_ops_test <gtest/gtest.h>)  and these
# Not under a compiler cache, which shares objects between checkouts only without them.
function(lowbit_precompile target)
  if(LOWBIT_CCACHE)
    return()
  endif()
  get_target_property(links ${target} LINK_LIBRARIES)
  set(headers <algorithm> <cmath> <functional> <map> <memory> <optional> <span> <string> <variant> <vector>)
  if("fmt::fmt" IN_LIST links)
    list(APPEND headers <fmt/format.h>)
  endif()
  target_precompile_headers(${target} PRIVATE ${headers} ${ARGN})
endfunction()
