"""The command line as a user meets it: help, errors, exit codes, JSON, and what is left on disk.

python3 cli_test.py LOWBIT SOURCE_DIR
"""

import json
import math
import os
import pathlib
import random
import re
import subprocess
import sys
import tempfile
import unittest

import onnx_writer as onnx

LOWBIT = ""
DIGITS = pathlib.Path()

COMMANDS = ["inspect", "quantize", "dequantize", "convert", "eval", "compare", "run", "verify", "list", "bench"]


def lowbit(*arguments, stdout=subprocess.PIPE, environment=None):
    return subprocess.run([LOWBIT, *map(str, arguments)], stdout=stdout, stderr=subprocess.PIPE, text=True, timeout=300,
                          env={**os.environ, **(environment or {})}, check=False)


class CliTest(unittest.TestCase):
    """A folder of its own for every test."""

    def setUp(self):
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.folder = pathlib.Path(holder.name)
        numbers = random.Random(1)
        self.model = self.write("fc.onnx", onnx.linear_model([numbers.uniform(-1, 1) for _ in range(12)]))
        self.data = self.write("x.npy", onnx.npy([40, 4], [numbers.uniform(-2, 2) for _ in range(160)]))

    def write(self, name, contents):
        path = self.folder / name
        path.write_bytes(contents)
        return path

    def fails(self, code, *arguments, says=(), **options):
        """Checks the exit code and that stderr is one clean line; returns that line."""
        result = lowbit(*arguments, **options)
        self.assertEqual(result.returncode, code, result.stderr)
        line = result.stderr
        self.assertRegex(line, r"\Alowbit: error: [^\n]+\n\Z")
        self.assertLessEqual(len(line.encode()), 501)
        self.assertNotRegex(line[:-1], r"[\x00-\x1f\x7f]")
        self.assertTrue(line.endswith(")\n"), line)
        for text in says:
            self.assertIn(text, line)
        return line

    def json(self, *arguments, code=0):
        result = lowbit(*arguments, "--json")
        self.assertEqual(result.returncode, code, result.stderr)
        return json.loads(result.stdout)


class Usage(CliTest):
    def test_every_command_has_help_with_an_example(self):
        for command in COMMANDS:
            with self.subTest(command):
                result = lowbit(command, "--help")
                self.assertEqual(result.returncode, 0, result.stderr)
                self.assertRegex(result.stdout, rf"Example:\n  lowbit {command} ")
                for option in ("--threads", "--json", "--quiet"):
                    self.assertIn(option, result.stdout)

    def test_overview_names_every_command(self):
        result = lowbit("--help")
        self.assertEqual(result.returncode, 0)
        for command in COMMANDS:
            self.assertIn(f"  {command} ", result.stdout)

    def test_version(self):
        self.assertRegex(lowbit("--version").stdout, r"\Alowbit \d+\.\d+\.\d+\ninstruction set: .+\n\Z")

    def test_an_unknown_command_suggests_the_nearest(self):
        self.fails(2, "quantise", says=["quantize"])
        self.fails(2)

    def test_an_unknown_option_suggests_the_nearest(self):
        for command in COMMANDS:
            with self.subTest(command):
                self.fails(2, command, "--therads", "2", says=["--threads"])
        self.fails(2, "quantize", self.model, "--wieghts", "int8", says=["--weights"])

    def test_dash_and_underscore_are_alike(self):
        result = lowbit("quantize", self.model, "--dry_run", "--require_coverage=0")
        self.assertEqual(result.returncode, 0, result.stderr)

    def test_values_are_checked(self):
        self.fails(2, "inspect", self.model, "--threads", "many")
        self.fails(2, "inspect", self.model, "--threads", "-1")
        self.fails(2, "inspect")
        self.fails(2, "list", "kernel", says=["kernels"])
        self.fails(2, "quantize", self.model, "--range", "minmix", says=["minmax"])
        self.fails(2, "quantize", self.model, "--granularity", "chanel")
        self.fails(2, "quantize", self.model, "--symmetry", "symetric", says=["symmetric"])

    def test_lists_are_json_documents(self):
        for topic in ("ops", "methods", "numbers", "formats", "kernels"):
            with self.subTest(topic):
                self.assertIsInstance(self.json("list", topic)[topic], list)
                self.assertEqual(lowbit("list", topic).returncode, 0)


