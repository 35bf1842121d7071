// qlayer_depthwise.h: depthwise convolution (one weight per tap and channel), any kernel, stride, dilation and padding,
// written once over the vector operations `P` of an instruction set. Inside the room only; everything is static.
//
// The codes of kTaps taps are interleaved per channel, so that one multiply-add instruction sums over taps. A step
// computes four vectors of sums, either 4 kLanes channels of one pixel, or (for the channels that do not fill that, and
// for small networks) 16 channels of kLanes / 4 pixels, one pixel in each 128-bit part. Taps beyond the input read a
// row of z_x.
//
// Packed weights: `wide` blocks of 4 kLanes channels, then `narrow` blocks of 16 channels for the rest, each
// [taps / kTaps][4][lanes][kTaps] of 1 or 2 bytes, channels in the order of channel_of_lane(4, ...).
#pragma once

#include "lowbit/kernels/qlayer_finish.h"
#include "lowbit/kernels/qlayer_packed.h"

namespace lowbit::kernels {
namespace {

/// How the channels are divided into blocks.
struct DepthwiseBlocks {
  int64_t wide, total;  ///< channels in wide blocks; channels with those that fill the last block
};

template <typename P>
[[gnu::always_inline]] inline DepthwiseBlocks blocks_of(int64_t channels) {
  const int64_t wide = channels / (4 * P::kLanes) * (4 * P::kLanes);
  return {wide, wide + round_up(channels - wide, 16)};
}

template <typename P>
[[gnu::always_inline]] inline int64_t padded_taps(const QLayerShape& s) {
  return round_up(s.kernel_h * s.kernel_w, P::kTaps);
}

template <typename P>
size_t depthwise_packed_bytes(const QLayerShape& s, Code output) {
  const int64_t total = blocks_of<P>(s.out_channels).total;
  return lay_out(total, output, static_cast<size_t>(total * padded_taps<P>(s)) * sizeof(typename P::Weight), nullptr);
}

template <typename P>
bool depthwise_packed_fits(const QLayerShape& s, Code output, const void* packed) {
  return is_laid_out(blocks_of<P>(s.out_channels).total, output, packed);
}

template <typename P>
void depthwise_pack(const QLayerShape& s, const QLayerWeights& w, Code output, void* packed) {
  auto* header = static_cast<QPackedHeader*>(packed);
  char* base = static_cast<char*>(packed);
  const DepthwiseBlocks blocks = blocks_of<P>(s.out_channels);
  const int64_t taps = padded_taps<P>(s);
  __builtin_memset(packed, 0, depthwise_packed_bytes<P>(s, output));
  lay_out(blocks.total, output, 0, header);
  header->zero_point = w.zero_point_in;
  header->input = w.input;
  header->factors_small = 1;
  auto* bias = reinterpret_cast<int32_t*>(base + header->bias_offset);
  auto* factors = reinterpret_cast<float*>(base + header->factor_offset);
  auto* scales = reinterpret_cast<double*>(base + header->factor_offset);
  auto* codes = reinterpret_cast<typename P::Weight*>(base + header->weight_offset);
  for (int64_t first = 0, lanes; first < blocks.total; first += 4 * lanes) {
    lanes = first < blocks.wide ? P::kLanes : 4;
    for (int64_t at = 0; at < 4 * lanes; ++at) {
      const int64_t o = first + channel_of_lane(4, static_cast<int>(at / lanes), static_cast<int>(at % lanes));
      if (o >= s.out_channels) continue;
      if (w.scales) scales[first + at] = w.scales[o];
      if (w.factors) factors[first + at] = w.factors[o];
      if (!fold_channel<P>(s, w, o, &bias[first + at], w.factors ? w.factors[o] : 0.0f)) header->factors_small = 0;
      typename P::Weight* column = codes + first * taps + at * P::kTaps;
      for_each_weight(s, w, o, [&](int64_t tap, int8_t code) {
        column[tap / P::kTaps * P::kTaps * 4 * lanes + tap % P::kTaps] = code;
      });
    }
  }
}

/// Scratch: offsets of the taps of an inner pixel, those of the pixels of a step, the row of z_x.
template <typename P>
[[gnu::always_inline]] inline int64_t offsets_bytes(const QLayerShape& s) {
  return round_up(padded_taps<P>(s) * static_cast<int64_t>(sizeof(int64_t)), kAlignment);
}

template <typename P>
size_t depthwise_scratch_bytes(const QLayerShape& s) {
  return static_cast<size_t>((1 + P::kLanes / 4) * offsets_bytes<P>(s) + round_up(s.in_channels, kAlignment) +
                             2 * kAlignment);
}

template <typename P>
QLayerGrain depthwise_grain(const QLayerShape&) {
  return {P::kLanes / 4, 4 * P::kLanes};
}

/// The pixels of one step: tap t of pixel i is at base[i] + offsets[i][t].
template <typename P>
struct Pixels {
  static constexpr int kMost = P::kLanes / 4;
  const uint8_t* base[kMost];
  const int64_t* offsets[kMost];
  int count;
};

template <typename P>
struct Depthwise {
  const QLayerCall& call;
  const QPackedHeader& header;
  int64_t taps;
  const uint8_t* flip;  ///< a vector of what changes the sign of the codes
  const FinishVectors* vectors;
  int64_t* inner;  ///< offsets of an inner pixel
  int64_t* outer;  ///< kMost times offsets of a pixel at the border
  const uint8_t* pad;
};

template <typename P>
[[gnu::always_inline]] inline void finish_step(const Depthwise<P>& d, int64_t block, bool wide, int64_t pixel,
                                               int count, const typename P::Ints* sums) {
  const QLayerCall& call = d.call;
  const QOutput& out = call.out;
  const int64_t element = static_cast<int64_t>(code_bytes(out.type));
  const float* factor = section<float>(call.packed, d.header.factor_offset) + block;
  const double* scale = section<double>(call.packed, d.header.factor_offset) + block;
  const int64_t left = call.shape->out_channels - block;
  const Finish f = {&out,     factor, scale, smaller(left, wide ? 4 * P::kLanes : 16), d.header.factors_small != 0,
                    d.vectors};
  char* y = static_cast<char*>(call.output) + (pixel * call.output_stride + block) * element;
  const int64_t y_stride = call.output_stride * element;
  if (element == 1) {
    const int64_t other_stride = out.residual ? out.residual->other_stride : 0;
    const uint8_t* other =
        out.residual ? static_cast<const uint8_t*>(out.residual->other) + pixel * other_stride + block : nullptr;
    typename P::Floats factors[4];
    unroll<4>(LOWBIT_EACH(v) {
      factors[v] = wide ? P::load_floats(factor + v * P::kLanes) : P::spread_floats(factor + v * 4);
    });
    const auto bytes = finish_bytes<P>(
        f, sums, factors, [&]() __attribute__((always_inline)) {
          return wide ? P::load_block(other) : P::load_parts(other, other_stride, count);
        });
    if (wide)
      P::store_block(bytes, reinterpret_cast<uint8_t*>(y), f.channels);
    else
      P::store_parts(bytes, reinterpret_cast<uint8_t*>(y), y_stride, count, f.channels);
    return;
  }
  alignas(64) int32_t stored[4 * P::kLanes];
  for (int v = 0; v < 4; ++v) P::store_ints(stored + v * P::kLanes, sums[v]);
  if (wide) {
    finish_wide<P::kLanes>(f, 4, stored, y);
    return;
  }
  for (int i = 0; i < count; ++i) {
    int32_t row[16];
    for (int c = 0; c < 16; ++c) row[c] = stored[c / 4 * P::kLanes + i * 4 + c % 4];
    finish_wide<4>(f, 4, row, y + i * y_stride);
  }
}

/// 4 kLanes channels of one pixel (kWide), or 16 of several, from channel `block` on.
template <typename P, bool kWide>
[[gnu::always_inline]] inline void step(const Depthwise<P>& d, const Pixels<P>& pixels, int64_t block, int64_t pixel) {
  const auto* w = section<typename P::Weight>(d.call.packed, d.header.weight_offset) + block * d.taps;
  const int32_t* bias = section<int32_t>(d.call.packed, d.header.bias_offset) + block;
  const auto flip = P::load_block(d.flip);
  constexpr int kPart = P::kTaps * (kWide ? P::kLanes : 4);
  typename P::Ints sums[4];
  unroll<4>(LOWBIT_EACH(v) { sums[v] = kWide ? P::load_ints(bias + v * P::kLanes) : P::spread_ints(bias + v * 4); });
  for (int64_t t = 0; t < d.taps; t += P::kTaps, w += 4 * kPart) {
    typename P::Bytes codes[P::kTaps];
    typename P::Ints x[4];
    unroll<P::kTaps>(LOWBIT_EACH(i) {
      if constexpr (kWide) {
        codes[i] = P::load_block(pixels.base[0] + pixels.offsets[0][t + i] + block);
      } else {
        const uint8_t* from[Pixels<P>::kMost];
        unroll<Pixels<P>::kMost>(LOWBIT_EACH(j) { from[j] = pixels.base[j] + pixels.offsets[j][t + i] + block; });
        codes[i] = P::gather_parts(from);
      }
      codes[i] = P::flip(codes[i], flip);
    });
    P::interleave(codes, x);
    unroll<4>(LOWBIT_EACH(v) {
      P::dot(sums[v], x[v], kWide ? P::load_weights(w + v * kPart) : P::spread_weights(w + v * kPart));
    });
  }
  finish_step<P>(d, block, kWide, pixel, pixels.count, sums);
}

/// Where pixel p reads: fills entry i of `pixels`.
template <typename P>
[[gnu::always_inline]] inline void place_pixel(const Depthwise<P>& d, int64_t image, int64_t row, int64_t column, int i,
                                               Pixels<P>& pixels) {
  const QLayerShape& s = *d.call.shape;
  const int64_t top = row * s.stride_h - s.pad_top, left = column * s.stride_w - s.pad_left;
  const uint8_t* base =
      static_cast<const uint8_t*>(d.call.input) + ((image * s.height + top) * s.width + left) * d.call.input_stride;
  pixels.base[i] = base;
  pixels.offsets[i] = d.inner;
  if (top >= 0 && left >= 0 && top + (s.kernel_h - 1) * s.dilation_h < s.height &&
      left + (s.kernel_w - 1) * s.dilation_w < s.width)
    return;
  int64_t* offsets = d.outer + i * (offsets_bytes<P>(s) / static_cast<int64_t>(sizeof(int64_t)));
  pixels.offsets[i] = offsets;
  int64_t tap = 0;
  const int64_t pad = static_cast<int64_t>(reinterpret_cast<uintptr_t>(d.pad) - reinterpret_cast<uintptr_t>(base));
  for (int64_t ky = 0; ky < s.kernel_h; ++ky)
    for (int64_t kx = 0; kx < s.kernel_w; ++kx, ++tap) {
      const int64_t y = top + ky * s.dilation_h, x = left + kx * s.dilation_w;
      offsets[tap] = y < 0 || y >= s.height || x < 0 || x >= s.width ? pad : d.inner[tap];
    }
  for (; tap < d.taps; ++tap) offsets[tap] = pad;
}

template <typename P>
void depthwise_run(const QLayerCall& call) noexcept {
  const QLayerShape& s = *call.shape;
  const auto& header = *static_cast<const QPackedHeader*>(call.packed);
  const int64_t table = offsets_bytes<P>(s) / static_cast<int64_t>(sizeof(int64_t));
  auto* inner = static_cast<int64_t*>(call.scratch);
  auto* pad = reinterpret_cast<uint8_t*>(inner + (1 + Pixels<P>::kMost) * table);
  FinishVectors vectors;
  make_finish_vectors(call.out, vectors);
  alignas(64) uint8_t flip[64];
  __builtin_memset(flip, input_shift<P>(header.input) & 255, sizeof(flip));
  const Depthwise<P> d = {call, header, padded_taps<P>(s), flip, &vectors, inner, inner + table, pad};
  __builtin_memset(pad, header.zero_point & 255, static_cast<size_t>(round_up(s.in_channels, kAlignment) + kAlignment));
  for (int64_t t = 0; t < d.taps; ++t) {
    const int64_t tap = t < s.kernel_h * s.kernel_w ? t : 0;  // the added taps have weights of 0
    inner[t] = (tap / s.kernel_w * s.dilation_h * s.width + tap % s.kernel_w * s.dilation_w) * call.input_stride;
  }
  const int64_t wide = smaller(call.channel_end, blocks_of<P>(s.out_channels).wide);
  int64_t column = call.pixel_begin % s.out_width, row = call.pixel_begin / s.out_width % s.out_height,
          image = call.pixel_begin / (s.out_width * s.out_height);
  for (int64_t p = call.pixel_begin; p < call.pixel_end;) {
    Pixels<P> pixels;
    pixels.count = static_cast<int>(smaller(Pixels<P>::kMost, call.pixel_end - p));
    for (int i = 0; i < pixels.count; ++i) {
      place_pixel<P>(d, image, row, column, i, pixels);
      if (++column == s.out_width) {
        column = 0;
        if (++row == s.out_height) row = 0, ++image;
      }
    }
    for (int i = pixels.count; i < Pixels<P>::kMost; ++i) {
      pixels.base[i] = pixels.base[0];
      pixels.offsets[i] = pixels.offsets[0];
    }
    for (int i = 0; i < pixels.count && call.channel_begin < wide; ++i) {
      Pixels<P> one = pixels;
      one.base[0] = pixels.base[i];
      one.offsets[0] = pixels.offsets[i];
      one.count = 1;
      for (int64_t c = call.channel_begin; c < wide; c += 4 * P::kLanes) step<P, true>(d, one, c, p + i);
    }
    for (int64_t c = larger(call.channel_begin, wide); c < call.channel_end; c += 16) step<P, false>(d, pixels, c, p);
    p += pixels.count;
  }
}

template <typename P>
bool depthwise_offer(const QLayerShape& s, Code input) {
  return s.groups > 1 && s.groups == s.in_channels && s.groups == s.out_channels &&
         (input == Code::u8 || input == Code::s8);
}

/// The row of the table.
template <typename P>
constexpr QLayerKernel depthwise_kernel(const char* name, const char* summary, Isa isa) {
  return {name,
          summary,
          isa,
          depthwise_offer<P>,
          depthwise_grain<P>,
          depthwise_packed_bytes<P>,
          depthwise_pack<P>,
          depthwise_packed_fits<P>,
          depthwise_scratch_bytes<P>,
          depthwise_run<P>};
}

}  // namespace
}  // namespace lowbit::kernels
