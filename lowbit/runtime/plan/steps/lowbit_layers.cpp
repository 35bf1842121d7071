// Conv, Gemm and MatMul by the low-bit products: weights stay packed in their few bits and are decoded in registers.
// docs/runtime.md says when they are taken instead of the 8-bit layers.
#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include "lowbit/core/weights.h"
#include "lowbit/kernels/lowbit_rows.h"
#include "lowbit/runtime/dynamic_input.h"
#include "lowbit/runtime/plan/convert.h"
#include "lowbit/runtime/plan/lowbit_blob.h"
#include "lowbit/runtime/plan/steps/dynamic_codes.h"
#include "lowbit/runtime/plan/steps/layer_node.h"
#include "lowbit/runtime/plan/steps/steps.h"

namespace lowbit::plan {
namespace {

using kernels::Code;
using kernels::kLowbitRows;

/// What becomes of a sum.
enum class Finish : uint8_t {
  codes,    ///< 8-bit codes, static parameters
  exact,    ///< float32(double(acc) * scale), static parameters
  dynamic,  ///< fl32(acc) * (s_x * s_w) + b
  groups,   ///< scales change along k: float32, by the product itself
};

/// Vectors by channel, each padded to whole blocks: which there are follows from the finish.
struct Vectors {
  const int32_t *bias = nullptr, *level_sums = nullptr;                 ///< codes, exact; dynamic
  const float *factors = nullptr, *scales = nullptr, *shift = nullptr;  ///< codes; dynamic; dynamic, groups
  const double* wide_scales = nullptr;                                  ///< exact
};

struct LowbitParams {
  kernels::LowbitMatrix w;
  kernels::QLayerShape shape;
  Finish finish;
  Ref input, output, packed, vectors;  ///< packed and vectors: only for their lifetime
  Vectors v;
  bool has_shift, has_zero;  ///< a zero point may differ from 0
  int64_t input_stride, output_stride;
  uint8_t flip;
  int32_t zero;       ///< of the int8 codes, static parameters
  float input_scale;  ///< static parameters
  bool dynamic, by_row;
  Ref scales, zeros;  ///< dynamic
  int32_t zero_point, low, high;
  int64_t panel;                   ///< pixels that are gathered at a time
  int64_t pixel_step, block_step;  ///< of a task; one of them covers everything
  kernels::Isa isa;
};

int64_t rounded(int64_t bytes) { return (bytes + 63) / 64 * 64; }

/// The scratch memory of a chunk.
struct Scratch {
  int8_t* rows;
  int32_t *row_sums, *sums, *zeros;
  float* scales;
  int64_t bytes;

  Scratch(const LowbitParams& p, std::byte* base) : bytes(0) {
    take(base, rows, p.panel * p.w.padded_k());
    take(base, row_sums, p.panel * p.w.groups());
    take(base, zeros, p.panel);
    take(base, scales, p.panel);
    const bool keeps_sums = p.finish == Finish::exact || p.finish == Finish::dynamic;
    take(base, sums, keeps_sums ? p.panel * p.w.blocks() * kLowbitRows : 0);
  }

 private:
  template <typename T>
  void take(std::byte* base, T*& part, int64_t count) {
    part = base ? reinterpret_cast<T*>(base + bytes) : nullptr;
    bytes += rounded(count * static_cast<int64_t>(sizeof(T)));
  }
};

/// Part of a step: panels of pixels times a range of row blocks.
class Slice {
 public:
  Slice(const LowbitParams& p, const RunContext& context, std::byte* scratch)
      : p_(p), context_(context), scratch_(p, scratch) {}

  void run(int64_t pixel_begin, int64_t pixel_end, int64_t first_block, int64_t last_block) {
    for (int64_t begin = pixel_begin; begin < pixel_end; begin += p_.panel)
      run_panel(begin, std::min(pixel_end, begin + p_.panel), first_block, last_block);
  }

