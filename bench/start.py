#!/usr/bin/env python3
"""Cold start, load time and memory of liblowbit_runtime: one markdown table.

Each network is quantized (from the files that bench/peers/latency.py keeps), written as a container with packed weights, and run by
start_bench.c in fresh processes: the whole process from before fork to its end, opening and planning, the first run, and the memory of the
process that is no mapped file beside the session's arena.

    build/venv/bin/python bench/start.py                # resnet8 and resnet50
"""

import argparse
import json
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "peers"))
import latency  # noqa: E402
import measure  # noqa: E402

WANTED = {"resnet8": "process <= 1.5 ms", "resnet50": "open + plan <= 5 ms"}
MIB = 1024 * 1024


def compiled(build, folder):
    """start_bench linked with the static library of the build."""
    program = folder / "start_bench"
    libraries = [build / "rooms/liblowbit_runtime.a", "-l:libpthreadpool.so.0", "-lstdc++", "-lm", "-lpthread", "-Wl,--gc-sections"]
    command = ["cc", "-std=c11", "-O2", f"-I{measure.ROOT}", HERE / "start_bench.c", "-o", program, *libraries]
    measure.run_process(command)
    return program


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=list(WANTED), help="which (resnet8, resnet50)")
    parser.add_argument("--assets", default=measure.ROOT.parent / "shared/assets")
    parser.add_argument("--build", type=pathlib.Path, default=measure.ROOT / "build/release")
    parser.add_argument("--files", type=pathlib.Path, default=measure.ROOT / "build/latency", help="where the quantized files are kept")
    parser.add_argument("--processes", type=int, default=50)
    options = parser.parse_args()
    options.files.mkdir(parents=True, exist_ok=True)
    program = compiled(options.build, options.files)
    print("| network | process | open | plan | first run | container | session | other memory of the process | wanted |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|---|")
    for name in options.networks:
        files = latency.Files(name, options.assets, options.files, options.build / "lowbit")
        container = files.folder / "prepacked.lbq"
        measure.run_process([files.lowbit, "convert", files.of_lowbit(), "-o", container, "--prepack", "--quiet"])
        out = subprocess.run([program, container, str(options.processes)], check=True, capture_output=True, text=True).stdout
        f = json.loads(out)
        other = f["anonymous_bytes_after"] - f["anonymous_bytes_before"] - f["session_bytes"]
        times = " | ".join(f"{f[key]:.2f} ms" for key in ("process_ms", "open_ms", "plan_ms", "first_run_ms"))
        sizes = " | ".join(f"{size / MIB:.2f} MiB" for size in (container.stat().st_size, f["session_bytes"], other))
        print(f"| {name} | {times} | {sizes} | {WANTED.get(name, '')} |", flush=True)


if __name__ == "__main__":
    main()
