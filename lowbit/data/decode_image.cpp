// Both libraries report errors by a call that must not return, so every call into them runs below guarded(), from
// functions without destructors; what must be freed belongs to the decoder object, which outlives the jump.
#include <csetjmp>
#include <cstdio>
#include <cstring>
#include <new>

#include <fmt/format.h>

#include <jpeglib.h>

#include <jerror.h>
#include <png.h>

#include "lowbit/base/text.h"
#include "lowbit/data/preprocess.h"

namespace lowbit {
namespace {

struct Decoder {
  Bytes bytes;
  int64_t max_pixels = 0;
  Image* image = nullptr;
  std::jmp_buf jump;
  char problem[256] = "";
  bool no_memory = false;

  [[noreturn]] void fail(const char* text) {
    std::snprintf(problem, sizeof(problem), "%s", text);
    std::longjmp(jump, 1);
  }
};

/// Refuses a picture that is too large, or larger than the file can explain, before anything is allocated for it.
/// `most_per_byte`: how many pixels one byte of the file can hold at best.
void check_size(Decoder& decoder, int64_t width, int64_t height, int64_t most_per_byte) {
  char text[200];
  if (width < 1 || height < 1 || height > decoder.max_pixels / width) {
    std::snprintf(text, sizeof(text), "%lld x %lld pixels are more than the limit of %lld",
                  static_cast<long long>(width), static_cast<long long>(height),
                  static_cast<long long>(decoder.max_pixels));
    decoder.fail(text);
  }
  if (width * height / most_per_byte > static_cast<int64_t>(decoder.bytes.size())) {
    std::snprintf(text, sizeof(text), "%zu bytes are too few for %lld x %lld pixels", decoder.bytes.size(),
                  static_cast<long long>(width), static_cast<long long>(height));
    decoder.fail(text);
  }
}

/// Sets the image's size and reserves, but does not touch, its memory: a file that breaks off costs only what it held.
void begin_image(Decoder& decoder, int64_t width, int64_t height, int64_t channels) {
  Image& image = *decoder.image;
  image.width = width;
  image.height = height;
  image.channels = channels;
  try {
    image.pixels.reserve(static_cast<size_t>(width * height * channels));
  } catch (const std::bad_alloc&) {
    decoder.no_memory = true;
  }
  if (decoder.no_memory) decoder.fail("there is not enough memory for its pixels");
}

/// One more row at the end of the image (within the reserved memory).
uint8_t* next_row(Image& image) {
  const size_t begin = image.pixels.size();
  image.pixels.resize(begin + static_cast<size_t>(image.width * image.channels));
  return image.pixels.data() + begin;
}

template <typename D>
bool guarded(D& decoder, void (*work)(D&)) {
  if (setjmp(decoder.jump) != 0) return false;
  work(decoder);
  return true;
}

// ---- JPEG

struct JpegDecoder : Decoder {
  jpeg_decompress_struct info{};
  jpeg_error_mgr errors{};
  jpeg_progress_mgr progress{};
  std::vector<uint8_t> cmyk;
  ~JpegDecoder() { jpeg_destroy_decompress(&info); }
};

JpegDecoder& decoder_of(j_common_ptr info) { return *static_cast<JpegDecoder*>(info->client_data); }

void jpeg_fail(j_common_ptr info) {
  char text[JMSG_LENGTH_MAX];
  info->err->format_message(info, text);
  decoder_of(info).fail(text);
}

/// Warnings (level < 0) mean lost or made-up pixels, except those about mere padding and headers.
void jpeg_warn(j_common_ptr info, int level) {
  const int code = info->err->msg_code;
  if (level >= 0 || code == JWRN_EXTRANEOUS_DATA || code == JWRN_ADOBE_XFORM || code == JWRN_JFIF_MAJOR) return;
  jpeg_fail(info);
}

/// A small progressive file can make the decoder walk over a large picture once per scan, thousands of times.
void jpeg_check_scans(j_common_ptr info) {
  constexpr int64_t kMaxScans = 500, kMaxPixelScans = 2'000'000'000;
  const jpeg_decompress_struct& state = decoder_of(info).info;
  const int64_t pixels = static_cast<int64_t>(state.image_width) * state.image_height;
  if (state.input_scan_number > kMaxScans || state.input_scan_number * pixels > kMaxPixelScans)
    decoder_of(info).fail("it has too many scans for its size");
}

/// Adobe's programs store inks inverted, which is what the marker tells.
void cmyk_to_rgb(const JpegDecoder& decoder, uint8_t* rgb) {
  const bool inverted = decoder.info.saw_Adobe_marker;
  for (size_t i = 0; i < decoder.cmyk.size(); i += 4) {
    const auto light = [&](size_t k) { return inverted ? decoder.cmyk[i + k] : 255 - decoder.cmyk[i + k]; };
    for (size_t c = 0; c < 3; ++c) *rgb++ = static_cast<uint8_t>((light(c) * light(3) + 127) / 255);
  }
}

void decode_jpeg(JpegDecoder& decoder) {
  jpeg_decompress_struct& info = decoder.info;
  jpeg_create_decompress(&info);
  info.client_data = &decoder;
  info.progress = &decoder.progress;
  jpeg_mem_src(&info, reinterpret_cast<const unsigned char*>(decoder.bytes.data()), decoder.bytes.size());
  jpeg_read_header(&info, TRUE);
  // Huffman coding spends at least one bit on the first coefficient of each 8x8 block; arithmetic coding may spend
  // less.
  check_size(decoder, info.image_width, info.image_height, info.arith_code ? 512 * 256 : 512);
  const bool inks = info.jpeg_color_space == JCS_CMYK || info.jpeg_color_space == JCS_YCCK;
  if (inks) info.out_color_space = JCS_CMYK;
  jpeg_start_decompress(&info);
  const int channels = inks ? 3 : info.output_components;
  if (channels != 1 && channels != 3) decoder.fail("it has an unknown number of colour channels");
  begin_image(decoder, info.output_width, info.output_height, channels);
  while (info.output_scanline < info.output_height) {
    uint8_t* row = next_row(*decoder.image);
    if (inks) decoder.cmyk.resize(size_t{4} * info.output_width);
    JSAMPROW target = inks ? decoder.cmyk.data() : row;
    jpeg_read_scanlines(&info, &target, 1);
    if (inks) cmyk_to_rgb(decoder, row);
  }
  jpeg_finish_decompress(&info);
}

void prepare(JpegDecoder& decoder) {
  decoder.info.err = jpeg_std_error(&decoder.errors);
  decoder.info.client_data = &decoder;
  decoder.errors.error_exit = jpeg_fail;
  decoder.errors.emit_message = jpeg_warn;
  decoder.errors.output_message = [](j_common_ptr) {};
  decoder.progress.progress_monitor = jpeg_check_scans;
}

// ---- PNG

struct PngDecoder : Decoder {
  png_structp png = nullptr;
  png_infop info = nullptr;
  size_t position = 0;
  ~PngDecoder() { png_destroy_read_struct(&png, &info, nullptr); }
};

void png_fail(png_structp png, png_const_charp text) { static_cast<PngDecoder*>(png_get_error_ptr(png))->fail(text); }

void png_ignore(png_structp, png_const_charp) {}

void png_take(png_structp png, png_bytep to, size_t count) {
  PngDecoder& decoder = *static_cast<PngDecoder*>(png_get_io_ptr(png));
  if (count > decoder.bytes.size() - decoder.position) decoder.fail("the file ends early");
  std::memcpy(to, decoder.bytes.data() + decoder.position, count);
  decoder.position += count;
}

void decode_png(PngDecoder& decoder) {
  decoder.info = png_create_info_struct(decoder.png);
  if (!decoder.info) decoder.fail("there is not enough memory");
  png_structp png = decoder.png;
  png_set_read_fn(png, &decoder, png_take);
  png_set_user_limits(png, 0x7fffffff, 0x7fffffff);
  png_read_info(png, decoder.info);
  const int64_t width = png_get_image_width(png, decoder.info), height = png_get_image_height(png, decoder.info);
  const int bits = png_get_bit_depth(png, decoder.info) * png_get_channels(png, decoder.info);
  // Deflate shrinks at most by the factor 1032, and each row has one more byte.
  check_size(decoder, width, height, 1032 * 8 / bits);
  png_set_strip_16(png);
  png_set_palette_to_rgb(png);
  png_set_expand_gray_1_2_4_to_8(png);
  png_set_strip_alpha(png);
  const int passes = png_set_interlace_handling(png);
  png_read_update_info(png, decoder.info);
  const int channels = png_get_channels(png, decoder.info);
  if (png_get_rowbytes(png, decoder.info) != static_cast<size_t>(width * channels) || (channels != 1 && channels != 3))
    decoder.fail("its pixels are stored in an unknown way");
  begin_image(decoder, width, height, channels);
  for (int pass = 0; pass < passes; ++pass)
    for (int64_t y = 0; y < height; ++y)
      png_read_row(png, pass == 0 ? next_row(*decoder.image) : decoder.image->pixels.data() + y * width * channels,
                   nullptr);
  png_read_end(png, nullptr);
}

bool prepare(PngDecoder& decoder) {
  decoder.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &decoder, png_fail, png_ignore);
  return decoder.png != nullptr;
}

template <typename D>
[[noreturn]] void refuse(const D& decoder, const char* kind, const std::string& path) {
  throw Error(decoder.no_memory ? ErrorCode::out_of_memory : ErrorCode::bad_file,
              fmt::format("the {} picture cannot be decoded: {} (replace or remove the file)", kind,
                          printable(decoder.problem)),
              path);
}

template <typename D>
void set_up(D& decoder, Bytes bytes, int64_t max_pixels, Image& image) {
  decoder.bytes = bytes;
  decoder.max_pixels = max_pixels;
  decoder.image = &image;
}

}  // namespace

