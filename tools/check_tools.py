#!/usr/bin/env python3
"""Checks the tools themselves: the scripts parse, and each check finds the faults that are planted in a copy of nothing but it."""

import pathlib
import shutil
import subprocess
import sys
import tempfile

from source_files import ROOT, finish, source_files

# check, files of the planted tree, what its output has to name. Words are cut in two so that the text check passes this file.
PLANTED = [
    ("check_layers.py", {"lowbit/core/a.h": '#include "lowbit/ops/b.h"\n', "lowbit/ops/b.h": "\n"}, "core must not include ops"),
    ("check_layers.py", {"lowbit/api/a.h": '#include "cli/b.h"\n', "cli/b.h": "\n"}, "api must not include cli"),
    ("check_layers.py", {"cli/a.h": "#include <lowbit/passes/b.h>\n", "lowbit/passes/b.h": "\n"}, "cli must not include passes"),
    ("check_layers.py", {"lowbit/core/a.h": '#include "b.h"\n', "lowbit/core/b.h": "\n"}, 'no file "b.h"'),
    ("check_layers.py", {"lowbit/attic/a.h": "\n"}, "room 'attic' is not in the table"),
    (
        "check_layers.py",
        {"lowbit/core/a.h": '#include "lowbit/core/b.h"\n', "lowbit/core/b.h": '#include "lowbit/core/a.h"\n'},
        "lowbit/core/a.h -> lowbit/core/b.h -> lowbit/core/a.h",
    ),
    ("check_text.py", {"a.md": "see /ro" + "ot/x\n"}, "a.md:1: absolute path"),
    ("check_text.py", {"a.cpp": "\n// TO" + "DO\n"}, "a.cpp:2: note of unfinished work"),
    ("check_text.py", {"a.h": "\x1b[31m\n"}, "control character"),
    ("check_text.py", {"a.py": "x = 1"}, "no newline at the end"),
    ("check_text.py", {"a.cpp": "\n" * 801}, "801 lines"),
    ("check_format", {"a.cpp": "int   x;\n", ".clang-format": "BasedOnStyle: Google\n"}, "a.cpp:1: laid out differently"),
]
SOUND = {
    "lowbit/base/a.h": "#pragma once\n",
    "lowbit/core/b.cpp": '#include "lowbit/base/a.h"\n#include "lowbit/numbers/c.h"\n',
    "lowbit/numbers/c.h": "int x;\n",
    "lowbit/lowbit.h": '#include "lowbit/core/d.h"\n',
    "lowbit/core/d.h": "int y;\n",
    ".clang-format": "BasedOnStyle: Google\n",
}


def run_in_tree(check, files):
    """Exit code and output of the check in a folder that holds only `files` and the tools."""
    with tempfile.TemporaryDirectory() as folder:
        tree = pathlib.Path(folder)
        (tree / "tools").mkdir()
        for name in (check, "source_files.py"):
            shutil.copy(ROOT / "tools" / name, tree / "tools" / name)
        for name, text in files.items():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            (tree / name).write_text(text)
        # Without git the check looks at all files, which is what a new folder needs.
        result = subprocess.run([sys.executable, tree / "tools" / check], cwd=tree, capture_output=True, text=True)
        return result.returncode, result.stdout + result.stderr


def check():
    problems = []
    for name, files, expected in PLANTED:
        code, output = run_in_tree(name, files)
        if code != 1 or expected not in output:
            problems.append(f"{name} does not say '{expected}' (exit code {code}):\n{output}")
    for name in sorted({name for name, _, _ in PLANTED}):
        code, output = run_in_tree(name, SOUND)
        if code:
            problems.append(f"{name} refuses a sound tree (exit code {code}):\n{output}")
    for path in source_files():
        first = (ROOT / path).open("rb").readline()
        if first.startswith(b"#!") and b"bash" in first:
            result = subprocess.run(["bash", "-n", ROOT / path], capture_output=True, text=True)
            problems += [f"{path}: {result.stderr.strip()}"] if result.returncode else []
        if path.suffix == ".py":
            try:
                compile((ROOT / path).read_text(), str(path), "exec")
            except SyntaxError as error:
                problems.append(f"{path}:{error.lineno}: {error.msg}")
    return finish(problems, "tools")


if __name__ == "__main__":
    sys.exit(check())
