# liblowbit_runtime, the runtime for devices, shared and static: the parts that read a container and run it, nothing else. It links
# pthreadpool and the C++ standard library; {fmt} is compiled in, Highway is used without its run-time part. The list of
# sources is explicit where a room holds more than a device needs. tests/device checks its size, needs and exports.
# Installed by itself with `cmake --install BUILD --component runtime`.
set(small_sources
    base/error.cpp base/file.cpp base/hash.cpp base/small_floats.cpp base/text.cpp base/threads.cpp
    ops/conv_geometry.cpp ops/dispatch.cpp ops/pool_geometry.cpp ops/window.cpp
    runtime/codes.cpp runtime/dynamic_input.cpp runtime/integer_weights.cpp runtime/layer.cpp runtime/lowbit_weights.cpp runtime/lower_context.cpp runtime/recurrent_node.cpp runtime/requantize.cpp runtime/session.cpp)
file(GLOB_RECURSE small_rooms CONFIGURE_DEPENDS
     ${CMAKE_CURRENT_SOURCE_DIR}/core/*.cpp ${CMAKE_CURRENT_SOURCE_DIR}/numbers/*.cpp ${CMAKE_CURRENT_SOURCE_DIR}/coding/*.cpp
     ${CMAKE_CURRENT_SOURCE_DIR}/kernels/*.cpp ${CMAKE_CURRENT_SOURCE_DIR}/runtime/plan/*.cpp
     ${CMAKE_CURRENT_SOURCE_DIR}/formats/lbq/*.cpp ${CMAKE_CURRENT_SOURCE_DIR}/device/*.cpp)
list(FILTER small_rooms EXCLUDE REGEX "/core/offload.cpp$") # a device has no weights to spare
# The kernels of each instruction set are compiled once, with its flags, for the room.
set(small_objects "")
foreach(isa ${LOWBIT_ISAS})
  list(FILTER small_rooms EXCLUDE REGEX "/kernels/${isa}/")
  if(TARGET lowbit_kernels_${isa})
    list(APPEND small_objects $<TARGET_OBJECTS:lowbit_kernels_${isa}>)
  endif()
endforeach()

# What runs once while a model is loaded is compiled for size; loops over elements keep the optimization of the build.
set(small_setup ${small_sources} ${small_rooms})
set(small_loops ${small_setup})
list(FILTER small_loops INCLUDE REGEX
     "(^|/)(coding/.*|kernels/[^/]*|base/hash|base/small_floats|numbers/packing|runtime/layer|runtime/integer_weights|lbq/tensor_codings|core/weights|plan/convert|plan/steps/real)\\.cpp$")
list(REMOVE_ITEM small_setup ${small_loops})
add_library(lowbit_small_loops OBJECT ${small_loops})
add_library(lowbit_small_setup OBJECT ${small_setup})
target_compile_options(lowbit_small_setup PRIVATE $<$<CONFIG:Release>:-Os>)
foreach(part loops setup)
  target_include_directories(lowbit_small_${part} PRIVATE ${PROJECT_SOURCE_DIR})
  set_target_properties(lowbit_small_${part} PROPERTIES CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
  target_compile_definitions(lowbit_small_${part} PRIVATE FMT_HEADER_ONLY FMT_USE_FLOAT128=0 FMT_USE_LONG_DOUBLE=0 FMT_USE_INT128=0
                             FMT_REDUCE_INT_INSTANTIATIONS=1 FMT_STATIC_THOUSANDS_SEPARATOR=1 HWY_COMPILE_ONLY_STATIC HWY_IS_DEBUG_BUILD=0 LOWBIT_SMALL_RUNTIME
                             LOWBIT_VERSION="${PROJECT_VERSION}")
  target_compile_options(lowbit_small_${part} PRIVATE -ffunction-sections -fdata-sections)
endforeach()
# Of functions that several objects hold the linker takes the first: the small one.
list(PREPEND small_objects $<TARGET_OBJECTS:lowbit_small_setup> $<TARGET_OBJECTS:lowbit_small_loops>)

set(runtime_package_folder ${CMAKE_INSTALL_LIBDIR}/cmake/lowbit_runtime)
foreach(form shared static)
  string(TOUPPER ${form} type)
  add_library(lowbit_runtime_${form} ${type} ${small_objects})
  set_target_properties(lowbit_runtime_${form} PROPERTIES OUTPUT_NAME lowbit_runtime EXPORT_NAME ${form} LINKER_LANGUAGE CXX)
  target_include_directories(lowbit_runtime_${form} PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  target_link_libraries(lowbit_runtime_${form} PRIVATE lowbit_outside::pthreadpool Threads::Threads)
  install(TARGETS lowbit_runtime_${form} EXPORT lowbit_runtime
          LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT runtime NAMELINK_COMPONENT runtime
          ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT runtime)
endforeach()
# What needs more than a device has is never reached, and goes by sections.
target_link_options(lowbit_runtime_static INTERFACE -Wl,--gc-sections)
set_target_properties(lowbit_runtime_shared PROPERTIES VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR})
# Only the C interface is visible, and only what it reaches is kept.
set(exports ${PROJECT_SOURCE_DIR}/lowbit/device/exports.map)
set_property(TARGET lowbit_runtime_shared APPEND PROPERTY LINK_DEPENDS ${exports})
target_link_options(lowbit_runtime_shared PRIVATE -Wl,--gc-sections -Wl,--no-undefined -Wl,--as-needed -Wl,-z,noseparate-code -Wl,--version-script=${exports})

# find_package(lowbit_runtime), targets lowbit_runtime::shared and lowbit_runtime::static; pkg-config lowbit_runtime.
install(FILES runtime/lowbit_runtime.h runtime/lowbit_runtime.hpp DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/lowbit/runtime COMPONENT runtime)
install(EXPORT lowbit_runtime NAMESPACE lowbit_runtime:: FILE lowbit_runtimeTargets.cmake DESTINATION ${runtime_package_folder} COMPONENT runtime)
file(RELATIVE_PATH path_to_prefix /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
configure_file(${PROJECT_SOURCE_DIR}/cmake/lowbit_runtime.pc.in ${CMAKE_BINARY_DIR}/lowbit_runtime.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/lowbit_runtime.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT runtime)
include(CMakePackageConfigHelpers)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/lowbit_runtimeConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_SOURCE_DIR}/cmake/lowbit_runtimeConfig.cmake ${CMAKE_BINARY_DIR}/lowbit_runtimeConfigVersion.cmake
        DESTINATION ${runtime_package_folder} COMPONENT runtime)
