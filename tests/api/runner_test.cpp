#include "lowbit/api/runner.h"

#include <cmath>

#include <gtest/gtest.h>

#include "lowbit/base/error.h"

namespace lowbit {
namespace {

/// y = x W with W the 3 x 3 identity; the batch is free unless `batch` is given.
Model identity_model(std::optional<int64_t> batch = std::nullopt) {
  Model model;
  Graph& graph = model.graph;
  const Dim rows = batch ? Dim(*batch) : Dim("N");
  const ValueId x = graph.add_value("x", DType::float32, Shape{rows, Dim(3)});
  const ValueId w = graph.add_constant("w", Tensor::from<float>({3, 3}, {1, 0, 0, 0, 1, 0, 0, 0, 1}));
  const ValueId y = graph.add_value("y", DType::float32, Shape{rows, Dim(3)});
  graph.nodes.push_back({"fc", "", "MatMul", {x, w}, {y}, {}});
  graph.inputs = {x};
  graph.outputs = {y};
  return model;
}

/// Rows of three numbers with a label each.
class Rows : public DataSet {
 public:
  Rows(std::vector<float> values, std::vector<int64_t> labels)
      : values_(std::move(values)), labels_(std::move(labels)) {}
  int64_t size() const override { return static_cast<int64_t>(values_.size()) / 3; }
  Batch read(int64_t begin, int64_t count, ThreadPool*) const override {
    Batch batch;
    const std::vector<float> part(values_.begin() + begin * 3, values_.begin() + (begin + count) * 3);
    batch.inputs.emplace_back("", Tensor::from<float>({count, 3}, part));
    if (has_labels()) batch.labels.assign(labels_.begin() + begin, labels_.begin() + begin + count);
    return batch;
  }
  bool has_labels() const override { return !labels_.empty(); }
  const std::vector<std::string>& class_names() const override { return names_; }
  std::string sample_name(int64_t index) const override { return "row " + std::to_string(index); }
  std::string describe() const override { return "rows"; }

