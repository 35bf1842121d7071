#include "lowbit/kernels/recurrent.h"

#include <algorithm>
#include <cstring>

#include "lowbit/kernels/float_layer.h"

namespace lowbit::kernels {
namespace {

constexpr int64_t kInputBytes = 256 * 1024;  // results of input products that wait for their step
// Rows of results are not a power of two apart: the cache would hold only few of them at a time.
constexpr int64_t kStridePad = 16;
constexpr int64_t kParallelMacs = 64 * 1024;  // below this a step is not worth a second thread

int64_t chunk_steps(const RecurrentLayer& layer, int64_t steps, int64_t batch) {
  const int64_t step_bytes = layer.gates() * layer.padded_hidden() * 4 * std::max<int64_t>(1, batch);
  const int64_t whole = std::max<int64_t>(1, kInputBytes / step_bytes);
  return std::min(std::max<int64_t>(1, steps), whole >= 4 ? whole / 4 * 4 : whole);
}

/// The parts of the scratch memory. With a null base, only `bytes` is meaningful.
struct Scratch {
  float *from_input, *from_state, *h, *c, *kept, *x_scales, *h_scales, *x_rows;
  std::byte* products;  ///< scratch of float products, `product_bytes` for each thread
  size_t product_bytes = 0;
  int8_t *x_codes, *h_codes;
  int32_t *x_sums, *h_sums, *x_zeros;
  size_t bytes = 0;

  Scratch(const RecurrentLayer& layer, int64_t steps, int64_t batch, int threads, void* base) {
    const int64_t rows = layer.gates() * layer.padded_hidden(), at_once = chunk_steps(layer, steps, batch) * batch;
    take(base, from_input, at_once * (rows + kStridePad));
    take(base, from_state, batch * (rows + kStridePad));
    take(base, h, batch * layer.hidden);
    take(base, c, batch * layer.hidden);
    take(base, kept, batch * layer.hidden);
    if (layer.floats) {
      product_bytes = (std::max(float_layer_scratch_bytes(layer.float_input.shape),
                                float_layer_scratch_bytes(layer.float_recurrent.shape)) +
                       63) /
                      64 * 64;
      take(base, products, static_cast<int64_t>(product_bytes) * std::max(1, threads));
      take(base, x_rows, at_once * layer.float_input.shape.in_channels);
      return;
    }
    take(base, x_scales, at_once);
    take(base, h_scales, batch);
    take(base, x_codes, at_once * layer.input.padded_k());
    take(base, h_codes, batch * layer.recurrent.padded_k());
    take(base, x_sums, at_once * layer.input.groups());
    take(base, h_sums, batch * layer.recurrent.groups());
    take(base, x_zeros, at_once);
  }

 private:
  template <typename T>
  void take(void* base, T*& part, int64_t count) {
    part = base ? reinterpret_cast<T*>(static_cast<char*>(base) + bytes) : nullptr;
    bytes += (static_cast<size_t>(count) * sizeof(T) + 63) / 64 * 64;
  }
};

class Run {
 public:
  Run(const RecurrentLayer& layer, const RecurrentCall& call, const TaskPool& pool, Isa isa)
      : layer_(layer),
        call_(call),
        pool_(pool),
        isa_(isa),
        math_(*float_row(isa).math),
        scratch_(layer, call.steps, call.batch, pool.threads, call.scratch),
        rows_(layer.gates() * layer.padded_hidden()),
        stride_(rows_ + kStridePad),
        unit_blocks_(layer.padded_hidden() / kLowbitRows) {}

  void all() {
    start_states();
    const int64_t chunk = chunk_steps(layer_, call_.steps, call_.batch);
    for (int64_t begin = 0; begin < call_.steps; begin += chunk) {
      const int64_t end = std::min(call_.steps, begin + chunk);
      multiply_inputs(begin, end);
      for (int64_t step = begin; step < end; ++step) run_step(step, step - begin);
    }
    for (int64_t row = 0; row < call_.batch; ++row) {
      if (call_.last_h) std::copy_n(h(row), layer_.hidden, call_.last_h + row * call_.state_row);
      if (call_.last_c) std::copy_n(c(row), layer_.hidden, call_.last_c + row * call_.state_row);
    }
  }

