#!/usr/bin/env python3
"""Every number system in the weights of every kind of layer, through real command lines, beside ONNX Runtime.

    build/venv/bin/python bench/peers/operator_matrix.py [--lowbit PROGRAM] [--systems a,b,...] [--granularities a,b,...]
        [--part weights|bad|activations]

One small network has a Conv, a grouped, a depthwise and a one-dimensional one, a ConvTranspose, a Gemm, a MatMul, an LSTM, a GRU and
a Gather of embeddings, each with an output of its own. For each system and granularity:
  weights      `quantize` to .onnx and .lbq and with --simulate; `run` of all three, `dequantize`, and ONNX Runtime give the same
               results (largest difference relative to the largest output of the layer, at most 1e-4: float sums in another order)
  bad          weights of zeros, of one value, denormal, with channels 1e30 apart, of a single element, of rows that no group
               divides: the same commands, results all finite
  activations  static and dynamic ones: the .lbq file and ONNX Runtime on the .onnx file (at most 2 steps of an output in 8 bits,
               since ONNX Runtime sums in its own way); systems that ONNX cannot say are refused in a line. Weights have 7 bits and
               fewer: on processors without VNNI, ONNX Runtime's products of uint8 and int8 saturate at 16 bits
Prints a row for each system; whatever fails is marked and makes the exit code 1.
"""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

ROOT = pathlib.Path(__file__).resolve().parents[2]
GRANULARITIES = ("tensor", "channel", "group:32", "group:7", "block:4x8", "block:3x5")
FLOAT_SUMS = 1e-4
ACTIVATIONS = ("int8", "uint8", "int4", "int16", "fp8-e4m3", "fp8-e5m2", "log4", "log8-2", "codebook4", "nf4", "dynamic:int8", "dynamic:uint8",
               "dynamic-token:int8", "dynamic-token:uint8")


