// lowbit.h: the whole public interface. Example:
//
//   #include <lowbit/lowbit.h>
//   lowbit::ThreadPool threads;
//   const lowbit::Model model = lowbit::open_model("model.onnx");
//   const auto data = lowbit::open_data("calibration.npy", {});
//   const lowbit::QuantizeResult result = lowbit::quantize(model, data.get(), lowbit::Recipe{}, threads);
//   lowbit::save_quantized(result.model, "model.int8.onnx", threads);
//
// Every function throws lowbit::Error; its message says what was found, what was expected and what to do.
#pragma once

#include "lowbit/api/automatic.h"
#include "lowbit/api/container.h"
#include "lowbit/api/quantize.h"
#include "lowbit/api/recipe_file.h"
#include "lowbit/api/runner.h"
#include "lowbit/base/error.h"
#include "lowbit/base/threads.h"
#include "lowbit/core/graph.h"
#include "lowbit/core/measurements.h"
#include "lowbit/data/dataset.h"
#include "lowbit/formats/format.h"
#include "lowbit/formats/npy.h"
#include "lowbit/runtime/executor.h"
