#include "lowbit/kernels/float_layer.h"

#include <algorithm>
#include <cstring>

#include "lowbit/base/small_floats.h"
#include "lowbit/kernels/lowbit_decode.h"

namespace lowbit::kernels {
namespace {

constexpr int64_t kSegment = 640;  // products per pass: a column block of weights stays in the first-level cache
constexpr int64_t kPanelBytes = 256 * 1024;  // input of the rows that all column blocks pass over
constexpr int64_t kFewChannels = 16;         // below, rows are gathered: a tap is too short to run by itself

int64_t taps_of(const QLayerShape& shape) { return shape.kernel_h * shape.kernel_w; }
bool is_depthwise(const QLayerShape& shape) {
  return shape.groups > 1 && shape.group_in() == 1 && shape.group_out() == 1;
}
bool gathers(const QLayerShape& shape) {
  return taps_of(shape) > 1 && shape.group_in() < kFewChannels && !is_depthwise(shape);
}
int64_t group_blocks(const QLayerShape& shape) { return (shape.group_out() + kFloatColumns - 1) / kFloatColumns; }
int64_t block_elements(const QLayerShape& shape) { return taps_of(shape) * shape.group_in() * kFloatColumns; }
size_t element_bytes(FloatStorage storage) { return storage == FloatStorage::f32 ? 4 : 2; }

int64_t aligned(int64_t elements) { return (elements + 15) / 16 * 16; }

/// Input positions of an output pixel.
struct Pixel {
  int64_t image, y, x;  ///< of the first tap; may lie outside
};
Pixel pixel_at(const QLayerShape& shape, int64_t pixel) {
  const int64_t column = pixel % shape.out_width, rest = pixel / shape.out_width;
  return {rest / shape.out_height, rest % shape.out_height * shape.stride_h - shape.pad_top,
          column * shape.stride_w - shape.pad_left};
}

/// Address of a tap of a pixel, or `zeros` outside the image.
const float* tap_address(const FloatLayerCall& call, const Pixel& pixel, int64_t ky, int64_t kx, const float* zeros) {
  const QLayerShape& s = *call.shape;
  const int64_t y = pixel.y + ky * s.dilation_h, x = pixel.x + kx * s.dilation_w;
  if (y < 0 || y >= s.height || x < 0 || x >= s.width) return zeros;
  return call.input + ((pixel.image * s.height + y) * s.width + x) * call.input_stride;
}

/// Room for a decoded segment: its products begin and end inside chunks.
constexpr int64_t kDecodedElements = (kSegment + 2 * kLowbitChunk) * kFloatColumns;

/// The scratch memory: zeros for taps outside, tap addresses, gathered rows or decoded weights (no layer needs both).
struct Scratch {
  float* zeros;
  const float** rows;
  float* gathered;

  Scratch(const QLayerShape& shape, void* base) {
    zeros = static_cast<float*>(base);
    rows = reinterpret_cast<const float**>(zeros + aligned(shape.in_channels));
    gathered = reinterpret_cast<float*>(rows + aligned(taps_of(shape) * kFloatMostRows));
  }
};

void write_weight(FloatStorage storage, void* packed, int64_t at, float value) {
  if (storage == FloatStorage::f32) static_cast<float*>(packed)[at] = value;
  if (storage == FloatStorage::f16) static_cast<uint16_t*>(packed)[at] = float_to_half(value);
  if (storage == FloatStorage::bf16) static_cast<uint16_t*>(packed)[at] = float_to_bfloat16(value);
}

/// Passes over the products of a block: taps [tap, tap_end), input channels [in, in_end) of each.
struct Segment {
  int64_t tap, tap_end, in, in_end;
};
/// The segment behind `done`; false if there is none.
bool next_segment(int64_t taps, int64_t in_channels, Segment& s) {
  if (s.in_end < in_channels) {
    s.in = s.in_end;
  } else {
    s.tap = s.tap_end;
    s.in = 0;
    if (s.tap >= taps) return false;
  }
  s.in_end = std::min(in_channels, s.in + kSegment);
  const int64_t whole_taps = in_channels <= kSegment ? std::max<int64_t>(1, kSegment / in_channels) : 1;
  s.tap_end = std::min(taps, s.tap + whole_taps);
  return true;
}

class LayerRun {
 public:
  LayerRun(const FloatLayerCall& call, Isa isa)
      : call_(call), shape_(*call.shape), kernels_(*float_row(isa).kernels), scratch_(*call.shape, call.scratch) {
    for (int i = 0; i < 16 && call.lowbit && call.lowbit->matrix.table; ++i)
      levels_[i] = static_cast<float>(call.lowbit->matrix.table[i]);
    if (call.lowbit) decode_ = lowbit_kernels(isa).decoders[static_cast<size_t>(call.lowbit->matrix.coding)];
    std::memset(scratch_.zeros, 0, static_cast<size_t>(shape_.in_channels) * sizeof(float));
  }

