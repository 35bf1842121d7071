// expN, mulawN, powerN, piecewiseN: a linear grid t = |code| / last behind a curve that is dense near 0.
//   exp        (e^(a t) - 1) / (e^a - 1), a fitted in [0.05, 12] (a -> 0 is the linear grid)
//   mulaw      ((1 + mu)^t - 1) / mu with mu = 255, the constant of ITU-T G.711; nothing fitted but the scale
//   power      t^p, p fitted in [0.5, 6] (p = 1 is the linear grid)
//   piecewise  the broken line through (0, 0), (1/2, u), (3/4, v), (1, 1), u and v fitted with slopes that do not
//              fall: twice the codes of a linear grid near 0. Paper: Fang et al., "Post-Training Piecewise Linear
//              Quantization", ECCV 2020, arXiv:2002.00104; differs: two fitted breaks instead of one, continuous.
#include <array>

#include "lowbit/numbers/elementary.h"
#include "lowbit/numbers/names.h"
#include "lowbit/numbers/signed_magnitude.h"

namespace lowbit {
namespace {

double share(int index, int last) { return static_cast<double>(index) / static_cast<double>(last); }

double exponential(double a, double t) { return (portable_exp(a * t) - 1) / (portable_exp(a) - 1); }

double exp_curve(const NumberFormat&, std::span<const float> shape, int index, int last) {
  return exponential(static_cast<double>(shape[0]), share(index, last));
}

double mulaw_curve(const NumberFormat&, std::span<const float>, int index, int last) {
  constexpr double kMu = 255;
  return (portable_pow(1 + kMu, share(index, last)) - 1) / kMu;
}

double power_curve(const NumberFormat&, std::span<const float> shape, int index, int last) {
  return portable_pow(share(index, last), static_cast<double>(shape[0]));
}

double piecewise_curve(const NumberFormat&, std::span<const float> shape, int index, int last) {
  constexpr std::array kT = {0.0, 0.5, 0.75, 1.0};
  const std::array values = {0.0, static_cast<double>(shape[0]), static_cast<double>(shape[1]), 1.0};
  const double t = share(index, last);
  size_t piece = 0;
  while (piece + 2 < kT.size() && t > kT[piece + 1]) ++piece;
  const double part = (t - kT[piece]) / (kT[piece + 1] - kT[piece]);
  return values[piece] * (1 - part) + values[piece + 1] * part;
}

/// Slopes of the three pieces must not fall: u / (1/2) <= (v - u) / (1/4) <= (1 - v) / (1/4).
bool convex(std::span<const float> shape) {
  return shape[0] <= 2 * (shape[1] - shape[0]) && shape[1] - shape[0] <= 1 - shape[1];
}

constexpr MagnitudeCurve kExp{.at = exp_curve, .shape_count = 1, .shapes = {{{0.05f, 12.0f}}}};
constexpr MagnitudeCurve kMulaw{.at = mulaw_curve};
constexpr MagnitudeCurve kPower{.at = power_curve, .shape_count = 1, .shapes = {{{0.5f, 6.0f}}}};
constexpr MagnitudeCurve kPiecewise{
    .at = piecewise_curve, .shape_count = 2, .shapes = {{{0.02f, 0.5f}, {0.06f, 0.75f}}}, .valid = convex};

std::optional<NumberFormat> parse_two_to_eight(std::string_view tail) { return parse_bits(tail, 2, 8); }

constexpr NumberSystem row(std::string_view name, std::string_view summary, std::string_view paper) {
  return {.name = name,
          .summary = summary,
          .paper = paper,
          .min_bits = 2,
          .max_bits = 8,
          .parse = parse_two_to_eight,
          .format_name = name_with_bits,
          .codes = symmetric_codes};
}

}  // namespace

extern const NumberSystem exp_system, mulaw_system, power_system, piecewise_system;
constinit const NumberSystem exp_system =
    magnitude_system<kExp>(row("exp", "linear grid behind a fitted exponential; exact zero", ""));
constinit const NumberSystem mulaw_system =
    magnitude_system<kMulaw>(row("mulaw", "mu-law companding with mu = 255; exact zero", "ITU-T G.711"));
constinit const NumberSystem power_system =
    magnitude_system<kPower>(row("power", "linear grid behind a fitted power; exact zero", ""));
constinit const NumberSystem piecewise_system =
    magnitude_system<kPiecewise>(row("piecewise", "broken line with two fitted breaks, dense near the exact zero",
                                     "Fang et al., ECCV 2020, arXiv:2002.00104"));

}  // namespace lowbit