class Output(CliTest):
    def test_a_full_disk_on_stdout_is_an_error(self):
        with open("/dev/full", "w", encoding="utf-8") as full:
            self.fails(4, "list", "ops", stdout=full, says=["stdout"])

    def test_a_closed_pipe_ends_quietly(self):
        reader, writer = os.pipe()
        os.close(reader)
        result = lowbit("list", "ops", stdout=writer)
        os.close(writer)
        self.assertEqual(result.returncode, 4)
        self.assertEqual(result.stderr, "")

    def test_no_colour_and_no_progress_without_a_terminal(self):
        result = lowbit("quantize", self.model, "-o", self.folder / "o.onnx", "--data", self.data)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertNotIn("\x1b", result.stdout + result.stderr)
        self.assertNotIn("\r", result.stderr)

    def test_hostile_names_do_not_reach_the_terminal(self):
        evil = self.write("evil.onnx", onnx.linear_model([0.5] * 12, node_name="\x1b]0;pwned\x07"))
        for arguments in (["inspect", evil, "--graph", "--weights"], ["inspect", evil, "--json", "--graph"],
                          ["quantize", evil, "--dry-run"], ["quantize", evil, "--dry-run", "--json"]):
            result = lowbit(*arguments)
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertNotRegex(result.stdout + result.stderr, r"[\x00-\x09\x0b-\x1f\x7f]")


