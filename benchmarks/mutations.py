"""Ways to damage a file: its bytes, its words, its values. What `benchmarks/fuzz.py` does to each kind."""

import io
import json
import re
import struct
from collections.abc import Callable
from itertools import pairwise
from random import Random
from typing import Any

import numpy as np

Mutation = Callable[[bytes, Random], bytes]
NUMBERS: list[Any] = [0, -1, 1, 2, 0.5, 1e308, -1e308, 1e-320, float("nan"), float("inf"), -float("inf"), 2**31, 2**63]
NUMBERS += [10**20, -(10**20), 10**400, 99999, True]
NAMES = ["", " ", ".", "..", "../../x", "../../../fuzz/x.jpg", "/fuzz/x.jpg", "a/../../x", "C:\\x", "con", "-rf", "~/x"]
NAMES += ["=cmd|' /C calc'!A0", "+1", "@x", "-1+1", "<script>alert(1)</script>", "&amp;", "\"'>", "]]>", "[red]x[/red]"]
NAMES += [
    "[/x]",
    "$\\frac{$",
    "{epochs.foo}",
    "{epochs[0]}",
    "{epochs:>9999999999}",
    "%s",
    "a\nb",
    "a\rb",
    "a\tb",
    "\0",
]
NAMES += [
    "\x1b[31mred",
    "\x07",
    "caf\udce9.jpg",
    "\ufeff",
    "\u202egpj.exe",
    "\U0001d518" * 90,
    "x" * 300,
    "x" * 100_000,
]
SHAPES: list[Any] = [None, [], {}, [[]], [{}], [None], {"": None}, {"a": {"b": []}}, [1, 2, 3], [[1, 2, 3, 4]], "null"]
WORDS = [
    "nan",
    "inf",
    "-1",
    "0",
    "1e999",
    "1e308",
    "-0.0",
    "9" * 400,
    "9" * 5000,
    "\u0663",
    "0x10",
    "1_000",
    "1,5",
    "٣",
]
WORDS += ["null", "true", "[", "{", "[" * 3000, "[" * 100_000, '"', "'", ",", ";", "\t", "\n", "\r\n", "#", "\\"]
YAML = ["!!timestamp x", "!!int ''", "!!bool x", "!!int x", "2001-99-99", "!!python/object/apply:os.system ['true']"]
YAML += ["&a [*a]", "*a", "{1: 2}", "? [a, b]\n: c\n", "<<: {a: 1}", "!!binary x", "!!set {a}", "!!float .", "1:60:99"]
YAML += [
    "[&a [x,x,x,x,x,x,x,x,x], " + ", ".join(f"&{b} [{','.join(['*' + a] * 9)}]" for a, b in pairwise("abcdefghi")) + "]"
]
XML = ['<!DOCTYPE x [<!ENTITY a "x"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>', "<object>", "&b;", "<bndbox/>"]


def mutated(content: bytes, kind: str, draw: Random) -> tuple[str, bytes]:
    """What was done, and a damaged copy.

    kind: suffix of the file, which says what can be done to it beside changing bytes.
    """
    names = []
    for _ in range(draw.choice([1, 1, 1, 2, 3])):
        ways = [*BYTES, *(OF_SUFFIX.get(kind, ()) * 3)]
        way = draw.choice(ways)
        names.append(way.__name__.strip("_"))
        content = way(content, draw)
    return "+".join(names), content


# --- bytes


def flip(content: bytes, draw: Random) -> bytes:
    changed = bytearray(content)
    for _ in range(draw.choice([1, 1, 4])):
        if changed:
            changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def cut(content: bytes, draw: Random) -> bytes:
    return content[: draw.randrange(len(content) + 1)]


def take_out(content: bytes, draw: Random) -> bytes:
    begin, end = sorted(draw.randrange(len(content) + 1) for _ in range(2))
    return content[:begin] + content[min(end, begin + 64) :]


def insert(content: bytes, draw: Random) -> bytes:
    place = draw.randrange(len(content) + 1)
    return content[:place] + _bytes(draw.choice([*WORDS, *NAMES, *YAML, *XML, "\xe9\udce9"])) + content[place:]


def repeat(content: bytes, draw: Random) -> bytes:
    begin, end = sorted(draw.randrange(len(content) + 1) for _ in range(2))
    return content[:end] + content[begin:end][:1000] * draw.choice([1, 2, 50]) + content[end:]


