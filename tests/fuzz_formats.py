"""Damages what files of each format say of themselves: sizes, shapes, types, offsets, links, aliases."""

import copy
import io
import json
import re
import struct
import zlib
from collections.abc import Iterator

import h5py
import numpy as np
import onnx
from fuzz_mutators import SIZES, VALUES, WHOLE, changed, overwrite, pick

YAML_ODDITIES = [
    b"&a [*a, *a]",
    b"&a {x: *a}",
    b"!!python/object/apply:os.system [ls]",
    b"!!python/name:os.system",
    b"!!binary aGVsbG8",
    b"!!binary '\xc3\xa9'",
    b"!!set {a, b}",
    b"!!omap [a: 1]",
    b"!!timestamp x",
    b"2026-13-45",
    b"2026-01-01",
    b"2026-01-01T25:61:00+99:99",
    b"0x" + b"f" * 5000,
    b"1:59:59:59",
    b"{? [a]: b}",
    b"{? {a: b}: c}",
    b"{<<: [1], a: 2}",
    b"{<<: {a: 1}, <<: {a: 2}}",
    b"*unknown",
    b"[" * 5000,
    b"{a: " * 1000,
    b"- " * 3000,
    b"? " * 3000,
    b"&a" * 1000,
    b"!" + b"t" * 600 + b" x",
    b"|9",
    b"%YAML 9.9\n---\n",
    b"---\na\n---\nb",
    b"'\\x1b[31m'",
    b'"\\x1b[31m\\0\\uD800"',
    b"[&a [x], &b [*a, *a, *a, *a, *a, *a, *a, *a], &c [*b, *b, *b, *b, *b, *b], [*c, *c, *c, *c, *c, *c, *c]]",
]


def yaml_oddities(rng, content, _):
    """Aliases, tags, keys, dates and nesting in place of a value, or before all."""
    found = list(re.finditer(rb"(?<=: )[^\n{\[]+|(?<=- )[^\n{\[]+|(?<=[\[,] )[^,\]\n]+|\A", content))
    start, end = pick(rng, found).span()
    return content[:start] + pick(rng, YAML_ODDITIES) + content[end:]


DTYPES = [
    "<f4",
    "<f8",
    ">f2",
    "<f16",
    "|O",
    "|V0",
    "<U9",
    "<c16",
    "<i8",
    "M8[s]",
    "|S0",
    "(3,)f4",
    "f4,f4",
    "|b1",
    [("a", "O")],
]


def npy_header(rng, content, _):
    """Another header before the numbers: its version, length, shape, type, order or keys."""
    shape = [int(each) for each in re.findall(rb"\d+", content[10:].split(b"(")[-1].split(b")")[0])] or [1]
    header = {"descr": "<f4", "fortran_order": bool(rng.integers(2)), "shape": tuple(shape)}
    match rng.integers(5):
        case 0:
            shape[rng.integers(len(shape))] = pick(rng, SIZES)
            header["shape"] = tuple(shape)
        case 1:
            header["shape"] = pick(
                rng, [(), (3,), (0, 25, 3), shape[::-1], tuple(shape) + (1,) * 40, (1,) * 2000, *VALUES]
            )
        case 2:
            header["descr"] = pick(rng, [*DTYPES, *VALUES])
        case 3:
            header[pick(rng, ["descr", "fortran_order", "shape", "more"])] = pick(rng, VALUES)
        case _:
            del header[pick(rng, list(header))]
    text = repr(header).encode("utf-8")
    if rng.random() < 0.2:
        text = pick(
            rng, [b"(" * 300, b"__import__('os')", b"{**{}}", b"[" * 9000, b"{'a': 1+1j}", b"'" * 3, b"\\", b"-" * 9000]
        )
    size = pick(rng, [len(text)] * 6 + [0, 1, 65535, len(text) + 7])
    version = pick(rng, [(1, 0)] * 4 + [(2, 0)] * 2 + [(3, 0), (0, 0), (255, 255)])
    length = (
        struct.pack("<H", size & 0xFFFF) if version == (1, 0) else struct.pack("<I", pick(rng, [size, size, 1 << 31]))
    )
    return b"\x93NUMPY" + bytes(version) + length + text + content[128:]