 private:
  int32_t zero_at(int64_t pixel) const {
    return p_.dynamic ? context_.at<const int32_t>(p_.zeros)[p_.by_row ? pixel : 0] : p_.zero;
  }
  float scale_at(int64_t pixel) const {
    return p_.dynamic ? context_.at<const float>(p_.scales)[p_.by_row ? pixel : 0] : p_.input_scale;
  }

  kernels::LowbitActivations gather(int64_t begin, int64_t end) {
    const kernels::LowbitGather g{&p_.shape, context_.at<const uint8_t>(p_.input), p_.input_stride,
                                  p_.flip,   static_cast<int8_t>(zero_at(begin)),  p_.w.padded_k()};
    kernels::LowbitActivations x;
    x.m = end - begin;
    if (kernels::lowbit_rows_lie_ready(g)) {
      x.codes = reinterpret_cast<const int8_t*>(g.input) + begin * p_.input_stride;
      x.stride = p_.input_stride;
    } else {
      kernels::lowbit_gather_rows(g, begin, end, scratch_.rows);
      x.codes = scratch_.rows;
      x.stride = g.padded_k;
    }
    kernels::lowbit_sum_rows(p_.w, x.codes, x.stride, x.m, scratch_.row_sums);
    x.sums = scratch_.row_sums;
    return x;
  }

  void run_panel(int64_t begin, int64_t end, int64_t first_block, int64_t last_block) {
    kernels::LowbitActivations x = gather(begin, end);
    kernels::LowbitResult result;
    result.stride = p_.output_stride;
    switch (p_.finish) {
      case Finish::codes:
        result.codes = context_.at<uint8_t>(p_.output) + begin * p_.output_stride;
        result.integer_bias = p_.v.bias;
        result.factors = p_.v.factors;
        result.zero_point = p_.zero_point;
        result.low = p_.low;
        result.high = p_.high;
        break;
      case Finish::groups:
        result.values = context_.at<float>(p_.output) + begin * p_.output_stride;
        result.bias = p_.has_shift ? p_.v.shift : nullptr;
        for (int64_t i = 0; i < x.m; ++i) {
          scratch_.scales[i] = scale_at(begin + i);
          scratch_.zeros[i] = zero_at(begin + i);
        }
        x.scales = scratch_.scales;
        if (p_.has_zero) x.zeros = scratch_.zeros;
        break;
      default:
        result.sums = scratch_.sums;
        result.integer_bias = p_.v.bias;
        result.stride = p_.w.blocks() * kLowbitRows;
    }
    kernels::lowbit_product(p_.w, x, first_block, last_block, result, p_.isa);
    if (p_.finish != Finish::exact && p_.finish != Finish::dynamic) return;
    for (int64_t i = 0; i < x.m; ++i)
      for (int64_t block = first_block; block < last_block; ++block) finish_block(begin + i, i, block * kLowbitRows);
  }

  /// Sixteen channels at a time, so that the loops become vectors.
  void finish_block(int64_t pixel, int64_t row, int64_t channel) const {
    const int32_t* sums = scratch_.sums + row * p_.w.blocks() * kLowbitRows + channel;
    float y[kLowbitRows];
    if (p_.finish == Finish::exact) {
      const double* scales = p_.v.wide_scales + channel;
      for (int c = 0; c < kLowbitRows; ++c) y[c] = static_cast<float>(static_cast<double>(sums[c]) * scales[c]);
    } else {
      const float scale = scale_at(pixel), *scales = p_.v.scales + channel, *shift = p_.v.shift + channel;
      const auto zero = static_cast<uint32_t>(zero_at(pixel));
      const int32_t* level_sums = p_.v.level_sums + channel;
      for (int c = 0; c < kLowbitRows; ++c) {
        const uint32_t acc = static_cast<uint32_t>(sums[c]) - zero * static_cast<uint32_t>(level_sums[c]);
        y[c] = static_cast<float>(static_cast<int32_t>(acc)) * (scale * scales[c]);
      }
      for (int c = 0; c < kLowbitRows && p_.has_shift; ++c) y[c] += shift[c];
    }
    float* to = context_.at<float>(p_.output) + pixel * p_.output_stride + channel;
    std::copy_n(y, std::min<int64_t>(kLowbitRows, p_.w.n - channel), to);
  }

