"""Writes the classic networks as ONNX files with seeded random weights, at their real size, and proves that they run.

    python make_models.py --out build/models resnet50 mobilenet_v2     # two of them
    python make_models.py --out build/models --small all               # all, a quarter as wide, 64 x 64 pictures
    python make_models.py --out build/models --data 100 resnet50       # and 100 sample inputs beside it: resnet50.npy or .npz
    python make_models.py --list

Each file is checked by onnx.checker and run in ONNX Runtime on fresh inputs: finite outputs that differ between the inputs.
"""

import argparse
import pathlib
import sys

import numpy as np
import onnx

import sequence
import vision
from graph_builder import GraphBuilder, Options, random_pictures, session

VISION = (
    "squeezenet1_1", "mobilenet_v1", "mobilenet_v2", "mobilenet_v3_small", "mobilenet_v3_large", "resnet18", "resnet50",
    "efficientnet_lite0", "shufflenet_v2", "densenet121",
)  # fmt: skip
SEQUENCE = ("bert_encoder", "lstm", "gru", "autoencoder")
MODELS = {name: getattr(vision, name) for name in VISION} | {name: getattr(sequence, name) for name in SEQUENCE}

# Weights, biases, and scales and biases of the normalizations of the original networks, for 1000 classes.
# MobileNetV1 has 1000 outputs (the TensorFlow original has one more); EfficientNet-Lite0 as published.
PARAMETERS = {
    "squeezenet1_1": 1235496, "mobilenet_v1": 4231976, "mobilenet_v2": 3504872, "mobilenet_v3_small": 2542856,
    "mobilenet_v3_large": 5483032, "resnet18": 11689512, "resnet50": 25557032, "efficientnet_lite0": 4652008,
    "shufflenet_v2": 2278604, "densenet121": 7978856,
}  # fmt: skip


def sample_inputs(name, options, count, seed):
    """Input name -> array of `count` random samples of the network `name`."""
    rng = np.random.default_rng([seed, count])
    if name in VISION:
        return {"input": random_pictures(count, options.picture, seed)}
    if name == "bert_encoder":
        vocabulary, length = (1000, 32) if options.small else (30522, 128)
        lengths = rng.integers(length // 4, length + 1, count)
        mask = (np.arange(length) < lengths[:, None]).astype(np.int64)
        return {"input_ids": rng.integers(0, vocabulary, (count, length)) * mask, "attention_mask": mask}
    if name == "autoencoder":
        smooth = np.cumsum(rng.normal(0, 0.3, (count, 640)), axis=1)
        return {"frames": (smooth - smooth.mean(1, keepdims=True)).astype(np.float32)}
    return {"rows": rng.normal(0, 1, (count, 28, 28)).astype(np.float32)}


def parameters(model):
    """Weights and biases, without the running statistics of the normalizations and without shape constants."""
    statistics = {i for n in model.graph.node if n.op_type == "BatchNormalization" for i in n.input[3:]}
    counted = (w for w in model.graph.initializer if w.data_type == onnx.TensorProto.FLOAT and w.dims and w.name not in statistics)
    return sum(int(np.prod(w.dims)) for w in counted)


def check_runs(path, name, options):
    """Runs fresh inputs. Returns (problems, how many different classes are the largest output)."""
    engine = session(str(path))
    values = engine.run(None, sample_inputs(name, options, 16, seed=options.seed + 1))
    outputs = dict(zip((output.name for output in engine.get_outputs()), values))
    problems = [f"output {k} is not finite" for k, v in outputs.items() if not np.isfinite(v).all()]
    last = values[-1]
    classes = len(set(last.argmax(-1).tolist()))
    if classes < 2:
        problems.append("every input has the same largest output")
    if not 0.01 < last.std() < 100:
        problems.append(f"the outputs have a deviation of {last.std():.3g}")
    return problems, classes


def make(name, options, folder, data):
    builder = GraphBuilder(name, options)
    MODELS[name](builder)
    model = builder.build(sample_inputs(name, options, 16, options.seed))
    path = folder / f"{name}.onnx"
    onnx.save(model, path)
    problems, classes = check_runs(path, name, options)
    count = parameters(model)
    if not options.small and not options.fold and count != PARAMETERS.get(name, count):
        problems.append(f"{count} parameters, the original has {PARAMETERS[name]}")
    print(f"{path}: {len(model.graph.node)} nodes, {count} parameters, {path.stat().st_size} bytes, {classes} classes in 16 inputs", flush=True)
    if data:
        samples = sample_inputs(name, options, data, options.seed)
        if len(samples) == 1:
            np.save(path.with_suffix(".npy"), next(iter(samples.values())))
        else:
            np.savez(path.with_suffix(".npz"), **samples)
    return [f"{name}: {problem}" for problem in problems]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", metavar="MODEL", help="names, or all")
    parser.add_argument("--list", action="store_true", help="print the names")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("build/models"), help="folder to write to (build/models)")
    parser.add_argument("--small", action="store_true", help="a quarter of the width, 64 x 64 pictures, 2 transformer layers")
    parser.add_argument("--fold", action="store_true", help="fold each BatchNormalization into the Conv or Gemm before it")
    parser.add_argument("--opset", type=int, default=13, choices=range(13, 22), metavar="13..21")
    parser.add_argument("--layers", type=int, default=12, help="layers of bert_encoder (12)")
    parser.add_argument("--data", type=int, default=0, metavar="N", help="also write N sample inputs")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    if arguments.list:
        print("\n".join(MODELS))
        return 0
    names = list(MODELS) if arguments.models == ["all"] else arguments.models
    unknown = [name for name in names if name not in MODELS]
    if unknown or not names:
        parser.error(f"unknown model {', '.join(unknown)}" if unknown else "name at least one model, or all" + " (--list prints the names)")
    options = Options(arguments.opset, arguments.seed, arguments.small, arguments.fold, arguments.layers)
    arguments.out.mkdir(parents=True, exist_ok=True)
    problems = [problem for name in names for problem in make(name, options, arguments.out, arguments.data)]
    for problem in problems:
        print(f"make_models: error: {problem}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
