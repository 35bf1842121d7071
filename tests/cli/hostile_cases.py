"""Files that a model reader must survive: handmade ones, each with what is expected of them, and seeded mutations of sound ones.

A case is (name, expectation, writer). The writer fills a folder and returns (model path, data path or None). Expectations:
    refuse   inspect or quantize has to say no; neither may write anything
    accept   both have to work
    either   both answers are good, as long as they are clean
"""

import io
import os
import random
import struct
import zipfile

import onnx_writer as onnx

FLOAT, INT64, INT8 = 1, 7, 3
BIG = 1 << 40


def ints(name, dims, values, kind=INT64):
    """TensorProto of int64 or int8 from raw bytes."""
    code = {INT64: "q", INT8: "b"}[kind]
    body = b"".join(onnx.field(1, d & (1 << 64) - 1) for d in dims) + onnx.field(2, kind) + onnx.field(8, name)
    return body + onnx.field(9, struct.pack(f"<{len(values)}{code}", *values))


def raw(name, dims, data, kind=FLOAT):
    return b"".join(onnx.field(1, d & (1 << 64) - 1) for d in dims) + onnx.field(2, kind) + onnx.field(8, name) + onnx.field(9, data)


def external(name, dims, **entries):
    body = b"".join(onnx.field(1, d) for d in dims) + onnx.field(2, FLOAT) + onnx.field(8, name) + onnx.field(14, 1)
    return body + b"".join(onnx.field(13, onnx.field(1, k) + onnx.field(2, v)) for k, v in entries.items())


def attribute(name, value):
    body = onnx.field(1, name)
    if isinstance(value, bytes):
        return body + onnx.field(6, value) + onnx.field(20, 5)  # a graph
    if isinstance(value, int):
        return body + onnx.field(3, value & (1 << 64) - 1) + onnx.field(20, 2)
    return body + b"".join(onnx.field(8, v & (1 << 64) - 1) for v in value) + onnx.field(20, 7)


def node(op, inputs, outputs, name="n", domain="", **attributes):
    return onnx.node(op, inputs, outputs, name, domain) + b"".join(onnx.field(5, attribute(k, v)) for k, v in attributes.items())


def numbers(count, seed=1):
    source = random.Random(seed)
    return [source.uniform(-1, 1) for _ in range(count)]


def with_nodes(nodes, initializers=(), outputs=("y",), opset=13, shape=("N", 4), **kw):
    return onnx.model(nodes, list(initializers), [onnx.value_info("x", shape)], [onnx.value_info(o, ["N", "M"]) for o in outputs], opset, **kw)


def convolution(weight_dims=(4, 2, 3, 3), **attributes):
    count = 1
    for d in weight_dims:
        count *= d
    nodes = [node("Conv", ["x", "w", "b"], ["c"], "conv", **attributes), node("Relu", ["c"], ["y"], "relu")]
    return onnx.model(nodes, [onnx.tensor("w", weight_dims, numbers(count)), onnx.tensor("b", [weight_dims[0]], numbers(weight_dims[0]))],
                      [onnx.value_info("x", ["N", 2, 8, 8])], [onnx.value_info("y", ["N", 4, "H", "W"])])


def after_gemm(extra, initializers=(), result="z"):
    """A layer, and behind it nodes that read y and give `result`."""
    return with_nodes([node("Gemm", ["x", "w", "b"], ["y"], "fc")] + list(extra),
                      [onnx.tensor("w", [4, 3], numbers(12)), onnx.tensor("b", [3], numbers(3)), *initializers], (result,))


def graph(nodes, outputs, name="body"):
    return b"".join(onnx.field(1, n) for n in nodes) + onnx.field(2, name) + b"".join(onnx.field(12, onnx.value_info(o, ["N", 3])) for o in outputs)


def nested_branches(depth):
    body = graph([node("Identity", ["y"], ["t0"], "leaf")], ["t0"])
    for level in range(1, depth):
        body = graph([node("If", ["c"], [f"t{level}"], f"if{level}", then_branch=body, else_branch=graph([node("Identity", ["y"], ["e"])], ["e"]))],
                     [f"t{level}"])
    other = graph([node("Identity", ["y"], ["e"])], ["e"])
    condition = [node("ReduceSum", ["y"], ["s"], "s", keepdims=0), node("Cast", ["s"], ["c"], "cast", to=9)]
    return after_gemm(condition + [node("If", ["c"], ["z"], "if", then_branch=body, else_branch=other)])


