#!/usr/bin/env python3
"""Bytes of weights-only models in each file form, beside what their own statistics allow.

    build/venv/bin/python bench/container/sizes.py [LOWBIT] [ASSETS]

For each network of the assets, and tinylm's matrices as one ONNX file, at int8, int4 (per channel) and ternary: the ONNX
file, the container with packed and with entropy-coded weights, the low-bit weights as stored (statistics and states
included) and the empirical entropy of their codes, tensor by tensor: the least that one table of frequencies for each
tensor can reach.
"""

import collections
import json
import math
import pathlib
import struct
import subprocess
import sys
import tempfile

import numpy

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path += [str(ROOT / "tests/formats"), str(ROOT / "tests/cli")]
import lbq_reader  # noqa: E402
import onnx_writer as onnx  # noqa: E402

LOWBIT = sys.argv[1] if len(sys.argv) > 1 else str(ROOT / "build/release/lowbit")
ASSETS = pathlib.Path(sys.argv[2] if len(sys.argv) > 2 else ROOT / "../shared/assets")
SYSTEMS = ("int8", "int4", "ternary")


def lowbit(*arguments):
    return subprocess.run([LOWBIT, *map(str, arguments)], capture_output=True, text=True, check=True).stdout


def tinylm(target):
    """The matrices of a safetensors checkpoint as a graph of MatMul nodes with inputs of their own."""
    data = (ASSETS / "models/tinylm/model.safetensors").read_bytes()
    header_bytes = struct.unpack("<Q", data[:8])[0]
    nodes, constants, inputs, outputs = [], [], [], []
    for name, entry in sorted(json.loads(data[8 : 8 + header_bytes]).items()):
        if name == "__metadata__" or len(entry["shape"]) != 2:
            continue
        begin, end = (8 + header_bytes + offset for offset in entry["data_offsets"])
        rows, columns = entry["shape"]
        matrix = numpy.frombuffer(data[begin:end], numpy.float16).astype(numpy.float32).reshape(rows, columns).T
        raw = onnx.field(1, columns) + onnx.field(1, rows) + onnx.field(2, onnx.FLOAT) + onnx.field(8, name)
        constants.append(raw + onnx.field(9, numpy.ascontiguousarray(matrix).tobytes()))
        nodes.append(onnx.node("MatMul", [name + ".x", name], [name + ".y"], name + ".node"))
        inputs.append(onnx.value_info(name + ".x", ["N", columns]))
        outputs.append(onnx.value_info(name + ".y", ["N", rows]))
    target.write_bytes(onnx.model(nodes, constants, inputs, outputs))


def low_bit_weights(path):
    """Codes, stored bytes and entropy in bytes of the annotated constants."""
    model = lbq_reader.read_container(path.read_bytes())
    codes, stored, entropy = 0, 0, 0.0
    for index in {v["tensor"] for v in model["graph"]["values"] if v["tensor"] >= 0 and v["format"]}:
        values = next(v["constant"]["values"] for v in model["graph"]["values"] if v["tensor"] == index)
        codes += len(values)
        stored += model["tensors"][index]["bytes"]
        entropy += sum(n * math.log2(len(values) / n) for n in collections.Counter(values).values()) / 8
    return codes, stored, entropy


def measure(name, model, folder):
    for system in SYSTEMS:
        coded, packed, plain = folder / "coded.lbq", folder / "packed.lbq", folder / "plain.onnx"
        lowbit("quantize", model, "-o", coded, "--weights", system, "--granularity", "channel")
        lowbit("convert", coded, "-o", packed, "--packed")
        try:
            lowbit("convert", coded, "-o", plain)
            onnx_bytes = f"{plain.stat().st_size:11,}"
        except subprocess.CalledProcessError:
            onnx_bytes = f"{'-':>11}"
        codes, stored, entropy = low_bit_weights(coded)
        print(
            f"{name:24} {system:8} {model.stat().st_size:11,} {onnx_bytes} {packed.stat().st_size:11,} "
            f"{coded.stat().st_size:11,} {stored:11,} {8 * stored / max(1, codes):6.3f} {entropy:13,.0f} "
            f"{stored / max(1.0, entropy):7.4f}",
            flush=True,
        )


def main():
    print(
        f"{'model':24} {'weights':8} {'float ONNX':>11} {'ONNX':>11} {'packed':>11} {'container':>11} {'codes':>11} "
        f"{'bits':>6} {'entropy':>13} {'ratio':>7}"
    )
    with tempfile.TemporaryDirectory() as holder:
        folder = pathlib.Path(holder)
        language = folder / "tinylm.onnx"
        tinylm(language)
        models = [p for p in sorted((ASSETS / "models").glob("*/*.onnx")) if "int8" not in p.name]
        for model in [language, *models]:
            measure(model.stem, model, folder)


if __name__ == "__main__":
    main()
