#include "lowbit/data/preprocess.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>

#include <fmt/format.h>

#include "lowbit/base/text.h"
#include "lowbit/data/resample.h"

namespace lowbit {
namespace {

using Kind = Preprocess::Step::Kind;

struct Key {
  std::string_view name;
  Kind kind;
  std::string_view expected;
};
constexpr Key kKeys[] = {
    {"color", Kind::color, "rgb, bgr or grey"},
    {"short", Kind::short_side, "the shorter side in pixels, e.g. 256"},
    {"resize", Kind::resize, "WIDTHxHEIGHT in pixels, e.g. 224x224"},
    {"crop", Kind::crop, "WIDTHxHEIGHT in pixels, e.g. 224x224"},
    {"range", Kind::range, "A..B, two different numbers, e.g. 0..1"},
    {"mean", Kind::mean, "one number, or one per channel as 1:2:3"},
    {"std", Kind::std, "one positive number, or one per channel as 1:2:3"},
    {"layout", Kind::layout, "nhwc or nchw"},
};

constexpr int64_t kMaxSide = 65'535;
constexpr int64_t kMaxPixels = 100'000'000;

const Key& key_of(Kind kind) {
  return *std::find_if(std::begin(kKeys), std::end(kKeys), [kind](const Key& key) { return key.kind == kind; });
}

const Key& find_key(std::string_view name) {
  for (const Key& key : kKeys)
    if (key.name == name) return key;
  std::vector<std::string> names;
  for (const Key& key : kKeys) names.emplace_back(key.name);
  const std::string near = did_you_mean(name, names);
  throw Error(ErrorCode::bad_argument, fmt::format("the preprocessing has no key '{}' ({})", printable(name, 60),
                                                   near.empty() ? "known are " + join(names, ", ") : near));
}

std::optional<std::vector<double>> parse_sides(std::string_view text, size_t count) {
  std::vector<double> sides;
  for (const std::string& part : split(text, 'x')) {
    const std::optional<int64_t> side = parse_int(part);
    if (!side || *side < 1 || *side > kMaxSide) return std::nullopt;
    sides.push_back(static_cast<double>(*side));
  }
  if (sides.size() != count || (count == 2 && sides[0] * sides[1] > kMaxPixels)) return std::nullopt;
  return sides;
}

std::optional<double> parse_finite(std::string_view text) {
  const std::optional<double> number = parse_double(text);
  return number && std::isfinite(static_cast<float>(*number)) ? number : std::nullopt;
}

std::optional<std::vector<double>> parse_range(std::string_view text) {
  const size_t dots = text.find("..");
  if (dots == std::string_view::npos) return std::nullopt;
  const auto low = parse_finite(text.substr(0, dots)), high = parse_finite(text.substr(dots + 2));
  if (!low || !high || *low == *high) return std::nullopt;
  return std::vector<double>{*low, *high};
}

std::optional<std::vector<double>> parse_channels(std::string_view text, bool positive) {
  std::vector<double> numbers;
  for (const std::string& part : split(text, ':')) {
    const std::optional<double> number = parse_finite(part);
    if (!number || (positive && !(static_cast<float>(*number) > 0))) return std::nullopt;
    numbers.push_back(*number);
  }
  if (numbers.size() != 1 && numbers.size() != 3) return std::nullopt;
  return numbers;
}

std::optional<std::vector<double>> parse_numbers(Kind kind, std::string_view text) {
  switch (kind) {
    case Kind::short_side:
      return parse_sides(text, 1);
    case Kind::resize:
    case Kind::crop:
      return parse_sides(text, 2);
    case Kind::range:
      return parse_range(text);
    case Kind::mean:
    case Kind::std:
      return parse_channels(text, kind == Kind::std);
    case Kind::color:
      if (text == "rgb" || text == "bgr" || text == "grey") return std::vector<double>{};
      break;
    case Kind::layout:
      if (text == "nhwc" || text == "nchw") return std::vector<double>{};
      break;
  }
  return std::nullopt;
}

Preprocess::Step parse_step(std::string_view pair) {
  const size_t equals = pair.find('=');
  const Key& key = find_key(trim(pair.substr(0, equals)));
  const std::string_view value = equals == std::string_view::npos ? "" : trim(pair.substr(equals + 1));
  std::optional<std::vector<double>> numbers = parse_numbers(key.kind, value);
  if (!numbers)
    throw Error(ErrorCode::bad_argument, fmt::format("preprocessing {}='{}' is not valid (expected: {})", key.name,
                                                     printable(value, 60), key.expected));
  const bool word = key.kind == Kind::color || key.kind == Kind::layout;
  return {key.kind, word ? std::string(value) : "", std::move(*numbers)};
}

std::string spec_text(const std::string& file_or_spec) {
  constexpr size_t kMaxSpecBytes = 65'536;
  if (!file_exists(file_or_spec)) {
    if (file_or_spec.find('=') != std::string::npos) return file_or_spec;
    throw Error(ErrorCode::bad_argument,
                fmt::format("the preprocessing '{}' is neither a file nor a spec (a spec looks like "
                            "color=rgb,resize=224x224,range=0..1)",
                            printable(file_or_spec, 100)));
  }
  const auto file = MappedFile::open(file_or_spec);
  if (file->bytes().size() > kMaxSpecBytes)
    throw Error(ErrorCode::bad_file, "is too large for a preprocessing spec (64 KiB at most)", file_or_spec);
  return {reinterpret_cast<const char*>(file->bytes().data()), file->bytes().size()};
}

// ---- applying

Picture<float> to_float(const Picture<uint8_t>& picture) {
  return {picture.width, picture.height, picture.channels, {picture.values.begin(), picture.values.end()}};
}

/// Size after `short=side`.
std::array<int64_t, 2> short_size(int64_t width, int64_t height, int64_t side) {
  if (width <= height) return {side, side * height / width};
  return {side * width / height, side};
}

template <typename T>
Picture<T> centre_crop(const Picture<T>& picture, int64_t width, int64_t height) {
  if (width > picture.width || height > picture.height)
    throw Error(ErrorCode::bad_argument,
                fmt::format("crop={}x{} is larger than the picture of {}x{} (put short= or resize= before it)", width,
                            height, picture.width, picture.height));
  return crop(picture, (picture.width - width) / 2, (picture.height - height) / 2, width, height);
}

template <typename T>
void apply_geometry(const Preprocess::Step& step, Picture<T>& picture) {
  const auto number = [&](size_t i) { return static_cast<int64_t>(step.numbers[i]); };
  switch (step.kind) {
    case Kind::color:
      picture = to_color(std::move(picture), step.text == "grey"  ? Color::grey
                                             : step.text == "bgr" ? Color::bgr
                                                                  : Color::rgb);
      return;
    case Kind::short_side: {
      const auto [width, height] = short_size(picture.width, picture.height, number(0));
      if (width > kMaxPixels / height)
        throw Error(ErrorCode::bad_file,
                    fmt::format("short={} makes {}x{} of the picture of {}x{}, more than 100 million pixels", number(0),
                                width, height, picture.width, picture.height));
      picture = resize_bilinear(picture, width, height);
      return;
    }
    case Kind::resize:
      picture = resize_bilinear(picture, number(0), number(1));
      return;
    case Kind::crop:
      picture = centre_crop(picture, number(0), number(1));
      return;
    default:
      LOWBIT_CHECK(step.kind == Kind::layout);
  }
}

void apply_arithmetic(const Preprocess::Step& step, Picture<float>& picture) {
  if (step.kind == Kind::range) {
    const double low = step.numbers[0], width = step.numbers[1] - step.numbers[0];
    for (float& v : picture.values) v = static_cast<float>(low + v * width / 255);
    return;
  }
  const size_t channels = static_cast<size_t>(picture.channels);
  if (step.numbers.size() != 1 && step.numbers.size() != channels)
    throw Error(ErrorCode::bad_argument,
                fmt::format("{} has {} numbers, but the picture has {} channel{} at that step (give one number, or one "
                            "per channel)",
                            key_of(step.kind).name, step.numbers.size(), channels, channels == 1 ? "" : "s"));
  for (size_t c = 0; c < channels; ++c) {
    const float number = static_cast<float>(step.numbers[step.numbers.size() == 1 ? 0 : c]);
    for (size_t i = c; i < picture.values.size(); i += channels)
      picture.values[i] = step.kind == Kind::mean ? picture.values[i] - number : picture.values[i] / number;
  }
}

Tensor to_tensor(const Picture<float>& picture, bool channels_first) {
  if (!channels_first) return Tensor::from<float>({picture.height, picture.width, picture.channels}, picture.values);
  Tensor tensor = Tensor::uninitialized(DType::float32, {picture.channels, picture.height, picture.width});
  float* to = tensor.mutable_data<float>();
  const size_t channels = static_cast<size_t>(picture.channels);
  for (size_t c = 0; c < channels; ++c)
    for (size_t i = c; i < picture.values.size(); i += channels) *to++ = picture.values[i];
  return tensor;
}

}  // namespace

Preprocess parse_preprocess(const std::string& file_or_spec) {
  Preprocess result;
  for (const std::string& line : split(spec_text(file_or_spec), '\n')) {
    for (const std::string& pair : split(std::string_view(line).substr(0, line.find('#')), ',')) {
      if (trim(pair).empty()) continue;
      Preprocess::Step step = parse_step(pair);
      for (const Preprocess::Step& earlier : result.steps)
        if (earlier.kind == step.kind)
          throw Error(ErrorCode::bad_argument,
                      fmt::format("the preprocessing has {} twice (give it once)", key_of(step.kind).name));
      result.steps.push_back(std::move(step));
    }
  }
  return result;
}

std::string to_string(const Preprocess& preprocess) {
  std::vector<std::string> pairs;
  for (const Preprocess::Step& step : preprocess.steps) {
    const bool sides = step.kind == Kind::resize || step.kind == Kind::crop;
    const std::string_view separator = step.kind == Kind::range ? ".." : sides ? "x" : ":";
    pairs.push_back(fmt::format("{}={}{}", key_of(step.kind).name, step.text, fmt::join(step.numbers, separator)));
  }
  return join(pairs, ",");
}

Tensor apply_preprocess(const Preprocess& preprocess, const Image& image,
                        const std::function<void(Picture<uint8_t>&)>& edit) {
  Picture<uint8_t> pixels{image.width, image.height, image.channels, image.pixels};
  std::optional<Picture<float>> values;  // from the first arithmetic step on
  bool channels_first = false, colored = false;
  for (const Preprocess::Step& step : preprocess.steps) colored |= step.kind == Kind::color;
  if (!colored) pixels = to_color(std::move(pixels), Color::rgb);
  for (const Preprocess::Step& step : preprocess.steps) {
    if (step.kind == Kind::range || step.kind == Kind::mean || step.kind == Kind::std) {
      if (!values && edit) edit(pixels);
      if (!values) values = to_float(pixels);
      apply_arithmetic(step, *values);
    } else if (step.kind == Kind::layout) {
      channels_first = step.text == "nchw";
    } else if (values) {
      apply_geometry(step, *values);
    } else {
      apply_geometry(step, pixels);
    }
  }
  if (!values && edit) edit(pixels);
  return to_tensor(values ? *values : to_float(pixels), channels_first);
}

}  // namespace lowbit
