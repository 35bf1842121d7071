#include "lowbit/coding/rans.h"

#include <algorithm>
#include <cmath>
#include <memory>

#include "lowbit/base/error.h"
#include "lowbit/coding/rans_decode.h"

namespace lowbit {
namespace {

/// Each state costs two bytes more than the information it holds, so short streams have few: below 0.3 % of what they
/// code.
int lanes_log2(size_t symbols) { return symbols < 8192 ? 0 : symbols < 65536 ? 2 : 5; }

constexpr size_t kConstantBytes = 3;  // of a stream that is its statistics and nothing else

/// Many equal symbols are coded as if another one could come: a few bytes more than naming the symbol once, but a small
/// file cannot claim any amount of memory.
void add_neighbour(RansStatistics& statistics) {
  const uint8_t symbol = statistics.first;
  const auto other = static_cast<uint8_t>(symbol == 255 ? 254 : symbol + 1);
  statistics.precision = kRansBits;
  statistics.frequency[symbol] = kRansTotal - 1;
  statistics.frequency[other] = 1;
  statistics.first = std::min(symbol, other);
  statistics.last = std::max(symbol, other);
}

Error damaged(const char* what) {
  return Error(ErrorCode::bad_file, std::string("entropy-coded weights ") + what + " (the file is damaged)");
}

void append_u32(std::vector<uint8_t>& bytes, uint32_t value) {
  for (int shift = 0; shift < 32; shift += 8) bytes.push_back(static_cast<uint8_t>(value >> shift));
}

uint32_t read_u32(const uint8_t* bytes) {
  return static_cast<uint32_t>(bytes[0]) | static_cast<uint32_t>(bytes[1]) << 8 |
         static_cast<uint32_t>(bytes[2]) << 16 | static_cast<uint32_t>(bytes[3]) << 24;
}

struct EncoderEntry {
  uint64_t inverse;  ///< ceil(2^64 / frequency): floor(x * inverse / 2^64) is floor(x / frequency) for 32-bit x, since
                     ///< the frequency has 12 bits
  uint32_t frequency, start, most;  ///< states of `most` or more emit a word first
};

using EncoderTable = std::array<EncoderEntry, 256>;

EncoderTable encoder_table(const RansStatistics& statistics) {
  EncoderTable table{};
  uint32_t start = 0;
  for (int s = statistics.first; s <= statistics.last; ++s) {
    const uint32_t frequency = statistics.scaled(s);
    if (frequency == 0) continue;
    const uint64_t inverse = frequency == 1 ? UINT64_MAX : UINT64_MAX / frequency + 1;
    table[static_cast<size_t>(s)] = {inverse, frequency, start, frequency << 20};
    start += frequency;
  }
  return table;
}

uint32_t divide(uint32_t x, const EncoderEntry& by) {
  if (by.frequency == 1) return x;
  return static_cast<uint32_t>(static_cast<unsigned __int128>(x) * by.inverse >> 64);
}

/// Appends one block. Symbols are taken from the last to the first, since decoding undoes the latest step first.
void encode_block(const EncoderTable& table, std::span<const uint8_t> symbols, size_t lanes,
                  std::vector<uint8_t>& bytes) {
  std::array<uint32_t, kRansMostLanes> states;
  states.fill(kRansLow);
  // One word more than there can be, because a word is written before it is known whether it is needed.
  std::vector<uint16_t> words(symbols.size() + 1);
  uint16_t* first = words.data() + words.size();
  for (size_t i = symbols.size(); i-- > 0;) {
    const EncoderEntry& entry = table[symbols[i]];
    uint32_t x = states[i & (lanes - 1)];
    const bool emits = x >= entry.most;
    first[-1] = static_cast<uint16_t>(x);
    first -= emits;
    x >>= emits ? 16 : 0;
    const uint32_t quotient = divide(x, entry);
    states[i & (lanes - 1)] = quotient * kRansTotal + (x - quotient * entry.frequency) + entry.start;
  }
  for (size_t lane = 0; lane < lanes; ++lane) append_u32(bytes, states[lane]);
  for (; first != words.data() + words.size(); ++first) {
    bytes.push_back(static_cast<uint8_t>(*first));
    bytes.push_back(static_cast<uint8_t>(*first >> 8));
  }
}

void decode_block(const RansTable& table, std::span<const uint8_t> bytes, size_t lanes, std::span<uint8_t> symbols) {
  if (bytes.size() < 4 * lanes) throw damaged("have no room for their states");
  RansCursor cursor;
  for (size_t lane = 0; lane < lanes; ++lane) {
    cursor.states[lane] = read_u32(bytes.data() + 4 * lane);
    if (cursor.states[lane] < kRansLow) throw damaged("begin with an impossible state");
  }
  cursor.symbols = symbols;
  cursor.words = bytes.subspan(4 * lanes);
  if (lanes == kRansMostLanes) rans_decode_vectors(table, cursor);
  rans_decode_scalar(table, lanes, cursor);
  const auto ended = [](uint32_t state) { return state == kRansLow; };
  if (!cursor.words.empty() || !std::all_of(cursor.states.begin(), cursor.states.begin() + lanes, ended))
    throw damaged("do not end where they should");
}

}  // namespace

std::vector<uint8_t> rans_encode(std::span<const uint8_t> symbols) {
  std::vector<uint8_t> bytes;
  if (symbols.empty()) return bytes;
  RansStatistics statistics = choose_statistics(count_symbols(symbols));
  if (statistics.constant() && symbols.size() / kRansMostSymbolsPerByte > kConstantBytes) add_neighbour(statistics);
  write_statistics(statistics, bytes);
  if (statistics.constant()) return bytes;
  const int log2 = lanes_log2(symbols.size());
  bytes.push_back(static_cast<uint8_t>(log2));
  const EncoderTable table = encoder_table(statistics);
  const size_t blocks = (symbols.size() + kRansBlock - 1) / kRansBlock;
  const size_t sizes = bytes.size();
  if (blocks > 1) bytes.resize(sizes + 4 * blocks);
  for (size_t b = 0; b < blocks; ++b) {
    const size_t begin = bytes.size();
    encode_block(table, symbols.subspan(b * kRansBlock, std::min(kRansBlock, symbols.size() - b * kRansBlock)),
                 size_t{1} << log2, bytes);
    if (blocks == 1) break;
    const auto size = static_cast<uint32_t>(bytes.size() - begin);
    for (size_t k = 0; k < 4; ++k) bytes[sizes + 4 * b + k] = static_cast<uint8_t>(size >> (8 * k));
  }
  return bytes;
}

void rans_decode(std::span<const uint8_t> stream, std::span<uint8_t> symbols, uint8_t add) {
  if (symbols.empty()) {
    if (!stream.empty()) throw damaged("have no symbols");
    return;
  }
  const RansStatistics statistics = read_statistics(stream);
  if (statistics.constant()) {
    if (!stream.empty()) throw damaged("do not end where they should");
    std::fill(symbols.begin(), symbols.end(), static_cast<uint8_t>(statistics.first + add));
    return;
  }
  if (stream.empty() || (stream[0] != 0 && stream[0] != 2 && stream[0] != 5)) throw damaged("have no such states");
  const size_t lanes = size_t{1} << stream[0];
  stream = stream.subspan(1);
  const size_t blocks = (symbols.size() + kRansBlock - 1) / kRansBlock;
  const uint8_t* sizes = stream.data();
  if (blocks > 1) {
    if (stream.size() / 4 < blocks) throw damaged("end too early");
    stream = stream.subspan(4 * blocks);
  }
  const auto table = std::make_unique<RansTable>();
  fill_table(statistics, add, *table);
  for (size_t b = 0; b < blocks; ++b) {
    const size_t size = blocks > 1 ? read_u32(sizes + 4 * b) : stream.size();
    if (size > stream.size()) throw damaged("end too early");
    decode_block(*table, stream.first(size), lanes,
                 symbols.subspan(b * kRansBlock, std::min(kRansBlock, symbols.size() - b * kRansBlock)));
    stream = stream.subspan(size);
  }
  if (!stream.empty()) throw damaged("do not end where they should");
}

double empirical_entropy_bits(std::span<const uint8_t> symbols) {
  double bits = 0;
  for (const uint64_t count : count_symbols(symbols))
    if (count > 0)
      bits += static_cast<double>(count) * std::log2(static_cast<double>(symbols.size()) / static_cast<double>(count));
  return bits;
}

}  // namespace lowbit
