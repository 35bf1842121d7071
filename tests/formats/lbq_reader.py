#!/usr/bin/env python3
"""A second reader of the container .lbq, written from docs/container.md alone; needs nothing but Python's own library.

As a program: prints the model as JSON. Values of the linear systems are decoded.
"""

import json
import struct
import sys

MASK = (1 << 64) - 1
TYPES = (
    "undefined float32 float64 float16 bfloat16 int8 int16 int32 int64 uint8 uint16 uint32 uint64 bool string "
    "int4 uint4 int2 uint2 float8e4m3fn float8e4m3fnuz float8e5m2 float8e5m2fnuz"
).split()
BYTES = dict(float32=4, float64=8, float16=2, bfloat16=2, int16=2, int32=4, int64=8, uint16=2, uint32=4, uint64=8)
FORMATS = dict(
    float32="f", float64="d", float16="e", int8="b", int16="h", int32="i", int64="q", uint8="B", uint16="H", uint32="I",
    uint64="Q", bool="B", bfloat16="H", int4="b", uint4="B", int2="b", uint2="B",
)  # fmt: skip
P1, P2, P3, P4, P5 = (
    0x9E3779B185EBCA87,
    0xC2B2AE3D27D4EB4F,
    0x165667B19E3779F9,
    0x85EBCA77C2B2AE63,
    0x27D4EB2F165667C5,
)


class Damaged(Exception):
    """The file breaks the specification."""


def need(condition, message):
    if not condition:
        raise Damaged(message)


def rotl(x, r):
    return ((x << r) | (x >> (64 - r))) & MASK


