#!/usr/bin/env python3
"""Accuracy with weights alone in low bits and activations in float: number system x bits x network, whole evaluation sets.

    weight_only.py WEIGHT_ACCURACY_BENCH ASSETS [--networks NAME ...] [--bits N ...] [--json OUT]

No retraining and no error-feeding method: parameters are fitted by least error, weighted by the activations, and the mean
shift of each layer is corrected on 256 calibration samples. "plain" is linear, symmetric, per channel, minmax, without the
correction. Prints a markdown table a network and a summary with the best system of each width beside plain and corrected linear.
With "-" for the program, the tables of the stored --json again.
"""

import argparse
import json
import pathlib
import re
import subprocess
import sys

NETWORKS = {
    "ResNet-8": ("resnet8/resnet8_fp32.onnx", "cifar10/train.tar", "cifar10/test.tar", []),
    "DS-CNN": ("dscnn/dscnn_fp32.onnx", "kws01/x_float.npy", "kws01/x_float.npy",
               ["labels=kws01/y.npy", "calib-slice=0::2", "eval-slice=1::2"]),
    "HAR": ("har/har_fp32.onnx", "har/calib_x.npy", "har/x.npy", ["labels=har/y.npy"]),
    "MobileNetV1": ("mobilenetv1_025_224/mobilenetv1_025_224_fp32.onnx", "imagenet-sample/calib.tar", "imagenet-sample/val.tar",
                    ["preprocess=crop=224x224,mean=127.5,std=127.5"]),
}  # fmt: skip

SYSTEMS = {
    8: ["int8"],
    6: ["int6", "nf6", "fp6-e2m3", "piecewise6", "auto:6"],
    4: ["int4", "int4,granularity=group:32", "codebook4", "nf4", "nf4,granularity=group:32", "piecewise4", "pot2-4", "nvfp4", "mxfp4", "auto:4"],
    3: ["int3", "int3,granularity=group:32", "codebook3", "nf3", "vq-2x64", "auto:3"],
    2: ["int2-full", "codebook2", "ternary", "vq-2x16", "vq-4x256", "auto:2"],
}  # fmt: skip


def recipes(bits):
    yield f"int{bits},range=minmax,method=none"
    for system in SYSTEMS[bits]:
        yield system + ("" if system.startswith("auto") else ",range=weighted") + ",method=bias-correct"


def rows(command):
    """{recipe: (bits, accuracy, agreement, seconds)} of the bench's table, or the reason why there is none."""
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = {}
    for line in text.splitlines():
        if failed := re.match(r"\| (\S+) \| failed: (.*?) \|", line):
            found[failed[1]] = failed[2]
        elif cells := re.match(r"\| (\S+) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|", line):
            found[cells[1]] = tuple(float(cells[i]) for i in range(2, 6))
    return found


def report(results):
    """Tables; the best of a width is the most accurate of those that store at most 0.3 bits more than plain."""
    summary = []
    for name, found in results.items():
        print(f"\n### {name}: float {found['float32'][1]:.2f} %\n\n| bits | weights | bits stored | accuracy % | agreement % |\n|---:|---|---:|---:|---:|")
        for bits in [b for b in SYSTEMS if next(recipes(b)) in found]:
            measured = {r: found[r] for r in recipes(bits) if not isinstance(found[r], str)}
            for recipe in recipes(bits):
                row = found[recipe]
                label = recipe.replace(",range=weighted", "").replace(",method=bias-correct", "").replace(",range=minmax,method=none", ", plain")
                cells = f"– | {row} | –" if isinstance(row, str) else f"{row[0]:.2f} | {row[1]:.2f} | {row[2]:.2f}"
                print(f"| {bits} | {label} | {cells} |")
            plain, linear = (found[r] for r in list(recipes(bits))[:2])
            best = max((r for r in measured if measured[r][0] <= plain[0] + 0.3), key=lambda r: (measured[r][1], measured[r][2]))
            summary.append((name, bits, plain[1], linear[1], best.split(",range")[0].split(",method")[0], *measured[best][:3]))
    print("\n| network | bits | plain linear % | linear, fitted and corrected % | best | bits stored | accuracy % | agreement % |\n|---|---:|---:|---:|---|---:|---:|---:|")
    for row in summary:
        print("| {} | {} | {:.2f} | {:.2f} | {} | {:.2f} | {:.2f} | {:.2f} |".format(*row))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bench")
    parser.add_argument("assets", type=pathlib.Path)
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), choices=NETWORKS)
    parser.add_argument("--bits", type=int, nargs="+", default=list(SYSTEMS))
    parser.add_argument("--json", type=pathlib.Path)
    options = parser.parse_args()
    if options.bench == "-":
        return report(json.loads(options.json.read_text()))
    data = options.assets / "data"
    results = {}
    for name in options.networks:
        model, calibration, evaluation, extra = NETWORKS[name]
        extra = [re.sub(r"^labels=", f"labels={data}/", e) for e in extra]
        base = [options.bench, options.assets / "models" / model, data / calibration, data / evaluation, *extra, "calib-samples=256", "--"]
        results[name] = rows(base + [r for bits in options.bits for r in recipes(bits)])
        print(f"measured {name}", file=sys.stderr)
        if options.json:
            options.json.write_text(json.dumps(results, indent=1))
    report(results)


if __name__ == "__main__":
    main()
