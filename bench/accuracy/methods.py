"""Accuracy by width of the weights and by method, over the trained networks of the shared assets.

Every row is `lowbit quantize` on calibration files and one evaluation of the file it wrote. Two splits:
  held-out  odd calibration samples are evaluated, even ones calibrate: for choosing methods and options
  final     the calibration files calibrate, the whole evaluation set is evaluated: for the tables, once the choice is made

    build/venv/bin/python bench/accuracy/methods.py --split final --weights int8,int4,int3
    build/venv/bin/python bench/accuracy/methods.py --models resnet8 --weights int4 --methods "none;bias-correct;gptq:focus=0.5"
"""

import argparse
import dataclasses
import pathlib
import re
import subprocess
import sys
import time

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench/peers"))

import asset_networks  # noqa: E402  (found through the path above)
import engines  # noqa: E402

MODELS = ["resnet8", "resnet8_large", "dscnn", "har", "mobilenetv1_025", "vww"]


@dataclasses.dataclass
class Samples:
    calibration: np.ndarray
    evaluation: np.ndarray
    labels: np.ndarray | None


def load(network, options):
    assets = options.assets
    if network.name.startswith("resnet8"):  # 100 pictures of a class for each half
        calibration = asset_networks.pictures(assets / "data/cifar10/train.tar", lambda p: p, per_class=200)[0]
    else:
        calibration = network.calibration(assets)
    if options.split == "held-out":
        return Samples(calibration[0::2], calibration[1::2], None)
    evaluation, labels = network.evaluation(assets)
    return Samples(calibration[0::2] if network.name.startswith("resnet8") else calibration, evaluation, labels)


def quantize(options, network, folder, weights, activations, methods):
    """(path of the model, seconds, notes)."""
    out = folder / (re.sub(r"[^a-z0-9]+", "-", f"{weights}.{activations}.{methods}") + ".onnx")
    command = [options.lowbit, "quantize", options.assets / "models" / network.onnx, "-o", out, "--data", folder / "calib.npy"]
    command += ["--weights", weights, "--activations", activations, "--threads", options.threads, *options.flags.split()]
    if methods != "default":
        command += ["--method", methods]
    begin = time.perf_counter()
    subprocess.run([str(c) for c in command], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    return out, time.perf_counter() - begin


def evaluate(options, network, path, x):
    if options.engine == "ort":
        return engines.onnx_runtime(path, x, network.chunk, options.threads)[0]
    return engines.lowbit(options.lowbit, path, x, network.chunk, options.threads)[0]


def distribution_distance(reference, values):
    """Mean Kullback-Leibler divergence from float, in nats; needs softmax outputs."""
    p, q = reference.astype(np.float64) + 1e-12, values.astype(np.float64) + 1e-12
    return float((p * np.log(p / q)).sum(1).mean())


def measure(options, network):
    samples = load(network, options)
    folder = options.work / network.name
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "calib.npy", samples.calibration)
    x = samples.evaluation[: options.limit]
    labels = None if samples.labels is None else samples.labels[: options.limit]
    reference = engines.onnx_runtime(options.assets / "models" / network.onnx, x, network.chunk, options.threads)[0]
    top1 = lambda y: "-" if labels is None else f"{100 * (y.argmax(1) == labels).mean():.2f}"
    print(f"| {network.name} | float | - | {top1(reference)} | 100 | 0 | - |", flush=True)
    for weights in options.weights.split(","):
        for activations in options.activations.split(","):
            for methods in options.methods.split(";"):
                row = f"| {network.name} | {weights} / {activations} | {methods}"
                try:
                    path, seconds = quantize(options, network, folder, weights, activations, methods)
                    y = evaluate(options, network, path, x)
                except subprocess.CalledProcessError as error:
                    print(f"{row} | failed: {error.stderr.strip()[:120]} | | | |", flush=True)
                    continue
                agreement = 100 * (y.argmax(1) == reference.argmax(1)).mean()
                print(f"{row} | {top1(y)} | {agreement:.2f} | {distribution_distance(reference, y):.4f} | {seconds:.1f} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lowbit", type=pathlib.Path, default=ROOT / "build/release/lowbit")
    parser.add_argument("--assets", type=pathlib.Path, default=ROOT / "../shared/assets")
    parser.add_argument("--work", type=pathlib.Path, default=ROOT / "build/accuracy-methods", help="folder for quantized models")
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--split", choices=["held-out", "final"], default="held-out")
    parser.add_argument("--weights", default="int8,int4")
    parser.add_argument("--activations", default="uint8")
    parser.add_argument("--methods", default="none;default", help="separated by semicolons")
    parser.add_argument("--flags", default="", help="further flags of lowbit quantize, for every row")
    parser.add_argument("--engine", choices=["lowbit", "ort"], default="lowbit", help="what runs the written files; ort saturates without VNNI")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    print("| model | weights / activations | methods | top-1 % | agreement % | KL | s |\n|---|---|---|---:|---:|---:|---:|")
    for network in asset_networks.NETWORKS:
        if network.name in options.models.split(","):
            measure(options, network)


if __name__ == "__main__":
    sys.exit(main())
