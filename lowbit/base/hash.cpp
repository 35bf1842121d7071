#include "lowbit/base/hash.h"

// The code of the library, without linking it.
#define XXH_INLINE_ALL
#include <xxhash.h>

namespace lowbit {

uint64_t xxhash64(Bytes bytes) { return XXH64(bytes.data(), bytes.size(), 0); }

}  // namespace lowbit
