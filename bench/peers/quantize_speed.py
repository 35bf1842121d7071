"""How long quantizing takes, beside ONNX Runtime and NNCF: same model, same samples, same processors, alternating, medians.

Every run is a process of its own. For lowbit the whole process counts, for the Python peers the time after their imports.
Memory is the peak resident memory of the process. The float forward pass over the samples is the bound for methods
that calibrate on the float model.

    tools/setup peers-all
    build/venv/bin/python bench/peers/quantize_speed.py
"""

import argparse
import datetime
import json
import pathlib
import platform
import statistics
import sys

from measure import HERE, ROOT, pin, run_process

NAMES = {"lowbit": "lowbit", "ort": "ONNX Runtime", "nncf": "NNCF", "forward": "float forward pass alone"}


def processor():
    lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def prepare(options):
    """Paths of the model and its samples; makes them if they are not there."""
    options.work /= f"speed-{options.samples}"  # so that the samples beside the model are as many as asked for
    model, data = (options.work / f"{options.model}{suffix}" for suffix in (".onnx", ".npy"))
    if not model.exists() or not data.exists():
        maker = ROOT / "bench/models/make_models.py"
        run_process([sys.executable, maker, "--out", options.work, "--data", options.samples, options.model])
    return model, data


def run_once(engine, options, model, data):
    """One measured run: a dict with seconds and peak_memory_bytes."""
    samples = ["--data", data, "--samples", options.samples]
    if engine == "lowbit":
        out = options.work / f"{options.model}.lowbit.onnx"
        method = ["--method", options.method] if options.method else []
        command = [options.lowbit, "quantize", model, "-o", out, *samples, *method, "--threads", options.threads, "--json"]
        _, seconds, peak = run_process(command)
        return {"engine": "lowbit", "seconds": seconds, "peak_memory_bytes": peak}
    script = HERE / ("ort_forward.py" if engine == "forward" else f"{engine}_quantize.py")
    target = [] if engine == "forward" else ["-o", options.work / f"{options.model}.{engine}.{'xml' if engine == 'nncf' else 'onnx'}"]
    out, _, _ = run_process([sys.executable, script, model, *target, *samples, "--batch", options.batch])
    return json.loads(out.strip().splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="resnet50", help="a network of bench/models (resnet50)")
    parser.add_argument("--lowbit", type=pathlib.Path, default=ROOT / "build/release/lowbit")
    parser.add_argument("--work", type=pathlib.Path, default=ROOT / "build/models", help="folder of models and results (build/models)")
    parser.add_argument("--engines", default="lowbit,ort,nncf,forward")
    parser.add_argument("--method", default="none", help="of lowbit (none: plain rounding, as ONNX Runtime does); empty: its default, which learns from the data and takes much longer")
    parser.add_argument("--samples", type=int, default=100)
    parser.add_argument("--batch", type=int, default=1, help="samples per forward pass of the peers (1)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="print all measurements as JSON")
    options = parser.parse_args()
    engines = options.engines.split(",")
    if unknown := [engine for engine in engines if engine not in NAMES]:
        parser.error(f"unknown engine {', '.join(unknown)} (known: {', '.join(NAMES)})")
    if "lowbit" in engines and not options.lowbit.exists():
        parser.error(f"{options.lowbit} is not there (./quickstart builds it; --engines ort,nncf measures the others)")
    pin(options.threads)
    model, data = prepare(options)

    runs = {engine: [] for engine in engines}
    for number in range(options.rounds):
        for engine in engines if number % 2 == 0 else reversed(engines):
            runs[engine].append(run_once(engine, options, model, data))
            print(f"round {number + 1}: {NAMES[engine]} {runs[engine][-1]['seconds']:.2f} s", file=sys.stderr)
    if options.json:
        print(json.dumps(runs, indent=1))
        return
    print(f"Quantizing {options.model}, {options.samples} samples, {options.threads} threads, median of {options.rounds} (lowest to highest).")
    print(f"{processor()}, {datetime.date.today()}.\n")
    print("| engine | seconds | spread | peak memory MB | time / lowbit | memory / lowbit |\n|---|---:|---:|---:|---:|---:|")
    median = lambda engine, key: statistics.median(run[key] for run in runs[engine])
    for engine in engines:
        seconds, memory = median(engine, "seconds"), median(engine, "peak_memory_bytes")
        times = [run["seconds"] for run in runs[engine]]
        ratios = ("-", "-")
        if "lowbit" in engines:
            ratios = f"{seconds / median('lowbit', 'seconds'):.2f}", f"{memory / median('lowbit', 'peak_memory_bytes'):.2f}"
        name = NAMES[engine] if engine in ("lowbit", "forward") else runs[engine][0]["engine"]
        print(f"| {name} | {seconds:.2f} | {min(times):.2f} to {max(times):.2f} | {memory / 1e6:.0f} | {' | '.join(ratios)} |")


if __name__ == "__main__":
    main()
