# Files for one instruction set live in a folder of its name and become an object library lowbit_<room>_<isa> with the flags of the row
# below; the room takes the objects in. Folders of other processors are left out. Nothing but such files is ever compiled with
# these flags: an inline function of a shared header would be emitted with them and could be taken for the whole program.
set(LOWBIT_ISAS avx2 avx512 avx512vnni neon neondot)
set(LOWBIT_ISA_FLAGS_avx2 -mavx2 -mfma -mf16c)
set(LOWBIT_ISA_FLAGS_avx512 ${LOWBIT_ISA_FLAGS_avx2} -mavx512f -mavx512bw -mavx512vl -mavx512dq -mprefer-vector-width=512
    -Wno-maybe-uninitialized -Wno-uninitialized) # GCC 12 warns falsely inside its own header
set(LOWBIT_ISA_FLAGS_avx512vnni ${LOWBIT_ISA_FLAGS_avx512} -mavx512vnni)
set(LOWBIT_ISA_FLAGS_neon -march=armv8-a)
set(LOWBIT_ISA_FLAGS_neondot -march=armv8.2-a+dotprod)
set(LOWBIT_ISA_PROCESSOR_avx2 "x86_64|AMD64")
set(LOWBIT_ISA_PROCESSOR_avx512 "x86_64|AMD64")
set(LOWBIT_ISA_PROCESSOR_avx512vnni "x86_64|AMD64")
set(LOWBIT_ISA_PROCESSOR_neon "aarch64|arm64")
set(LOWBIT_ISA_PROCESSOR_neondot "aarch64|arm64")

# Takes the files of instruction sets out of the list of sources and puts the objects of those this processor has in.
function(lowbit_isa_objects room sources_name)
  set(rest ${${sources_name}})
  foreach(isa ${LOWBIT_ISAS})
    set(files ${rest})
    list(FILTER files INCLUDE REGEX "/${room}/${isa}/")
    list(FILTER rest EXCLUDE REGEX "/${room}/${isa}/")
    if(files AND CMAKE_SYSTEM_PROCESSOR MATCHES "^(${LOWBIT_ISA_PROCESSOR_${isa}})$")
      add_library(lowbit_${room}_${isa} OBJECT ${files})
      target_include_directories(lowbit_${room}_${isa} PRIVATE ${PROJECT_SOURCE_DIR})
      target_compile_options(lowbit_${room}_${isa} PRIVATE ${LOWBIT_ISA_FLAGS_${isa}} -fno-exceptions -fno-rtti $<$<CONFIG:Release>:-O3>)
      # The kernels are unrolled by hand: instrumenting each of their accesses for undefined behaviour takes the compiler minutes.
      if(LOWBIT_SANITIZE MATCHES undefined)
        target_compile_options(lowbit_${room}_${isa} PRIVATE -fno-sanitize=undefined)
      endif()
      list(APPEND rest $<TARGET_OBJECTS:lowbit_${room}_${isa}>)
    endif()
  endforeach()
  set(${sources_name} ${rest} PARENT_SCOPE)
endfunction()
