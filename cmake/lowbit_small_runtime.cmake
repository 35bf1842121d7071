# The runtime for devices: one library, shared and static, of the parts that run a container and nothing else. It links
# pthreadpool and the C++ standard library; {fmt} is compiled in, Highway is used without its run-time part. The list of
# sources is explicit where a room holds more than a device needs. tests/device checks its size and what it exports.
set(small_runtime_sources
    base/error.cpp base/file.cpp base/small_floats.cpp base/text.cpp base/threads.cpp
    ops/conv_geometry.cpp ops/pool_geometry.cpp ops/window.cpp
    runtime/codes.cpp runtime/layer.cpp runtime/lower_context.cpp runtime/requantize.cpp runtime/session.cpp)
if(EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/base/hash.cpp)
  list(APPEND small_runtime_sources base/hash.cpp)
endif()
file(GLOB_RECURSE small_runtime_rooms CONFIGURE_DEPENDS
     ${CMAKE_CURRENT_SOURCE_DIR}/core/*.cpp ${CMAKE_CURRENT_SOURCE_DIR}/numbers/*.cpp ${CMAKE_CURRENT_SOURCE_DIR}/coding/*.cpp
     ${CMAKE_CURRENT_SOURCE_DIR}/kernels/*.cpp ${CMAKE_CURRENT_SOURCE_DIR}/runtime/plan/*.cpp
     ${CMAKE_CURRENT_SOURCE_DIR}/formats/lbq/*.cpp ${CMAKE_CURRENT_SOURCE_DIR}/device/*.cpp)

function(lowbit_small_runtime name type)
  add_library(${name} ${type} ${small_runtime_sources} ${small_runtime_rooms})
  set_target_properties(${name} PROPERTIES OUTPUT_NAME lowbit_runtime CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON
                        SOVERSION ${PROJECT_VERSION_MAJOR} VERSION ${PROJECT_VERSION})
  target_compile_definitions(${name} PRIVATE FMT_HEADER_ONLY HWY_COMPILE_ONLY_STATIC LOWBIT_VERSION="${PROJECT_VERSION}")
  target_compile_options(${name} PRIVATE -ffunction-sections -fdata-sections)
  target_include_directories(${name} PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  target_link_libraries(${name} PRIVATE lowbit_outside::pthreadpool Threads::Threads)
  install(TARGETS ${name} EXPORT lowbit LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
endfunction()

lowbit_small_runtime(lowbit_runtime_shared SHARED)
lowbit_small_runtime(lowbit_runtime_static STATIC)
# Only what the C interface reaches is kept.
target_link_options(lowbit_runtime_shared PRIVATE -Wl,--gc-sections -Wl,--no-undefined -Wl,--exclude-libs,ALL)