 private:
  float* h(int64_t row) const { return scratch_.h + row * layer_.hidden; }
  float* c(int64_t row) const { return scratch_.c + row * layer_.hidden; }
  int64_t length(int64_t row) const { return call_.lengths ? call_.lengths[row] : call_.steps; }
  /// The time of a row's step.
  int64_t time(int64_t step, int64_t row) const { return layer_.reverse ? length(row) - 1 - step : step; }

  void start_states() {
    for (int64_t row = 0; row < call_.batch; ++row) {
      for (int64_t u = 0; u < layer_.hidden; ++u) {
        h(row)[u] = call_.h0 ? call_.h0[row * call_.state_row + u] : 0.0f;
        c(row)[u] = call_.c0 ? call_.c0[row * call_.state_row + u] : 0.0f;
      }
    }
  }

  /// task(first unit block, last unit block, part) over all units, on the threads if a step is large enough.
  template <typename Task>
  void over_units(int64_t macs, Task task) {
    const int64_t parts = pool_.run && macs >= kParallelMacs ? std::min<int64_t>(pool_.threads, unit_blocks_) : 1;
    if (parts <= 1) return task(0, unit_blocks_, 0);
    struct Shared {
      Task* task;
      int64_t blocks, parts;
    } shared{&task, unit_blocks_, parts};
    pool_.run(
        pool_.pool,
        [](void* argument, size_t i) {
          const auto* all = static_cast<Shared*>(argument);
          const auto part = static_cast<int64_t>(i);
          (*all->task)(all->blocks * part / all->parts, all->blocks * (part + 1) / all->parts, part);
        },
        &shared, static_cast<size_t>(parts));
  }

  /// Codes of x at (step, row) into row `at` of the scratch.
  void read_input(int64_t step, int64_t row, int64_t at) {
    const LowbitMatrix& w = layer_.input;
    int8_t* codes = scratch_.x_codes + at * w.padded_k();
    const bool active = step < length(row);
    const int64_t offset = active ? time(step, row) * call_.x_step + row * call_.x_row : 0;
    if (active && call_.x) {
      const LowbitQuantizedRows to{codes, scratch_.x_sums + at * w.groups(), scratch_.x_scales + at};
      lowbit_quantize_rows(w, call_.x + offset, 0, 0, 1, 0, to, isa_);
      scratch_.x_zeros[at] = 0;
      return;
    }
    std::memset(codes, 0, static_cast<size_t>(w.padded_k()));
    if (active) std::copy_n(call_.x_codes + offset, w.k, codes);
    lowbit_sum_rows(w, codes, w.padded_k(), 1, scratch_.x_sums + at * w.groups());
    scratch_.x_scales[at] = call_.x_scale;
    scratch_.x_zeros[at] = call_.x_zero;
  }

  /// to[m][stride_] = x[m][k] w^T + bias for row blocks [first, last).
  void multiply_floats(const RecurrentFloatMatrix& w, const float* x, int64_t m, const float* bias, float* to,
                       int64_t first, int64_t last, int64_t part) const {
    const QLayerShape shape = qgemm_shape(m, w.shape.out_channels, w.shape.in_channels);
    FloatLayerCall call = {};
    call.shape = &shape;
    call.packed = w.packed;
    call.lowbit = w.packed ? nullptr : &w.lowbit;
    call.bias = bias;
    call.input = x;
    call.input_stride = w.shape.in_channels;
    call.output = to;
    call.output_stride = stride_;
    call.pixel_end = m;
    call.channel_begin = first * kLowbitRows;
    call.channel_end = last * kLowbitRows;
    call.scratch = scratch_.products + part * static_cast<int64_t>(scratch_.product_bytes);
    run_float_layer(call, isa_);
  }

