"""Float models in `lowbit run` and in ONNX Runtime, on the same random inputs: the largest difference of every output.

Without arguments: every ONNX file of the shared assets. Free dimensions become 2, unless the network needs others. Recurrent states start as small random numbers.
Exits 1 if an output differs by more than the tolerance, absolute plus relative to the output's largest value.

    build/venv/bin/python bench/peers/float_parity.py [model.onnx ...]
"""

import argparse
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import onnxruntime

from measure import ROOT

onnxruntime.set_default_logger_severity(3)
PIXELS = ("resnet8",)  # networks that take grey values 0..255
SHAPES = {("silero_vad_16k_op15.onnx", "input"): (2, 576)}  # the window is free in the file, but has to be of this length


def random_inputs(path, session, rng):
    """Input name -> array. Integers are token numbers, masks, or the sampling rate, as their names say."""
    inputs = {}
    for entry in session.get_inputs():
        shape = SHAPES.get((path.name, entry.name), [d if isinstance(d, int) and d > 0 else 2 for d in entry.shape])
        if entry.name == "sr":
            value = np.array(16000, np.int64)
        elif entry.type == "tensor(int64)":
            value = np.ones(shape, np.int64) if "mask" in entry.name else rng.integers(0, 1000, shape)
        elif any(part.startswith(PIXELS) for part in path.parts):
            value = rng.uniform(0, 255, shape).astype(np.float32)
        else:
            value = rng.normal(0, 0.5, shape).astype(np.float32)
        inputs[entry.name] = value
    return inputs


def run_lowbit(program, path, inputs, outputs, threads):
    """Outputs of `lowbit run`, in the order of the names; several are asked for as one .npz."""
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        command = [program, "run", path, "--threads", threads, "--quiet"]
        for number, (name, value) in enumerate(inputs.items()):
            np.save(folder / f"{number}.npy", value)
            command += ["--input", f"{name}={folder / f'{number}.npy'}"]
        target = folder / ("y.npy" if len(outputs) == 1 else "y.npz")
        command += ["--output", target]
        done = subprocess.run([str(c) for c in command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        if done.returncode:
            raise RuntimeError(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"exit code {done.returncode}")
        result = np.load(target)
        return [result] if len(outputs) == 1 else [result[name] for name in outputs]


def compare(options, path):
    """(one line of the table, whether it is within the tolerance)."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    inputs = random_inputs(path, session, np.random.default_rng(options.seed))
    names = [output.name for output in session.get_outputs()]
    expected = session.run(None, inputs)
    try:
        found = run_lowbit(options.lowbit, path, inputs, names, options.threads)
    except RuntimeError as error:
        return f"| {path.name} | failed: {error} | - |", False
    differences, good = [], True
    for name, a, b in zip(names, expected, found):
        if a.shape != b.shape:
            return f"| {path.name} | {name}: shape {b.shape} instead of {a.shape} | - |", False
        difference = float(np.abs(a.astype(np.float64) - b).max()) if a.size else 0.0
        good &= difference <= options.tolerance * (1 + float(np.abs(a).max() if a.size else 0))
        differences.append(f"{name} {difference:.2g}")
    return f"| {path.name} | {', '.join(differences)} | {'yes' if good else 'NO'} |", good


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", type=pathlib.Path)
    parser.add_argument("--lowbit", type=pathlib.Path, default=ROOT / "build/release/lowbit")
    parser.add_argument("--assets", type=pathlib.Path, default=ROOT / "../shared/assets")
    parser.add_argument("--tolerance", type=float, default=1e-4)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if not options.lowbit.exists():
        parser.error(f"{options.lowbit} is not there (./quickstart builds it)")
    paths = options.models or sorted(options.assets.glob("models/*/*.onnx"))
    if not paths:
        parser.error(f"no ONNX file below {options.assets} (name models, or give --assets)")
    print(f"| model | largest difference per output | within {options.tolerance:g} |\n|---|---|---|")
    complete = True
    for path in paths:
        line, good = compare(options, path)
        print(line, flush=True)
        complete &= good
    return 0 if complete else 1


if __name__ == "__main__":
    sys.exit(main())
