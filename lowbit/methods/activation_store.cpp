#include "lowbit/methods/activation_store.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

namespace lowbit {

struct ActivationStore::File {
  std::FILE* handle = nullptr;
  File() {
    std::string path = (std::filesystem::temp_directory_path() / "lowbit-XXXXXX").string();
    const int descriptor = mkstemp(path.data());
    if (descriptor >= 0) {
      unlink(path.c_str());  // without a name it goes when the program ends, however it ends
      handle = fdopen(descriptor, "w+b");
      if (!handle) close(descriptor);
    }
    if (!handle)
      throw Error(ErrorCode::io, "no temporary file for activations can be made (set TMPDIR, or lower --samples)",
                  path);
  }
  ~File() { std::fclose(handle); }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  void seek(int64_t offset) const {
    if (std::fseek(handle, static_cast<long>(offset), SEEK_SET) != 0)
      throw Error(ErrorCode::io, "the temporary file for activations cannot be read");
  }
};

ActivationStore::ActivationStore(int64_t memory_bytes) : memory_bytes_(memory_bytes) {}
ActivationStore::~ActivationStore() = default;

const ActivationStore::Entry* ActivationStore::find(int64_t chunk, ValueId value) const {
  if (chunk >= static_cast<int64_t>(chunks_.size())) return nullptr;
  const auto& entries = chunks_[static_cast<size_t>(chunk)];
  if (value < 0 || static_cast<size_t>(value) >= entries.size()) return nullptr;
  const Entry& entry = entries[static_cast<size_t>(value)];
  return entry.type == DType::undefined ? nullptr : &entry;
}

bool ActivationStore::has(int64_t chunk, ValueId value) const { return find(chunk, value) != nullptr; }

void ActivationStore::release(Entry& entry) {
  if (entry.type == DType::undefined) return;
  if (entry.offset >= 0) {
    holes_.push_back({entry.offset, entry.bytes});
    in_file_ -= entry.bytes;
  } else {
    in_memory_ -= entry.bytes;
  }
  entry = Entry();
}

int64_t ActivationStore::allocate(int64_t bytes) {
  // Chunks have equal sizes, so that the first hole that is large enough usually fits exactly.
  const auto hole = std::find_if(holes_.begin(), holes_.end(), [&](const Hole& h) { return h.bytes >= bytes; });
  if (hole == holes_.end()) {
    file_end_ += bytes;
    return file_end_ - bytes;
  }
  const int64_t offset = hole->offset;
  hole->offset += bytes;
  hole->bytes -= bytes;
  if (hole->bytes == 0) holes_.erase(hole);
  return offset;
}

void ActivationStore::write(const Tensor& tensor, int64_t offset) {
  if (!file_) file_ = std::make_unique<File>();
  file_->seek(offset);
  const Bytes bytes = tensor.raw();
  if (std::fwrite(bytes.data(), 1, bytes.size(), file_->handle) != bytes.size())
    throw Error(ErrorCode::io, "the disk of the temporary files is full (set TMPDIR, or lower --samples)");
}

void ActivationStore::put(int64_t chunk, ValueId value, Tensor tensor) {
  if (chunk >= static_cast<int64_t>(chunks_.size())) chunks_.resize(static_cast<size_t>(chunk) + 1);
  auto& entries = chunks_[static_cast<size_t>(chunk)];
  if (static_cast<size_t>(value) >= entries.size()) entries.resize(static_cast<size_t>(value) + 1);
  Entry& entry = entries[static_cast<size_t>(value)];
  release(entry);
  entry.type = tensor.dtype();
  entry.dims = tensor.dims();
  entry.bytes = tensor.dtype() == DType::string ? 0 : static_cast<int64_t>(tensor.byte_size());
  if (entry.bytes > 0 && in_memory_ + entry.bytes > memory_bytes_) {
    entry.offset = allocate(entry.bytes);
    write(tensor, entry.offset);
    in_file_ += entry.bytes;
  } else {
    in_memory_ += entry.bytes;
    entry.tensor = std::move(tensor);
  }
}

Tensor ActivationStore::get(int64_t chunk, ValueId value) const {
  const Entry* entry = find(chunk, value);
  LOWBIT_CHECK(entry != nullptr);
  if (entry->offset < 0) return entry->tensor;
  Tensor tensor = Tensor::uninitialized(entry->type, entry->dims);
  file_->seek(entry->offset);
  if (std::fread(tensor.mutable_raw(), 1, static_cast<size_t>(entry->bytes), file_->handle) !=
      static_cast<size_t>(entry->bytes))
    throw Error(ErrorCode::io, "the temporary file for activations cannot be read");
  return tensor;
}

void ActivationStore::drop(ValueId value) {
  for (auto& entries : chunks_)
    if (value >= 0 && static_cast<size_t>(value) < entries.size()) release(entries[static_cast<size_t>(value)]);
}

}  // namespace lowbit
