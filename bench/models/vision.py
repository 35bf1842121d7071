"""The classic picture networks. Each function takes a GraphBuilder, adds the network and returns nothing.

Sources: SqueezeNet 1.1 arXiv:1602.07360, MobileNet arXiv:1704.04861, MobileNetV2 arXiv:1801.04381, MobileNetV3 arXiv:1905.02244,
ResNet arXiv:1512.03385 (v1.5: the stride sits on the 3x3 convolution), EfficientNet-Lite arXiv:1905.11946 without squeeze-and-excite
and with ReLU6, ShuffleNet V2 arXiv:1807.11164, DenseNet arXiv:1608.06993.
"""


def picture(g):
    size = g.options.picture
    return g.input("input", (3, size, size))


def conv_act(g, x, channels, kernel, kind="relu", **conv):
    return g.act(g.conv(x, channels, kernel, **conv), kind)


def classifier(g, x):
    g.output(g.dense(x, g.options.classes, norm="virtual"), "logits")


def squeezenet1_1(g):
    w = g.options.width

    def fire(x, squeeze, expand):
        squeezed = conv_act(g, x, w(squeeze), 1, norm="virtual")
        return g.concat([conv_act(g, squeezed, w(expand), kernel, norm="virtual") for kernel in (1, 3)])

    x = conv_act(g, picture(g), w(64), 3, stride=2, pad="none", norm="virtual")
    for group in (((16, 64),) * 2, ((32, 128),) * 2, ((48, 192),) * 2 + ((64, 256),) * 2):
        x = g.pool(x, "MaxPool", 3, 2, ceil=True)
        for squeeze, expand in group:
            x = fire(x, squeeze, expand)
    x = conv_act(g, x, g.options.classes, 1, norm="virtual")
    g.output(g.global_pool(x), "logits")


def mobilenet_v1(g):
    w = g.options.width
    x = conv_act(g, picture(g), w(32), 3, "relu6", stride=2, pad="same")
    blocks = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1)]
    for channels, stride in blocks:
        x = conv_act(g, x, g.shape[x][0], 3, "relu6", stride=stride, groups=g.shape[x][0], pad="same")
        x = conv_act(g, x, w(channels), 1, "relu6")
    classifier(g, g.global_pool(x))


def inverted_residual(g, x, expanded, channels, kernel, stride, kind, pad="half", squeeze=0):
    """1x1 expand, depthwise, optional squeeze-and-excite with `squeeze` channels, 1x1 project; an Add where shapes allow."""
    y = x
    if expanded != g.shape[x][0]:
        y = conv_act(g, y, expanded, 1, kind)
    y = conv_act(g, y, expanded, kernel, kind, stride=stride, groups=expanded, pad=pad)
    if squeeze:
        pooled = g.node("GlobalAveragePool", [y], (expanded, 1, 1))
        reduced = conv_act(g, pooled, squeeze, 1, "relu", norm="virtual")
        y = g.node("Mul", [y, conv_act(g, reduced, expanded, 1, "hardsigmoid", norm="virtual")])
    y = g.conv(y, channels, 1)
    return g.add(x, y) if stride == 1 and g.shape[x] == g.shape[y] else y


def inverted_stages(g, x, stages, kind, pad):
    for expand, channels, repeats, stride, kernel in stages:
        for i in range(repeats):
            expanded = expand * g.shape[x][0]
            x = inverted_residual(g, x, expanded, g.options.width(channels), kernel, stride if i == 0 else 1, kind, pad)
    return x


def mobilenet_v2(g):
    stages = [(1, 16, 1, 1, 3), (6, 24, 2, 2, 3), (6, 32, 3, 2, 3), (6, 64, 4, 2, 3), (6, 96, 3, 1, 3), (6, 160, 3, 2, 3), (6, 320, 1, 1, 3)]
    w = g.options.width
    x = conv_act(g, picture(g), w(32), 3, "relu6", stride=2)
    x = inverted_stages(g, x, stages, "relu6", "half")
    classifier(g, g.global_pool(conv_act(g, x, w(1280), 1, "relu6")))


def efficientnet_lite0(g):
    stages = [(1, 16, 1, 1, 3), (6, 24, 2, 2, 3), (6, 40, 2, 2, 5), (6, 80, 3, 2, 3), (6, 112, 3, 1, 5), (6, 192, 4, 2, 5), (6, 320, 1, 1, 3)]
    w = g.options.width
    x = conv_act(g, picture(g), w(32), 3, "relu6", stride=2, pad="same")
    x = inverted_stages(g, x, stages, "relu6", "same")
    classifier(g, g.global_pool(conv_act(g, x, w(1280), 1, "relu6")))


