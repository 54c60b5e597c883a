"""Reads an optimized program of XLA, as text, into operations with their shapes."""

import dataclasses
import math
import re
from collections.abc import Iterator

# Bytes of one number.
_WIDTHS = {
    **dict.fromkeys(("pred", "s8", "u8", "f8e4m3fn", "f8e5m2"), 1),
    **dict.fromkeys(("s16", "u16", "f16", "bf16"), 2),
    **dict.fromkeys(("s32", "u32", "f32"), 4),
    **dict.fromkeys(("s64", "u64", "f64"), 8),
}
# dtype[dimensions]{order of axes in memory:T(tile)S(memory space)}
_ARRAY = re.compile(r"\b(\w+)\[([\d,]*)\](?:\{([\d,]*)(?::([^}]*))?\})?")
_COMPUTATION = re.compile(r"^(ENTRY )?%?([\w.\-]+) \(.*\) -> .* \{$")
_ASSIGNMENT = re.compile(r"^\s+(?:ROOT )?%?([\w.\-]+) = (.*)$")


@dataclasses.dataclass(frozen=True)
class Array:
    dtype: str
    shape: tuple[int, ...]
    order: tuple[int, ...] = ()  # of axes in memory, the fastest first
    tile: tuple[int, ...] = ()  # a TPU pads the fastest axes to multiples of it
    space: int = 0  # 0 is the device's memory, others lie on the chip

    @property
    def num_bytes(self) -> int:
        return _WIDTHS.get(self.dtype, 0) * math.prod(self.shape)

    @property
    def padded_bytes(self) -> int:
        """Bytes that it takes up in memory."""
        lengths = list(self.shape)
        for axis, tile in zip(self.order, reversed(self.tile), strict=False):
            lengths[axis] = -(-lengths[axis] // tile) * tile
        return _WIDTHS.get(self.dtype, 0) * math.prod(lengths)


@dataclasses.dataclass(frozen=True)
class Operation:
    name: str
    opcode: str
    results: tuple[Array, ...]
    operands: tuple[str, ...]  # names, in the same computation
    attributes: str  # the rest of the line

    def attribute(self, name: str) -> str:
        """What follows `name=`, of braces or quotes what lies in them; '' without it."""
        found = re.search(rf'\b{name}=(?:\{{([^}}]*)\}}|"([^"]*)"|%?([^,\s}}]*))', self.attributes)
        return next((part for part in found.groups() if part is not None), "") if found else ""

    @property
    def callees(self) -> list[str]:
        """Names of the computations that it runs as they are (no fusion, no reducer)."""
        if self.opcode not in ("while", "conditional", "call"):
            return []
        keys = ("body", "condition", "to_apply", "calls", "branch_computations")
        keys += ("true_computation", "false_computation")
        found = (re.findall(r"[\w.\-]+", self.attribute(key)) for key in keys)
        return [name for names in found for name in names]


class Program:
    """The computations of a program by name, each its operations by name."""

    def __init__(self, text: str):
        self.computations: dict[str, dict[str, Operation]] = {}
        self.entry = ""
        self.num_donated = len(re.findall(r"(?:may|must)-alias", text.partition("\n")[0]))
        current: dict[str, Operation] | None = None
        for line in text.splitlines():
            start = _COMPUTATION.match(line)
            if start:
                current = self.computations.setdefault(start[2], {})
                self.entry = start[2] if start[1] else self.entry
            elif line == "}":
                current = None
            elif current is not None and (operation := _operation(line)):
                current[operation.name] = operation

    def run(self) -> Iterator[tuple[dict[str, Operation], Operation]]:
        """Each operation that runs by itself, with its computation; a loop's body once."""
        todo, seen = [self.entry], set()
        while todo:
            name = todo.pop()
            if name in seen or name not in self.computations:
                continue
            seen.add(name)
            for operation in self.computations[name].values():
                todo += operation.callees
                yield self.computations[name], operation

    def within(self, operation: Operation) -> Iterator[tuple[dict[str, Operation], Operation]]:
        """The operations that a fusion is made of, of fusions in it too."""
        if operation.opcode not in ("fusion", "async-start"):
            return
        computation = self.computations.get(operation.attribute("calls"), {})
        for inner in computation.values():
            yield computation, inner
            yield from self.within(inner)


def arrays(type_: str) -> tuple[Array, ...]:
    """The arrays of a type, of a tuple all in order."""
    found = []
    for dtype, shape, order, layout in _ARRAY.findall(type_):
        if dtype not in _WIDTHS:
            continue
        tile = re.search(r"T\(([\d,]+)\)", layout)
        space = re.search(r"S\((\d+)\)", layout)
        numbers = (
            tuple(int(n) for n in text.split(",") if n)
            for text in (shape, order, tile[1] if tile else "")
        )
        found.append(Array(dtype, *numbers, space=int(space[1]) if space else 0))
    return tuple(found)


def _operation(line: str) -> Operation | None:
    assigned = _ASSIGNMENT.match(line)
    if not assigned:
        return None
    name, rest = assigned.groups()
    type_, rest = _split_type(rest)
    opcode, _, rest = rest.partition("(")
    inside, attributes = _split_parenthesis(rest)
    operands = tuple(re.findall(r"%([\w.\-]+)", inside))
    return Operation(name, opcode.strip(), arrays(type_), operands, attributes)


def _split_type(text: str) -> tuple[str, str]:
    if text.startswith("("):
        type_, rest = _split_parenthesis(text[1:])
        return type_, rest.strip()
    type_, _, rest = text.partition(" ")
    return type_, rest


def _split_parenthesis(text: str) -> tuple[str, str]:
    """What stands before the parenthesis that closes, and after it."""
    depth = 1
    for index, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if depth == 0:
            return text[:index], text[index + 1 :]
    return text, ""
