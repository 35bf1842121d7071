// Any bytes are an entropy-coded stream or Error{bad_file}; both decoders agree. The first two bytes say how many
// symbols to ask for.
#include <vector>

#include "lowbit/base/error.h"
#include "lowbit/coding/rans.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace lowbit;
  if (size < 2) return 0;
  const size_t count = 4 * (data[0] + size_t{256} * data[1]);
  const std::vector<uint8_t> stream(data + 2, data + size);
  std::vector<uint8_t> symbols(count);
  try {
    rans_decode(stream, symbols);
  } catch (const Error& error) {
    LOWBIT_CHECK(error.code() == ErrorCode::bad_file);
    return 0;
  }
  // A stream that was accepted has symbols, which have a stream.
  std::vector<uint8_t> again(count);
  rans_decode(rans_encode(symbols), again);
  LOWBIT_CHECK(again == symbols);
  return 0;
}
