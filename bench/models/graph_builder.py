"""A small layer vocabulary that writes ONNX graphs with random weights whose activations behave like a trained network's.

He initialisation alone is not enough: behind many ReLU layers all inputs end in nearly the same output. So every batch normalization
gets the statistics that one batch of sample inputs really has, measured layer by layer in a single run, with some jitter. Layers
whose original has no batch normalization are normalized in the same way and the normalization is folded away.
"""

import collections
import dataclasses

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

EPSILON = 1e-5


@dataclasses.dataclass
class Options:
    """What the builders of networks need to know."""

    opset: int = 13
    seed: int = 1
    small: bool = False  # a quarter of the width, 64 x 64 pictures
    fold: bool = False  # fold every batch normalization that follows a Conv or Gemm
    layers: int = 12  # of the transformer

    @property
    def picture(self):
        return 64 if self.small else 224

    @property
    def classes(self):
        return 100 if self.small else 1000

    def width(self, channels):
        """The number of channels to build where the original has `channels`."""
        return max(8, round(channels / 32) * 8) if self.small else channels


class GraphBuilder:
    """Collects nodes and weights. Values are named by strings; `shape` holds each value's dimensions behind the batch."""

    def __init__(self, name, options):
        self.name, self.options = name, options
        self.rng = np.random.default_rng([options.seed, *name.encode()])
        self.nodes, self.weights, self.shape = [], {}, {}
        self.inputs, self.outputs = [], []
        self.counts = collections.Counter()
        self.virtual = set()  # names of the batch normalizations that are always folded

    # Graph plumbing

    def fresh(self, stem):
        self.counts[stem] += 1
        return f"{stem}_{self.counts[stem]}"

    def input(self, name, shape, dtype=TensorProto.FLOAT):
        self.inputs.append(helper.make_tensor_value_info(name, dtype, ["N", *shape]))
        self.shape[name] = tuple(shape)
        return name

    def output(self, value, name, shape=None, dtype=TensorProto.FLOAT):
        """Makes `value` an output of the graph under `name`."""
        for node in self.nodes:
            node.output[:] = [name if o == value else o for o in node.output]
            node.input[:] = [name if i == value else i for i in node.input]
        shape = self.shape[value] if shape is None else shape
        self.outputs.append(helper.make_tensor_value_info(name, dtype, ["N", *shape]))

    def weight(self, stem, array, dtype=np.float32):
        name = self.fresh(stem)
        self.weights[name] = np.asarray(array, dtype)
        return name

    def integers(self, *values):
        return self.weight("integers", values, np.int64)

    def scalar(self, value, dtype=np.float32):
        return self.weight("scalar", value, dtype)

    def node(self, op, inputs, shape=None, outputs=1, **attributes):
        """Adds a node; returns its output, or the list of them. shape None: that of the first input."""
        name = self.fresh(op.lower())
        names = [name] if outputs == 1 else [f"{name}:{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(op, inputs, names, name=name, **attributes))
        for output in names:
            self.shape[output] = self.shape.get(inputs[0], ()) if shape is None else tuple(shape)
        return names[0] if outputs == 1 else names

    def normal(self, shape, fan_in, gain):
        return self.rng.normal(0, np.sqrt(gain / fan_in), shape)

    # Layers

    def conv(self, x, channels, kernel, stride=1, groups=1, pad="half", norm="batch", bias=False):
        """Conv with weights N(0, 2 / fan_in). pad: half (kernel // 2), same (as TensorFlow: the odd pixel last) or none.
        norm: batch (a BatchNormalization follows), virtual (normalized and folded: weights and a bias) or none."""
        c, h, w = self.shape[x]
        fan_in = c // groups * kernel * kernel
        weight = self.weight("conv_weight", self.normal((channels, c // groups, kernel, kernel), fan_in, 2))
        inputs = [x, weight] + ([self.weight("conv_bias", self.rng.normal(0, 0.1, channels))] if bias else [])
        begin, total = 0, 0
        if pad == "half":
            begin, total = kernel // 2, kernel // 2 * 2
        elif pad == "same":
            total = max(0, (-(-h // stride) - 1) * stride + kernel - h)
            begin = total // 2
        out = lambda size: (size + total - kernel) // stride + 1
        y = self.node(
            "Conv", inputs, (channels, out(h), out(w)), kernel_shape=[kernel] * 2, strides=[stride] * 2, group=groups,
            pads=[begin, begin, total - begin, total - begin],
        )  # fmt: skip
        return self.norm(y, virtual=norm == "virtual") if norm != "none" else y

    def dense(self, x, features, norm="none"):
        fan_in = self.shape[x][0]
        weight = self.weight("gemm_weight", self.normal((features, fan_in), fan_in, 1))
        bias = self.weight("gemm_bias", self.rng.normal(0, 0.02, features))
        y = self.node("Gemm", [x, weight, bias], (features,), transB=1)
        return self.norm(y, virtual=norm == "virtual") if norm != "none" else y

    def norm(self, x, virtual=False):
        """BatchNormalization whose mean and variance are filled in by build()."""
        channels = self.shape[x][0]
        scale = np.ones(channels) if virtual else self.rng.uniform(0.7, 1.3, channels)
        bias = np.zeros(channels) if virtual else self.rng.normal(0, 0.2, channels)
        parts = [("scale", scale), ("bias", bias), ("mean", np.zeros(channels)), ("var", np.ones(channels))]
        y = self.node("BatchNormalization", [x, *(self.weight("bn_" + k, v) for k, v in parts)], epsilon=EPSILON)
        if virtual:
            self.virtual.add(self.nodes[-1].name)
        return y

    def act(self, x, kind):
        if kind == "relu":
            return self.node("Relu", [x])
        if kind == "relu6":
            return self.node("Clip", [x, self.scalar(0), self.scalar(6)])
        if kind == "hardsigmoid":
            return self.node("HardSigmoid", [x], alpha=1 / 6, beta=0.5)
        if kind == "hardswish" and self.options.opset >= 14:
            return self.node("HardSwish", [x])
        if kind == "hardswish":
            return self.node("Mul", [x, self.act(x, "hardsigmoid")])
        return x

    def pool(self, x, kind, kernel, stride, pad=0, ceil=False):
        c, h, w = self.shape[x]
        size = lambda s: (-(-(s + 2 * pad - kernel) // stride) if ceil else (s + 2 * pad - kernel) // stride) + 1
        attributes = {"ceil_mode": 1} if ceil else {}
        return self.node(
            kind, [x], (c, size(h), size(w)), kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=[pad] * 4, **attributes
        )

    def add(self, x, y):
        return self.node("Add", [x, y])

    def concat(self, values):
        _, *rest = self.shape[values[0]]
        return self.node("Concat", values, (sum(self.shape[v][0] for v in values), *rest), axis=1)

    def mean(self, x, axes, shape, keepdims=1):
        if self.options.opset >= 18:
            return self.node("ReduceMean", [x, self.integers(*axes)], shape, keepdims=keepdims)
        return self.node("ReduceMean", [x], shape, axes=list(axes), keepdims=keepdims)

    def global_pool(self, x):
        c = self.shape[x][0]
        return self.node("Flatten", [self.node("GlobalAveragePool", [x], (c, 1, 1))], (c,))

    def reshape(self, x, target, shape):
        return self.node("Reshape", [x, self.integers(*target)], shape)

    # From the list of nodes to a model

    def model(self, nodes, outputs):
        used = {i for node in nodes for i in node.input}
        weights = [numpy_helper.from_array(array, name) for name, array in self.weights.items() if name in used]
        graph = helper.make_graph(nodes, self.name, self.inputs, outputs, weights)
        opset = helper.make_opsetid("", self.options.opset)
        ir_version = 7 if self.options.opset < 15 else 8 if self.options.opset < 19 else 10
        return helper.make_model(graph, opset_imports=[opset], ir_version=ir_version, producer_name="make_models")

    def build(self, samples):
        """Measures the statistics on `samples` (input name -> array), folds what is to be folded, returns the checked model."""
        self.measure(samples)
        self.fold()
        model = self.model(self.nodes, self.outputs)
        onnx.checker.check_model(model, full_check=True)
        return model

    def measure(self, samples):
        """Runs the graph once with each batch normalization taking the statistics of the batch, and keeps those."""
        nodes, outputs, fetched = [], [], []
        declared, self.nodes = self.nodes, nodes
        for node in declared:
            if node.op_type != "BatchNormalization":
                nodes.append(node)
                continue
            x, scale, bias, *_ = node.input
            axes = [0, *range(2, 1 + len(self.shape[x]))]
            column = (-1, *[1] * (len(self.shape[x]) - 1))
            mean = self.mean(x, axes, column)
            centred = self.node("Sub", [x, mean])
            var = self.mean(self.node("Mul", [centred, centred]), axes, column)
            spread = self.node("Sqrt", [self.node("Add", [var, self.scalar(EPSILON)])])
            scaled = self.node("Mul", [self.node("Div", [centred, spread]), self.reshape(scale, column, column)])
            nodes.append(helper.make_node("Add", [scaled, self.reshape(bias, column, column)], node.output))
            fetched.append((node, mean, var))
            outputs += [helper.make_tensor_value_info(v, TensorProto.FLOAT, None) for v in (mean, var)]
        self.nodes = declared
        if not fetched:
            return
        values = iter(session(self.model(nodes, outputs)).run(None, samples))
        for node, *_ in fetched:
            mean, var = next(values).ravel(), next(values).ravel()
            jitter = 0 if node.name in self.virtual else 0.05
            self.weights[node.input[3]] = mean + self.rng.normal(0, jitter, mean.shape).astype(np.float32) * np.sqrt(var)
            self.weights[node.input[4]] = var * self.rng.uniform(1 - 2 * jitter, 1 + 2 * jitter, var.shape).astype(np.float32)

    def fold(self):
        """Merges batch normalizations into the Conv or Gemm before them: the virtual ones, and all if the options say so."""
        producer = {output: node for node in self.nodes for output in node.output}
        readers = collections.Counter(i for node in self.nodes for i in node.input)
        for norm in [n for n in self.nodes if n.op_type == "BatchNormalization"]:
            layer = producer.get(norm.input[0])
            foldable = layer is not None and layer.op_type in ("Conv", "Gemm") and readers[norm.input[0]] == 1
            if not foldable or not (self.options.fold or norm.name in self.virtual):
                continue
            scale, bias, mean, var = (self.weights[i] for i in norm.input[1:])
            factor = scale / np.sqrt(var + EPSILON)
            weight = self.weights[layer.input[1]]
            before = self.weights[layer.input[2]] if len(layer.input) > 2 else 0
            weight *= factor.reshape(-1, *[1] * (weight.ndim - 1)).astype(np.float32)
            folded = self.weight("folded_bias", (before - mean) * factor + bias)
            layer.input[:] = [*layer.input[:2], folded]
            layer.output[0] = norm.output[0]
            self.nodes.remove(norm)


def session(model_or_path, threads=2):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    model = model_or_path if isinstance(model_or_path, str) else model_or_path.SerializeToString()
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def random_pictures(count, size, seed=0):
    """Pictures [count,3,size,size] of about mean 0 and deviation 1: smooth random fields, each of its own contrast and colour, with noise.
    Plain noise would not do: averaged over a picture, all of it looks the same."""
    rng = np.random.default_rng([seed, count, size])
    pictures = rng.normal(0, 0.2, (count, 3, size, size)).astype(np.float32)
    for cells in (2, 4, 8, 16):
        coarse = rng.normal(0, 0.5, (count, 3, cells + 1, cells + 1)).astype(np.float32)
        at = np.linspace(0, cells, size, endpoint=False, dtype=np.float32)
        low, part = at.astype(int), at % 1
        rows = coarse[:, :, low] * (1 - part)[:, None] + coarse[:, :, low + 1] * part[:, None]
        pictures += rows[..., low] * (1 - part) + rows[..., low + 1] * part
    return pictures * rng.uniform(0.5, 1.5, (count, 1, 1, 1)).astype(np.float32)