def function(name, nodes):
    body = onnx.field(1, name) + onnx.field(4, "a") + onnx.field(5, "b") + b"".join(onnx.field(7, n) for n in nodes)
    return body + onnx.field(9, onnx.field(1, "") + onnx.field(2, 13)) + onnx.field(10, "f")


def with_functions(functions):
    base = after_gemm([node("f0", ["y"], ["z"], "call", domain="f")], ()) + onnx.field(8, onnx.field(1, "f") + onnx.field(2, 1))
    return base + b"".join(onnx.field(25, f) for f in functions)


def doubling_functions(levels):
    calls = lambda i: [node(f"f{i + 1}", ["a"], ["t"], domain="f"), node(f"f{i + 1}", ["t"], ["b"], domain="f")]
    return [function(f"f{i}", calls(i)) for i in range(levels)] + [function(f"f{levels}", [node("Relu", ["a"], ["b"])])]


def chain(length):
    nodes = [node("Relu", [f"v{i}" if i else "x"], [f"v{i + 1}"], f"r{i}") for i in range(length)]
    return with_nodes(nodes, outputs=(f"v{length}",))


def qdq(scale=0.1, zero_point=0, axis=None, dims=()):
    kw = {} if axis is None else {"axis": axis}
    count = dims[0] if dims else 1
    pair = [node("QuantizeLinear", ["y", "s", "p"], ["q"], "q", **kw), node("DequantizeLinear", ["q", "s", "p"], ["z"], "d", **kw)]
    return after_gemm(pair, [onnx.tensor("s", list(dims), [scale] * count), ints("p", list(dims), [zero_point] * count, INT8)])


def constants(op, inputs, **attributes):
    """A node whose inputs are all constants, added to the layer's result."""
    named = [(f"k{i}", v) for i, v in enumerate(inputs)]
    tensors = [ints(n, v[0], v[1]) if v[2] == INT64 else onnx.tensor(n, v[0], v[1]) for n, v in named]
    return after_gemm([node(op, [n for n, _ in named], ["k"], "bomb", **attributes), node("Cast", ["k"], ["kf"], "cast", to=1),
                       node("ReduceSum", ["kf"], ["ks"], "sum", keepdims=0), node("Add", ["y", "ks"], ["z"], "add")], tensors)


def int_list(*values):
    return ([len(values)], list(values), INT64)


def one(value):
    return ([], [value], INT64)


GOOD = onnx.linear_model(numbers(12))
UGLY = "a\x1b[31m\nb\x07\u202e"

