// scratch_file.h: room on the disk for bytes that are needed now and then but should not stay in memory, as the weights
// of a large network between two layers' turns.
#pragma once

#include <memory>

#include "lowbit/base/file.h"

namespace lowbit {

/// Bytes in an unnamed temporary file, mapped read-only; they go when nobody refers to them. release_file_pages()
/// (resident.h) drops their pages from this process, and reading brings them back.
struct ScratchBytes {
  Bytes bytes;
  std::shared_ptr<const void> owner;  ///< null: nothing was written
};

/// Writes the bytes to a file in $TMPDIR (else /tmp) that has no name. An empty result if there is no room for it: the
/// caller keeps what it has.
ScratchBytes to_scratch_file(Bytes bytes);

}  // namespace lowbit