 private:
  std::vector<float> values_;
  std::vector<int64_t> labels_;
  std::vector<std::string> names_;
};

Batch batch_of(const char* name, Tensor tensor) {
  Batch batch;
  batch.inputs.emplace_back(name, std::move(tensor));
  return batch;
}

std::string binding_error(const Graph& graph, const Batch& batch) {
  try {
    bind_inputs(graph, batch);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::bad_argument);
    return error.what();
  }
  return "";
}

TEST(BindInputs, TakesTheOnlyArrayWithoutAName) {
  const Model model = identity_model();
  EXPECT_EQ(bind_inputs(model.graph, batch_of("", Tensor(DType::float32, {5, 3}))).at("x").dims(), (Dims{5, 3}));
  EXPECT_EQ(bind_inputs(model.graph, batch_of("x", Tensor(DType::float32, {5, 3}))).at("x").dims(), (Dims{5, 3}));
}

TEST(BindInputs, AddsTheBatchDimensionAndCastsIntegers) {
  const Model model = identity_model();
  const Tensor bound = bind_inputs(model.graph, batch_of("", Tensor::from<uint8_t>({3}, {1, 2, 255}))).at("x");
  EXPECT_EQ(bound.dims(), (Dims{1, 3}));
  EXPECT_EQ(bound.data<float>()[2], 255.0f);
}

TEST(BindInputs, SaysWhatWasGivenAndWhatIsExpected) {
  const Model model = identity_model();
  const std::string wrong_shape = binding_error(model.graph, batch_of("", Tensor(DType::float32, {5, 4})));
  EXPECT_NE(wrong_shape.find("float32[5x4]"), std::string::npos);
  EXPECT_NE(wrong_shape.find("float32[Nx3]"), std::string::npos);
  EXPECT_NE(binding_error(model.graph, batch_of("z", Tensor(DType::float32, {5, 3}))).find("no input 'z'"),
            std::string::npos);
  EXPECT_NE(binding_error(model.graph, Batch{}).find("no array for input 'x'"), std::string::npos);
  EXPECT_NE(
      binding_error(identity_model(1).graph, batch_of("", Tensor(DType::float32, {5, 3}))).find("one sample at a time"),
      std::string::npos);
}

TEST(UsableBatch, IsTheFixedOneOfTheModel) {
  EXPECT_EQ(usable_batch(identity_model().graph, 32), 32);
  EXPECT_EQ(usable_batch(identity_model(1).graph, 32), 1);
}

TEST(EvaluateModel, CountsWhatIsRightWhateverTheBatch) {
  // Largest of the row is the prediction: 0, 1, 2, 2.
  const Rows data({3, 1, 1, 0, 5, 1, 0, 0, 9, 1, 2, 3}, {0, 1, 2, 0});
  ThreadPool threads(1);
  for (const Model& model : {identity_model(), identity_model(1)}) {
    const EvaluateRun run = evaluate_model(model, "m", data, threads, nullptr);
    EXPECT_EQ(run.evaluation.metrics.at("accuracy").value, 0.75);
    EXPECT_EQ(run.predictions, (std::vector<int64_t>{0, 1, 2, 2}));
    EXPECT_EQ(run.evaluation.samples, 4);
    EXPECT_GT(run.evaluation.latency_ms_median, 0);
  }
}

TEST(EvaluateModel, AgreesWithTheReferenceRowByRowForDifferentBatches) {
  const Rows data({3, 1, 1, 0, 5, 1, 0, 0, 9, 1, 2, 3}, {});
  ThreadPool threads(1);
  const EvaluateRun reference = evaluate_model(identity_model(), "a", data, threads, nullptr);
  const EvaluateRun same = evaluate_model(identity_model(1), "b", data, threads, &reference);
  EXPECT_EQ(same.evaluation.metrics.at("agreement").value, 1.0);
  EXPECT_TRUE(std::isinf(same.evaluation.metrics.at("sqnr_db").value));
  EXPECT_FALSE(same.evaluation.metrics.contains("accuracy"));

  Model other = identity_model();  // swaps the last two columns: agrees on the first row only
  other.graph.values[1].constant = Tensor::from<float>({3, 3}, {1, 0, 0, 0, 0, 1, 0, 1, 0});
  const EvaluateRun run = evaluate_model(other, "c", data, threads, &reference);
  EXPECT_EQ(run.evaluation.metrics.at("agreement").value, 0.25);
}

TEST(EvaluateModel, RefusesLabelsThatTheModelDoesNotHave) {
  const Rows data({3, 1, 1}, {7});
  ThreadPool threads(1);
  EXPECT_THROW(evaluate_model(identity_model(), "m", data, threads, nullptr), Error);
}

TEST(CompareModels, ErrorOfAKnownWeightChange) {
  // Low-bit weights by a scale of 0.75 turn the identity into 0.75 times it: error a quarter of the signal, 12.04 dB.
  Model low_bit = identity_model();
  low_bit.graph.values[1].quantization =
      linear_quantization(parse_number_format("int8"), LinearParams{0.75f, 0}, "by hand");
  const Rows data({3, 1, 1, 0, 5, 1}, {});
  ThreadPool threads(1);
  const Comparison comparison = compare_models(identity_model(), low_bit, data, threads, {});
  EXPECT_EQ(comparison.samples, 2);
  EXPECT_NEAR(comparison.output.sqnr_db, 12.0412, 1e-3);
  ASSERT_EQ(comparison.layers.size(), 1u);
  EXPECT_EQ(comparison.layers[0].name, "fc");
  EXPECT_NEAR(comparison.layers[0].local.sqnr_db, 12.0412, 1e-3);
  EXPECT_NEAR(comparison.layers[0].accumulated.max_abs, 1.25, 1e-6);
}

TEST(BenchModel, MeasuresEveryLayer) {
  ThreadPool threads(1);
  BenchOptions options;
  options.seconds = 0.01;
  options.batch = 4;
  options.per_layer = true;
  const BenchResult result = bench_model(identity_model(), "m", threads, options);
  EXPECT_GT(result.ms_min, 0);
  EXPECT_LE(result.ms_min, result.ms_median);
  EXPECT_LE(result.ms_median, result.ms_p99);
  EXPECT_GT(result.peak_memory_bytes, 0);
  ASSERT_EQ(result.layers.size(), 1u);
  EXPECT_EQ(result.layers[0].macs, 4 * 9);
}

}  // namespace
}  // namespace lowbit
