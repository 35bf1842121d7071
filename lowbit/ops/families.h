// families.h: the operator rows by family; ops/list.cpp joins them. One function per file ops/<family>.cpp.
#pragma once

#include <span>

#include "lowbit/ops/op.h"

namespace lowbit {

std::span<const OpDef> unary_ops();        ///< Abs, Erf, Exp, Round, Identity, Dropout ...
std::span<const OpDef> activation_ops();   ///< Relu, Sigmoid, Clip, Gelu ...
std::span<const OpDef> binary_ops();       ///< Add, Mul, Div, Pow, Min, Max, Sum, PRelu ...
std::span<const OpDef> logic_ops();        ///< comparisons, And, BitwiseAnd, BitShift, Where
std::span<const OpDef> movement_ops();     ///< Reshape, Transpose, Concat, Split ...
std::span<const OpDef> rearrange_ops();    ///< DepthToSpace, SpaceToDepth, ReverseSequence
std::span<const OpDef> slicing_ops();      ///< Slice, Pad, Expand, Tile, CenterCropPad, Trilu
std::span<const OpDef> indexing_ops();     ///< Gather and its relatives, OneHot, Compress
std::span<const OpDef> scatter_ops();      ///< ScatterElements, ScatterND, TensorScatter
std::span<const OpDef> search_ops();       ///< TopK, ArgMax, NonZero, Unique
std::span<const OpDef> reduction_ops();    ///< ReduceMean ..., CumSum
std::span<const OpDef> shape_ops();        ///< Shape, Range, ConstantOfShape, Constant ...
std::span<const OpDef> cast_ops();         ///< Cast, CastLike, BitCast
std::span<const OpDef> random_ops();       ///< RandomNormal, Bernoulli, Multinomial ...
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
