"""Damages files for ``fuzz_readers.py``: by their structure where it is known, or by their bytes.

A checksum that a reader checks first would stop nearly every change of bytes; so files with one
are taken apart, changed inside, and written again with the right one.
"""

import io
import json
import random
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from eieio.model.formats import image_file

__all__ = ["mutate", "mutate_file"]

Files = dict[str, bytes]

_INTEGERS = (0, 1, 2, 3, 7, 8, 127, 128, 255, 256, 0x7FFF, 0x8000, 0xFFFF, 1 << 20, 0x7FFFFFFF,
             0x80000000, 0xFFFFFFFF, (1 << 62) + 1, (1 << 63) - 1, 1 << 63, (1 << 64) - 1)
_NUMBERS = (0.0, -0.0, 0.5, 1.0, -1.0, 1e-30, 1e-45, 1e30, 3e38, -3e38, 1e300, float("nan"),
            float("inf"), float("-inf"))
_TEXTS = ("", "x", "y", "0", "\n", "a\nb", "\x00", "ü", "../x", "x" * 300, "{", "%s")
_TYPES = ("<f4", "<f8", "<f2", "<i1", "<u1", "<i4", "<i8", "<u8", "?", "<c8", "<U3", "S2", ">f4",
          "<M8[s]", "V3")


def mutate(case: Files, only: tuple[str, ...], seeds: list[Files], rng: random.Random) -> Files:
    """Damage one of a case's files, once or a few times."""
    names = [name for name in case if not only or name.endswith(only)]
    if not names:
        return case
    name = rng.choice(names)
    data = case[name]
    for _ in range(rng.choice((1, 1, 1, 2, 3, 5))):
        others = [seed[name] for seed in seeds if name in seed]
        data = mutate_file(name, data, others or [data], rng)
    return {**case, name: data}


def mutate_file(name: str, data: bytes, others: list[bytes], rng: random.Random) -> bytes:
    """Damage a file; what is spliced into it comes of the others."""
    inside = _INSIDE.get(Path(name).suffix)
    if inside is not None and rng.random() < 0.85:
        try:
            return inside(data, others, rng)
        except Exception:  # Too much damage has been done to it before to be taken apart.
            pass
    return _bytes(data, others, rng)


def _bytes(data: bytes, others: list[bytes], rng: random.Random) -> bytes:
    changed = bytearray(data)
    place = rng.randrange(len(changed) + 1)
    size = min(rng.choice((1, 1, 2, 4, 8, 16, 64, 300)), len(changed) - place)
    match rng.randrange(7):
        case 0 if size:
            changed[place % len(changed)] ^= 1 << rng.randrange(8)
        case 1:
            width = rng.choice((1, 2, 4, 8))
            number = rng.choice(_INTEGERS) & ((1 << 8 * width) - 1)
            changed[place:place + width] = number.to_bytes(width, "little")
        case 2:
            del changed[place:place + size]
        case 3:
            changed[place:place] = changed[place:place + size] * rng.choice((1, 2, 50))
        case 4:
            del changed[place:]
        case 5:
            other = rng.choice(others)
            start = rng.randrange(len(other) + 1)
            changed[place:place + size] = other[start:start + rng.choice((1, 4, 16, 64, 300))]
        case _:
            changed[place:place + size] = rng.randbytes(size)
    return bytes(changed)


def _value(value: Any, rng: random.Random) -> Any:
    """Change a number or a text, mostly to one of its kind."""
    if rng.random() < 0.08:
        return rng.choice((None, True, False, 0, -1, 0.5, "x", [], {}, [1], [[1]], [None]))
    if isinstance(value, bool) or value is None:
        return rng.choice((True, False, None, 0, 1))
    if isinstance(value, int):
        return rng.choice((value + rng.choice((-2, -1, 1, 2)), -value, 2 * value, value * 1000,
                           rng.choice(_INTEGERS), -rng.choice(_INTEGERS), 10 ** 30, float(value)))
    if isinstance(value, float):
        return rng.choice((value * rng.choice((-1, 0.5, 2, 1e6, 1e-6)), rng.choice(_NUMBERS)))
    if isinstance(value, str):
        return rng.choice((rng.choice(_TEXTS), value + "x", value[:-1], value * 2))
    return value


def _tree(value: Any, rng: random.Random) -> Any:
    """Change a leaf, an item, or a key of what JSON can hold."""
    if isinstance(value, dict) and value and rng.random() < 0.9:
        key = rng.choice(list(value))
        changed = dict(value)
        match rng.randrange(10):
            case 0:
                del changed[key]
            case 1:
                changed[str(_value(key, rng))] = changed.pop(key)
            case 2:
                changed[key] = value[rng.choice(list(value))]
            case _:
                changed[key] = _tree(value[key], rng)
        return changed
    if isinstance(value, list) and value and rng.random() < 0.9:
        place = rng.randrange(len(value))
        match rng.randrange(8):
            case 0:
                return value[:place] + value[place + 1:]
            case 1:
                return [*value[:place], *[value[place]] * rng.choice((2, 300)), *value[place + 1:]]
            case 2:
                return [*value[:place], rng.choice(value), *value[place + 1:]]
            case _:
                return [*value[:place], _tree(value[place], rng), *value[place + 1:]]
    return _value(value, rng)


