#!/usr/bin/env python3
"""Number systems against an independent implementation in numpy, scipy, scikit-learn and ml_dtypes, on the same data.

    numbers_oracle.py NUMBERS_BENCH MODEL.onnx [--rows 24]

Rows of the largest weight of MODEL (one group each) go through `numbers_bench decode`, which fits every system by least squared
error. For each system three things are checked, and printed as a markdown table:
  levels   every decoded value lies on the system's grid as this script builds it from the formula in docs/number-systems.md
           (largest distance in units of the scale)
  nearest  no other level of that grid is nearer to the value (values for which one is, out of all)
  error    sum of squared errors over that of a search here: 1,000 scales for each of up to 60 shapes, for codebooks the best of
           20 runs of scikit-learn's k-means. 1 or less: the fit is as good or better
"""

import argparse
import pathlib
import subprocess
import tempfile

import ml_dtypes
import numpy as np
import onnx
from onnx import numpy_helper
from scipy.stats import norm
from sklearn.cluster import KMeans


def mirrored(upper):
    return np.concatenate([-upper[:0:-1], upper])


def steps(bits):
    return np.arange(2 ** (bits - 1)) / (2 ** (bits - 1) - 1)


def log_units(bits, base):
    last = 2 ** (bits - 1) - 1
    return mirrored(np.concatenate([[0], base ** -(last - np.arange(1, last + 1, dtype=float))]))


def pot2_units(bits):
    half = (bits - 1 + 1) // 2
    p = [0] + [2.0 ** (-2 * k) for k in range(2**half - 1)]
    q = [0] + [2.0 ** (-1 - 2 * k) for k in range(2 ** (bits - 1 - half) - 1)]
    sums = np.sort([a + b for a in p for b in q])
    return mirrored(sums / sums[-1])


def normal_units(bits):
    count, half = 2**bits, 2 ** (bits - 1)
    start = 1 - 0.5 * (1 / (2 * count) + 1 / (2 * (count - 1)))
    negative = -norm.ppf(np.linspace(start, 0.5, half))[:-1]
    positive = norm.ppf(np.linspace(start, 0.5, half + 1))[:-1][::-1]
    units = np.concatenate([negative, [0], positive])
    return units / units.max()


def float_units(kind):
    bits = {"float8_e4m3fn": 8, "float8_e5m2": 8, "float6_e3m2fn": 6, "float6_e2m3fn": 6, "float4_e2m1fn": 4}[kind]
    values = np.arange(2**bits, dtype=np.uint8).view(getattr(ml_dtypes, kind)).astype(float)
    return np.unique(values[np.isfinite(values)])


def piecewise(bits, u, v):
    t = steps(bits)
    return mirrored(np.interp(t, [0, 0.5, 0.75, 1], [0, u, v, 1]))


SHAPES = {
    "exp": [(lambda b, a=a: mirrored(np.expm1(a * steps(b)) / np.expm1(a))) for a in np.linspace(0.05, 12, 60)],
    "power": [(lambda b, p=p: mirrored(steps(b) ** p)) for p in np.linspace(0.5, 6, 60)],
    "piecewise": [(lambda b, u=u, v=v: piecewise(b, u, v))
                  for u in np.linspace(0.02, 0.5, 8) for v in np.linspace(0.06, 0.75, 8)
                  if u <= 2 * (v - u) + 1e-9 and v - u <= 1 - v + 1e-9],
}


def grids(name):
    """Grids at scale 1 of a system's name, or None if it has free levels."""
    floats = {"fp8-e4m3": "float8_e4m3fn", "fp8-e5m2": "float8_e5m2", "fp6-e3m2": "float6_e3m2fn", "fp6-e2m3": "float6_e2m3fn",
              "fp4-e2m1": "float4_e2m1fn"}
    if name in floats:
        return [float_units(floats[name])]
    if name == "ternary":
        return [np.array([-1.0, 0, 1])]
    if name == "binary":
        return [np.array([-1.0, 1])]
    if name.startswith("pot2-"):
        return [pot2_units(int(name[5:]))]
    if name.startswith("log"):
        bits, _, parts = name[3:].partition("-")
        return [log_units(int(bits), 2.0 ** (1 / int(parts or 1)))]
    for stem, shapes in SHAPES.items():
        if name.startswith(stem):
            return [shape(int(name[len(stem):])) for shape in shapes]
    if name.startswith("mulaw"):
        return [mirrored((256 ** steps(int(name[5:])) - 1) / 255)]
    if name.startswith("nf"):
        return [normal_units(int(name[2:]))]
    if name.startswith("int") and "-" not in name and name != "int1":
        most = 2 ** (int(name[3:]) - 1) - 1
        return [np.arange(-most, most + 1) / most] if most <= 2**11 else None
    return None


