// signal.h: Fourier transforms and windows.
#pragma once

#include "lowbit/ops/op.h"

namespace lowbit {

void run_dft(EvalContext& context);
void infer_dft(InferContext& context);
void run_stft(EvalContext& context);
void run_hann_window(EvalContext& context);
void run_hamming_window(EvalContext& context);
void run_blackman_window(EvalContext& context);
void infer_window(InferContext& context);

}  // namespace lowbit
