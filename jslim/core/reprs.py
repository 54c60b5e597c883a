"""The words of `repr`: what an object is and how large, in a line, without its arrays.

Nothing here computes, and of arrays only the shapes are looked at; a single number is read, if the
device has it already. So all of it works on traced and on donated arrays.
"""

import html
import inspect
import math
from collections.abc import Iterable, Sequence
from functools import partial

import jax
import numpy as np

from jslim.core.trees import PyTree, is_used_up


def counted(count: int, thing: str, things: str = "") -> str:
    """A number of things.

    >>> counted(1437, "image"), counted(1, "class", "classes")
    ('1,437 images', '1 class')
    """
    return f"{count:,} {thing if count == 1 else things or f'{thing}s'}"


def in_bytes(count: int) -> str:
    """A number of bytes, to three digits.

    >>> in_bytes(999), in_bytes(553430176)
    ('999 B', '553 MB')
    """
    size, unit = float(count), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if round(size) < 1000:
            break
        size, unit = size / 1000, larger
    return f"{size:.3g} {unit}"


def sizes(tree: PyTree) -> tuple[int, int, int]:
    """The number of arrays in a tree, of their elements and of their bytes.

    >>> sizes({"w": np.zeros((2, 3), np.float32), "b": np.zeros(3, np.float32)})
    (2, 9, 36)
    """
    leaves = [leaf for leaf in jax.tree.leaves(tree) if hasattr(leaf, "shape")]
    counts = [math.prod(leaf.shape) for leaf in leaves]
    widths = [getattr(leaf.dtype, "itemsize", 0) for leaf in leaves]
    return len(leaves), sum(counts), sum(c * w for c, w in zip(counts, widths, strict=True))


def variables_of(tree: PyTree) -> str:
    """The size of a tree of variables.

    >>> variables_of({"w": np.zeros((500, 2), np.float32)})
    '1 variable of 1,000 numbers (4 kB)'
    """
    arrays, numbers, size = sizes(tree)
    of = f" of {counted(numbers, 'number')} ({in_bytes(size)})" if arrays else ""
    return f"{counted(arrays, 'variable')}{of}"


def value_or_type(leaf: object) -> str:
    """A single number as it is, and an array by its type and shape.

    >>> value_or_type(np.float32(0.25)), value_or_type(np.zeros((2, 3))), value_or_type(7)
    ('0.25', 'float64[2,3]', '7')
    """
    shape, dtype = getattr(leaf, "shape", None), getattr(leaf, "dtype", None)
    if shape is None:
        return f"{leaf!r:.40}"
    number = known_number(leaf)
    return f"{dtype}[{','.join(map(str, shape))}]" if number is None else f"{number:.7g}"


def known_number(leaf: object) -> float | None:
    """A single number that can be read at once; None for an array, or a traced or donated one."""
    if getattr(leaf, "shape", None) != () or is_used_up(leaf):
        return None
    try:
        is_known = getattr(leaf, "is_fully_addressable", True) and is_computed(leaf)
        return float(np.asarray(leaf)) if is_known else None
    except (TypeError, ValueError):  # JAX's errors about traced arrays are TypeErrors
        return None


def is_computed(leaf: object) -> bool:
    """Whether the devices are done with an array; a traced one counts as done."""
    return bool(getattr(leaf, "is_ready", lambda: True)())


def name_of(function: object) -> str:
    """The name of a function, also of a partial one.

    >>> name_of(partial(np.mean, axis=0)), name_of(3)
    ('mean', 'int')
    """
    while isinstance(function, partial):
        function = function.func
    return getattr(function, "__name__", type(function).__name__)


def short(value: object) -> str:
    """A value in at most 60 letters, a function by its name.

    >>> short(np.mean), short("a" * 99)[-5:]
    ('mean', 'aa...')
    """
    if callable(value) and hasattr(value, "__name__"):
        return str(value.__name__)
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def call_of(function: object) -> str:
    """A function as it is called: its name and its arguments, with their defaults.

    >>> call_of(lambda images, is_training=True: images)
    '<lambda>(images, is_training=True)'
    """
    try:
        parameters = inspect.signature(function).parameters.values()  # type: ignore[arg-type]
    except (TypeError, ValueError):  # some functions written in C have no signature
        return name_of(function)
    shown = [
        str(p.replace(annotation=p.empty)) if _is_short(p.default) else p.name for p in parameters
    ]
    return f"{name_of(function)}({', '.join(shown)})"


def _is_short(default: object) -> bool:
    return len(repr(default)) <= 30


def state_repr(state: tuple[object, ...]) -> str:
    """The `repr` of a named tuple of arrays: single numbers as they are, arrays by their shapes."""
    names = getattr(state, "_fields", ())
    held = [f"{name}={held_repr(value)}" for name, value in zip(names, state, strict=True)]
    return f"{type(state).__name__}({', '.join(held)})"


def held_repr(value: object) -> str:
    """The same for what it holds: dicts, tuples and arrays.

    >>> held_repr({"a": np.float32(0.5), "b": (np.zeros(3, np.float32), 1)})
    "{'a': 0.5, 'b': (float32[3], 1)}"
    """
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key!r}: {held_repr(held)}' for key, held in value.items())}}}"
    if isinstance(value, tuple) and not hasattr(value, "_fields"):
        return f"({', '.join(map(held_repr, value))})"
    return value_or_type(value) if hasattr(value, "shape") else repr(value)


def html_table(titles: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table for notebooks; numbers are at the right.

    >>> html_table(["layer", "size"], [["a<b", 1000]])
    '<table><tr><th>layer</th><th>size</th></tr><tr><td style="text-align:left">a&lt;b</td>\
<td style="text-align:right">1,000</td></tr></table>'
    """
    head = "".join(f"<th>{html.escape(title)}</th>" for title in titles)
    body = "".join(f"<tr>{''.join(map(_html_cell, row))}</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"


def _html_cell(value: object) -> str:
    is_number = isinstance(value, int)
    side, text = ("right", f"{value:,}") if is_number else ("left", html.escape(str(value)))
    return f'<td style="text-align:{side}">{text}</td>'
