#include "lowbit/runtime/plan/weights.h"

#include <cstdlib>
#include <cstring>

#include "lowbit/base/error.h"

namespace lowbit::plan {

std::shared_ptr<std::byte> allocate_aligned(size_t bytes) {
  const size_t rounded = blob_aligned(bytes);
  void* memory = rounded < bytes ? nullptr : std::aligned_alloc(kBlobAlignment, rounded > 0 ? rounded : kBlobAlignment);
  if (!memory) throw Error(ErrorCode::out_of_memory, "no memory for " + std::to_string(bytes) + " bytes");
  std::memset(memory, 0, rounded);
  return {static_cast<std::byte*>(memory), [](std::byte* p) { std::free(p); }};
}

std::optional<Blob> WeightStore::find(const std::string& key) const {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(key);
  return found == entries_.end() ? std::nullopt : std::optional(found->second);
}

void WeightStore::put(const std::string& key, Blob blob, const std::string& source) {
  const std::lock_guard lock(mutex_);
  entries_.try_emplace(key, std::move(blob));
  if (!source.empty()) sources_.insert(source);
}

void WeightStore::add_source(const std::string& source) {
  const std::lock_guard lock(mutex_);
  sources_.insert(source);
}

std::set<std::string> WeightStore::sources() const {
  const std::lock_guard lock(mutex_);
  return sources_;
}

std::map<std::string, Blob> WeightStore::entries() const {
  const std::lock_guard lock(mutex_);
  return entries_;
}

size_t WeightStore::bytes() const {
  const std::lock_guard lock(mutex_);
  size_t total = 0;
  for (const auto& [key, blob] : entries_) total += blob.size;
  return total;
}

}  // namespace lowbit::plan