PictureKind picture_kind(Bytes bytes) {
  const auto begins = [&](std::string_view magic) {
    return bytes.size() >= magic.size() && std::memcmp(bytes.data(), magic.data(), magic.size()) == 0;
  };
  if (begins("\xff\xd8\xff")) return PictureKind::jpeg;
  if (begins("\x89PNG\r\n\x1a\n")) return PictureKind::png;
  return PictureKind::none;
}

Image decode_image(Bytes bytes, const std::string& path, int64_t max_pixels) {
  Image image;
  switch (picture_kind(bytes)) {
    case PictureKind::jpeg: {
      JpegDecoder decoder;
      set_up(decoder, bytes, max_pixels, image);
      prepare(decoder);
      if (!guarded(decoder, decode_jpeg)) refuse(decoder, "JPEG", path);
      return image;
    }
    case PictureKind::png: {
      PngDecoder decoder;
      set_up(decoder, bytes, max_pixels, image);
      if (!prepare(decoder) || !guarded(decoder, decode_png)) refuse(decoder, "PNG", path);
      return image;
    }
    case PictureKind::none:
      break;
  }
  throw Error(ErrorCode::bad_file,
              bytes.empty() ? "the picture is empty (replace or remove the file)"
                            : "is neither a JPEG nor a PNG picture by its content (convert, rename or remove it)",
              path);
}

}  // namespace lowbit