def mat_element(rng, kind: int, data: bytes, size: int | None = None) -> bytes:
    size = len(data) if size is None else size
    return struct.pack("<II", kind & 0xFFFFFFFF, size & 0xFFFFFFFF) + data + bytes(-len(data) % 8)


def mat_matrix(rng, _, another):
    """A file of matrices, some of whose sizes, types, shapes and flags are wrong, and some of which are compressed."""

    def odd(right, others, chance=0.12):
        return pick(rng, others) if rng.random() < chance else right

    content = b"MATLAB 5.0".ljust(124) + odd(b"\0\1IM", [b"\1\0MI", b"\0\1MI", b"\0\0\0\0"], 0.05)
    for _ in range(odd(1, [0, 2, 3, 40])):
        frames = int(rng.integers(1, 4))
        shape = odd([frames, 75], [[frames, 25, 3], [75], [], [1] * 9, [1] * 3000])
        shape = [odd(each, SIZES[:11], 0.05) & 0xFFFFFFFF for each in shape]
        values = rng.normal(size=(frames, 75)).astype(odd("<f8", ["<f4", "<i2"])).tobytes()
        parts = [
            mat_element(rng, odd(6, WHOLE), struct.pack("<II", odd(6, [*range(17), 0x0806, 0x0406]), 0)),
            mat_element(rng, odd(5, WHOLE), struct.pack(f"<{len(shape)}I", *shape)),
            mat_element(rng, odd(1, WHOLE), odd(b"v", [b"skel", b"", b"\x1b[31m", b"a" * 600, b"\xff"])),
            mat_element(rng, odd(9, [*range(20), *WHOLE]), values, odd(None, SIZES[:11])),
        ]
        if rng.random() < 0.1:
            del parts[rng.integers(len(parts))]
        matrix = mat_element(rng, odd(14, [15, *WHOLE]), b"".join(parts), odd(None, SIZES[:11], 0.05))
        if rng.random() < 0.4:
            matrix = odd(matrix, [matrix * 50, bytes(1 << 22), mat_element(rng, 14, bytes(1 << 22))], 0.05)
            packed = zlib.compress(matrix)
            packed = odd(packed, [packed[:-1], packed + b"x", packed[5:], zlib.compress(packed)])
            matrix = struct.pack("<II", 15, odd(len(packed), SIZES[:11], 0.05) & 0xFFFFFFFF) + packed
        content += matrix
    return content


def _all_of(file: h5py.File) -> list[str]:
    names: list[str] = []
    file.visit(names.append)
    return names


def h5_replace(rng, file, name, data=None, **settings):
    del file[name]
    file.create_dataset(name, data=data, **settings)


def _h5_object(rng, file):
    """Replaces, removes or links one object of a file of sequences."""
    name = pick(rng, _all_of(file))
    held = file[name]
    data = held[()] if isinstance(held, h5py.Dataset) and held.size < 10_000 else np.arange(3)
    match rng.integers(10):
        case 0:
            del file[name]
        case 1:
            del file[name]
            file[name] = pick(rng, [h5py.SoftLink("/offset"), h5py.SoftLink("/" + name), h5py.SoftLink("/none")])
        case 2:
            del file[name]
            file[name] = h5py.ExternalLink(pick(rng, ["outside/bait", "../outside/bait", "/dev/zero"]), "/offset")
        case 3:
            del file[name]
            file.create_group(name)
        case 4:
            dtype = pick(rng, ["f2", "f4", "f8", "i1", "i4", "i8", "u8", "S3", "c8", h5py.string_dtype(), bool])
            with np.errstate(all="ignore"):
                kept = (
                    data.astype(dtype) if data.dtype != object and dtype != h5py.string_dtype() else ["a"] * len(data)
                )
            h5_replace(rng, file, name, kept, **({"dtype": dtype} if isinstance(kept, list) else {}))
        case 5:
            axis = int(rng.integers(data.ndim))
            more = np.repeat(data, 2, axis) if rng.random() < 0.5 else np.delete(data, 0, axis)
            h5_replace(rng, file, name, more, dtype=None if data.dtype != object else h5py.string_dtype())
        case 6:
            shape = tuple(pick(rng, [each, 0, 1 << 20, 1 << 40]) for each in data.shape)
            chunks = tuple(min(max(each, 1), 4) for each in shape)
            h5_replace(rng, file, name, shape=shape, dtype=pick(rng, ["f4", "i8"]), chunks=pick(rng, [chunks, None]))
        case 7:
            size = h5py.h5f.UNLIMITED
            h5_replace(
                rng,
                file,
                name,
                shape=data.shape,
                dtype="f4",
                external=[(pick(rng, ["outside/bait", "/dev/zero"]), 0, size)],
            )
        case 8:
            file[name + pick(rng, ["2", "/x"])] = pick(rng, [h5py.SoftLink("/"), np.arange(3)])
        case _:
            filters = pick(
                rng, [{"compression": "gzip"}, {"shuffle": True}, {"fletcher32": True}, {"compression": "lzf"}]
            )
            kind = h5py.string_dtype() if data.dtype == object else data.dtype
            h5_replace(rng, file, name, data, dtype=kind, chunks=True, **filters)


