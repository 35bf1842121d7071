# A room is one folder below lowbit/: a static library lowbit_<name> of all its sources and those of its sub-folders.
#   lowbit_room(numbers DEPENDS base LINK fmt::fmt)
# DEPENDS names rooms below it (dependency only downwards; tools/check_layers.py checks the includes), LINK outside libraries.
# FOLDER is the room's folder if it has another name, WITHOUT a sub-folder that is a room of its own.
# Sub-folders named after an instruction set are compiled with its flags, see lowbit_isa.cmake.
# Every room is installed, and part of the target lowbit::lowbit of the installed package.
# SETUP: what runs once and loops over nothing large; optimized less, which saves a third of the compiler's time.
# ONE_BY_ONE: its files use the same names for their own functions, so that LOWBIT_UNITY leaves them alone.
include(lowbit_isa)
include(lowbit_unity)

function(lowbit_room name)
  cmake_parse_arguments(ROOM "ONE_BY_ONE;SETUP" "FOLDER;WITHOUT" "DEPENDS;LINK" ${ARGN})
  if(NOT ROOM_FOLDER)
    set(ROOM_FOLDER ${name})
  endif()
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${ROOM_FOLDER}/*.cpp)
  if(ROOM_WITHOUT)
    list(FILTER sources EXCLUDE REGEX "/${ROOM_FOLDER}/${ROOM_WITHOUT}/")
  endif()
  lowbit_isa_objects(${name} sources)
  set(scope PUBLIC)
  if(sources)
    add_library(lowbit_${name} STATIC ${sources})
    target_link_libraries(lowbit_${name} PRIVATE ${ROOM_LINK})
    if(NOT ROOM_ONE_BY_ONE)
      lowbit_unity(lowbit_${name})
    endif()
    if(ROOM_SETUP)
      target_compile_options(lowbit_${name} PRIVATE $<$<CONFIG:Release>:-O1>)
    endif()
  else()
    set(scope INTERFACE) # a room of headers only
    add_library(lowbit_${name} INTERFACE)
  endif()
  target_include_directories(lowbit_${name} ${scope} $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  foreach(dependency ${ROOM_DEPENDS})
    target_link_libraries(lowbit_${name} ${scope} lowbit_${dependency})
  endforeach()
  set_target_properties(lowbit_${name} PROPERTIES EXPORT_NAME ${name})
  install(TARGETS lowbit_${name} EXPORT lowbit ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
  target_link_libraries(lowbit_rooms INTERFACE lowbit_${name})
endfunction()
