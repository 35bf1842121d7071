#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "lowbit/coding/rans_decode_vectors.cpp"
#include <hwy/foreach_target.h>
// Must come after foreach_target.h.
#include <hwy/highway.h>

#include "lowbit/coding/rans_decode.h"

#ifndef LOWBIT_RANS_EXPANSION
#define LOWBIT_RANS_EXPANSION
namespace lowbit {
/// For each set of up to 8 lanes that need a word: the place of each lane's word among those words.
struct Expansion {
  alignas(8) uint8_t place[256][8];
};
constexpr Expansion make_expansion() {
  Expansion result{};
  for (int mask = 0; mask < 256; ++mask)
    for (int lane = 0, next = 0; lane < 8; ++lane) {
      result.place[mask][lane] = static_cast<uint8_t>(next);
      next += mask >> lane & 1;
    }
  return result;
}
inline constexpr Expansion kExpansion = make_expansion();
}  // namespace lowbit
#endif

HWY_BEFORE_NAMESPACE();
namespace lowbit::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using WideTag = hn::CappedTag<uint32_t, 8>;
using WordTag = hn::Rebind<uint16_t, WideTag>;
using ByteTag = hn::Rebind<uint8_t, WideTag>;
using Wide = hn::Vec<WideTag>;

/// One symbol of each lane of `x`: stores the symbols, replaces the states, moves `word`. Reads a vector of words.
HWY_INLINE Wide decode_step(const uint32_t* table, Wide x, uint8_t* symbols, const uint8_t*& word) {
  const WideTag d;
  const WordTag dw;
  const ByteTag db;
  const hn::RebindToSigned<WideTag> di;
  const auto slot = hn::And(x, hn::Set(d, kRansTotal - 1));
  const auto entry = hn::GatherIndex(d, table, hn::BitCast(di, slot));
  hn::StoreU(hn::TruncateTo(db, entry), db, symbols);
  const auto offset = hn::And(hn::ShiftRight<8>(entry), hn::Set(d, kRansTotal - 1));
  x = hn::Add(hn::Mul(hn::ShiftRight<20>(entry), hn::ShiftRight<kRansBits>(x)), offset);
  // States fit 32 bits unsigned; below 2^16 means that the high half is zero.
  const auto low = hn::Eq(hn::ShiftRight<16>(x), hn::Zero(d));
  uint8_t bits[8] = {};
  hn::StoreMaskBits(d, low, bits);
  const auto fresh = hn::PromoteTo(d, hn::LoadU(dw, reinterpret_cast<const uint16_t*>(word)));
  const auto place = hn::IndicesFromVec(d, hn::PromoteTo(d, hn::LoadU(db, kExpansion.place[bits[0]])));
  const auto refilled = hn::Or(hn::ShiftLeft<16>(x), hn::TableLookupLanes(fresh, place));
  word += 2 * static_cast<size_t>(__builtin_popcount(bits[0]));
  return hn::IfThenElse(low, refilled, x);
}

void decode_vectors(const RansTable& table, RansCursor& cursor) {
  const WideTag d;
  const size_t lanes = hn::Lanes(d);
  // A step reads a vector of words, wherever the last one ended.
  const size_t needed = 2 * kRansMostLanes + 2 * lanes;
  const uint8_t *word = cursor.words.data(), *const end = word + cursor.words.size();
  uint8_t* symbol = cursor.symbols.data();
  uint8_t* const last = symbol + cursor.symbols.size() / kRansMostLanes * kRansMostLanes;
  uint32_t* states = cursor.states.data();
  if (lanes == 8) {
    auto x0 = hn::LoadU(d, states), x1 = hn::LoadU(d, states + 8), x2 = hn::LoadU(d, states + 16),
         x3 = hn::LoadU(d, states + 24);
    for (; symbol < last && static_cast<size_t>(end - word) >= needed; symbol += kRansMostLanes) {
      x0 = decode_step(table.entries.data(), x0, symbol, word);
      x1 = decode_step(table.entries.data(), x1, symbol + 8, word);
      x2 = decode_step(table.entries.data(), x2, symbol + 16, word);
      x3 = decode_step(table.entries.data(), x3, symbol + 24, word);
    }
    hn::StoreU(x0, d, states);
    hn::StoreU(x1, d, states + 8);
    hn::StoreU(x2, d, states + 16);
    hn::StoreU(x3, d, states + 24);
  } else {
    for (; symbol < last && static_cast<size_t>(end - word) >= needed; symbol += kRansMostLanes)
      for (size_t lane = 0; lane < kRansMostLanes; lane += lanes)
        hn::StoreU(decode_step(table.entries.data(), hn::LoadU(d, states + lane), symbol + lane, word), d,
                   states + lane);
  }
  cursor.words = cursor.words.subspan(static_cast<size_t>(word - cursor.words.data()));
  cursor.symbols = cursor.symbols.subspan(static_cast<size_t>(symbol - cursor.symbols.data()));
}

}  // namespace lowbit::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lowbit {

HWY_EXPORT(decode_vectors);

void rans_decode_vectors(const RansTable& table, RansCursor& cursor) {
  HWY_DYNAMIC_DISPATCH(decode_vectors)(table, cursor);
}

}  // namespace lowbit
#endif
