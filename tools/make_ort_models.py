"""Quantizes a few networks with ONNX Runtime and records its outputs, as cases for tests/passes/raise_qdq_test.cpp.

usage: make_ort_models.py ASSETS OUT

Writes OUT/<case>.onnx, OUT/<case>.x.npy and OUT/<case>.y.npy. Needs onnx, onnxruntime and numpy.
"""
import os
import sys

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import (CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static)


class Reader(CalibrationDataReader):
    def __init__(self, name, batches):
        self.items = iter([{name: batch} for batch in batches])

    def get_next(self):
        return next(self.items, None)


def small_network():
    """Conv, Relu, residual Add, MaxPool, Concat, average pool, Gemm, MatMul."""
    random = np.random.default_rng(7)

    def weight(name, *dims):
        scale = 1.0 / np.sqrt(np.prod(dims[1:]) if len(dims) > 1 else 10)
        return numpy_helper.from_array((random.standard_normal(dims) * scale).astype(np.float32), name)

    nodes = [
        helper.make_node("Conv", ["x", "w1", "b1"], ["c1"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c1"], ["r1"]),
        helper.make_node("Conv", ["r1", "w2", "b2"], ["c2"], pads=[1, 1, 1, 1]),
        helper.make_node("Add", ["r1", "c2"], ["a"]),
        helper.make_node("MaxPool", ["a"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Sigmoid", ["p"], ["s"]),
        helper.make_node("Concat", ["p", "s"], ["k"], axis=1),
        helper.make_node("GlobalAveragePool", ["k"], ["g"]),
        helper.make_node("Flatten", ["g"], ["f"]),
        helper.make_node("Gemm", ["f", "w3", "b3"], ["h"], transB=1),
        helper.make_node("MatMul", ["h", "w4"], ["y"]),
    ]
    weights = [weight("w1", 8, 3, 3, 3), weight("b1", 8), weight("w2", 8, 8, 3, 3), weight("b2", 8),
               weight("w3", 10, 16), weight("b3", 10), weight("w4", 10, 6)]
    graph = helper.make_graph(nodes, "small", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 6])], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def record(path, name, x):
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    stem = path[:-len(".onnx")]
    np.save(stem + ".x.npy", x)
    np.save(stem + ".y.npy", session.run(None, {name: x})[0])


def main(assets, out):
    os.makedirs(out, exist_ok=True)
    random = np.random.default_rng(3)
    small = os.path.join(out, "small_float.onnx")
    onnx.save(small_network(), small)
    sources = [("small", small, "x", [random.standard_normal((1, 3, 8, 8)).astype(np.float32) for _ in range(16)])]
    resnet = os.path.join(assets, "models/resnet8/resnet8_fp32.onnx")
    if os.path.exists(resnet):
        name = onnx.load(resnet).graph.input[0].name
        data = [(random.random((1, 32, 32, 3)) * 255).astype(np.float32) for _ in range(4)]
        sources.append(("resnet8", resnet, name, data))
    for stem, path, name, batches in sources:
        for form in (QuantFormat.QDQ, QuantFormat.QOperator):
            for kind, types in (("u8", QuantType.QUInt8), ("s8", QuantType.QInt8)):
                for per_channel in (False, True):
                    case = f"{stem}_{form.name.lower()}_{kind}{'_channel' if per_channel else ''}"
                    target = os.path.join(out, case + ".onnx")
                    quantize_static(path, target, Reader(name, batches), quant_format=form, per_channel=per_channel,
                                    activation_type=types, weight_type=QuantType.QInt8)
                    record(target, name, batches[0])
        target = os.path.join(out, stem + "_dynamic.onnx")
        quantize_dynamic(path, target, weight_type=QuantType.QUInt8)
        record(target, name, batches[0])


if __name__ == "__main__":
    main(*sys.argv[1:])
