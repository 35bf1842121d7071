#include "lowbit/core/quantization.h"

#include <fmt/format.h>

#include "lowbit/numbers/packing.h"

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
  Tensor codes =
      Tensor::uninitialized(DType::int32, code_dims(quantization.format, quantization.granularity, x.dims()));
  encode_groups(quantization.format, quantization.granularity, x.dims(), quantization.params, x.data<float>(),
                codes.mutable_data<int32_t>());
  return codes;
}

Tensor decode_tensor(const Quantization& quantization, const Tensor& codes) {
  return decode_tensor(quantization, codes, codes.dims());
}

Tensor decode_tensor(const Quantization& quantization, const Tensor& codes, const Dims& dims) {
  check_params(quantization, dims);
  const Dims wanted = code_dims(quantization.format, quantization.granularity, dims);
  if (codes.count() != element_count(wanted))
    throw Error(ErrorCode::bad_file,
                fmt::format("{} codes of {} do not make a tensor {}, which takes {}", codes.count(),
                            to_string(quantization.format), dims_text(dims), dims_text(wanted)));
  const Tensor wide = codes.cast(DType::int32);
  Tensor y = Tensor::uninitialized(DType::float32, dims);
  decode_groups(quantization.format, quantization.granularity, dims, quantization.params, wide.data<int32_t>(),
                y.mutable_data<float>());
  return y;
}

Tensor fake_quantize(const Quantization& quantization, const Tensor& x) {
  return decode_tensor(quantization, encode_tensor(quantization, x), x.dims());
}

int64_t storage_bits(const Quantization& quantization, const Dims& dims) {
  const NumberFormat& format = quantization.format;
  const int64_t group_bits =
      format.system->param_bits ? format.system->param_bits(format) : 32 * format.system->param_count(format);
  return stored_code_bits(format, element_count(code_dims(format, quantization.granularity, dims))) +
         group_count(quantization.granularity, dims) * group_bits;
}

}  // namespace lowbit
