// Layers by vpmaddwd: pairs of 16-bit factors, exact for all 8-bit codes (vpmaddubsw would saturate). Activations are
// widened once while they are gathered, weights while they are loaded.
#include <immintrin.h>
#include <stdint.h>

#include "lowbit/kernels/avx2/vectors.h"
#include "lowbit/kernels/qlayer.h"
#include "lowbit/kernels/qlayer_depthwise.h"
#include "lowbit/kernels/qlayer_tiles.h"

namespace lowbit::kernels::avx2 {
namespace {

struct Pairs : Vectors {
  using Element = int16_t;
  using Weights = __m256i;
  static constexpr int kGroup = 2, kMaxVectors = 2, kPixelGrain = 12;
  static constexpr Code kMultiplies = Code::s16;
  static constexpr int rows_of_tile(int vectors) { return vectors == 2 ? 6 : 12; }

  static Weights load_weights(const int8_t* from) {
    return _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
  }
  static __m256i broadcast(const int16_t* from) {
    int32_t pair;
    __builtin_memcpy(&pair, from, sizeof(pair));
    return _mm256_set1_epi32(pair);
  }
  /// Adds products of pairs. As assembly, because the compiler otherwise gathers all products of a step before it adds
  /// them, which takes more registers than there are.
  [[gnu::always_inline]] static void dot(Ints& sum, __m256i x, Weights w) {
    __m256i product;
    asm volatile("vpmaddwd %2, %3, %1\n\tvpaddd %1, %0, %0" : "+x"(sum), "=&x"(product) : "x"(x), "x"(w));
  }

  static bool copy_mode(Code input) { return input == Code::s8; }
  /// Widens n codes; writes up to 15 elements more.
  static void copy(int16_t* to, const uint8_t* from, int64_t n, bool is_signed) {
    if (is_signed)
      for (int64_t i = 0; i < n; i += 16)
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + i),
                            _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from + i))));
    else
      for (int64_t i = 0; i < n; i += 16)
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + i),
                            _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from + i))));
  }
};

/// Depthwise: two taps side by side, widened.
struct TapPairs : Vectors {
  using Weight = int16_t;
  static constexpr int kTaps = 2;
  static constexpr Code kMultiplies = Code::u8;

  static Ints load_weights(const int16_t* from) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)); }
  static Ints spread_weights(const int16_t* from) {
    return _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
  }
  static void interleave(const Bytes* taps, Ints* x) {
    const __m256i none = _mm256_setzero_si256();
    const __m256i low = _mm256_unpacklo_epi8(taps[0], taps[1]), high = _mm256_unpackhi_epi8(taps[0], taps[1]);
    x[0] = _mm256_unpacklo_epi8(low, none);
    x[1] = _mm256_unpackhi_epi8(low, none);
    x[2] = _mm256_unpacklo_epi8(high, none);
    x[3] = _mm256_unpackhi_epi8(high, none);
  }
  [[gnu::always_inline]] static void dot(Ints& sum, Ints x, Ints w) {
    sum = _mm256_add_epi32(sum, _mm256_madd_epi16(x, w));
  }
};

}  // namespace

extern const QLayerKernel qlayer_kernels[2];
const QLayerKernel qlayer_kernels[2] = {
    depthwise_kernel<TapPairs>("depthwise-avx2", "depthwise, pairs of taps by vpmaddwd", Isa::avx2),
    tiles_kernel<Pairs>("qlayer-avx2", "register tiles, vpmaddwd on widened codes", Isa::avx2),
};

}  // namespace lowbit::kernels::avx2
