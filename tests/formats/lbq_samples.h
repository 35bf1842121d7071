// lbq_samples.h: models for tests of the container: one small one with everything in it, and random ones.
#pragma once

#include <string>

#include "lowbit/core/graph.h"
#include "lowbit/core/weights.h"
#include "lowbit/formats/lbq/lbq.h"
#include "tests/support/graph_builder.h"

namespace lowbit::testing {

/// A weight in codes, with parameters fitted to random values.
inline void quantize_constant(Value& value, const std::string& format, const Granularity& granularity) {
  Quantization q;
  q.format = parse_number_format(format);
  q.granularity = granularity;
  const Tensor x = to_float32(*value.constant);
  q.params = fit_groups(q.format, q.granularity, x.dims(), x.data<float>(), {}, {});
  q.origin = "test";
  value.quantization = q;
  value.constant = weight_codes(value);
  value.dtype = DType::float32;
}

/// Every kind of section, attribute, coding and shape, in about two kilobytes.
inline Model small_model() {
  GraphBuilder b;
  b.graph.name = "small";
  const ValueId x = b.input("x", {Dim("N"), 8});
  b.annotate(x, "uint8", 0.05f, 12);
  const ValueId w = b.constant("w", random_tensor({8, 40}, 1));
  quantize_constant(b.graph.value(w), "int4", {Granularity::Kind::channel, 1, 1, 0});
  const ValueId t = b.constant("t", random_tensor({40, 3}, 2));
  quantize_constant(b.graph.value(t), "ternary", {});
  const ValueId h = b.node("MatMul", "first", {x, w});
  const ValueId y = b.node("MatMul", "second", {h, t});
  b.node("Unknown", "odd", {y, kNone},
         {{"i", int64_t{-5}},
          {"f", 2.5f},
          {"s", std::string("text")},
          {"t", Tensor::from<int64_t>({2}, {1, 2})},
          {"is", std::vector<int64_t>{1, -1}},
          {"fs", std::vector<float>{0.5f}},
          {"ss", std::vector<std::string>{"a", ""}}});
  auto body = std::make_shared<Graph>();
  const ValueId inner = body->add_value("inner", DType::float32);
  body->captures = {{y, inner}};
  const ValueId doubled = body->add_value("doubled", DType::float32);
  body->nodes.push_back({"twice", "", "Add", {inner, inner}, {doubled}, {}});
  body->outputs = {doubled};
  const ValueId condition = b.constant("condition", Tensor::scalar(true));
  b.output(b.node("If", "choose", {condition}, {{"then_branch", body}, {"else_branch", body}}));
  b.constant("unused", random_tensor({100}, 3));
  b.output(b.constant("texts", Tensor::strings({2}, {"one", ""})));
  b.output(b.constant("floats", random_tensor({30}, 4)));
  Model model;
  model.graph = std::move(b.graph);
  model.producer = "test";
  model.description = "a sample";
  model.metadata = {{"key", "value"},
                    {"lowbit.preprocessing", "range=0..1"},
                    {"lowbit.recipe", "weights = \"int4\"\n"},
                    {"lowbit.origin.source", "sample.onnx"}};
  model.source_opsets = {{"", 21}};
  return model;
}

/// With a named section.
inline std::string small_bytes() {
  StringSink sink;
  lbq::write_model(small_model(), sink, {true, {{"plan/test", Tensor::from<uint8_t>({3}, {1, 2, 3})}}});
  return std::move(sink.text);
}

inline std::string lbq_bytes(const Model& model, lbq::SaveOptions options = {}) {
  StringSink sink;
  lbq::write_model(model, sink, options);
  return std::move(sink.text);
}

inline Bytes as_bytes(const std::string& text) { return std::as_bytes(std::span(text.data(), text.size())); }

inline Model read_lbq(const std::string& bytes) { return lbq::Container::open(as_bytes(bytes), nullptr).read_model(); }

}  // namespace lowbit::testing
