"""Accuracy of lowbit's int8 models beside float and the other engines, over the trained networks of the shared assets.

For each network: `lowbit quantize` on the calibration files, then the whole evaluation set through `lowbit run`, ONNX Runtime and OpenVINO
on the exported file, ONNX Runtime's own best static quantization (Percentile) and the published int8 TFLite file.
Prints two markdown tables: accuracy, and how far `lowbit run` and ONNX Runtime agree on lowbit's own file.

    tools/setup peers-all
    build/venv/bin/python bench/peers/accuracy.py [--models resnet8,har]
"""

import argparse
import dataclasses
import json
import pathlib
import subprocess
import sys

import numpy as np
import onnx
from onnx import numpy_helper

import asset_networks
import engines
from measure import HERE, ROOT


@dataclasses.dataclass
class Row:
    """What one engine made of one network."""

    outputs: list
    file_bytes: int


def wilson(share, samples):
    """The 95 % interval of a share that was found in so many samples (Wilson 1927)."""
    z2 = 1.96**2
    centre = (share + z2 / (2 * samples)) / (1 + z2 / samples)
    half = 1.96 * np.sqrt(share * (1 - share) / samples + z2 / (4 * samples**2)) / (1 + z2 / samples)
    return centre - half, centre + half


def sqnr_db(reference, values):
    error = sum(float(np.square(a.astype(np.float64) - b).sum()) for a, b in zip(reference, values))
    signal = sum(float(np.square(a.astype(np.float64)).sum()) for a in reference)
    return 10 * np.log10(signal / error) if error else np.inf


def classes(outputs):
    return outputs[0].reshape(len(outputs[0]), -1).argmax(1)


def quality(network, row, labels, float_row):
    """(accuracy as text, agreement with float as text)."""
    if network.kind == "values":
        return "-", f"{sqnr_db(float_row.outputs, row.outputs):.1f} dB"
    agreement = f"{100 * (classes(row.outputs) == classes(float_row.outputs)).mean():.2f}"
    return "-" if labels is None else f"{100 * (classes(row.outputs) == labels).mean():.2f}", agreement


def output_steps(path):
    """Output name -> step of its codes, for outputs that end in a DequantizeLinear; others are not in it."""
    graph = onnx.load(str(path)).graph
    weights = {w.name: w for w in graph.initializer}
    last = {node.output[0]: node for node in graph.node if node.op_type == "DequantizeLinear"}
    return {o.name: float(numpy_helper.to_array(weights[last[o.name].input[1]])) for o in graph.output if o.name in last}


def parity(network, path, ours, theirs):
    """One line: how often the largest output agrees, and the largest difference in steps of the output (or in values)."""
    steps = output_steps(path)
    names = [output.name for output in onnx.load(str(path)).graph.output]
    differences = []
    for name, a, b in zip(names, ours.outputs, theirs.outputs):
        largest = float(np.abs(a - b).max())
        differences.append(f"{largest / steps[name]:.2f} steps" if name in steps else f"{largest:.3g} (float output)")
    same = "-" if network.kind == "values" else f"{100 * (classes(ours.outputs) == classes(theirs.outputs)).mean():.2f} %"
    return f"| {network.name} | {same} | {', '.join(differences)} |"


