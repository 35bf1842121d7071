#!/usr/bin/env python3
"""Weights of real networks in every number system, written to ONNX and run by ONNX Runtime: the results must be those of
`lowbit run` up to the rounding of float sums, and the bytes those that `--dry-run` predicts.

    build/venv/bin/python bench/peers/weight_systems.py [--lowbit PROGRAM] [--models DIR] [--systems a,b/group:32,... | all]

Prints one row a network: for each system the largest difference relative to the largest output, and the size of the file
as a share of the float file. A difference that is larger than 1e-4 is marked and makes the exit code 1.
"""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import onnxruntime as ort

ROOT = pathlib.Path(__file__).resolve().parents[2]
SYSTEMS = "int8,int4,int4/group:32,ternary,nf4/group:64,log4,codebook3,fp8-e4m3,mxfp4,float16,binary"
LARGEST_DIFFERENCE = 1e-4  # sums of some thousand float32 products in another order


def every_system(program):
    """A name of each number system, at 4 bits where it has them, plain and at three granularities."""
    listed = json.loads(subprocess.run([program, "list", "numbers", "--json"], capture_output=True, check=True).stdout)
    names = []
    for row in listed["numbers"]:
        low, _, high = row["bits"].partition("..")
        stem = row["name"]
        if not high:
            names.append(stem)
        elif stem.startswith("pot2"):
            names += [f"{stem}-{bits}" for bits in (3, 4)]
        else:
            names += [f"{stem}{bits}" for bits in (2, 3, 4, 8) if int(low) <= bits <= int(high)]
    names += ["std-" + name for name in ("int4", "nf4", "log4", "fp8-e4m3", "codebook3")]
    return [name + granularity for name in names for granularity in ("/tensor", "/channel", "/group:32", "/block:4x8")]


def seeded_inputs(session):
    random = np.random.default_rng(1)
    inputs = {}
    for port in session.get_inputs():
        shape = [d if isinstance(d, int) else 1 for d in port.shape]
        if len(shape) == 2 and not isinstance(port.shape[1], int):
            shape[1] = 576  # a window of sound, as silero takes it
        if port.type == "tensor(int64)":
            inputs[port.name] = np.full(shape, 16000, np.int64)
        else:
            inputs[port.name] = random.random(shape, np.float32)
    return inputs


def lowbit_run(program, model, inputs, outputs, folder):
    np.savez(folder / "x.npz", **inputs)
    command = [program, "run", model, "--quiet", "--input", folder / "x.npz"]
    for i, name in enumerate(outputs):
        command += ["--output", f"{name}={folder / f'y{i}.npy'}"]
    subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL)
    return [np.load(folder / f"y{i}.npy") for i in range(len(outputs))]


def compare(program, model, system, folder):
    weights, _, granularity = system.partition("/")
    out = folder / "w.onnx"
    command = [program, "quantize", model, "-o", out, "--weights", weights, "--json"]
    if granularity:
        command += ["--granularity", granularity]
    result = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if result.returncode != 0:
        return None, None, None, result.stderr.strip()[-150:]
    report = json.loads(result.stdout)
    plan = subprocess.run([str(part) for part in command + ["--dry-run"]], capture_output=True, text=True, check=True)
    predicted = json.loads(plan.stdout).get("predicted_file_bytes", 0) / out.stat().st_size
    options = ort.SessionOptions()
    options.log_severity_level = 3
    # By itself ONNX Runtime rounds the activations of such a MatMul to 8 bits too, a choice of its own.
    options.add_session_config_entry("session.qdq_matmulnbits_accuracy_level", "1")
    session = ort.InferenceSession(str(out), options, providers=["CPUExecutionProvider"])
    inputs = seeded_inputs(session)
    names = [port.name for port in session.get_outputs()]
    wanted = session.run(names, inputs)
    found = lowbit_run(program, out, inputs, names, folder)
    worst = 0.0
    for a, b in zip(wanted, found):
        worst = max(worst, float(np.max(np.abs(a - b))) / max(float(np.max(np.abs(a))), 1e-3))
    return worst, report["output_bytes"] / report["float_bytes"], predicted, ""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lowbit", default=str(ROOT / "build/release/lowbit"))
    parser.add_argument("--models", default=str(ROOT.parent / "shared/assets/models"))
    parser.add_argument("--systems", default=SYSTEMS)
    parser.add_argument("--only", default="", help="part of a model's name")
    arguments = parser.parse_args()
    systems = every_system(arguments.lowbit) if arguments.systems == "all" else arguments.systems.split(",")
    models = sorted(path for path in pathlib.Path(arguments.models).glob("**/*.onnx") if arguments.only in path.name)
    bad = 0
    print(f"onnxruntime {ort.__version__}: largest difference to lowbit run (relative) / file size (share of float) / predicted bytes")
    print("| network | " + " | ".join(systems) + " |")
    print("|---" * (len(systems) + 1) + "|", flush=True)
    with tempfile.TemporaryDirectory() as name:
        for model in models:
            cells = []
            for system in systems:
                difference, size, predicted, error = compare(arguments.lowbit, model, system, pathlib.Path(name))
                failed = difference is None or difference > LARGEST_DIFFERENCE or abs(predicted - 1) > 0.01
                bad += failed
                text = error or f"{difference:.0e} / {size:.3f} / {predicted:.3f}"
                cells.append(("**" + text + "**") if failed else text)
            print(f"| {model.stem} | " + " | ".join(cells) + " |", flush=True)
    if bad:
        print(f"{bad} of {len(models) * len(systems)} differ", file=sys.stderr)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
