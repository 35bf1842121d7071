// gemm_i16.h: the matrix product behind every integer layer: C[m][n] = sum_k A[m][k] * B[n][k], 16-bit operands, exact
// 32-bit sums. Codes minus zero points of up to 9 bits fit int16, and products of pairs are summed by one instruction
// on every machine (pmaddwd and relatives) without the saturation that 8-bit multiply-adds have on machines without
// VNNI. Written once with Highway; same bits on every target.
//
// Packed B: columns in blocks of kGemmColumns, k in pairs, so that one vector holds a pair of k for consecutive
// columns:
//   packed[(n / 16) * k_padded * 16 + (k / 2) * 32 + (n % 16) * 2 + k % 2],  k_padded = k rounded up to even, missing
//   entries 0.
#pragma once

#include <cstddef>
#include <cstdint>

namespace lowbit::kernels {

inline constexpr int64_t kGemmColumns = 16;

/// k rounded up to even: the row length that A must have (the added element is multiplied by 0, so it may hold
/// anything).
inline int64_t gemm_padded_k(int64_t k) { return (k + 1) / 2 * 2; }

/// Number of int16 of a packed n x k matrix.
size_t gemm_packed_size(int64_t n, int64_t k);

/// Packs B given row-major [n][k] (`stride` elements between rows).
void gemm_pack(const int16_t* b, int64_t n, int64_t k, int64_t stride, int16_t* packed);

/// c[m][n] (row stride ldc >= n rounded up to 16; the columns beyond n receive zeros) = sum over [k_begin, k_end), both
/// even or k_end = k_padded. a: rows of `lda` >= k_padded elements. Precondition: no partial sum leaves int32 (the
/// caller bounds sum |a| |b|).
void gemm_i16(int64_t m, int64_t n, int64_t k_begin, int64_t k_end, int64_t k, const int16_t* a, int64_t lda,
              const int16_t* packed, int32_t* c, int64_t ldc);

/// The same in plain loops: the oracle.
void gemm_i16_reference(int64_t m, int64_t n, int64_t k_begin, int64_t k_end, int64_t k, const int16_t* a, int64_t lda,
                        const int16_t* packed, int32_t* c, int64_t ldc);

}  // namespace lowbit::kernels
