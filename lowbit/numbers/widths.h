// widths.h: every way that the table of number systems offers to spend a number of bits on an element: what the
// adaptive choice picks from and what `lowbit inspect --weights` compares.
#pragma once

#include <span>
#include <vector>

#include "lowbit/numbers/granularity.h"
#include "lowbit/numbers/number_system.h"

namespace lowbit {

/// The formats whose codes take `bits` bits for an element, in the order of the table: of linear systems the symmetric
/// one and the one with a fitted zero point, of logarithms base 2 and base sqrt 2, of vector codebooks those of 2, 4
/// and 8 components and at most 4096 vectors. Systems that are the same levels under another name (uintN beside
/// intN-asym) appear once.
std::vector<NumberFormat> formats_of_width(int bits);

/// The granularities worth trying for a format on a tensor with these dimensions: the system's own if it has one, else
/// one group for each channel of `axis`, runs of 32 (where the parameters then add at most 1.25 bits to a code), and
/// the whole tensor; those that give the same groups once. None for a vector codebook whose table would take more than
/// a quarter of the bits of the codes.
std::vector<Granularity> granularities_for(const NumberFormat& format, std::span<const int64_t> dims, int64_t axis);

/// Bits that the parameters of one group take in a file without further coding.
int parameter_bits(const NumberFormat& format);

/// Bits that a tensor takes in a file without entropy coding: codes (ternary: 8 for each five) and parameters.
int64_t stored_bits(const NumberFormat& format, const Granularity& granularity, std::span<const int64_t> dims);

}  // namespace lowbit
