# A room is one folder below lowbit/: a static library lowbit_<name> of all its sources and those of its sub-folders.
#   lowbit_room(numbers DEPENDS base LINK fmt::fmt)
# DEPENDS names rooms below it (dependency only downwards; tools/check_layers.py checks the includes), LINK outside libraries.
function(lowbit_room name)
  cmake_parse_arguments(ROOM "" "" "DEPENDS;LINK" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${name}/*.cpp)
  add_library(lowbit_${name} STATIC ${sources})
  target_include_directories(lowbit_${name} PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  foreach(dependency ${ROOM_DEPENDS})
    target_link_libraries(lowbit_${name} PUBLIC lowbit_${dependency})
  endforeach()
  target_link_libraries(lowbit_${name} PRIVATE ${ROOM_LINK})
  set_property(GLOBAL APPEND PROPERTY LOWBIT_ROOMS lowbit_${name})
endfunction()
