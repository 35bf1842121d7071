#include "lowbit/runtime/plan/steps/dynamic_codes.h"

#include <algorithm>
#include <cmath>

#include "lowbit/kernels/qeltwise.h"
#include "lowbit/runtime/plan/convert.h"

namespace lowbit::plan {
namespace {

struct DynamicParams {
  Ref x, codes, scales, zeros;
  int64_t rows, n;  ///< every row has a range of its own
  bool asymmetric;
  const kernels::QEltwiseKernels* kernels;
};

struct Range {
  float low = 0, high = 0;
};

/// NaN never wins. Sixteen lanes, so that the loop becomes vectors.
Range range_of(const float* x, int64_t n) {
  constexpr int64_t kLanes = 16;
  float low[kLanes] = {}, high[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes)
    for (int64_t lane = 0; lane < kLanes; ++lane) {
      low[lane] = x[i + lane] < low[lane] ? x[i + lane] : low[lane];
      high[lane] = x[i + lane] > high[lane] ? x[i + lane] : high[lane];
    }
  Range range;
  for (; i < n; ++i) {
    range.low = std::min(range.low, x[i]);
    range.high = std::max(range.high, x[i]);
  }
  for (int64_t lane = 0; lane < kLanes; ++lane) {
    range.low = std::min(range.low, low[lane]);
    range.high = std::max(range.high, high[lane]);
  }
  return range;
}

void run_dynamic(const void* raw, const RunContext& context, int64_t first, int64_t last, std::byte*) noexcept {
  const auto& p = *static_cast<const DynamicParams*>(raw);
  for (int64_t row = first; row < last; ++row) {
    const float* x = context.at<const float>(p.x) + row * p.n;
    uint8_t* codes = context.at<uint8_t>(p.codes) + row * p.n;
    const Range range = range_of(x, p.n);
    float scale = 1;
    int32_t zero = 0;
    if (p.asymmetric) {
      if (range.high > range.low) scale = (range.high - range.low) / 255.0f;
      const float at = std::nearbyint(-range.low / scale);
      zero = (at > 0 ? static_cast<int32_t>(std::min(at, 255.0f)) : 0) - 128;  // NaN: an infinite range
    } else if (const float reach = std::max(-range.low, range.high); reach > 0) {
      scale = reach / 127.0f;
    }
    // uint8 codes less 128 are the int8 codes of a zero point less 128.
    p.kernels->quantize(1, p.n, x, p.n, {codes, p.n, kernels::Code::s8, p.asymmetric ? -128 : -127, 127}, scale, zero);
    context.at<float>(p.scales)[row] = scale;
    context.at<int32_t>(p.zeros)[row] = zero;
  }
}

struct ValuesParams {
  Ref codes, scales, zeros, y;
  int64_t n;  ///< elements of a row
};

void run_values(const void* raw, const RunContext& context, int64_t first, int64_t last, std::byte*) noexcept {
  const auto& p = *static_cast<const ValuesParams*>(raw);
  for (int64_t row = first; row < last; ++row) {
    const int8_t* codes = context.at<const int8_t>(p.codes) + row * p.n;
    float* y = context.at<float>(p.y) + row * p.n;
    const float scale = context.at<const float>(p.scales)[row];
    const int32_t zero = context.at<const int32_t>(p.zeros)[row];
    for (int64_t i = 0; i < p.n; ++i) y[i] = static_cast<float>(codes[i] - zero) * scale;
  }
}

}  // namespace

View dynamic_values(Builder& builder, int32_t node, ValueId x, Order order) {
  const DynamicView from = dynamic_codes(builder, node, x, order);
  View y = builder.temporary(DType::float32, from.codes.dims);
  y.strides = from.codes.strides;
  const int64_t rows = from.by_row ? y.count() / std::max<int64_t>(y.dims.back(), 1) : 1;
  const ValuesParams p{from.codes.ref(), from.scales, from.zeros, y.ref(), y.count() / std::max<int64_t>(rows, 1)};
  Draft draft;
  draft.run = run_values;
  draft.tasks = rows;
  draft.nanoseconds = static_cast<double>(y.count()) * 0.3;
  draft.reads = {from.codes.buffer, from.scales.buffer, from.zeros.buffer};
  draft.writes = {y.buffer};
  draft.details.bytes = 5 * y.count();
  draft.details.kernel = "values of codes";
  draft.params = std::make_shared<const ValuesParams>(p);
  builder.emit(node, std::move(draft));
  return y;
}

DynamicView dynamic_codes(Builder& builder, int32_t node, ValueId x, Order order) {
  const Quantization& quantization = *builder.graph().value(x).quantization;
  const View real = builder.real_operand(x, order);
  const bool by_row = quantization.granularity.kind == Granularity::Kind::channel;
  // A range of a channels-last image does not depend on the order; its pixels lie densely in the copy that is made.
  View dense = real;
  if (!is_dense(real, axis_order(order, real.rank()))) {
    dense = builder.temporary(DType::float32, real.dims);
    dense.strides = strides_in(real.dims, axis_order(order, real.rank()));
    builder.emit(node, copy_draft(real, dense));
  }
  DynamicParams p{};
  p.rows = by_row && real.rank() > 0 ? real.count() / std::max<int64_t>(real.dims.back(), 1) : 1;
  p.n = real.count() / std::max<int64_t>(p.rows, 1);
  View codes = builder.temporary(DType::int8, real.dims);
  codes.strides = dense.strides;
  const View scales = builder.temporary(DType::float32, {p.rows}), zeros = builder.temporary(DType::int32, {p.rows});
  p.x = dense.ref();
  p.codes = codes.ref();
  p.scales = scales.ref();
  p.zeros = zeros.ref();
  p.asymmetric = quantization.format.asymmetric;
  p.kernels = &kernels::qeltwise();
  Draft draft;
  draft.run = run_dynamic;
  draft.tasks = p.rows;
  draft.nanoseconds = static_cast<double>(real.count()) * 0.5;
  draft.reads = {dense.buffer};
  draft.writes = {codes.buffer, scales.buffer, zeros.buffer};
  draft.details.integer = true;
  draft.details.bytes = 5 * real.count();
  draft.details.kernel = by_row ? "quantize each row by its range" : "quantize by the range of all";
  draft.params = std::make_shared<const DynamicParams>(p);
  builder.emit(node, std::move(draft));
  return {codes, scales.ref(), zeros.ref(), by_row};
}

}  // namespace lowbit::plan