  void multiply_float_inputs(int64_t begin, int64_t count) {
    const int64_t inputs = layer_.float_input.shape.in_channels;
    for (int64_t at = 0; at < count; ++at) {
      const int64_t step = begin + at / call_.batch, row = at % call_.batch;
      float* to = scratch_.x_rows + at * inputs;
      if (step < length(row))
        std::copy_n(call_.x + time(step, row) * call_.x_step + row * call_.x_row, inputs, to);
      else
        std::fill_n(to, inputs, 0.0f);
    }
    over_units(count * rows_ * inputs, [&](int64_t first, int64_t last, int64_t part) {
      multiply_floats(layer_.float_input, scratch_.x_rows, count, layer_.input_bias, scratch_.from_input,
                      first * layer_.gates(), last * layer_.gates(), part);
    });
  }

  void multiply_inputs(int64_t begin, int64_t end) {
    const int64_t count = (end - begin) * call_.batch;
    if (layer_.floats) return multiply_float_inputs(begin, count);
    for (int64_t at = 0; at < count; ++at) read_input(begin + at / call_.batch, at % call_.batch, at);
    const LowbitMatrix& w = layer_.input;
    const LowbitActivations x{count,           scratch_.x_codes,  w.padded_k(),
                              scratch_.x_sums, scratch_.x_scales, call_.x_zero ? scratch_.x_zeros : nullptr};
    LowbitResult result;
    result.values = scratch_.from_input;
    result.stride = stride_;
    result.bias = layer_.input_bias;
    over_units(count * rows_ * w.k, [&](int64_t first, int64_t last, int64_t) {
      lowbit_product(w, x, first * layer_.gates(), last * layer_.gates(), result, isa_);
    });
  }

  /// from_state = R codes(state) for gates [first_gate, last_gate) of the units of some blocks.
  void multiply_state(int64_t first_gate, int64_t last_gate, int64_t first, int64_t last, int64_t part) {
    for (int64_t gate = first_gate; gate < last_gate && layer_.floats; ++gate)
      multiply_floats(layer_.float_recurrent, state_, call_.batch, layer_.recurrent_bias, scratch_.from_state,
                      gate * unit_blocks_ + first, gate * unit_blocks_ + last, part);
    if (layer_.floats) return;
    const LowbitMatrix& r = layer_.recurrent;
    const LowbitActivations x{call_.batch, scratch_.h_codes, r.padded_k(), scratch_.h_sums, scratch_.h_scales, nullptr};
    LowbitResult result;
    result.values = scratch_.from_state;
    result.stride = stride_;
    result.bias = layer_.recurrent_bias;
    for (int64_t gate = first_gate; gate < last_gate; ++gate)
      lowbit_product(r, x, gate * unit_blocks_ + first, gate * unit_blocks_ + last, result, isa_);
  }

  /// Makes `state` the operand of the recurrent product.
  void read_state(const float* state) {
    state_ = state;
    if (layer_.floats) return;
    lowbit_quantize_rows(layer_.recurrent, state, layer_.hidden, 0, call_.batch, layer_.state_scale,
                         {scratch_.h_codes, scratch_.h_sums, scratch_.h_scales}, isa_);
  }

  void run_step(int64_t step, int64_t in_chunk) {
    const int64_t macs = call_.batch * rows_ * layer_.hidden;
    const float* from_input = scratch_.from_input + in_chunk * call_.batch * stride_;
    read_state(scratch_.h);
    if (layer_.kind == RecurrentLayer::Kind::lstm) {
      over_units(macs, [&](int64_t first, int64_t last, int64_t part) {
        multiply_state(0, 4, first, last, part);
        each_row(step, first, last, [&](int64_t row, int64_t u, int64_t n) { lstm_cells(from_input, row, u, n); });
      });
    } else if (layer_.kind == RecurrentLayer::Kind::rnn) {
      over_units(macs, [&](int64_t first, int64_t last, int64_t part) { multiply_state(0, 1, first, last, part); });
      each_row(step, 0, unit_blocks_, [&](int64_t row, int64_t u, int64_t n) { rnn_cells(from_input, row, u, n); });
    } else if (layer_.linear_before_reset) {
      over_units(macs, [&](int64_t first, int64_t last, int64_t part) {
        multiply_state(0, 3, first, last, part);
        each_row(step, first, last,
                 [&](int64_t row, int64_t u, int64_t n) { math_.gru(gru_cells(from_input, row, u, n, h(row) + u)); });
      });
    } else {
      over_units(macs * 2 / 3, [&](int64_t first, int64_t last, int64_t part) {
        multiply_state(0, 2, first, last, part);
        // Rows that have ended too: their states are quantized with the others.
        const int64_t u = first * kLowbitRows, n = std::min(layer_.hidden, last * kLowbitRows) - u;
        for (int64_t row = 0; row < call_.batch; ++row)
          math_.gru_reset(gru_cells(from_input, row, u, n, scratch_.kept + row * layer_.hidden + u));
      });
      read_state(scratch_.kept);
      over_units(macs / 3, [&](int64_t first, int64_t last, int64_t part) {
        multiply_state(2, 3, first, last, part);
        each_row(step, first, last,
                 [&](int64_t row, int64_t u, int64_t n) { math_.gru(gru_cells(from_input, row, u, n, h(row) + u)); });
      });
    }
  }

