// libjpeg reports errors by a call that must not return: it jumps to the function that called it, which holds no
// objects with destructors.
#include "lowbit/data/encode_image.h"

#include <csetjmp>
#include <cstdio>
#include <cstdlib>

#include <jpeglib.h>

#include "lowbit/base/error.h"

namespace lowbit {
namespace {

constexpr int64_t kMostSide = 65'500;  // the format's limit

struct Encoder {
  jpeg_compress_struct info{};
  jpeg_error_mgr errors{};
  std::jmp_buf jump;
  unsigned char* bytes = nullptr;
  unsigned long size = 0;
  ~Encoder() {
    jpeg_destroy_compress(&info);
    std::free(bytes);
  }
};

/// False if the library gave up.
bool encode(Encoder& encoder, const Picture<uint8_t>& picture, int quality) {
  jpeg_compress_struct& info = encoder.info;
  info.err = jpeg_std_error(&encoder.errors);
  encoder.errors.error_exit = [](j_common_ptr failed) {
    std::longjmp(static_cast<Encoder*>(failed->client_data)->jump, 1);
  };
  info.client_data = &encoder;
  if (setjmp(encoder.jump) != 0) return false;
  jpeg_create_compress(&info);
  info.client_data = &encoder;
  jpeg_mem_dest(&info, &encoder.bytes, &encoder.size);
  info.image_width = static_cast<JDIMENSION>(picture.width);
  info.image_height = static_cast<JDIMENSION>(picture.height);
  info.input_components = static_cast<int>(picture.channels);
  info.in_color_space = picture.channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
  jpeg_set_defaults(&info);
  jpeg_set_quality(&info, quality, TRUE);
  jpeg_start_compress(&info, TRUE);
  while (info.next_scanline < info.image_height) {
    // The library reads rows through a pointer to non-const.
    JSAMPROW row = const_cast<uint8_t*>(picture.values.data()) +
                   static_cast<int64_t>(info.next_scanline) * picture.width * picture.channels;
    jpeg_write_scanlines(&info, &row, 1);
  }
  jpeg_finish_compress(&info);
  return true;
}

}  // namespace

std::vector<std::byte> encode_jpeg(const Picture<uint8_t>& picture, int quality) {
  if ((picture.channels != 1 && picture.channels != 3) || picture.width < 1 || picture.height < 1 ||
      picture.width > kMostSide || picture.height > kMostSide)
    throw Error(ErrorCode::bad_argument, "not a picture that JPEG can hold");
  Encoder encoder;
  if (!encode(encoder, picture, quality)) throw Error(ErrorCode::out_of_memory, "a picture could not be compressed");
  const auto* begin = reinterpret_cast<const std::byte*>(encoder.bytes);
  return {begin, begin + encoder.size};
}

}  // namespace lowbit
