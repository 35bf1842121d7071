// The whole way on examples/digits: a trained network, its calibration data and 600 test pictures.
#include "lowbit/api/quantize.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "lowbit/api/runner.h"
#include "lowbit/base/error.h"
#include "lowbit/data/dataset.h"

namespace lowbit {
namespace {

const std::string kDigits = LOWBIT_SOURCE_DIR "/examples/digits/";

std::unique_ptr<DataSet> calibration_data() { return open_data(kDigits + "calib_x.npy", {}); }

std::unique_ptr<DataSet> test_data() {
  DataOptions options;
  options.labels = kDigits + "test_y.npy";
  return open_data(kDigits + "test_x.npy", options);
}

/// Quantized once for all tests that only look at it.
const QuantizeResult& quantized_digits() {
  static const QuantizeResult result = [] {
    ThreadPool threads(2);
    return quantize(open_model(kDigits + "digits.onnx"), calibration_data().get(), Recipe{}, threads);
  }();
  return result;
}

EvaluateRun evaluate(const Model& model, ThreadPool& threads) {
  return evaluate_model(model, "", *test_data(), threads, nullptr);
}

std::vector<Tensor> integer_results(const Graph& graph, int thread_count) {
  ThreadPool threads(thread_count);
  const auto data = test_data();
  return Executor(graph, threads).run_ordered(bind_inputs(graph, data->read(0, data->size())));
}

int64_t annotations(const Graph& graph) {
  return std::count_if(graph.values.begin(), graph.values.end(),
                       [](const Value& value) { return value.quantization.has_value(); });
}

/// A file that goes when the test ends.
struct TemporaryFile {
  std::string path;
  explicit TemporaryFile(const std::string& name) : path(::testing::TempDir() + name) {}
  ~TemporaryFile() { std::filesystem::remove(path); }
};

TEST(QuantizeDigits, AccuracyStaysWithinAPoint) {
  ThreadPool threads(2);
  const double before = evaluate(open_model(kDigits + "digits.onnx"), threads).evaluation.metrics.at("accuracy").value;
  const double after = evaluate(quantized_digits().model, threads).evaluation.metrics.at("accuracy").value;
  EXPECT_GT(before, 0.9);
  EXPECT_GE(after, before - 0.01);
}

TEST(QuantizeDigits, EveryLayerWithWeightsIsLowBit) {
  const QuantizeResult& result = quantized_digits();
  EXPECT_EQ(result.samples, std::min<int64_t>(result.recipe.samples, calibration_data()->size()));
  EXPECT_NE(std::find(result.recipe.methods.begin(), result.recipe.methods.end(), "default"),
            result.recipe.methods.begin());
  EXPECT_EQ(result.coverage.quantized_share_macs, 1.0);
  for (const LayerDecision& layer : result.coverage.layers)
    EXPECT_TRUE(layer.low_bit || !layer.reason.empty()) << layer.name << " stays float without a reason";
  ThreadPool threads(1);
  const Executor executor(result.model.graph, threads);
  for (const StepInfo& step : executor.steps())
    if (step.op == "Conv" || step.op == "Gemm") {
      EXPECT_TRUE(step.integer) << step.node << ": " << step.kernel;
    }
}

TEST(QuantizeDigits, ASavedFileGivesTheSameIntegersOnAnyNumberOfThreads) {
  const TemporaryFile file("lowbit_quantize_test.onnx");
  ThreadPool threads(2);
  const int64_t bytes = save_quantized(quantized_digits().model, file.path, threads);
  EXPECT_EQ(bytes, static_cast<int64_t>(std::filesystem::file_size(file.path)));
  const Model read = open_model(file.path);
  EXPECT_TRUE(is_low_bit(read.graph));
  const auto wanted = integer_results(quantized_digits().model.graph, 1);
  for (int thread_count : {1, 2}) {
    const auto found = integer_results(read.graph, thread_count);
    ASSERT_EQ(found.size(), wanted.size());
    for (size_t i = 0; i < wanted.size(); ++i) EXPECT_TRUE(identical(wanted[i], found[i]));
  }
}

TEST(QuantizeDigits, TheSameRecipeGivesTheSameModel) {
  ThreadPool threads(1);
  const QuantizeResult again =
      quantize(open_model(kDigits + "digits.onnx"), calibration_data().get(), quantized_digits().recipe, threads);
  const Graph &a = quantized_digits().model.graph, &b = again.model.graph;
  EXPECT_EQ(dump(a), dump(b));
  ASSERT_EQ(a.values.size(), b.values.size());
  for (size_t v = 0; v < a.values.size(); ++v) {
    EXPECT_EQ(a.values[v].quantization, b.values[v].quantization) << a.values[v].name;
    if (a.values[v].constant) {
      EXPECT_TRUE(identical(*a.values[v].constant, *b.values[v].constant)) << a.values[v].name;
    }
  }
}

TEST(QuantizeDigits, WithoutDataOnlyTheWeightsAreLowBit) {
  ThreadPool threads(2);
  const Model model = open_model(kDigits + "digits.onnx");
  const QuantizeResult result = quantize(model, nullptr, Recipe{}, threads);
  EXPECT_EQ(result.samples, 0);
  EXPECT_EQ(annotations(result.model.graph), 5);
  for (const Value& value : result.model.graph.values) EXPECT_TRUE(!value.quantization || value.constant) << value.name;
  const double before = evaluate(model, threads).evaluation.metrics.at("accuracy").value;
  EXPECT_GE(evaluate(result.model, threads).evaluation.metrics.at("accuracy").value, before - 0.01);

  const TemporaryFile file("lowbit_weights_only_test.onnx");
  EXPECT_LT(save_quantized(result.model, file.path, threads), model.file_bytes / 2);
}

TEST(QuantizeDigits, DequantizeGivesAFloatModelWithTheLowBitValues) {
  const Model& low_bit = quantized_digits().model;
  const Model plain = dequantize(low_bit);
  EXPECT_GT(annotations(low_bit.graph), 0);
  EXPECT_EQ(annotations(plain.graph), 0);
  for (size_t v = 0; v < low_bit.graph.values.size(); ++v) {
    const Value& value = low_bit.graph.values[v];
    if (!value.constant || !value.quantization) continue;
    EXPECT_TRUE(identical(*plain.graph.values[v].constant, fake_quantize(*value.quantization, *value.constant)))
        << value.name;
  }
  ThreadPool threads(2);
  EXPECT_GT(evaluate(plain, threads).evaluation.metrics.at("accuracy").value, 0.9);
}

TEST(QuantizeDigits, ALowBitModelIsNotQuantizedAgain) {
  ThreadPool threads(1);
  try {
    quantize(quantized_digits().model, nullptr, Recipe{}, threads);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::bad_argument);
    EXPECT_NE(error.message().find("dequantize"), std::string::npos);
  }
}

TEST(PlanQuantization, AgreesWithWhatIsDone) {
  const Coverage plan = plan_quantization(open_model(kDigits + "digits.onnx"), true, Recipe{});
  const Coverage& done = quantized_digits().coverage;
  EXPECT_EQ(plan.quantized_share_macs, done.quantized_share_macs);
  ASSERT_EQ(plan.layers.size(), done.layers.size());
  for (size_t i = 0; i < plan.layers.size(); ++i) {
    EXPECT_EQ(plan.layers[i].name, done.layers[i].name);
    EXPECT_EQ(plan.layers[i].low_bit, done.layers[i].low_bit) << plan.layers[i].name;
    EXPECT_EQ(plan.layers[i].weights, done.layers[i].weights) << plan.layers[i].name;
  }
}

}  // namespace
}  // namespace lowbit