def noise(content: bytes, draw: Random) -> bytes:
    return draw.choice([b"", b"\0" * 100, draw.randbytes(200), b"\xff\xfe" + draw.randbytes(50), b"{}", b"[]", b"null"])


# --- words of text


def swap_word(content: bytes, draw: Random) -> bytes:
    """A word becomes another one, or something odd."""
    words = list(re.finditer(rb"[^\s,;:<>\"\[\]{}=]+", content))
    if not words:
        return content
    word = draw.choice(words)
    odd = [*WORDS, *NAMES, *(str(number) for number in NUMBERS), *[draw.choice(words)[0]] * 12]
    return content[: word.start()] + _bytes(draw.choice(odd)) + content[word.end() :]


def swap_line(content: bytes, draw: Random) -> bytes:
    """A line is repeated, lost, moved, or begins as another one does."""
    lines = content.splitlines(keepends=True) or [b""]
    line, place = draw.choice(lines), draw.randrange(len(lines))
    how = draw.choice(["repeat", "lose", "move", "half"])
    if how == "repeat":
        lines.insert(place, line)
    elif how == "lose":
        del lines[place]
    elif how == "move":
        lines[place], lines[0] = lines[0], lines[place]
    else:
        lines[place] = line[: len(line) // 2] + lines[place][len(lines[place]) // 2 :]
    return b"".join(lines)


def yaml_value(content: bytes, draw: Random) -> bytes:
    """The value of a key becomes something that YAML knows."""
    values = list(re.finditer(rb": *([^\n,{}\[\]]+)", content))
    if not values:
        return content
    value = draw.choice(values)
    return content[: value.start(1)] + _bytes(draw.choice(YAML + WORDS + NAMES)) + content[value.end(1) :]


def entity(content: bytes, draw: Random) -> bytes:
    """XML that grows when it is read, or lacks an element."""
    bomb = "".join(f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in pairwise("abcdefghi"))
    if draw.random() < 0.5:
        tag = draw.choice(re.findall(rb"<(\w+)", content) or [b"x"])
        return re.sub(rb"<%s>.*?</%s>" % (tag, tag), b"", content, count=1, flags=re.DOTALL)
    return b'<!DOCTYPE x [<!ENTITY a "x">' + bomb.encode() + b"]>" + re.sub(rb">\w+<", b">&i;<", content, count=1)


# --- values of JSON, also a line each


def json_value(content: bytes, draw: Random) -> bytes:
    """One value becomes another one, is lost, repeated, renamed or nested."""
    lines = content.splitlines(keepends=True)
    by_line = bool(lines) and len(lines) > 1 and lines[0].lstrip()[:1] == b"{" and lines[0].rstrip()[-1:] == b"}"
    place = draw.randrange(len(lines)) if by_line else 0
    try:
        entries = json.loads(lines[place] if by_line else content)
    except (ValueError, RecursionError):
        return flip(content, draw)
    holders = list(_holders(entries))
    if not holders:
        return json.dumps(draw.choice(SHAPES)).encode()
    holder, key = draw.choice(holders)
    _change(holder, key, draw)
    try:
        changed = json.dumps(entries).encode()
    except RecursionError:
        return content
    changed = changed.replace(b'"DEEP"', b"[" * 100_000) if b'"DEEP"' in changed else changed
    return b"".join([*lines[:place], changed + b"\n", *lines[place + 1 :]]) if by_line else changed


def _change(holder: Any, key: Any, draw: Random) -> None:
    value = holder[key]
    how = draw.randrange(10)
    if how < 3:
        holder[key] = draw.choice(NUMBERS)
    elif how < 5:
        holder[key] = draw.choice(NAMES)
    elif how == 5:
        holder[key] = draw.choice([*SHAPES, "DEEP"])
    elif how == 6:
        del holder[key]
    elif how == 7:
        holder[key] = [value] if draw.random() < 0.5 else {"x": value}
    elif how == 8 and isinstance(holder, list):
        holder.append(value)
    elif how == 8:
        holder[draw.choice(NAMES)] = holder.pop(key)
    elif isinstance(value, int | float):
        holder[key] = draw.choice([-value, value * 1000, str(value), value + 0.5])
    else:
        holder[key] = str(value) + draw.choice(NAMES)


def _holders(value: Any) -> Any:
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from _holders(value[key])


# --- arrays, tensors, tables


def npy_header(content: bytes, draw: Random) -> bytes:
    """A header that asks for another type or shape than the file has."""
    shapes = ["(9999999, 9999999)", "(1000000, 4000)", "()", "(0,)", "(0, 0)", "(-1, 4)", "(4, -1)", "(1, 1, 1)"]
    shapes += ["(" * 2000, "1", "(True, 2)", "(2**62, 2**62)", "(" + "9" * 400 + ", 1)", "(3, 4)", "(None, 1)"]
    types = ["'<f8'", "'|O'", "'<c16'", "'<U99999999'", "'|V8'", "'<f2'", "'<M8[s]'", "[('a', '<f4')]", "'|b1'", "'x'"]
    kind, shape = draw.choice([*types, "'<f4'", "'<f4'"]), draw.choice(shapes)
    header = f"{{'descr': {kind}, 'fortran_order': {draw.choice(['False', 'True', '1'])}, 'shape': {shape}, }}".encode()
    header += b" " * draw.choice([0, 7, 60_000]) + b"\n"
    return b"\x93NUMPY\x02\x00" + struct.pack("<I", len(header)) + header + content[-64:]


def npy_values(content: bytes, draw: Random) -> bytes:
    """Another array: NaN, infinite, constant, other shapes and types."""
    arrays = [
        np.full((1, 4, 4), np.nan),
        np.full((4, 4), np.inf),
        np.zeros((1, 4, 4)),
        np.zeros((2, 3)),
        np.arange(5.0),
    ]
    arrays += [
        np.array(3.0),
        np.zeros((0, 4, 4)),
        np.zeros((1, 0, 4)),
        np.ones((1, 4, 4), bool),
        np.zeros((4, 4), "U3"),
    ]
    arrays += [np.full((1, 4, 4), 1e308), np.eye(4)[None] * -5, np.eye(4, dtype=complex)[None], np.eye(224), np.eye(4)]
    buffer = io.BytesIO()
    if draw.random() < 0.1:
        np.savez(buffer, draw.choice(arrays))
    else:
        np.save(buffer, draw.choice(arrays))
    return buffer.getvalue()


def tensor_header(content: bytes, draw: Random) -> bytes:
    """The header of safetensors, which is JSON, changed."""
    size = int.from_bytes(content[:8], "little")
    header = json_value(content[8 : 8 + size], draw)
    said = draw.choice([len(header)] * 6 + [0, 2**40, 2**63, len(header) - 1])
    return said.to_bytes(8, "little") + header + content[8 + size :]


def tensor_values(content: bytes, draw: Random) -> bytes:
    """Weights that are NaN, with a header that fits."""
    size = 8 + int.from_bytes(content[:8], "little")
    if len(content) < size + 8:
        return content[:-1]
    place = draw.randrange(size, len(content) - 4) // 4 * 4
    return content[:place] + struct.pack("<f", draw.choice([float("nan"), float("inf"), 1e38])) + content[place + 4 :]


def parquet_values(content: bytes, draw: Random) -> bytes:
    """A table with other values, types or columns."""
    import pyarrow as pa
    from pyarrow import parquet

    try:
        table = parquet.read_table(pa.BufferReader(content))
    except Exception:
        return flip(content, draw)
    place = draw.randrange(table.num_columns)
    name, how = table.column_names[place], draw.randrange(4)
    odd: list[Any] = [draw.choice(NAMES).encode("utf-8", "replace").decode() for _ in range(table.num_rows)]
    columns: list[Any] = [odd, [None] * table.num_rows, [draw.choice([0, -1, 2**40])] * table.num_rows]
    if how < 3:
        table = table.set_column(place, name, pa.array(columns[how]))
    else:
        table = table.drop_columns([name]) if table.num_columns > 1 else table.slice(0, 0)
    sink = pa.BufferOutputStream()
    parquet.write_table(table, sink)
    return sink.getvalue().to_pybytes()


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")


BYTES: list[Mutation] = [flip, cut, take_out, insert, repeat, noise]
OF_SUFFIX: dict[str, list[Mutation]] = {
    ".json": [json_value, json_value, swap_word],
    ".jsonl": [json_value, json_value, swap_line],
    ".npy": [npy_header, npy_values],
    ".safetensors": [tensor_header, tensor_values],
    ".parquet": [parquet_values],
    ".csv": [swap_word, swap_line],
    ".txt": [swap_word, swap_line],
    ".yaml": [swap_word, swap_line, yaml_value, yaml_value],
    ".xml": [swap_word, swap_line, entity],
}
