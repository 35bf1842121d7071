#include "tests/runtime/random_graph.h"

#include <algorithm>
#include <cmath>

#include "lowbit/base/threads.h"
#include "lowbit/numbers/linear.h"
#include "lowbit/ops/evaluate.h"
#include "tests/support/graph_builder.h"

namespace lowbit::testing {
namespace {

class Maker {
 public:
  Maker(uint64_t seed, bool annotated) : random_(seed, 99), annotated_(annotated), threads_(1) {}

  RandomGraph make() {
    add_input();
    const int64_t steps = pick(2, 12);
    for (int64_t i = 0; i < steps; ++i) add_step();
    add_outputs();
    return {std::move(builder_.graph), std::move(inputs_)};
  }

 private:
  struct Known {
    ValueId id;
    Tensor value;
    bool coded;
  };

  int64_t pick(int64_t low, int64_t high) {
    return low + static_cast<int64_t>(random_.uniform() * static_cast<double>(high - low + 1));
  }
  bool chance(double p) { return random_.uniform() < p; }
  std::string name(const std::string& stem) { return stem + std::to_string(++count_); }
  Known& any() {
    return values_[values_.size() - 1 -
                   static_cast<size_t>(pick(0, std::min<int64_t>(3, static_cast<int64_t>(values_.size()) - 1)))];
  }

  std::string format() { return chance(0.65) ? "uint8" : chance(0.7) ? "int8" : chance(0.5) ? "uint4" : "int16"; }

  /// Parameters around the range that the values have, sometimes far too narrow or wide.
  void annotate(ValueId id, const Tensor& value) {
    NumberFormat f = parse_number_format(format());
    if (f.system->codes(f).min < 0) f.asymmetric = chance(0.4), f.narrow = !f.asymmetric && chance(0.3);
    float low = 0, high = 0;
    for (const float v : value.values<float>()) low = std::min(low, v), high = std::max(high, v);
    const float factor = chance(0.15) ? 0.3f : chance(0.1) ? 4.0f : 1.0f;
    builder_.graph.value(id).quantization =
        linear_quantization(f, linear_params(f, low * factor, high * factor), "random");
  }

  /// The layers that read the value quantize it when it comes.
  void annotate_dynamic(ValueId id) {
    Quantization q;
    q.format = parse_number_format(chance(0.5) ? "uint8" : "int8");
    q.format.asymmetric = q.format.system->codes(q.format).min == 0;
    q.dynamic = true;
    if (chance(0.5)) q.granularity = {Granularity::Kind::channel, 0, 1, 0};
    builder_.graph.value(id).quantization = q;
  }

  void add_input() {
    const int64_t inputs = chance(0.2) ? 2 : 1;
    for (int64_t i = 0; i < inputs; ++i) {
      Dims dims{pick(1, 2)};
      const int64_t kind = pick(0, 9);
      if (kind < 7)
        dims.insert(dims.end(), {pick(1, 9) * (chance(0.3) ? 4 : 1), pick(3, 11), pick(3, 11)});
      else if (kind < 8)
        dims.insert(dims.end(), {pick(1, 9), pick(4, 20)});
      else
        dims.insert(dims.end(), {pick(1, 40)});
      const ValueId id = builder_.input(name("in"), to_shape(dims));
      const Tensor value =
          random_tensor(dims, static_cast<uint64_t>(pick(0, 1 << 30)), chance(0.3) ? 0.0f : -2.0f, 3.0f);
      inputs_[builder_.graph.value(id).name] = value;
      finish(id, value);
    }
  }

  void finish(ValueId id, const Tensor& value, bool shares = false, ValueId source = kNone) {
    Value& made = builder_.graph.value(id);
    made.shape = to_shape(value.dims());
    const bool source_coded = source != kNone && builder_.graph.value(source).quantization;
    if (annotated_ && shares && source_coded && chance(0.9))
      made.quantization = builder_.graph.value(source).quantization;
    else if (annotated_ && chance(0.04))
      annotate_dynamic(id);
    else if (annotated_ && chance(0.92))
      annotate(id, value);
    values_.push_back({id, value, made.quantization.has_value()});
  }

