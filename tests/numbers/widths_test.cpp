#include "lowbit/numbers/widths.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "lowbit/numbers/packing.h"

namespace lowbit {
namespace {

std::set<std::string> names_of_width(int bits) {
  std::set<std::string> names;
  for (const NumberFormat& format : formats_of_width(bits)) names.insert(to_string(format));
  return names;
}

TEST(Widths, EverySystemOfAWidthIsOfferedOnce) {
  const std::set<std::string> four = names_of_width(4);
  for (const char* name : {"int4", "int4-asym", "log4", "log4-2", "pot2-4", "exp4", "mulaw4", "power4", "piecewise4",
                           "codebook4", "vq-2x256", "nf4", "fp4-e2m1", "mxfp4", "nvfp4"})
    EXPECT_TRUE(four.contains(name)) << name;
  EXPECT_EQ(formats_of_width(4).size(), four.size());
  EXPECT_TRUE(names_of_width(3).contains("vq-4x4096"));
  EXPECT_TRUE(names_of_width(1).contains("vq-8x256"));
  EXPECT_TRUE(names_of_width(1).contains("binary"));
  EXPECT_TRUE(names_of_width(2).contains("ternary"));
  EXPECT_TRUE(names_of_width(8).contains("fp8-e4m3"));
}

TEST(Widths, EverySystemOfTheTableHasAWidthThatOffersIt) {
  std::set<std::string_view> offered;
  for (int bits = 1; bits <= 16; ++bits)
    for (const NumberFormat& format : formats_of_width(bits)) {
      offered.insert(format.system->name);
      EXPECT_EQ(format.bits, bits * format.vector_size) << to_string(format);
    }
  for (const NumberSystem* system : number_systems()) {
    if (system->name == "uint") continue;  // the levels of int with a fitted zero point
    EXPECT_TRUE(offered.contains(system->name)) << system->name;
  }
}

TEST(Widths, StoredBitsCountCodesAndParameters) {
  const std::vector<int64_t> dims = {8, 20};
  const auto bits = [&](const char* name, const char* granularity) {
    return stored_bits(parse_number_format(name), parse_granularity(granularity), dims);
  };
  EXPECT_EQ(bits("int4", "channel"), 160 * 4 + 8 * 32);
  EXPECT_EQ(bits("int4-asym", "tensor"), 160 * 4 + 32 + 4);
  EXPECT_EQ(bits("int3", "group:16"), 160 * 3 + 16 * 32);
  EXPECT_EQ(bits("ternary", "tensor"), 8 * 32 + 32);
  EXPECT_EQ(bits("codebook2", "tensor"), 160 * 2 + 4 * 32);
  EXPECT_EQ(bits("vq-4x16", "tensor"), 8 * 5 * 4 + 16 * 4 * 32);
  EXPECT_EQ(bits("mxfp4", "group:32"), 160 * 4 + 8 * 8);
  EXPECT_EQ(bits("float16", "tensor"), 160 * 16);
}

TEST(Widths, GranularitiesAreTheSystemsOwnOrAllThatDiffer) {
  const std::vector<int64_t> wide = {4, 100}, narrow = {4, 9}, row = {1, 9};
  const auto names = [](const char* format, const std::vector<int64_t>& dims) {
    std::vector<std::string> result;
    for (const Granularity& g : granularities_for(parse_number_format(format), dims, 0)) result.push_back(to_string(g));
    return result;
  };
  EXPECT_EQ(names("int4", wide), (std::vector<std::string>{"channel", "group:32", "tensor"}));
  EXPECT_EQ(names("int4", narrow), (std::vector<std::string>{"channel", "tensor"}));
  EXPECT_EQ(names("int4", row), (std::vector<std::string>{"channel"}));
  EXPECT_EQ(names("mxfp4", wide), (std::vector<std::string>{"group:32"}));
  EXPECT_EQ(names("exp4", wide), (std::vector<std::string>{"channel", "tensor"}));
  EXPECT_EQ(names("vq-2x4", {64, 100}), (std::vector<std::string>{"tensor"}));
  EXPECT_TRUE(names("vq-2x256", wide).empty()) << "its table is larger than the codes";
  EXPECT_EQ(names("float16", wide), (std::vector<std::string>{"tensor"}));
}

}  // namespace
}  // namespace lowbit