class BadInput(CliTest):
    def commands_on(self, model):
        out = self.folder / "out.onnx"
        return [["inspect", model], ["quantize", model, "-o", out], ["dequantize", model, "-o", out],
                ["convert", model, "-o", out], ["eval", model, "--data", self.data],
                ["compare", model, model, "--data", self.data], ["run", model, "--input", self.data],
                ["verify", model, "--engine", "ort"], ["bench", model]]

    def test_missing_files(self):
        for arguments in self.commands_on(self.folder / "missing.onnx"):
            with self.subTest(arguments[0]):
                self.fails(3, *arguments, says=["missing.onnx"])

    def test_truncated_empty_and_foreign_files(self):
        whole = self.model.read_bytes()
        for name, contents in (("cut.onnx", whole[:len(whole) // 2]), ("empty.onnx", b""), ("text.onnx", b"hello\n" * 50)):
            for arguments in self.commands_on(self.write(name, contents)):
                with self.subTest(name + " " + arguments[0]):
                    self.fails(3, *arguments, says=[name])
                    self.assertFalse((self.folder / "out.onnx").exists())

    def test_weights_that_are_not_finite_are_refused(self):
        broken = self.write("nan.onnx", onnx.linear_model([math.nan] + [0.5] * 95, outputs=24))
        self.fails(3, "quantize", broken, "-o", self.folder / "out.onnx", says=["nan.onnx", "w"])
        self.assertFalse((self.folder / "out.onnx").exists())
        self.assertEqual(lowbit("inspect", broken, "--allow-nonfinite").returncode, 0)

    def test_unknown_operators_are_inspected_and_named(self):
        odd = self.write("odd.onnx", onnx.model([onnx.node("Frobnicate", ["x"], ["y"], "f", domain="my.ops")], [],
                                                [onnx.value_info("x", [1, 4])], [onnx.value_info("y", [1, 4])],
                                                domains=["my.ops"]))
        self.assertEqual(self.json("inspect", odd)["unknown_operators"], {"my.ops.Frobnicate": 1})
        self.assertIn("my.ops.Frobnicate", lowbit("inspect", odd).stdout)
        self.fails(3, "run", odd, "--input", self.data, says=["Frobnicate"])

    def test_data_that_do_not_fit(self):
        wrong = self.write("wrong.npy", onnx.npy([5, 7], [0.0] * 35))
        self.fails(2, "eval", self.model, "--data", wrong, says=["4"])
        self.fails(2, "quantize", self.model, "-o", self.folder / "out.onnx", "--data", wrong)
        self.assertFalse((self.folder / "out.onnx").exists())

    def test_empty_data(self):
        empty = self.write("none.npy", onnx.npy([0, 4], []))
        self.fails(3, "eval", self.model, "--data", empty, says=["none.npy"])
        self.fails(2, "eval", self.model, "--data", self.data, "--slice", "abc")

    def test_labels_that_do_not_belong(self):
        few = self.write("few.npy", onnx.npy([3], [0, 1, 2], "<i8"))
        self.fails(3, "eval", self.model, "--data", self.data, "--labels", few, says=["few.npy"])
        high = self.write("high.npy", onnx.npy([40], [7] * 40, "<i8"))
        self.fails(3, "eval", self.model, "--data", self.data, "--labels", high)

    def test_a_broken_recipe(self):
        recipe = self.write("r.toml", b'wieghts = "int8"\n')
        self.fails(2, "quantize", self.model, "--recipe", recipe, says=["r.toml:1", "weights"])
        self.fails(2, "quantize", self.model, "--recipe", "int9", says=["int8"])


class Files(CliTest):
    def test_an_output_folder_that_is_missing(self):
        for command in ("quantize", "convert"):
            self.fails(4, command, self.model, "-o", self.folder / "no" / "out.onnx", says=["no/out.onnx"])

    def test_an_output_that_is_a_folder(self):
        (self.folder / "dir.onnx").mkdir()
        self.fails(4, "convert", self.model, "-o", self.folder / "dir.onnx", says=["dir.onnx"])

    def test_formats_that_are_not_written_yet(self):
        for extension in (".tflite", ".gguf"):
            self.fails(2, "quantize", self.model, "-o", self.folder / ("o" + extension),
                       says=["not available in this version", ".onnx"])
        self.fails(2, "quantize", self.model, "-o", self.folder / "o.txt", says=[".onnx"])

    def test_a_container_carries_recipe_preprocessing_and_origin(self):
        low, again = self.folder / "fc.lbq", self.folder / "again.lbq"
        self.write("fc.preprocess", b"range=0..1")
        done = lowbit("quantize", self.model, "-o", low, "--data", self.data, "--weights", "int4")
        self.assertEqual(done.returncode, 0, done.stderr)
        shown = self.json("inspect", low)
        self.assertEqual(shown["format"], "lbq")
        self.assertEqual(shown["preprocessing"], "range=0..1")
        self.assertEqual(shown["provenance"]["source"], "fc.onnx")
        self.assertEqual(shown["provenance"]["calibration_samples"], "40")
        self.assertIn('weights = "int4"', lowbit("inspect", low, "--recipe").stdout)
        done = lowbit("quantize", self.model, "-o", again, "--data", self.data, "--recipe", low)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(again.read_bytes(), low.read_bytes())
        self.fails(3, "inspect", self.model, "--recipe", says=["carries no recipe"])

    def test_a_container_and_its_onnx_file_compute_the_same(self):
        low, qdq, back = (self.folder / name for name in ("fc.lbq", "fc.int8.onnx", "back.lbq"))
        for command in (("quantize", self.model, "-o", low, "--data", self.data), ("convert", low, "-o", qdq),
                        ("convert", qdq, "-o", back)):  # fmt: skip
            result = lowbit(*command)
            self.assertEqual(result.returncode, 0, result.stderr)
        outputs = []
        for model in (low, qdq, back):
            lowbit("run", model, "--input", self.data, "--output", self.folder / "y.npy")
            outputs.append((self.folder / "y.npy").read_bytes())
        self.assertEqual(outputs[0], outputs[1])
        self.assertEqual(outputs[0], outputs[2])
        self.assertEqual(self.json("compare", self.model, low, "--data", self.data)["layers"][0]["name"], "fc")
        self.assertEqual(lowbit("bench", low).returncode, 0)

    def test_a_dry_run_predicts_the_bytes_of_the_file(self):
        numbers = random.Random(2)
        wide = self.write("wide.onnx", onnx.linear_model([numbers.gauss(0, 1) for _ in range(4 * 3000)], outputs=3000))
        for name in ("out.lbq", "out.onnx"):
            for weights in ("int4", "int8"):
                with self.subTest(name=name, weights=weights):
                    command = ("quantize", wide, "-o", self.folder / name, "--data", self.data, "--weights", weights)
                    predicted = self.json(*command, "--dry-run")["predicted_file_bytes"]
                    written = self.json(*command)["output_bytes"]
                    self.assertLess(abs(predicted - written), 0.01 * written)

    def test_a_damaged_container_is_refused_in_one_line(self):
        low = self.folder / "fc.lbq"
        lowbit("quantize", self.model, "-o", low, "--data", self.data)
        whole = low.read_bytes()
        for damaged in (whole[:-1], whole[:100], whole[:300] + bytes([whole[300] ^ 1]) + whole[301:], whole + b"x"):
            low.write_bytes(damaged)
            for command in ("inspect", "bench"):
                self.fails(3, command, low, says=["damaged"])

    def test_output_may_be_the_input(self):
        before = self.model.read_bytes()
        result = lowbit("quantize", self.model, "-o", self.model, "--data", self.data)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertNotEqual(self.model.read_bytes(), before)
        self.assertEqual(lowbit("inspect", self.model).returncode, 0)

    def test_nothing_else_is_left_behind(self):
        lowbit("quantize", self.model, "-o", self.folder / "out.onnx", "--data", self.data)
        self.assertEqual(sorted(p.name for p in self.folder.iterdir()), ["fc.onnx", "out.onnx", "x.npy"])

    def test_the_default_output_is_named_after_model_and_weights(self):
        result = subprocess.run([LOWBIT, "quantize", str(self.model), "--quiet"], cwd=self.folder, capture_output=True,
                                text=True, check=False)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(result.stdout, "")
        self.assertTrue((self.folder / "fc.int8.onnx").exists())


class Automatic(CliTest):
    """The search of quantize --max-drop, --max-size, --max-latency."""

    def search(self, *arguments, code=0):
        return self.json("quantize", self.model, "-o", self.folder / "auto.lbq", "--eval-data", self.data, *arguments,
                         code=code)

    def test_a_drop_that_can_be_kept_is_reported_with_what_was_tried(self):
        found = self.search("--max-drop", "50")
        self.assertTrue(found["met"])
        self.assertEqual(found["target"]["measure"], "output error")
        self.assertEqual(found["evaluations"], len(found["candidates"]))
        picked = [c for c in found["candidates"] if c["picked"]]
        self.assertEqual(len(picked), 1)
        self.assertEqual(picked[0]["bytes"], found["output_bytes"])
        split = found["split"]
        self.assertEqual(split["calibration"] + split["selection"] + split["final"], 40)
        self.assertLessEqual(found["final"]["ci95"][1], 50)

    def test_targets_that_cannot_be_met_write_the_best_and_say_what_holds_them_back(self):
        for target in (["--max-drop", "0"], ["--max-size", "10"]):
            found = self.search(*target, code=1)
            self.assertFalse(found["met"])
            self.assertIn("fc", " ".join(found["blockers"]))
            self.assertEqual(lowbit("inspect", self.folder / "auto.lbq").returncode, 0)

    def test_sizes_may_be_relative(self):
        found = self.search("--max-size", "1000%")
        self.assertEqual(found["target"]["max_bytes"], 10 * self.model.stat().st_size)
        self.assertTrue(found["met"])

    def test_the_same_is_found_twice(self):
        first, one = self.search("--max-drop", "8"), (self.folder / "auto.lbq").read_bytes()
        second, two = self.search("--max-drop", "8"), (self.folder / "auto.lbq").read_bytes()
        self.assertEqual(first["candidates"], second["candidates"])
        self.assertEqual(one, two)

    def test_a_search_that_is_killed_anywhere_ends_with_the_same_result(self):
        journal, out = self.folder / "search.journal", self.folder / "auto.lbq"
        command = ["quantize", self.model, "-o", out, "--eval-data", self.data, "--max-drop", "8", "--journal", journal,
                   "--quiet"]
        code = lowbit(*command).returncode
        wanted, lines = out.read_bytes(), journal.read_bytes().splitlines(keepends=True)
        for kept in range(0, len(lines)):
            journal.write_bytes(b"".join(lines[:kept]) + lines[kept][: len(lines[kept]) // 2])
            out.unlink()
            self.assertEqual(lowbit(*command).returncode, code)
            self.assertEqual(out.read_bytes(), wanted, f"interrupted in record {kept}")
            self.assertEqual(journal.read_bytes(), b"".join(lines))

    def test_a_killed_process_leaves_a_journal_that_continues(self):
        journal, out = self.folder / "search.journal", self.folder / "auto.lbq"
        command = ["quantize", self.model, "-o", out, "--eval-data", self.data, "--max-drop", "8", "--quiet"]
        lowbit(*command)
        wanted = out.read_bytes()
        for delay in (0.01, 0.03, 0.1):
            process = subprocess.Popen([LOWBIT, *map(str, command), "--journal", str(journal)], stderr=subprocess.DEVNULL)
            try:
                process.wait(delay)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        lowbit(*command, "--journal", journal)
        self.assertEqual(out.read_bytes(), wanted)

    def test_a_journal_of_another_search_is_refused(self):
        journal = self.folder / "search.journal"
        self.search("--max-drop", "50", "--journal", journal)
        self.fails(2, "quantize", self.model, "--eval-data", self.data, "--max-drop", "40", "--journal", journal,
                   says=["another search", "max_drop was 50.0, is 40.0"])

    def test_another_configuration_is_picked_from_the_journal(self):
        journal = self.folder / "search.journal"
        self.search("--max-drop", "50", "--journal", journal)
        before = journal.read_bytes()
        found = self.search("--max-drop", "50", "--journal", journal, "--pick", "1")
        self.assertTrue(found["candidates"][0]["picked"])
        self.assertTrue(journal.read_bytes().startswith(before))
        self.fails(2, "quantize", self.model, "--eval-data", self.data, "--max-drop", "50", "--pick", "99", "--quiet",
                   says=["--pick", "smallest or accurate"])

    def test_budgets_end_the_search(self):
        self.assertEqual(self.search("--max-drop", "50", "--budget", "1evals")["evaluations"], 1)
        self.assertEqual(self.search("--max-drop", "50", "--budget", "0s")["evaluations"], 1)
        for budget in ("", "10", "ten", "-1m", "0evals", "1.5evals", "10x"):
            self.fails(2, "quantize", self.model, "--eval-data", self.data, "--max-drop", "5", f"--budget={budget or '?'}",
                       says=["--budget"])

    def test_targets_that_are_no_numbers_are_refused(self):
        for option, value in (("--max-drop", "half"), ("--max-drop", "-1"), ("--max-drop", "101"), ("--max-size", "0"),
                              ("--max-size", "ten"), ("--max-size", "5x"), ("--max-latency", "0"), ("--max-latency", "nan")):
            self.fails(2, "quantize", self.model, "--eval-data", self.data, f"{option}={value}", says=[option])

    def test_data_are_needed_and_must_not_overlap(self):
        self.fails(2, "quantize", self.model, "--max-drop", "1", says=["--eval-data"])
        self.fails(2, "quantize", self.model, "--max-drop", "1", "--data", self.data, "--slice", "0:20", "--eval-data",
                   self.data, "--eval-slice", "10:40", says=["10 samples are both"])
        self.fails(2, "quantize", self.model, "--max-drop", "1", "--eval-data", self.data, "--eval-limit", "5",
                   says=["too few"])
        found = self.search("--max-drop", "50", "--data", self.data, "--slice", "0::2", "--eval-slice", "1::2")
        self.assertEqual(found["split"]["calibration"], 20)

    def test_options_of_the_search_need_a_target(self):
        for option in ("--budget=1m", "--journal=j", "--pick=1", "--candidates=int4"):
            self.fails(2, "quantize", self.model, option, says=["need a target"])

    def test_the_recipe_makes_the_result_again(self):
        recipe, again = self.folder / "auto.toml", self.folder / "again.lbq"
        self.search("--max-drop", "50", "--data", self.data, "--slice", "0::2", "--eval-slice", "1::2", "--save-recipe", recipe)
        result = lowbit("quantize", self.model, "-o", again, "--data", self.data, "--slice", "0::2", "--recipe", recipe)
        self.assertEqual(result.returncode, 0, result.stderr)
        inspected = [self.json("inspect", path)["weight_bytes"] for path in (self.folder / "auto.lbq", again)]
        self.assertEqual(*inspected)


class Quantize(CliTest):
    def test_unavailable_methods_and_systems_name_what_there_is(self):
        self.fails(2, "quantize", self.model, "--method", "gptk", says=["no method of this version", "gptq"])
        self.fails(2, "quantize", self.model, "--weights", "nought4", says=["not available in this version"])
        self.fails(2, "quantize", self.model, "--rounding", "learned", says=["not available in this version"])

    def test_activations_need_data(self):
        self.fails(2, "quantize", self.model, "--activations", "uint8", says=["--data"])

    def test_a_selector_that_matches_nothing_names_the_nearest(self):
        out = self.folder / "out.onnx"
        self.fails(2, "quantize", self.model, "-o", out, "--data", self.data, "--exclude", "cf", says=["fc"])
        self.assertFalse(out.exists())

    def test_coverage_that_is_required_but_missed(self):
        out = self.folder / "out.onnx"
        result = lowbit("quantize", self.model, "-o", out, "--data", self.data, "--exclude", "fc",
                        "--require-coverage", "0.9", "--json")
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertIsNone(json.loads(result.stdout)["output"])
        self.assertFalse(out.exists())

    def test_the_plan_writes_nothing(self):
        plan = self.json("quantize", self.model, "-o", self.folder / "out.onnx", "--data", self.data, "--dry-run")
        self.assertIsNone(plan["output"])
        self.assertEqual(plan["float_weight_bytes"], 60)  # 12 weights and 3 biases
        self.assertLess(plan["predicted_weight_bytes"], 60)
        self.assertFalse((self.folder / "out.onnx").exists())

    def test_json_has_the_keys_of_the_contract(self):
        out = self.folder / "out.onnx"
        report = self.json("quantize", self.model, "-o", out, "--data", self.data)
        self.assertEqual(report["output"], str(out))
        self.assertEqual(report["output_bytes"], out.stat().st_size)
        self.assertEqual(report["float_bytes"], self.model.stat().st_size)
        self.assertGreater(report["peak_memory_bytes"], 0)
        self.assertGreaterEqual(report["seconds"], 0)
        layer = next(layer for layer in report["layers"] if layer["name"] == "fc")
        self.assertEqual(layer["op"], "Gemm")
        self.assertIn("int8", layer["weights"])
        self.assertGreater(layer["sqnr_db"], 30)
        self.assertIn("clipped_share", layer)
        self.assertEqual(report["coverage"]["quantized_share_macs"], 1)
        self.assertIn("kept", report["coverage"])

    def test_the_recipe_makes_the_same_file_again(self):
        first, second, recipe = self.folder / "a.onnx", self.folder / "b.onnx", self.folder / "r.toml"
        options = ["--data", self.data, "--quiet"]
        self.assertEqual(lowbit("quantize", self.model, "-o", first, *options, "--symmetry", "mixed", "--save-recipe",
                                recipe).returncode, 0)
        self.assertEqual(lowbit("quantize", self.model, "-o", second, *options, "--recipe", recipe).returncode, 0)
        self.assertEqual(first.read_bytes(), second.read_bytes())


class Digits(CliTest):
    """The whole way with the example network."""

    def quantized(self, *more):
        out = self.folder / "digits.int8.onnx"
        result = lowbit("quantize", DIGITS / "digits.onnx", "-o", out, "--data", DIGITS / "calib_x.npy", *more)
        self.assertEqual(result.returncode, 0, result.stderr)
        return out

    def test_inspect_compares_number_systems(self):
        with tempfile.TemporaryDirectory() as folder:
            page = pathlib.Path(folder) / "weights.html"
            arguments = ["inspect", DIGITS / "digits.onnx", "--weights", "--bits", "3", "--report", page]
            survey = self.json(*arguments)["number_systems_at_bits"]
            self.assertEqual(survey["bits"], 3)
            names = {entry["system"] for entry in survey["model"]}
            self.assertLessEqual({"int3", "codebook3", "log3", "nf3"}, names)
            for tensor in survey["tensors"]:
                self.assertEqual([entry["best"] for entry in tensor["systems"]],
                                 [True] + [False] * (len(tensor["systems"]) - 1))
            self.assertIn("<svg", page.read_text())
            self.assertIn("int3/channel", lowbit(*arguments).stdout)
        self.fails(2, "inspect", DIGITS / "digits.onnx", "--bits", "3")
        self.fails(2, "inspect", DIGITS / "digits.onnx", "--weights", "--bits", "9")

    def test_automatic_weights_say_what_they_chose(self):
        plan = self.json("quantize", DIGITS / "digits.onnx", "--weights", "auto:5", "--dry-run")
        self.assertTrue(any("chosen out of" in layer["reason"] for layer in plan["layers"]))
        self.fails(2, "quantize", DIGITS / "digits.onnx", "--weights", "auto:x", "--dry-run")
        self.fails(2, "quantize", DIGITS / "digits.onnx", "--weight-range", "weighted", "--dry-run")

    def test_inspect(self):
        report = self.json("inspect", DIGITS / "digits.onnx", "--weights")
        self.assertEqual(report["format"], "onnx")
        self.assertEqual(report["inputs"][0]["name"], "pixels")
        self.assertEqual(report["inputs"][0]["shape"][1:], [1, 8, 8])
        self.assertEqual(report["operators"]["Conv"], 4)
        self.assertEqual(report["file_bytes"], (DIGITS / "digits.onnx").stat().st_size)
        self.assertEqual(report["weight_bits_mean"], 32)
        self.assertGreater(len(report["weights"]), 3)

    def test_float_against_int8(self):
        out = self.quantized()
        models = self.json("eval", DIGITS / "digits.onnx", out, "--data", DIGITS / "test_x.npy", "--labels",
                           DIGITS / "test_y.npy")["models"]
        self.assertEqual(models[0]["samples"], 600)
        self.assertEqual(models[0]["metrics"]["accuracy"], 596 / 600)
        self.assertGreaterEqual(models[1]["metrics"]["accuracy"], 593 / 600)
        self.assertGreaterEqual(models[1]["metrics"]["agreement"], 0.99)
        low, high = models[0]["ci95"]["accuracy"]
        self.assertTrue(low < 596 / 600 < high)
        self.assertLess(models[1]["file_bytes"], models[0]["file_bytes"] / 2)

    def test_slice_and_limit(self):
        models = self.json("eval", DIGITS / "digits.onnx", "--data", DIGITS / "test_x.npy", "--labels",
                           DIGITS / "test_y.npy", "--slice", "0::2", "--limit", "100")["models"]
        self.assertEqual(models[0]["samples"], 100)

    def test_compare_lists_the_worst_layer_first(self):
        report = self.json("compare", DIGITS / "digits.onnx", self.quantized(), "--data", DIGITS / "test_x.npy",
                           "--limit", "16")
        errors = [layer["sqnr_db"] for layer in report["layers"]]
        self.assertGreaterEqual(len(errors), 5)
        self.assertEqual(errors, sorted(errors))
        self.assertGreater(report["output"]["sqnr_db"], 15)
        for layer in report["layers"]:
            self.assertGreater(layer["sqnr_db"], 10, layer)
            local = layer["local"]["sqnr_db"]  # null: exact
            self.assertTrue(local is None or local >= layer["sqnr_db"] - 3, layer)

    def test_compare_proposes_what_was_not_tried_yet(self):
        low = self.folder / "digits.lbq"
        for applied, proposed in (("none", "--method gptq"), ("gptq", "--method gptq,distil")):
            self.assertEqual(lowbit("quantize", DIGITS / "digits.onnx", "-o", low, "--data", DIGITS / "calib_x.npy",
                                    "--weights", "int2", "--method", applied, "--quiet").returncode, 0)
            findings = self.json("compare", DIGITS / "digits.onnx", low, "--data", DIGITS / "test_x.npy", "--limit", "16",
                                 "--calibration", DIGITS / "calib_x.npy")["findings"]
            narrow = [f["command"] for f in findings if f["rule"] == "narrow-weights"]
            self.assertTrue(narrow)
            for command in narrow:
                self.assertTrue(command.endswith(proposed), command)
            if applied == "gptq":  # which moves the means as well
                self.assertFalse([f for f in findings if f.get("command", "").endswith("--method bias-correct")])

    def test_run_writes_what_it_computes(self):
        one = self.folder / "one.npy"
        values = [float((i * 7) % 17) for i in range(64)]
        one.write_bytes(onnx.npy([1, 8, 8], values))
        out = self.folder / "y.npy"
        report = self.json("run", DIGITS / "digits.onnx", "--input", f"pixels={one}", "--output", out)
        output = report["outputs"][0]
        self.assertEqual(output["shape"], [1, 10])
        self.assertAlmostEqual(sum(output["values"]), 1, places=5)
        self.assertEqual(output["top"][0], max(range(10), key=lambda i: output["values"][i]))
        self.assertTrue(out.read_bytes().startswith(b"\x93NUMPY"))
        self.fails(2, "run", DIGITS / "digits.onnx", "--input", f"pixel={one}", says=["pixels"])

    def test_dequantize_and_convert(self):
        out = self.quantized()
        back, copy = self.folder / "back.onnx", self.folder / "copy.onnx"
        self.assertEqual(self.json("dequantize", out, "-o", back)["output"], str(back))
        self.assertEqual(self.json("inspect", back)["weight_bits_mean"], 32)
        self.json("convert", out, "-o", copy)
        self.assertEqual(self.json("inspect", copy)["weight_bits_mean"], self.json("inspect", out)["weight_bits_mean"])
        self.fails(3, "dequantize", back, "-o", copy)

    def test_bench(self):
        model = self.json("bench", DIGITS / "digits.onnx", "--seconds", "0.05", "--threads", "1", "--per-layer")["models"][0]
        self.assertEqual(model["threads"], 1)
        self.assertTrue(0 < model["ms_min"] <= model["ms_median"] <= model["ms_p99"])
        self.assertGreater(model["per_second"], 0)
        self.assertTrue(any(layer["macs"] > 0 for layer in model["layers"]))

    def test_the_report_is_one_page_for_itself(self):
        page = self.folder / "report.html"
        self.quantized("--report", page, "--eval-data", DIGITS / "test_x.npy", "--labels", DIGITS / "test_y.npy",
                       "--eval-limit", "60")
        html = page.read_text(encoding="utf-8")
        self.assertFalse(re.search(r"https?://|<link|\bsrc=", html))
        for text in ("times smaller", "Every layer, and why", "Error of each layer", "How the values are spread",
                     "Make it again"):
            self.assertIn(text, html)


if __name__ == "__main__":
    LOWBIT = str(pathlib.Path(sys.argv[1]).resolve())
    DIGITS = pathlib.Path(sys.argv[2]).resolve() / "examples" / "digits"
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]], verbosity=2)