  /// Adds a node, computes its value in float, and (with `activation`) sometimes a Relu or Clip behind it.
  void add(const std::string& op, std::vector<ValueId> inputs, Attributes attributes, bool shares = false,
           bool activation = false) {
    const ValueId source = inputs[0];
    const std::string label = name(op);
    ValueId id = builder_.node(op, label, std::move(inputs), std::move(attributes));
    Tensor value = evaluate_last();
    if (activation && chance(0.5)) {
      builder_.graph.value(id).shape = to_shape(value.dims());
      if (annotated_ && chance(0.1)) annotate(id, value);
      if (chance(0.6)) {
        known_[id] = value;
        id = builder_.node("Relu", name("Relu"), {id});
      } else {
        const ValueId low = builder_.constant(name("low"), Tensor::scalar(0.0f)),
                      high = builder_.constant(name("high"), Tensor::scalar(chance(0.5) ? 6.0f : 1.0f));
        known_[id] = value;
        id = builder_.node("Clip", name("Clip"), {id, low, high});
      }
      value = evaluate_last();
    }
    finish(id, value, shares, source);
  }

  Tensor evaluate_last() {
    const Node& node = builder_.graph.nodes.back();
    std::vector<const Tensor*> inputs;
    for (const ValueId id : node.inputs) {
      const Tensor* tensor = id == kNone ? nullptr : builder_.graph.constant(id);
      if (id != kNone && !tensor) {
        for (const Known& known : values_)
          if (known.id == id) tensor = &known.value;
        if (known_.count(id)) tensor = &known_[id];
      }
      inputs.push_back(tensor);
    }
    return evaluate_node(node, inputs, threads_)[0];
  }

  ValueId weights(const Dims& dims, int64_t axis) {
    const ValueId id = builder_.constant(name("w"), random_tensor(dims, static_cast<uint64_t>(pick(0, 1 << 30))));
    if (!annotated_ || chance(0.04)) return id;
    static const char* const kFewBits[] = {"int4", "uint4", "int3", "int2", "ternary", "binary", "fp4-e2m1", "log3"};
    const std::string f = chance(0.6) ? "int8" : chance(0.8) ? kFewBits[pick(0, 7)] : "uint8";
    const bool linear = is_linear(parse_number_format(f));
    if (!linear || chance(0.8)) {
      builder_.annotate_weight(id, f, axis);
      if (chance(0.08)) regroup(id, {Granularity::Kind::group, axis, 1, 32});
    } else {
      const NumberFormat parsed = parse_number_format(f);
      builder_.graph.value(id).quantization = linear_quantization(parsed, linear_params(parsed, -1, 1), "random");
    }
    return id;
  }
  /// The same format with other groups.
  void regroup(ValueId id, const Granularity& granularity) {
    Quantization& q = *builder_.graph.value(id).quantization;
    const Tensor& w = *builder_.graph.constant(id);
    q.granularity = granularity;
    q.params = fit_groups(q.format, q.granularity, w.dims(), w.data<float>(), {}, {});
  }
  ValueId bias(int64_t channels) {
    return chance(0.2)
               ? kNone
               : builder_.constant(name("b"), random_tensor({channels}, static_cast<uint64_t>(pick(0, 1 << 30))));
  }

