#include "lowbit/kernels/cpu.h"

#include <gtest/gtest.h>

#include "lowbit/base/error.h"

namespace lowbit::kernels {
namespace {

TEST(Cpu, EveryRowIsAtItsPlaceAndTheReferenceIsAlwaysThere) {
  for (size_t i = 0; i < isa_table().size(); ++i) {
    EXPECT_EQ(static_cast<size_t>(isa_table()[i].isa), i);
    EXPECT_FALSE(isa_table()[i].summary.empty());
    EXPECT_TRUE(isa_table()[i].compiled || !isa_table()[i].supported);
  }
  EXPECT_TRUE(isa_row(Isa::ref).supported);
}

TEST(Cpu, EveryNameIsTakenOrRefusedWithAReason) {
  for (const IsaRow& row : isa_table()) {
    if (row.supported)
      EXPECT_EQ(parse_isa(row.name), row.isa);
    else
      EXPECT_THROW(parse_isa(row.name), Error) << row.name;
  }
  try {
    parse_isa("avx3");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::bad_argument);
    EXPECT_NE(error.message().find("ref"), std::string::npos) << error.message();
  }
}

TEST(Cpu, WithoutAWishTheBestIsTaken) {
  for (const IsaRow& row : isa_table()) EXPECT_TRUE(!row.supported || parse_isa("") >= row.isa);
}

}  // namespace
}  // namespace lowbit::kernels