MODELS = [
    ("good", "accept", GOOD),
    ("empty", "refuse", b""),
    ("garbage", "refuse", bytes(random.Random(2).randrange(256) for _ in range(4096))),
    ("zeros", "refuse", bytes(4096)),
    ("half", "refuse", GOOD[: len(GOOD) // 2]),
    ("conv", "accept", convolution()),
    ("init_wrap", "refuse", with_nodes([node("MatMul", ["x", "w"], ["y"])], [raw("w", [1 << 32, 1 << 32], b"\0" * 48)])),
    ("init_wrap_to_fit", "refuse", with_nodes([node("MatMul", ["x", "w"], ["y"])], [raw("w", [(1 << 62) + 4, 4], b"\0" * 64)])),
    ("init_negative", "refuse", with_nodes([node("MatMul", ["x", "w"], ["y"])], [raw("w", [-4, -3], b"\0" * 48)])),
    ("init_huge", "refuse", with_nodes([node("MatMul", ["x", "w"], ["y"])], [raw("w", [4, BIG], b"\0" * 48)])),
    ("init_short", "refuse", with_nodes([node("MatMul", ["x", "w"], ["y"])], [raw("w", [4, 3], b"\0" * 47)])),
    ("init_long", "refuse", with_nodes([node("MatMul", ["x", "w"], ["y"])], [raw("w", [4, 3], b"\0" * 52)])),
    ("init_type", "refuse", with_nodes([node("MatMul", ["x", "w"], ["y"])], [raw("w", [4, 3], b"\0" * 48, 99)])),
    ("init_nan", "refuse", onnx.linear_model(numbers(11) + [float("nan")])),
    ("init_inf", "refuse", onnx.linear_model(numbers(11) + [float("-inf")])),
    ("bias_nan", "refuse", with_nodes([node("Gemm", ["x", "w", "b"], ["y"])], [onnx.tensor("w", [4, 3], numbers(12)), onnx.tensor("b", [3], [0, float("nan"), 0])])),
    ("cycle", "refuse", with_nodes([node("Add", ["x", "b"], ["a"], "n1"), node("Relu", ["a"], ["b"], "n2"), node("Relu", ["b"], ["y"], "n3")])),
    ("self_cycle", "refuse", with_nodes([node("Add", ["x", "y"], ["y"])])),
    ("made_twice", "refuse", with_nodes([node("Relu", ["x"], ["y"], "n1"), node("Neg", ["x"], ["y"], "n2")])),
    ("missing_input", "refuse", with_nodes([node("Add", ["x", "nowhere"], ["y"])])),
    ("missing_output", "refuse", with_nodes([node("Relu", ["x"], ["z"])])),
    ("no_graph", "refuse", onnx.field(1, 7) + onnx.field(8, onnx.field(1, "") + onnx.field(2, 13))),
    ("no_opset", "either", GOOD[: GOOD.rindex(onnx.field(8, onnx.field(1, "") + onnx.field(2, 13)))]),
    ("opset_0", "refuse", with_nodes([node("Relu", ["x"], ["y"])], opset=0)),
    ("opset_999", "refuse", with_nodes([node("Relu", ["x"], ["y"])], opset=999)),
    ("names", "either", with_nodes([node("Gemm", ["x", UGLY], ["y"], UGLY)], [onnx.tensor(UGLY, [4, 3], numbers(12))])),
    ("op_name", "either", with_nodes([node(UGLY, ["x"], ["y"], "n", UGLY)])),
    ("name_dotdot", "either", with_nodes([node("Gemm", ["x", "../../escaped"], ["y"], "../escaped")], [onnx.tensor("../../escaped", [4, 3], numbers(12))])),
    ("chain", "accept", chain(100000)),
    ("nest_groups", "either", GOOD + b"\xa3\x06" * 100000),
    ("nest_messages", "refuse", None),
    ("nest_branches_20", "either", nested_branches(20)),
    ("nest_branches_500", "refuse", nested_branches(500)),
    ("function_recursion", "refuse", with_functions([function("f0", [node("f0", ["a"], ["b"], domain="f")])])),
    ("function_bomb", "refuse", with_functions(doubling_functions(40))),
    ("conv_stride_0", "refuse", convolution(strides=[0, 0])),
    ("conv_stride_negative", "refuse", convolution(strides=[-1, 1])),
    ("conv_dilation_0", "refuse", convolution(dilations=[0, 1])),
    ("conv_dilation_huge", "refuse", convolution(dilations=[1 << 62, 1])),
    ("conv_group_0", "refuse", convolution(group=0)),
    ("conv_group_negative", "refuse", convolution(group=-1)),
    ("conv_group_3", "refuse", convolution(group=3)),
    ("conv_pads_huge", "refuse", convolution(pads=[1 << 62] * 4)),
    ("conv_pads_negative", "refuse", convolution(pads=[-9, 0, 0, 0])),
    ("conv_kernel_0", "refuse", convolution(weight_dims=(4, 2, 0, 3))),
    ("conv_kernel_other", "refuse", convolution(kernel_shape=[5, 5])),
    ("pool_kernel_0", "refuse", after_gemm([node("Unsqueeze", ["y", "u"], ["v"], "u"), node("MaxPool", ["v"], ["z"], "p", kernel_shape=[0])], [ints("u", [1], [0])])),
    ("reshape_0", "refuse", after_gemm([node("Reshape", ["y", "s"], ["z"], "r")], [ints("s", [2], [-1, -1])])),
    ("reshape_wrap", "refuse", after_gemm([node("Reshape", ["y", "s"], ["z"], "r")], [ints("s", [3], [1 << 32, 1 << 32, 3])])),
    ("gather_oob", "refuse", after_gemm([node("Gather", ["y", "i"], ["z"], "g", axis=1)], [ints("i", [1], [1 << 40])])),
    ("transpose_perm", "refuse", after_gemm([node("Transpose", ["y"], ["z"], "t", perm=[0, 0])])),
    ("axis_oob", "refuse", after_gemm([node("Softmax", ["y"], ["z"], "s", axis=9)])),
    ("div_0", "refuse", constants("Div", [one(1), one(0)])),
    ("div_min", "refuse", constants("Div", [one(-(1 << 63)), one(-1)])),
    ("mod_0", "refuse", constants("Mod", [one(1), one(0)])),
    ("fill_bomb", "refuse", constants("ConstantOfShape", [int_list(1 << 20, 1 << 20)])),
    ("fill_wrap", "refuse", constants("ConstantOfShape", [int_list(1 << 32, 1 << 32)])),
    ("fill_negative", "refuse", constants("ConstantOfShape", [int_list(-1)])),
    ("expand_bomb", "refuse", constants("Expand", [one(1), int_list(1 << 20, 1 << 20)])),
    ("tile_bomb", "refuse", constants("Tile", [int_list(1, 2), int_list(1 << 50)])),
    ("range_bomb", "refuse", constants("Range", [one(0), one(1 << 62), one(1)])),
    ("range_0", "refuse", constants("Range", [one(0), one(9), one(0)])),
    ("split_negative", "refuse", after_gemm([node("Split", ["y", "k"], ["z", "z2"], "s", axis=1)], [ints("k", [2], [-1, 4])])),
    ("loop_forever", "refuse", None),
    ("scale_0", "refuse", qdq(0.0)),
    ("scale_nan", "refuse", qdq(float("nan"))),
    ("scale_inf", "refuse", qdq(float("inf"))),
    ("scale_negative", "refuse", qdq(-0.5)),
    ("qdq_axis_oob", "refuse", qdq(axis=7, dims=(3,))),
    ("qdq_length", "refuse", qdq(axis=1, dims=(2,))),
]  # fmt: skip


def nested_types(depth):
    inner = onnx.field(1, onnx.field(1, FLOAT))
    for _ in range(depth):
        inner = onnx.field(4, onnx.field(1, inner))
    value = onnx.field(1, "x") + onnx.field(2, inner)
    return onnx.model([node("Relu", ["x"], ["y"])], [], [value], [onnx.value_info("y", [1])])


def endless_loop():
    body_in = [onnx.field(1, "i") + onnx.field(2, onnx.field(1, onnx.field(1, INT64))), onnx.field(1, "c") + onnx.field(2, onnx.field(1, onnx.field(1, 9))),
               onnx.value_info("a", ["N", 3])]
    body = graph([node("Identity", ["c"], ["c2"], "i1"), node("Relu", ["a"], ["a2"], "i2")], [])
    body += b"".join(onnx.field(11, v) for v in body_in)
    body += onnx.field(12, onnx.field(1, "c2") + onnx.field(2, onnx.field(1, onnx.field(1, 9)))) + onnx.field(12, onnx.value_info("a2", ["N", 3]))
    return after_gemm([node("Loop", ["trips", "", "y"], ["z"], "loop", body=body)], [ints("trips", [], [(1 << 63) - 1])])


LATE = {"nest_messages": lambda: nested_types(3000), "loop_forever": endless_loop}


def write_model(contents):
    def write(folder):
        path = folder / "m.onnx"
        path.write_bytes(contents)
        return path, None

    return write


def external_model(**entries):
    return with_nodes([node("MatMul", ["x", "w"], ["y"])], [external("w", [4, 3], **entries)])


def external_case(prepare=lambda folder: None, **entries):
    def write(folder):
        (folder / "m").mkdir()
        (folder / "outside.bin").write_bytes(struct.pack("<12f", *numbers(12)))
        (folder / "m" / "w.bin").write_bytes(struct.pack("<12f", *numbers(12)))
        prepare(folder)
        (folder / "m" / "m.onnx").write_bytes(external_model(**entries))
        return folder / "m" / "m.onnx", None

    return write


EXTERNAL = [
    ("ext_good", "accept", external_case(location="w.bin")),
    ("ext_dotdot", "refuse", external_case(location="../outside.bin")),
    ("ext_dotdot_inside", "refuse", external_case(location="sub/../../outside.bin")),
    ("ext_absolute", "refuse", external_case(location="/etc/passwd")),
    ("ext_url", "refuse", external_case(location="file:///etc/passwd")),
    ("ext_nul", "refuse", external_case(location="w.bin\0.txt")),
    ("ext_empty", "refuse", external_case(location="")),
    ("ext_missing", "refuse", external_case(location="nowhere.bin")),
    ("ext_folder", "refuse", external_case(location=".")),
    ("ext_symlink", "refuse", external_case(lambda f: os.symlink("../outside.bin", f / "m/link.bin"), location="link.bin")),
    ("ext_symlink_folder", "refuse", external_case(lambda f: os.symlink("..", f / "m/up"), location="up/outside.bin")),
    ("ext_hardlink", "refuse", external_case(lambda f: os.link(f / "outside.bin", f / "m/hard.bin"), location="hard.bin")),
    ("ext_fifo", "refuse", external_case(lambda f: os.mkfifo(f / "m/pipe"), location="pipe")),
    ("ext_zero", "refuse", external_case(lambda f: os.symlink("/dev/zero", f / "m/zero"), location="zero")),
    ("ext_offset_far", "refuse", external_case(location="w.bin", offset="4096")),
    ("ext_offset_wrap", "refuse", external_case(location="w.bin", offset=str((1 << 64) - 4))),
    ("ext_offset_negative", "refuse", external_case(location="w.bin", offset="-8")),
    ("ext_length_wrong", "refuse", external_case(location="w.bin", length="44")),
    ("ext_length_text", "refuse", external_case(location="w.bin", length="many")),
]


def npy_bytes(header, body=b"", version=b"\x01\x00", length=None):
    header = header.encode("latin-1")
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    size = len(header) if length is None else length
    return b"\x93NUMPY" + version + (struct.pack("<H", size & 0xFFFF) if version[0] == 1 else struct.pack("<I", size)) + header + body


def described(shape, kind="<f4", fortran="False"):
    return f"{{'descr': '{kind}', 'fortran_order': {fortran}, 'shape': {shape}, }}"


SAMPLES = struct.pack("<160f", *numbers(160, 3))


def npz(entries, compression=zipfile.ZIP_DEFLATED):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        for name, contents in entries:
            archive.writestr(name, contents)
    return out.getvalue()


def with_nan():
    values = numbers(160, 3)
    values[77] = float("nan")
    return struct.pack("<160f", *values)


DATA = [
    ("data_good", "accept", "x.npy", npy_bytes(described("(40, 4)"), SAMPLES)),
    ("data_fortran", "accept", "x.npy", npy_bytes(described("(40, 4)", fortran="True"), SAMPLES)),
    ("data_version_2", "accept", "x.npy", npy_bytes(described("(40, 4)"), SAMPLES, b"\x02\x00")),
    ("data_empty", "refuse", "x.npy", b""),
    ("data_short", "refuse", "x.npy", npy_bytes(described("(40, 4)"), SAMPLES[:-1])),
    ("data_long", "refuse", "x.npy", npy_bytes(described("(40, 4)"), SAMPLES + b"\0" * 4)),
    ("data_no_rows", "refuse", "x.npy", npy_bytes(described("(0, 4)"))),
    ("data_wrap", "refuse", "x.npy", npy_bytes(described(f"({1 << 62}, 4)"), SAMPLES)),
    ("data_negative", "refuse", "x.npy", npy_bytes(described("(-40, 4)"), SAMPLES)),
    ("data_scalar", "refuse", "x.npy", npy_bytes(described("()"), SAMPLES[:4])),
    ("data_object", "refuse", "x.npy", npy_bytes(described("(40, 4)", "|O"), SAMPLES)),
    ("data_big_endian", "either", "x.npy", npy_bytes(described("(40, 4)", ">f4"), SAMPLES)),
    ("data_unknown_type", "refuse", "x.npy", npy_bytes(described("(40, 4)", "<f3"), SAMPLES)),
    ("data_expression", "refuse", "x.npy", npy_bytes(described("__import__('os').mkdir('PWNED')"), SAMPLES)),
    ("data_header_far", "refuse", "x.npy", npy_bytes(described("(40, 4)"), SAMPLES, length=65535)),
    ("data_header_nested", "refuse", "x.npy", npy_bytes(described("(" * 20000), SAMPLES, b"\x02\x00")),
    ("data_version_9", "refuse", "x.npy", npy_bytes(described("(40, 4)"), SAMPLES, b"\x09\x00")),
    ("data_nan", "refuse", "x.npy", npy_bytes(described("(40, 4)"), with_nan())),
    ("data_rank", "refuse", "x.npy", npy_bytes(described("(20, 8)"), SAMPLES)),
    ("npz_good", "accept", "x.npz", npz([("x.npy", npy_bytes(described("(40, 4)"), SAMPLES))])),
    ("npz_other_name", "refuse", "x.npz", npz([("z.npy", npy_bytes(described("(40, 4)"), SAMPLES))])),
    ("npz_dotdot", "either", "x.npz", npz([("x.npy", npy_bytes(described("(40, 4)"), SAMPLES)), ("../../escaped.npy", b"x")])),
    ("npz_twice", "either", "x.npz", npz([("x.npy", npy_bytes(described("(40, 4)"), SAMPLES))] * 2)),
    ("npz_bomb", "refuse", "x.npz", npz([("x.npy", npy_bytes(described(f"({1 << 26}, 4)"), bytes(1 << 30)))]) if os.environ.get("LOWBIT_BOMBS") else npz([("x.npy", b"")])),
    ("npz_cut", "refuse", "x.npz", npz([("x.npy", npy_bytes(described("(40, 4)"), SAMPLES))])[:-30]),
]  # fmt: skip


def write_data(name, contents):
    def write(folder):
        (folder / "m.onnx").write_bytes(GOOD)
        (folder / name).write_bytes(contents)
        return folder / "m.onnx", folder / name

    return write


def mutated(contents, source):
    """One to three random changes."""
    data = bytearray(contents)
    for _ in range(source.randint(1, 3)):
        at = source.randrange(len(data))
        kind = source.randrange(6)
        if kind == 0:
            data[at] ^= 1 << source.randrange(8)
        elif kind == 1:
            data[at] = source.choice((0, 0x7F, 0x80, 0xFF))
        elif kind == 2:
            del data[at : at + source.randint(1, 16)]
        elif kind == 3:
            data[at:at] = data[at : at + source.randint(1, 64)]
        elif kind == 4:
            data[at:at] = b"\xff" * source.randint(1, 9) + b"\x01"
        else:
            del data[max(at, 8) :]
        if not data:
            data = bytearray(b"\0")
    return bytes(data)


def mutations(count, seed):
    source = random.Random(seed)
    seeds = [GOOD, convolution(), qdq(), qdq(axis=1, dims=(3,)), nested_branches(2), endless_loop()]
    for number in range(count):
        if number % 4 == 3:
            kind, name = source.choice((("npy", "x.npy"), ("npz", "x.npz")))
            sound = npy_bytes(described("(40, 4)"), SAMPLES)
            yield f"mutated_{kind}_{seed}_{number}", "either", write_data(name, mutated(sound if kind == "npy" else npz([("x.npy", sound)]), source))
        else:
            yield f"mutated_onnx_{seed}_{number}", "either", write_model(mutated(source.choice(seeds), source))


def all_cases(count, seed):
    for name, expectation, contents in MODELS:
        yield name, expectation, write_model(LATE[name]() if contents is None else contents)
    yield from EXTERNAL
    for name, expectation, file, contents in DATA:
        yield name, expectation, write_data(file, contents)
    yield from mutations(count, seed)
