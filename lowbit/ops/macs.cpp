#include "lowbit/base/checked.h"
#include "lowbit/ops/einsum.h"
#include "lowbit/ops/op.h"

namespace lowbit {
namespace {

using Shapes = std::vector<const Dims*>;

const Dims* at(const Shapes& shapes, size_t i) { return i < shapes.size() ? shapes[i] : nullptr; }

/// Elements of the result times the elements of one filter.
int64_t conv_macs(const Dims* result, const Dims* weights) {
  if (!result || !weights || weights->empty()) return 0;
  return checked_mul(element_count(*result), checked_product(std::span(*weights).subspan(1)));
}

int64_t matmul_macs(const Dims* a, const Dims* out) {
  return a && out && !a->empty() ? checked_mul(element_count(*out), a->back()) : 0;
}

int64_t gemm_macs(const Node& node, const Dims* a, const Dims* out) {
  if (!a || !out || a->size() != 2) return 0;
  return checked_mul(element_count(*out), (*a)[node.attr_int("transA", 0) != 0 ? 0 : 1]);
}

/// Every step multiplies each gate's weights with the input and with the state.
int64_t recurrent_macs(const Dims* x, const Dims* w, const Dims* r) {
  if (!x || !w || !r || x->size() != 3) return 0;
  return checked_mul(checked_mul((*x)[0], (*x)[1]), checked_add(element_count(*w), element_count(*r)));
}

}  // namespace

int64_t multiply_adds(const Graph&, const Node& node, const Shapes& inputs, const Shapes& outputs) {
  const std::string& op = node.op;
  const Dims* out = at(outputs, 0);
  if (op == "Conv" || op == "ConvInteger" || op == "FusedConv") return conv_macs(out, at(inputs, 1));
  if (op == "QLinearConv") return conv_macs(out, at(inputs, 3));
  // Transposed: every input element meets one filter.
  if (op == "ConvTranspose") return conv_macs(at(inputs, 0), at(inputs, 1));
  if (op == "MatMul" || op == "MatMulInteger" || op == "FusedMatMul" || op == "MatMulNBits" ||
      op == "DynamicQuantizeMatMul" || op == "MatMulIntegerToFloat" || op == "QLinearMatMul")
    return matmul_macs(at(inputs, 0), out);
  if (op == "Gemm" || op == "QGemm") return gemm_macs(node, at(inputs, 0), out);
  if (op == "LSTM" || op == "GRU" || op == "RNN") return recurrent_macs(at(inputs, 0), at(inputs, 1), at(inputs, 2));
  if (op == "Einsum") return einsum_multiply_adds(node, inputs);
  return 0;
}

}  // namespace lowbit