  void conv(const Known& x) {
    const int64_t rank = x.value.rank(), spatial = rank - 2, channels = x.value.dim(1);
    int64_t groups = 1, out = pick(1, 24);
    const int64_t kind = pick(0, 5);
    if (kind == 0) groups = channels, out = channels * (chance(0.2) ? 2 : 1);
    if (kind == 1)
      for (const int64_t g : {4, 3, 2})
        if (channels % g == 0) {
          groups = g;
          out = g * pick(1, 6);
          break;
        }
    Dims w{out, channels / groups};
    std::vector<int64_t> strides, dilations, begins, ends;
    for (int64_t i = 0; i < spatial; ++i) {
      const int64_t size = x.value.dim(i + 2), most = std::min<int64_t>(5, size);
      const int64_t kernel = kind == 2 ? 1 : pick(1, most);
      const int64_t dilation = kernel > 1 && (kernel - 1) * 2 + 1 <= size && chance(0.15) ? 2 : 1;
      w.push_back(kernel);
      dilations.push_back(dilation);
      strides.push_back(chance(0.3) ? 2 : 1);
      begins.push_back(chance(0.5) ? kernel / 2 : pick(0, kernel - 1));
      ends.push_back(chance(0.5) ? kernel / 2 : pick(0, kernel - 1));
    }
    ValueId input = x.id;
    std::vector<int64_t> pads = begins;
    pads.insert(pads.end(), ends.begin(), ends.end());
    if (chance(0.15)) {
      std::vector<int64_t> wide(static_cast<size_t>(rank) * 2, 0);
      for (size_t i = 0; i < begins.size(); ++i)
        wide[i + 2] = begins[i], wide[i + 2 + static_cast<size_t>(rank)] = ends[i];
      add("Pad", {x.id, builder_.constant(name("pads"), Tensor::from<int64_t>({rank * 2}, wide))}, {}, true);
      input = values_.back().id;
      std::fill(pads.begin(), pads.end(), 0);
    }
    Attributes attributes{{"group", groups}, {"strides", strides}, {"pads", pads}};
    if (chance(0.7)) attributes["dilations"] = dilations;
    if (!attributes.count("dilations"))
      for (size_t i = 0; i < dilations.size(); ++i)
        w[i + 2] = std::min(w[i + 2], x.value.dim(static_cast<int64_t>(i) + 2));
    add("Conv", {input, weights(w, 0), bias(out)}, attributes, false, true);
  }

  void pool(const Known& x) {
    const int64_t spatial = x.value.rank() - 2;
    if (chance(0.2)) return add("GlobalAveragePool", {x.id}, {});
    if (chance(0.2)) {
      std::vector<int64_t> axes;
      for (int64_t a = 0; a < spatial; ++a) axes.push_back(a + 2);
      return add("ReduceMean", {x.id, builder_.constant(name("axes"), Tensor::from<int64_t>({spatial}, axes))},
                 {{"keepdims", int64_t{chance(0.5)}}});
    }
    std::vector<int64_t> kernel, strides, pads(static_cast<size_t>(spatial) * 2, 0);
    for (int64_t i = 0; i < spatial; ++i) {
      kernel.push_back(pick(1, std::min<int64_t>(4, x.value.dim(i + 2))));
      strides.push_back(pick(1, 2));
      if (chance(0.4)) pads[static_cast<size_t>(i)] = pads[static_cast<size_t>(i + spatial)] = kernel.back() / 2;
    }
    const bool max = chance(0.5);
    Attributes attributes{
        {"kernel_shape", kernel}, {"strides", strides}, {"pads", pads}, {"ceil_mode", int64_t{chance(0.2)}}};
    if (!max) attributes["count_include_pad"] = int64_t{chance(0.3)};
    add(max ? "MaxPool" : "AveragePool", {x.id}, attributes, max);
  }

