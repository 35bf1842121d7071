#include <array>

#include "lowbit/passes/fold_constants.h"
#include "lowbit/passes/pass.h"
#include "lowbit/passes/passes.h"

namespace lowbit {
namespace {

constexpr Pass kPasses[] = {
    {"batch_norm_to_conv", "a batch normalization that stands alone becomes a depthwise convolution",
     batch_norm_to_conv},
    {"fold_batch_norm", "batch normalization goes into the weights before it", fold_batch_norm},
    {"fold_constants", "nodes with constant inputs are computed once",
     [](Graph& graph) { return fold_constants(graph); }},
    {"fold_pad", "zero padding goes into the convolution behind it", fold_pad},
    {"fuse_gelu", "spellings of GELU become one node", fuse_gelu},
    {"fuse_gemm", "a product with a constant matrix becomes Gemm", fuse_gemm},
    {"fuse_hard_swish", "spellings of HardSwish become one node", fuse_hard_swish},
    {"fuse_layer_norm", "spellings of layer normalization become one node", fuse_layer_norm},
    {"remove_identities", "nodes that change nothing are removed", remove_identities},
};

constexpr auto kTable = [] {
  std::array<const Pass*, std::size(kPasses)> table{};
  for (size_t i = 0; i < table.size(); ++i) table[i] = &kPasses[i];
  return table;
}();

}  // namespace

std::span<const Pass* const> pass_table() { return kTable; }

const Pass* find_pass(std::string_view name) {
  for (const Pass* pass : kTable)
    if (pass->name == name) return pass;
  return nullptr;
}

}  // namespace lowbit
