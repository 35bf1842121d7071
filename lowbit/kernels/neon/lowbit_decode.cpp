#include "lowbit/kernels/lowbit_decode.h"

namespace lowbit::kernels::neon {

const LowbitDecodeFn lowbit_decoders[kLowbitCodings] = {decode_as<LowbitCoding::u1>,   decode_as<LowbitCoding::u2>,
                                                        decode_as<LowbitCoding::u3>,   decode_as<LowbitCoding::u4>,
                                                        decode_as<LowbitCoding::u7>,   decode_as<LowbitCoding::u8>,
                                                        decode_as<LowbitCoding::table>};

}  // namespace lowbit::kernels::neon
