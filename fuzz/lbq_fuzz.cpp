// Any bytes are a container, which is then written and read back, or one of our errors. Random bytes do not get past
// the checksums, so these are made right first.
#include "lowbit/core/weights.h"
#include "lowbit/formats/lbq/lbq.h"
#include "tests/formats/lbq_reseal.h"

namespace {

using lowbit::Bytes;

/// What a runtime does with a model it was given, as far as memory goes: every code is looked up.
void use(const lowbit::Graph& graph) {
  for (const lowbit::Value& value : graph.values)
    if (value.constant && value.constant->count() < 100000 && is_annotated_constant(value)) weight_values(value);
}

void read(const std::string& bytes) {
  using namespace lowbit;
  Model model;
  StringSink written;
  try {
    const auto container = lbq::Container::open(std::as_bytes(std::span(bytes.data(), bytes.size())), nullptr);
    container.named_sections();
    model = container.read_model();
    use(model.graph);
    lbq::write_model(model, written);
  } catch (const Error& error) {
    LOWBIT_CHECK(error.code() != ErrorCode::internal);
    return;
  }
  // What was written is sound, and the same again: an error here is a bug and ends the run.
  const Model again =
      lbq::Container::open(std::as_bytes(std::span(written.text.data(), written.text.size())), nullptr).read_model();
  StringSink twice;
  lbq::write_model(again, twice);
  LOWBIT_CHECK(twice.text == written.text);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string bytes(reinterpret_cast<const char*>(data), size);
  read(bytes);
  lowbit::testing::reseal(bytes);
  read(bytes);
  return 0;
}
