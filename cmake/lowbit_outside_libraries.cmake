# The outside libraries that a program made with lowbit links. Included by our own build and by the installed package, so
# that both find the same ones.
find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
find_package(fmt REQUIRED)
find_package(Protobuf REQUIRED)
find_package(JPEG REQUIRED)
find_package(PNG REQUIRED)
find_package(LibArchive REQUIRED)
find_package(OpenMP REQUIRED COMPONENTS CXX) # only to keep oneDNN, which runs on it, on the calling thread: our own pool spreads the work
pkg_check_modules(hwy REQUIRED IMPORTED_TARGET libhwy)
pkg_check_modules(xxhash REQUIRED IMPORTED_TARGET libxxhash)

# By library name: they have no package file, or, as Debian's dnnl-config.cmake, one that demands headers (OpenCL) which we do not need.
foreach(library dnnl pthreadpool onnx onnx_proto)
  if(NOT TARGET lowbit_outside::${library})
    find_library(LOWBIT_OUTSIDE_${library} ${library} REQUIRED)
    add_library(lowbit_outside::${library} UNKNOWN IMPORTED)
    set_target_properties(lowbit_outside::${library} PROPERTIES IMPORTED_LOCATION ${LOWBIT_OUTSIDE_${library}})
  endif()
endforeach()
