"""Runs a model over samples in each engine; every function returns the outputs as a list of arrays, in the model's order."""

import importlib.util
import pathlib
import subprocess
import tempfile

import numpy as np
import onnx
import onnxruntime

onnxruntime.set_default_logger_severity(3)


def has(module):
    return importlib.util.find_spec(module) is not None


def in_chunks(run, x, chunk):
    """Joins run(x[i : i + chunk]) along the first axis."""
    parts = [run(np.ascontiguousarray(x[i : i + chunk])) for i in range(0, len(x), chunk)]
    return [np.concatenate(outputs) for outputs in zip(*parts)]


def onnx_runtime(path, x, chunk, threads=2):
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = threads
    settings.add_session_config_entry("session.x64quantprecision", "1")  # exact 8-bit products also without VNNI
    session = onnxruntime.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return in_chunks(lambda part: session.run(None, {name: part}), x, chunk)


def open_vino(path, x, chunk, threads=2):
    import openvino

    settings = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(str(path), "CPU", settings)
    return in_chunks(lambda part: [np.array(v) for v in compiled([part]).values()], x, chunk)


def lite_rt(path, x):
    """Sample by sample; inputs are quantized and outputs turned back as the file's own parameters say."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path), num_threads=2)
    interpreter.allocate_tensors()
    entry, exits = interpreter.get_input_details()[0], interpreter.get_output_details()

    def run(part):
        if entry["dtype"] != np.float32:
            scale, zero_point = entry["quantization"]
            limits = np.iinfo(entry["dtype"])
            part = np.clip(np.round(part / scale) + zero_point, limits.min, limits.max).astype(entry["dtype"])
        interpreter.set_tensor(entry["index"], part)
        interpreter.invoke()
        outputs = []
        for exit in exits:
            value = interpreter.get_tensor(exit["index"])
            if exit["dtype"] != np.float32:
                scale, zero_point = exit["quantization"]
                value = (value.astype(np.float32) - zero_point) * np.float32(scale)
            outputs.append(value)
        return outputs

    return in_chunks(run, x, 1)


def lowbit(program, path, x, chunk, threads=2):
    """`lowbit run`, one process per chunk. A model of several outputs is asked for an .npz with arrays named as the outputs."""
    names = [output.name for output in onnx.load(str(path), load_external_data=False).graph.output]

    with tempfile.TemporaryDirectory() as folder:
        entry = pathlib.Path(folder) / "x.npy"
        exit = pathlib.Path(folder) / ("y.npy" if len(names) == 1 else "y.npz")

        def run(part):
            np.save(entry, part)
            command = [program, "run", path, "--input", entry, "--output", exit, "--threads", threads, "--quiet"]
            subprocess.run([str(c) for c in command], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            result = np.load(exit)
            return [result] if len(names) == 1 else [result[name] for name in names]

        return in_chunks(run, x, chunk)
