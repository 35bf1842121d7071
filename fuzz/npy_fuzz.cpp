// Any bytes are an array (then it is written and read back equal), an archive of arrays, or one of our errors.
#include "lowbit/formats/npy.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace lowbit;
  const Bytes bytes = std::as_bytes(std::span(data, size));
  try {
    read_npz(bytes, "fuzz", int64_t{1} << 20);
  } catch (const Error& error) {
    LOWBIT_CHECK(error.code() != ErrorCode::internal);
  }
  Tensor array;
  try {
    array = read_npy(bytes, "fuzz");
  } catch (const Error& error) {
    LOWBIT_CHECK(error.code() != ErrorCode::internal);
    return 0;
  }
  StringSink written;
  write_npy(array, written);
  LOWBIT_CHECK(identical(read_npy(std::as_bytes(std::span(written.text)), "again"), array));
  return 0;
}