def _h5_attribute(rng, file):
    name = pick(rng, ["about", "data_hash", "kind", "more"])
    if rng.random() < 0.5 and "about" in file.attrs:
        file.attrs["about"] = json.dumps(changed(rng, json.loads(file.attrs["about"])))
    elif rng.random() < 0.3:
        file.attrs.pop(name, None)
    else:
        values = ["", "a" * 60000, "[" * 5000, b"x", 3, np.arange(3), h5py.Empty("f4"), "{}", "\x1b[31m", ["a", "b"]]
        file.attrs[name] = pick(rng, values)


def _h5_number(rng, file):
    """Another number, or name, in one of the datasets."""
    datasets = [name for name in _all_of(file) if isinstance(file[name], h5py.Dataset) and file[name].size]
    dataset = file[pick(rng, datasets)]
    index = tuple(int(rng.integers(each)) for each in dataset.shape)
    if dataset.dtype.kind == "O":
        dataset[index] = pick(rng, ["", "a" * 60000, "\x1b[31m", "x\ny", b"\xff", "/a", "../outside/bait"])
    elif dataset.dtype.kind == "f":
        dataset[index] = pick(rng, [np.nan, np.inf, -np.inf, 1e38, 0, 1e7])
    else:
        dataset[index] = pick(rng, WHOLE)


def h5_objects(rng, content, _):
    """What HDF5 itself says: objects, links, shapes, types, filters, attributes, numbers."""
    stream = io.BytesIO(content)
    try:
        with h5py.File(stream, "r+") as file:
            for _ in range(rng.integers(1, 3)):
                pick(rng, [_h5_object, _h5_attribute, _h5_number])(rng, file)
    except Exception:  # as above; what could be changed until then is
        pass
    return stream.getvalue()


