#!/bin/bash
# Installs the build, compiles examples/api against what was installed, and quantizes examples/digits with it.
# usage: tests/install_test.sh SOURCE_FOLDER BUILD_FOLDER [COMPILER_FLAGS]
set -euo pipefail
source_folder=$1 build_folder=$2 flags=${3:-}
installed=$build_folder/installed
example=$build_folder/installed_example
model=$installed/digits.int8.onnx

rm -rf "$installed" "$example"
cmake --install "$build_folder" --prefix "$installed" >/dev/null
cmake -S "$source_folder/examples/api" -B "$example" -G Ninja -DCMAKE_PREFIX_PATH="$installed" -DCMAKE_CXX_FLAGS="$flags" >/dev/null
cmake --build "$example"

digits=$source_folder/examples/digits
"$example/quantize_example" "$digits/digits.onnx" "$digits/calib_x.npy" "$model"
[ -s "$model" ] || { echo "install_test: $model was not written" >&2; exit 1; }
"$installed/bin/lowbit" inspect "$model"
"$installed/bin/lowbit" inspect --json "$model" | grep -q 'int8/channel' ||
  { echo "install_test: the installed program finds no int8 weights in $model" >&2; exit 1; }
