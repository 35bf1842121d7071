// qlayer_tiles.h: convolution and matrix product by register tiles, written once over the vector operations `P` of an
// instruction set (see avx2/qlayer.cpp for what P is). Inside the room only; everything is static.
//
// The patches of a chunk of pixels are gathered into rows [pixel][depth] (depth = kernel_h * kernel_w * channels of the
// group, in this order, rounded up to P::kGroup), or read where they lie if they already are such rows. A tile is R
// rows times V vectors of channels; its sums stay in registers over the whole depth and are finished from there.
//
// Packed weights: for each group of channels, blocks of V vectors (V = P::kMaxVectors, then smaller powers of two for
// the rest), each block [depth / kGroup][V][kLanes][kGroup], channels in the order of channel_of_lane(). Biases and
// factors lie in the same order.
#pragma once

#include "lowbit/kernels/qlayer_finish.h"
#include "lowbit/kernels/qlayer_packed.h"

namespace lowbit::kernels {
namespace {

template <typename P>
[[gnu::always_inline]] inline int64_t depth_of(const QLayerShape& s) {
  return round_up(s.kernel_h * s.kernel_w * s.group_in(), P::kGroup);
}

/// Channels of a group with those added to fill the last vector.
template <typename P>
[[gnu::always_inline]] inline int64_t padded_group(const QLayerShape& s) {
  return round_up(s.group_out(), P::kLanes);
}

/// Vectors of the block that begins at channel c of a group of `padded` channels.
template <typename P>
[[gnu::always_inline]] inline int block_vectors(int64_t padded, int64_t c) {
  const int64_t left = (padded - c) / P::kLanes;
  return left >= P::kMaxVectors ? P::kMaxVectors : left >= 2 ? 2 : 1;
}

template <typename P>
size_t tiles_packed_bytes(const QLayerShape& s, Code output) {
  const int64_t channels = s.groups * padded_group<P>(s);
  return lay_out(channels, output, static_cast<size_t>(channels * depth_of<P>(s)), nullptr);
}

template <typename P>
bool tiles_packed_fits(const QLayerShape& s, Code output, const void* packed) {
  return is_laid_out(s.groups * padded_group<P>(s), output, packed);
}

template <typename P>
void tiles_pack(const QLayerShape& s, const QLayerWeights& w, Code output, void* packed) {
  auto* header = static_cast<QPackedHeader*>(packed);
  char* base = static_cast<char*>(packed);
  const int64_t padded = padded_group<P>(s), depth = depth_of<P>(s), channels = s.groups * padded;
  __builtin_memset(packed, 0, tiles_packed_bytes<P>(s, output));
  lay_out(channels, output, 0, header);
  header->zero_point = w.zero_point_in;
  header->input = w.input;
  header->factors_small = 1;
  auto* bias = reinterpret_cast<int32_t*>(base + header->bias_offset);
  auto* factors = reinterpret_cast<float*>(base + header->factor_offset);
  auto* scales = reinterpret_cast<double*>(base + header->factor_offset);
  auto* codes = reinterpret_cast<int8_t*>(base + header->weight_offset);
  for (int64_t g = 0; g < s.groups; ++g)
    for (int64_t c = 0, vectors; c < padded; c += vectors * P::kLanes) {
      vectors = block_vectors<P>(padded, c);
      const int64_t width = vectors * P::kLanes, first = g * padded + c;
      for (int64_t lane = 0; lane < width; ++lane) {
        const int64_t channel = c + channel_of_lane(static_cast<int>(vectors), static_cast<int>(lane / P::kLanes),
                                                    static_cast<int>(lane % P::kLanes));
        if (channel >= s.group_out()) continue;
        const int64_t o = g * s.group_out() + channel;
        if (w.scales) scales[first + lane] = w.scales[o];
        if (w.factors) factors[first + lane] = w.factors[o];
        if (!fold_channel<P>(s, w, o, &bias[first + lane], w.factors ? w.factors[o] : 0.0f)) header->factors_small = 0;
        int8_t* column = codes + first * depth + lane * P::kGroup;
        for_each_weight(s, w, o, [&](int64_t at, int8_t code) {
          column[at / P::kGroup * P::kGroup * width + at % P::kGroup] = code;
        });
      }
    }
}

/// Most pixels of a chunk: its gathered rows stay in the cache while the weights pass by.
template <typename P>
[[gnu::always_inline]] inline int64_t chunk_rows(const QLayerShape& s) {
  const bool one_block = padded_group<P>(s) <= P::kMaxVectors * P::kLanes;
  const int64_t row = depth_of<P>(s) * static_cast<int64_t>(sizeof(typename P::Element));
  const int64_t rows = (one_block ? 12 : 160) * 1024 / row / P::kPixelGrain * P::kPixelGrain;
  return smaller(larger(rows, P::kPixelGrain), 64 * P::kPixelGrain);
}

template <typename P>
size_t tiles_scratch_bytes(const QLayerShape& s) {
  const int64_t row = depth_of<P>(s) * static_cast<int64_t>(sizeof(typename P::Element));
  return static_cast<size_t>(round_up(chunk_rows<P>(s) * row, kAlignment)) + 4 * kAlignment;
}

template <typename P>
QLayerGrain tiles_grain(const QLayerShape& s) {
  if (s.groups > 1) return {P::kPixelGrain, s.group_out()};
  return {P::kPixelGrain, P::kMaxVectors * P::kLanes};
}

/// The patch of a pixel is that pixel: one tap, whole pixels in order.
[[gnu::always_inline]] inline bool lies_in_order(const QLayerShape& s) {
  return s.kernel_h == 1 && s.kernel_w == 1 && s.stride_h == 1 && s.stride_w == 1 && s.pad_top == 0 &&
         s.pad_left == 0 && s.out_height == s.height && s.out_width == s.width;
}

/// Copies the patches of pixels [first, first + rows), channels of group g, to rows of the scratch.
template <typename P>
void gather(const QLayerCall& call, const QPackedHeader& header, int64_t g, int64_t first, int64_t rows,
            typename P::Element* to) {
  const QLayerShape& s = *call.shape;
  const int64_t n = s.group_in(), depth = depth_of<P>(s), stride = call.input_stride;
  const auto mode = P::copy_mode(header.input);
  const auto* x = static_cast<const uint8_t*>(call.input) + g * n;
  const auto pad = static_cast<typename P::Element>(header.zero_point + input_shift<P>(header.input));
  int64_t column = first % s.out_width, row = first / s.out_width % s.out_height,
          image = first / (s.out_width * s.out_height);
  if (lies_in_order(s) && stride == n && depth == n) {  // all rows are one
    P::copy(to, x + first * n, rows * n, mode);
    return;
  }
  const bool run_of_row = s.dilation_w == 1 && stride == n;  // the taps of a kernel row lie side by side
  for (int64_t r = 0; r < rows; ++r, to += depth) {
    typename P::Element* out = to;
    const int64_t left = column * s.stride_w - s.pad_left;
    const bool inside = left >= 0 && left + (s.kernel_w - 1) * s.dilation_w < s.width;
    for (int64_t ky = 0; ky < s.kernel_h; ++ky) {
      const int64_t y = row * s.stride_h - s.pad_top + ky * s.dilation_h;
      const uint8_t* from = x + ((image * s.height + y) * s.width + left) * stride;
      if (y < 0 || y >= s.height) {
        for (int64_t i = 0; i < s.kernel_w * n; ++i) out[i] = pad;
        out += s.kernel_w * n;
      } else if (inside && run_of_row) {
        P::copy(out, from, s.kernel_w * n, mode);
        out += s.kernel_w * n;
      } else {
        for (int64_t kx = 0; kx < s.kernel_w; ++kx, out += n) {
          const int64_t at = left + kx * s.dilation_w;
          if (at >= 0 && at < s.width)
            P::copy(out, from + kx * s.dilation_w * stride, n, mode);
          else
            for (int64_t i = 0; i < n; ++i) out[i] = pad;
        }
      }
    }
    if (++column == s.out_width) {
      column = 0;
      if (++row == s.out_height) row = 0, ++image;
    }
  }
}

/// Rows of a chunk times one block of channels, and where the result goes.
template <typename P>
struct Block {
  const typename P::Element* a;
  int64_t a_stride, groups_of_depth;
  const int8_t* weights;
  const int32_t* bias;
  char* y;
  int64_t y_stride;  ///< bytes
  const uint8_t* other;
  Finish finish;
};

/// Sums of kRows rows -> bytes, four vectors at a time.
template <typename P, int V, int kRows>
[[gnu::always_inline]] inline void finish_tile(const Block<P>& b, int64_t first, const typename P::Ints* sums) {
  const QResidual* add = b.finish.out->residual;
  const int64_t other_stride = add ? add->other_stride : 0;
  const uint8_t* from = b.other + first * other_stride;
  auto* y = reinterpret_cast<uint8_t*>(b.y) + first * b.y_stride;
  typename P::Floats factors[4];
  unroll<4>(LOWBIT_EACH(i) { factors[i] = P::load_floats(b.finish.factors + i % V * P::kLanes); });
  unroll<(kRows * V + 3) / 4>(LOWBIT_EACH(part) {
    constexpr int kFirst = decltype(part){} * 4 / V, kCount = kRows - kFirst < 4 / V ? kRows - kFirst : 4 / V;
    typename P::Ints four[4];
    uint8_t* to[4 / V];
    const uint8_t* other[4 / V];
    unroll<4>(LOWBIT_EACH(i) {
      constexpr int kIn = decltype(i){};
      constexpr int kRow = kFirst + (kIn / V < kCount ? kIn / V : kCount - 1);  // rows beyond the last repeat it
      four[kIn] = sums[kRow * V + kIn % V];
      to[kIn / V] = y + kRow * b.y_stride;
      other[kIn / V] = from + kRow * other_stride;
    });
    const auto bytes = finish_bytes<P>(
        b.finish, four, factors, [&]() __attribute__((always_inline)) { return P::template load<V>(other, kCount); });
    P::template store<V>(bytes, to, kCount, b.finish.channels);
  });
}

/// kRows rows of the chunk times V vectors of channels.
template <typename P, int V, int kRows>
[[gnu::noinline]] void tile(const Block<P>& b, int64_t first) {
  typename P::Ints sums[kRows * V];
  unroll<kRows * V>(LOWBIT_EACH(i) { sums[i] = P::load_ints(b.bias + i % V * P::kLanes); });
  const typename P::Element* a = b.a + first * b.a_stride;
  const int8_t* w = b.weights;
  const int64_t stride = b.a_stride;
  for (int64_t k = b.groups_of_depth; k > 0; --k, a += P::kGroup, w += V * P::kLanes * P::kGroup) {
    typename P::Weights weights[V];
    unroll<V>(LOWBIT_EACH(v) { weights[v] = P::load_weights(w + v * P::kLanes * P::kGroup); });
    unroll<kRows>(LOWBIT_EACH(r) {
      const auto x = P::broadcast(a + r * stride);
      unroll<V>(LOWBIT_EACH(v) { P::dot(sums[r * V + v], x, weights[v]); });
    });
  }
  if (code_bytes(b.finish.out->type) == 1) {
    finish_tile<P, V, kRows>(b, first, sums);
    return;
  }
  alignas(64) int32_t stored[kRows * V * P::kLanes];
  unroll<kRows * V>(LOWBIT_EACH(i) { P::store_ints(stored + i * P::kLanes, sums[i]); });
  for (int r = 0; r < kRows; ++r)
    finish_wide<P::kLanes>(b.finish, V, stored + r * V * P::kLanes, b.y + (first + r) * b.y_stride);
}

/// All rows of a chunk against one block.
template <typename P, int V>
void rows_of_block(const Block<P>& b, int64_t rows) {
  constexpr int kMost = P::rows_of_tile(V);
  int64_t r = 0;
  for (; r + kMost <= rows; r += kMost) tile<P, V, kMost>(b, r);
  if constexpr (kMost > 8) {
    if (r + 8 <= rows) tile<P, V, 8>(b, r), r += 8;
  }
  if constexpr (kMost > 4) {
    for (; r + 4 <= rows; r += 4) tile<P, V, 4>(b, r);
  }
  if (r + 2 <= rows) tile<P, V, 2>(b, r), r += 2;
  for (; r < rows; ++r) tile<P, V, 1>(b, r);
}

/// Rows may be read where they lie: the bytes as the kernel multiplies them. Elements behind a pixel that complete the
/// last group of the depth meet weights of 0.
template <typename P>
[[gnu::always_inline]] inline bool rows_lie_ready(const QLayerShape& s, Code input) {
  return sizeof(typename P::Element) == 1 && input_shift<P>(input) == 0 && lies_in_order(s);
}

template <typename P>
void run_blocks(const QLayerCall& call, const QPackedHeader& header, Block<P> b, int64_t g, int64_t first, int64_t rows,
                int64_t c_begin, int64_t c_end) {
  const QLayerShape& s = *call.shape;
  const int64_t padded = padded_group<P>(s), depth = depth_of<P>(s),
                element = static_cast<int64_t>(code_bytes(call.out.type));
  for (int64_t c = c_begin, vectors; c < c_end; c += vectors * P::kLanes) {
    vectors = block_vectors<P>(padded, c);
    const int64_t at = g * padded + c, channel = g * s.group_out() + c;
    b.weights = section<int8_t>(call.packed, header.weight_offset) + at * depth;
    b.bias = section<int32_t>(call.packed, header.bias_offset) + at;
    b.finish.factors = section<float>(call.packed, header.factor_offset) + at;
    b.finish.scales = section<double>(call.packed, header.factor_offset) + at;
    b.finish.channels = smaller(vectors * P::kLanes, s.group_out() - c);
    b.y = static_cast<char*>(call.output) + (first * call.output_stride + channel) * element;
    if (const QResidual* add = call.out.residual)
      b.other = static_cast<const uint8_t*>(add->other) + first * add->other_stride + channel;
    if (vectors == 1)
      rows_of_block<P, 1>(b, rows);
    else if (vectors == 2)
      rows_of_block<P, 2>(b, rows);
    else if constexpr (P::kMaxVectors == 4)
      rows_of_block<P, 4>(b, rows);
  }
}

template <typename P>
void tiles_run(const QLayerCall& call) noexcept {
  const QLayerShape& s = *call.shape;
  const auto& header = *static_cast<const QPackedHeader*>(call.packed);
  const int64_t depth = depth_of<P>(s), chunk = chunk_rows<P>(s);
  const bool ready = rows_lie_ready<P>(s, header.input);
  auto* gathered = static_cast<typename P::Element*>(call.scratch);
  Block<P> b = {};
  b.groups_of_depth = depth / P::kGroup;
  b.y_stride = call.output_stride * static_cast<int64_t>(code_bytes(call.out.type));
  FinishVectors vectors;
  make_finish_vectors(call.out, vectors);
  b.finish.out = &call.out;
  b.finish.vectors = &vectors;
  b.finish.small = header.factors_small != 0;
  for (int64_t c = call.channel_begin; c < call.channel_end;) {
    const int64_t g = c / s.group_out(), c_end = smaller(call.channel_end, (g + 1) * s.group_out());
    for (int64_t p = call.pixel_begin; p < call.pixel_end; p += chunk) {
      const int64_t rows = smaller(chunk, call.pixel_end - p);
      if (ready) {
        b.a = reinterpret_cast<const typename P::Element*>(static_cast<const char*>(call.input) +
                                                           p * call.input_stride + g * s.group_in());
        b.a_stride = call.input_stride;
      } else {
        gather<P>(call, header, g, p, rows, gathered);
        b.a = gathered;
        b.a_stride = depth;
      }
      run_blocks<P>(call, header, b, g, p, rows, c - g * s.group_out(), c_end - g * s.group_out());
    }
    c = c_end;
  }
}

template <typename P>
bool tiles_offer(const QLayerShape&, Code input) {
  return input == Code::u8 || input == Code::s8;
}

/// The row of the table.
template <typename P>
constexpr QLayerKernel tiles_kernel(const char* name, const char* summary, Isa isa) {
  return {name,
          summary,
          isa,
          tiles_offer<P>,
          tiles_grain<P>,
          tiles_packed_bytes<P>,
          tiles_pack<P>,
          tiles_packed_fits<P>,
          tiles_scratch_bytes<P>,
          tiles_run<P>};
}

}  // namespace
}  // namespace lowbit::kernels