def _json(data: bytes, others: list[bytes], rng: random.Random) -> bytes:
    if rng.random() < 0.03:
        depth = rng.choice((10, 900, 5000, 100000))
        return b"[" * depth + b"]" * depth
    return json.dumps(_tree(json.loads(data), rng)).encode()


# Files of NumPy.


def _array(array: np.ndarray[Any, Any], rng: random.Random) -> np.ndarray[Any, Any]:
    match rng.randrange(6):
        case 0 if array.size and array.dtype.kind in "fiu":
            changed = array.copy()
            numbers = _NUMBERS if array.dtype.kind == "f" else _INTEGERS
            with np.errstate(all="ignore"):
                changed.flat[rng.randrange(array.size)] = np.array(
                    rng.choice(numbers)).astype(array.dtype)
            return changed
        case 1:
            with np.errstate(all="ignore"):
                return array.astype(rng.choice(_TYPES))
        case 2 if array.size and array.ndim:  # One without elements may be 10^12 of them long.
            axis = rng.randrange(array.ndim)
            return array.take(range(rng.randrange(array.shape[axis] + 1)), axis)
        case 3:
            return array.reshape(rng.choice(((-1,), (1, *array.shape), (*array.shape, 1))))
        case 4:
            return array.T
        case _:
            return np.array(array.flat[0]) if array.size else array


def _header(data: bytes, rng: random.Random) -> bytes:
    """Change what the header of an .npy says, and keep its length."""
    head, _, body = data.partition(b"\n")
    size = len(head)
    texts = [(b"(", b"(1000000000000,"), (b"(", b"(-1,"), (b"False", b"True"), (b"'<", b"'>"),
             (b"f4", b"O8"), (b"f8", b"O8"), (b"f4", b"f8"), (b"{", b"{'x':1,"), (b"(", b"(0,"),
             (b"}", b""), (b"(", b"((((")]
    old, new = rng.choice(texts)
    return head.replace(old, new, 1).rstrip().ljust(size)[:size] + b"\n" + body


def _npy(data: bytes, others: list[bytes], rng: random.Random) -> bytes:
    match rng.randrange(4):
        case 0:
            return _header(data, rng)
        case 1:
            return _bytes(data, others, rng)
        case _:
            buffer = io.BytesIO()
            np.save(buffer, _array(np.load(io.BytesIO(data)), rng), allow_pickle=False)
            return buffer.getvalue()


def _npz(data: bytes, others: list[bytes], rng: random.Random) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        members = {name: file.read(name) for name in file.namelist()}
    name = rng.choice(list(members))
    match rng.randrange(8):
        case 0:
            del members[name]
        case 1:
            members[rng.choice((name + "x", "x.npy", "x", f"{name[:-4]}_weight.npy",
                                "graph.npy"))] = members.pop(name)
        case 2:
            members[name] = rng.choice(list(members.values()))
        case _:
            if name == "graph.npy":
                text = np.load(io.BytesIO(members[name])).tobytes()
                text = _json(text, [text], rng)
                buffer = io.BytesIO()
                np.save(buffer, np.frombuffer(text, np.uint8))
                members[name] = buffer.getvalue()
            else:
                members[name] = _npy(members[name], [*members.values()], rng)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
                         ) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return buffer.getvalue()


# Files with checksums of eieio's own.


