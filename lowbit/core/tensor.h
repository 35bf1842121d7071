// tensor.h: a dense row-major array. Copying a Tensor shares its bytes; writing to shared bytes copies them first, so a Tensor behaves as a value.
// The bytes may be a view on a mapped file, which stays open as long as a Tensor refers to it.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "lowbit/base/error.h"
#include "lowbit/base/file.h"
#include "lowbit/core/dtype.h"
#include "lowbit/core/shape.h"

namespace lowbit {

class Tensor {
 public:
  Tensor() = default;
  /// Owned, zero-filled. Throws Error{bad_file} on a negative or overflowing shape, Error{out_of_memory} if there is not enough.
  Tensor(DType type, Dims dims);
  /// Owned, not initialised: every element must be written before it is read.
  static Tensor uninitialized(DType type, Dims dims);
  /// A view on bytes that `owner` keeps alive. Throws Error{bad_file} unless bytes.size() == count * dtype_bytes.
  static Tensor view(DType type, Dims dims, Bytes bytes, std::shared_ptr<const void> owner);
  /// A string tensor.
  static Tensor strings(Dims dims, std::vector<std::string> values);

  template <typename T>
  static Tensor from(Dims dims, std::span<const T> values) {
    Tensor result = uninitialized(dtype_of<T>, std::move(dims));
    if (result.count() != static_cast<int64_t>(values.size()))
      throw Error(ErrorCode::bad_argument, "the number of values does not fit the shape " + dims_text(result.dims()));
    std::copy(values.begin(), values.end(), result.mutable_data<T>());
    return result;
  }
  template <typename T>
  static Tensor from(Dims dims, std::initializer_list<T> values) { return from(std::move(dims), std::span<const T>(values.begin(), values.size())); }
  template <typename T>
  static Tensor from(Dims dims, const std::vector<T>& values) { return from(std::move(dims), std::span<const T>(values)); }
  template <typename T>
  static Tensor scalar(T value) { return from<T>({}, {value}); }

  DType dtype() const { return type_; }
  const Dims& dims() const { return dims_; }
  int64_t rank() const { return static_cast<int64_t>(dims_.size()); }
  int64_t dim(int64_t axis) const { return dims_[static_cast<size_t>(axis)]; }
  int64_t count() const { return count_; }
  size_t byte_size() const { return static_cast<size_t>(count_) * dtype_bytes(type_); }
  bool defined() const { return type_ != DType::undefined; }

  /// Typed access. T must be the stored type (for the 16-bit floats uint16_t, for 8-bit floats and 4-/2-bit codes uint8_t or int8_t);
  /// throws Error{internal} otherwise. Never null, also for empty tensors.
  template <typename T>
  const T* data() const { check_access(dtype_of<T>, sizeof(T)); return reinterpret_cast<const T*>(bytes_.get()); }
  template <typename T>
  std::span<const T> values() const { return {data<T>(), static_cast<size_t>(count_)}; }
  /// Writable; makes the bytes our own first if they are shared or a view.
  template <typename T>
  T* mutable_data() { check_access(dtype_of<T>, sizeof(T)); make_unique(); return reinterpret_cast<T*>(const_cast<std::byte*>(bytes_.get())); }
  template <typename T>
  std::span<T> mutable_values() { return {mutable_data<T>(), static_cast<size_t>(count_)}; }

  Bytes raw() const { return {bytes_.get(), byte_size()}; }
  std::byte* mutable_raw() { make_unique(); return const_cast<std::byte*>(bytes_.get()); }
  const std::vector<std::string>& string_values() const;

  /// The same bytes with other dimensions of the same count. Throws Error{bad_file} if the count differs.
  Tensor reshaped(Dims dims) const;
  /// The same bytes as another type of the same width (e.g. uint8 codes as int4).
  Tensor reinterpreted(DType type) const;
  /// Converted element by element as ONNX Cast does between numbers. Strings are not converted.
  Tensor cast(DType type) const;

  /// True if the bytes belong to a mapped file or another owner that this Tensor must not write to.
  bool is_view() const { return view_; }

 private:
  void check_access(DType wanted, size_t bytes) const;
  void make_unique();
  DType type_ = DType::undefined;
  bool view_ = false;
  Dims dims_;
  int64_t count_ = 0;
  std::shared_ptr<const std::byte> bytes_;
  std::shared_ptr<const std::vector<std::string>> strings_;
};

/// The values of an integer tensor of any width (also bool) as int64. Throws Error{bad_file} for other types or uint64 beyond int64.
std::vector<int64_t> to_int64(const Tensor& tensor);
/// The values of a number tensor as float32 (a view of the data if it is float32 already costs nothing: the Tensor is returned as is).
Tensor to_float32(const Tensor& tensor);
/// Same type, dims and bytes.
bool identical(const Tensor& a, const Tensor& b);

}  // namespace lowbit
