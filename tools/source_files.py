"""The files of the project that the checks look at: what git knows or would add, or, without git, all but build output."""

import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent


def source_files():
    """Yields the paths, relative to the root of the repository, sorted."""
    listing = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        names = subprocess.run(listing, check=True, capture_output=True).stdout.decode().split("\0")
    except (OSError, subprocess.CalledProcessError):
        names = [str(p.relative_to(ROOT)) for p in ROOT.rglob("*")]
    for name in sorted(filter(None, names)):
        path = pathlib.Path(name)
        if path.parts[0] not in ("build", ".git") and (ROOT / path).is_file():
            yield path


def finish(problems, what):
    """Prints the problems, or what was found in order, and returns the exit code."""
    for problem in problems:
        print(problem)
    print(f"{len(problems)} problems in {what}" if problems else f"{what}: in order")
    return 1 if problems else 0