  void depthwise() const {
    const int64_t begin = call_.channel_begin, n = call_.channel_end - begin;
    FloatDepthwise pixel = {};
    pixel.rows = scratch_.rows;
    pixel.taps = taps_of(shape_);
    pixel.n = n;
    pixel.weights = static_cast<const float*>(call_.packed) + begin;
    pixel.w_stride = shape_.out_channels;
    pixel.bias = call_.bias ? call_.bias + begin : nullptr;
    pixel.low = call_.low;
    pixel.high = call_.high;
    for (int64_t p = call_.pixel_begin; p < call_.pixel_end; ++p) {
      const Pixel at = pixel_at(shape_, p);
      for (int64_t tap = 0; tap < pixel.taps; ++tap)
        scratch_.rows[tap] =
            tap_address(call_, at, tap / shape_.kernel_w, tap % shape_.kernel_w, scratch_.zeros) + begin;
      pixel.c = call_.output + p * call_.output_stride + begin;
      kernels_.depthwise(pixel);
    }
  }

  void dense() {
    const int64_t k = taps_of(shape_) * shape_.group_in();
    const int64_t tile = kernels_.tile_rows;
    // Neighbouring pixels share most of their taps: the input of a panel is about its pixels times the input channels.
    const int64_t row_bytes = (taps_of(shape_) > 1 ? shape_.group_in() * 2 : k) * 4;
    const int64_t panel = std::max(tile, kPanelBytes / std::max<int64_t>(1, row_bytes) / tile * tile);
    for (int64_t group = call_.channel_begin / shape_.group_out(); group * shape_.group_out() < call_.channel_end;
         ++group)
      for (int64_t p = call_.pixel_begin; p < call_.pixel_end; p += panel)
        dense_panel(group, p, std::min(call_.pixel_end, p + panel));
  }

 private:
  void dense_panel(int64_t group, int64_t pixel_begin, int64_t pixel_end) {
    if (gathers(shape_)) {  // the gathered rows serve every column block: rows outside, columns inside
      for (int64_t p = pixel_begin; p < pixel_end; p += kernels_.tile_rows) {
        const int m = static_cast<int>(std::min<int64_t>(kernels_.tile_rows, pixel_end - p));
        gather(group, p, m);
        each_block(group, [&](FloatTile& tile, const char* weights) { gathered_tile(p, m, tile, weights); });
      }
      return;
    }
    each_block(group, [&](FloatTile& tile, const char* weights) {
      Segment segment = {0, 0, 0, shape_.group_in()};
      while (next_segment(taps_of(shape_), shape_.group_in(), segment)) {
        set_segment(tile, weights, segment);
        for (int64_t p = pixel_begin; p < pixel_end; p += kernels_.tile_rows) {
          const int m = static_cast<int>(std::min<int64_t>(kernels_.tile_rows, pixel_end - p));
          read_rows(group, p, m, segment);
          run_tile(tile, p, m);
        }
      }
    });
  }