  const LowbitParams& p_;
  const RunContext& context_;
  Scratch scratch_;
};

void run_lowbit(const void* raw, const RunContext& context, int64_t first, int64_t last, std::byte* scratch) noexcept {
  const auto& p = *static_cast<const LowbitParams*>(raw);
  const int64_t pixels = p.shape.pixels(), blocks = p.w.blocks();
  Slice slice(p, context, scratch);
  if (p.block_step >= blocks)
    slice.run(first * p.pixel_step, std::min(last * p.pixel_step, pixels), 0, blocks);
  else
    slice.run(0, pixels, first * p.block_step, std::min(last * p.block_step, blocks));
}

/// Fills vectors that lie one behind the other, or finds them.
class VectorPlaces {
 public:
  VectorPlaces(Finish finish, int64_t channels, std::byte* base) : base_(base), padded_(rounded(channels)) {
    if (finish == Finish::codes || finish == Finish::exact) take(v.bias);
    if (finish == Finish::codes) take(v.factors);
    if (finish == Finish::exact) take(v.wide_scales);
    if (finish == Finish::dynamic) {
      take(v.level_sums);
      take(v.scales);
    }
    if (finish == Finish::dynamic || finish == Finish::groups) take(v.shift);
  }
  Vectors v;
  size_t bytes = 0;

 private:
  template <typename T>
  void take(const T*& part) {
    part = base_ ? reinterpret_cast<const T*>(base_ + bytes) : nullptr;
    bytes += static_cast<size_t>(padded_) * sizeof(T);
  }
  std::byte* base_;
  int64_t padded_;
};

template <typename T, typename From>
void write(const T* to, const std::vector<From>& values) {
  std::copy(values.begin(), values.end(), const_cast<T*>(to));
}

/// A layer while its step is made.
struct Maker {
  Builder& builder;
  LayerNode& l;
  LowbitParams p{};
  std::optional<Blob> packed, vectors;

  const Node& node() const { return builder.node(l.node); }
  const Quantization* annotation(size_t input) const {
    const auto& q = builder.graph().value(node().inputs[input]).quantization;
    return q ? &*q : nullptr;
  }
  LowbitForm form() const {
    const bool grouped = p.finish == Finish::groups;
    return {l.shape.out_channels, l.shape.group_in() * l.shape.kernel_h * l.shape.kernel_w, grouped, grouped, false};
  }
  std::string key() const { return fmt::format("{}/lowbit/{}", node().name, static_cast<int>(p.finish)); }

