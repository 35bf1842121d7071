"""Writes a network whose channel ranges are spread between layers while what it computes stays the same.

Wherever a Conv is read, perhaps through a ReLU, by one other Conv alone, its output channels are multiplied by random powers of two up
to 2^8 and the weights behind divided by them. One scale for a whole tensor then fits few of its channels: the case that equalize repairs.

    build/venv/bin/python bench/accuracy/spread_channels.py MODEL.onnx -o SPREAD.onnx [--seed 1]
"""

import argparse
import sys

import numpy as np
import onnx
from onnx import numpy_helper


def attribute(node, name, default):
    return next((onnx.helper.get_attribute_value(a) for a in node.attribute if a.name == name), default)


def spread(model, seed):
    """Number of pairs of layers that were changed."""
    graph, random = model.graph, np.random.default_rng(seed)
    weights = {w.name: w for w in graph.initializer}
    readers = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    outputs = {o.name for o in graph.output}

    def change(name, factors):
        array = numpy_helper.to_array(weights[name])
        weights[name].CopyFrom(numpy_helper.from_array((array * factors).astype(np.float32), name))

    def constants_of(node):
        return len(node.input) > 1 and all(i in weights and len(readers[i]) == 1 for i in node.input[1:])

    pairs = 0
    for node in graph.node:
        if node.op_type != "Conv" or not constants_of(node):
            continue
        value = node.output[0]
        while len(readers.get(value, [])) == 1 and readers[value][0].op_type == "Relu" and value not in outputs:
            value = readers[value][0].output[0]
        behind = readers.get(value, [])
        if value in outputs or len(behind) != 1 or behind[0].op_type != "Conv" or behind[0].input[0] != value or not constants_of(behind[0]):
            continue
        channels = weights[node.input[1]].dims[0]
        if attribute(behind[0], "group", 1) not in (1, channels):
            continue
        factors = 2.0 ** random.integers(0, 9, channels)
        change(node.input[1], factors.reshape(-1, *[1] * (len(weights[node.input[1]].dims) - 1)))
        if len(node.input) > 2:
            change(node.input[2], factors)
        rank = len(weights[behind[0].input[1]].dims)
        depthwise = attribute(behind[0], "group", 1) == channels and channels > 1
        shape = (-1, *[1] * (rank - 1)) if depthwise else (1, -1, *[1] * (rank - 2))
        change(behind[0].input[1], (1 / factors).reshape(shape))
        pairs += 1
    return pairs


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("-o", "--output", required=True)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    model = onnx.load(options.model)
    pairs = spread(model, options.seed)
    if not pairs:
        parser.error("the network has no two convolutions with at most a ReLU between")
    onnx.save(model, options.output)
    print(f"{pairs} pairs of layers; channels multiplied by powers of two from 1 to 256")


if __name__ == "__main__":
    sys.exit(main())
