// What a session refuses, and how.
#include <gtest/gtest.h>

#include <thread>

#include "lowbit/runtime/reference_steps.h"
#include "lowbit/runtime/session.h"
#include "tests/support/graph_builder.h"

namespace lowbit {
namespace {

using testing::GraphBuilder;
using testing::random_tensor;

std::shared_ptr<CompiledModel> matrix_model(const std::string& op = "Relu") {
  GraphBuilder g;
  const ValueId x = g.input("x", {Dim("N"), Dim(8)});
  g.annotate(x, "uint8", 0.01f, 128);
  const ValueId w = g.constant("w", random_tensor({8, 4}, 1));
  g.annotate_weight(w, "int8", 1);
  const ValueId y = g.node("MatMul", "fc", {x, w});
  g.output(g.node(op, "last", {y}));
  return std::make_shared<CompiledModel>(std::make_shared<const Graph>(g.graph));
}

ErrorCode code_of_failure(const std::function<void()>& run) {
  try {
    run();
  } catch (const Error& error) {
    EXPECT_FALSE(std::string(error.what()).empty());
    return error.code();
  }
  ADD_FAILURE() << "nothing was refused";
  return ErrorCode::internal;
}

TEST(SessionErrors, RefusesImpossibleNumbersOfThreads) {
  const auto model = matrix_model();
  for (const int threads : {0, -1, 10000}) {
    SessionOptions options;
    options.threads = threads;
    EXPECT_EQ(code_of_failure([&] { Session session(model, options); }), ErrorCode::bad_argument) << threads;
  }
}

TEST(SessionErrors, RefusesShapesThatDoNotFit) {
  Session session(matrix_model());
  for (const std::vector<Dims>& dims :
       std::vector<std::vector<Dims>>{{}, {{1, 7}}, {{0, 8}}, {{-1, 8}}, {{8}}, {{1, 8}, {1, 8}}})
    EXPECT_EQ(code_of_failure([&] { session.set_dims(dims); }), ErrorCode::bad_argument);
  session.set_dims({{3, 8}});  // the session is as good as before
  EXPECT_EQ(session.outputs()[0].dims, (Dims{3, 4}));
}

TEST(SessionErrors, RefusesAShapeThatNoMemoryHolds) {
  Session session(matrix_model());
  const ErrorCode code = code_of_failure([&] { session.set_dims({{int64_t{1} << 50, 8}}); });
  EXPECT_TRUE(code == ErrorCode::out_of_memory || code == ErrorCode::bad_file || code == ErrorCode::unsupported);
}

TEST(SessionErrors, RefusesBuffersThatAreMissingOrMisaligned) {
  Session session(matrix_model());
  alignas(16) float x[9] = {}, y[5] = {};
  const void* good_in[] = {x};
  void* good_out[] = {y};
  const void* null_in[] = {nullptr};
  const void* odd_in[] = {reinterpret_cast<const char*>(x) + 1};
  void* odd_out[] = {reinterpret_cast<char*>(y) + 2};
  session.run(good_in, good_out);
  EXPECT_EQ(code_of_failure([&] { session.run(null_in, good_out); }), ErrorCode::bad_argument);
  EXPECT_EQ(code_of_failure([&] { session.run(odd_in, good_out); }), ErrorCode::bad_argument);
  EXPECT_EQ(code_of_failure([&] { session.run(good_in, odd_out); }), ErrorCode::bad_argument);
  EXPECT_EQ(code_of_failure([&] { session.run({}, good_out); }), ErrorCode::bad_argument);
}

TEST(SessionErrors, NamesTheNodesThatTheSmallRuntimeDoesNotRun) {
  try {
    Session session(matrix_model("Asinh"));
    FAIL() << "nothing was refused";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::unsupported);
    EXPECT_NE(std::string(error.what()).find("Asinh"), std::string::npos);
  }
}

TEST(Sessions, OfOneModelRunOnSeveralThreadsAtOnce) {
  const auto model = matrix_model();
  const Tensor x = random_tensor({1, 8}, 3);
  const auto run = [&](std::vector<float>& y) {
    Session session(model);
    const void* in[] = {x.raw().data()};
    void* out[] = {y.data()};
    for (int i = 0; i < 200; ++i) session.run(in, out);
  };
  std::vector<std::vector<float>> results(4, std::vector<float>(4));
  std::vector<std::thread> threads;
  for (auto& y : results) threads.emplace_back(run, std::ref(y));
  for (std::thread& thread : threads) thread.join();
  for (const auto& y : results) EXPECT_EQ(y, results[0]);
}

}  // namespace
}  // namespace lowbit
