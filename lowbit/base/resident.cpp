#include "lowbit/base/resident.h"

#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cinttypes>
#include <cstdio>

namespace lowbit {
namespace {

struct Range {
  uintptr_t begin = 0, end = 0;
};

/// The read-only private mapping of a file that holds the address, from the system's own list; empty if there is none.
/// Asking the system keeps anonymous memory safe, which would read as zeros after MADV_DONTNEED.
Range file_mapping_of(uintptr_t address) {
  std::FILE* maps = std::fopen("/proc/self/maps", "re");
  if (!maps) return {};
  Range found;
  char line[512];
  bool at_start = true;
  while (std::fgets(line, sizeof(line), maps)) {
    uintptr_t begin = 0, end = 0;
    uint64_t inode = 0;
    char mode[5] = {};
    const bool whole = at_start;
    at_start = std::find(line, line + sizeof(line), '\n') != line + sizeof(line);
    if (!whole || std::sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %4s %*s %*s %" SCNu64, &begin, &end, mode, &inode) != 4)
      continue;
    if (address < begin || address >= end) continue;
    if (inode != 0 && mode[0] == 'r' && mode[1] == '-') found = {begin, end};
    break;
  }
  std::fclose(maps);
  return found;
}

}  // namespace

void keep_freed_memory() {
  constexpr int kLargest = 32 << 20;  // the most that glibc takes
  mallopt(M_MMAP_THRESHOLD, kLargest);
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
}

void return_freed_memory() { malloc_trim(0); }

void release_file_pages(Bytes bytes) {
  if (bytes.empty()) return;
  const auto address = reinterpret_cast<uintptr_t>(bytes.data());
  const Range mapping = file_mapping_of(address);
  const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  // Pages that hold neighbouring bytes as well may go, too: they come back when read.
  const uintptr_t begin = std::max(mapping.begin, address / page * page);
  const uintptr_t end = std::min(mapping.end, (address + bytes.size() + page - 1) / page * page);
  if (begin < end) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
}

}  // namespace lowbit