class Network:
    def __init__(self, weight):
        self.weight, self.nodes, self.constants, self.inputs, self.outputs = weight, [], [], [], []

    def given(self, name, shape, kind=TensorProto.FLOAT):
        self.inputs.append(helper.make_tensor_value_info(name, kind, shape))
        return name

    def constant(self, name, array):
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def layer(self, op, inputs, shapes, outputs=1, **attributes):
        """A node with weights of these shapes; the first output becomes one of the network."""
        name = attributes.pop("name", op.lower())
        weights = [self.constant(f"{name}.w{i}", self.weight(shape, f"{name}{i}")) for i, shape in enumerate(shapes)]
        inputs = weights + inputs if op == "Gather" else inputs + weights
        self.nodes.append(helper.make_node(op, inputs, [f"{name}.y{i}" if i == 0 else "" for i in range(outputs)], name=name, **attributes))
        self.outputs.append(helper.make_tensor_value_info(f"{name}.y0", TensorProto.FLOAT, None))

    def save(self, path):
        graph = helper.make_graph(self.nodes, "layers", self.inputs, self.outputs, self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        onnx.save(model, path)


def every_layer(path, weight):
    net = Network(weight)
    net.given("picture", ["N", 8, 9, 9])
    net.given("signal", ["N", 6, 20])
    net.given("rows", ["N", 33])
    net.given("tokens", ["N", 7, 40])
    net.given("sequence", ["N", 3, 12])
    net.given("words", ["N", 5], TensorProto.INT64)
    net.layer("Conv", ["picture"], [[12, 8, 3, 3]], name="conv", pads=[1, 1, 1, 1])
    net.layer("Conv", ["picture"], [[12, 4, 3, 3]], name="grouped", group=2)
    net.layer("Conv", ["picture"], [[8, 1, 3, 3]], name="depthwise", group=8)
    net.layer("Conv", ["signal"], [[10, 6, 5]], name="conv1d")
    net.layer("ConvTranspose", ["picture"], [[8, 7, 3, 3]], name="transposed", strides=[2, 2])
    net.layer("Gemm", ["rows"], [[17, 33]], name="gemm", transB=1)
    net.layer("MatMul", ["tokens"], [[40, 24]], name="matmul")
    net.layer("LSTM", ["sequence"], [[1, 40, 12], [1, 40, 10]], name="lstm", hidden_size=10)
    net.layer("GRU", ["sequence"], [[1, 30, 12], [1, 30, 10]], name="gru", hidden_size=10)
    net.layer("Gather", ["words"], [[50, 12]], name="embedding")
    net.save(path)


def random_weight(shape, name):
    return (np.random.default_rng(len(name) + sum(map(ord, name))).standard_normal(shape) * 0.2).astype(np.float32)


def bad_network(path):
    def weight(shape, name):
        w = random_weight(shape, name)
        kinds = {"zeros": lambda: np.zeros_like(w), "value": lambda: np.full_like(w, 0.3), "negative": lambda: np.full_like(w, -7),
                 "denormal": lambda: w * np.float32(1e-40), "apart": lambda: w * np.logspace(-30, 30, w.shape[0], dtype=np.float32)[:, None],
                 "single": lambda: w, "outlier": lambda: np.where(np.arange(w.size).reshape(w.shape) == 5, np.float32(1e30), w),
                 "positive": lambda: np.abs(w), "minus_zero": lambda: np.full_like(w, -0.0)}
        return kinds[name.rstrip("0")]()

    net = Network(weight)
    net.given("rows", ["N", 13])
    net.given("one", ["N", 1])
    for name in ("zeros", "value", "negative", "denormal", "apart", "outlier", "positive", "minus_zero"):
        net.layer("Gemm", ["rows"], [[11, 13]], name=name, transB=1)
    net.layer("Gemm", ["one"], [[1, 1]], name="single", transB=1)
    net.save(path)


def seeded_inputs(path):
    random, arrays = np.random.default_rng(3), {}
    for port in onnx.load(path).graph.input:
        shape = [2 if d.dim_param else d.dim_value for d in port.type.tensor_type.shape.dim]
        whole = port.type.tensor_type.elem_type == TensorProto.INT64
        arrays[port.name] = random.integers(0, 50, shape) if whole else random.standard_normal(shape).astype(np.float32)
    return arrays


class Lowbit:
    def __init__(self, program, folder):
        self.program, self.folder = program, folder

    def __call__(self, *arguments):
        """The error of a command, or nothing."""
        done = subprocess.run([self.program, *map(str, arguments)], capture_output=True, text=True)
        if done.returncode not in (0, 1, 2, 3, 4) or "internal" in done.stderr:
            raise SystemExit(f"crash ({done.returncode}): {arguments}: {done.stderr}")
        return done.stderr.strip() if done.returncode != 0 else ""

    def run(self, model, names):
        command = [self.program, "run", model, "--quiet", "--input", self.folder / "x.npz"]
        for i, name in enumerate(names):
            command += ["--output", f"{name}={self.folder / f'y{i}.npy'}"]
        done = subprocess.run([*map(str, command)], capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"{model}: {done.stderr}")
        return [np.load(self.folder / f"y{i}.npy") for i in range(len(names))]


def ort_run(path, inputs, names):
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.qdq_matmulnbits_accuracy_level", "1")
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"]).run(list(names), inputs)


def difference(a, b):
    """The largest over the outputs, each relative to its largest value; infinite if one is not finite."""
    worst = 0.0
    for x, y in zip(a, b):
        if not (np.isfinite(x).all() and np.isfinite(y).all()):
            return np.inf
        scale = float(np.max(np.abs(x), initial=0))
        if scale > 1e-30:
            worst = max(worst, float(np.max(np.abs(x.astype(float) - y))) / scale)
    return worst


def compare_weights(lowbit, model, system, granularity, inputs, names):
    """Largest differences to ONNX Runtime, of .lbq, of --simulate and of dequantize; or the refusal."""
    files = {kind: lowbit.folder / kind for kind in ("w.onnx", "w.lbq", "simulated.onnx", "back.onnx")}
    options = ["--weights", system, "--granularity", granularity, "--quiet"]
    for kind, more in (("w.onnx", []), ("w.lbq", []), ("simulated.onnx", ["--simulate"])):
        if error := lowbit("quantize", model, "-o", files[kind], *options, *more):
            return None, f"{kind}: {error}"
    if error := lowbit("dequantize", files["w.onnx"], "-o", files["back.onnx"]):
        return None, error
    mine = lowbit.run(files["w.onnx"], names)
    found = {"onnxruntime": difference(ort_run(files["w.onnx"], inputs, names), mine), "lbq": difference(lowbit.run(files["w.lbq"], names), mine),
             "simulated": difference(ort_run(files["simulated.onnx"], inputs, names), mine),
             "dequantized": difference(lowbit.run(files["back.onnx"], names), mine)}
    return max(found.values()), ", ".join(f"{k} {v:.0e}" for k, v in found.items() if v > FLOAT_SUMS)


def compare_activations(lowbit, model, activations, weights, inputs, names):
    options = ["--weights", weights, "--activations", activations, "--quiet"]
    if not activations.startswith("dynamic"):
        options += ["--data", lowbit.folder / "x.npz"]
    if error := lowbit("quantize", model, "-o", lowbit.folder / "a.lbq", *options):
        return None, error
    mine = lowbit.run(lowbit.folder / "a.lbq", names)
    if error := lowbit("quantize", model, "-o", lowbit.folder / "a.onnx", *options):
        return 0.0, "ONNX: " + error
    return difference(ort_run(lowbit.folder / "a.onnx", inputs, names), mine), ""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lowbit", default=str(ROOT / "build/release/lowbit"))
    parser.add_argument("--systems", default="")
    parser.add_argument("--granularities", default=",".join(GRANULARITIES))
    parser.add_argument("--part", action="append", choices=("weights", "bad", "activations"))
    arguments = parser.parse_args()
    granularities = arguments.granularities.split(",")
    parts = arguments.part or ["weights", "bad", "activations"]
    listed = json.loads(subprocess.run([arguments.lowbit, "list", "numbers", "--json"], capture_output=True, check=True).stdout)
    systems = arguments.systems.split(",") if arguments.systems else every_system(listed["numbers"])
    bad = 0
    with tempfile.TemporaryDirectory() as name:
        lowbit = Lowbit(arguments.lowbit, pathlib.Path(name))
        for part in [p for p in parts if p != "activations"]:
            model = lowbit.folder / f"{part}.onnx"
            every_layer(model, random_weight) if part == "weights" else bad_network(model)
            inputs = seeded_inputs(model)
            np.savez(lowbit.folder / "x.npz", **inputs)
            names = [port.name for port in onnx.load(model).graph.output]
            print(f"\n{part}: {len(names)} layers\n\n| system | " + " | ".join(granularities) + " |\n|---" + "|---:" * len(granularities) + "|", flush=True)
            for system in systems:
                cells = []
                for granularity in granularities:
                    found, what = compare_weights(lowbit, model, system, granularity, inputs, names)
                    failed = found is None or not found <= FLOAT_SUMS
                    bad += failed
                    cells.append(f"**{what}**" if failed else f"{found:.0e}")
                print(f"| {system} | " + " | ".join(cells) + " |", flush=True)
        if "activations" in parts:
            model = lowbit.folder / "activations.onnx"
            every_layer(model, random_weight)
            inputs = seeded_inputs(model)
            np.savez(lowbit.folder / "x.npz", **inputs)
            names = [port.name for port in onnx.load(model).graph.output]
            print("\nactivations\n\n| activations | int7 weights | int4 weights |\n|---|---:|---:|", flush=True)
            for system in ACTIVATIONS:
                cells = []
                for weights in ("int7", "int4"):
                    found, what = compare_activations(lowbit, model, system, weights, inputs, names)
                    failed = found is None or not found <= 2 / 127
                    bad += failed
                    text = what if found is None or what else f"{found:.0e}"
                    cells.append(f"**{text or found}**" if failed else text)
                print(f"| {system} | " + " | ".join(cells) + " |", flush=True)
    print(f"\n{bad} failures")
    return 1 if bad else 0


def every_system(rows):
    """Names of each system at its least, most and 4 bits, and some behind `std-`."""
    names = []
    for row in rows:
        low, _, high = row["bits"].partition("..")
        stem = row["name"]
        if stem == "vq":
            names += ["vq-2x16", "vq-4x256", "vq-3x5"]
        elif not high:
            names.append(stem)
        else:
            widths = sorted({bits for bits in (int(low), 2, 3, 4, int(high)) if int(low) <= bits <= int(high)})
            names += [f"{stem}-{b}" if stem.startswith("pot2") else f"{stem}{b}" for b in widths]
    return names + ["int4-asym", "int4-full", "int4-mixed", "uint4-sym", "log4-2"] + ["std-" + n for n in ("int4", "int8", "nf4", "log4", "fp8-e4m3", "codebook3", "vq-2x16")]


if __name__ == "__main__":
    sys.exit(main())