  bool find();
  bool pack(std::string& why);
  bool fill_vectors(const LevelMatrix& matrix, std::string& why);
};

bool Maker::find() {
  packed = builder.weights().find(key());
  vectors = builder.weights().find(key() + "/vectors");
  return packed && vectors && vectors->size == VectorPlaces(p.finish, l.shape.out_channels, nullptr).bytes &&
         open_lowbit(*packed, form());
}

/// Float bias of each channel; empty without one.
std::vector<float> bias_values(const Builder& builder, const LayerNode& l) {
  if (l.bias == kNone) return {};
  const Tensor values = to_float32(unrounded_values(builder.graph().value(l.bias)));
  std::vector<float> bias(values.values<float>().begin(), values.values<float>().end());
  if (bias.size() == 1) bias.resize(static_cast<size_t>(l.shape.out_channels), bias[0]);
  return bias;
}

std::vector<int64_t> level_sums(const LevelMatrix& matrix) {
  std::vector<int64_t> sums;
  for (int64_t row = 0; row < matrix.rows; ++row) {
    int64_t sum = 0;
    for (int64_t i = 0; i < matrix.k; ++i) sum += matrix.levels[static_cast<size_t>(row * matrix.k + i)];
    if (!matrix.zeros.empty()) sum -= matrix.k * matrix.zeros[static_cast<size_t>(row)];
    sums.push_back(sum);
  }
  return sums;
}

bool Maker::fill_vectors(const LevelMatrix& matrix, std::string& why) {
  VectorPlaces sizes(p.finish, l.shape.out_channels, nullptr);
  const std::shared_ptr<std::byte> bytes = allocate_aligned(sizes.bytes);
  const Vectors v = VectorPlaces(p.finish, l.shape.out_channels, bytes.get()).v;
  if (p.finish == Finish::codes || p.finish == Finish::exact) {
    const auto layer = make_integer_layer(builder.context(), node(), l.bias, l.order, l.activation, why);
    if (!layer) return false;
    if (layer->needs_64_bits()) return why = "its accumulators need 64 bits", false;
    const std::vector<int64_t> sums = level_sums(matrix);
    std::vector<int32_t> bias;
    for (size_t c = 0; c < sums.size(); ++c) {
      const int64_t folded = (layer->bias.empty() ? 0 : layer->bias[c]) - p.zero * sums[c];
      if (folded != static_cast<int32_t>(folded)) return why = "a bias with its zero point needs 64 bits", false;
      bias.push_back(static_cast<int32_t>(folded));
    }
    write(v.bias, bias);
    if (p.finish == Finish::codes) write(v.factors, layer->factors);
    if (p.finish == Finish::exact) write(v.wide_scales, layer->scales);
  } else {
    write(v.shift, bias_values(builder, l));
  }
  if (p.finish == Finish::dynamic) {
    auto layer = make_weight_layer(builder.context(), node(), l.order, dynamic_span(*annotation(0)), why);
    if (!layer) return false;
    prove_accumulator(*layer);
    if (layer->needs_64_bits()) return why = "its accumulators need 64 bits", false;
    write(v.level_sums, level_sums(matrix));
    write(v.scales, layer->weight_scales);
  }
  vectors = Blob{bytes, sizes.bytes};
  return true;
}

bool Maker::pack(std::string& why) {
  builder.require_elements(node().input(1));
  const auto matrix = level_matrix(builder.graph().value(node().inputs[1]), l.order, why);
  if (!matrix) return false;
  if (matrix->rows != form().n || matrix->k != form().k) return why = "its weights do not fit its channels", false;
  std::vector<int64_t> rows(static_cast<size_t>(matrix->rows));
  for (size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<int64_t>(i);
  packed = make_lowbit(*matrix, rows, form(), why);
  if (!packed || !fill_vectors(*matrix, why)) return false;
  builder.weights().put(key(), *packed, builder.own_constant(node().input(1)));
  builder.weights().put(key() + "/vectors", *vectors);
  return true;
}

/// Tasks: panels of pixels, or blocks of rows where there are few pixels.
void split(LowbitParams& p, int threads, int64_t& tasks) {
  constexpr int64_t kPanelBytes = 64 * 1024, kMostPanel = 64, kBlocks = 4;
  const int64_t pixels = p.shape.pixels(), blocks = p.w.blocks();
  const int64_t row_bytes =
      p.w.padded_k() + (p.finish == Finish::codes || p.finish == Finish::groups ? 0 : blocks * 64);
  p.panel = std::clamp<int64_t>(kPanelBytes / row_bytes / 4 * 4, 4, kMostPanel);
  const int64_t pixel_tasks = (pixels + p.panel - 1) / p.panel, block_tasks = (blocks + kBlocks - 1) / kBlocks;
  const bool by_pixels = pixel_tasks >= block_tasks || pixel_tasks >= 4 * threads;
  p.pixel_step = by_pixels ? p.panel : pixels;
  p.block_step = by_pixels ? blocks : kBlocks;
  tasks = by_pixels ? pixel_tasks : block_tasks;
}

/// Multiply-adds of the kernels in a nanosecond, to decide over how many threads a step is spread.
constexpr double kSpeed = 80;

bool emit_lowbit(Maker& made, std::string& why) {
  Builder& builder = made.builder;
  LayerNode& l = made.l;
  LowbitParams& p = made.p;
  if (!made.find() && !made.pack(why)) return false;
  p.w = open_lowbit(*made.packed, made.form())->matrix;
  p.shape = l.shape;
  p.v = VectorPlaces(p.finish, l.shape.out_channels, const_cast<std::byte*>(made.vectors->bytes.get())).v;
  p.has_shift = l.bias != kNone;
  p.has_zero = p.dynamic ? made.annotation(0)->format.asymmetric : p.zero != 0;
  p.isa = kernels::active_isa();
  Draft draft;
  View in;
  if (p.dynamic) {
    const DynamicView codes = dynamic_codes(builder, l.node, l.x, l.memory);
    in = codes.codes;
    p.scales = codes.scales;
    p.zeros = codes.zeros;
    p.by_row = codes.by_row;
    draft.reads = {p.scales.buffer, p.zeros.buffer};
  } else {
    in = builder.operand(l.x, l.memory);
  }
  const bool fused = p.finish == Finish::codes && l.activation.node >= 0;
  const ValueId result = fused ? l.activation.output : builder.node(l.node).outputs[0];
  const View out = p.finish == Finish::groups ? builder.real_result(result, l.output_dims, l.memory)
                                              : builder.result(result, DType::float32, l.output_dims, l.memory);
  p.input = in.ref();
  p.output = out.ref();
  p.packed = builder.constant(made.packed->bytes, made.packed->bytes.get(), static_cast<int64_t>(made.packed->size));
  p.vectors =
      builder.constant(made.vectors->bytes, made.vectors->bytes.get(), static_cast<int64_t>(made.vectors->size));
  p.input_stride = l.stride_of(in);
  p.output_stride = l.stride_of(out);
  split(p, builder.options().threads, draft.tasks);
  draft.run = run_lowbit;
  draft.details.macs = macs_of(l.shape);
  draft.nanoseconds = static_cast<double>(draft.details.macs) / kSpeed + static_cast<double>(made.packed->size) * 0.05;
  draft.scratch_bytes = Scratch(p, nullptr).bytes;
  draft.reads.insert(draft.reads.end(), {in.buffer, p.packed.buffer, p.vectors.buffer});
  draft.writes = {out.buffer};
  draft.details.integer = true;
  draft.details.bytes =
      static_cast<int64_t>(made.packed->size) + in.count() + out.count() * static_cast<int64_t>(dtype_bytes(out.dtype));
  draft.details.kernel = fmt::format("{} {}{} x {} ({} bits stored) -> {}", l.kind, p.dynamic ? "dynamic " : "",
                                     to_string(made.annotation(0)->format), to_string(made.annotation(1)->format),
                                     kernels::lowbit_bits(p.w.coding), p.finish == Finish::codes ? "codes" : "float32");
  draft.details.nodes = {l.node};
  if (fused) l.fused.push_back(l.activation.node);
  draft.details.nodes.insert(draft.details.nodes.end(), l.fused.begin(), l.fused.end());
  for (const int32_t n : l.fused) builder.cover(n);
  draft.params = std::make_shared<const LowbitParams>(p);
  builder.emit(l.node, std::move(draft));
  if (p.finish == Finish::groups) builder.finish_real(result);
  return true;
}

/// Static codes: parameters into p. False with the reason.
bool read_static(Maker& made, bool grouped, std::string& why) {
  LowbitParams& p = made.p;
  const LowerContext& context = made.builder.context();
  const Quantization* x = context.per_tensor(made.node().input(0));
  if (!x) return why = "its input stays float", false;
  const auto code = code_of(code_dtype(*x));
  if (!code || kernels::code_bytes(*code) != 1) return why = "its input codes are wider than 8 bits", false;
  p.flip = *code == Code::u8 ? 0x80 : 0;
  p.zero = x->linear_at(0).zero_point - (p.flip ? 128 : 0);
  p.input_scale = x->linear_at(0).scale;
  if (grouped) return p.finish = Finish::groups, true;
  const Quantization* y = context.per_tensor(made.l.activation.output);
  if (!y && (made.builder.graph().value(made.l.activation.output).quantization || made.l.activation.node >= 0))
    return why = "its result has no per-tensor linear codes", false;
  p.finish = y ? Finish::codes : Finish::exact;
  if (!y) return true;
  const auto output = code_of(code_dtype(*y));
  if (!output || kernels::code_bytes(*output) != 1) return why = "its result codes are wider than 8 bits", false;
  const OutputCodes codes = output_codes(*y, made.l.activation);
  p.zero_point = codes.zero_point;
  p.low = codes.low;
  p.high = codes.high;
  return true;
}

/// Whether a dynamic layer can be run so.
bool read_dynamic(Maker& made, bool grouped, std::string& why) {
  const Quantization& x = *made.annotation(0);
  const bool conv = made.node().is("Conv");
  if (!x.linear() || x.format.bits != 8) return why = "its input is of no 8-bit linear system", false;
  if (made.builder.graph().value(made.node().outputs[0]).quantization) return why = "its result is quantized", false;
  if (conv && x.granularity.kind != Granularity::Kind::tensor)
    return why = "a convolution's input has no rows to quantize by", false;
  if (made.builder.known(made.node().inputs[0])) return why = "its input is constant", false;
  made.p.dynamic = true;
  made.p.finish = grouped ? Finish::groups : Finish::dynamic;
  return true;
}

/// Few bits are worth it where a block of rows and a chunk of k are filled. 8-bit weights have layers of their own,
/// which are faster but for a single row of activations without VNNI: there the products end in lanes and are not
/// shuffled.
bool worth_it(const Quantization& weight, const LayerNode& l, std::string& why) {
  constexpr int64_t kLeastK = 32, kLeastChannels = 8;
  const bool vector = l.shape.pixels() == 1 && kernels::active_isa() == kernels::Isa::avx2;
  if (weight.codes().count() > (vector ? 256 : 16)) return why = "its weights have more than 16 levels", false;
  if (l.shape.in_channels * l.shape.kernel_h * l.shape.kernel_w < kLeastK || l.shape.out_channels < kLeastChannels)
    return why = "it is too small for low-bit blocks", false;
  return true;
}

bool make_lowbit_layer(Builder& builder, std::optional<LayerNode> layer, bool grouped, std::string& why) {
  if (!layer) return false;
  if (layer->shape.groups != 1) return why = "it is grouped", false;
  Maker made{builder, *layer, {}, {}, {}};
  const Quantization* w = made.annotation(1);
  if (!w || w->dynamic || w->format.vector_size > 1) return why = "its weights have no annotation", false;
  const Tensor* bias = builder.graph().constant(layer->bias);
  if (layer->bias != kNone && (!bias || (bias->count() != 1 && bias->count() != layer->shape.out_channels)))
    return why = "its bias is not constant, or not one per channel", false;
  const Quantization* x = made.annotation(0);
  const bool dynamic = x && x->dynamic;
  if (!dynamic && !grouped && !worth_it(*w, *layer, why)) return false;
  if (!(dynamic ? read_dynamic(made, grouped, why) : read_static(made, grouped, why))) return false;
  if (builder.node(layer->node).is("Conv")) {
    // The kernels' rows are [kernel row][kernel column][channel].
    const size_t rank = layer->order.perm.size();
    layer->order.perm = rank == 4 ? std::vector<int64_t>{0, 2, 3, 1} : std::vector<int64_t>{0, 2, 1};
  }
  return emit_lowbit(made, why);
}

}  // namespace

bool make_lowbit_conv(Builder& builder, int32_t n, std::string& why) {
  return make_lowbit_layer(builder, conv_layer(builder, n, why), false, why);
}
bool make_lowbit_matrix(Builder& builder, int32_t n, std::string& why) {
  return make_lowbit_layer(builder, matrix_layer(builder, n, why), false, why);
}
bool make_grouped_conv(Builder& builder, int32_t n, std::string& why) {
  return make_lowbit_layer(builder, conv_layer(builder, n, why), true, why);
}
bool make_grouped_matrix(Builder& builder, int32_t n, std::string& why) {
  return make_lowbit_layer(builder, matrix_layer(builder, n, why), true, why);
}

}  // namespace lowbit::plan
