#include <fmt/format.h>

#include "cli/command_line.h"
#include "cli/output.h"
#include "cli/output_file.h"
#include "lowbit/api/container.h"
#include "lowbit/base/text.h"
#include "lowbit/formats/format.h"
#include "lowbit/report/json_report.h"

namespace lowbit::cli {

int run_convert(const Arguments& rest) {
  CommandLine line("convert");
  std::string path, output;
  bool packed = false, prepack = false;
  line.add_file("MODEL", path, "Model to read");
  line.app()
      .add_option("-o,--output", output, "Model to write; its extension picks the container")
      ->type_name("OUT")
      ->required();
  line.app().add_flag("--packed", packed,
                      "In a container, pack codes instead of coding them by entropy: larger, loads faster");
  line.app().add_flag(
      "--prepack", prepack,
      "Into a container: also store the weights as the kernels of this machine read them, so that "
      "liblowbit_runtime maps them instead of packing them (LOWBIT_ISA chooses another instruction set)");
  if (!line.parse(rest)) return 0;
  set_subject(path);
  const Model model = load_model(path);
  check_model_output(output);
  WriteOptions options;
  options.entropy = !packed;
  const Model written = prepack ? prepack_model(path, output, options) : convert_model(path, output, options);
  if (line.json)
    print(json_text({{"output", output},
                     {"input_format", model.source_format},
                     {"output_format", written.source_format},
                     {"input_bytes", model.file_bytes},
                     {"output_bytes", written.file_bytes}}));
  else if (!line.quiet)
    print(fmt::format("{}: {} ({}), was {} ({})\n", printable(output, 200), bytes_text(written.file_bytes),
                      written.source_format, bytes_text(model.file_bytes), model.source_format));
  return 0;
}

}  // namespace lowbit::cli
