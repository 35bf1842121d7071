// layer_matrix.h: a layer with constant weights as a matrix product y = W x + b, whatever the operator: how its weight
// tensor splits into rows and columns, and where its bias is.
#pragma once

#include <optional>
#include <vector>

#include "lowbit/core/graph_index.h"
#include "lowbit/methods/linear_algebra.h"

namespace lowbit {

/// The weight tensor as `groups` matrices of rows (outputs) x columns (inputs): element (g, r, c) is at
/// g * group_stride + r * row_stride + c * column_stride. Convolution: columns are (input channel, kernel position).
struct LayerMatrix {
  int64_t groups = 1, rows = 0, columns = 0;
  int64_t group_stride = 0, row_stride = 0, column_stride = 1;

  int64_t offset(int64_t group, int64_t row, int64_t column) const {
    return group * group_stride + row * row_stride + column * column_stride;
  }
  int64_t outputs() const { return groups * rows; }
};

/// Conv, Gemm (alpha, beta 1, transA 0) and MatMul with a 2-D weight as second input; nothing for anything else.
std::optional<LayerMatrix> layer_matrix(const Node& node, const Dims& weight);

/// Whether the node multiplies by an annotated constant as second input: a layer whose weights are low-bit.
bool has_low_bit_weight(const Graph& graph, const Node& node);

/// The axis of the result that counts output channels: 1 behind convolutions, else the last.
int64_t output_axis(const Node& node, int64_t rank);

/// A node whose result can be shifted by a constant for each output channel: Conv, ConvTranspose, Gemm with low-bit
/// weights, or an Add of a constant vector behind a MatMul with low-bit weights.
bool can_shift(const Graph& graph, const GraphIndex& index, size_t node);

/// Adds shift[c] to the bias of such a node; makes a bias where there is none. False, changing nothing, if the bias is
/// of a form that one number per channel cannot be added to.
bool shift_bias(Graph& graph, size_t node, const std::vector<double>& shift);

/// A constant that this node alone reads: a copy if others read it too. Returns its id.
ValueId own_constant(Graph& graph, Node& node, size_t input);

}  // namespace lowbit
