#!/usr/bin/env python3
"""Checks who includes whom: the table below is the architecture. Exits 1 and lists every include that breaks it.

A room (a folder below lowbit/, or a top-level folder with C++) includes itself, base and the rooms of its row. Quoted includes are paths
from the root of the repository and must exist. Neither the rooms nor the files include each other in a circle.
"""

import re
import sys

from source_files import ROOT, finish, source_files

EVERYTHING = "everything"

MAY_INCLUDE = {
    "base": "",
    "coding": "",
    "numbers": "",
    "kernels": "",
    "core": "numbers",
    "ops": "core numbers",
    "formats": "core ops numbers coding",
    "passes": "core ops numbers",
    "observe": "core ops numbers",
    "methods": "core ops numbers passes observe",
    "runtime": "core ops numbers kernels",
    "data": "core formats",
    "language": "core ops numbers runtime formats data",
    "eval": "core ops numbers runtime formats data",
    "training": "core ops numbers passes observe methods data eval",
    "search": "core ops numbers passes observe methods eval",
    "analysis": "core",
    "report": "core",
    "api": EVERYTHING,
    "lowbit.h": EVERYTHING,
    "cli": "lowbit.h api core report formats eval data runtime methods numbers observe ops",
    "python": "lowbit.h api core report formats eval data runtime methods numbers observe ops",
    "examples": "lowbit.h api",
    "tests": EVERYTHING,
    "bench": EVERYTHING,
    "fuzz": EVERYTHING,
}
# Rooms that nothing below lowbit/ may include, so that "everything" makes no circle.
OUTERMOST = ("cli", "python", "examples", "tests", "bench", "fuzz")

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(?:"([^"]+)"|<(lowbit/[^>]+)>)', re.MULTILINE)


def room_of(path):
    """The room of a path such as lowbit/core/tensor.h; lowbit/lowbit.h is a room of its own."""
    parts = path.split("/")
    return parts[1] if parts[0] == "lowbit" and len(parts) > 1 else parts[0]


def allowed(room, other):
    if other in (room, "base"):
        return True
    row = MAY_INCLUDE[room]
    if row != EVERYTHING:
        return other in row.split()
    return room in OUTERMOST or other not in OUTERMOST


def includes_of(path):
    text = (ROOT / path).read_text(encoding="utf-8", errors="replace")
    for match in INCLUDE.finditer(text):
        yield text.count("\n", 0, match.start()) + 1, match[1] or match[2]


def find_cycle(edges):
    """A list of nodes that leads back to its first one, or None. edges: node -> nodes."""
    state = {}
    for start in edges:
        path = [(start, iter(edges[start]))] if start not in state else []
        state.setdefault(start, "open")
        while path:
            following = next((n for n in path[-1][1] if state.get(n) != "closed" and n in edges), None)
            if following is None:
                state[path.pop()[0]] = "closed"
            elif state.get(following) == "open":
                nodes = [node for node, _ in path]
                return [*nodes[nodes.index(following) :], following]
            else:
                state[following] = "open"
                path.append((following, iter(edges[following])))
    return None


def check():
    problems = []
    files = [str(p) for p in source_files() if p.suffix in (".h", ".cpp", ".cc", ".cu", ".inc")]
    edges = {file: [] for file in files}
    for file in files:
        room = room_of(file)
        if room not in MAY_INCLUDE:
            problems.append(f"{file}: room '{room}' is not in the table of tools/check_layers.py")
            continue
        for line, target in includes_of(file):
            if not (ROOT / target).is_file():
                if not target.endswith(".pb.h"):
                    problems.append(f'{file}:{line}: no file "{target}" (write the path from the root of the repository)')
                continue
            if room_of(target) not in MAY_INCLUDE or not allowed(room, room_of(target)):
                problems.append(f"{file}:{line}: {room} must not include {room_of(target)} ({target})")
            edges[file].append(target)
    rooms = {room: row.split() for room, row in MAY_INCLUDE.items() if row != EVERYTHING}
    for kind, graph in (("rooms", rooms), ("files", edges)):
        if cycle := find_cycle(graph):
            problems.append(f"{kind} include each other in a circle: {' -> '.join(cycle)}")
    return finish(problems, f"layers ({len(files)} C++ files)")


if __name__ == "__main__":
    sys.exit(check())
