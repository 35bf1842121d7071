#include <fmt/format.h>

#include "cli/command_line.h"
#include "cli/output.h"
#include "cli/output_file.h"
#include "lowbit/api/quantize.h"
#include "lowbit/api/runner.h"
#include "lowbit/base/error.h"
#include "lowbit/base/text.h"
#include "lowbit/formats/format.h"
#include "lowbit/report/json_report.h"

namespace lowbit::cli {

int run_dequantize(const Arguments& rest) {
  CommandLine line("dequantize");
  std::string path, output;
  line.add_file("MODEL", path, "Low-bit model");
  line.app()
      .add_option("-o,--output", output, "Float model to write (default: NAME.float.onnx in this folder)")
      ->type_name("OUT");
  if (!line.parse(rest)) return 0;
  set_subject(path);
  if (output.empty()) output = stem_of(path) + ".float.onnx";
  const Model model = open_model(path);
  if (!is_low_bit(model.graph))
    throw Error(ErrorCode::unsupported, "nothing in it is low-bit (it is a float model already)", path);
  check_model_output(output);
  save_model(dequantize(model), output);
  const Model written = load_model(output);
  if (line.json)
    print(json_text({{"output", output}, {"input_bytes", model.file_bytes}, {"output_bytes", written.file_bytes}}));
  else if (!line.quiet)
    print(fmt::format("{}: {}, float, was {}\n", printable(output, 200), bytes_text(written.file_bytes),
                      bytes_text(model.file_bytes)));
  return 0;
}

}  // namespace lowbit::cli
