#include "lowbit/core/offload.h"

#include "lowbit/base/resident.h"
#include "lowbit/base/scratch_file.h"

namespace lowbit {
namespace {

constexpr size_t kWorthIt = size_t{64} << 20;  // all constants together
constexpr size_t kLarge = size_t{256} << 10;   // one constant: fewer bytes are not worth a file of their own

bool is_movable(const Value& value) {
  return value.constant && value.constant->dtype() != DType::string && !value.constant->is_view() &&
         value.constant->byte_size() >= kLarge;
}

}  // namespace

void offload_constants(Graph& graph) {
  size_t all = 0;
  for (const Value& value : graph.values)
    if (is_movable(value)) all += value.constant->byte_size();
  if (all < kWorthIt) return;
  for (Value& value : graph.values) {
    if (!is_movable(value)) continue;
    const Tensor& constant = *value.constant;
    ScratchBytes moved = to_scratch_file(constant.raw());
    if (!moved.owner) return;
    value.constant = Tensor::view(constant.dtype(), constant.dims(), moved.bytes, std::move(moved.owner));
  }
  return_freed_memory();
}

void rest_pages(const Tensor& tensor) {
  if (tensor.is_view() && tensor.byte_size() >= kLarge) release_file_pages(tensor.raw());
}

}  // namespace lowbit
