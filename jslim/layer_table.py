"""`summary_table`: the layers of a model with their shapes, parameters, operations and scopes."""

import itertools
import os
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import jax

from jslim.core import checks
from jslim.core.arg_scope import ArgValue
from jslim.core.model import Model
from jslim.core.reprs import html_table, in_bytes, short
from jslim.model_analyzer import LayerRow, layer_rows

_WIDTH = 80
_TITLES = ("layer", "", "output", "parameters", "FLOPs", "scopes")


@dataclass(frozen=True, repr=False)
class SummaryTable:
    """The layers of a model, from `summary_table`; prints as a table of 80 columns.

    Attributes:
      rows: A `model_analyzer.LayerRow` for each line, with exact numbers.
    """

    rows: tuple[LayerRow, ...]

    @property
    def parameters(self) -> int:
        """The number of parameters of all rows."""
        return sum(row.parameters for row in self.rows)

    @property
    def statistics(self) -> int:
        """The number of moving statistics and of other variables that are not in 'params'."""
        return sum(row.statistics for row in self.rows)

    @property
    def flops(self) -> int:
        """The floating-point operations of all rows, as `count_flops` counts them."""
        return sum(row.flops for row in self.rows)

    def __str__(self) -> str:
        letters = self._letters()
        lines = [_TITLES, *(_cells(row, letters) for row in self.rows)]
        lines.append(("total", "", "", f"{self.parameters:,}", _short_number(self.flops), ""))
        widths = [max(len(line[column]) for line in lines) for column in range(len(_TITLES))]
        widths[0] = min(widths[0], max(_WIDTH - sum(widths[1:]) - 2 * (len(widths) - 1), 12))
        text: list[str] = []
        above = ""
        for name, *cells in lines:
            scope = ""
            if len(name) > widths[0]:  # its scope stands in a line above
                scope, _, leaf = name.rpartition("/")
                name = f"  {leaf}"
                if scope != above:
                    text.append(f"{scope}/")
            above = scope
            text.append(_line([name, *cells], widths))
        size = in_bytes(sum(row.size_in_bytes for row in self.rows))
        notes = [
            f"{self.parameters:,} parameters and {self.statistics:,} statistics, {size}",
            "FLOPs are those of convolutions and matrix products, two for a multiply-add",
            *self._legend(letters),
        ]
        return "\n".join([*text, "", *(line for note in notes for line in _wrapped(note))])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        titles = ["layer", "", "output", "parameters", "statistics", "FLOPs", "set by arg_scopes"]
        rows = [
            [
                row.scope,
                row.layer,
                _shape(row.output),
                row.parameters,
                row.statistics,
                row.flops,
                ", ".join(f"{n}={short(v.value)} ({_place(v.set_by)})" for n, v in _set(row)),
            ]
            for row in self.rows
        ]
        rows.append(["total", "", "", self.parameters, self.statistics, self.flops, ""])
        return html_table(titles, rows)

    def _letters(self) -> dict[str, str]:
        """A letter for each place of an arg_scope, in the order of their first use."""
        places = dict.fromkeys(value.set_by for row in self.rows for _, value in _set(row))
        return dict(zip(places, _names(), strict=False))

    def _legend(self, letters: Mapping[str, str]) -> list[str]:
        """For each letter the place of the scope, and the arguments that it set of each layer."""
        of_layers: dict[str, dict[str, dict[str, None]]] = {place: {} for place in letters}
        for row in self.rows:
            for name, value in _set(row):
                within, _, argument = f"{row.layer}.{name}".rpartition(".")
                layer = within.rpartition(".")[2]
                of_layers[value.set_by].setdefault(layer, {})[argument] = None
        lines = []
        for place, letter in letters.items():
            layers_of: dict[str, list[str]] = {}
            for layer, names in of_layers[place].items():
                layers_of.setdefault(", ".join(names), []).append(layer)
            parts = [f"{', '.join(layers)}: {names}" for names, layers in layers_of.items()]
            lines.append(f"{letter}  {_place(place)}  {'; '.join(parts)}")
        return lines


def _cells(row: LayerRow, letters: Mapping[str, str]) -> tuple[str, ...]:
    scopes = sorted({letters[value.set_by] for _, value in _set(row)})
    return (
        row.scope or "(no scope)",
        row.layer,
        _shape(row.output),
        f"{row.parameters:,}" if row.parameters else "",
        _short_number(row.flops) if row.flops else "",
        "".join(scopes),
    )


