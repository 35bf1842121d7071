// cpu.h: which instruction sets the kernels are written for, which of them this machine has, and which one is used.
// Detected once. The environment variable LOWBIT_ISA=ref|avx2|avx512|avx512vnni|neon|neondot takes a lower one, for
// tests, comparisons and bug reports; results are the same bits on each.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace lowbit::kernels {

/// In each family of machines, later is better. `ref` is plain C++ and runs everywhere.
enum class Isa : uint8_t { ref, avx2, avx512, avx512vnni, neon, neondot };

struct IsaRow {
  Isa isa;
  std::string_view name;     ///< as in LOWBIT_ISA
  std::string_view summary;  ///< what it needs of the processor
  bool compiled;             ///< part of this build (the others belong to another family of machines)
  bool supported;            ///< compiled, and this machine has it
};

/// One row per Isa, in its order.
std::span<const IsaRow> isa_table();

/// The row of an instruction set.
const IsaRow& isa_row(Isa isa);

/// The best supported one, or what LOWBIT_ISA names. Throws Error(bad_argument) if that is unknown or not supported
/// here. The variable is read at the first call only.
Isa active_isa();

/// The instruction set that LOWBIT_ISA=`text` means (empty: the best one). Throws as active_isa() does.
Isa parse_isa(std::string_view text);

/// Whether VBMI (byte permutations over two registers) comes with the AVX-512 of this machine.
bool has_avx512_vbmi();

}  // namespace lowbit::kernels
