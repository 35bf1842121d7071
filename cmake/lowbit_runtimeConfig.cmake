# find_package(lowbit_runtime REQUIRED): targets lowbit_runtime::shared and lowbit_runtime::static, usable from C and C++.
include(CMakeFindDependencyMacro)
find_dependency(Threads)
if(NOT TARGET lowbit_outside::pthreadpool)
  find_library(LOWBIT_OUTSIDE_pthreadpool pthreadpool REQUIRED)
  add_library(lowbit_outside::pthreadpool UNKNOWN IMPORTED)
  set_target_properties(lowbit_outside::pthreadpool PROPERTIES IMPORTED_LOCATION ${LOWBIT_OUTSIDE_pthreadpool})
endif()
include(${CMAKE_CURRENT_LIST_DIR}/lowbit_runtimeTargets.cmake)
