// Layers by vpdpbusd: four unsigned times four signed bytes, exact. Signed activations have 128 added while they are
// gathered; the bias takes it out again.
#include <immintrin.h>
#include <stdint.h>

#include "lowbit/kernels/avx512/vectors.h"
#include "lowbit/kernels/qlayer.h"
#include "lowbit/kernels/qlayer_depthwise.h"
#include "lowbit/kernels/qlayer_tiles.h"

namespace lowbit::kernels::avx512vnni {
namespace {

using avx512::Vectors;

struct Quads : Vectors {
  using Element = uint8_t;
  using Weights = __m512i;
  static constexpr int kGroup = 4, kMaxVectors = 4, kPixelGrain = 12;
  static constexpr Code kMultiplies = Code::u8;
  static constexpr int rows_of_tile(int vectors) { return vectors == 4 ? 6 : 12; }

  static Weights load_weights(const int8_t* from) { return _mm512_loadu_si512(from); }
  static __m512i broadcast(const uint8_t* from) {
    int32_t quad;
    __builtin_memcpy(&quad, from, sizeof(quad));
    return _mm512_set1_epi32(quad);
  }
  /// As assembly (outside the tests on other machines), because GCC 12 copies the sum of the intrinsic back and forth.
  [[gnu::always_inline]] static void dot(Ints& sum, __m512i x, Weights w) {
#ifdef LOWBIT_EMULATED
    sum = _mm512_dpbusd_epi32(sum, x, w);
#else
    asm volatile("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(x), "v"(w));
#endif
  }

  static uint8_t copy_mode(Code input) { return input == Code::s8 ? 128 : 0; }
  /// Copies n codes, `shift` added; writes up to 15 bytes more.
  static void copy(uint8_t* to, const uint8_t* from, int64_t n, uint8_t shift) {
    int64_t i = 0;
    const __m512i flip = _mm512_set1_epi8(static_cast<char>(shift));
    for (; i + 64 <= n; i += 64) _mm512_storeu_si512(to + i, _mm512_xor_si512(_mm512_loadu_si512(from + i), flip));
    for (; i < n; i += 16)
      _mm_storeu_si128(
          reinterpret_cast<__m128i*>(to + i),
          _mm_xor_si128(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from + i)), _mm512_castsi512_si128(flip)));
  }
};

/// Depthwise: four taps side by side.
struct TapQuads : Vectors {
  using Weight = int8_t;
  static constexpr int kTaps = 4;
  static constexpr Code kMultiplies = Code::u8;

  static Ints load_weights(const int8_t* from) { return _mm512_loadu_si512(from); }
  static Ints spread_weights(const int8_t* from) {
    return _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
  }
  static void interleave(const Bytes* taps, Ints* x) {
    const __m512i low01 = _mm512_unpacklo_epi8(taps[0], taps[1]), high01 = _mm512_unpackhi_epi8(taps[0], taps[1]);
    const __m512i low23 = _mm512_unpacklo_epi8(taps[2], taps[3]), high23 = _mm512_unpackhi_epi8(taps[2], taps[3]);
    x[0] = _mm512_unpacklo_epi16(low01, low23);
    x[1] = _mm512_unpackhi_epi16(low01, low23);
    x[2] = _mm512_unpacklo_epi16(high01, high23);
    x[3] = _mm512_unpackhi_epi16(high01, high23);
  }
  [[gnu::always_inline]] static void dot(Ints& sum, Ints x, Ints w) { sum = _mm512_dpbusd_epi32(sum, x, w); }
};

}  // namespace

extern const QLayerKernel qlayer_kernels[2];
const QLayerKernel qlayer_kernels[2] = {
    depthwise_kernel<TapQuads>("depthwise-avx512vnni", "depthwise, four taps by vpdpbusd", Isa::avx512vnni),
    tiles_kernel<Quads>("qlayer-avx512vnni", "register tiles, vpdpbusd", Isa::avx512vnni),
};

}  // namespace lowbit::kernels::avx512vnni
