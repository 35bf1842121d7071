#include "lowbit/core/quantization.h"

#include <fmt/format.h>

namespace lowbit {
namespace {

void check_params(const Quantization& quantization, const Dims& dims) {
  const int64_t wanted =
      group_count(quantization.granularity, dims) * quantization.format.system->param_count(quantization.format);
  if (wanted != static_cast<int64_t>(quantization.params.size()))
    throw Error(ErrorCode::bad_file,
                fmt::format("{} quantization parameters do not fit a tensor {} at {} granularity, which takes {}",
                            quantization.params.size(), dims_text(dims), to_string(quantization.granularity), wanted));
}

}  // namespace

Quantization linear_quantization(NumberFormat format, LinearParams params, std::string origin) {
  return {format, {}, {params.scale, static_cast<float>(params.zero_point)}, std::move(origin)};
}

Tensor encode_tensor(const Quantization& quantization, const Tensor& x) {
  check_params(quantization, x.dims());
  Tensor codes = Tensor::uninitialized(DType::int32, x.dims());
  encode_groups(quantization.format, quantization.granularity, x.dims(), quantization.params, x.data<float>(),
                codes.mutable_data<int32_t>());
  return codes;
}

Tensor decode_tensor(const Quantization& quantization, const Tensor& codes) {
  check_params(quantization, codes.dims());
  const Tensor wide = codes.cast(DType::int32);
  Tensor y = Tensor::uninitialized(DType::float32, codes.dims());
  decode_groups(quantization.format, quantization.granularity, codes.dims(), quantization.params, wide.data<int32_t>(),
                y.mutable_data<float>());
  return y;
}

Tensor fake_quantize(const Quantization& quantization, const Tensor& x) {
  return decode_tensor(quantization, encode_tensor(quantization, x));
}

int64_t storage_bits(const Quantization& quantization, const Dims& dims) {
  const int64_t groups = group_count(quantization.granularity, dims);
  const NumberSystem& system = *quantization.format.system;
  const int64_t group_bits = system.param_bits ? system.param_bits(quantization.format)
                                               : int64_t{32} * system.param_count(quantization.format);
  return element_count(dims) * quantization.format.bits + groups * group_bits;
}

}  // namespace lowbit
