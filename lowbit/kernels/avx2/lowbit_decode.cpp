#include "lowbit/kernels/lowbit_decode.h"

namespace lowbit::kernels::avx2 {

const LowbitDecodeFn lowbit_decoders[kLowbitCodings] = {decode_as<LowbitCoding::u1>,   decode_as<LowbitCoding::u2>,
                                                        decode_as<LowbitCoding::u3>,   decode_as<LowbitCoding::u4>,
                                                        decode_as<LowbitCoding::u7>,   decode_as<LowbitCoding::u8>,
                                                        decode_as<LowbitCoding::table>};

}  // namespace lowbit::kernels::avx2
