"""Damages files: their bytes, their texts, the values in them."""

import copy
import json
import re
from collections.abc import Callable, Iterator

import numpy as np
import yaml

Mutator = Callable[[np.random.Generator, bytes, bytes], bytes]  # the third is another sound file of the same format

NUMBERS = (
    b"0 -1 25 24 1e400 -1e39 1e-400 nan inf -0 1e . - + 1_0 0x19 1,5 --1 1.5.2 1e22 1e-5 \xd9\xa1 0o7 .inf".split()
)
NUMBERS += [b"2147483648", b"4294967296", b"9223372036854775807", b"72057594037931101", b"9007199254740993"]
NUMBERS += [b"9" * 18, b"9" * 400, b"9" * 5000, b"0." + b"3" * 400, b"1.7e308"]
BREAKS = [b" ", b"\t", b"\n", b"\r\n", b"\r", b"\n\n", b"", b"\0", b"\x0b", b"\x0c", b"\x1c", b"\xc2\x85", b"\xc2\xa0"]
WHOLE = [0, 1, -1, 2, 3, 1 << 16, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, 1 << 40, (1 << 63) - 1, -(1 << 63)]
SIZES = [*WHOLE, 10**400]
DEEP: list = []
for _ in range(200):
    DEEP = [DEEP]
VALUES = [
    *SIZES,
    0.5,
    -1e39,
    1e308,
    float("nan"),
    float("inf"),
    None,
    True,
    False,
    "",
    "a" * 600,
    "\x1b[31m\n",
    "é\u202e",
]
VALUES += [
    [],
    {},
    [[]],
    {"": None},
    [0] * 300,
    DEEP,
    dict.fromkeys(map(str, range(300)), 1),
    "../outside/bait",
    "9" * 30,
]


def pick(rng: np.random.Generator, choices):
    return choices[rng.integers(len(choices))]


def flip(rng, content, _):
    content = bytearray(content)
    for index in rng.integers(len(content), size=rng.integers(1, 4)):
        content[index] ^= 1 << rng.integers(8)
    return bytes(content)


def overwrite(rng, content, _):
    start, length = rng.integers(len(content)), rng.integers(1, 64)
    filling = bytes(length) if rng.random() < 0.3 else rng.bytes(length)
    return content[:start] + filling + content[start + length :]


def insert(rng, content, _):
    at = rng.integers(len(content) + 1)
    return content[:at] + pick(rng, BREAKS) + content[at:]


def delete(rng, content, _):
    start = rng.integers(len(content))
    return content[:start] + content[start + rng.integers(1, 40) :]


def truncate(rng, content, _):
    return content[: rng.integers(len(content) + 1)]


def repeat(rng, content, _):
    start, length = rng.integers(len(content)), rng.integers(1, 200)
    return content[:start] + content[start : start + length] * int(rng.integers(2, 50)) + content[start:]


def splice(rng, content, another):
    return content[: rng.integers(len(content) + 1)] + another[rng.integers(len(another)) :]


def _parts(by: bytes) -> Mutator:
    """Deletes, repeats, swaps or replaces what stands between two separators."""

    def mutate(rng, content, _):
        parts = content.split(by)
        first, second = rng.integers(len(parts), size=2)
        match rng.integers(5):
            case 0:
                del parts[first]
            case 1:
                parts.insert(second, parts[first])
            case 2:
                parts[first], parts[second] = parts[second], parts[first]
            case 3:
                parts[first:first] = parts[first : first + 30]
            case _:
                parts[first] = pick(rng, NUMBERS)
        return by.join(parts)

    return mutate


def numbers(rng, content, _):
    """Replaces one of the numbers in a text."""
    found = list(re.finditer(rb"\d[\d.e+-]*", content))
    if not found:
        return content
    start, end = pick(rng, found).span()
    return content[:start] + pick(rng, NUMBERS) + content[end:]


