"""Changes to bytes, JSON and protocol buffers, each drawn from a generator alone."""

import copy
import json
import random
from collections.abc import Callable
from typing import Any

Rng = random.Random
Mutate = Callable[[Rng, bytes], bytes]

NUMBERS = (
    0, 1, 2, 3, 4, 7, 8, 16, 31, 32, 63, 64, 100, 127, 128, 255, 256, 1000, 0x7FFF, 0x8000, 0xFFFF,
    1 << 16, 1 << 20, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, 1 << 32, 1 << 40, (1 << 62),
    (1 << 63) - 1, 1 << 63, (1 << 64) - 1,
)  # fmt: skip
TOKENS = (
    b"\0", b"\xff\xfe", b"\n", b"\r\n", b"\xe2\x80\xa8", b"\x1b[2J", b"\xed\xa0\x80", b"%s", b"../",
    b"nan", b"-1", b"1e999", b"None", b"'", b'"', b"(", b")", b"{", b"}", b"[", b",", b":", b"O",
    b"|O8", b"99999999999999999999", b"True", b"\xc2\xb2", b"<f8", b"/", b"=", b"--flagfile=x",
)  # fmt: skip


def mutate_bytes(rng: Rng, content: bytes) -> bytes:
    """One to four changes anywhere."""
    held = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        rng.choice(_CHANGES)(rng, held)
    return bytes(held)


def _at(rng: Rng, held: bytearray) -> int:
    # Headers come first and directories last: there half of the changes are made.
    near = min(len(held), 64)
    choice = rng.random()
    if choice < 0.25:
        return rng.randint(0, near)
    return len(held) - rng.randint(0, near) if choice < 0.4 else rng.randint(0, len(held))


def _flip(rng: Rng, held: bytearray) -> None:
    if held:
        held[_at(rng, held) % len(held)] ^= 1 << rng.randrange(8)


def _set(rng: Rng, held: bytearray) -> None:
    if held:
        held[_at(rng, held) % len(held)] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))


def _set_number(rng: Rng, held: bytearray) -> None:
    size = rng.choice((2, 4, 8))
    at = _at(rng, held)
    number = (rng.choice(NUMBERS) + rng.choice((0, 0, 0, 1, -1, len(held)))) % (1 << 8 * size)
    held[at : at + size] = number.to_bytes(size, rng.choice(("little", "big")))


def _insert(rng: Rng, held: bytearray) -> None:
    at = _at(rng, held)
    held[at:at] = rng.choice((rng.choice(TOKENS), rng.randbytes(rng.randint(1, 16))))


def _replace(rng: Rng, held: bytearray) -> None:
    token, at = rng.choice(TOKENS), _at(rng, held)
    held[at : at + len(token)] = token


def _delete(rng: Rng, held: bytearray) -> None:
    at = _at(rng, held)
    del held[at : at + rng.choice((1, 1, 2, 4, 16, 256))]


def _cut(rng: Rng, held: bytearray) -> None:
    del held[_at(rng, held) :]


def _repeat(rng: Rng, held: bytearray) -> None:
    start, at = _at(rng, held), _at(rng, held)
    held[at:at] = held[start : start + rng.choice((1, 4, 16, 64))] * rng.choice((1, 1, 2, 50))


def _fill(rng: Rng, held: bytearray) -> None:
    at = _at(rng, held)
    size = min(rng.choice((4, 16, 64)), len(held) - at)
    held[at : at + size] = bytes([rng.choice((0, 0xFF, 0x20))]) * size


_CHANGES = (
    _flip, _flip, _flip, _set, _set, _set_number, _set_number, _insert, _replace, _delete, _cut,
    _repeat, _fill,
)  # fmt: skip


class Raw(str):
    """JSON that is put in as it is."""


def _values(rng: Rng) -> Any:
    return rng.choice(
        (
            None, True, False, 0, 1, -1, 3, 255, 10**6, 10**10, 1 << 31, 1 << 62, 1 << 63,
            -(1 << 63), 1 << 64, 0.5, -0.0, 1e308, Raw("NaN"), Raw("Infinity"), Raw("1e999"),
            Raw("9" * 5000), "", "x", "é" * 3, "x" * 5000, "\x1b[2J", "a\u2028b", "a\0b", "../x",
            "/dev/zero", "params/x", "lenet", "float32", "object", "V8", Raw('"\\ud800"'), [], [0],
            [-1], [1 << 62, 4], [[]], ["a", 1], [0] * 300, {}, {"a": 1}, {"": None},
            Raw("[" * 100_000 + "]" * 100_000), Raw('{"a":' * 70 + "1"),
        )
    )  # fmt: skip


