"""LSTM and GRU of one size in the peers, beside lowbit: input 256, hidden 512, 64 steps, batch 1, one thread.
usage: recurrent.py [path of lowbit_bench]   Engines take turns; milliseconds are medians of the rounds. Run it pinned: taskset -c 1."""

import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
import onnx
import onnxruntime
import openvino
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic

INPUTS, HIDDEN, STEPS, ROUNDS, CALLS = 256, 512, 64, 9, 12


def network(op):
    rng = np.random.default_rng(0)
    gates = 4 if op == "LSTM" else 3

    def weight(name, *shape):
        return numpy_helper.from_array((rng.standard_normal(shape) * 0.05).astype(np.float32), name)

    attributes = {"hidden_size": HIDDEN}
    if op == "GRU":
        attributes["linear_before_reset"] = 1
    node = helper.make_node(op, ["x", "w", "r", "b"], ["y"], **attributes)
    graph = helper.make_graph(
        [node], op,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [STEPS, 1, INPUTS])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [STEPS, 1, 1, HIDDEN])],
        [weight("w", 1, gates * HIDDEN, INPUTS), weight("r", 1, gates * HIDDEN, HIDDEN), weight("b", 1, 2 * gates * HIDDEN)])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def onnxruntime_call(path):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda x: session.run(None, {"x": x})


def openvino_call(path):
    core = openvino.Core()
    request = core.compile_model(core.read_model(str(path)), "CPU", {"INFERENCE_NUM_THREADS": 1}).create_infer_request()
    return lambda x: request.infer({0: x})


def main():
    x = np.random.default_rng(1).standard_normal((STEPS, 1, INPUTS)).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        for op in ("LSTM", "GRU"):
            plain, dynamic, reduced = (pathlib.Path(folder) / f"{op}_{form}.onnx" for form in ("float", "int8", "int7"))
            onnx.save(network(op), plain)
            quantize_dynamic(plain, dynamic, weight_type=QuantType.QInt8, per_channel=True)
            quantize_dynamic(plain, reduced, weight_type=QuantType.QInt8, per_channel=True, reduce_range=True)
            engines = {"onnxruntime float": onnxruntime_call(plain), "onnxruntime dynamic int8": onnxruntime_call(dynamic),
                       "onnxruntime dynamic int8, reduce_range": onnxruntime_call(reduced), "openvino": openvino_call(plain)}
            times = {name: [] for name in engines}
            for call in engines.values():
                call(x)
            for _ in range(ROUNDS):
                for name, call in engines.items():
                    start = time.perf_counter()
                    for _ in range(CALLS):
                        call(x)
                    times[name].append((time.perf_counter() - start) / CALLS)
            for name, list_of_times in times.items():
                print(f"  {op:6} {name:40} {statistics.median(list_of_times) * 1e3:8.3f} ms")
    if len(sys.argv) > 1:
        subprocess.run([sys.argv[1], "--only", "recurrent"], check=True)


if __name__ == "__main__":
    main()
