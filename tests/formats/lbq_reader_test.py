#!/usr/bin/env python3
"""The second reader of the container against the program, and what is left of a write that is killed.

python3 lbq_reader_test.py LOWBIT SOURCE_DIR
"""

import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import time
import unittest

LOWBIT, SOURCE = sys.argv[1], pathlib.Path(sys.argv[2])
sys.path += [str(SOURCE / "tests/cli"), str(SOURCE / "tests/formats")]
import lbq_reader  # noqa: E402
import onnx_writer as onnx  # noqa: E402


def lowbit(*arguments):
    done = subprocess.run([LOWBIT, *map(str, arguments)], capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        raise AssertionError(done.stderr)
    return done.stdout


def two_layers(inner, seed=3):
    numbers = random.Random(seed)
    weights = [[numbers.gauss(0, 1) for _ in range(n)] for n in (8 * inner, inner * 5)]
    return onnx.model(
        [onnx.node("MatMul", ["x", "w"], ["h"], "first"), onnx.node("MatMul", ["h", "v"], ["y"], "second")],
        [onnx.tensor("w", [8, inner], weights[0]), onnx.tensor("v", [inner, 5], weights[1])],
        [onnx.value_info("x", ["N", 8])],
        [onnx.value_info("y", ["N", 5])],
    )


class ReaderTest(unittest.TestCase):
    def setUp(self):
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.folder = pathlib.Path(holder.name)
        self.model = self.folder / "net.onnx"
        self.model.write_bytes(two_layers(120))

    def read(self, path):
        return lbq_reader.read_container(path.read_bytes())


class SecondReader(ReaderTest):
    def test_hash_is_xxhash64(self):
        # Of the specification: the empty input and seed 0.
        self.assertEqual(lbq_reader.xxh64(b""), 0xEF46DB3751D8E999)

    def test_reads_what_the_program_writes(self):
        coded = set()
        for weights, granularity in (("int8", "channel"), ("int4", "channel"), ("int4", "group:32"), ("int3", "group:7"),
                                     ("uint5", "tensor"), ("int12", "channel"), ("int6", "block:3x16")):  # fmt: skip
            with self.subTest(weights=weights, granularity=granularity):
                low, flat = self.folder / "low.lbq", self.folder / "float.lbq"
                lowbit("quantize", self.model, "-o", low, "--weights", weights, "--granularity", granularity)
                lowbit("dequantize", low, "-o", flat)
                ours, theirs = self.read(low), self.read(flat)
                values = {v["name"]: v["decoded"] for v in theirs["graph"]["values"] if "decoded" in v}
                checked = 0
                for value in ours["graph"]["values"]:
                    if "decoded" in value:
                        self.assertEqual(value["decoded"], values[value["name"]], value["name"])
                        checked += value["format"] is not None
                self.assertEqual(checked, 2)
                coded |= {t["coding"] for t in ours["tensors"]}
        self.assertEqual(coded & {"packed", "entropy"}, {"packed", "entropy"})

    def test_agrees_with_inspect(self):
        low = self.folder / "low.lbq"
        for weights in ("ternary", "fp8-e4m3", "log4", "mxfp4"):
            with self.subTest(weights):
                lowbit("quantize", self.model, "-o", low, "--weights", weights)
                shown, read = json.loads(lowbit("inspect", low, "--json")), self.read(low)
                container = shown["container"]
                self.assertEqual([[s["kind"], s["name"]] for s in container["sections"]], read["sections"])
                self.assertEqual([t["coding"] for t in container["tensors"]], [t["coding"] for t in read["tensors"]])
                self.assertEqual([t["bytes"] for t in container["tensors"]], [t["bytes"] for t in read["tensors"]])
                self.assertEqual(shown["recipe"], read["recipe"])
                self.assertEqual(shown["provenance"], read["provenance"])
                self.assertEqual(shown["operators"], {"Gemm": 2})
                self.assertEqual([n["op"] for n in read["graph"]["nodes"]], ["Gemm", "Gemm"])

    def test_refuses_damage(self):
        low = self.folder / "low.lbq"
        lowbit("quantize", self.model, "-o", low, "--weights", "int4")
        whole = low.read_bytes()
        numbers = random.Random(1)
        for _ in range(60):
            damaged = bytearray(whole)
            damaged[numbers.randrange(len(whole))] ^= 1 << numbers.randrange(8)
            with self.assertRaises((lbq_reader.Damaged, UnicodeDecodeError)):
                lbq_reader.read_container(bytes(damaged))


class Killed(ReaderTest):
    def test_a_killed_write_leaves_the_old_file_or_the_new_one(self):
        big, out = self.folder / "big.onnx", self.folder / "out.lbq"
        big.write_bytes(two_layers(60000))
        lowbit("convert", self.model, "-o", out)
        old = out.read_bytes()
        start = time.monotonic()
        lowbit("convert", big, "-o", self.folder / "whole.lbq")
        seconds = time.monotonic() - start
        new = (self.folder / "whole.lbq").read_bytes()
        for i in range(8):
            with subprocess.Popen([LOWBIT, "convert", big, "-o", out, "--quiet"]) as writer:
                time.sleep(seconds * (i + 0.5) / 8)
                os.kill(writer.pid, signal.SIGKILL)
            self.assertIn(out.read_bytes(), (old, new))

    def test_the_input_may_be_the_output(self):
        path = self.folder / "net.lbq"
        lowbit("quantize", self.model, "-o", path, "--weights", "int4")
        before = path.read_bytes()
        lowbit("convert", path, "-o", path)
        self.assertEqual(path.read_bytes(), before)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