def safetensors_header(rng, content, _):
    """Another length, offset, shape, type or key in the header, or another description in its metadata."""
    size = struct.unpack_from("<Q", content)[0] if len(content) >= 8 else 0
    data = content[8 + size :]
    try:
        header = json.loads(content[8 : 8 + size])
        described = json.loads(header["__metadata__"]["danet"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return content
    match rng.integers(6):
        case 0:
            header = changed(rng, header)
        case 1:
            name = pick(rng, list(header))
            header[name] = changed(rng, header[name])
        case 2 | 3:
            header["__metadata__"]["danet"] = json.dumps(changed(rng, described))
        case 4:  # numbers that are not those that were written, in a file without a hash, as older ones are
            described.pop("tensors_hash", None)
            header["__metadata__"]["danet"] = json.dumps(described)
            data = overwrite(rng, data or b"\0", b"")[: len(data)]
        case _:
            size = pick(rng, [0, 1, size + 1, size - 1, 1 << 31, (1 << 64) - 1])
            return struct.pack("<Q", max(size, 0)) + content[8:]
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def messages(message) -> Iterator:
    """A protobuf message and all messages inside it."""
    yield message
    for field, value in message.ListFields():
        if field.type == field.TYPE_MESSAGE:
            for each in value if field.is_repeated else [value]:
                yield from messages(each)


def _onnx_field(rng, network):
    """Another value of one field of one message, the graph's tensors and nodes among them."""
    message = pick(rng, list(messages(network)))
    fields = [field for field, _ in message.ListFields()]
    if not fields:
        return
    field = pick(rng, fields)
    if rng.random() < 0.2:
        message.ClearField(field.name)
        return
    if field.type == field.TYPE_MESSAGE:
        if field.is_repeated:
            values = getattr(message, field.name)
            values.append(copy.deepcopy(pick(rng, values)))
        return
    choices = {
        field.CPPTYPE_STRING: ["", "a" * 600, "Loop", "If", "Add", "channels"],
        field.CPPTYPE_FLOAT: [np.nan, 1e38],
    }
    wanted = choices.get(field.cpp_type, WHOLE)
    value = rng.bytes(9) if field.type == field.TYPE_BYTES else pick(rng, wanted)
    if field.is_repeated:
        values = getattr(message, field.name)
        values[rng.integers(len(values))] = value
    else:
        setattr(message, field.name, value)


def _onnx_tensor(rng, network):
    """Another shape, type, place or other numbers of a constant."""
    tensors = [each for each in messages(network) if isinstance(each, onnx.TensorProto)]
    whole = [each for each in tensors if each.data_type == onnx.TensorProto.INT64 and each.raw_data]
    tensor = pick(rng, whole if whole and rng.random() < 0.5 else tensors)
    match rng.integers(4):
        case 0:
            tensor.dims[:] = pick(
                rng, [[], [0], [1 << 40], [-1], [1 << 31, 1 << 31, 4], [1] * 300, [*tensor.dims, 1 << 20]]
            )
        case 1:
            tensor.data_type = int(rng.integers(-1, 30))
        case 2:
            tensor.ClearField("raw_data")
            tensor.data_location = onnx.TensorProto.EXTERNAL
            location = pick(rng, ["outside/bait", "../outside/bait", "/dev/zero", "*/_ORT_MEM_ADDR_/*"])
            for key, value in {"location": location, "offset": pick(rng, ["0", "-1", "9" * 30]), "length": "4"}.items():
                tensor.external_data.add(key=key, value=value)
        case _ if len(tensor.raw_data) >= 8:
            numbers = np.frombuffer(tensor.raw_data[: len(tensor.raw_data) // 8 * 8], np.int64).copy()
            numbers[rng.integers(len(numbers))] = pick(rng, WHOLE)
            tensor.raw_data = numbers.tobytes() + tensor.raw_data[len(numbers) * 8 :]


def _onnx_node(rng, network):
    """Another operator, other inputs, or one node more."""
    node = pick(rng, network.graph.node)
    names = [name for each in network.graph.node for name in (*each.input, *each.output)]
    match rng.integers(4):
        case 0:
            node.op_type = pick(
                rng, ["Loop", "Scan", "If", "ConstantOfShape", "Range", "Tile", "Expand", "Pad", "Identity"]
            )
        case 1 if node.input:
            node.input[rng.integers(len(node.input))] = pick(rng, names)
        case 2:
            network.graph.node.remove(node)
        case _:
            size = onnx.helper.make_tensor(
                "huge", onnx.TensorProto.INT64, [1], [pick(rng, [1 << 27, 1 << 31, 1 << 40])]
            )
            network.graph.initializer.append(size)
            network.graph.node.insert(0, onnx.helper.make_node("ConstantOfShape", ["huge"], [pick(rng, names)]))


def _onnx_description(rng, network):
    (described,) = network.metadata_props
    described.value = json.dumps(changed(rng, json.loads(described.value)))


def onnx_messages(rng, content, _):
    """What the messages of a network say: tensors, nodes, metadata, any other field."""
    try:
        network = onnx.load_from_string(content)
        for _ in range(rng.integers(1, 3)):
            pick(rng, [_onnx_field, _onnx_tensor, _onnx_node, _onnx_description])(rng, network)
        return network.SerializeToString()
    except Exception:  # as above
        return content
