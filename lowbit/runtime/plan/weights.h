// weights.h: packed weights and tables, made once for a model and shared by all its plans and sessions. Entries can be
// stored in a container and mapped again.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>

namespace lowbit::plan {

/// Bytes aligned to 64 with whoever keeps them alive.
struct Blob {
  std::shared_ptr<const std::byte> bytes;
  size_t size = 0;
  template <typename T>
  const T* at(size_t offset = 0) const {
    return reinterpret_cast<const T*>(bytes.get() + offset);
  }
};

inline constexpr size_t kBlobAlignment = 64;
/// The next multiple of kBlobAlignment.
constexpr size_t blob_aligned(size_t bytes) { return (bytes + kBlobAlignment - 1) / kBlobAlignment * kBlobAlignment; }

/// Zero-filled, aligned to 64. Throws Error{out_of_memory}.
std::shared_ptr<std::byte> allocate_aligned(size_t bytes);

class WeightStore {
 public:
  /// The entry of a key, if there is one. Thread-safe, as everything here.
  std::optional<Blob> find(const std::string& key) const;
  /// Adds an entry: made while planning, or a section of a mapped container. The first one of a key stays. `source`:
  /// the constant that was packed, if nothing else reads it; with the entry at hand it need not be loaded.
  void put(const std::string& key, Blob blob, const std::string& source = "");
  /// All entries so far, by key.
  std::map<std::string, Blob> entries() const;
  void add_source(const std::string& source);
  /// The constants that only their entries were made from.
  std::set<std::string> sources() const;
  /// Sum of the sizes.
  size_t bytes() const;

 private:
  mutable std::mutex mutex_;
  std::map<std::string, Blob> entries_;
  std::set<std::string> sources_;
};

}  // namespace lowbit::plan