def summary_table(
    model: Model | Callable[..., object],
    *inputs: object,
    depth: int | None = None,
    **arguments: object,
) -> SummaryTable:
    """A table of a model: for each layer its output, parameters, operations, and scopes.

    The last column has a letter for each `arg_scope` that set arguments of the layer. What they
    are stands below the table, and in the rows, with their values. A layer that is called within
    another one, as a normalizer is, counts with that. The model is traced and not run.

    New in jslim.

    Args:
      model: A `slim.Model`, or a model function.
      *inputs: The arguments of the function, as arrays or `jax.ShapeDtypeStruct`s.
      depth: The number of parts of a scope's name that make a row; default all. Of several layers
        the row has the sums, and the output of the last one.
      **arguments: Those that are given by name, such as `is_training=False`.

    Returns:
      A `SummaryTable`, whose `rows` have the exact numbers. Parameters are the elements of the
      variables in 'params', each once. FLOPs are those of convolutions and matrix products, as of
      `model_analyzer.count_flops`: a multiplication and an addition count as two.

    Raises:
      TypeError: `model` is no function.
      ValueError: `depth` is not positive.

    >>> import jslim as slim
    >>> def net(images):
    ...     with slim.arg_scope([slim.conv2d], padding='VALID'):
    ...         net = slim.conv2d(images, 8, [3, 3], scope='conv1')
    ...     return slim.linear(slim.flatten(net), 10, scope='fc')
    >>> table = summary_table(net, jax.ShapeDtypeStruct([1, 8, 8, 1], 'float32'))
    >>> print(str(table).split('2,970 parameters')[0])
    layer                     output   parameters   FLOPs  scopes
    conv1    conv2d           1x6x6x8          80  5.18 k  a
    Flatten  flatten          1x288
    fc       fully_connected  1x10          2,890  5.76 k
    total                                   2,970  10.9 k
    <BLANKLINE>
    <BLANKLINE>
    >>> table.rows[0].arguments['padding'].value, table.rows[0].flops
    ('VALID', 5184)
    """
    if depth is not None:
        depth = checks.count("summary_table", "depth", depth)
    if not isinstance(model, Model):
        hint = "give a slim.Model, or its function"
        checks.function("summary_table", "model", model, "of arrays", hint)
        model = Model(model)
    rows = layer_rows(model, *inputs, **arguments)
    if depth is not None:
        rows = _by_scope(rows, depth)
    return SummaryTable(tuple(rows))


def _by_scope(rows: Sequence[LayerRow], depth: int) -> list[LayerRow]:
    """A row for all layers whose scopes begin with the same parts."""
    groups: dict[str, list[LayerRow]] = {}
    for row in rows:
        groups.setdefault("/".join(row.scope.split("/")[:depth]), []).append(row)
    return [_sum_of(scope, group) for scope, group in groups.items()]


def _sum_of(scope: str, rows: Sequence[LayerRow]) -> LayerRow:
    kinds = [row.layer for row in rows if row.layer]
    outputs = [row.output for row in rows if row.output is not None]
    arguments: dict[str, ArgValue] = {}
    for row in rows:
        arguments |= {f"{row.layer}.{name}": value for name, value in row.arguments.items()}
    if len(rows) == 1:
        arguments = dict(rows[0].arguments)
    return LayerRow(
        scope,
        kinds[0] if len(kinds) == 1 else f"{len(kinds)} layers" if kinds else "",
        outputs[-1] if outputs else None,
        sum(row.parameters for row in rows),
        sum(row.statistics for row in rows),
        sum(row.size_in_bytes for row in rows),
        sum(row.flops for row in rows),
        arguments,
    )


def _set(row: LayerRow) -> list[tuple[str, ArgValue]]:
    return list(row.arguments.items())


def _names() -> itertools.chain[str]:
    letters = "abcdefghijklmnopqrstuvwxyz"
    return itertools.chain(letters, letters.upper(), map(str, itertools.count(1)))


def _shape(output: jax.ShapeDtypeStruct | None) -> str:
    return "" if output is None else "x".join(map(str, output.shape)) or "scalar"


def _short_number(number: int) -> str:
    """A number to three digits: `5.18 k`."""
    size, unit = float(number), ""
    for larger in "kMGTP":
        if round(size) < 1000:
            break
        size, unit = size / 1000, larger
    return f"{size:.3g} {unit}".rstrip()


def _place(site: str) -> str:
    """The `file:line` of a scope, from the working directory or by its last parts."""
    relative = os.path.relpath(site)
    return site if site[:1] == "<" else min(relative, "/".join(site.split("/")[-3:]), key=len)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    shown = [
        cell.rjust(width) if title in ("parameters", "FLOPs") else cell.ljust(width)
        for title, cell, width in zip(_TITLES, cells, widths, strict=True)
    ]
    return "  ".join(shown).rstrip()


def _wrapped(note: str) -> list[str]:
    return textwrap.wrap(
        note, _WIDTH, subsequent_indent="   ", break_long_words=False, break_on_hyphens=False
    )
