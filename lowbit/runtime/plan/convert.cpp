#include "lowbit/runtime/plan/convert.h"

#include <cstring>

#include "lowbit/kernels/qeltwise.h"
#include "lowbit/runtime/plan/nest.h"

namespace lowbit::plan {
namespace {

using kernels::Code;

struct CopyParams {
  Nest nest;  // views: to, from
  Ref to, from;
  const kernels::QEltwiseKernels* kernels;
};

/// Elements of any width, one by one.
template <typename T>
void copy_elements(const Nest& nest, T* to, const T* from, int64_t rows, int64_t n) {
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t i = 0; i < n; ++i)
      to[r * nest.rows.stride[0] + i * nest.n.stride[0]] = from[r * nest.rows.stride[1] + i * nest.n.stride[1]];
}

template <typename T>
void copy_tasks(const void* raw, const RunContext& context, int64_t first, int64_t last, std::byte*) noexcept {
  const auto& p = *static_cast<const CopyParams*>(raw);
  const Nest& nest = p.nest;
  T* to = context.at<T>(p.to);
  const T* from = context.at<const T>(p.from);
  nest.run(first, last, [&](const auto& at, int64_t rows, int64_t n) {
    T* y = to + at[0];
    const T* x = from + at[1];
    if (nest.n.stride[0] == 1 && nest.n.stride[1] == 1) {
      for (int64_t r = 0; r < rows; ++r)
        std::memcpy(y + r * nest.rows.stride[0], x + r * nest.rows.stride[1], static_cast<size_t>(n) * sizeof(T));
    } else if (nest.n.stride[0] == 1 && nest.rows.stride[1] == 1 && sizeof(T) == 1) {
      p.kernels->transpose8(n, rows, reinterpret_cast<const uint8_t*>(x), nest.n.stride[1],
                            reinterpret_cast<uint8_t*>(y), nest.rows.stride[0]);
    } else if (nest.n.stride[0] == 1 && nest.rows.stride[1] == 1 && sizeof(T) == 4) {
      p.kernels->transpose32(n, rows, reinterpret_cast<const uint32_t*>(x), nest.n.stride[1],
                             reinterpret_cast<uint32_t*>(y), nest.rows.stride[0]);
    } else {
      copy_elements(nest, y, x, rows, n);
    }
  });
}

struct CodeParams {
  Nest nest;  // encode: codes, floats; decode: floats, codes
  Ref to, from;
  const kernels::QEltwiseKernels* kernels;
  Code code;
  float scale;
  int32_t zero_point, low, high;
};

constexpr int64_t kTransposeBlock = 256;  ///< floats of one line that are encoded before they are transposed

/// Encodes lines of the source, then transposes the codes: rows run along the source's contiguous axis.
void encode_transposed(const CodeParams& p, uint8_t* y, const float* x, int64_t rows, int64_t n, uint8_t* scratch) {
  const Nest& nest = p.nest;
  for (int64_t r = 0; r < rows; r += kTransposeBlock) {
    const int64_t count = std::min(kTransposeBlock, rows - r);
    p.kernels->quantize(n, count, x + r, nest.n.stride[1], {scratch, count, p.code, p.low, p.high}, p.scale,
                        p.zero_point);
    p.kernels->transpose8(n, count, scratch, count, y + r * nest.rows.stride[0], nest.rows.stride[0]);
  }
}

void encode_tasks(const void* raw, const RunContext& context, int64_t first, int64_t last,
                  std::byte* scratch) noexcept {
  const auto& p = *static_cast<const CodeParams*>(raw);
  const Nest& nest = p.nest;
  std::byte* to = context.raw(p.to);
  const float* from = context.at<const float>(p.from);
  const auto bytes = static_cast<int64_t>(kernels::code_bytes(p.code));
  nest.run(first, last, [&](const auto& at, int64_t rows, int64_t n) {
    std::byte* y = to + at[0] * bytes;
    const float* x = from + at[1];
    if (nest.n.stride[0] == 1 && nest.n.stride[1] == 1) {
      p.kernels->quantize(rows, n, x, nest.rows.stride[1], {y, nest.rows.stride[0], p.code, p.low, p.high}, p.scale,
                          p.zero_point);
    } else if (bytes == 1 && nest.n.stride[0] == 1 && nest.rows.stride[1] == 1) {
      encode_transposed(p, reinterpret_cast<uint8_t*>(y), x, rows, n, reinterpret_cast<uint8_t*>(scratch));
    } else {
      for (int64_t r = 0; r < rows; ++r)
        for (int64_t i = 0; i < n; ++i)
          p.kernels->quantize(1, 1, x + r * nest.rows.stride[1] + i * nest.n.stride[1], 1,
                              {y + (r * nest.rows.stride[0] + i * nest.n.stride[0]) * bytes, 1, p.code, p.low, p.high},
                              p.scale, p.zero_point);
    }
  });
}

void decode_tasks(const void* raw, const RunContext& context, int64_t first, int64_t last, std::byte*) noexcept {
  const auto& p = *static_cast<const CodeParams*>(raw);
  const Nest& nest = p.nest;
  float* to = context.at<float>(p.to);
  const std::byte* from = context.raw(p.from);
  const auto bytes = static_cast<int64_t>(kernels::code_bytes(p.code));
  nest.run(first, last, [&](const auto& at, int64_t rows, int64_t n) {
    float* y = to + at[0];
    const std::byte* x = from + at[1] * bytes;
    if (nest.n.stride[0] == 1 && nest.n.stride[1] == 1) {
      p.kernels->dequantize(rows, n, {x, nest.rows.stride[1], p.code}, y, nest.rows.stride[0], p.scale, p.zero_point);
      return;
    }
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t i = 0; i < n; ++i)
        p.kernels->dequantize(1, 1, {x + (r * nest.rows.stride[1] + i * nest.n.stride[1]) * bytes, 1, p.code},
                              y + r * nest.rows.stride[0] + i * nest.n.stride[0], 1, p.scale, p.zero_point);
  });
}

