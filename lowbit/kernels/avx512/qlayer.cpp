// Layers by vpmaddwd on 512 bits, as in avx2/, for processors without VNNI.
#include <immintrin.h>
#include <stdint.h>

#include "lowbit/kernels/avx512/vectors.h"
#include "lowbit/kernels/qlayer.h"
#include "lowbit/kernels/qlayer_depthwise.h"
#include "lowbit/kernels/qlayer_tiles.h"

namespace lowbit::kernels::avx512 {
namespace {

struct Pairs : Vectors {
  using Element = int16_t;
  using Weights = __m512i;
  static constexpr int kGroup = 2, kMaxVectors = 4, kPixelGrain = 12;
  static constexpr Code kMultiplies = Code::s16;
  static constexpr int rows_of_tile(int vectors) { return vectors == 4 ? 6 : 12; }

  static Weights load_weights(const int8_t* from) {
    return _mm512_cvtepi8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
  }
  static __m512i broadcast(const int16_t* from) {
    int32_t pair;
    __builtin_memcpy(&pair, from, sizeof(pair));
    return _mm512_set1_epi32(pair);
  }
  /// Adds products of pairs. As assembly, because the compiler otherwise gathers all products of a step before it adds
  /// them, which takes more registers than there are.
  [[gnu::always_inline]] static void dot(Ints& sum, __m512i x, Weights w) {
#ifdef LOWBIT_EMULATED
    sum = _mm512_add_epi32(sum, _mm512_madd_epi16(x, w));
#else
    __m512i product;
    asm volatile("vpmaddwd %2, %3, %1\n\tvpaddd %1, %0, %0" : "+v"(sum), "=&v"(product) : "v"(x), "v"(w));
#endif
  }

  static bool copy_mode(Code input) { return input == Code::s8; }
  /// Widens n codes; writes up to 15 elements more.
  static void copy(int16_t* to, const uint8_t* from, int64_t n, bool is_signed) {
    for (int64_t i = 0; i < n; i += 16) {
      const __m128i codes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + i));
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + i),
                          is_signed ? _mm256_cvtepi8_epi16(codes) : _mm256_cvtepu8_epi16(codes));
    }
  }
};

/// Depthwise: two taps side by side, widened.
struct TapPairs : Vectors {
  using Weight = int16_t;
  static constexpr int kTaps = 2;
  static constexpr Code kMultiplies = Code::u8;

  static Ints load_weights(const int16_t* from) { return _mm512_loadu_si512(from); }
  static Ints spread_weights(const int16_t* from) {
    return _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
  }
  static void interleave(const Bytes* taps, Ints* x) {
    const __m512i none = _mm512_setzero_si512();
    const __m512i low = _mm512_unpacklo_epi8(taps[0], taps[1]), high = _mm512_unpackhi_epi8(taps[0], taps[1]);
    x[0] = _mm512_unpacklo_epi8(low, none);
    x[1] = _mm512_unpackhi_epi8(low, none);
    x[2] = _mm512_unpacklo_epi8(high, none);
    x[3] = _mm512_unpackhi_epi8(high, none);
  }
  [[gnu::always_inline]] static void dot(Ints& sum, Ints x, Ints w) {
    sum = _mm512_add_epi32(sum, _mm512_madd_epi16(x, w));
  }
};

}  // namespace

extern const QLayerKernel qlayer_kernels[2];
const QLayerKernel qlayer_kernels[2] = {
    depthwise_kernel<TapPairs>("depthwise-avx512", "depthwise, pairs of taps by vpmaddwd", Isa::avx512),
    tiles_kernel<Pairs>("qlayer-avx512", "register tiles, vpmaddwd on widened codes", Isa::avx512),
};

}  // namespace lowbit::kernels::avx512
