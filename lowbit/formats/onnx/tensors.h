// tensors.h: TensorProto in all its encodings -> Tensor, as a view on the file where the bytes allow it.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "lowbit/core/tensor.h"
#include "lowbit/formats/format.h"

namespace onnx {
class TensorProto;
class SparseTensorProto;
}  // namespace onnx

namespace lowbit::onnx_format {

class TensorReader {
 public:
  TensorReader(Bytes file, const ReadOptions& options) : file_(file), options_(options) {}

  /// `what` names the tensor in messages: "initializer 'conv.weight'". Throws Error{bad_file} unless the bytes are
  /// exactly those that dims and type ask for.
  Tensor read(const onnx::TensorProto& proto, const std::string& what);
  /// Dense, at most 256 MiB.
  Tensor read_sparse(const onnx::SparseTensorProto& proto, const std::string& what);

  /// Throws Error{bad_file} naming tensor and index if a weight is NaN or infinite, unless that is allowed.
  ///
  /// Only tensors of more than 16 elements count as weights: limits of Clip, fill values of masks and the like are
  /// small constants in which infinities are sound.
  void check_finite(const Tensor& tensor, const std::string& what) const;

  /// Bytes of all external files.
  int64_t external_bytes() const;

 private:
  struct Source {
    Bytes bytes;
    std::shared_ptr<const void> owner;  ///< null: bytes must be copied
  };
  Source raw_source(const onnx::TensorProto& proto, int64_t wanted_bytes, const std::string& what);
  Source external_source(const onnx::TensorProto& proto, int64_t wanted_bytes, const std::string& what);
  Bytes file_;
  const ReadOptions& options_;
  std::map<std::string, std::shared_ptr<const MappedFile>> external_;
};

}  // namespace lowbit::onnx_format