def quantized_by_ort(network, model, folder, samples):
    out = folder / f"{network.name}.ort.onnx"
    command = [sys.executable, HERE / "ort_quantize.py", model, "-o", out, "--data", folder / "calib.npy", "--samples", samples, "--method", "Percentile"]
    subprocess.run([str(c) for c in command], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    return out


def quantized_by_lowbit(options, network, model, folder):
    out = folder / f"{network.name}.int8.onnx"
    command = [options.lowbit, "quantize", model, "-o", out, "--data", folder / "calib.npy", "--samples", options.samples]
    subprocess.run([str(c) for c in [*command, "--threads", options.threads, "--json"]], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    return out


def check_eval(options, network, path, folder, row, labels):
    """`lowbit eval` must count what the outputs of `lowbit run` say."""
    command = [options.lowbit, "eval", path, "--data", folder / "x.npy", "--labels", folder / "y.npy", "--threads", options.threads, "--json"]
    result = subprocess.run([str(c) for c in command], check=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    evaluated = json.loads(result.stdout)["models"][0]
    counted = float((classes(row.outputs) == labels).mean())
    told = evaluated["metrics"]["accuracy"]
    if abs(told - counted) > 1e-6 or evaluated["samples"] != len(labels):
        raise ValueError(f"eval says {told} of {evaluated['samples']} samples, the outputs of run say {counted}")


def attempt(network, engine, work):
    """What work() returns, or None, with the reason on stderr, if it fails: one engine's failure is a result, not the end."""
    try:
        return work()
    except subprocess.CalledProcessError as error:
        reason = (error.stderr or "").strip().splitlines()[-1:] or [str(error)]
    except Exception as error:  # every engine has exceptions of its own
        reason = str(error).strip().splitlines()[:1]
    print(f"{network.name}: {engine}: failed: {' '.join(reason)}", file=sys.stderr)
    return None


def measure(options, network):
    """(rows by engine, None for one that failed; labels; parity line or None)."""
    folder = options.work / network.name
    folder.mkdir(parents=True, exist_ok=True)
    calibration, x, labels = asset_networks.load(network, options.assets, options.samples)
    x, labels = x[: options.limit], None if labels is None else labels[: options.limit]
    np.save(folder / "calib.npy", calibration)
    np.save(folder / "x.npy", x)
    if labels is not None:
        np.save(folder / "y.npy", labels)
    model = options.assets / "models" / network.onnx
    settings = (x, network.chunk, options.threads)
    rows, line = {}, None

    def add(engine, path, outputs):
        rows[engine] = attempt(network, engine, lambda: Row(outputs(), path.stat().st_size)) if path else None
        return rows[engine]

    add("float", model, lambda: engines.onnx_runtime(model, *settings))
    if not options.without_lowbit:
        path = attempt(network, "lowbit", lambda: quantized_by_lowbit(options, network, model, folder))
        ours = add("lowbit", path, lambda: engines.lowbit(options.lowbit, path, *settings))
        theirs = add("lowbit in ORT", path, lambda: engines.onnx_runtime(path, *settings))
        if engines.has("openvino"):
            add("lowbit in OpenVINO", path, lambda: engines.open_vino(path, *settings))
        if ours and labels is not None:
            attempt(network, "lowbit", lambda: check_eval(options, network, path, folder, ours, labels))
        line = parity(network, path, ours, theirs) if ours and theirs else None
    peer = attempt(network, "ORT Percentile", lambda: quantized_by_ort(network, model, folder, len(calibration)))
    add("ORT Percentile", peer, lambda: engines.onnx_runtime(peer, *settings))
    if network.tflite and engines.has("ai_edge_litert"):
        published = options.assets / "models" / network.tflite
        add("TFLite int8", published, lambda: engines.lite_rt(published, x))
    return rows, labels, line


def print_rows(network, rows, labels):
    for engine, row in rows.items():
        if row is None:
            print(f"| {network.name} | {engine} | failed | - | - | - |", flush=True)
            continue
        accuracy, agreement = quality(network, row, labels, rows["float"])
        interval = "-"
        if accuracy != "-":
            low, high = wilson(float((classes(row.outputs) == labels).mean()), len(labels))
            interval = f"{100 * low:.2f} to {100 * high:.2f}"
        finite = "" if all(np.isfinite(o).all() for o in row.outputs) else " NOT FINITE"
        print(f"| {network.name} | {engine}{finite} | {accuracy} | {interval} | {agreement} | {row.file_bytes} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lowbit", type=pathlib.Path, default=ROOT / "build/release/lowbit")
    parser.add_argument("--assets", type=pathlib.Path, default=ROOT / "../shared/assets")
    parser.add_argument("--work", type=pathlib.Path, default=ROOT / "build/accuracy", help="folder for quantized models")
    parser.add_argument("--models", help="only these, separated by commas")
    parser.add_argument("--samples", type=int, default=500, help="at most so many calibration samples (500)")
    parser.add_argument("--limit", type=int, help="only the first evaluation samples, for a quick try")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--without-lowbit", action="store_true", help="only float and the peers")
    options = parser.parse_args()
    known = [network.name for network in asset_networks.NETWORKS]
    wanted = options.models.split(",") if options.models else known
    if unknown := [name for name in wanted if name not in known]:
        parser.error(f"unknown model {', '.join(unknown)} (known: {', '.join(known)})")
    if not options.without_lowbit and not options.lowbit.exists():
        parser.error(f"{options.lowbit} is not there (./quickstart builds it; --without-lowbit measures the others)")

    parities, complete = [], True
    print("| model | engine | top-1 % | 95 % interval | agreement with float % | bytes |\n|---|---|---:|---:|---:|---:|")
    for network in asset_networks.NETWORKS:
        if network.name in wanted:
            rows, labels, line = measure(options, network)
            print_rows(network, rows, labels)
            parities += [line] if line else []
            complete &= all(row for engine, row in rows.items() if "lowbit" in engine)
    if parities:
        print("\n`lowbit run` against ONNX Runtime on the same file:\n\n| model | same top-1 | largest difference |\n|---|---:|---:|")
        print("\n".join(parities))
    return 0 if complete else 1


if __name__ == "__main__":
    sys.exit(main())