def xxh64(data):
    def mix(acc, lane):
        return rotl((acc + lane * P2) & MASK, 31) * P1 & MASK

    n, at = len(data), 0
    if n >= 32:
        v = [(P1 + P2) & MASK, P2, 0, -P1 & MASK]
        for lanes in struct.iter_unpack("<4Q", data[: n // 32 * 32]):
            v = [mix(a, lane) for a, lane in zip(v, lanes)]
        at = n // 32 * 32
        h = (rotl(v[0], 1) + rotl(v[1], 7) + rotl(v[2], 12) + rotl(v[3], 18)) & MASK
        for a in v:
            h = ((h ^ mix(0, a)) * P1 + P4) & MASK
    else:
        h = P5
    h = (h + n) & MASK
    while at + 8 <= n:
        h = (rotl(h ^ mix(0, int.from_bytes(data[at : at + 8], "little")), 27) * P1 + P4) & MASK
        at += 8
    if at + 4 <= n:
        h = (rotl(h ^ (int.from_bytes(data[at : at + 4], "little") * P1 & MASK), 23) * P2 + P3) & MASK
        at += 4
    for byte in data[at:]:
        h = rotl(h ^ (byte * P5 & MASK), 11) * P1 & MASK
    h = (h ^ (h >> 33)) * P2 & MASK
    h = (h ^ (h >> 29)) * P3 & MASK
    return h ^ (h >> 32)


class Cursor:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, n):
        need(self.at + n <= len(self.data), "ends too early")
        self.at += n
        return self.data[self.at - n : self.at]

    def unpack(self, code):
        return struct.unpack("<" + code, self.take(struct.calcsize("<" + code)))[0]

    def u8(self):
        return self.unpack("B")

    def varint(self):
        value, shift = 0, 0
        while True:
            byte = self.u8()
            value |= (byte & 127) << shift
            if byte < 128:
                need(value <= MASK and (byte or not shift), "a varint is too long")
                return value
            shift += 7

    def svarint(self):
        folded = self.varint()
        return folded >> 1 if folded % 2 == 0 else -(folded + 1 >> 1)

    def text(self):
        return self.take(self.varint()).decode()

    def list(self, item):
        return [item() for _ in range(self.varint())]

    def finish(self):
        need(self.at == len(self.data), "has bytes behind its end")


def aligned(offset):
    return (offset + 63) // 64 * 64


def read_sections(data):
    need(len(data) >= 64 and data[:8] == b"\x89LBQ\r\n\x1a\n", "is no container")
    major, _, count, size, table_hash = struct.unpack("<HHIQQ", data[8:32])
    need(xxh64(data[:56]) == struct.unpack("<Q", data[56:64])[0], "header checksum")
    need(major == 1, "is of another version")
    need(size == len(data) and 64 + 64 * count <= size, "is cut off")
    table, end, sections = data[64 : 64 + 64 * count], 64 + 64 * count, {}
    need(xxh64(table) == table_hash, "section table checksum")
    for kind, flags, offset, size, checksum, name in struct.iter_unpack("<4sIQQQ32s", table):
        kind, name = kind.decode(), name.rstrip(b"\0").decode()
        need(offset == aligned(end) and not any(data[end:offset]), "a section lies elsewhere")
        end = offset + size
        body = data[offset:end]
        need(len(body) == size and (kind, name) not in sections, "a section is cut off or there twice")
        need(checksum == (0 if kind == "DATA" else xxh64(body)), f"checksum of {kind}")
        known = kind in ("MODL", "TENS", "DATA", "ANNO", "PREP", "RCPE", "PROV", "NAME", "SIGN")
        need(known or not flags & 1, f"needs section {kind}")
        sections[kind, name] = body
    need(end == len(data), "goes on behind its last section")
    return sections


def unpack_bits(stored, n, bits, signed):
    number, codes = int.from_bytes(stored, "little"), []
    need(len(stored) == (n * bits + 7) // 8 and number >> (n * bits) == 0, "packed codes do not fit")
    for byte in range(0, n * bits, 8 * bits):  # by groups of eight codes, so that the numbers stay small
        part = int.from_bytes(stored[byte // 8 : byte // 8 + bits], "little")
        codes += [part >> (k * bits) & ((1 << bits) - 1) for k in range(8)]
    return [c - (1 << bits) if signed and c >> (bits - 1) else c for c in codes[:n]]


def unpack_ternary(stored, n):
    need(len(stored) == (n + 4) // 5 and all(b < 243 for b in stored), "ternary codes do not fit")
    return [stored[i // 5] // 3 ** (i % 5) % 3 - 1 for i in range(n)]


def decode_block(data, n, lanes, table):
    cursor, symbols = Cursor(data), []
    states = [cursor.unpack("I") for _ in range(lanes)]
    need(all(x >= 65536 for x in states), "impossible state")
    for i in range(n):
        x = states[i % lanes]
        symbol, frequency, start = table[x % 4096]
        symbols.append(symbol)
        x = frequency * (x // 4096) + x % 4096 - start
        states[i % lanes] = x * 65536 + cursor.unpack("H") if x < 65536 else x
    need(all(x == 65536 for x in states), "entropy-coded codes do not end where they should")
    cursor.finish()
    return symbols


def decode_entropy(stored, n):
    cursor = Cursor(stored)
    precision, first, last = cursor.u8(), cursor.u8(), cursor.u8()
    if first == last:
        cursor.finish()
        return [first] * n
    rest, bits, count, frequencies = 1 << precision, 0, 0, []
    for _ in range(first, last):
        while count < rest.bit_length():
            bits |= cursor.u8() << count
            count += 8
        width = rest.bit_length()
        frequencies.append(bits & ((1 << width) - 1))
        bits, count, rest = bits >> width, count - width, rest - frequencies[-1]
        need(rest > 0, "frequencies do not fit")
    frequencies.append(rest)
    need(bits == 0 and frequencies[0] > 0, "frequencies do not fit")
    table, start = [], 0
    for symbol, frequency in enumerate(frequencies, first):
        scaled = frequency << (12 - precision)
        table += [(symbol, scaled, start)] * scaled
        start += scaled
    lanes, blocks = 1 << cursor.u8(), -(-n // (1 << 20))
    sizes = [cursor.unpack("I") for _ in range(blocks)] if blocks > 1 else [len(stored) - cursor.at]
    symbols = []
    for size in sizes:
        symbols += decode_block(cursor.take(size), min(1 << 20, n - len(symbols)), lanes, table)
    cursor.finish()
    return symbols


def decode_raw(stored, dtype):
    code = FORMATS.get(dtype, "B")
    need(len(stored) % struct.calcsize(code) == 0, "raw elements do not fit")
    values = list(struct.unpack(f"<{len(stored) // struct.calcsize(code)}{code}", stored))
    if dtype == "bfloat16":
        values = [struct.unpack("<f", struct.pack("<I", v << 16))[0] for v in values]
    return values


def read_tensors(index, data):
    cursor, end, tensors = Cursor(index), 0, []
    for _ in range(cursor.varint()):
        dtype, dims, n = TYPES[cursor.u8()], cursor.list(cursor.varint), 1
        for dim in dims:
            n *= dim
        coding = ("raw", "packed", "ternary", "entropy", "text")[cursor.u8()]
        bits = cursor.u8() if coding == "packed" else 0
        base = cursor.svarint() if coding == "entropy" else 0
        place, size = cursor.varint(), cursor.varint()
        if place == 0:
            stored = cursor.take(size)
        else:
            need((place - 1) * 64 == aligned(end) and not any(data[end : aligned(end)]), "a tensor lies elsewhere")
            end = aligned(end) + size
            stored = data[end - size : end]
            need(len(stored) == size and xxh64(stored) == cursor.unpack("Q"), "checksum of a tensor")
        if coding == "raw":
            values = decode_raw(stored, dtype)
        elif coding == "packed":
            values = unpack_bits(stored, n, bits, dtype.startswith("int"))
        elif coding == "ternary":
            values = unpack_ternary(stored, n)
        elif coding == "entropy":
            values = [(s + base) & 255 for s in decode_entropy(stored, n)]
            values = [v - 256 if dtype.startswith("int") and v > 127 else v for v in values]
        else:
            texts = Cursor(stored)
            values = [texts.text() for _ in range(n)]
        need(len(values) == n, "a tensor has another number of elements than its dimensions say")
        tensors.append(dict(dtype=dtype, dims=dims, coding=coding, bytes=size, values=values))
    cursor.finish()
    need(end == len(data), "DATA goes on behind its last tensor")
    return tensors


def float8e4m3fn(byte):
    exponent, mantissa = byte >> 3 & 15, byte & 7
    value = mantissa / 8 * 2.0**-6 if exponent == 0 else (1 + mantissa / 8) * 2.0 ** (exponent - 7)
    return -value if byte >> 7 else value


def read_column(cursor, groups):
    form = cursor.u8()
    if form == 0:
        return [cursor.unpack("f")] * groups
    if form == 3:
        return [struct.unpack("<f", struct.pack("<I", cursor.unpack("H") << 16))[0] for _ in range(groups)]
    if form in (4, 5):
        value = (lambda b: 2.0 ** (b - 127)) if form == 4 else float8e4m3fn
        return [value(cursor.u8()) for _ in range(groups)]
    return [cursor.unpack({1: "f", 2: "e", 6: "b", 7: "B"}[form]) for _ in range(groups)]


def read_annotations(data):
    cursor = Cursor(data)

    def annotation():
        result = dict(format=cursor.text(), dynamic=bool(cursor.u8() & 1))
        result["granularity"] = ("tensor", "channel", "group", "block")[cursor.u8()]
        result["axis"], result["rows"], result["size"] = cursor.varint(), cursor.varint(), cursor.varint()
        result["origin"], groups = cursor.text(), cursor.varint()
        result["columns"] = cursor.list(lambda: read_column(cursor, groups))
        return result

    annotations = cursor.list(annotation)
    cursor.finish()
    return annotations


def read_graph(cursor):
    def value():
        result = dict(name=cursor.text(), dtype=TYPES[cursor.u8()], shape=None)
        if rank := cursor.varint():
            sizes = []
            for _ in range(rank - 1):
                size = cursor.varint()
                sizes.append(size - 1 if size else cursor.text())
            result["shape"] = sizes
        result["tensor"], result["annotation"] = cursor.varint() - 1, cursor.varint() - 1
        return result

    def attribute():
        kind, lists = cursor.u8(), {5: cursor.svarint, 6: lambda: cursor.unpack("f"), 7: cursor.text}
        single = {1: cursor.svarint, 2: lambda: cursor.unpack("f"), 3: cursor.text, 4: cursor.varint}
        if kind in single:
            return single[kind]()
        if kind in lists:
            return cursor.list(lists[kind])
        need(kind == 8, "an attribute of an unknown kind")
        captures = cursor.list(cursor.varint)
        return dict(read_graph(cursor), outer=captures)

    def node():
        result = dict(name=cursor.text(), domain=cursor.text(), op=cursor.text())
        result["inputs"], result["outputs"] = cursor.list(cursor.varint), cursor.list(cursor.varint)
        result["attributes"] = dict(cursor.list(lambda: (cursor.text(), attribute())))
        return result

    graph = dict(name=cursor.text(), values=cursor.list(value))
    graph["inputs"], graph["outputs"] = cursor.list(cursor.varint), cursor.list(cursor.varint)
    graph["captures"], graph["nodes"] = cursor.list(cursor.varint), cursor.list(node)
    return graph


def group_of(annotation, dims, index):
    """The group of the element at a flat index."""
    kind, axis = annotation["granularity"], annotation["axis"]
    if kind == "tensor":
        return 0
    inner, outer = 1, 1
    for dim in dims[axis + 1 :]:
        inner *= dim
    for dim in dims[:axis]:
        outer *= dim
    channel = index // inner % dims[axis]
    column = index // (inner * dims[axis]) * inner + index % inner
    per_channel = -(-outer * inner // annotation["size"]) if kind != "channel" else 1
    if kind == "channel":
        return channel
    if kind == "group":
        return channel * per_channel + column // annotation["size"]
    return channel // annotation["rows"] * per_channel + column // annotation["size"]


def as_float32(x):
    return struct.unpack("<f", struct.pack("<f", x))[0]


def decoded(tensor, annotation):
    """The values of a constant; None where the number system is not linear."""
    if annotation is None or annotation["dynamic"]:
        return tensor["values"]
    stem = annotation["format"].split("-")[0].lstrip("u")
    if not stem.startswith("int"):
        return None
    scales, zeros = annotation["columns"]
    groups = [group_of(annotation, tensor["dims"], i) for i in range(len(tensor["values"]))]
    return [as_float32(scales[g] * (code - zeros[g])) for g, code in zip(groups, tensor["values"])]


def read_container(data):
    sections = read_sections(data)
    tensors = read_tensors(sections["TENS", ""], sections.get(("DATA", ""), b""))
    annotations = read_annotations(sections["ANNO", ""]) if ("ANNO", "") in sections else []
    cursor = Cursor(sections["MODL", ""])
    model = dict(producer=cursor.text(), description=cursor.text())
    model["metadata"] = cursor.list(lambda: (cursor.text(), cursor.text()))
    model["opsets"] = cursor.list(lambda: (cursor.text(), cursor.svarint()))
    model["graph"] = graph = read_graph(cursor)
    cursor.finish()
    for key, kind in (("preprocessing", "PREP"), ("recipe", "RCPE")):
        model[key] = sections.get((kind, ""), b"").decode()
    pairs = Cursor(sections.get(("PROV", ""), b"\0"))
    model["provenance"] = dict(pairs.list(lambda: (pairs.text(), pairs.text())))
    for value in graph["values"]:
        annotation = annotations[value["annotation"]] if value["annotation"] >= 0 else None
        value["format"] = annotation and annotation["format"]
        if value["tensor"] >= 0:
            value["constant"] = tensors[value["tensor"]]
            value["decoded"] = decoded(value["constant"], annotation)
    model["tensors"] = [{k: t[k] for k in ("dtype", "dims", "coding", "bytes")} for t in tensors]
    model["sections"] = [list(key) for key in sections]
    return model


if __name__ == "__main__":
    try:
        with open(sys.argv[1], "rb") as opened:
            json.dump(read_container(opened.read()), sys.stdout)
    except Damaged as error:
        sys.exit(f"{sys.argv[1]}: {error}")
