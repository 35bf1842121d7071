#!/usr/bin/env python3
"""The library for devices from outside: its size, what it needs and exports, and the examples that link it.
usage: library_test.py LIBRARY LOWBIT EMBEDDED STREAMING SOURCE_FOLDER BUILD_FOLDER"""

import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

LIBRARY, LOWBIT, EMBEDDED, STREAMING, SOURCE, BUILD = (pathlib.Path(p) for p in sys.argv[1:7])
ASSETS = SOURCE.parent / "shared/assets"
MOST_BYTES = 1_000_000
MAY_NEED = r"(libpthreadpool|libstdc\+\+|libm|libgcc_s|libc|ld-linux.*|libcpuinfo|libasan|libubsan)\.so.*"


def run(*command):
    return subprocess.run([str(c) for c in command], capture_output=True, text=True)


class Library(unittest.TestCase):
    def test_is_small(self):
        with tempfile.TemporaryDirectory() as folder:
            stripped = pathlib.Path(folder) / "lib.so"
            self.assertEqual(run("strip", "-o", stripped, LIBRARY).returncode, 0)
            if "libasan" in run("readelf", "-d", LIBRARY).stdout:
                self.skipTest("sanitizers make it larger")
            self.assertLess(stripped.stat().st_size, MOST_BYTES)

    def test_needs_only_system_libraries(self):
        needed = re.findall(r"NEEDED.*\[(.*)\]", run("readelf", "-d", LIBRARY).stdout)
        self.assertTrue(needed)
        for name in needed:
            self.assertRegex(name, MAY_NEED)

    def test_exports_only_the_c_interface(self):
        names = [line.split()[-1].split("@")[0] for line in run("nm", "-D", "--defined-only", LIBRARY).stdout.splitlines()]
        self.assertIn("lowbit_session_run", names)
        for name in names:
            self.assertTrue(name.startswith("lowbit_"), name)

    def test_installs_alone_and_links_from_outside(self):
        if "libasan" in run("readelf", "-d", LIBRARY).stdout:
            self.skipTest("a program without sanitizers cannot load it")
        with tempfile.TemporaryDirectory() as folder:
            prefix, build = pathlib.Path(folder) / "prefix", pathlib.Path(folder) / "build"
            self.done("cmake", "--install", BUILD, "--component", "runtime", "--prefix", prefix)
            headers = sorted(p.name for p in prefix.rglob("*.h*"))
            self.assertEqual(headers, ["lowbit_runtime.h", "lowbit_runtime.hpp"])
            config = next(prefix.rglob("lowbit_runtime.pc")).parent
            flags = self.done("env", f"PKG_CONFIG_PATH={config}", "pkg-config", "--cflags", "--libs", "lowbit_runtime").split()
            program, library = pathlib.Path(folder) / "embedded", next(prefix.rglob("liblowbit_runtime.so")).parent
            self.done("cc", "-std=c11", "-Wall", "-Wextra", "-Werror", SOURCE / "examples/embedded/main.c", *flags, f"-Wl,-rpath,{library}", "-o", program)
            self.assertEqual(run(program).returncode, 2)
            self.done("cmake", "-S", SOURCE / "examples/streaming", "-B", build, "-G", "Ninja", f"-DCMAKE_PREFIX_PATH={prefix}")
            self.done("cmake", "--build", build)
            self.assertEqual(run(build / "streaming").returncode, 2)

    def done(self, *command):
        result = run(*command)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        return result.stdout


class Examples(unittest.TestCase):
    def quantized(self, folder, model, data):
        out = pathlib.Path(folder) / "model.lbq"
        result = run(LOWBIT, "quantize", model, "--data", data, "-o", out, "--quiet")
        self.assertEqual(result.returncode, 0, result.stderr)
        return out

    def test_embedded_runs_a_container(self):
        digits = SOURCE / "examples/digits"
        with tempfile.TemporaryDirectory() as folder:
            result = run(EMBEDDED, self.quantized(folder, digits / "digits.onnx", digits / "calib_x.npy"))
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertRegex(result.stdout, r"(?m)^\S+:( -?[0-9.e+-]+)+$")

    def test_prepacked_containers_give_the_same_and_are_checked(self):
        digits = SOURCE / "examples/digits"
        with tempfile.TemporaryDirectory() as folder:
            plain, packed = self.quantized(folder, digits / "digits.onnx", digits / "calib_x.npy"), pathlib.Path(folder) / "packed.lbq"
            self.assertEqual(run(LOWBIT, "convert", plain, "-o", packed, "--prepack", "--quiet").returncode, 0)
            self.assertIn("plan/", run(LOWBIT, "inspect", packed).stdout)
            self.assertEqual(run(EMBEDDED, packed).stdout, run(EMBEDDED, plain).stdout)
            damaged = bytearray(packed.read_bytes())
            damaged[-70] ^= 4
            packed.write_bytes(damaged)
            self.assertEqual(run(EMBEDDED, packed).returncode, 1)

    def test_prepacking_needs_a_container(self):
        with tempfile.TemporaryDirectory() as folder:
            out = pathlib.Path(folder) / "out.onnx"
            result = run(LOWBIT, "convert", SOURCE / "examples/digits/digits.onnx", "-o", out, "--prepack")
            self.assertEqual((result.returncode, out.exists()), (2, False))

    def test_embedded_refuses_other_files(self):
        result = run(EMBEDDED, SOURCE / "examples/digits/digits.onnx")
        self.assertEqual(result.returncode, 1)
        self.assertEqual(len(result.stderr.splitlines()), 1)

    def test_streaming_answers_every_hop(self):
        model, data = ASSETS / "models/dscnn/dscnn_fp32.onnx", ASSETS / "data/kws01/x_float.npy"
        if not model.exists():
            self.skipTest("no assets")
        audio = ASSETS / "data/audio/sww_short_easy10s.wav"
        with tempfile.TemporaryDirectory() as folder:
            container = self.quantized(folder, model, data)
            for arguments in ([], [audio] if audio.exists() else []):
                result = run(STREAMING, container, *arguments, "--labels", ASSETS / "data/kws01/labels.txt")
                self.assertEqual(result.returncode, 0, result.stderr)
                self.assertRegex(result.stdout, r"\d+ answers; .* median \d+")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
