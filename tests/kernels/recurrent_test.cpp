#include "lowbit/kernels/recurrent.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <thread>
#include <vector>

#include "lowbit/kernels/float_layer.h"

namespace lowbit::kernels {
namespace {

/// A matrix of codes with its packed form, rows [gates * padded_hidden].
struct Matrix {
  LowbitMatrix view;
  std::vector<uint8_t> codes, packed;
  std::vector<float> scales, packed_scales, offsets;

  Matrix(int64_t n, int64_t k, LowbitCoding coding, int64_t group, std::mt19937& rng) {
    view.coding = coding;
    view.n = n;
    view.k = k;
    view.group = group;
    const uint32_t most = coding == LowbitCoding::u7 ? 127 : (1u << lowbit_bits(coding)) - 1;
    view.zero = static_cast<int32_t>(most / 2 + 1);
    codes.resize(static_cast<size_t>(n * k));
    for (uint8_t& code : codes) code = static_cast<uint8_t>(1 + rng() % most);
    packed.resize(lowbit_code_bytes(coding, n, k));
    lowbit_pack_codes(coding, n, k, codes.data(), k, packed.data());
    view.codes = packed.data();
    std::uniform_real_distribution<float> some(0.5f, 1.5f);
    for (int64_t i = 0; i < n * view.groups(); ++i)
      scales.push_back(some(rng) / static_cast<float>(most) / std::sqrt(static_cast<float>(k)));
    packed_scales.resize(static_cast<size_t>(view.blocks() * view.groups() * 16));
    lowbit_pack_rows(n, view.groups(), scales.data(), packed_scales.data());
    view.scales = packed_scales.data();
    offsets.resize(static_cast<size_t>(view.blocks() * 16));
    lowbit_row_offsets(view, offsets.data());
    view.offsets = offsets.data();
  }
  double value(int64_t row, int64_t k) const {
    const int64_t group = view.groups() == 1 ? 0 : k / view.group;
    return static_cast<double>(scales[static_cast<size_t>(row * view.groups() + group)]) *
           (codes[static_cast<size_t>(row * view.k + k)] - view.zero);
  }
};

struct SequenceCase {
  RecurrentLayer layer;
  std::vector<Matrix> matrices;
  std::vector<float> input_bias, recurrent_bias, peephole, x, h0, c0;
  std::vector<int8_t> x_codes;
  std::vector<int64_t> lengths;
  int64_t steps = 1, batch = 1, inputs = 1;
  bool coded = false;
};

struct Result {
  std::vector<float> y, h, c;
  bool operator==(const Result&) const = default;
};

SequenceCase any_case() {
  SequenceCase c;
  const auto below = [](int64_t least, int64_t end) { return *rc::gen::inRange<int64_t>(least, end); };
  std::mt19937 rng(*rc::gen::arbitrary<uint32_t>());
  RecurrentLayer& layer = c.layer;
  layer.kind = *rc::gen::element(RecurrentLayer::Kind::lstm, RecurrentLayer::Kind::gru);
  layer.hidden = below(1, 40);
  layer.reverse = *rc::gen::arbitrary<bool>();
  layer.couple = *rc::gen::arbitrary<bool>();
  layer.linear_before_reset = *rc::gen::arbitrary<bool>();
  if (below(0, 3) == 0) layer.clip = 0.7f;
  c.steps = below(0, 9);
  c.batch = below(1, 7);
  c.inputs = below(1, 70);
  c.coded = *rc::gen::arbitrary<bool>();
  const int64_t rows = layer.gates() * layer.padded_hidden();
  const auto coding = [] {
    return *rc::gen::element(LowbitCoding::u4, LowbitCoding::u7, LowbitCoding::u8, LowbitCoding::u2);
  };
  c.matrices.emplace_back(rows, c.inputs, coding(), *rc::gen::element<int64_t>(32, 1000), rng);
  c.matrices.emplace_back(rows, layer.hidden, coding(), *rc::gen::element<int64_t>(32, 1000), rng);
  std::uniform_real_distribution<float> some(-0.5f, 0.5f);
  const auto fill = [&](std::vector<float>& v, int64_t n) {
    for (int64_t i = 0; i < n; ++i) v.push_back(some(rng));
  };
  fill(c.input_bias, rows);
  if (layer.kind == RecurrentLayer::Kind::gru && layer.linear_before_reset) {
    fill(c.recurrent_bias, rows);
    for (int64_t i = 0; i < 2 * layer.padded_hidden(); ++i) c.recurrent_bias[static_cast<size_t>(i)] = 0;
  }
  if (below(0, 2)) fill(c.peephole, 3 * layer.hidden);
  fill(c.x, c.steps * c.batch * c.inputs);
  for (size_t i = 0; i < c.x.size(); ++i) c.x_codes.push_back(static_cast<int8_t>(static_cast<int>(rng() % 256) - 128));
  fill(c.h0, c.batch * layer.hidden);
  fill(c.c0, c.batch * layer.hidden);
  for (int64_t i = 0; i < c.batch; ++i) c.lengths.push_back(below(0, c.steps + 1));
  return c;
}

Result run(const SequenceCase& c, Isa isa, const TaskPool& pool) {
  RecurrentLayer layer = c.layer;
  layer.input = c.matrices[0].view;
  layer.recurrent = c.matrices[1].view;
  layer.input_bias = c.input_bias.data();
  layer.recurrent_bias = c.recurrent_bias.empty() ? nullptr : c.recurrent_bias.data();
  layer.peephole = c.peephole.empty() ? nullptr : c.peephole.data();
  Result result;
  result.y.assign(static_cast<size_t>(c.steps * c.batch * layer.hidden), 0.0f);
  result.h.assign(static_cast<size_t>(c.batch * layer.hidden), 99.0f);
  result.c = result.h;
  std::vector<uint64_t> scratch(recurrent_scratch_bytes(layer, c.steps, c.batch) / 8 + 8);
  RecurrentCall call;
  call.steps = c.steps;
  call.batch = c.batch;
  if (c.coded) {
    call.x_codes = c.x_codes.data();
    call.x_scale = 0.01f;
    call.x_zero = -7;
  } else {
    call.x = c.x.data();
  }
  call.x_step = c.batch * c.inputs;
  call.x_row = c.inputs;
  call.lengths = c.lengths.data();
  call.h0 = c.h0.data();
  call.c0 = c.c0.data();
  call.state_row = layer.hidden;
  call.y = result.y.data();
  call.y_step = c.batch * layer.hidden;
  call.y_row = layer.hidden;
  call.last_h = result.h.data();
  call.last_c = result.c.data();
  call.scratch = reinterpret_cast<void*>((reinterpret_cast<uintptr_t>(scratch.data()) + 63) / 64 * 64);
  run_recurrent(layer, call, pool, isa);
  return result;
}

/// The layer in double with the same weights and unquantized activations: what the integer layer approximates.
Result float_layer(const SequenceCase& c) {
  const RecurrentLayer& layer = c.layer;
  const auto hidden = static_cast<size_t>(layer.hidden);
  Result result;
  result.y.assign(static_cast<size_t>(c.steps * c.batch) * hidden, 0.0f);
  for (int64_t row = 0; row < c.batch; ++row) {
    const auto first = static_cast<size_t>(row) * hidden;
    std::vector<double> h(c.h0.begin() + static_cast<int64_t>(first),
                          c.h0.begin() + static_cast<int64_t>(first + hidden));
    std::vector<double> cell(c.c0.begin() + static_cast<int64_t>(first),
                             c.c0.begin() + static_cast<int64_t>(first + hidden));
    const int64_t length = c.lengths[static_cast<size_t>(row)];
    for (int64_t step = 0; step < length; ++step) {
      const int64_t time = layer.reverse ? length - 1 - step : step;
      const auto from_input = [&](int64_t gate, int64_t u) {
        const int64_t r = gate * layer.padded_hidden() + u;
        double sum = c.input_bias[static_cast<size_t>(r)];
        for (int64_t i = 0; i < c.inputs; ++i) {
          const auto at = static_cast<size_t>((time * c.batch + row) * c.inputs + i);
          sum += c.matrices[0].value(r, i) * (c.coded ? 0.01 * (c.x_codes[at] + 7) : c.x[at]);
        }
        return sum;
      };
      const auto from_state = [&](int64_t gate, int64_t u, const std::vector<double>& state) {
        const int64_t r = gate * layer.padded_hidden() + u;
        double sum = c.recurrent_bias.empty() ? 0.0 : c.recurrent_bias[static_cast<size_t>(r)];
        for (int64_t i = 0; i < layer.hidden; ++i) sum += c.matrices[1].value(r, i) * state[static_cast<size_t>(i)];
        return sum;
      };
      const auto clip = [&](double v) {
        return std::min(std::max(v, -static_cast<double>(layer.clip)), static_cast<double>(layer.clip));
      };
      const auto sigmoid = [&](double v) { return 1 / (1 + std::exp(-clip(v))); };
      const std::vector<double> old = h;
      std::vector<double> kept(hidden);
      for (int64_t u = 0; u < layer.hidden; ++u)
        kept[static_cast<size_t>(u)] =
            layer.kind == RecurrentLayer::Kind::gru
                ? sigmoid(from_input(1, u) + from_state(1, u, old)) * old[static_cast<size_t>(u)]
                : 0;
      for (int64_t u = 0; u < layer.hidden; ++u) {
        const auto at = static_cast<size_t>(u);
        if (layer.kind == RecurrentLayer::Kind::lstm) {
          const auto peep = [&](int64_t gate, double v) {
            return c.peephole.empty() ? 0.0 : c.peephole[static_cast<size_t>(gate * layer.hidden + u)] * v;
          };
          const double in = sigmoid(from_input(0, u) + from_state(0, u, old) + peep(0, cell[at]));
          const double forget =
              layer.couple ? 1 - in : sigmoid(from_input(2, u) + from_state(2, u, old) + peep(2, cell[at]));
          cell[at] = forget * cell[at] + in * std::tanh(clip(from_input(3, u) + from_state(3, u, old)));
          h[at] = sigmoid(from_input(1, u) + from_state(1, u, old) + peep(1, cell[at])) * std::tanh(cell[at]);
        } else {
          const double update = sigmoid(from_input(0, u) + from_state(0, u, old));
          const double reset = sigmoid(from_input(1, u) + from_state(1, u, old));
          const double recurrent = layer.linear_before_reset ? reset * from_state(2, u, old) : from_state(2, u, kept);
          h[at] = (1 - update) * std::tanh(clip(from_input(2, u) + recurrent)) + update * old[at];
        }
        result.y[static_cast<size_t>(time * c.batch + row) * hidden + at] = static_cast<float>(h[at]);
      }
    }
    result.h.insert(result.h.end(), h.begin(), h.end());
    result.c.insert(result.c.end(), cell.begin(), cell.end());
  }
  return result;
}

double largest_difference(const std::vector<float>& a, const std::vector<float>& b) {
  double largest = 0;
  for (size_t i = 0; i < a.size(); ++i) largest = std::max(largest, std::abs(static_cast<double>(a[i]) - b[i]));
  return largest;
}

TEST(Recurrent, FollowsTheFloatLayerWithinTheErrorOfItsCodes) {
  EXPECT_TRUE(rc::check([] {
    const SequenceCase c = any_case();
    const Result expected = float_layer(c), result = run(c, Isa::ref, {});
    // A code is off by at most 1/254 of the largest activation; weights of about 1/sqrt(k) and gates that flatten keep
    // the sum of such errors small over the few steps of the cases.
    RC_ASSERT(largest_difference(result.y, expected.y) < 0.05);
    RC_ASSERT(largest_difference(result.h, expected.h) < 0.05);
    if (c.layer.kind == RecurrentLayer::Kind::lstm) RC_ASSERT(largest_difference(result.c, expected.c) < 0.05);
  }));
}

TEST(Recurrent, EveryInstructionSetGivesTheSameBits) {
  EXPECT_TRUE(rc::check([] {
    const SequenceCase c = any_case();
    const Result expected = run(c, Isa::ref, {});
    for (const FloatRow& row : float_table())
      if (isa_row(row.isa).supported) RC_ASSERT(run(c, row.isa, {}) == expected);
  }));
}

TEST(Recurrent, ThreadsDoNotChangeTheBits) {
  std::mt19937 rng(5);
  for (auto kind : {RecurrentLayer::Kind::lstm, RecurrentLayer::Kind::gru})
    for (bool linear : {false, true}) {
      SequenceCase c;
      c.layer.kind = kind;
      c.layer.hidden = 150;
      c.layer.linear_before_reset = linear;
      c.steps = 5;
      c.batch = 2;
      c.inputs = 40;
      const int64_t rows = c.layer.gates() * c.layer.padded_hidden();
      c.matrices.emplace_back(rows, c.inputs, LowbitCoding::u8, 1000, rng);
      c.matrices.emplace_back(rows, c.layer.hidden, LowbitCoding::u4, 32, rng);
      c.input_bias.assign(static_cast<size_t>(rows), 0.1f);
      c.x.assign(static_cast<size_t>(c.steps * c.batch * c.inputs), 0.3f);
      c.h0.assign(static_cast<size_t>(c.batch * c.layer.hidden), 0.2f);
      c.c0 = c.h0;
      c.lengths = {5, 3};
      TaskPool pool;
      pool.threads = 3;
      pool.run = [](void*, void (*task)(void*, size_t), void* argument, size_t n) {
        std::vector<std::thread> threads;
        for (size_t i = 0; i < n; ++i) threads.emplace_back(task, argument, i);
        for (std::thread& thread : threads) thread.join();
      };
      EXPECT_EQ(run(c, active_isa(), pool), run(c, active_isa(), {}));
    }
}

}  // namespace
}  // namespace lowbit::kernels
