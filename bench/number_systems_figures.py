#!/usr/bin/env python3
"""System x SQNR x bits really stored, on the real weights of the shared assets: a markdown table for each number of bits.

    number_systems_figures.py LOWBIT ASSETS [--bits 4 3]

SQNR is the mean over the tensors of the relative squared error, in decibels; each system at its best granularity by
`lowbit inspect --weights --bits N`.
"""

import argparse
import json
import pathlib
import subprocess

NETWORKS = {
    "ResNet-8": "resnet8/resnet8_fp32.onnx",
    "DS-CNN": "dscnn/dscnn_fp32.onnx",
    "HAR": "har/har_fp32.onnx",
    "MobileNetV1": "mobilenetv1_025_224/mobilenetv1_025_224_fp32.onnx",
}


def survey(lowbit, model, bits):
    run = subprocess.run([lowbit, "inspect", model, "--weights", "--bits", str(bits), "--json"], check=True, capture_output=True)
    return json.loads(run.stdout)["number_systems_at_bits"]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("lowbit")
    parser.add_argument("assets", type=pathlib.Path)
    parser.add_argument("--bits", type=int, nargs="+", default=[4, 3])
    options = parser.parse_args()
    for bits in options.bits:
        found = {name: survey(options.lowbit, options.assets / "models" / path, bits) for name, path in NETWORKS.items()}
        systems = {}
        for name, result in found.items():
            for entry in result["model"]:
                systems.setdefault(entry["system"], {})[name] = entry
        print(f"\n### {bits} bits\n\n| system | " + " | ".join(f"{n}: SQNR dB (bits, by)" for n in found) + " |")
        print("|---|" + "---:|" * len(found))

        def rank(item):
            return -sum(entry["score_db"] for entry in item[1].values()) / len(item[1])

        for system, entries in sorted(systems.items(), key=rank):
            cells = []
            for name in found:
                entry = entries.get(name)
                best = entry and entry["best"]
                cells.append("–" if not entry else f"{'**' if best else ''}{entry['sqnr_db']:.1f}{'**' if best else ''} "
                             f"({entry['bits']:.2f}, {entry['granularity']})")
            print(f"| {system} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