CodeParams code_params(const View& to, const View& from, DType code, const Quantization& quantization) {
  const auto nest = make_copy_nest(to, from);
  LOWBIT_CHECK(nest.has_value());
  const LinearParams linear = quantization.linear_at(0);
  const CodeRange range = quantization.codes();
  return {*nest,     to.ref(), from.ref(), &kernels::qeltwise(), *code_of(code), linear.scale, linear.zero_point,
          range.min, range.max};
}

template <typename Params>
Draft draft_of(TaskFn run, Params params, const View& to, const View& from, double nanoseconds) {
  Draft draft;
  draft.run = run;
  draft.tasks = params.nest.tasks();
  draft.params = std::make_shared<const Params>(std::move(params));
  draft.nanoseconds = nanoseconds;
  draft.reads = {from.buffer};
  draft.writes = {to.buffer};
  draft.details.bytes = to.count() * static_cast<int64_t>(dtype_bytes(to.dtype)) +
                        from.count() * static_cast<int64_t>(dtype_bytes(from.dtype));
  return draft;
}

bool transposes(const Nest& nest) { return nest.n.stride[1] != 1 && nest.n.count > 1; }

}  // namespace

std::optional<Code> code_of(DType type) {
  switch (type) {
    case DType::uint8:
      return Code::u8;
    case DType::int8:
      return Code::s8;
    case DType::uint16:
      return Code::u16;
    case DType::int16:
      return Code::s16;
    case DType::int32:
      return Code::s32;
    case DType::float32:
      return Code::f32;
    default:
      return std::nullopt;
  }
}

Draft copy_draft(const View& from, const View& to) {
  const auto nest = make_copy_nest(to, from);
  LOWBIT_CHECK(nest.has_value() && from.dtype == to.dtype);
  TaskFn run = nullptr;
  switch (dtype_bytes(to.dtype)) {
    case 1:
      run = copy_tasks<uint8_t>;
      break;
    case 2:
      run = copy_tasks<uint16_t>;
      break;
    case 4:
      run = copy_tasks<uint32_t>;
      break;
    default:
      run = copy_tasks<uint64_t>;
  }
  const CopyParams params{*nest, to.ref(), from.ref(), &kernels::qeltwise()};
  const bool moved = transposes(*nest);
  Draft draft = draft_of(run, params, to, from, static_cast<double>(to.count()) * (moved ? 0.5 : 0.1));
  draft.details.kernel = moved ? "copy to another order of axes" : "copy";
  draft.details.integer = !is_float(to.dtype);
  return draft;
}

Draft encode_draft(const View& from, const View& to, const Quantization& quantization) {
  CodeParams params = code_params(to, from, to.dtype, quantization);
  const bool moved = transposes(params.nest);
  const int64_t lines = params.nest.n_block;
  Draft draft = draft_of(encode_tasks, params, to, from, static_cast<double>(to.count()) * 0.4);
  if (moved) draft.scratch_bytes = lines * kTransposeBlock;
  draft.details.kernel = "encode float32 -> " + to_string(quantization.format) + (moved ? ", moving axes" : "");
  draft.details.integer = true;
  return draft;
}

Draft decode_draft(const View& from, const View& to, const Quantization& quantization) {
  Draft draft = draft_of(decode_tasks, code_params(to, from, from.dtype, quantization), to, from,
                         static_cast<double>(to.count()) * 0.3);
  draft.details.kernel = "decode " + to_string(quantization.format) + " -> float32";
  draft.details.integer = true;
  return draft;
}

}  // namespace lowbit::plan
