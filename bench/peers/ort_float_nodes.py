"""Which nodes of a quantized ONNX model stay float in ONNX Runtime and in OpenVINO, after their own optimizations, by operator.

A QDQ file promises integers only where the engine's fusions find its pairs. ONNX Runtime's optimized graph is written to a file and
its types are followed; OpenVINO's compiled model says the precision each node runs in.

    build/venv/bin/python bench/peers/ort_float_nodes.py model.int8.onnx [more.onnx ...] [--json]
"""

import argparse
import collections
import json
import tempfile

import onnx
import onnxruntime
from onnx import TensorProto

FLOATS = {TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE}
# Operators whose output type is not that of their first input; what they do is not counted as arithmetic on floats.
BOUNDARY = {"QuantizeLinear": TensorProto.UINT8, "DequantizeLinear": TensorProto.FLOAT, "DynamicQuantizeLinear": TensorProto.UINT8}
SHAPES = {"Shape", "Size", "ArgMax", "ArgMin", "NonZero"}
WITHOUT_ARITHMETIC = {"Constant", "Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "ReorderInput", "ReorderOutput", *SHAPES}


def onnx_runtime_nodes(path):
    """Returns (float, integer, boundary): operator -> count over the optimized graph."""
    with tempfile.TemporaryDirectory() as folder:
        settings = onnxruntime.SessionOptions()
        settings.optimized_model_filepath = folder + "/optimized.onnx"
        settings.log_severity_level = 3
        onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
        graph = onnx.load(settings.optimized_model_filepath).graph
    types = {i.name: i.type.tensor_type.elem_type for i in graph.input} | {w.name: w.data_type for w in graph.initializer}
    floating, integer, boundary = (collections.Counter() for _ in range(3))
    for node in graph.node:
        first = types.get(next(filter(None, node.input), ""), TensorProto.FLOAT)
        result = BOUNDARY.get(node.op_type, TensorProto.INT64 if node.op_type in SHAPES else first)
        if node.op_type == "Cast":
            result = next(a.i for a in node.attribute if a.name == "to")
        types.update((output, result) for output in node.output)
        if node.op_type in BOUNDARY:
            boundary[node.op_type] += 1
        elif node.op_type not in WITHOUT_ARITHMETIC:
            (floating if first in FLOATS else integer)[node.op_type] += 1
    return floating, integer, boundary


def openvino_nodes(path):
    """Returns (float, integer, boundary) over the compiled model, or None where OpenVINO is not installed."""
    try:
        import openvino
    except ImportError:
        return None
    # bfloat16 would hide what is float by the model's own doing.
    compiled = openvino.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    floating, integer, boundary = (collections.Counter() for _ in range(3))
    for node in compiled.get_runtime_model().get_ops():
        information = node.get_rt_info()
        layer = str(information["layerType"].astype(str)) if "layerType" in information else ""
        precision = str(information["runtimePrecision"].astype(str)) if "runtimePrecision" in information else ""
        if layer == "FakeQuantize":
            boundary[layer] += 1
        elif layer in ("Reorder", "Convert"):
            boundary[layer] += 1
        elif layer and layer not in ("Input", "Output", "Const", "Constant", "Parameter", "Result", *WITHOUT_ARITHMETIC):
            (integer if precision.lower() in ("i8", "u8", "i4", "u4", "i32") else floating)[layer] += 1
    return floating, integer, boundary


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = {}
    for path in options.models:
        engines = {"ONNX Runtime": onnx_runtime_nodes(path), "OpenVINO": openvino_nodes(path)}
        kinds = ("float", "integer", "boundary")
        found[path] = {name: dict(zip(kinds, map(dict, counts))) for name, counts in engines.items() if counts}
    if options.json:
        print(json.dumps(found, indent=1))
        return
    show = lambda counts: ", ".join(f"{op} {n}" for op, n in sorted(counts.items())) or "none"
    print("| model | engine | float nodes | integer nodes | conversions |\n|---|---|---|---|---|")
    for path, engines in found.items():
        for name, kinds in engines.items():
            print(f"| {path.rsplit('/', 1)[-1]} | {name} | {' | '.join(show(kinds[kind]) for kind in kinds)} |")


if __name__ == "__main__":
    main()
