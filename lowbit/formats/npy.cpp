#include "lowbit/formats/npy.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <memory>
#include <vector>

#include <archive.h>
#include <archive_entry.h>
#include <fmt/format.h>

#include "lowbit/base/checked.h"
#include "lowbit/base/text.h"
#include "lowbit/formats/npy_header.h"

namespace lowbit {
namespace {

static_assert(std::endian::native == std::endian::little, "arrays are mapped as they lie in the file");

constexpr int64_t kRatioFreeBytes = int64_t{64} << 20;
constexpr int64_t kMaxRatio = 100;

void swap_bytes(std::byte* data, int64_t count, size_t width) {
  for (int64_t i = 0; i < count; ++i) std::reverse(data + i * width, data + (i + 1) * width);
}

/// Column-major to row-major: walks the target in order and steps through the source.
Tensor from_fortran_order(const Tensor& source, const Dims& dims) {
  Tensor result = Tensor::uninitialized(source.dtype(), dims);
  if (result.count() == 0) return result;
  const size_t width = dtype_bytes(source.dtype());
  const std::byte* from = source.raw().data();
  std::byte* to = result.mutable_raw();
  Dims strides(dims.size());
  int64_t stride = 1;
  for (size_t axis = 0; axis < dims.size(); ++axis) {
    strides[axis] = stride;
    stride *= dims[axis];
  }
  Dims index(dims.size(), 0);
  int64_t offset = 0;
  for (int64_t i = 0; i < result.count(); ++i) {
    std::memcpy(to + static_cast<size_t>(i) * width, from + static_cast<size_t>(offset) * width, width);
    for (size_t axis = dims.size(); axis-- > 0;) {
      offset += strides[axis];
      if (++index[axis] < dims[axis]) break;
      offset -= strides[axis] * dims[axis];
      index[axis] = 0;
    }
  }
  return result;
}

Tensor copy_of(DType type, const Dims& dims, Bytes data) {
  Tensor copy = Tensor::uninitialized(type, dims);
  if (!data.empty()) std::memcpy(copy.mutable_raw(), data.data(), data.size());
  return copy;
}

/// A bool is 0 or 1 in memory: any other byte would be undefined behaviour where it is read as a bool.
void check_bools(Bytes data, const std::string& path) {
  const auto bad = std::find_if(data.begin(), data.end(), [](std::byte b) { return std::to_integer<int>(b) > 1; });
  if (bad != data.end())
    throw Error(ErrorCode::bad_file, fmt::format("element {} of a bool array is neither 0 nor 1", bad - data.begin()),
                path);
}

struct ArchiveClose {
  void operator()(archive* a) const { archive_read_free(a); }
};

std::string archive_reason(archive* a) {
  const char* text = archive_error_string(a);
  return text ? printable(text, 120) : "unknown reason";
}

/// All bytes of the current entry, at most `most`.
std::vector<std::byte> read_entry(archive* a, const std::string& name, int64_t most, const std::string& path) {
  constexpr size_t kStep = size_t{1} << 20;
  std::vector<std::byte> data;
  while (true) {
    const size_t before = data.size();
    data.resize(before + kStep);
    const la_ssize_t got = archive_read_data(a, data.data() + before, kStep);
    if (got < 0)
      throw Error(ErrorCode::bad_file, fmt::format("array '{}' cannot be unpacked: {}", name, archive_reason(a)), path);
    data.resize(before + static_cast<size_t>(got));
    if (got == 0) break;
    if (static_cast<int64_t>(data.size()) > most)
      throw Error(ErrorCode::bad_file,
                  fmt::format("array '{}' unpacks to more than {} (at most 4 GiB in all, and 100 times the file above "
                              "64 MiB, are read)",
                              name, bytes_text(most)),
                  path);
  }
  return data;
}

}  // namespace

Tensor read_npy(Bytes bytes, const std::string& path, std::shared_ptr<const MappedFile> file) {
  const NpyHeader header = parse_npy_header(bytes, path);
  const Bytes data = bytes.subspan(header.data_offset);
  const size_t width = dtype_bytes(header.dtype);
  const int64_t wanted = checked_mul(element_count(header.dims), static_cast<int64_t>(width));
  if (wanted != static_cast<int64_t>(data.size()))
    throw Error(ErrorCode::bad_file,
                fmt::format("an array {} of {} takes {} bytes, but {} follow the header at offset {} (the file is {})",
                            dims_text(header.dims), dtype_name(header.dtype), wanted, data.size(), header.data_offset,
                            wanted > static_cast<int64_t>(data.size()) ? "cut off" : "damaged"),
                path);
  if (header.dtype == DType::bool_) check_bools(data, path);
  const bool aligned = reinterpret_cast<uintptr_t>(data.data()) % width == 0;
  const bool as_is = !header.big_endian && !header.fortran_order && aligned;
  if (as_is && file) return Tensor::view(header.dtype, header.dims, data, std::move(file));
  Tensor tensor = copy_of(header.dtype, header.dims, data);
  if (header.big_endian) swap_bytes(tensor.mutable_raw(), tensor.count(), width);
  return header.fortran_order ? from_fortran_order(tensor, header.dims) : tensor;
}

std::map<std::string, Tensor> read_npz(Bytes bytes, const std::string& path, int64_t budget_bytes) {
  std::unique_ptr<archive, ArchiveClose> reader(archive_read_new());
  if (!reader) throw Error(ErrorCode::out_of_memory, "no memory for the zip reader", path);
  archive_read_support_format_zip_seekable(reader.get());
  if (archive_read_open_memory(reader.get(), bytes.data(), bytes.size()) != ARCHIVE_OK)
    throw Error(ErrorCode::bad_file, "is no readable zip archive: " + archive_reason(reader.get()), path);
  const int64_t size = static_cast<int64_t>(bytes.size());
  const int64_t ratio_limit =
      std::max(kRatioFreeBytes, size > budget_bytes / kMaxRatio ? budget_bytes : size * kMaxRatio);
  int64_t left = std::min(budget_bytes, ratio_limit);
  std::map<std::string, Tensor> arrays;
  while (true) {
    archive_entry* entry = nullptr;
    const int status = archive_read_next_header(reader.get(), &entry);
    if (status == ARCHIVE_EOF) break;
    if (status < ARCHIVE_WARN)
      throw Error(ErrorCode::bad_file, "the zip archive is damaged: " + archive_reason(reader.get()), path);
    const char* raw_name = archive_entry_pathname(entry);
    std::string name = raw_name ? raw_name : "";
    const std::string shown = printable(name, 80);
    if (!name.ends_with(".npy"))
      throw Error(ErrorCode::bad_file,
                  fmt::format("entry '{}' is no .npy array (an .npz archive holds nothing else)", shown), path);
    name.resize(name.size() - 4);
    const std::vector<std::byte> data = read_entry(reader.get(), shown, left, path);
    left -= static_cast<int64_t>(data.size());
    Tensor array = read_npy(data, fmt::format("{}: array '{}'", path, shown));
    if (!arrays.emplace(name, std::move(array)).second)
      throw Error(ErrorCode::bad_file, fmt::format("there are two arrays named '{}'", shown), path);
  }
  return arrays;
}

Tensor load_npy(const std::string& path) {
  const auto file = MappedFile::open(path);
  return read_npy(file->bytes(), path, file);
}

std::map<std::string, Tensor> load_npz(const std::string& path) {
  return read_npz(MappedFile::open(path)->bytes(), path);
}

void write_npy(const Tensor& tensor, ByteSink& sink) {
  sink.write(npy_header_text(tensor.dtype(), tensor.dims()));
  sink.write(tensor.raw());
}

void save_npy(const Tensor& tensor, const std::string& path) {
  AtomicFile file(path);
  write_npy(tensor, file);
  file.commit();
}

}  // namespace lowbit
