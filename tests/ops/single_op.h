// single_op.h: runs one operator's reference in a test, and index arithmetic as plain as it can be, for the oracles.
#pragma once

#include <rapidcheck.h>

#include <vector>

#include "lowbit/ops/op.h"

namespace lowbit {

inline std::vector<Tensor> run_op(const std::string& op, const std::vector<Tensor>& inputs, Attributes attributes = {},
                                  size_t outputs = 1) {
  Node node;
  node.name = "tested";
  node.op = op;
  node.attributes = std::move(attributes);
  std::vector<const Tensor*> pointers;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const bool present = inputs[i].defined();
    node.inputs.push_back(present ? static_cast<ValueId>(i) : kNone);
    pointers.push_back(present ? &inputs[i] : nullptr);
  }
  for (size_t i = 0; i < outputs; ++i) node.outputs.push_back(static_cast<ValueId>(100 + i));
  ThreadPool threads(2);
  EvalContext context(node, pointers, threads);
  find_op(node)->reference(context);
  return context.outputs();
}

inline Tensor run_one(const std::string& op, const std::vector<Tensor>& inputs, Attributes attributes = {}) {
  return run_op(op, inputs, std::move(attributes))[0];
}

inline Tensor ints(const std::vector<int64_t>& values) {
  return Tensor::from<int64_t>({static_cast<int64_t>(values.size())}, values);
}

template <typename T>
std::vector<T> values_of(const Tensor& tensor) {
  return {tensor.values<T>().begin(), tensor.values<T>().end()};
}

/// The coordinates of element `flat` of a row-major tensor.
inline Dims coordinates(int64_t flat, const Dims& dims) {
  Dims at(dims.size());
  for (size_t i = dims.size(); i-- > 0;) {
    at[i] = flat % dims[i];
    flat /= dims[i];
  }
  return at;
}

inline int64_t flat_index(const Dims& at, const Dims& dims) {
  int64_t flat = 0;
  for (size_t i = 0; i < dims.size(); ++i) flat = flat * dims[i] + at[i];
  return flat;
}

/// Random dims of rank [0, max_rank], each in [low, high].
inline Dims random_dims(int max_rank, int64_t low, int64_t high) {
  Dims dims(static_cast<size_t>(*rc::gen::inRange(0, max_rank + 1)));
  for (int64_t& dim : dims) dim = *rc::gen::inRange<int64_t>(low, high + 1);
  return dims;
}

/// Random small int32 values.
inline Tensor random_ints(const Dims& dims) {
  Tensor tensor(DType::int32, dims);
  for (int32_t& value : tensor.mutable_values<int32_t>()) value = *rc::gen::inRange(-50, 50);
  return tensor;
}

/// The numbers 0, 1, 2 ... so that every element is told from every other.
inline Tensor counted(const Dims& dims) {
  Tensor tensor(DType::int32, dims);
  int32_t next = 0;
  for (int32_t& value : tensor.mutable_values<int32_t>()) value = next++;
  return tensor;
}

inline std::vector<int64_t> random_permutation(size_t rank) {
  std::vector<int64_t> perm;
  for (size_t i = 0; i < rank; ++i)
    perm.insert(perm.begin() + *rc::gen::inRange<int64_t>(0, static_cast<int64_t>(i) + 1), static_cast<int64_t>(i));
  return perm;
}

}  // namespace lowbit
