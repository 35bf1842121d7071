#include "lowbit/runtime/plan/lowbit_blob.h"

#include <cmath>
#include <cstring>

namespace lowbit::plan {
namespace {

using kernels::LowbitCoding;
using kernels::LowbitMatrix;

/// First bytes of an entry.
struct alignas(64) Header {
  int64_t n, k, group;
  int32_t zero, step;
  uint8_t coding, has_zeros, has_scales, has_offsets, has_real_levels;
  int8_t table[16];
  float real_levels[16];
};

/// Where the parts of an entry lie; they follow from the header alone.
struct Layout {
  size_t codes = sizeof(Header), scales, zeros, offsets, bytes;

  explicit Layout(const Header& h) {
    LowbitMatrix m;
    m.n = h.n;
    m.k = h.k;
    m.group = h.group;
    const auto parameters = static_cast<size_t>(m.blocks() * m.groups() * kernels::kLowbitRows);
    scales = codes + blob_aligned(kernels::lowbit_code_bytes(static_cast<LowbitCoding>(h.coding), h.n, h.k));
    zeros = scales + (h.has_scales ? blob_aligned(parameters * sizeof(float)) : 0);
    offsets = zeros + (h.has_zeros ? blob_aligned(parameters) : 0);
    bytes = offsets + (h.has_offsets ? static_cast<size_t>(m.blocks() * kernels::kLowbitRows) * sizeof(float) : 0);
  }
};

/// Whether the numbers of a header from a file can be worked with.
bool is_sound(const Header& h, const LowbitForm& form) {
  const bool grouped = h.group < h.k;
  return h.n == form.n && h.k == form.k && h.group > 0 && (!grouped || h.group % kernels::kLowbitChunk == 0) &&
         (!grouped || form.scales) && h.coding < kernels::kLowbitCodings && h.zero >= 0 && h.zero <= 255 &&
         (h.step == 1 || h.step == 2) && h.has_zeros <= 1 && h.has_scales == form.scales &&
         h.has_offsets == form.offsets && h.has_real_levels <= (form.real_levels ? 1 : 0);
}

}  // namespace

std::optional<LowbitEntry> open_lowbit(const Blob& blob, const LowbitForm& form) {
  if (blob.size < sizeof(Header)) return std::nullopt;
  const Header& h = *blob.at<Header>();
  if (!is_sound(h, form)) return std::nullopt;
  const Layout layout(h);
  if (layout.bytes != blob.size) return std::nullopt;
  LowbitEntry entry;
  LowbitMatrix& m = entry.matrix;
  m.coding = static_cast<LowbitCoding>(h.coding);
  m.n = h.n;
  m.k = h.k;
  m.group = h.group;
  m.zero = h.zero;
  m.step = h.step;
  m.codes = blob.at<uint8_t>(layout.codes);
  if (h.has_scales) m.scales = blob.at<float>(layout.scales);
  if (h.has_zeros) m.zeros = blob.at<uint8_t>(layout.zeros);
  if (h.has_offsets) m.offsets = blob.at<float>(layout.offsets);
  if (m.coding == LowbitCoding::table) m.table = h.table;
  if (h.has_real_levels) entry.real_levels = h.real_levels;
  return entry;
}

std::optional<Blob> make_lowbit(const LevelMatrix& matrix, const std::vector<int64_t>& row_of, const LowbitForm& form,
                                std::string& why) {
  const auto coding = narrowest_coding(matrix, why);
  if (!coding) return std::nullopt;
  if (!form.real_levels && !matrix.real_levels.empty()) return why = "its levels are no integers", std::nullopt;
  if (!form.scales && matrix.groups() > 1) return why = "its weight scales vary inside an output channel", std::nullopt;
  Header h{};
  h.n = form.n;
  h.k = form.k;
  h.group = matrix.group;
  h.zero = coding->zero;
  h.step = coding->step;
  h.coding = static_cast<uint8_t>(coding->coding);
  h.has_zeros = matrix.zeros.empty() ? 0 : 1;
  h.has_scales = form.scales;
  h.has_offsets = form.offsets;
  h.has_real_levels = matrix.real_levels.empty() ? 0 : 1;
  std::copy(coding->table.begin(), coding->table.end(), h.table);
  std::copy(matrix.real_levels.begin(), matrix.real_levels.end(), h.real_levels);
  const Layout layout(h);
  const std::shared_ptr<std::byte> bytes = allocate_aligned(layout.bytes);
  std::memcpy(bytes.get(), &h, sizeof h);
  const auto at = [&](size_t offset) { return bytes.get() + offset; };
  write_packed(matrix, *coding, row_of,
               {reinterpret_cast<uint8_t*>(at(layout.codes)),
                form.scales ? reinterpret_cast<float*>(at(layout.scales)) : nullptr,
                reinterpret_cast<uint8_t*>(at(layout.zeros))});
  const Blob blob{bytes, layout.bytes};
  if (form.offsets)
    kernels::lowbit_row_offsets(open_lowbit(blob, form)->matrix, reinterpret_cast<float*>(at(layout.offsets)));
  return blob;
}

}  // namespace lowbit::plan