def nearest(levels, x):
    at = np.clip(np.searchsorted(levels, x), 1, len(levels) - 1)
    return np.where(x - levels[at - 1] <= levels[at] - x, levels[at - 1], levels[at])


def best_error(x, units_of_shapes):
    best = np.inf
    for units in units_of_shapes:
        full = max(x.max() / units.max(), x.min() / units.min() if units.min() < 0 else 0)
        shares = np.linspace(0.02, 1.2, 1000 if len(units_of_shapes) == 1 else 120)
        for share in shares:
            best = min(best, np.sum((x - nearest(units * full * share, x)) ** 2))
    return best


def on_grid(y, units):
    """Largest distance of decoded values from scale * units with the scale that fits best; where the shape is fitted too the
    decoded values are the grid themselves."""
    scale = np.abs(y).max() / np.abs(units).max()
    best = np.inf
    for level in np.abs(units[units != 0]):
        candidate = np.abs(y).max() / level
        best = min(best, np.abs(y - nearest(units * candidate, y)).max() / max(scale, 1e-30))
    return best


def compare(name, x, y):
    shapes = grids(name)
    bits = int("".join(c for c in name if c.isdigit()) or 0)
    levels_off, wrong, ours, theirs = 0.0, 0, 0.0, 0.0
    for row, decoded in zip(x.astype(float), y.astype(float)):
        ours += np.sum((row - decoded) ** 2)
        if shapes is None:
            runs = KMeans(n_clusters=min(2**bits, len(np.unique(row))), n_init=20, random_state=0).fit(row[:, None])
            theirs += runs.inertia_
            used = np.unique(decoded)
        else:
            theirs += best_error(row, shapes)
            used = np.unique(decoded)
            if len(shapes) == 1:
                levels_off = max(levels_off, on_grid(decoded, shapes[0]))
        if len(used) > 1:
            wrong += np.sum(np.abs(row - nearest(used, row)) < np.abs(row - decoded) * (1 - 1e-6))
    return levels_off if shapes and len(shapes) == 1 else None, wrong, ours / theirs


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bench")
    parser.add_argument("model")
    parser.add_argument("--rows", type=int, default=24)
    options = parser.parse_args()
    weights = [numpy_helper.to_array(t) for t in onnx.load(options.model).graph.initializer if len(t.dims) >= 2]
    weight = max(weights, key=lambda w: w.size)
    x = weight.reshape(weight.shape[0], -1)[: options.rows].astype(np.float32)
    print(f"{x.shape[0]} rows of {x.shape[1]} weights of {pathlib.Path(options.model).name}\n")
    print("| system | levels off | nearer levels missed | error / searched error |\n|---|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as folder:
        np.save(f"{folder}/x.npy", x)
        subprocess.run([options.bench, "decode", f"{folder}/x.npy", folder], check=True)
        halves = {"float16": lambda v: v.astype(np.float16), "bfloat16": lambda v: v.astype(ml_dtypes.bfloat16)}
        for path in sorted(pathlib.Path(folder).glob("*.npy")):
            name, y = path.stem, np.load(path)
            if name in halves:
                different = np.sum(halves[name](x).astype(np.float32) != y)
                print(f"| {name} | {different} values differ | | |")
            elif grids(name) is not None or (name.startswith("codebook") and int(name[8:]) <= 5):
                off, wrong, ratio = compare(name, x, y)
                print(f"| {name} | {'fitted shape' if off is None else f'{off:.1e}'} | {wrong} of {x.size} | {ratio:.5f} |")


if __name__ == "__main__":
    main()
