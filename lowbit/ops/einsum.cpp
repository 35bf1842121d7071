#include "lowbit/ops/einsum.h"

#include <algorithm>
#include <map>

#include "lowbit/base/checked.h"
#include "lowbit/ops/op_helpers.h"

namespace lowbit {
namespace {

/// Labels are letters; the k-th dimension from the right under "..." is the label '0' + k.
struct Equation {
  std::vector<std::string> inputs;
  std::string output;
};

std::string compact(const std::string& text) {
  std::string result;
  for (char c : text)
    if (c != ' ') result += c;
  return result;
}

/// Replaces "..." by labels of `covered` dimensions.
std::string expand(const std::string& term, size_t covered) {
  std::string labels;
  for (size_t i = 0; i < term.size(); ++i) {
    if (term.compare(i, 3, "...") == 0) {
      for (size_t k = covered; k-- > 0;) labels += static_cast<char>('0' + static_cast<int>(k));
      i += 2;
      continue;
    }
    const bool letter = (term[i] >= 'a' && term[i] <= 'z') || (term[i] >= 'A' && term[i] <= 'Z');
    require(letter, "the equation holds '{}' where a letter is expected", static_cast<int>(term[i]));
    labels += term[i];
  }
  return labels;
}

/// Without "->": the labels that occur once, in alphabetical order, after the broadcast ones.
std::string implicit_output(const std::vector<std::string>& inputs) {
  std::map<char, int> seen;
  for (const std::string& term : inputs)
    for (char label : term) ++seen[label];
  std::string broadcast, single;
  for (const auto& [label, count] : seen) {
    if (label <= '9')
      broadcast.insert(broadcast.begin(), label);
    else if (count == 1)
      single += label;
  }
  return broadcast + single;
}

Equation parse(const Node& node, const std::vector<size_t>& ranks) {
  const std::string text = compact(node.attr_string("equation", ""));
  const size_t arrow = text.find("->");
  const std::string left = text.substr(0, arrow);
  std::vector<std::string> terms(1);
  for (char c : left)
    if (c == ',')
      terms.emplace_back();
    else
      terms.back() += c;
  require(terms.size() == ranks.size(), "the equation has {} terms for {} inputs", terms.size(), ranks.size());
  Equation result;
  size_t widest = 0;
  for (size_t i = 0; i < terms.size(); ++i) {
    const bool dots = terms[i].find("...") != std::string::npos;
    const size_t letters = terms[i].size() - (dots ? 3 : 0);
    require(dots ? ranks[i] >= letters : ranks[i] == letters, "term {} of the equation does not fit rank {}", i,
            ranks[i]);
    require(ranks[i] - letters < 10, "'...' covers {} dimensions, at most 9 are handled", ranks[i] - letters);
    widest = std::max(widest, ranks[i] - letters);
    result.inputs.push_back(expand(terms[i], ranks[i] - letters));
  }
  result.output = arrow == std::string::npos ? implicit_output(result.inputs) : expand(text.substr(arrow + 2), widest);
  for (size_t i = 0; i < result.output.size(); ++i)
    require(result.output.find(result.output[i], i + 1) == std::string::npos, "an output label occurs twice");
  return result;
}

std::map<char, int64_t> label_sizes(const Equation& equation, const std::vector<const Dims*>& dims) {
  std::map<char, int64_t> sizes;
  for (size_t i = 0; i < dims.size(); ++i)
    for (size_t axis = 0; axis < equation.inputs[i].size(); ++axis) {
      const int64_t size = (*dims[i])[axis];
      const auto [at, fresh] = sizes.emplace(equation.inputs[i][axis], size);
      if (fresh || at->second == size || size == 1) continue;
      require(at->second == 1, "a label of the equation stands for {} and {}", at->second, size);
      at->second = size;
    }
  for (char label : equation.output) require(sizes.count(label) == 1, "an output label occurs in no input");
  return sizes;
}

/// Odometer over some labels: keeps the offset of every operand.
struct Walker {
  std::vector<int64_t> sizes;
  std::vector<std::vector<int64_t>> strides;  ///< [label][operand]

