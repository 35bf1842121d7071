#include "cli/commands.h"

#include <fmt/format.h>

#include "lowbit/base/error.h"
#include "lowbit/base/text.h"

namespace lowbit::cli {
namespace {

constexpr Command kCommands[] = {
    {"inspect", "what is in a model: inputs, outputs, operators, parameters, number systems",
     "lowbit inspect model.onnx --weights", run_inspect},
    {"quantize", "make a low-bit model of a float one",
     "lowbit quantize model.onnx -o model.int8.onnx --data calibration.npy --report report.html", run_quantize},
    {"dequantize", "back to a float model with the values of the low-bit one",
     "lowbit dequantize model.int8.onnx -o model.float.onnx", run_dequantize},
    {"convert", "write a model in another container, its values unchanged", "lowbit convert model.onnx -o copy.onnx",
     run_convert},
    {"eval", "metrics of models on the same data, side by side",
     "lowbit eval model.onnx model.int8.onnx --data test.npy --labels labels.npy", run_eval},
    {"compare", "error per layer, worst first, with its likely cause",
     "lowbit compare model.onnx model.int8.onnx --data test.npy --limit 64", run_compare},
    {"run", "one inference", "lowbit run model.onnx --input x.npy --output y.npy", run_run},
    {"verify", "run the file in another engine too; differences in output steps",
     "lowbit verify model.int8.onnx --engine ort --data test.npy", run_verify},
    {"list", "what this build can do: ops, methods, numbers, formats or kernels", "lowbit list numbers", run_list},
    {"bench", "latency, throughput and memory of models",
     "lowbit bench model.onnx model.int8.onnx --threads 1 --per-layer", run_bench},
};

}  // namespace

std::span<const Command> command_table() { return kCommands; }

const Command& find_command(std::string_view name) {
  std::vector<std::string> names;
  for (const Command& command : kCommands) {
    if (command.name == name) return command;
    names.emplace_back(command.name);
  }
  const std::string near = did_you_mean(name, names);
  throw Error(ErrorCode::bad_argument, fmt::format("no such command ({})", near.empty() ? "see lowbit --help" : near),
              std::string(name));
}

}  // namespace lowbit::cli
