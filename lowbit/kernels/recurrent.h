// recurrent.h: LSTM, GRU and RNN over whole sequences with low-bit or 8-bit weights and int8 activations, or with
// float32 activations and weights that are float32 or decoded from few bits. The input products of many steps are one
// matrix product; the recurrent product of a step is a matrix-vector product whose packed weights stay in the cache,
// fewer bits making more of it fit. Gates and states are float32. docs/integer-semantics.md, "Recurrent layers", is the
// definition; results are the same bits on every instruction set and for every number of threads.
//
// Rows of the packed matrices: gate g, unit u is row g * padded_hidden + u, padded_hidden = hidden rounded up to 16;
// gates in the order of ONNX (LSTM i, o, f, c; GRU z, r, h; RNN one). The rows between are padding.
#pragma once

#include <cstddef>
#include <cstdint>

#include "lowbit/kernels/float_layer.h"
#include "lowbit/kernels/float_math.h"
#include "lowbit/kernels/lowbit_product.h"

namespace lowbit::kernels {

/// How the caller spreads tasks: run(pool, task, argument, n) calls task(argument, i) for 0 <= i < n and returns when
/// all are done. run = null: one thread.
struct TaskPool {
  void (*run)(void* pool, void (*task)(void* argument, size_t i), void* argument, size_t n) = nullptr;
  void* pool = nullptr;
  int threads = 1;
};

/// A matrix that float32 activations are multiplied with, of the rows and k of a LowbitMatrix.
struct RecurrentFloatMatrix {
  QLayerShape shape;             ///< qgemm_shape(1, rows, k)
  const void* packed = nullptr;  ///< float_layer_pack, or
  FloatLowbitWeights lowbit;     ///< if `packed` is null
};

/// One direction of a layer.
struct RecurrentLayer {
  enum class Kind : uint8_t { lstm, gru, rnn };  ///< rnn: h = tanh(x + h), float activations only
  Kind kind = Kind::lstm;
  int64_t hidden = 0;
  bool reverse = false;
  bool couple = false;               ///< LSTM: ONNX input_forget
  bool linear_before_reset = false;  ///< GRU
  float clip = __builtin_inff();
  LowbitMatrix input;                     ///< [gates * padded_hidden][inputs]
  LowbitMatrix recurrent;                 ///< [gates * padded_hidden][hidden]
  const float* input_bias = nullptr;      ///< [gates * padded_hidden]: Wb + Rb; GRU with linear_before_reset: gate h Wb
  const float* recurrent_bias = nullptr;  ///< the same, or null: gate h Rb, else 0 (GRU with linear_before_reset)
  const float* peephole = nullptr;        ///< [3][hidden], i, o, f; or null
  bool floats = false;                    ///< the two float matrices count instead of `input` and `recurrent`
  RecurrentFloatMatrix float_input, float_recurrent;
  float state_scale = 0;  ///< scale of the codes of h; 0: dynamic, each step and sequence by its largest |h|

  [[gnu::always_inline]] int64_t gates() const { return kind == Kind::lstm ? 4 : kind == Kind::gru ? 3 : 1; }
  [[gnu::always_inline]] int64_t padded_hidden() const {
    return (hidden + kLowbitRows - 1) / kLowbitRows * kLowbitRows;
  }
};

/// One run. Strides in elements.
struct RecurrentCall {
  int64_t steps = 0, batch = 0;
  const float* x = nullptr;  ///< x[step * x_step + row * x_row + i], quantized here, each row by its largest size; or
  const int8_t* x_codes = nullptr;  ///< codes of value x_scale * (code - x_zero), laid out the same
  float x_scale = 0;
  int32_t x_zero = 0;  ///< not 0: layer.input.offsets must be there
  int64_t x_step = 0, x_row = 0;
  const int64_t* lengths = nullptr;  ///< [batch], 0 <= length <= steps; null: all steps
  const float* h0 = nullptr;         ///< h0[row * state_row + u]; null: 0
  const float* c0 = nullptr;
  int64_t state_row = 0;
  float* y = nullptr;  ///< y[step * y_step + row * y_row + u]; steps beyond a row's length are not written; or null
  int64_t y_step = 0, y_row = 0;
  float* last_h = nullptr;  ///< last_h[row * state_row + u], or null
  float* last_c = nullptr;
  void* scratch = nullptr;  ///< recurrent_scratch_bytes, 64-byte aligned
};

/// `threads`: of the pool that the layer runs on.
size_t recurrent_scratch_bytes(const RecurrentLayer& layer, int64_t steps, int64_t batch, int threads = 1);
void run_recurrent(const RecurrentLayer& layer, const RecurrentCall& call, const TaskPool& pool, Isa isa) noexcept;

}  // namespace lowbit::kernels