# Rows: kernel, expanded channels, channels, squeeze-and-excite, activation, stride.
V3_LARGE = [
    (3, 16, 16, False, "relu", 1), (3, 64, 24, False, "relu", 2), (3, 72, 24, False, "relu", 1), (5, 72, 40, True, "relu", 2),
    (5, 120, 40, True, "relu", 1), (5, 120, 40, True, "relu", 1), (3, 240, 80, False, "hardswish", 2), (3, 200, 80, False, "hardswish", 1),
    (3, 184, 80, False, "hardswish", 1), (3, 184, 80, False, "hardswish", 1), (3, 480, 112, True, "hardswish", 1),
    (3, 672, 112, True, "hardswish", 1), (5, 672, 160, True, "hardswish", 2), (5, 960, 160, True, "hardswish", 1),
    (5, 960, 160, True, "hardswish", 1),
]  # fmt: skip
V3_SMALL = [
    (3, 16, 16, True, "relu", 2), (3, 72, 24, False, "relu", 2), (3, 88, 24, False, "relu", 1), (5, 96, 40, True, "hardswish", 2),
    (5, 240, 40, True, "hardswish", 1), (5, 240, 40, True, "hardswish", 1), (5, 120, 48, True, "hardswish", 1),
    (5, 144, 48, True, "hardswish", 1), (5, 288, 96, True, "hardswish", 2), (5, 576, 96, True, "hardswish", 1),
    (5, 576, 96, True, "hardswish", 1),
]  # fmt: skip


def multiple_of_8(channels):
    """The nearest multiple of 8 that is not more than a tenth below."""
    rounded = max(8, (channels + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * channels else rounded + 8


def mobilenet_v3(g, rows, last_channels, features):
    w = g.options.width
    x = conv_act(g, picture(g), w(16), 3, "hardswish", stride=2)
    for kernel, expanded, channels, excite, kind, stride in rows:
        squeeze = w(multiple_of_8(expanded // 4)) if excite else 0
        x = inverted_residual(g, x, w(expanded), w(channels), kernel, stride, kind, squeeze=squeeze)
    x = g.global_pool(conv_act(g, x, w(last_channels), 1, "hardswish"))
    classifier(g, g.act(g.dense(x, w(features), norm="virtual"), "hardswish"))


def mobilenet_v3_small(g):
    mobilenet_v3(g, V3_SMALL, 576, 1024)


def mobilenet_v3_large(g):
    mobilenet_v3(g, V3_LARGE, 960, 1280)


def resnet_stem(g):
    x = conv_act(g, picture(g), g.options.width(64), 7, stride=2)
    return g.pool(x, "MaxPool", 3, 2, pad=1)


def resnet(g, repeats, bottleneck):
    x = resnet_stem(g)
    for stage, count in enumerate(repeats):
        inner = g.options.width(64 << stage)
        outer = 4 * inner if bottleneck else inner
        for i in range(count):
            stride = 2 if stage > 0 and i == 0 else 1
            if bottleneck:
                y = conv_act(g, conv_act(g, x, inner, 1), inner, 3, stride=stride)
                y = g.conv(y, outer, 1)
            else:
                y = g.conv(conv_act(g, x, inner, 3, stride=stride), outer, 3)
            shortcut = x if stride == 1 and g.shape[x][0] == outer else g.conv(x, outer, 1, stride=stride)
            x = g.act(g.add(y, shortcut), "relu")
    classifier(g, g.global_pool(x))


def resnet18(g):
    resnet(g, (2, 2, 2, 2), bottleneck=False)


def resnet50(g):
    resnet(g, (3, 4, 6, 3), bottleneck=True)


def channel_shuffle(g, x):
    c, h, w = g.shape[x]
    x = g.reshape(x, (0, 2, c // 2, h, w), (2, c // 2, h, w))
    x = g.node("Transpose", [x], (c // 2, 2, h, w), perm=[0, 2, 1, 3, 4])
    return g.reshape(x, (0, c, h, w), (c, h, w))


def shufflenet_v2(g):
    w = g.options.width

    def branch(x, channels, stride):
        y = conv_act(g, x, channels, 1)
        y = g.conv(y, channels, 3, stride=stride, groups=channels)
        return conv_act(g, y, channels, 1)

    x = g.pool(conv_act(g, picture(g), w(24), 3, stride=2), "MaxPool", 3, 2, pad=1)
    for channels, repeats in ((116, 4), (232, 8), (464, 4)):
        half = w(channels) // 2
        for i in range(repeats):
            if i == 0:
                left = g.conv(x, g.shape[x][0], 3, stride=2, groups=g.shape[x][0])
                parts = [conv_act(g, left, half, 1), branch(x, half, 2)]
            else:
                keep, change = g.node("Split", [x, g.integers(half, half)], (half, *g.shape[x][1:]), outputs=2, axis=1)
                parts = [keep, branch(change, half, 1)]
            x = channel_shuffle(g, g.concat(parts))
    x = conv_act(g, x, w(1024), 1)
    classifier(g, g.mean(x, (2, 3), (g.shape[x][0],), keepdims=0))


def densenet121(g):
    growth = g.options.width(32)

    def norm_relu(x):
        return g.act(g.norm(x), "relu")

    x = resnet_stem(g)
    for block, count in enumerate((6, 12, 24, 16)):
        if block > 0:
            x = g.conv(norm_relu(x), g.shape[x][0] // 2, 1, norm="none")
            x = g.pool(x, "AveragePool", 2, 2)
        for _ in range(count):
            y = conv_act(g, norm_relu(x), 4 * growth, 1)
            x = g.concat([x, g.conv(y, growth, 3, norm="none")])
    classifier(g, g.global_pool(norm_relu(x)))
