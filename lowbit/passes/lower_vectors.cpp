#include "lowbit/passes/lower_vectors.h"

#include <algorithm>

#include "lowbit/core/weights.h"
#include "lowbit/passes/code_matrix.h"
#include "lowbit/passes/packed_digits.h"

namespace lowbit {
namespace {

/// The granularity as runs or blocks of a matrix, which vectors lie in whatever the groups are.
CodeLayout matrix_layout(const Granularity& granularity, const Dims& dims) {
  Granularity blocks = granularity;
  blocks.rows = std::max<int64_t>(blocks.rows, 1);
  if (granularity.kind == Granularity::Kind::tensor) {
    blocks.kind = Granularity::Kind::block;
    blocks.rows = blocks.size = element_count(dims);
  } else if (granularity.kind == Granularity::Kind::channel) {
    blocks.kind = Granularity::Kind::group;
    blocks.size = element_count(dims);
  }
  CodeLayout layout = code_layout(blocks, dims.empty() ? Dims{1} : dims);
  layout.dims = dims;
  return layout;
}

class VectorWriter {
 public:
  VectorWriter(NodeWriter& writer, ValueId id)
      : writer_(writer),
        id_(id),
        name_(writer.graph().value(id).name),
        q_(*writer.graph().value(id).quantization),
        codes_(weight_codes(writer.graph().value(id)).cast(DType::int32)),
        values_(matrix_layout(q_.granularity, weight_values(writer.graph().value(id)).dims())) {}

  WeightHint write() {
    writer_.graph().value(id_).constant.reset();
    writer_.graph().value(id_).quantization.reset();
    const CodeLayout codes = layout_of_codes();
    ValueId x = write_digits(writer_, name_ + "_codes", padded_codes(codes.columns), q_.format.option, codes.work);
    if (groups() > 1)
      x = writer_.node("Add", {writer_.cast(x, DType::int32), spread_over_blocks(writer_, codes, first_rows())});
    x = writer_.node("Gather", {table(), x});
    write_in_tensor_order(writer_, values_, without_tails(x, codes), id_);
    WeightHint hint;
    hint.value = name_;
    hint.format = q_.format;
    hint.granularity = q_.granularity;
    hint.levels = name_ + "_levels";
    return hint;
  }

 private:
  int64_t groups() const { return values_.row_blocks * values_.column_blocks; }
  int64_t size() const { return q_.format.vector_size; }
  /// Vectors end where pieces of a row end, so that rows are cut at their ends only.
  bool pieces_are_full() const { return values_.column_blocks == 1 || values_.width % size() == 0; }

  /// As the values lie, but with a code for each vector; every piece has as many codes if some of it is padding.
  CodeLayout layout_of_codes() const {
    CodeLayout codes = values_;
    codes.width = code_count(q_.format, values_.width);
    codes.columns = pieces_are_full() ? codes_.dim(1) : codes.column_blocks * codes.width;
    codes.divides =
        codes.row_blocks * codes.rows == codes.channels && codes.column_blocks * codes.width == codes.columns;
    codes.work = codes.divides ? Dims{codes.row_blocks, codes.rows, codes.column_blocks, codes.width}
                               : Dims{codes.channels, codes.columns};
    return codes;
  }

  std::vector<int32_t> padded_codes(int64_t columns) const {
    std::vector<int32_t> result(static_cast<size_t>(values_.channels * columns), 0);
    for (int64_t row = 0; row < values_.channels; ++row)
      std::copy_n(codes_.data<int32_t>() + row * codes_.dim(1), codes_.dim(1), result.begin() + row * columns);
    return result;
  }

  /// The row of the table where the codebook of each group begins.
  ValueId first_rows() {
    const auto scalar = [&](int64_t value) { return writer_.shared(Tensor::scalar(static_cast<int32_t>(value))); };
    const ValueId zero = scalar(0), end = scalar(groups() * q_.format.option), step = scalar(q_.format.option);
    return writer_.reshape(writer_.node("Range", {zero, end, step}), values_.parameters);
  }

  /// [groups * K, D], from the parameters of all groups.
  ValueId table() {
    const auto all = static_cast<int64_t>(q_.params.size()), each = all / groups();
    ValueId x = writer_.graph().add_constant(name_ + "_levels", Tensor::from(Dims{all}, q_.params));
    if (q_.format.standardized) {
      x = writer_.cast(writer_.reshape(x, {groups(), each}), DType::float64);
      const ValueId mean = writer_.slice(x, {0, 0}, {groups(), 1}), deviation = writer_.slice(x, {0, 1}, {groups(), 2});
      x = writer_.node("Mul", {writer_.slice(x, {0, 2}, {groups(), each}), deviation});
      x = writer_.cast(writer_.node("Add", {x, mean}), DType::float32);
    }
    return writer_.reshape(x, {groups() * q_.format.option, size()});
  }

  /// Vectors in a row each -> the matrix of the values.
  ValueId without_tails(ValueId x, const CodeLayout& codes) {
    int64_t columns = codes.columns * size();
    if (!pieces_are_full()) {
      x = writer_.reshape(x, {codes.channels, codes.column_blocks, codes.width * size()});
      x = writer_.slice(x, {0, 0, 0}, {codes.channels, codes.column_blocks, values_.width});
      columns = codes.column_blocks * values_.width;
    }
    if (columns == values_.columns) return x;
    x = writer_.reshape(x, {codes.channels, columns});
    return writer_.slice(x, {0, 0}, {codes.channels, values_.columns});
  }

  NodeWriter& writer_;
  ValueId id_;
  std::string name_;
  Quantization q_;
  Tensor codes_;
  CodeLayout values_;
};

}  // namespace

WeightHint lower_vectors(NodeWriter& writer, ValueId id) { return VectorWriter(writer, id).write(); }

}  // namespace lowbit
