# With LOWBIT_PRECOMPILE: the headers of the standard library and of fmt, half of the work of compiling most files, are compiled
# once for each target. Not for developers: a compiler cache shares objects between checkouts only without them.
function(lowbit_precompile target)
  if(NOT LOWBIT_PRECOMPILE)
    return()
  endif()
  get_target_property(links ${target} LINK_LIBRARIES)
  set(headers <algorithm> <cmath> <functional> <map> <memory> <optional> <span> <string> <variant> <vector>)
  if("fmt::fmt" IN_LIST links)
    list(APPEND headers <fmt/format.h>)
  endif()
  target_precompile_headers(${target} PRIVATE ${headers})
endfunction()
