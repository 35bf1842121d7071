"""lowbit's default int8 beside the best that ONNX Runtime's quantizer and NNCF make of the same networks and samples.

Each row is one setting of one quantizer: `lowbit quantize` without options, ONNX Runtime's static quantization by each of its calibrations,
NNCF by each of its presets. All get the same calibration samples; each file runs in the engine it was made for, over the whole evaluation
set. The default networks are those that no default of lowbit was chosen on. A line for each network and peer then compares the best rows;
the exit code is 1 where lowbit is behind in agreement with the float network.

    tools/setup peers-all
    build/venv/bin/python bench/accuracy/against_peers.py [--models resnet8_large,mobilenetv2_person,ad]
"""

import argparse
import json
import pathlib
import subprocess
import sys
import time

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
PEERS = ROOT / "bench/peers"
sys.path.insert(0, str(PEERS))

import accuracy  # noqa: E402  (found through the path above)
import asset_networks  # noqa: E402
import engines  # noqa: E402

NOT_TUNED_ON = "resnet8_large,mobilenetv2_person,ad"


def run(command):
    """(its JSON, seconds by the clock)."""
    begin = time.perf_counter()
    done = subprocess.run([str(c) for c in command], check=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    return json.loads(done.stdout.strip().splitlines()[-1]) if done.stdout.strip().startswith("{") else {}, time.perf_counter() - begin


def settings(options, model, folder):
    """(quantizer, setting, file, command, engine). A peer's own report leaves out its imports; of lowbit the whole process counts."""
    shared = ["--data", folder / "calib.npy", "--samples", options.samples]
    file = folder / "lowbit.onnx"
    yield "lowbit", "default", file, [options.lowbit, "quantize", model, "-o", file, *shared, "--threads", options.threads, "--quiet"], "lowbit"
    for method in ("MinMax", "Entropy", "Percentile"):
        file = folder / f"ort.{method}.onnx"
        yield "ONNX Runtime", method, file, [sys.executable, PEERS / "ort_quantize.py", model, "-o", file, *shared, "--method", method], "ort"
    for preset in ("PERFORMANCE", "MIXED"):
        file = folder / f"nncf.{preset}.xml"
        yield "NNCF", preset, file, [sys.executable, PEERS / "nncf_quantize.py", model, "-o", file, *shared, "--preset", preset], "openvino"


def outputs(options, network, engine, path, x):
    if engine == "lowbit":
        return engines.lowbit(options.lowbit, path, x, network.chunk, options.threads)
    return {"ort": engines.onnx_runtime, "openvino": engines.open_vino}[engine](path, x, network.chunk, options.threads)


def closeness(network, reference, made):
    """Per cent of samples with the float network's class, or dB where there are no classes: more is better."""
    if network.kind == "values":
        return accuracy.sqnr_db(reference, made)
    return 100 * float((accuracy.classes(made) == accuracy.classes(reference)).mean())


def measure(options, network):
    folder = options.work / network.name
    folder.mkdir(parents=True, exist_ok=True)
    calibration, x, labels = asset_networks.load(network, options.assets, options.samples)
    np.save(folder / "calib.npy", calibration)
    model = options.assets / "models" / network.onnx
    reference = engines.onnx_runtime(model, x, network.chunk, options.threads)
    top1 = lambda made: "-" if labels is None else f"{100 * (accuracy.classes(made) == labels).mean():.2f}"
    unit = " dB" if network.kind == "values" else ""
    print(f"| {network.name} | float | - | {top1(reference)} | - | {model.stat().st_size:,} | - |", flush=True)
    best = {}
    for quantizer, setting, path, command, engine in settings(options, model, folder):
        try:
            told, clock = run(command)
            seconds = told.get("seconds", clock) if quantizer != "lowbit" else clock
            made = outputs(options, network, engine, path, x)
        except Exception as error:  # a peer that cannot do a network is a result
            reason = (getattr(error, "stderr", None) or str(error)).strip().splitlines()[-1:]
            print(f"| {network.name} | {quantizer} | {setting} | failed: {' '.join(reason)[:90]} | | | |", flush=True)
            continue
        weights = path.with_suffix(".bin") if path.suffix == ".xml" else path
        value = closeness(network, reference, made)
        print(f"| {network.name} | {quantizer} | {setting} | {top1(made)} | {value:.2f}{unit} | {weights.stat().st_size:,} | {seconds:.1f} |", flush=True)
        if quantizer not in best or value > best[quantizer][0]:
            best[quantizer] = (value, seconds)
    return best


def verdict(name, best):
    """One line a peer, and whether lowbit is not behind it."""
    ours = best.get("lowbit")
    if not ours:
        print(f"{name}: lowbit failed")
        return False
    good = True
    for peer, (value, seconds) in best.items():
        if peer == "lowbit":
            continue
        good &= ours[0] >= value
        print(f"{name}: agreement {ours[0]:.2f} against {value:.2f} of {peer}'s best, {ours[1]:.1f} s against {seconds:.1f} s"
              + ("" if ours[0] >= value else "  (behind)"))
    return good


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lowbit", type=pathlib.Path, default=ROOT / "build/release/lowbit")
    parser.add_argument("--assets", type=pathlib.Path, default=ROOT / "../shared/assets")
    parser.add_argument("--work", type=pathlib.Path, default=ROOT / "build/against-peers", help="folder for quantized models")
    parser.add_argument("--models", default=NOT_TUNED_ON)
    parser.add_argument("--samples", type=int, default=256, help="calibration samples for everyone (256)")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    wanted = options.models.split(",")
    if unknown := set(wanted) - {network.name for network in asset_networks.NETWORKS}:
        parser.error(f"unknown model {', '.join(sorted(unknown))}")
    print("| model | quantizer | setting | top-1 % | agreement with float % | bytes | s |\n|---|---|---|---:|---:|---:|---:|")
    results = {network.name: measure(options, network) for network in asset_networks.NETWORKS if network.name in wanted}
    print()
    return 0 if all([verdict(name, best) for name, best in results.items()]) else 1


if __name__ == "__main__":
    sys.exit(main())
