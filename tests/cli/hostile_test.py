"""Hostile files through `inspect` and `quantize`: a limit on time and memory, and afterwards the contract of the command line.

    python3 hostile_test.py LOWBIT [--count N] [--seed S] [--only NAME]

N mutated files (24) on top of the handmade ones. Prints each breach with the case that shows it, and exits 1 if there is one.
"""

import argparse
import pathlib
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time

from hostile_cases import SAMPLES, all_cases, described, npy_bytes

SECONDS, BYTES = 20, 4 << 30  # of processor time, which other work on the machine does not stretch
PATIENCE = 15  # times as long on the clock


def limited_time():
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def limited():
    resource.setrlimit(resource.RLIMIT_AS, (BYTES, BYTES))
    limited_time()


def run(arguments, memory_limit):
    """(exit code or None after the time, stdout, stderr)."""
    start = limited if memory_limit else limited_time
    process = subprocess.Popen([str(a) for a in arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, preexec_fn=start)
    try:
        out, err = process.communicate(timeout=SECONDS * PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return None, b"", b""
    return process.returncode, out, err


def breaches_of_run(code, out, err, file):
    """What is wrong with how a command ended."""
    if code is None:
        return [f"not done after {SECONDS * PATIENCE} s"]
    if code in (-signal.SIGXCPU, -signal.SIGKILL):
        return [f"not done after {SECONDS} s of processor time"]
    if code < 0:
        return [f"killed by {signal.Signals(-code).name}: {err[-300:]!r}"]
    found = []
    if code > 4:
        found.append(f"exit code {code}: {err[-300:]!r}")
    if re.search(rb"[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]|\xe2\x80[\xaa-\xae]", out):
        found.append("control characters on stdout")
    if code in (2, 3, 4):
        if not re.fullmatch(rb"lowbit: error: [^\n]{1,486}\n", err):
            found.append(f"the error is not one line of at most 500 characters: {err[:700]!r}")
        if re.search(rb"[\x00-\x08\x0b-\x1f\x7f]", err[:-1]):
            found.append(f"control characters in the error: {err!r}")
        if file.name.encode() not in err:
            found.append(f"the error does not name {file.name}: {err!r}")
    return found


def files_below(folder):
    return {path for path in folder.rglob("*") if not path.is_dir()}


def check_case(lowbit, expectation, write, folder, memory_limit):
    """List of breaches of one case."""
    model, data = write(folder)
    blamed = data or model
    if data is None:
        data = folder / "samples.npy"
        shape = "(2, 2, 8, 8)" if b"conv" in model.read_bytes() else "(40, 4)"
        data.write_bytes(npy_bytes(described(shape), SAMPLES if shape == "(40, 4)" else SAMPLES + SAMPLES[:384]))
    (folder / "out").mkdir()
    target = folder / "out" / "o.onnx"
    before = files_below(folder)
    inspected = run([lowbit, "inspect", model, "--threads", "1"], memory_limit)
    quantized = run([lowbit, "quantize", model, "-o", target, "--data", data, "--threads", "1"], memory_limit)
    found = [f"inspect: {b}" for b in breaches_of_run(*inspected, model)]
    # A mutated model may not take the samples; then the samples are what the error names.
    blamed = data if quantized[2] and data.name.encode() in quantized[2] else blamed
    found += [f"quantize: {b}" for b in breaches_of_run(*quantized, blamed)]
    left = files_below(folder) - before
    if quantized[0] == 0:
        again = run([lowbit, "inspect", target, "--threads", "1"], memory_limit)
        if again[0] != 0:
            found.append(f"quantize: the file written is not readable: {again[2]!r}")
        left -= {target}
    if left:
        found.append(f"left behind: {', '.join(sorted(str(path.relative_to(folder)) for path in left))}")
    if expectation == "refuse" and inspected[0] == 0 and quantized[0] == 0:
        found.append("accepted, but is broken")
    if expectation == "accept" and (inspected[0] or quantized[0]):
        found.append(f"refused, but is sound: {(inspected[2] + quantized[2])!r}")
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lowbit", type=pathlib.Path)
    parser.add_argument("--count", type=int, default=24)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", help="part of a case's name")
    parser.add_argument("--no-memory-limit", action="store_true", help="for sanitizers, which reserve address space")
    options = parser.parse_args()
    lowbit, broken, cases = options.lowbit.resolve(), 0, 0
    for name, expectation, write in all_cases(options.count, options.seed):
        if options.only and options.only not in name:
            continue
        cases += 1
        with tempfile.TemporaryDirectory() as folder:
            begin = time.monotonic()
            found = check_case(lowbit, expectation, write, pathlib.Path(folder), not options.no_memory_limit)
            seconds = time.monotonic() - begin
        for breach in found:
            print(f"{name}: {breach}", flush=True)
        if seconds > 5:
            print(f"{name}: took {seconds:.1f} s", flush=True)
        broken += bool(found)
    print(f"{cases} cases, {broken} with breaches")
    return 1 if broken or cases == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