def _image(data: bytes, others: list[bytes], rng: random.Random) -> bytes:
    description, words = image_file.unpack(data)
    if rng.random() < 0.5:
        return image_file.pack(_tree(description, rng), words)
    octets = _bytes(words.astype("<u4").tobytes(), [words.tobytes()], rng)
    octets = octets[:len(octets) // 4 * 4]
    return image_file.pack(description, np.frombuffer(octets, "<u4").astype(np.uint32))


def _eie(data: bytes, others: list[bytes], rng: random.Random) -> bytes:
    body = bytearray(data[:-4])
    start = body.find(b"\x78\xda")  # How zlib begins at its highest level.
    if start > 0 and rng.random() < 0.5:
        unpacker = zlib.decompressobj()
        text = _json(unpacker.decompress(bytes(body[start:])), [], rng)
        packed = zlib.compress(text, 9)
        struct.pack_into("<I", body, start - 4, len(packed))
        body[start:len(body) - len(unpacker.unused_data)] = packed
    else:
        head = 0 if rng.random() < 0.2 else 16
        body[head:] = _bytes(bytes(body[head:]), [other[head:-4] for other in others], rng)
    if rng.random() < 0.95 and len(body) >= 18:
        struct.pack_into("<Q", body, 10, len(body) + 4)
    return bytes(body) + struct.pack("<I", zlib.crc32(body))


# Files of other projects.


def _message(message: Any, rng: random.Random) -> None:
    """Change a field of a protobuf message, or of one in it."""
    present = message.ListFields()
    if not present or rng.random() < 0.1:
        descriptor = rng.choice(message.DESCRIPTOR.fields)
    else:
        descriptor = rng.choice(present)[0]
    name, value = descriptor.name, getattr(message, descriptor.name)
    if descriptor.is_repeated:
        if not len(value):
            if descriptor.message_type:
                value.add()
            else:
                value.append(_scalar(descriptor, rng))
            return
        place = rng.randrange(len(value))
        match rng.randrange(6):
            case 0:
                del value[place]
            case 1:
                value.extend([value[place]])
            case 2 if descriptor.message_type:
                value[place].CopyFrom(rng.choice(value))
            case _:
                if descriptor.message_type:
                    _message(value[place], rng)
                else:
                    value[place] = _scalar(descriptor, rng, value[place])
        return
    if rng.random() < 0.1:
        message.ClearField(name)
    elif descriptor.message_type:
        _message(value, rng)
    else:
        setattr(message, name, _scalar(descriptor, rng, value))


def _scalar(descriptor: Any, rng: random.Random, value: Any = None) -> Any:
    """Return a value of a field's type."""
    kind = descriptor.cpp_type
    if kind == descriptor.CPPTYPE_STRING:
        if descriptor.type == descriptor.TYPE_BYTES:
            return _bytes(value or b"x", [value or b"x"], rng)
        return rng.choice((*_TEXTS, "c", "r", "w3", "Relu", "Conv", value or "f"))
    if kind == descriptor.CPPTYPE_ENUM:
        return rng.choice(descriptor.enum_type.values).number
    if kind in {descriptor.CPPTYPE_FLOAT, descriptor.CPPTYPE_DOUBLE}:
        return rng.choice(_NUMBERS)
    if kind == descriptor.CPPTYPE_BOOL:
        return rng.random() < 0.5
    bits = 64 if "64" in str(kind) or kind in {descriptor.CPPTYPE_INT64,
                                               descriptor.CPPTYPE_UINT64} else 32
    signed = kind in {descriptor.CPPTYPE_INT32, descriptor.CPPTYPE_INT64}
    number = (value or 0) + rng.choice((-1, 1)) if rng.random() < 0.4 else rng.choice(_INTEGERS)
    number &= (1 << bits) - 1
    return number - (1 << bits) if signed and number >> (bits - 1) else number


def _onnx(data: bytes, others: list[bytes], rng: random.Random) -> bytes:
    model = onnx.ModelProto.FromString(data)
    _message(model.graph if rng.random() < 0.9 else model, rng)
    return model.SerializeToString()


def _prototxt(data: bytes, others: list[bytes], rng: random.Random) -> bytes:
    from google.protobuf import text_format

    from eieio.model.formats.prototxt import NetParameter

    if rng.random() < 0.3:
        words = data.split(b" ")
        words[rng.randrange(len(words))] = rng.choice([
            *words, b"{", b"}", b":", b'"', b"-1", b"99999999999999999999", b"1.5", b"0"])
        return b" ".join(words)
    net = NetParameter()
    text_format.Parse(data.decode(), net)
    _message(net, rng)
    return text_format.MessageToString(net, as_utf8=True).encode()


def _tflite(data: bytes, others: list[bytes], rng: random.Random) -> bytes:
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(data, 0)
    _object(model, rng)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _object(found: Any, rng: random.Random) -> None:
    """Change an attribute of an unpacked table of a FlatBuffer, or of one in it."""
    names = [name for name, value in vars(found).items() if value is not None]
    name = rng.choice(names if rng.random() < 0.95 else list(vars(found)))
    value = getattr(found, name)
    if isinstance(value, (list, np.ndarray)):
        if len(value) and hasattr(value[0], "__dict__"):
            place = rng.randrange(len(value))
            match rng.randrange(12):
                case 0:
                    del value[place]
                case 1:
                    value.append(value[place])
                case 2:
                    value[place] = rng.choice(value)
                case _:
                    _object(value[place], rng)
            return
        numbers = [number.item() if isinstance(number, np.generic) else number for number in value]
        match rng.randrange(5):
            case 0:
                numbers = numbers[:rng.randrange(len(numbers) + 1)]
            case 1:
                numbers = numbers + numbers[:1]
            case _ if numbers:
                place = rng.randrange(len(numbers))
                numbers[place] = _value(numbers[place], rng)
        if isinstance(value, np.ndarray):
            with np.errstate(all="ignore"):
                setattr(found, name, np.array(numbers).astype(value.dtype))
        else:
            setattr(found, name, numbers)
    elif hasattr(value, "__dict__"):
        _object(value, rng)
    elif isinstance(value, bytes):
        setattr(found, name, rng.choice((b"", b"x", value + b"x")))
    else:
        setattr(found, name, _value(value, rng))


_INSIDE: dict[str, Callable[[bytes, list[bytes], random.Random], bytes]] = {
    ".json": _json, ".npy": _npy, ".npz": _npz, ".graph": _npz, ".image": _image, ".eie": _eie,
    ".onnx": _onnx, ".prototxt": _prototxt, ".tflite": _tflite}