def counts(rng, content, _):
    """Replaces a whole line, the first ones more often: that is where counts stand."""
    parts = content.split(b"\n")
    parts[min(int(rng.exponential(3)), len(parts) - 1)] = pick(rng, NUMBERS)
    return b"\n".join(parts)


def blanks(rng, content, _):
    """Another kind of blank everywhere, which may or may not be one."""
    return content.replace(pick(rng, (b" ", b"\n")), pick(rng, BREAKS))


BYTES = [flip, overwrite, insert, delete, truncate, repeat, splice]
TEXT = [_parts(b"\n"), _parts(b" "), numbers, blanks]


def changed(rng, value):
    """A JSON value with one of the values inside replaced, left out, repeated or renamed."""
    value = copy.deepcopy(value)
    inside = value
    while True:
        if not isinstance(inside, (dict, list)) or not inside:
            return pick(rng, VALUES)
        key = pick(rng, list(inside)) if isinstance(inside, dict) else int(rng.integers(len(inside)))
        if rng.random() < 0.7 and isinstance(inside[key], (dict, list)) and inside[key]:
            inside = inside[key]
            continue
        match rng.integers(6):
            case 0:
                del inside[key]
            case 1 if isinstance(inside, dict):
                inside[str(pick(rng, VALUES))[:700]] = inside.pop(key)
            case 1:
                inside *= int(rng.integers(2, 9))
            case 2:
                inside[key] = pick(rng, list(inside.values()) if isinstance(inside, dict) else inside)
            case _:
                inside[key] = pick(rng, VALUES)
        return value


def json_values(rng, content, _):
    try:
        return json.dumps(changed(rng, json.loads(content))).encode()
    except (ValueError, RecursionError):
        return content


def yaml_values(rng, content, _):
    try:
        return yaml.safe_dump(changed(rng, yaml.safe_load(content)), allow_unicode=True).encode()
    except Exception:  # what bytes alone have damaged before
        return content


CSV_FIELDS = (
    b"../outside/bait /dev/zero /dev/stdin zero.npy pipe.npy folder.npy sparse.npy loop.npy ../../../.npy".split()
)
CSV_FIELDS += [
    b".npy",
    b"a.npy",
    b"a" * 600 + b".npy",
    b"~/a.npy",
    b"//a.npy",
    b"a\0.npy",
    b"d/" * 3000 + b"a.npy",
    b"\xff",
]
CSV_FIELDS += [b"'=1+1", b'"a\nb"', b'"', b'"a""b"', b"\x1b[31m", "\u202ea.npy".encode(), b'"' + b"x" * 200_000 + b'"']
CSV_FIELDS += [b"test", b"train", b"path"]


def csv_fields(rng, content, _):
    """Replaces a field, or changes the columns of all lines."""
    rows = [line.split(b",") for line in content.split(b"\n")]
    row = pick(rng, rows)
    match rng.integers(6):
        case 0:
            del row[rng.integers(len(row))]
        case 1:
            row.append(pick(rng, CSV_FIELDS))
        case 2:
            column = rng.integers(len(rows[0]))
            rows = [each[:column] + each[column + 1 :] for each in rows]
        case _:
            row[rng.integers(len(row))] = pick(rng, NUMBERS if rng.random() < 0.3 else CSV_FIELDS)
    return b"\n".join(b",".join(each) for each in rows)


def mutants(seeds: list[bytes], number: int, rng: np.random.Generator, structural: list[Mutator]) -> Iterator[bytes]:
    """Each seed itself, then seeds with one to three mutations, at least half of them such as the format invites."""
    yield from seeds
    for _ in range(number - len(seeds)):
        content = pick(rng, seeds)
        for _ in range(rng.integers(1, 4)):
            mutate = pick(rng, structural if rng.random() < 0.6 else BYTES)
            content = mutate(rng, content or b"\n", pick(rng, seeds))
        yield content
