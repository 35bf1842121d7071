"""Trains the digits example: a small residual CNN on the UCI digits, written as ONNX beside its data.

The network is small enough that forward and backward fit here in plain numpy, so the example needs no
deep-learning framework. Run it with `python train.py` after `pip install numpy scikit-learn onnx`;
it writes every data file of this folder and prints the accuracy on the test split.
"""

import argparse
import pathlib

import numpy as np
import onnx
from numpy.lib.stride_tricks import sliding_window_view
from onnx import TensorProto, helper, numpy_helper
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

TEST_SAMPLES = 600
CALIBRATION_SAMPLES = 256


class Conv3x3:
    """y[n,o] = sum over c of x[n,c] correlated with w[o,c], zero padding 1, stride 1, no bias. x is [N,C,H,W]."""

    def __init__(self, rng, channels_in, channels_out):
        spread = np.sqrt(2.0 / (channels_in * 9))
        self.weight = rng.normal(0, spread, (channels_out, channels_in, 3, 3)).astype(np.float32)
        self.parameters = {"weight": self.weight}
        self.gradients = {}

    def _columns(self, x):
        padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
        windows = sliding_window_view(padded, (3, 3), axis=(2, 3))  # [N,C,H,W,3,3]
        n, c, h, w = x.shape
        return windows.transpose(0, 2, 3, 1, 4, 5).reshape(n * h * w, c * 9)

    def forward(self, x, training):
        self.shape = x.shape
        self.columns = self._columns(x)
        n, _, h, w = x.shape
        y = self.columns @ self.weight.reshape(len(self.weight), -1).T
        return y.reshape(n, h, w, -1).transpose(0, 3, 1, 2)

    def backward(self, dy):
        rows = dy.transpose(0, 2, 3, 1).reshape(-1, dy.shape[1])
        self.gradients["weight"] = (rows.T @ self.columns).reshape(self.weight.shape)
        n, c, h, w = self.shape
        spread = (rows @ self.weight.reshape(len(self.weight), -1)).reshape(n, h, w, c, 3, 3)
        dx = np.zeros((n, c, h + 2, w + 2), np.float32)
        for i in range(3):
            for j in range(3):
                dx[:, :, i : i + h, j : j + w] += spread[..., i, j].transpose(0, 3, 1, 2)
        return dx[:, :, 1:-1, 1:-1]


class BatchNorm:
    """y = scale * (x - mean) / sqrt(var + eps) + bias per channel; batch statistics while training, running ones after."""

    EPSILON = 1e-5

    def __init__(self, channels):
        self.scale = np.ones(channels, np.float32)
        self.bias = np.zeros(channels, np.float32)
        self.mean = np.zeros(channels, np.float32)
        self.var = np.ones(channels, np.float32)
        self.parameters = {"scale": self.scale, "bias": self.bias}
        self.gradients = {}

    def forward(self, x, training):
        mean, var = self.mean, self.var
        if training:
            mean, var = x.mean((0, 2, 3)), x.var((0, 2, 3))
            self.mean = 0.95 * self.mean + 0.05 * mean
            self.var = 0.95 * self.var + 0.05 * var
        self.inverse = 1 / np.sqrt(var + self.EPSILON)
        self.normal = (x - mean[:, None, None]) * self.inverse[:, None, None]
        return self.normal * self.scale[:, None, None] + self.bias[:, None, None]

    def backward(self, dy):
        axes = (0, 2, 3)
        self.gradients["bias"] = dy.sum(axes)
        self.gradients["scale"] = (dy * self.normal).sum(axes)
        centred = dy - dy.mean(axes)[:, None, None] - self.normal * (dy * self.normal).mean(axes)[:, None, None]
        return centred * (self.scale * self.inverse)[:, None, None]


class Relu:
    parameters = {}

    def forward(self, x, training):
        self.positive = x > 0
        return x * self.positive

    def backward(self, dy):
        return dy * self.positive


