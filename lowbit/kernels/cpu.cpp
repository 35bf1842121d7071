#include "lowbit/kernels/cpu.h"

#include <cstdlib>
#include <string>

#include "lowbit/base/error.h"

#if defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif

namespace lowbit::kernels {
namespace {

#if defined(__x86_64__)
constexpr bool kX86 = true, kArm = false;

bool has_avx2() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
}
#ifdef LOWBIT_EMULATED  // the tests on machines without AVX-512: its instructions in plain C++
bool has_avx512() { return has_avx2(); }
bool has_avx512vnni() { return has_avx2(); }
bool has_vbmi() { return false; }
#else
bool has_avx512() {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
}
bool has_avx512vnni() { return has_avx512() && __builtin_cpu_supports("avx512vnni"); }
bool has_vbmi() { return has_avx512() && __builtin_cpu_supports("avx512vbmi"); }
#endif
bool has_neon() { return false; }
bool has_neondot() { return false; }
#elif defined(__aarch64__)
constexpr bool kX86 = false, kArm = true;

bool has_avx2() { return false; }
bool has_avx512() { return false; }
bool has_avx512vnni() { return false; }
bool has_vbmi() { return false; }
bool has_neon() { return true; }
bool has_neondot() {
  constexpr unsigned long kAsimdDotProduct = 1UL << 20;  // HWCAP_ASIMDDP
  return (getauxval(AT_HWCAP) & kAsimdDotProduct) != 0;
}
#else
constexpr bool kX86 = false, kArm = false;

bool has_avx2() { return false; }
bool has_avx512() { return false; }
bool has_avx512vnni() { return false; }
bool has_vbmi() { return false; }
bool has_neon() { return false; }
bool has_neondot() { return false; }
#endif

}  // namespace

std::span<const IsaRow> isa_table() {
  static const IsaRow rows[] = {
      {Isa::ref, "ref", "plain C++, every machine", true, true},
      {Isa::avx2, "avx2", "AVX2, FMA and F16C", kX86, has_avx2()},
      {Isa::avx512, "avx512", "AVX-512 F, BW, VL, DQ", kX86, has_avx512()},
      {Isa::avx512vnni, "avx512vnni", "AVX-512 with VNNI", kX86, has_avx512vnni()},
      {Isa::neon, "neon", "64-bit Arm", kArm, has_neon()},
      {Isa::neondot, "neondot", "64-bit Arm with dot product", kArm, has_neondot()},
  };
  return rows;
}

const IsaRow& isa_row(Isa isa) { return isa_table()[static_cast<size_t>(isa)]; }

Isa parse_isa(std::string_view text) {
  const auto rows = isa_table();
  if (text.empty()) {
    for (size_t i = rows.size(); i-- > 0;)
      if (rows[i].supported) return rows[i].isa;
  }
  std::string known;
  for (const IsaRow& row : rows) {
    if (row.name == text && row.supported) return row.isa;
    if (row.supported) known.append(known.empty() ? "" : ", ").append(row.name);
    if (row.name == text)
      throw Error(ErrorCode::bad_argument,
                  "this machine does not have the instruction set '" + std::string(text) + "' (" +
                      std::string(row.summary) + "); unset the variable for the best one",
                  "LOWBIT_ISA");
  }
  throw Error(ErrorCode::bad_argument, "unknown instruction set '" + std::string(text) + "' (here: " + known + ")",
              "LOWBIT_ISA");
}

Isa active_isa() {
  static const Isa isa = [] {
    const char* wanted = std::getenv("LOWBIT_ISA");
    return parse_isa(wanted ? wanted : "");
  }();
  return isa;
}

bool has_avx512_vbmi() { return has_vbmi(); }

}  // namespace lowbit::kernels
