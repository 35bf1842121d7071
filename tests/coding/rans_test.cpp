#include "lowbit/coding/rans.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cmath>
#include <cstring>

#include "lowbit/base/error.h"
#include "lowbit/base/random.h"
#include "lowbit/coding/rans_decode.h"

namespace lowbit {
namespace {

using Symbols = std::vector<uint8_t>;

Symbols decoded(const Symbols& stream, size_t count, uint8_t add = 0) {
  Symbols symbols(count);
  rans_decode(stream, symbols, add);
  return symbols;
}

/// Rounded normal numbers, as the codes of weights are.
Symbols bell(size_t count, double deviation, uint64_t seed) {
  Random random(seed);
  Symbols symbols(count);
  for (uint8_t& s : symbols) {
    double sum = 0;
    for (int i = 0; i < 12; ++i) sum += random.uniform();
    s = static_cast<uint8_t>(std::lround(std::min(127.0, std::max(-127.0, (sum - 6) * deviation))) + 128);
  }
  return symbols;
}

RC_GTEST_PROP(Rans, AnySymbolsComeBack, ()) {
  const auto symbols = *rc::gen::container<Symbols>(rc::gen::arbitrary<uint8_t>());
  RC_ASSERT(decoded(rans_encode(symbols), symbols.size()) == symbols);
}

/// Alphabets of any size and skew, at lengths on both sides of where the number of states changes.
RC_GTEST_PROP(Rans, SkewedSymbolsComeBackAtEveryLength, ()) {
  const size_t base = *rc::gen::element<size_t>(1, 31, 64, 8191, 8192, 65535, 65536, 70000);
  const size_t count = base + *rc::gen::inRange<size_t>(0, 70);
  const int alphabet = *rc::gen::inRange(1, 257), first = *rc::gen::inRange(0, 256);
  const double skew = *rc::gen::element(0.5, 1.0, 4.0, 20.0, 200.0);
  Random random(*rc::gen::arbitrary<uint64_t>());
  Symbols symbols(count);
  for (uint8_t& s : symbols)
    s = static_cast<uint8_t>(first + static_cast<int>(std::pow(random.uniform(), skew) * alphabet));
  RC_ASSERT(decoded(rans_encode(symbols), count) == symbols);
}

TEST(Rans, SeveralBlocksComeBackAndAConstantIsAdded) {
  const Symbols symbols = bell(2 * kRansBlock + 12345, 3, 1), stream = rans_encode(symbols);
  Symbols expected = symbols;
  for (uint8_t& s : expected) s = static_cast<uint8_t>(s + 200);
  EXPECT_EQ(decoded(stream, symbols.size(), 200), expected);
}

/// The frequencies lose less than 0.3 % against the entropy from their 12 bits; a state costs two bytes (the words it
/// may leave unused), the table at most 3 + 255 * 13 / 8 bytes.
TEST(Rans, TheSizeIsTheEntropy) {
  for (double deviation : {0.3, 1.0, 2.5, 20.0})
    for (size_t count : {size_t{3000}, size_t{50000}, size_t{400000}}) {
      const Symbols symbols = bell(count, deviation, count);
      const double entropy = empirical_entropy_bits(symbols) / 8;
      const double table = deviation < 10 ? 40 : 420, states = count < 8192 ? 2 : count < 65536 ? 8 : 64;
      EXPECT_LE(static_cast<double>(rans_encode(symbols).size()), entropy * 1.003 + table + states)
          << deviation << " " << count;
    }
}

TEST(Rans, EntropyIsThatOfTheCounts) {
  EXPECT_EQ(empirical_entropy_bits(Symbols{1, 2, 3, 4}), 8);  // 4 symbols of 2 bits
  EXPECT_EQ(empirical_entropy_bits(Symbols{7, 7, 7}), 0);
  EXPECT_NEAR(empirical_entropy_bits(Symbols{0, 0, 0, 1}), 3 * std::log2(4.0 / 3) + 2, 1e-12);
}

/// By hand from docs/container.md: symbols 5 5 5 6 have frequencies 3/4 and 1/4 at precision 2. Encoding goes from the
/// last symbol on, x = 65536: symbol 6 (f 1024, c 3072): x = 64 * 4096 + 0 + 3072 = 265216; then three times 5 (f 3072,
/// c 0): 265216 = 86 * 3072 + 1024 -> 86 * 4096 + 1024 = 353280; = 115 * 3072 + 0 -> 471040; = 153 * 3072 + 1024 ->
/// 627712.
TEST(Rans, AStreamByHand) {
  // 3 of 4 in three bits: 0b011.
  const Symbols stream = {2, 5, 6, 3, 0, 0x00, 0x94, 0x09, 0x00};
  EXPECT_EQ(rans_encode(Symbols{5, 5, 5, 6}), stream);
  EXPECT_EQ(decoded(stream, 4), (Symbols{5, 5, 5, 6}));
}

TEST(Rans, OneSymbolIsItsStatistics) {
  EXPECT_EQ(rans_encode(Symbols(1000, 9)).size(), 3u);
  EXPECT_EQ(decoded(rans_encode(Symbols(1000, 9)), 1000), Symbols(1000, 9));
  EXPECT_TRUE(rans_encode(Symbols{}).empty());
}

TEST(Rans, AStreamExplainsTheMemoryItNeeds) {
  for (size_t count : {size_t{98303}, size_t{131071}, size_t{131072}, size_t{3} << 20})
    for (uint8_t symbol : {uint8_t{0}, uint8_t{255}}) {
      Symbols symbols(count, symbol);
      EXPECT_EQ(decoded(rans_encode(symbols), count), symbols);
      EXPECT_LE(count / kRansMostSymbolsPerByte, rans_encode(symbols).size());
      symbols[count / 2] = 7;
      EXPECT_LE(count / kRansMostSymbolsPerByte, rans_encode(symbols).size());
    }
}

/// The vector decoder and the definition, on the same block.
TEST(Rans, VectorsGiveWhatTheDefinitionGives) {
  const Symbols symbols = bell(100000, 6, 3), stream = rans_encode(symbols);
  std::span<const uint8_t> rest(stream);
  const RansStatistics statistics = read_statistics(rest);
  ASSERT_EQ(rest[0], 5);
  RansTable table;
  fill_table(statistics, 0, table);
  RansCursor cursor;
  std::memcpy(cursor.states.data(), rest.data() + 1, 4 * kRansMostLanes);
  Symbols first(symbols.size()), second(symbols.size());
  cursor.words = rest.subspan(1 + 4 * kRansMostLanes);
  cursor.symbols = first;
  RansCursor other = cursor;
  other.symbols = second;
  rans_decode_vectors(table, cursor);
  EXPECT_LT(cursor.symbols.size(), 200u);  // nearly all in vectors
  rans_decode_scalar(table, kRansMostLanes, cursor);
  rans_decode_scalar(table, kRansMostLanes, other);
  EXPECT_EQ(first, second);
  EXPECT_EQ(first, symbols);
}

/// Whatever is done to a stream, decoding ends with an error or some symbols, inside its bytes (the buffers are exact,
/// so that a sanitizer sees one byte too far).
TEST(Rans, DamagedStreamsAreReadSafely) {
  for (size_t count : {size_t{500}, size_t{20000}, size_t{70000}}) {
    const Symbols stream = rans_encode(bell(count, 3, 5));
    Random random(6);
    int refused = 0;
    constexpr int kTrials = 300;
    for (int trial = 0; trial < kTrials; ++trial) {
      Symbols damaged(stream.begin(), stream.end());
      if (trial % 3 == 0) damaged.resize(static_cast<size_t>(random.uniform() * static_cast<double>(stream.size())));
      const size_t where = trial % 2 == 0 ? std::min<size_t>(40, damaged.size()) : damaged.size();
      if (where > 0) damaged[static_cast<size_t>(random.uniform() * static_cast<double>(where))] ^= 1 << (trial % 8);
      damaged.shrink_to_fit();
      try {
        decoded(damaged, count);
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::bad_file);
        ++refused;
      }
    }
    EXPECT_GT(refused, kTrials * 9 / 10);
  }
}

TEST(Rans, InconsistentStatisticsAreRefused) {
  for (const Symbols& stream :
       {Symbols{}, Symbols{2, 5}, Symbols{0, 5, 6, 3, 0}, Symbols{13, 5, 6, 3, 0}, Symbols{2, 6, 5, 3, 0},
        Symbols{2, 5, 6, 4, 0}, Symbols{2, 5, 6, 0, 0}, Symbols{2, 5, 6, 7, 0}, Symbols{2, 5, 6, 11, 0},
        Symbols{2, 5, 5, 0}, Symbols{2, 5, 6, 3}, Symbols{2, 5, 6, 3, 1}})
    EXPECT_THROW(decoded(stream, 4), Error);
  EXPECT_THROW(decoded({1, 2, 2}, 0), Error);
}

}  // namespace
}  // namespace lowbit
