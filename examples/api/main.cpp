// What `lowbit quantize MODEL -o OUTPUT --data DATA` does, as a program of its own.
#include <lowbit/lowbit.h>

#include <cstdio>

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: quantize_example MODEL DATA OUTPUT\n");
    return 2;
  }
  try {
    lowbit::ThreadPool threads;
    const lowbit::Model model = lowbit::open_model(argv[1]);
    const auto data = lowbit::open_data(argv[2], {});
    lowbit::Recipe recipe;
    recipe.weights = "int8";
    recipe.samples = 128;
    const lowbit::QuantizeResult result = lowbit::quantize(model, data.get(), recipe, threads);
    const int64_t bytes = lowbit::save_quantized(result.model, argv[3], threads);
    for (const std::string& note : result.notes) std::printf("note: %s\n", note.c_str());
    std::printf("%s: %lld bytes instead of %lld, %.1f %% of the multiply-adds in integers\n", argv[3],
                static_cast<long long>(bytes), static_cast<long long>(model.file_bytes),
                100 * result.coverage.quantized_share_macs);
    return 0;
  } catch (const lowbit::Error& error) {
    std::fprintf(stderr, "quantize_example: error: %s\n", error.what());
    return 4;
  }
}