class MaxPool2x2:
    parameters = {}

    def forward(self, x, training):
        n, c, h, w = x.shape
        blocks = x.reshape(n, c, h // 2, 2, w // 2, 2).transpose(0, 1, 2, 4, 3, 5).reshape(n, c, h // 2, w // 2, 4)
        self.first_largest = np.eye(4, dtype=np.float32)[blocks.argmax(-1)]
        return blocks.max(-1)

    def backward(self, dy):
        n, c, h, w = dy.shape
        blocks = self.first_largest * dy[..., None]
        return blocks.reshape(n, c, h, w, 2, 2).transpose(0, 1, 2, 4, 3, 5).reshape(n, c, 2 * h, 2 * w)


class Residual:
    """y = x + branch(x)."""

    parameters = {}

    def __init__(self, branch):
        self.branch = branch

    def forward(self, x, training):
        y = x
        for layer in self.branch:
            y = layer.forward(y, training)
        return x + y

    def backward(self, dy):
        dx = dy
        for layer in reversed(self.branch):
            dx = layer.backward(dx)
        return dx + dy


class Dense:
    """y = flatten(x) w^T + b."""

    def __init__(self, rng, features_in, features_out):
        self.weight = rng.normal(0, np.sqrt(1.0 / features_in), (features_out, features_in)).astype(np.float32)
        self.bias = np.zeros(features_out, np.float32)
        self.parameters = {"weight": self.weight, "bias": self.bias}
        self.gradients = {}

    def forward(self, x, training):
        self.shape = x.shape
        self.flat = x.reshape(len(x), -1)
        return self.flat @ self.weight.T + self.bias

    def backward(self, dy):
        self.gradients["weight"] = dy.T @ self.flat
        self.gradients["bias"] = dy.sum(0)
        return (dy @ self.weight).reshape(self.shape)


def build_network(rng):
    return [
        Conv3x3(rng, 1, 16), BatchNorm(16), Relu(),
        Conv3x3(rng, 16, 32), BatchNorm(32), Relu(),
        MaxPool2x2(),
        Residual([Conv3x3(rng, 32, 32), BatchNorm(32), Relu(), Conv3x3(rng, 32, 32), BatchNorm(32)]), Relu(),
        Dense(rng, 32 * 4 * 4, 10),
    ]  # fmt: skip


def forward(network, x, training=False):
    for layer in network:
        x = layer.forward(x, training)
    return x


def flatten(network):
    for layer in network:
        yield from flatten(layer.branch) if isinstance(layer, Residual) else [layer]


def shifted(rng, x):
    """Each picture moved by -1, 0 or 1 pixels in both directions, zeros coming in."""
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    offsets = rng.integers(0, 3, (len(x), 2))
    return np.stack([p[:, i : i + 8, j : j + 8] for p, (i, j) in zip(padded, offsets)])


def train(network, rng, x, y, epochs, batch=63, rate=2e-3, decay=1e-4):
    """Adam (Kingma and Ba, 2015) with decoupled weight decay and a cosine learning rate on the cross entropy."""
    layers = list(flatten(network))
    first = [{k: np.zeros_like(v) for k, v in layer.parameters.items()} for layer in layers]
    second = [{k: np.zeros_like(v) for k, v in layer.parameters.items()} for layer in layers]
    steps = epochs * (len(x) // batch)
    step = 0
    for _ in range(epochs):
        order = rng.permutation(len(x))
        for start in range(0, len(x) - batch + 1, batch):
            rows = order[start : start + batch]
            logits = forward(network, shifted(rng, x[rows]), training=True)
            probabilities = np.exp(logits - logits.max(1, keepdims=True))
            probabilities /= probabilities.sum(1, keepdims=True)
            gradient = (probabilities - np.eye(10, dtype=np.float32)[y[rows]]) / batch
            for layer in reversed(network):
                gradient = layer.backward(gradient)
            step += 1
            now = rate * 0.5 * (1 + np.cos(np.pi * step / steps))
            for layer, m, v in zip(layers, first, second):
                for name, value in layer.parameters.items():
                    g = layer.gradients[name]
                    m[name] = 0.9 * m[name] + 0.1 * g
                    v[name] = 0.999 * v[name] + 0.001 * g * g
                    update = m[name] / (1 - 0.9**step) / (np.sqrt(v[name] / (1 - 0.999**step)) + 1e-8)
                    value -= np.float32(now) * (update + decay * value).astype(np.float32)


class OnnxWriter:
    """Collects nodes and initializers while the network is walked once."""

    def __init__(self):
        self.nodes = []
        self.initializers = []

    def constant(self, name, array):
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(array, np.float32), name))
        return name

    def node(self, op, inputs, name, **attributes):
        self.nodes.append(helper.make_node(op, inputs, [name], name=name, **attributes))
        return name

    def layers(self, network, x, counts):
        for layer in network:
            kind = type(layer).__name__
            counts[kind] = counts.get(kind, 0) + 1
            name = f"{kind.lower()}{counts[kind]}"
            if isinstance(layer, Conv3x3):
                weight = self.constant(name + ".weight", layer.weight)
                x = self.node("Conv", [x, weight], name, kernel_shape=[3, 3], pads=[1, 1, 1, 1])
            elif isinstance(layer, BatchNorm):
                parts = [self.constant(f"{name}.{k}", getattr(layer, k)) for k in ("scale", "bias", "mean", "var")]
                x = self.node("BatchNormalization", [x, *parts], name, epsilon=BatchNorm.EPSILON)
            elif isinstance(layer, Relu):
                x = self.node("Relu", [x], name)
            elif isinstance(layer, MaxPool2x2):
                x = self.node("MaxPool", [x], name, kernel_shape=[2, 2], strides=[2, 2])
            elif isinstance(layer, Residual):
                x = self.node("Add", [x, self.layers(layer.branch, x, counts)], name)
            elif isinstance(layer, Dense):
                weight, bias = self.constant(name + ".weight", layer.weight), self.constant(name + ".bias", layer.bias)
                x = self.node("Gemm", [self.node("Flatten", [x], "flatten"), weight, bias], name, transB=1)
        return x


