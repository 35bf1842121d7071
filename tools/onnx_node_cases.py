#!/usr/bin/env python3
"""Writes the backend node cases of the PyPI package `onnx` as files that the test program reads.

    build/venv/bin/python tools/onnx_node_cases.py [build/onnx_node_cases]

Each case becomes a folder with model.onnx, case.json and one raw file per tensor (little endian, row-major; 4- and
2-bit codes one per byte). case.json: {"rtol", "atol", "operators": [...], "inputs": [...], "outputs": [...]} with
{"name", "dtype", "dims", "file"} for each tensor, or {"name", "unsupported": why} for what is no plain tensor.

A model whose opset is newer than 24 is written as opset 24 if it is a valid opset 24 model too (the newer versions
mostly widen types); else it stays as it is.
"""

import json
import os
import shutil
import sys
import warnings

import numpy as np
import onnx
from onnx.backend.test.case.node import collect_testcases

NEWEST_OPSET = 24
LAYOUT = 3  # raised when the files change, so that old folders are written again


def type_name(elem_type):
    names = {"FLOAT": "float32", "DOUBLE": "float64", "BOOL": "bool"}
    name = onnx.TensorProto.DataType.Name(elem_type)
    return names.get(name, name.lower())


def lowered(model):
    """The model as opset 24 where that is sound, else unchanged."""
    imports = [i for i in model.opset_import if i.domain in ("", "ai.onnx")]
    if not imports or imports[0].version <= NEWEST_OPSET:
        return model
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for entry in copy.opset_import:
        if entry.domain in ("", "ai.onnx"):
            entry.version = NEWEST_OPSET
    copy.ir_version = min(copy.ir_version, 12)
    try:
        onnx.checker.check_model(copy, full_check=True)
    except Exception:
        return model
    return copy


def operators(graph, found):
    for node in graph.node:
        found.add(f"{node.domain}.{node.op_type}" if node.domain not in ("", "ai.onnx") else node.op_type)
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                operators(attribute.g, found)
    return found


def write_tensor(folder, file, info, value):
    name = info.name
    kind = info.type.WhichOneof("value")
    if kind != "tensor_type":
        return {"name": name, "unsupported": kind.replace("_type", "")}
    dtype = type_name(info.type.tensor_type.elem_type)
    if isinstance(value, onnx.TensorProto):
        dtype = type_name(value.data_type)
        value = onnx.numpy_helper.to_array(value)
    value = np.asarray(value)
    if value.dtype == object or value.dtype.kind in "USO" or dtype == "string":
        return {"name": name, "unsupported": "string"}
    if dtype in ("int4", "int2", "uint4", "uint2"):
        value = value.astype(np.int8 if dtype[0] == "i" else np.uint8)
    with open(os.path.join(folder, file), "wb") as out:
        out.write(np.ascontiguousarray(value).tobytes())
    return {"name": name, "dtype": dtype, "dims": list(value.shape), "file": file}


def write_case(root, case):
    folder = os.path.join(root, case.name)
    os.makedirs(folder)
    model = lowered(case.model)
    with open(os.path.join(folder, "model.onnx"), "wb") as out:
        out.write(model.SerializeToString())
    inputs, outputs = case.data_sets[0]
    description = {
        "rtol": case.rtol,
        "atol": case.atol,
        "opset": max([i.version for i in model.opset_import if i.domain in ("", "ai.onnx")], default=0),
        "operators": sorted(operators(model.graph, set())),
        "inputs": [write_tensor(folder, f"input_{i}.bin", info, value)
                   for i, (info, value) in enumerate(zip(model.graph.input, inputs))],
        "outputs": [write_tensor(folder, f"output_{i}.bin", info, value)
                    for i, (info, value) in enumerate(zip(model.graph.output, outputs))],
    }
    with open(os.path.join(folder, "case.json"), "w") as out:
        json.dump(description, out)


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else os.path.join("build", "onnx_node_cases")
    stamp = os.path.join(root, "version.txt")
    wanted = f"onnx {onnx.__version__} layout {LAYOUT}\n"
    if os.path.exists(stamp) and open(stamp).read() == wanted:
        return
    shutil.rmtree(root, ignore_errors=True)
    os.makedirs(root)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for case in collect_testcases(None):
            write_case(root, case)
    with open(stamp, "w") as out:
        out.write(wanted)


if __name__ == "__main__":
    main()
