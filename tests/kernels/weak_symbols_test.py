"""Usage: weak_symbols_test.py NM OBJECT...  Exits 1 if an object defines a weak or unique symbol: of several copies the linker keeps
one for the whole program, which then needs the instruction set of that object."""

import re
import subprocess
import sys

nm, objects = sys.argv[1], sys.argv[2:]
if not objects:
    sys.exit("no object was given")
found = []
for path in objects:
    listed = subprocess.run([nm, "-C", path], check=True, capture_output=True, text=True).stdout
    found += [f"{path}: {line}" for line in listed.splitlines() if re.search(r"^[0-9a-f]+ [WVu] ", line)]
print("\n".join(found) or f"{len(objects)} objects, no weak symbol")
sys.exit(1 if found else 0)
