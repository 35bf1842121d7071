// hash.h: the checksum of files: xxHash64 with seed 0, which finds damage, not forgery.
// Source: Collet, xxHash specification, https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md
#pragma once

#include <cstdint>

#include "lowbit/base/file.h"

namespace lowbit {

uint64_t xxhash64(Bytes bytes);

}  // namespace lowbit
