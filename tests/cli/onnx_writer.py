"""Writes small ONNX files byte by byte, so that the command line can be tested on sound and broken ones without any package."""

import struct

FLOAT, INT64 = 1, 7


def varint(value):
    out = b""
    while True:
        low, value = value & 0x7F, value >> 7
        out += bytes([low | (0x80 if value else 0)])
        if not value:
            return out


def field(number, payload):
    """A length-delimited field (bytes or text) or a number."""
    if isinstance(payload, int):
        return varint(number << 3) + varint(payload)
    if isinstance(payload, str):
        payload = payload.encode()
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def tensor(name, dims, values):
    """TensorProto of float32."""
    body = b"".join(field(1, d) for d in dims) + field(2, FLOAT) + field(8, name)
    return body + field(9, struct.pack(f"<{len(values)}f", *values))


def value_info(name, dims):
    """ValueInfoProto of float32; a text is a symbolic dimension."""
    shape = b"".join(field(1, field(1, d) if isinstance(d, int) else field(2, d)) for d in dims)
    return field(1, name) + field(2, field(1, field(1, FLOAT) + field(2, shape)))


def node(op, inputs, outputs, name, domain=""):
    body = b"".join(field(1, i) for i in inputs) + b"".join(field(2, o) for o in outputs)
    body += field(3, name) + field(4, op)
    return body + (field(7, domain) if domain else b"")


def model(nodes, initializers, inputs, outputs, opset=13, domains=()):
    graph = b"".join(field(1, n) for n in nodes) + field(2, "g")
    graph += b"".join(field(5, t) for t in initializers)
    graph += b"".join(field(11, i) for i in inputs) + b"".join(field(12, o) for o in outputs)
    opsets = field(8, field(1, "") + field(2, opset))
    opsets += b"".join(field(8, field(1, d) + field(2, 1)) for d in domains)
    return field(1, 7) + field(7, graph) + opsets


def linear_model(weights, node_name="fc", outputs=3):
    """y[N, outputs] = x[N, 4] W[4, outputs] + b."""
    bias = [0.1 * (i % 5) - 0.2 for i in range(outputs)]
    return model([node("Gemm", ["x", "w", "b"], ["y"], node_name)],
                 [tensor("w", [4, outputs], weights), tensor("b", [outputs], bias)],
                 [value_info("x", ["N", 4])], [value_info("y", ["N", outputs])])


def npy(dims, values, kind="<f4"):
    """A .npy file of version 1.0."""
    shape = "(" + "".join(f"{d}, " for d in dims) + ")"
    header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}"
    header += " " * (-(len(header) + 11) % 64) + "\n"
    code = {"<f4": "f", "<i8": "q"}[kind]
    return (b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode()
            + struct.pack(f"<{len(values)}{code}", *values))