def mutate_json(rng: Rng, content: bytes) -> bytes:
    """A document with one to three of its values replaced, dropped, renamed or doubled."""
    document = [json.loads(content)]
    for _ in range(rng.choice((1, 1, 2, 3))):
        holder: Any = document
        key: Any = 0
        while isinstance(holder[key], dict | list) and holder[key] and rng.random() < 0.8:
            holder = holder[key]
            key = rng.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
        change = rng.random()
        if change < 0.6 or holder is document:
            holder[key] = _values(rng)
        elif change < 0.75:
            del holder[key]
        elif change < 0.85 and isinstance(holder, dict):
            holder[rng.choice(("x", "", key.upper(), key + "/x"))] = holder.pop(key)
        elif isinstance(holder, list):
            holder.insert(key, copy.deepcopy(rng.choice(holder)))
        elif isinstance(holder[key], bool | int | float):
            holder[key] = rng.choice(
                (str(holder[key]), [holder[key]], -holder[key], holder[key] * 0.5)
            )
        else:
            holder[key] = rng.choice(([holder[key]], {"x": holder[key]}, str(holder[key])))
        if not holder:
            break
    return _dumped(document[0])


def _dumped(value: Any) -> bytes:
    """JSON in which `Raw` values stand as they are."""
    raw: list[Raw] = []

    def mark(part: Any) -> Any:
        if isinstance(part, Raw):
            raw.append(part)
            return f"\0{len(raw) - 1}\0"
        if isinstance(part, dict):
            return {key: mark(inner) for key, inner in part.items()}
        return [mark(inner) for inner in part] if isinstance(part, list) else part

    text = json.dumps(mark(value))
    for number, part in enumerate(raw):
        text = text.replace(f'"\\u0000{number}\\u0000"', part)
    return text.encode("utf-8", "surrogatepass")


def varint(value: int) -> bytes:
    out = bytearray()
    value %= 1 << 64
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def field(number: int, value: int | bytes) -> bytes:
    """One field of a protocol buffer."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def read_varint(content: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = content[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def split_message(content: bytes) -> list[tuple[int, int, Any]] | None:
    """Number, wire type and value of each field of a protocol buffer; None where it is none."""
    found, at = [], 0
    try:
        while at < len(content):
            key, at = read_varint(content, at)
            number, kind = key >> 3, key & 7
            if kind == 0:
                value: Any
                value, at = read_varint(content, at)
            else:
                size = {1: 8, 5: 4}.get(kind)
                if kind == 2:
                    size, at = read_varint(content, at)
                if size is None or at + size > len(content) or not number:
                    return None
                value, at = content[at : at + size], at + size
            found.append((number, kind, value))
    except IndexError:
        return None
    return found


def join_message(fields: list[tuple[int, int, Any]]) -> bytes:
    parts = []
    for number, kind, value in fields:
        parts.append(varint(number << 3 | kind))
        if kind == 0:
            parts.append(varint(value))
        else:
            parts.append(varint(len(value)) + value if kind == 2 else value)
    return b"".join(parts)


def mutate_message(rng: Rng, content: bytes) -> bytes:
    """A protocol buffer with a field changed at any depth, whose lengths are right."""
    fields = split_message(content)
    if not fields:
        return mutate_bytes(rng, content)
    at = rng.randrange(len(fields))
    number, kind, value = fields[at]
    change = rng.random()
    if change < 0.1:
        del fields[at]
    elif change < 0.2:
        fields.insert(rng.randint(0, len(fields)), fields[at])
    elif change < 0.3:
        fields[at] = (rng.randint(1, 12), kind, value)
    elif change < 0.35:
        fields[at] = (number, 0, rng.choice(NUMBERS)) if kind == 2 else (number, 2, b"x")
    elif kind == 0:
        fields[at] = (number, kind, rng.choice((*NUMBERS, value + 1, value ^ 1)))
    else:
        fields[at] = (number, kind, mutate_message(rng, value) if kind == 2 else _fixed(rng, value))
    return join_message(fields)


def _fixed(rng: Rng, value: bytes) -> bytes:
    return (rng.choice(NUMBERS) % (1 << 8 * len(value))).to_bytes(len(value), "little")
