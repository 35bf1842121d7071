# With LOWBIT_UNITY: the files of a target are compiled in batches. Most of the work of compiling a file is reading the same headers and
# making the same functions of templates; done once for a batch it takes a third of the time. Not for developers, who change
# single files. A name in an anonymous namespace must be unique within the room; files of Highway, which include themselves
# once for each instruction set, and files with flags of their own stay alone.
function(lowbit_unity target)
  if(NOT LOWBIT_UNITY)
    return()
  endif()
  get_target_property(sources ${target} SOURCES)
  foreach(source ${sources})
    if(source MATCHES "^\\$<")
      continue() # objects of an instruction set
    endif()
    file(STRINGS ${source} includes_itself REGEX "foreach_target" LIMIT_COUNT 1)
    if(includes_itself)
      set_property(SOURCE ${source} PROPERTY SKIP_UNITY_BUILD_INCLUSION ON)
    endif()
  endforeach()
  set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 20)
endfunction()
