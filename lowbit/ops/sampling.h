// sampling.h: operators that read an image at computed places: GridSample, AffineGrid, RoiAlign, Col2Im.
#pragma once

#include "lowbit/ops/op.h"

namespace lowbit {

void run_grid_sample(EvalContext& context);
void infer_grid_sample(InferContext& context);
void run_affine_grid(EvalContext& context);
void infer_affine_grid(InferContext& context);
void run_roi_align(EvalContext& context);
void infer_roi_align(InferContext& context);
void run_col2im(EvalContext& context);
void infer_col2im(InferContext& context);

/// Keys' cubic convolution: weight of a sample at distance |t| with parameter a.
double cubic_weight(double t, double a);

}  // namespace lowbit
