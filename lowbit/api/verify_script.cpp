#include "lowbit/api/verify_script.h"

namespace lowbit {

std::string_view verify_script() {
  return R"py(import json
import os
import sys


def need(module):
    try:
        return __import__(module)
    except ImportError:
        sys.stderr.write(module + "\n")
        sys.exit(10)


numpy = need("numpy")
job = json.load(open(sys.argv[1]))
folder = job["folder"]


def load(run):
    names = job["inputs"]
    return {name: numpy.load(os.path.join(folder, f"in_{run}_{i}.npy")) for i, name in enumerate(names)}


def store(kind, run, arrays):
    for i, array in enumerate(arrays):
        numpy.save(os.path.join(folder, f"{kind}_{run}_{i}.npy"), numpy.ascontiguousarray(array))


def finish(**result):
    json.dump(result, open(os.path.join(folder, "result.json"), "w"))


INTEGER_OPS = ("QLinear", "QGemm", "QAttention", "ConvInteger", "MatMulInteger", "DynamicQuantize", "QMoE")
MOVEMENT_OPS = ("MaxPool", "NhwcMaxPool", "Reshape", "Transpose", "Concat", "Flatten", "Squeeze", "Unsqueeze", "Gather", "Slice",
                "Split", "Pad", "Resize", "DepthToSpace", "SpaceToDepth", "Identity", "Expand", "Tile")


def count_nodes(graph):
    """Nodes of an optimized ONNX graph whose result is float, by operator, and how many work on integers."""
    integers, floats, total = set(), {}, 0
    for node in graph.node:
        movement = node.op_type in MOVEMENT_OPS and node.input and node.input[0] in integers
        if node.op_type == "QuantizeLinear" or node.op_type.startswith(INTEGER_OPS) or movement:
            integers.update(node.output)
            total += node.op_type != "QuantizeLinear"
        elif node.op_type not in ("DequantizeLinear", "Constant", "Cast", "Shape"):
            floats[node.op_type] = floats.get(node.op_type, 0) + 1
    return floats, total


def run_ort():
    ort = need("onnxruntime")
    onnx = need("onnx")
    ort.set_default_logger_severity(3)

    def session(model, fused, save=None, exact=True):
        options = ort.SessionOptions()
        options.intra_op_num_threads = job["threads"]
        # Where only weights are low-bit, activations stay float: without this the engine rounds them to 8 bits by itself.
        options.add_session_config_entry("session.qdq_matmulnbits_accuracy_level", "1")
        # Without VNNI its fast products of unsigned and signed bytes overflow 16 bits; this takes the exact ones.
        options.add_session_config_entry("session.x64quantprecision", "1" if exact else "0")
        level = ort.GraphOptimizationLevel
        options.graph_optimization_level = level.ORT_ENABLE_ALL if fused else level.ORT_DISABLE_ALL
        if save:
            options.optimized_model_filepath = save
        return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    optimized = os.path.join(folder, "optimized.onnx")
    plain = session(job["model"], True, optimized)
    unfused = session(job["model"], False)
    default = session(job["model"], True, exact=False)
    model = onnx.load(job["model"], load_external_data=False)
    onnx.external_data_helper.load_external_data_for_model(model, os.path.dirname(os.path.abspath(job["model"])))
    probes = [value["codes"] for value in job["values"]]
    present = {output.name for output in model.graph.output}
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in probes if name not in present)
    probed_path = os.path.join(folder, "probed.onnx")
    onnx.save(model, probed_path, save_as_external_data=model.ByteSize() > 1 << 30)
    probed = session(probed_path, True) if probes else plain
    for run in range(job["runs"]):
        inputs = load(run)
        store("out", run, plain.run(job["outputs"], inputs))
        store("unfused", run, unfused.run(job["outputs"], inputs))
        store("default", run, default.run(job["outputs"], inputs))
        values = probed.run(job["outputs"] + probes, inputs)
        store("probed", run, values[:len(job["outputs"])])
        store("layer", run, values[len(job["outputs"]):])
    floats, integers = count_nodes(onnx.load(optimized, load_external_data=False).graph)
    finish(version=ort.__version__, float_nodes=floats, integer_nodes=integers, unfused=True, default=True)


def run_openvino():
    ov = need("openvino")
    core = ov.Core()
    core.set_property("CPU", {"INFERENCE_NUM_THREADS": job["threads"], "INFERENCE_PRECISION_HINT": "f32"})

    def compiled(probes):
        model = core.read_model(job["model"])
        if probes:
            model.add_outputs(probes)
        return core.compile_model(model, "CPU")

    def infer(request, inputs, names):
        results = request(inputs)
        return [results[request.output(name)] for name in names]

    plain = compiled([])
    probes = [value["decoded"] for value in job["values"]]
    probed = compiled(probes) if probes else plain
    for run in range(job["runs"]):
        inputs = load(run)
        store("out", run, infer(plain, inputs, job["outputs"]))
        values = infer(probed, inputs, job["outputs"] + probes)
        store("probed", run, values[:len(job["outputs"])])
        store("layer", run, values[len(job["outputs"]):])
    floats, integers = {}, 0
    for op in plain.get_runtime_model().get_ops():
        info = op.get_rt_info()
        kind = info["layerType"].astype(str) if "layerType" in info else op.get_type_name()
        precision = info["runtimePrecision"].astype(str) if "runtimePrecision" in info else ""
        if kind in ("Const", "Input", "Output", "Reorder", "Parameter", "Result", "Constant"):
            continue
        if precision.lower() in ("i8", "u8"):
            integers += 1
        else:
            floats[kind] = floats.get(kind, 0) + 1
    finish(version=ov.__version__, float_nodes=floats, integer_nodes=integers, unfused=False, default=False)


{"ort": run_ort, "openvino": run_openvino}[job["engine"]]()
)py";
}

}  // namespace lowbit
