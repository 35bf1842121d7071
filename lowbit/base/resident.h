// resident.h: what the process keeps in memory between phases of a long job.
#pragma once

#include "lowbit/base/file.h"

namespace lowbit {

/// For programs, at their start: lets the allocator keep freed blocks of every size for the next request. Otherwise
/// each large tensor is mapped, zeroed page by page and unmapped again.
void keep_freed_memory();

/// Gives freed blocks back to the system, between phases that need little of each other's memory.
void return_freed_memory();

/// If the bytes lie in a read-only mapping of a file, lets the system drop their pages from this process; they are read
/// again on demand. Any other bytes are left alone.
void release_file_pages(Bytes bytes);

}  // namespace lowbit
