#!/usr/bin/env python3
"""Checks the text files of the project. Exits 1 and lists each line that breaks a rule:

no absolute path of somebody's machine, no note of unfinished work, no control character, UTF-8, a newline at the end,
and at most 800 lines in a C++ file.
"""

import re
import sys

from source_files import ROOT, finish, source_files

LONGEST_CPP = 800
CPP = (".cpp", ".h")
TEXT = (*CPP, ".cc", ".cu", ".inc", ".py", ".md", ".txt", ".cmake", ".json", ".toml", ".yml", ".html", ".css", ".js", ".sh", ".in")
# Broken on purpose, for the tests of the readers.
EXCLUDED = ("tests/malformed/", "fuzz/corpus/")

# Put together from parts, so that this file passes its own check.
MACHINE_PATH = re.compile(r"(?<![\w.*])/(?:" + "|".join(("work", "root", "farm", r"home/\w+", r"Users/\w+")) + r")/")
UNFINISHED = re.compile(r"\b(?:" + "|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X")) + r")\b")
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\x80-\x9f]")
LINE_RULES = ((MACHINE_PATH, "absolute path of a machine"), (UNFINISHED, "note of unfinished work"), (CONTROL, "control character"))


def is_text(path, data):
    if str(path).startswith(EXCLUDED):
        return False
    return path.suffix in TEXT or path.name in ("LICENSE", ".gitignore", ".clang-format") or data.startswith(b"#!")


def problems_of(path, data):
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        return [f"{path}: not UTF-8 at byte {error.start}"]
    found = []
    if text and not text.endswith("\n"):
        found.append(f"{path}: no newline at the end")
    lines = text.split("\n")
    for number, line in enumerate(lines, 1):
        found += [f"{path}:{number}: {what}" for pattern, what in LINE_RULES if pattern.search(line)]
    if path.suffix in CPP and len(lines) - 1 > LONGEST_CPP:
        found.append(f"{path}: {len(lines) - 1} lines, at most {LONGEST_CPP} are allowed (split it)")
    return found


def check():
    problems, count = [], 0
    for path in source_files():
        data = (ROOT / path).read_bytes()
        if is_text(path, data):
            count += 1
            problems += problems_of(path, data)
    return finish(problems, f"text ({count} files)")


if __name__ == "__main__":
    sys.exit(check())