  /// visit(tile with columns, bias and output column set, its weights) for the blocks of a group inside the call's
  /// range.
  template <typename Visit>
  void each_block(int64_t group, Visit visit) {
    const int64_t first = group * shape_.group_out();
    for (int64_t block = 0; block < group_blocks(shape_); ++block) {
      column_ = first + block * kFloatColumns;
      const int64_t end = std::min({column_ + kFloatColumns, first + shape_.group_out(), call_.channel_end});
      if (column_ < call_.channel_begin || column_ >= end) continue;
      FloatTile tile = {};
      tile.columns = end - column_;
      tile.bias = call_.bias ? call_.bias + column_ : nullptr;
      tile.c_stride = call_.output_stride;
      tile.low = call_.low;
      tile.high = call_.high;
      tile.rows = scratch_.rows;
      const int64_t index = group * group_blocks(shape_) + block;
      visit(tile, static_cast<const char*>(call_.packed) +
                      static_cast<size_t>(index * block_elements(shape_)) * element_bytes(call_.storage));
    }
  }

  void set_segment(FloatTile& tile, const char* weights, const Segment& s) const {
    tile.tap_stride = shape_.group_in() * kFloatColumns;
    tile.taps = s.tap_end - s.tap;
    tile.k = s.in_end - s.in;
    const int64_t begin = s.tap * shape_.group_in() + s.in;
    tile.weights = weights + static_cast<size_t>(begin * kFloatColumns) * element_bytes(call_.storage);
    if (call_.lowbit) tile.weights = decoded(begin, begin + (tile.taps - 1) * shape_.group_in() + tile.k);
    tile.first = s.tap == 0 && s.in == 0;
    tile.last = s.tap_end == taps_of(shape_) && s.in_end == shape_.group_in();
  }

  /// The products [begin, end) of the current columns as floats.
  const float* decoded(int64_t begin, int64_t end) const {
    const LowbitMatrix& w = call_.lowbit->matrix;
    const int64_t block = column_ / kLowbitRows, first_chunk = begin / kLowbitChunk,
                  last_chunk = (end + kLowbitChunk - 1) / kLowbitChunk, bytes = 64 * lowbit_bits(w.coding);
    const int64_t group_chunks = w.groups() == 1 ? w.chunks() : w.group / kLowbitChunk;
    float* out = scratch_.gathered;
    for (int64_t chunk = first_chunk; chunk < last_chunk;) {
      const int64_t group = chunk / group_chunks, end_chunk = std::min(last_chunk, (group + 1) * group_chunks);
      const int64_t parameters = (block * w.groups() + group) * kLowbitRows;
      LowbitDecode piece = {};
      piece.codes = w.codes + (block * w.chunks() + chunk) * bytes;
      piece.chunks = end_chunk - chunk;
      piece.scales = w.scales + parameters;
      piece.zeros = w.zeros ? w.zeros + parameters : nullptr;
      piece.zero = w.zero;
      piece.step = w.step;
      piece.levels = levels();
      piece.out = out + (chunk - first_chunk) * kLowbitChunk * kLowbitRows;
      decode_(piece);
      chunk = end_chunk;
    }
    return out + (begin - first_chunk * kLowbitChunk) * kLowbitRows;
  }

  const float* levels() const {
    if (call_.lowbit->real_levels) return call_.lowbit->real_levels;
    return call_.lowbit->matrix.table ? levels_ : nullptr;
  }

  void read_rows(int64_t group, int64_t pixel, int m, const Segment& s) {
    for (int i = 0; i < m; ++i) {
      const Pixel at = pixel_at(shape_, pixel + i);
      for (int64_t tap = s.tap; tap < s.tap_end; ++tap)
        scratch_.rows[(tap - s.tap) * m + i] =
            tap_address(call_, at, tap / shape_.kernel_w, tap % shape_.kernel_w, scratch_.zeros) +
            group * shape_.group_in() + s.in;
    }
  }

