#!/usr/bin/env python3
"""Latency of int8 and float networks in lowbit, ONNX Runtime, OpenVINO and LiteRT: rounds in which the engines take turns, batch 1.

Every engine gets the form that it runs best: ONNX Runtime its own QDQ file with unsigned activations and per-channel weights, OpenVINO that
file (and NNCF's, where asked for), LiteRT the published int8 file, lowbit the file that `lowbit quantize` wrote from the same calibration samples.
A turn lasts --turn seconds in each round; a round's figure is the median of its runs, the table's the median over the rounds, ratios are made
inside rounds. The first round is discarded. Prints a markdown table; --json FILE keeps all rounds.

    build/venv/bin/python bench/peers/latency.py                # all networks, one thread and two, in less than ten minutes

Engines are pinned to as many processors as threads. An engine that fails is left out with its reason on stderr; once --budget seconds have passed, the
networks that are left get fewer rounds (three at least). On processors without VNNI, ONNX Runtime and OpenVINO multiply bytes by vpmaddubsw, whose sums
saturate for full-range weights; lowbit's and LiteRT's products are exact.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

import numpy as np

import asset_networks
import measure

TARGETS = {  # network: (peer or "best", wanted ratio on one thread)
    "resnet8": ("litert", 1.3),
    "vww": ("litert", 1.5),
    "dscnn": ("litert", 1.3),
    "ad": ("litert", 1.3),
    "mobilenet_v2": ("openvino", 1.5),
    "resnet50": ("openvino", 1.05),
    "bert_encoder": ("nncf", 1.15),
    "lstm_256_512": ("ort", 1.3),
    "gru_256_512": ("openvino", 2.0),
}
ASSET_NETWORKS = ("resnet8", "vww", "dscnn", "ad")
RECURRENT = {"lstm_256_512": "LSTM", "gru_256_512": "GRU"}  # 64 steps
CALIBRATION_SAMPLES = 100
LEAST_ROUNDS = 3


class Files:
    """The files of one network, made once and kept in a folder."""

    def __init__(self, name, assets, folder, lowbit):
        self.name, self.folder, self.lowbit = name, folder / name, lowbit
        self.folder.mkdir(parents=True, exist_ok=True)
        self.tflite = None
        if name in ASSET_NETWORKS:
            network = next(n for n in asset_networks.NETWORKS if n.name == name)
            self.float = pathlib.Path(assets) / "models" / network.onnx
            self.tflite = pathlib.Path(assets) / "models" / network.tflite
            self.data = self.made("calibration.npy", lambda path: np.save(path, asset_networks.load(network, assets, CALIBRATION_SAMPLES)[0]))
        elif name in RECURRENT:
            self.float = self.made(f"{name}.onnx", self.make_recurrent)
            self.data = self.made("calibration.npz", self.make_sequences)
        else:
            self.float = self.folder / f"{name}.onnx"
            samples = "npz" if name == "bert_encoder" else "npy"
            if not self.float.exists():
                maker = measure.ROOT / "bench/models/make_models.py"
                measure.run_process([sys.executable, maker, "--out", self.folder, "--fold", "--data", "20", name])
            found = sorted(self.folder.glob(f"*.{samples}"))
            self.data = found[0] if found else None

    def make_recurrent(self, path):
        import onnx
        import recurrent

        onnx.save(recurrent.network(RECURRENT[self.name]), path)

    @staticmethod
    def make_sequences(path):
        # The batch is the second axis of x: samples are whole inputs, [n][steps, 1, inputs].
        import recurrent

        rng = np.random.default_rng(1)
        np.savez(path, x=rng.standard_normal((8, recurrent.STEPS, 1, recurrent.INPUTS)).astype(np.float32))

    def made(self, name, make):
        path = self.folder / name
        if not path.exists():
            make(path)
        return path

    def script(self, script, name, *more):
        command = [sys.executable, measure.HERE / script, self.float, "--data", self.data, "-o", self.folder / name, *more]
        return self.made(name, lambda path: measure.run_process(command))

    def of_lowbit(self):
        command = [self.lowbit, "quantize", self.float, "--data", self.data, "-o", self.folder / "lowbit.onnx", "--samples", CALIBRATION_SAMPLES, "--quiet"]
        return self.made("lowbit.onnx", lambda path: measure.run_process(command))

    def of_onnx_runtime(self):
        if self.name in RECURRENT:
            from onnxruntime.quantization import QuantType, quantize_dynamic

            return self.made("ort.onnx", lambda path: quantize_dynamic(self.float, path, weight_type=QuantType.QInt8, per_channel=True))
        return self.script("ort_quantize.py", "ort.onnx", "--samples", str(CALIBRATION_SAMPLES))

    def of_nncf(self):
        return self.script("nncf_quantize.py", "nncf.xml", "--samples", str(CALIBRATION_SAMPLES))


def inputs_of(session):
    """Random inputs for the free dimensions of 1 (sequences: 128)."""
    rng = np.random.default_rng(0)
    made = {}
    for port in session.get_inputs():
        dims = [d if isinstance(d, int) else (1 if i == 0 else 128) for i, d in enumerate(port.shape)]
        integer = "int" in port.type
        made[port.name] = np.ones(dims, np.int64) if integer else rng.random(dims, np.float32)
    return made


def timed(run, seconds):
    """Median milliseconds of single runs during `seconds`."""
    times, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < 3:
        begin = time.perf_counter()
        run()
        times.append(time.perf_counter() - begin)
    return statistics.median(times) * 1000


def onnx_runtime(path, threads, seconds):
    import onnxruntime

    onnxruntime.set_default_logger_severity(3)
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])
    inputs = inputs_of(session)
    return lambda: timed(lambda: session.run(None, inputs), seconds)


def open_vino(path, threads, seconds, inputs):
    import openvino

    settings = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32", "NUM_STREAMS": 1}
    core = openvino.Core()
    model = core.read_model(str(path))
    model.reshape({port: inputs[port.any_name].shape for port in model.inputs})
    request = core.compile_model(model, "CPU", settings).create_infer_request()
    for port in model.inputs:
        request.set_tensor(port.any_name, openvino.Tensor(np.ascontiguousarray(inputs[port.any_name])))
    return lambda: timed(request.infer, seconds)


def lite_rt(path, threads, seconds):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path), num_threads=threads)
    interpreter.allocate_tensors()
    entry = interpreter.get_input_details()[0]
    rng = np.random.default_rng(0)
    x = rng.random(entry["shape"], np.float32) if entry["dtype"] == np.float32 else rng.integers(-128, 128, entry["shape"]).astype(entry["dtype"])
    interpreter.set_tensor(entry["index"], x)
    return lambda: timed(interpreter.invoke, seconds)


def lowbit_bench(program, path, threads, seconds):
    """One process per turn: its own clock, without the start."""
    command = [program, "bench", path, "--json", "--no-peak", "--threads", threads, "--seconds", seconds]

    def turn():
        out, _, _ = measure.run_process(command)
        return json.loads(out)["models"][0]["ms_median"]

    return turn


def engines_for(files, options, threads):
    """name -> function of one turn. What an engine cannot do is left out, with the reason on stderr."""
    import onnxruntime

    inputs = inputs_of(onnxruntime.InferenceSession(str(files.float), providers=["CPUExecutionProvider"]))
    makers = {
        "lowbit": lambda: lowbit_bench(files.lowbit, files.of_lowbit(), threads, options.turn),
        "ort": lambda: onnx_runtime(files.of_onnx_runtime(), threads, options.turn),
        "openvino": lambda: open_vino(files.float if files.name in RECURRENT else files.of_onnx_runtime(), threads, options.turn, inputs),
        "litert": lambda: lite_rt(files.tflite, threads, options.turn) if files.tflite else None,
        "nncf": lambda: open_vino(files.of_nncf(), threads, options.turn, inputs) if files.name == "bert_encoder" else None,
        "lowbit float": lambda: lowbit_bench(files.lowbit, files.float, threads, options.turn),
        "ort float": lambda: onnx_runtime(files.float, threads, options.turn),
        "openvino float": lambda: open_vino(files.float, threads, options.turn, inputs),
    }
    engines = {}
    for name, make in makers.items():
        if not options.float and "float" in name:
            continue
        try:
            turn = make()
        except (Exception, SystemExit) as error:  # an engine that cannot is a finding, not the end
            print(f"{files.name}: {name} cannot: {str(error).strip().splitlines()[-1][:300]}", file=sys.stderr)
            continue
        if turn:
            engines[name] = turn
    return engines


def measure_network(files, options, threads, rounds_wanted):
    os.sched_setaffinity(0, options.processors[-threads:])  # the last ones: the first serves interrupts
    engines = engines_for(files, options, threads)
    rounds = []
    for index in range(rounds_wanted + 1):
        result = {}
        for name, turn in list(engines.items()):
            try:
                result[name] = turn()
            except (Exception, SystemExit) as error:
                print(f"{files.name}: {name} failed: {str(error).strip().splitlines()[-1][:300]}", file=sys.stderr)
                del engines[name]
        if index > 0:
            rounds.append(result)
    return [{name: r[name] for name in engines if name in r} for r in rounds]


def row(name, threads, rounds):
    """One line of the table: milliseconds by engine, and lowbit against each peer inside the rounds."""
    names = list(rounds[0])
    middle = {n: statistics.median(r[n] for r in rounds) for n in names}
    ratio = {n: statistics.median(r[n] / r["lowbit"] for r in rounds) for n in names if n != "lowbit"}
    target = TARGETS.get(name)
    wanted = f"{target[1]:.2f}x {target[0]}" if target and threads == 1 else ""
    met = "" if not wanted or target[0] not in ratio else ("yes" if ratio[target[0]] >= target[1] else "no")
    cells = [f"{middle[n]:.3f}" + (f" ({ratio[n]:.2f}x)" if n in ratio else "") if n in middle else "-" for n in COLUMNS]
    return f"| {name} | {threads} | " + " | ".join(cells) + f" | {wanted} | {met} |"


COLUMNS = ["lowbit", "ort", "openvino", "litert", "nncf", "lowbit float", "ort float", "openvino float"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=list(TARGETS), help="which (all)")
    parser.add_argument("--assets", default=measure.ROOT.parent / "shared/assets")
    parser.add_argument("--lowbit", default=measure.ROOT / "build/release/lowbit")
    parser.add_argument("--files", default=measure.ROOT / "build/latency", help="where the quantized files are kept")
    parser.add_argument("--threads", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--turn", type=float, default=0.25, help="seconds of one engine in one round (0.25)")
    parser.add_argument("--budget", type=float, default=420, metavar="SECONDS", help="after so long, only three rounds for each network (420)")
    parser.add_argument("--float", action="store_true", help="float32 beside it")
    parser.add_argument("--json", metavar="FILE", help="all rounds")
    options = parser.parse_args()
    options.processors = sorted(os.sched_getaffinity(0))
    started = time.monotonic()
    print("ms (lowbit's speed relative to it); medians of", options.rounds, "rounds\n")
    print("| network | threads | " + " | ".join(COLUMNS) + " | wanted | reached |")
    print("|---|---:|" + "---:|" * len(COLUMNS) + "---|---|")
    kept = []
    for name in options.networks:
        try:
            os.sched_setaffinity(0, options.processors)
            files = Files(name, options.assets, pathlib.Path(options.files), options.lowbit)
        except (Exception, SystemExit) as error:
            print(f"{name} cannot be made: {str(error).strip().splitlines()[-1][:300]}", file=sys.stderr)
            continue
        for threads in options.threads:
            if threads > len(options.processors):
                continue
            late = time.monotonic() - started > options.budget
            rounds = measure_network(files, options, threads, min(options.rounds, LEAST_ROUNDS) if late else options.rounds)
            if rounds and "lowbit" in rounds[0]:
                print(row(name, threads, rounds), flush=True)
            kept.append({"network": name, "threads": threads, "rounds": rounds})
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(kept, indent=1))


if __name__ == "__main__":
    main()
