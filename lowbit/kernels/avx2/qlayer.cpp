// Layers by vpmaddwd: pairs of 16-bit factors, exact for all 8-bit codes (vpmaddubsw would saturate). Activations are
// widened once while they are gathered, weights while they are loaded.
#include <immintrin.h>
#include <stdint.h>

#include "lowbit/kernels/avx2/vectors.h"
#include "lowbit/kernels/qlayer.h"
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
  static Ints dot(Ints sum, __m256i x, Weights w) { return _mm256_add_epi32(sum, _mm256_madd_epi16(x, w)); }

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

}  // namespace

extern const QLayerKernel qlayer_kernel;
const QLayerKernel qlayer_kernel =
    tiles_kernel<Pairs>("qlayer-avx2", "register tiles, vpmaddwd on widened codes", Isa::avx2);

}  // namespace lowbit::kernels::avx2
