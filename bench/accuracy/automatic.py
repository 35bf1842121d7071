"""What the automatic mode reaches on the trained networks of the shared assets: the tables of docs/automatic.md.

Cases (all by default, or --cases NAME,NAME):
  int8      --candidates int8 --max-drop 0.5: default recipe at 8 bits, on resnet8, dscnn, har
  drop      --max-drop 1: mixed precision, on resnet8, dscnn, har
  tenth     --max-size 10% of the float file, beside every uniform width that fits, on resnet8
  spread    channel ranges multiplied by powers of two up to 2^8 (spread_channels.py): int8 per tensor, and the automatic mode
  repeat    `tenth` a second time and interrupted: the same file

    build/venv/bin/python bench/accuracy/automatic.py [--cases tenth] [--lowbit build/release/lowbit] [--threads 2]

Every figure is of the final samples, which the search has not seen; `drop` is float minus low-bit in points with its 95 % interval.
"""

import argparse
import json
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]


def data_of(name, assets):
    data = assets / "data"
    return {
        "resnet8": ["--data", data / "cifar10/train.tar", "--eval-data", data / "cifar10/test.tar"],
        "dscnn": ["--data", data / "kws01/x_float.npy", "--slice", "0::2", "--eval-data", data / "kws01/x_float.npy", "--eval-slice", "1::2",
                  "--labels", data / "kws01/y.npy"],
        "har": ["--data", data / "har/calib_x.npy", "--eval-data", data / "har/x.npy", "--labels", data / "har/y.npy"],
    }[name]


class Bench:
    def __init__(self, options, folder):
        self.options, self.folder = options, folder

    def model(self, name):
        return self.options.assets / "models" / name / f"{name}_fp32.onnx"

    def run(self, model, name, *flags, out="out.lbq"):
        command = [self.options.lowbit, "quantize", model, "-o", self.folder / out, *data_of(name, self.options.assets), *flags,
                   "--threads", self.options.threads, "--json", "--quiet"]
        begin = time.perf_counter()
        result = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
        if result.returncode not in (0, 1):
            sys.exit(result.stderr)
        return json.loads(result.stdout), time.perf_counter() - begin

    def row(self, label, found, seconds):
        metrics = [m["metrics"] for m in found["models"]]
        accuracy = [100 * m["accuracy"] for m in metrics]
        final = found.get("final")
        interval = f"{final['drop']:.2f} ({final['ci95'][0]:.2f} .. {final['ci95'][1]:.2f})" if final else f"{accuracy[0] - accuracy[1]:.2f}"
        print(f"| {label} | {found['output_bytes']:,} | {accuracy[0]:.2f} | {accuracy[1]:.2f} | {interval} | {100 * metrics[1]['agreement']:.2f} | "
              f"{found.get('verdict', '')} | {found.get('evaluations', '')} of {found.get('layer_candidate_pairs', '')} | {seconds:.0f} |", flush=True)

    def head(self, title):
        print(f"\n### {title}\n\n| setting | bytes | float % | low-bit % | drop | agree % | target | evaluations of pairs | s |\n"
              "|---|---:|---:|---:|---|---:|---|---:|---:|", flush=True)

    def int8(self):
        self.head("int8, default recipe found automatically (--candidates int8 --max-drop 0.5)")
        for name in ("resnet8", "dscnn", "har"):
            self.row(name, *self.run(self.model(name), name, "--candidates", "int8", "--max-drop", "0.5"))

    def drop(self):
        self.head("--max-drop 1")
        for name in ("resnet8", "dscnn", "har"):
            self.row(name, *self.run(self.model(name), name, "--max-drop", "1"))

    def tenth(self):
        self.head("ResNet-8 in a tenth of its file (--max-size 10%), and uniform widths")
        flags = ["--max-size", "10%"]
        found, seconds = self.run(self.model("resnet8"), "resnet8", *flags)
        self.row("automatic", found, seconds)
        print(f"\nchosen: {', '.join(layer['chosen'] for layer in found['sensitivity']['layers'])}\n")
        for width in ("int4", "int3", "int2"):
            self.row(f"uniform {width}", *self.run(self.model("resnet8"), "resnet8", "--candidates", width, "--max-size", "100%"))

    def spread(self):
        self.head("channels multiplied by 1 to 256 between layers")
        for name in ("resnet8", "dscnn"):
            model = self.folder / f"{name}_spread.onnx"
            subprocess.run([sys.executable, ROOT / "bench/accuracy/spread_channels.py", self.model(name), "-o", model], check=True,
                           stdout=subprocess.DEVNULL)
            preprocess = self.model(name).with_suffix(".preprocess")
            if preprocess.exists():
                model.with_suffix(".preprocess").write_bytes(preprocess.read_bytes())
            tensor = ["--granularity", "tensor"]
            common = ["--candidates", "int8", "--max-size", "100%", "--budget", "1evals"]
            self.row(f"{name}: int8 per tensor, plain rounding", *self.run(model, name, *tensor, "--method", "none", *common))
            self.row(f"{name}: int8 per channel, plain rounding", *self.run(model, name, "--method", "none", *common))
            found, seconds = self.run(model, name, *tensor, "--candidates", "int8", "--max-drop", "0.3")
            self.row(f"{name}: automatic, per tensor", found, seconds)
            print()
            for cause in found["causes"][:2] + found["notes"][-2:]:
                print(f"    {cause}")
            print()

    def repeat(self):
        flags = ["--max-size", "10%"]
        first, _ = self.run(self.model("har"), "har", *flags, out="first.lbq")
        second, _ = self.run(self.model("har"), "har", *flags, out="second.lbq")
        journal = self.folder / "journal"
        command = [self.options.lowbit, "quantize", self.model("har"), "-o", self.folder / "third.lbq", *data_of("har", self.options.assets), *flags,
                   "--journal", journal, "--quiet", "--threads", self.options.threads]
        kills = 0
        while True:
            process = subprocess.Popen([str(c) for c in command], stderr=subprocess.DEVNULL)
            try:
                process.wait(2 + 1.5 * kills)
                break
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.wait()
                kills += 1
        files = [(self.folder / f"{n}.lbq").read_bytes() for n in ("first", "second", "third")]
        same = first["candidates"] == second["candidates"] and files[0] == files[1] == files[2]
        print(f"\nhar twice, and killed {kills} times and continued: {'the same file' if same else 'DIFFERENT FILES'}")
        return same


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", default="int8,drop,tenth,spread,repeat")
    parser.add_argument("--lowbit", default=ROOT / "build/release/lowbit")
    parser.add_argument("--assets", type=pathlib.Path, default=ROOT / "../shared/assets")
    parser.add_argument("--threads", default="2")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(options, pathlib.Path(folder))
        results = [getattr(bench, case)() for case in options.cases.split(",")]
    return 0 if all(r is not False for r in results) else 1


if __name__ == "__main__":
    sys.exit(main())