  void binary(const Known& x) {
    const std::string op = chance(0.6) ? "Add" : chance(0.5) ? "Mul" : "Sub";
    std::vector<ValueId> same;
    for (const Known& other : values_)
      if (other.value.dims() == x.value.dims() && other.id != x.id) same.push_back(other.id);
    ValueId other = same.empty() ? kNone : same[static_cast<size_t>(pick(0, static_cast<int64_t>(same.size()) - 1))];
    if (other == kNone || chance(0.25)) {
      Dims dims = x.value.dims();
      for (size_t i = 0; i < dims.size(); ++i)
        if (i != 1 && chance(0.8)) dims[i] = 1;
      if (chance(0.2)) dims.clear();
      other = builder_.constant(name("k"), random_tensor(dims, static_cast<uint64_t>(pick(0, 1 << 30))));
      if (annotated_) {
        const NumberFormat f = parse_number_format("uint8");
        builder_.graph.value(other).quantization = linear_quantization(f, linear_params(f, -1, 1), "random");
      }
    }
    std::vector<ValueId> inputs{x.id, other};
    if (chance(0.4)) std::swap(inputs[0], inputs[1]);
    add(op, inputs, {}, false, true);
  }

  void concat(const Known& x) {
    std::vector<ValueId> inputs{x.id};
    const int64_t axis = chance(0.8) ? 1 : pick(0, x.value.rank() - 1);
    for (const Known& other : values_) {
      if (other.value.rank() != x.value.rank() || inputs.size() >= 4) continue;
      Dims a = other.value.dims(), b = x.value.dims();
      a[static_cast<size_t>(axis)] = b[static_cast<size_t>(axis)] = 1;
      if (a == b && (other.id != x.id || chance(0.1))) inputs.push_back(other.id);
    }
    std::rotate(inputs.begin(), inputs.begin() + pick(0, static_cast<int64_t>(inputs.size()) - 1), inputs.end());
    // Branches that nobody else reads share the parameters of the result, as an annotator arranges it.
    add("Concat", inputs, {{"axis", axis}});
    const auto& q = builder_.graph.value(values_.back().id).quantization;
    if (q && chance(0.6))
      for (const ValueId id : inputs)
        if (builder_.graph.value(id).quantization) builder_.graph.value(id).quantization = q;
  }

  void movement(const Known& x) {
    const int64_t rank = x.value.rank(), kind = pick(0, 4);
    if (kind == 0) {
      std::vector<int64_t> perm;
      for (int64_t i = 0; i < rank; ++i) perm.push_back(i);
      std::rotate(perm.begin() + 1, perm.begin() + pick(1, rank - 1), perm.end());
      return add("Transpose", {x.id}, {{"perm", perm}}, true);
    }
    if (kind == 1) return add("Flatten", {x.id}, {{"axis", int64_t{1}}}, true);
    if (kind == 2 && rank >= 3) {
      const Dims& d = x.value.dims();
      Dims shape{d[0], d[1], -1};
      return add("Reshape", {x.id, builder_.constant(name("shape"), Tensor::from<int64_t>({3}, shape))}, {}, true);
    }
    const int64_t axis = pick(1, rank - 1), size = x.value.dim(axis);
    if (size < 2) return;
    const int64_t begin = pick(0, size / 2), step = chance(0.25) ? 2 : 1;
    add("Slice",
        {x.id, ints({begin}), ints({chance(0.5) ? size : std::max(size - 1, begin + 1)}), ints({axis}), ints({step})},
        {}, true);
  }
  ValueId ints(std::vector<int64_t> list) {
    const auto count = static_cast<int64_t>(list.size());
    return builder_.constant(name("i"), Tensor::from<int64_t>({count}, list));
  }

  void matrix(const Known& x) {
    const int64_t k = x.value.dims().back(), n = pick(1, 40);
    if (x.value.rank() == 2 && chance(0.6)) {
      const bool transposed = chance(0.5);
      return add("Gemm", {x.id, weights(transposed ? Dims{n, k} : Dims{k, n}, transposed ? 0 : 1), bias(n)},
                 {{"transB", int64_t{transposed}}}, false, true);
    }
    add("MatMul", {x.id, weights({k, n}, 1)}, {}, false, true);
  }