  /// cells(row, first unit, units), then the output, for each row that has not ended.
  template <typename Cells>
  void each_row(int64_t step, int64_t first, int64_t last, Cells cells) {
    const int64_t u = first * kLowbitRows, n = std::min(layer_.hidden, last * kLowbitRows) - u;
    for (int64_t row = 0; row < call_.batch; ++row) {
      if (step >= length(row)) continue;
      cells(row, u, n);
      if (call_.y) std::copy_n(h(row) + u, n, call_.y + time(step, row) * call_.y_step + row * call_.y_row + u);
    }
  }

  void lstm_cells(const float* from_input, int64_t row, int64_t u, int64_t n) {
    LstmCells cells = {};
    cells.n = n;
    for (int64_t gate = 0; gate < 4; ++gate) {
      const int64_t at = row * stride_ + gate * layer_.padded_hidden() + u;
      cells.x[gate] = from_input + at;
      cells.h[gate] = scratch_.from_state + at;
    }
    for (int64_t gate = 0; gate < 3 && layer_.peephole; ++gate)
      cells.peephole[gate] = layer_.peephole + gate * layer_.hidden + u;
    cells.clip = layer_.clip;
    cells.couple = layer_.couple;
    cells.c = c(row) + u;
    cells.out = h(row) + u;
    math_.lstm(cells);
  }

  void rnn_cells(const float* from_input, int64_t row, int64_t u, int64_t n) {
    const float *x = from_input + row * stride_ + u, *from_state = scratch_.from_state + row * stride_ + u;
    float* z = h(row) + u;
    for (int64_t i = 0; i < n; ++i) z[i] = std::min(std::max(x[i] + from_state[i], -layer_.clip), layer_.clip);
    math_.tanh(n, z, z);
  }

  GruCells gru_cells(const float* from_input, int64_t row, int64_t u, int64_t n, float* out) const {
    GruCells cells = {};
    cells.n = n;
    for (int64_t gate = 0; gate < 3; ++gate) {
      const int64_t at = row * stride_ + gate * layer_.padded_hidden() + u;
      cells.x[gate] = from_input + at;
      cells.h[gate] = scratch_.from_state + at;
    }
    cells.clip = layer_.clip;
    cells.linear = layer_.linear_before_reset;
    cells.state = h(row) + u;
    cells.out = out;
    return cells;
  }

  const RecurrentLayer& layer_;
  const RecurrentCall& call_;
  const TaskPool& pool_;
  Isa isa_;
  const FloatMathKernels& math_;
  Scratch scratch_;
  const float* state_ = nullptr;
  int64_t rows_, stride_, unit_blocks_;
};

}  // namespace

size_t recurrent_scratch_bytes(const RecurrentLayer& layer, int64_t steps, int64_t batch, int threads) {
  return Scratch(layer, steps, batch, threads, nullptr).bytes;
}

void run_recurrent(const RecurrentLayer& layer, const RecurrentCall& call, const TaskPool& pool, Isa isa) noexcept {
  Run(layer, call, pool, isa).all();
}

}  // namespace lowbit::kernels