def to_onnx(network):
    writer = OnnxWriter()
    writer.node("Softmax", [writer.layers(network, "pixels", {})], "probabilities", axis=1)
    graph = helper.make_graph(
        writer.nodes, "digits",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["N", 1, 8, 8])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", 10])],
        writer.initializers,
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7, producer_name="digits")
    onnx.checker.check_model(model, full_check=True)
    return model


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path(__file__).parent, help="folder to write to")
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()

    pixels, labels = load_digits(return_X_y=True)
    pixels = pixels.reshape(-1, 1, 8, 8).astype(np.float32)
    train_x, test_x, train_y, test_y = train_test_split(
        pixels, labels.astype(np.int64), test_size=TEST_SAMPLES, stratify=labels, random_state=options.seed
    )
    rng = np.random.default_rng(options.seed)
    network = build_network(rng)
    train(network, rng, train_x, train_y, options.epochs)

    for name, x, y in (("training", train_x, train_y), ("test", test_x, test_y)):
        right = int((forward(network, x).argmax(1) == y).sum())
        print(f"{name}: {right} of {len(y)} right, {100 * right / len(y):.2f} %")

    options.out.mkdir(parents=True, exist_ok=True)
    onnx.save(to_onnx(network), options.out / "digits.onnx")
    np.save(options.out / "calib_x.npy", train_x[:CALIBRATION_SAMPLES])
    np.save(options.out / "test_x.npy", test_x)
    np.save(options.out / "test_y.npy", test_y)
    (options.out / "labels.txt").write_text("".join(f"{digit}\n" for digit in range(10)))


if __name__ == "__main__":
    main()
