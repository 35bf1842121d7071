"""Float models in `lowbit run` and in ONNX Runtime, on the same random inputs: the largest difference of every output.

Without arguments: every ONNX file of the shared assets. Free dimensions become 2, unless the network needs others. The recurrent networks of speech
get frames of a real recording; each engine feeds its own state back, over --frames frames, and the largest difference of any frame counts.
Exits 1 if an output differs by more than the tolerance, absolute plus relative to the output's largest value.

    build/venv/bin/python bench/peers/float_parity.py [model.onnx ...]
"""

import argparse
import pathlib
import subprocess
import sys
import tempfile
import wave

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


def recording(assets):
    """Samples of 60 s of speech, 16 kHz, in [-1, 1)."""
    with wave.open(str(assets / "data/audio/silero_test.wav")) as file:
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32) / 32768


def silero_frames(x, count):
    """64 samples of context and 512 new ones."""
    return [x[max(0, i * 512 - 64) : i * 512 + 512][None] for i in range(1, count + 1)]


def dtln_frames(x, count):
    """512 samples, a quarter of it new each time."""
    return [x[i * 128 : i * 128 + 512] for i in range(count)]


def dtln_magnitudes(x, count):
    return [np.abs(np.fft.rfft(frame)).astype(np.float32)[None, None] for frame in dtln_frames(x, count)]


# File -> (input with the frames, frames of a recording, state in -> state out, further inputs).
RECURRENT = {
    "silero_vad_16k_op15.onnx": ("input", silero_frames, {"state": "stateN"}, {"sr": np.array(16000, np.int64)}),
    "silero_vad_16k_fixed576.onnx": ("input", silero_frames, {"state": "stateN"}, {}),
    "dtln_model_1.onnx": ("input_2", dtln_magnitudes, {"input_3": None}, {}),
    "dtln_model_2.onnx": ("input_4", lambda x, n: [frame[None, None] for frame in dtln_frames(x, n)], {"input_5": None}, {}),
}


def follow(run, session, frames, frame_input, states, fixed):
    """Outputs of every frame, the state of one being that of the next. A state out of None is the last output."""
    outputs = [output.name for output in session.get_outputs()]
    shapes = {entry.name: [d if isinstance(d, int) and d > 0 else 1 for d in entry.shape] for entry in session.get_inputs()}
    current, results = {name: np.zeros(shapes[name], np.float32) for name in states}, []
    for frame in frames:
        results.append(run({frame_input: frame, **current, **fixed}))
        current = {name: results[-1][outputs.index(out) if out else -1] for name, out in states.items()}
    return outputs, results


def compare_recurrent(options, path, session):
    """Largest difference of each output over all frames, and whether all are within the tolerance."""
    frame_input, cut, states, fixed = RECURRENT[path.name]
    given = {entry.name for entry in session.get_inputs()}
    fixed = {name: value for name, value in fixed.items() if name in given}
    frames = cut(recording(options.assets)[options.skip :], options.frames)
    names, expected = follow(lambda inputs: session.run(None, inputs), session, frames, frame_input, states, fixed)
    run = lambda inputs: run_lowbit(options.lowbit, path, inputs, names, options.threads)
    _, found = follow(run, session, frames, frame_input, states, fixed)
    worst, good = {}, True
    for a_frame, b_frame in zip(expected, found):
        for name, a, b in zip(names, a_frame, b_frame):
            difference = float(np.abs(a.astype(np.float64) - b).max())
            worst[name] = max(worst.get(name, 0.0), difference)
            good &= a.shape == b.shape and difference <= options.tolerance * (1 + float(np.abs(a).max()))
    text = ", ".join(f"{name} {difference:.2g}" for name, difference in worst.items())
    return f"| {path.name} | {text} ({len(frames)} frames) | {'yes' if good else 'NO'} |", good


def run_lowbit(program, path, inputs, outputs, threads):
    """Outputs of `lowbit run`, in the order of the names."""
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        command = [program, "run", path, "--threads", threads, "--quiet"]
        for number, (name, value) in enumerate(inputs.items()):
            np.save(folder / f"{number}.npy", value)
            command += ["--input", f"{name}={folder / f'{number}.npy'}"]
        targets = [folder / f"y{number}.npy" for number in range(len(outputs))]
        for name, target in zip(outputs, targets):
            command += ["--output", f"{name}={target}"]
        done = subprocess.run([str(c) for c in command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        if done.returncode:
            raise RuntimeError(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"exit code {done.returncode}")
        return [np.load(target) for target in targets]


def compare(options, path):
    """(one line of the table, whether it is within the tolerance)."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    if path.name in RECURRENT and options.frames > 0:
        return compare_recurrent(options, path, session)
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
    parser.add_argument("--frames", type=int, default=50, help="frames of the recurrent networks; 0: one random input instead")
    parser.add_argument("--skip", type=int, default=16000, help="samples of the recording before the first frame (16000)")
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
