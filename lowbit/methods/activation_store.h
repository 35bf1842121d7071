// activation_store.h: the activations of all calibration samples between two layers, cut into chunks. What does not fit
// the memory allowance goes to an unnamed temporary file (TMPDIR) and comes back when it is read.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "lowbit/core/graph.h"

namespace lowbit {

class ActivationStore {
 public:
  /// `memory_bytes`: how much may stay in memory. The file is made only when it is exceeded.
  explicit ActivationStore(int64_t memory_bytes);
  ~ActivationStore();
  ActivationStore(const ActivationStore&) = delete;
  ActivationStore& operator=(const ActivationStore&) = delete;

  /// Keeps a tensor under (chunk, value), replacing what was there. Throws Error{io} if the disk is full.
  void put(int64_t chunk, ValueId value, Tensor tensor);
  bool has(int64_t chunk, ValueId value) const;
  /// The tensor; it must be there.
  Tensor get(int64_t chunk, ValueId value) const;
  /// Forgets a value of every chunk.
  void drop(ValueId value);

  int64_t bytes_in_memory() const { return in_memory_; }
  int64_t bytes_in_file() const { return in_file_; }

 private:
  struct Entry {
    Tensor tensor;  ///< defined if it is in memory
    DType type = DType::undefined;
    Dims dims;
    int64_t offset = -1;  ///< in the file
    int64_t bytes = 0;
  };
  const Entry* find(int64_t chunk, ValueId value) const;
  void release(Entry& entry);
  int64_t allocate(int64_t bytes);
  void write(const Tensor& tensor, int64_t offset);

  int64_t memory_bytes_, in_memory_ = 0, in_file_ = 0, file_end_ = 0;
  std::vector<std::vector<Entry>> chunks_;  ///< by chunk, then value
  struct Hole {
    int64_t offset, bytes;
  };
  std::vector<Hole> holes_;  ///< free room inside the file
  struct File;
  std::unique_ptr<File> file_;
};

}  // namespace lowbit
