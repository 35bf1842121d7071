"""Networks that are not for pictures: a BERT encoder (arXiv:1810.04805), LSTM and GRU readers of rows, an autoencoder."""

import numpy as np
from onnx import TensorProto

LAYER_NORM_EPSILON = 1e-12


def linear(g, x, features):
    """x W + b on the last axis, W stored [in, out] as MatMul wants it."""
    fan_in = g.shape[x][-1]
    weight = g.weight("matmul_weight", g.normal((fan_in, features), fan_in, 1))
    bias = g.weight("matmul_bias", g.rng.normal(0, 0.02, features))
    return g.add(g.node("MatMul", [x, weight], (*g.shape[x][:-1], features)), bias)


def layer_norm(g, x):
    """LayerNormalization over the last axis; before opset 17 spelled in primitive operators, as exporters do."""
    hidden = g.shape[x][-1]
    scale = g.weight("ln_scale", g.rng.uniform(0.8, 1.2, hidden))
    bias = g.weight("ln_bias", g.rng.normal(0, 0.05, hidden))
    if g.options.opset >= 17:
        return g.node("LayerNormalization", [x, scale, bias], axis=-1, epsilon=LAYER_NORM_EPSILON)
    column = (*g.shape[x][:-1], 1)
    centred = g.node("Sub", [x, g.mean(x, (-1,), column)])
    variance = g.mean(g.node("Pow", [centred, g.scalar(2)]), (-1,), column)
    deviation = g.node("Sqrt", [g.add(variance, g.scalar(LAYER_NORM_EPSILON))])
    return g.add(g.node("Mul", [g.node("Div", [centred, deviation]), scale]), bias)


def gelu(g, x):
    """x (1 + erf(x / sqrt 2)) / 2, in primitive operators."""
    erf = g.node("Erf", [g.node("Div", [x, g.scalar(np.sqrt(2))])])
    return g.node("Mul", [g.node("Mul", [x, g.add(erf, g.scalar(1))]), g.scalar(0.5)])


def attention(g, x, mask, heads):
    hidden = g.shape[x][-1]
    size = hidden // heads

    def split(y, perm):
        return g.node("Transpose", [g.reshape(y, (0, 0, heads, size), ("S", heads, size))], perm=perm)

    query, value = (split(linear(g, x, hidden), [0, 2, 1, 3]) for _ in range(2))
    key = split(linear(g, x, hidden), [0, 2, 3, 1])
    scores = g.node("Div", [g.node("MatMul", [query, key]), g.scalar(np.sqrt(size))])
    weights = g.node("Softmax", [g.add(scores, mask)], axis=-1)
    context = g.node("Transpose", [g.node("MatMul", [weights, value])], perm=[0, 2, 1, 3])
    return linear(g, g.reshape(context, (0, 0, hidden), ("S", hidden)), hidden)


def bert_encoder(g):
    small = g.options.small
    vocabulary, positions, hidden, heads, layers = (1000, 128, 128, 2, 2) if small else (30522, 512, 768, 12, g.options.layers)
    ids = g.input("input_ids", ("S",), TensorProto.INT64)
    mask = g.input("attention_mask", ("S",), TensorProto.INT64)

    words = g.weight("word_embeddings", g.rng.normal(0, 1, (vocabulary, hidden)))
    places = g.weight("position_embeddings", g.rng.normal(0, 0.3, (1, positions, hidden)))
    length = g.node("Gather", [g.node("Shape", [ids]), g.integers(1)], axis=0)
    x = g.node("Gather", [words, ids], ("S", hidden), axis=0)
    x = g.add(x, g.node("Slice", [places, g.integers(0), length, g.integers(1)]))
    x = layer_norm(g, x)

    # 0 where the mask is 1 and -10000, which softmax turns into 0, where it is 0; [N,1,1,S] broadcasts over heads and queries.
    mask = g.node("Cast", [g.node("Unsqueeze", [mask, g.integers(1, 2)])], to=TensorProto.FLOAT)
    mask = g.node("Mul", [g.node("Sub", [g.scalar(1), mask]), g.scalar(-10000)])
    for _ in range(layers):
        x = layer_norm(g, g.add(x, attention(g, x, mask, heads)))
        x = layer_norm(g, g.add(x, linear(g, gelu(g, linear(g, x, 4 * hidden)), hidden)))

    first = g.node("Gather", [x, g.scalar(0, np.int64)], (hidden,), axis=1)
    pooled = g.node("Tanh", [g.dense(first, hidden)])
    g.output(x, "last_hidden_state", ("S", hidden))
    g.output(g.dense(pooled, 2, norm="virtual"), "logits")


def recurrent(g, op, x, hidden, **attributes):
    """One layer of LSTM or GRU over x [T,N,F]; returns all outputs [T,directions,N,H] and the last ones [directions,N,H]."""
    directions = 2 if attributes.get("direction") == "bidirectional" else 1
    gates = {"LSTM": 4, "GRU": 3}[op]
    bound = 1 / np.sqrt(hidden)
    uniform = lambda *shape: g.rng.uniform(-bound, bound, (directions, *shape))
    parts = {
        "w": uniform(gates * hidden, g.shape[x][-1]) * 3,  # three times the usual spread, so that the input matters without training
        "r": uniform(gates * hidden, hidden),
        "b": uniform(2 * gates * hidden),
    }
    inputs = [x, *(g.weight(f"{op.lower()}_{k}", v) for k, v in parts.items())]
    return g.node(op, inputs, (directions, "N", hidden), outputs=2, hidden_size=hidden, **attributes)


def rows_input(g):
    """28 rows of 28 values per sample, as the pictures of MNIST; time comes first behind the Transpose."""
    return g.node("Transpose", [g.input("rows", (28, 28))], (28, 28), perm=[1, 0, 2])


def lstm(g):
    hidden = g.options.width(128)
    outputs, _ = recurrent(g, "LSTM", rows_input(g), hidden)
    x = g.node("Squeeze", [outputs, g.integers(1)], ("N", hidden))
    _, last = recurrent(g, "LSTM", x, hidden)
    g.output(g.dense(g.node("Squeeze", [last, g.integers(0)], (hidden,)), 10, norm="virtual"), "logits")


def gru(g):
    hidden = g.options.width(128)
    _, last = recurrent(g, "GRU", rows_input(g), hidden, direction="bidirectional", linear_before_reset=1)
    x = g.node("Transpose", [last], (2, hidden), perm=[1, 0, 2])
    g.output(g.dense(g.reshape(x, (0, 2 * hidden), (2 * hidden,)), 10, norm="virtual"), "logits")


def autoencoder(g):
    w = g.options.width
    x = g.input("frames", (640,))
    for features in (128, 128, 128, 128, 8, 128, 128, 128, 128):
        x = g.act(g.dense(x, w(features) if features > 8 else features, norm="batch"), "relu")
    g.output(g.dense(x, 640), "reconstruction")
