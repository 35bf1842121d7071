#!/usr/bin/env python3
"""Opens reports in headless Chromium: no console message, nothing fetched, the parts that must be there are, and nothing is wider than a
phone. Usage: browser_test.py LOWBIT CHROMIUM [--keep FOLDER]. With --keep the screenshots (desktop, phone, print) stay for looking at."""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
ASSETS = ROOT.parent / "shared" / "assets"


def chromium(program, profile, arguments, timeout=120):
    command = [program, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--no-first-run",
               "--disable-extensions", "--disable-background-networking", f"--user-data-dir={profile}", "--enable-logging=stderr", "--v=0",
               *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)


# Appended to a copy of the page: what a reader's browser knows about it, written into the document so that --dump-dom shows it.
PROBE = """<script>addEventListener("load", () => {
  document.querySelectorAll("th button").forEach(button => button.click());
  const scrolls = e => e && (["auto", "scroll", "hidden"].includes(getComputedStyle(e).overflowX) || scrolls(e.parentElement));
  const wide = [...document.querySelectorAll("body *")].filter(e => e.getBoundingClientRect().right > innerWidth + 1 && !scrolls(e.parentElement));
  const pictures = [...document.querySelectorAll("svg image")];
  const result = document.createElement("pre");
  result.id = "probe";
  result.textContent = JSON.stringify({width: innerWidth, scroll: document.documentElement.scrollWidth,
    wide: wide.slice(0, 5).map(e => e.tagName + "." + e.className + " " + e.textContent.slice(0, 40)), nodes: document.querySelectorAll(".node").length, pictures: pictures.length,
    examples: document.querySelectorAll(".example").length, headings: [...document.querySelectorAll("h2")].map(e => e.textContent),
    resources: performance.getEntriesByType("resource").map(e => e.name).filter(n => !n.startsWith("data:")), errors: window.problems});
  document.body.append(result);
});</script>"""
WATCH = """<script>window.problems = []; addEventListener("error", e => problems.push(String(e.message)));
for (const kind of ["error", "warn"]) { const before = console[kind]; console[kind] = (...a) => { problems.push(a.join(" ")); before(...a); }; }
</script>"""


def probe(program, profile, page, width):
    html = page.read_text(encoding="utf-8")
    copy = page.with_suffix(f".{width}.probe.html")
    copy.write_text(html.replace("<head>", "<head>" + WATCH, 1).replace("</body>", PROBE + "</body>"), encoding="utf-8")
    # The window is never narrower than 500 pixels; a frame is as narrow as one likes.
    frame = page.with_suffix(f".{width}.frame.html")
    frame.write_text(f'<!DOCTYPE html><meta charset="utf-8"><body style="margin:0"><iframe id="f" style="border:0;width:{width}px;height:900px"'
                     f' src="{copy.name}"></iframe><script>addEventListener("load", () => setTimeout(() => {{ const d = document.createElement("pre");'
                     f' d.id = "result"; d.textContent = document.getElementById("f").contentDocument.getElementById("probe").textContent;'
                     f' document.body.append(d); }}, 300));</script>', encoding="utf-8")
    run = chromium(program, profile, ["--allow-file-access-from-files", "--window-size=1280,1000", "--virtual-time-budget=5000", "--dump-dom",
                                      f"file://{frame}"])
    marker = '<pre id="result">'
    assert marker in run.stdout, f"the page did not finish: {run.stderr[-2000:]}"
    text = run.stdout.split(marker, 1)[1].split("</pre>", 1)[0]
    for escaped, plain in (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")):
        text = text.replace(escaped, plain)
    console = [line for line in run.stderr.splitlines() if "CONSOLE" in line]
    return json.loads(text), console


def check(program, profile, page, expected_headings):
    problems = []
    for width in (390, 1200):
        found, console = probe(program, profile, page, width)
        problems += [f"console at {width}: {line}" for line in console]
        problems += [f"script at {width}: {line}" for line in found["errors"]]
        problems += [f"fetched at {width}: {name}" for name in found["resources"]]
        if found["scroll"] > found["width"]:
            problems.append(f"at {width} pixels the page is {found['scroll']} wide: {found['wide']}")
        missing = [h for h in expected_headings if not any(h in heading for heading in found["headings"])]
        problems += [f"no heading '{h}'" for h in missing]
        if found["nodes"] == 0:
            problems.append("the network is not drawn")
    return problems


def screenshots(program, profile, page, folder):
    folder.mkdir(parents=True, exist_ok=True)
    name = page.stem
    phone = page.with_suffix(".phone.html")
    phone.write_text(f'<!DOCTYPE html><body style="margin:0"><iframe style="border:0;width:390px;height:9000px" src="{page.name}"></iframe>')
    chromium(program, profile, ["--window-size=1280,6500", f"--screenshot={folder / (name + '.desktop.png')}", f"file://{page}"])
    chromium(program, profile, ["--window-size=500,9000", f"--screenshot={folder / (name + '.phone.png')}", f"file://{phone}"])
    chromium(program, profile, ["--no-pdf-header-footer", f"--print-to-pdf={folder / (name + '.pdf')}", f"file://{page}"])


def lowbit(program, *arguments):
    run = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, check=False)
    assert run.returncode == 0, f"{arguments}: {run.stderr}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("lowbit")
    parser.add_argument("chromium")
    parser.add_argument("--keep", type=pathlib.Path)
    options = parser.parse_args()
    if not os.access(options.chromium, os.X_OK):
        print("skipped: no Chromium (tools/setup browser)")
        return 77
    problems = []
    with tempfile.TemporaryDirectory() as name:
        work = pathlib.Path(name)
        profile = work / "profile"
        cases = []
        if ASSETS.is_dir():
            cifar, har = ASSETS / "data" / "cifar10", ASSETS / "data" / "har"
            lowbit(options.lowbit, "quantize", ASSETS / "models" / "resnet8" / "resnet8_fp32.onnx", "-o", work / "r8.int4.onnx", "--weights", "int4",
                   "--data", cifar / "train.tar", "--samples", "128", "--eval-data", cifar / "test.tar", "--eval-limit", "200", "--corruptions",
                   "gaussian-noise,jpeg,fog", "--strengths", "1,3", "--report", work / "resnet8.html", "--quiet")
            har_model = next((ASSETS / "models" / "har").glob("*.onnx"))
            lowbit(options.lowbit, "quantize", har_model, "-o", work / "har.onnx", "--weights", "int3", "--activations", "uint4", "--data",
                   har / "calib_x.npy", "--samples", "64", "--eval-data", har / "x.npy", "--labels", har / "y.npy", "--eval-limit", "600",
                   "--report", work / "har.html", "--quiet")
            headings = ["side by side", "disagree", "Error of each layer", "by bits", "Every layer", "spread", "Make it again"]
            cases = [(work / "resnet8.html", [*headings, "damaged"]), (work / "har.html", headings)]
        else:
            print("skipped: no models at hand (../shared/assets)")
            return 77
        for page, headings in cases:
            problems += [f"{page.name}: {problem}" for problem in check(options.chromium, profile, page, headings)]
            if options.keep:
                screenshots(options.chromium, profile, page, options.keep.resolve())
    for problem in problems:
        print(problem)
    print(f"{len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