  /// LSTM or GRU over [steps, batch, inputs], one or both directions.
  void recurrent(const Known& x) {
    if (x.value.rank() != 3) return matrix(x);
    const bool lstm = chance(0.5);
    const int64_t hidden = pick(1, 24), directions = chance(0.3) ? 2 : 1, rows = (lstm ? 4 : 3) * hidden;
    const auto matrix_of = [&](int64_t k) {
      const ValueId id = builder_.constant(
          name("w"), random_tensor({directions, rows, k}, static_cast<uint64_t>(pick(0, 1 << 30)), -0.5f, 0.5f));
      if (!annotated_ || chance(0.1)) return id;
      builder_.annotate_weight(id, chance(0.5) ? "int8" : "int4", 1);
      builder_.graph.value(id).quantization->format.narrow = true;
      regroup(id, {Granularity::Kind::group, 0, 1, k});
      return id;
    };
    const ValueId w = matrix_of(x.value.dim(2)), r = matrix_of(hidden);
    const ValueId b =
        chance(0.2) ? kNone
                    : builder_.constant(name("b"),
                                        random_tensor({directions, 2 * rows}, static_cast<uint64_t>(pick(0, 1 << 30))));
    Attributes attributes{{"hidden_size", hidden},
                          {"direction", std::string(directions == 2 ? "bidirectional"
                                                    : chance(0.3)   ? "reverse"
                                                                    : "forward")}};
    if (!lstm) attributes["linear_before_reset"] = int64_t{chance(0.5)};
    add(lstm ? "LSTM" : "GRU", {x.id, w, r, b}, attributes);
  }

  void product(const Known& x) {
    if (x.value.rank() < 3) return matrix(x);
    const ValueId a = x.id;
    std::vector<int64_t> perm;
    for (int64_t i = 0; i < x.value.rank(); ++i) perm.push_back(i);
    std::swap(perm[perm.size() - 1], perm[perm.size() - 2]);
    add("Transpose", {a}, {{"perm", perm}}, true);
    const bool swapped = chance(0.5);
    const ValueId b = values_.back().id;
    add("MatMul", {swapped ? b : a, swapped ? a : b}, {}, false, false);
  }

  void function(const Known& x) {
    static const char* const kOps[] = {"Relu",      "Sigmoid",     "Tanh",    "HardSwish",
                                       "LeakyRelu", "HardSigmoid", "Softmax", "Abs"};
    add(kOps[pick(0, 7)], {x.id}, {});
  }

  void add_step() {
    const Known x = any();
    const bool image = x.value.rank() >= 3;
    const int64_t kind = pick(0, 16);
    if (x.value.count() > 20000) return pool(image ? x : values_[0]);
    if (image && kind < 6) return conv(x);
    if (image && kind < 8) return pool(x);
    if (kind < 11) return binary(x);
    if (kind == 11) return concat(x);
    if (kind == 12) return movement(x);
    if (kind == 13) return function(x);
    if (kind == 14) return product(x);
    if (kind == 15) return recurrent(x);
    return matrix(x);
  }

  void add_outputs() {
    const std::vector<std::vector<Graph::Use>> uses = builder_.graph.uses();
    for (const Known& known : values_) {
      const bool input = inputs_.count(builder_.graph.value(known.id).name) > 0;
      if (!input && (uses[static_cast<size_t>(known.id)].empty() || chance(0.08))) builder_.output(known.id);
    }
    if (builder_.graph.outputs.empty()) builder_.output(values_.back().id);
  }

  GraphBuilder builder_;
  std::map<std::string, Tensor, std::less<>> inputs_;
  std::vector<Known> values_;
  std::map<ValueId, Tensor> known_;  ///< results whose activation follows
  Random random_;
  bool annotated_;
  ThreadPool threads_;
  int count_ = 0;
};

}  // namespace

RandomGraph make_random_graph(uint64_t seed, bool annotated) { return Maker(seed, annotated).make(); }

}  // namespace lowbit::testing