  int64_t count() const { return checked_product(sizes); }
  void offsets(int64_t index, std::vector<int64_t>& at) const {
    for (size_t i = sizes.size(); i-- > 0;) {
      const int64_t digit = index % sizes[i];
      index /= sizes[i];
      for (size_t k = 0; k < at.size(); ++k) at[k] += digit * strides[i][k];
    }
  }
};

Walker make_walker(const std::string& labels, const std::map<char, int64_t>& sizes, const Equation& equation,
                   const std::vector<const Dims*>& dims) {
  Walker walker;
  for (char label : labels) {
    walker.sizes.push_back(sizes.at(label));
    std::vector<int64_t> steps(dims.size(), 0);
    for (size_t k = 0; k < dims.size(); ++k) {
      const Dims strides = row_major_strides(*dims[k]);
      // A label that occurs twice in a term walks the diagonal: its strides add up.
      for (size_t axis = 0; axis < dims[k]->size(); ++axis)
        if (equation.inputs[k][axis] == label && (*dims[k])[axis] != 1) steps[k] += strides[axis];
    }
    walker.strides.push_back(std::move(steps));
  }
  return walker;
}

template <typename T>
void contract(ThreadPool& threads, const Walker& outer, const Walker& inner, const std::vector<Tensor>& inputs,
              Tensor& y) {
  using Sum = std::conditional_t<std::is_floating_point_v<T>, double, uint64_t>;
  std::vector<const T*> data;
  for (const Tensor& input : inputs) data.push_back(input.data<T>());
  T* out = y.mutable_data<T>();
  const int64_t terms = inner.count();
  threads.parallel_for(y.count(), [&](int64_t i) {
    std::vector<int64_t> base(data.size(), 0);
    outer.offsets(i, base);
    std::vector<int64_t> at(data.size());
    Sum sum{};
    for (int64_t j = 0; j < terms; ++j) {
      at = base;
      inner.offsets(j, at);
      Sum product = static_cast<Sum>(data[0][at[0]]);
      for (size_t k = 1; k < data.size(); ++k) product *= static_cast<Sum>(data[k][at[k]]);
      sum += product;
    }
    out[i] = static_cast<T>(sum);
  });
}

}  // namespace

void run_einsum(EvalContext& context) {
  const DType type = context.input(0).dtype();
  std::vector<Tensor> inputs;
  std::vector<const Dims*> dims;
  std::vector<size_t> ranks;
  for (size_t i = 0; i < context.input_count(); ++i) {
    require_same_type(context.node(), type, context.input(i).dtype());
    inputs.push_back(widened(context.input(i)));
    dims.push_back(&context.input(i).dims());
    ranks.push_back(dims.back()->size());
  }
  const Equation equation = parse(context.node(), ranks);
  const auto sizes = label_sizes(equation, dims);
  std::string summed;
  for (const auto& [label, size] : sizes)
    if (equation.output.find(label) == std::string::npos) summed += label;
  const Walker outer = make_walker(equation.output, sizes, equation, dims);
  const Walker inner = make_walker(summed, sizes, equation, dims);
  Tensor y = make_output(context.node(), inputs[0].dtype(), outer.sizes);
  dispatch(TypeList<float, double, int32_t, int64_t, uint32_t, uint64_t>{}, context.node(), inputs[0].dtype(),
           [&](auto tag) { contract<typename decltype(tag)::type>(context.threads(), outer, inner, inputs, y); });
  context.set_output(0, narrowed(std::move(y), type));
}

void infer_einsum(InferContext& context) {
  std::vector<size_t> ranks;
  for (size_t i = 0; i < context.node().inputs.size(); ++i) {
    const Shape* shape = context.input_shape(i);
    if (!shape) return context.set_output(0, context.input_dtype(0), std::nullopt);
    ranks.push_back(shape->size());
  }
  const Equation equation = parse(context.node(), ranks);
  Shape out;
  for (char label : equation.output) {
    std::optional<Dim> dim;
    for (size_t i = 0; i < ranks.size(); ++i)
      for (size_t axis = 0; axis < ranks[i]; ++axis) {
        const Dim& seen = (*context.input_shape(i))[axis];
        if (equation.inputs[i][axis] == label && (!dim || dim->size == 1 || (seen.known() && seen.size != 1)))
          dim = seen;
      }
    require(dim.has_value(), "an output label occurs in no input");
    out.push_back(*dim);
  }
  context.set_output(0, context.input_dtype(0), std::move(out));
}

int64_t einsum_multiply_adds(const Node& node, const std::vector<const Dims*>& inputs) {
  std::vector<size_t> ranks;
  for (const Dims* dims : inputs) {
    if (!dims) return 0;
    ranks.push_back(dims->size());
  }
  int64_t product = 1;
  for (const auto& [label, size] : label_sizes(parse(node, ranks), inputs)) product = checked_mul(product, size);
  return product;
}

}  // namespace lowbit
