// families.h: the operator rows by family; ops/list.cpp joins them. One function per file ops/<family>.cpp.
#pragma once

#include <span>

#include "lowbit/ops/op.h"

namespace lowbit {

std::span<const OpDef> unary_ops();        ///< Relu, Sigmoid, Erf, Clip ...
std::span<const OpDef> binary_ops();       ///< Add, Mul, comparisons, logic, Where, Min, Max, Sum ...
std::span<const OpDef> movement_ops();     ///< Reshape, Transpose, Concat, Slice, Pad ...
std::span<const OpDef> indexing_ops();     ///< Gather, Scatter, TopK, ArgMax, NonZero ...
std::span<const OpDef> reduction_ops();    ///< ReduceMean ..., CumSum
std::span<const OpDef> shape_ops();        ///< Shape, Range, ConstantOfShape, Cast ...
std::span<const OpDef> convolution_ops();  ///< Conv, ConvTranspose and their integer forms
std::span<const OpDef> matrix_ops();       ///< MatMul, Gemm, Einsum and their integer forms
std::span<const OpDef> pooling_ops();
std::span<const OpDef> normalization_ops();  ///< BatchNormalization, LayerNormalization, Softmax ...
std::span<const OpDef> recurrent_ops();      ///< RNN, LSTM, GRU
std::span<const OpDef> resize_ops();         ///< Resize, Upsample, GridSample, RoiAlign ...
std::span<const OpDef> control_ops();        ///< If, Loop, Scan
std::span<const OpDef> quantize_ops();       ///< QuantizeLinear, DequantizeLinear, DynamicQuantizeLinear
std::span<const OpDef> contrib_ops();        ///< the com.microsoft operators that quantizers and optimizers write
std::span<const OpDef> detection_ops();      ///< NonMaxSuppression ... and losses, signal operators

}  // namespace lowbit