  void gather(int64_t group, int64_t pixel, int m) {
    const int64_t in = shape_.group_in();
    float* to = scratch_.gathered;
    for (int i = 0; i < m; ++i) {
      const Pixel at = pixel_at(shape_, pixel + i);
      for (int64_t ky = 0; ky < shape_.kernel_h; ++ky)
        for (int64_t kx = 0; kx < shape_.kernel_w; ++kx, to += in) {
          const float* from = tap_address(call_, at, ky, kx, scratch_.zeros) + group * in;
          for (int64_t c = 0; c < in; ++c) to[c] = from[c];
        }
    }
  }

  void gathered_tile(int64_t pixel, int m, FloatTile& tile, const char* weights) {
    const int64_t k = taps_of(shape_) * shape_.group_in();
    Segment segment = {0, 0, 0, k};
    while (next_segment(1, k, segment)) {
      tile.taps = 1;
      tile.k = segment.in_end - segment.in;
      tile.weights = weights + static_cast<size_t>(segment.in * kFloatColumns) * element_bytes(call_.storage);
      tile.first = segment.in == 0;
      tile.last = segment.in_end == k;
      for (int i = 0; i < m; ++i) scratch_.rows[i] = scratch_.gathered + i * k + segment.in;
      run_tile(tile, pixel, m);
    }
  }

  void run_tile(FloatTile& tile, int64_t pixel, int m) const {
    tile.c = call_.output + pixel * call_.output_stride + column_;
    kernels_.tiles[static_cast<size_t>(call_.storage)](tile, m);
  }

  const FloatLayerCall& call_;
  const QLayerShape& shape_;
  const FloatKernels& kernels_;
  Scratch scratch_;
  LowbitDecodeFn decode_ = nullptr;
  float levels_[16];
  int64_t column_ = 0;
};

}  // namespace

bool float_layer_decodes(const QLayerShape& shape) { return shape.groups == 1 && !gathers(shape); }

size_t float_layer_packed_bytes(const QLayerShape& shape, FloatStorage storage) {
  if (is_depthwise(shape)) return static_cast<size_t>(taps_of(shape) * shape.out_channels) * sizeof(float);
  return static_cast<size_t>(shape.groups * group_blocks(shape) * block_elements(shape)) * element_bytes(storage);
}

void float_layer_pack(const QLayerShape& shape, const FloatWeights& weights, FloatStorage storage, void* packed) {
  const int64_t in = shape.group_in(), out = shape.group_out();
  std::memset(packed, 0, float_layer_packed_bytes(shape, storage));
  for (int64_t o = 0; o < shape.out_channels; ++o) {
    const int64_t block = o / out * group_blocks(shape) + o % out / kFloatColumns;
    for (int64_t tap = 0; tap < taps_of(shape); ++tap)
      for (int64_t i = 0; i < in; ++i) {
        const float value =
            weights.values[o * weights.stride_out + i * weights.stride_in + tap / shape.kernel_w * weights.stride_y +
                           tap % shape.kernel_w * weights.stride_x];
        if (is_depthwise(shape)) {
          static_cast<float*>(packed)[tap * shape.out_channels + o] = value;
        } else {
          write_weight(storage, packed,
                       block * block_elements(shape) + (tap * in + i) * kFloatColumns + o % out % kFloatColumns, value);
        }
      }
  }
}

size_t float_layer_scratch_bytes(const QLayerShape& shape) {
  const int64_t gathered = gathers(shape)               ? taps_of(shape) * shape.group_in() * kFloatMostRows
                           : float_layer_decodes(shape) ? kDecodedElements
                                                        : 0;
  return static_cast<size_t>(aligned(shape.in_channels) + aligned(gathered)) * sizeof(float) +
         static_cast<size_t>(aligned(taps_of(shape) * kFloatMostRows)) * sizeof(float*);
}

void run_float_layer(const FloatLayerCall& call, Isa isa) noexcept {
  LayerRun run(call, isa);
  if (is_depthwise(*call.shape)) {
    run.depthwise();
  } else {
    run.dense();
  }
}

}  // namespace lowbit::kernels
