#!/usr/bin/env python3
"""The library for devices from outside: its size, what it needs and exports, and the examples that link it.
usage: library_test.py LIBRARY LOWBIT EMBEDDED STREAMING SOURCE_FOLDER"""

import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

LIBRARY, LOWBIT, EMBEDDED, STREAMING, SOURCE = (pathlib.Path(p) for p in sys.argv[1:6])
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
            # The C++ library's own templates and type information stay weak symbols, whatever the visibility.
            self.assertTrue(name.startswith(("lowbit_", "_ZNSt", "_ZSt", "_ZTI", "_ZTS", "_ZNKSt", "_ZTV", "_ZGV", "_init", "_fini")), name)


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
