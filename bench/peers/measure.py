"""What the peer scripts share: the options of a quantizer run, the clock, the peak memory, and running a program in its own process."""

import argparse
import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent


def quantizer_parser(what):
    """Options that every quantizer script has."""
    parser = argparse.ArgumentParser(description=what)
    parser.add_argument("model", help="float ONNX model")
    parser.add_argument("-o", "--output", required=True, help="file to write")
    parser.add_argument("--data", required=True, metavar="X.npy", help="calibration samples, first axis = sample")
    parser.add_argument("--samples", type=int, default=256, help="how many of them (256)")
    parser.add_argument("--batch", type=int, default=1, help="samples per forward pass (1)")
    return parser


def pin(threads):
    """Lets this process and its children use the first `threads` of the processors it may use."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


def report(started, **more):
    """Prints one JSON document: seconds since `started`, the peak memory of this process, the threads it may use."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    threads = len(os.sched_getaffinity(0))
    print(json.dumps({"seconds": time.monotonic() - started, "peak_memory_bytes": peak, "threads": threads, **more}))


def run_process(command):
    """Runs `command` and returns (stdout, wall seconds, peak bytes). Exits with its stderr if it fails.
    The peak counts this process too, from before the exec; so callers import nothing large."""
    started = time.monotonic()
    with tempfile.TemporaryFile("w+") as err:
        process = subprocess.Popen([str(c) for c in command], stdout=subprocess.PIPE, stderr=err, text=True)
        out = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            err.seek(0)
            sys.exit(f"{' '.join(map(str, command))}\nfailed with exit code {process.returncode}:\n{err.read()[-2000:]}")
    return out, time.monotonic() - started, usage.ru_maxrss * 1024
