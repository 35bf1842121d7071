// tensors.h: the tensors of a container: their index (section TENS), their bytes (inside the index or in section DATA),
// and which coding is smallest.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "lowbit/core/quantization.h"
#include "lowbit/core/tensor.h"
#include "lowbit/formats/lbq/cursor.h"
#include "lowbit/formats/lbq/layout.h"

namespace lowbit::lbq {

struct TensorEntry {
  DType dtype = DType::undefined;
  Dims dims;
  Coding coding = Coding::raw;
  int bits = 0;          ///< of a packed code
  int64_t base = 0;      ///< of an entropy-coded one: the code of symbol 0
  bool inlined = false;  ///< stored in the index
  uint64_t offset = 0;   ///< in DATA, unless inlined
  uint64_t hash = 0;     ///< of the stored bytes, unless inlined (then the index's own hash covers them)
  Bytes stored;
};

/// The index, checked: sizes fit the coding, tensors lie in DATA one behind the other, each at the next multiple of 64,
/// with zeros between them. Bytes of DATA are not hashed and, but for the gaps, not looked at. Throws Error{bad_file}.
std::vector<TensorEntry> read_tensor_index(Bytes index, Bytes data);

/// The tensor of an entry, after checking its hash. A raw one that lies in DATA is a view kept alive by `owner` (a copy
/// if `owner` is null or the bytes are not aligned for the type). Throws Error{bad_file}.
Tensor read_tensor(const TensorEntry& entry, const std::shared_ptr<const void>& owner);

/// What a tensor takes in a file, and as what.
struct StoredTensor {
  Coding coding = Coding::raw;
  int bits = 0;
  int64_t base = 0;
  std::vector<uint8_t> made;  ///< the stored bytes unless raw; then they are the tensor's own
};

/// `codes`: the range of codes if the tensor holds codes of an annotation; `entropy`: whether entropy coding may be
/// chosen. The smallest coding that fits; at equal sizes the faster one.
StoredTensor store_tensor(const Tensor& tensor, const std::optional<CodeRange>& codes, bool entropy);

/// Collects tensors for the index and DATA. Tensors that share their bytes are stored once.
class TensorTable {
 public:
  explicit TensorTable(bool entropy) : entropy_(entropy) {}
  /// The index of the tensor in the file.
  size_t add(const Tensor& tensor, const std::optional<CodeRange>& codes);
  /// The section TENS, and the parts of DATA, which live as long as the table.
  std::string index() const;
  std::vector<Bytes> data() const;

 private:
  struct Item {
    Tensor tensor;
    StoredTensor stored;
    Bytes bytes() const;
  };
  bool entropy_;
  std::vector<Item> items_;
  std::map<std::pair<const std::byte*, std::string>, size_t> known_;
};

/// Bits that a code of this range takes when packed: two's complement if there are negative ones.
int packed_width(CodeRange range);

}  // namespace lowbit::lbq
