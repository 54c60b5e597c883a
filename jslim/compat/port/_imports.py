"""Imports: `import tensorflow as tf` becomes `from jslim.compat import tf`."""

from collections.abc import Callable, Sequence

import libcst as cst

from jslim.compat import rules
from jslim.compat.port._names import (
    LOCAL,
    as_name,
    dotted,
    holder_with,
    holders_of,
    is_module,
    is_old,
    look_up,
    short,
)
from jslim.compat.port._notes import Outcome

# Says that an import became another one, or cannot.
Note = Callable[[str, Outcome, str], None]
_TF = "jslim.compat.tf"
# Modules that six and Python 2 have, with names that are Python's own in Python 3.
_SIX = {"six.moves": ("xrange", "range", "zip", "map", "filter", "input", "reduce")}


class Imports:
    """Converts the imports of a file.

    Args:
      uses: The attributes that the file asks of each name.
      is_local: Whether a program has a module of its own of this name.
    """

    def __init__(self, uses: dict[str, set[str]], is_local: Callable[[str], bool]) -> None:
        self._uses = uses
        self._is_local = is_local

    def converted(
        self, node: cst.Import | cst.ImportFrom, note: Note
    ) -> Sequence[cst.BaseSmallStatement] | None:
        """The statements in place of an import; None leaves it as it is."""
        new = self._import(node, note) if isinstance(node, cst.Import) else self._from(node, note)
        return None if new is None else [statement(text) for text in new or ["pass"]]

    def _import(self, node: cst.Import, note: Note) -> list[str] | None:
        new = []
        for alias in node.names:
            module, name = dotted(alias.name) or "", as_name(alias)
            if (today := rules.PYTHON_2_MODULES.get(module)) is not None:
                note(module, Outcome.CONVERTED, f"{today}, its name in Python 3")
                new.append(f"import {today} as {name or module}")
                continue
            if not self._is_converted(module):
                new.append(
                    _source(cst.Import([alias.with_changes(comma=cst.MaybeSentinel.DEFAULT)]))
                )
                continue
            place = module if name else module.partition(".")[0]
            new.append(
                self._module(place, name or place, note)
                or f"import {module}" + (f" as {name}" if name else "")
            )
        own = [
            _source(cst.Import([a.with_changes(comma=cst.MaybeSentinel.DEFAULT)]))
            for a in node.names
        ]
        return None if new == own else new

    def _from(self, node: cst.ImportFrom, note: Note) -> list[str] | None:
        module = dotted(node.module) if node.module else None
        if module is None or node.relative:
            return None
        if isinstance(node.names, cst.ImportStar):
            if self._is_converted(module):
                what = f"name what it imports: from {module} import *"
                note(short(module), Outcome.PERSON, what)
            return None
        names = [(dotted(alias.name) or "", as_name(alias)) for alias in node.names]
        if module in _SIX:
            left = [(name, as_) for name, as_ in names if name not in _SIX[module] or as_]
            if left == names:
                return None
            note(module, Outcome.CONVERTED, "Python 3's own names")
            return [f"from {module} import {_listed(left)}"] if left else []
        if not self._is_converted(module):
            return None
        new: list[str] = []
        members: dict[str, list[tuple[str, str | None]]] = {}
        for name, as_ in names:
            if is_module(module, name):
                text = self._module(f"{module}.{name}", as_ or name, note)
                new.append(text or f"from {module} import {_listed([(name, as_)])}")
                continue
            holders = holders_of(module)
            if holders and look_up(holders, name).outcome is Outcome.SAME:
                holder = holder_with(holders, [name])
                note(f"{short(module)}.{name}", Outcome.CONVERTED, f"from {holder}")
                members.setdefault(holder, []).append((name, as_))
            else:
                note(f"{short(module)}.{name}", *_missing(module, holders, name))
                members.setdefault(module, []).append((name, as_))
        new += [f"from {holder} import {_listed(group)}" for holder, group in members.items()]
        return None if new == [f"from {module} import {_listed(names)}"] else new

    def _is_converted(self, module: str) -> bool:
        top = module.partition(".")[0]
        return is_old(module) and not (top in LOCAL and self._is_local(top))

    def _module(self, module: str, name: str, note: Note) -> str | None:
        """The import of jslim's module for an old one; None if there is none."""
        holders = holders_of(module)
        if not holders:
            note(short(module), *_missing(module, (), ""))
            return None
        holder = holder_with(holders, self._uses.get(name, ()))
        if holder == _TF:
            text = "from jslim.compat import tf" + ("" if name == "tf" else f" as {name}")
        elif holder == "jslim":
            text = "import jslim" + ("" if name == "jslim" else f" as {name}")
        else:
            folder, _, last = holder.rpartition(".")
            text = f"from {folder} import {last}" + ("" if name == last else f" as {name}")
        note(short(module), Outcome.CONVERTED, text)
        return text


def _missing(module: str, holders: Sequence[str], name: str) -> tuple[Outcome, str]:
    if holders and name:
        answer = look_up(holders, name)
        return answer.outcome, answer.what
    own = module.removeprefix("tensorflow.").removeprefix("compat.v1.")
    if module.startswith("tensorflow.") and own:
        answer = look_up((_TF,), own)
        if answer.outcome is Outcome.PERSON:
            return answer.outcome, answer.what
    return Outcome.UNKNOWN, "jslim has no such module"


def _listed(names: Sequence[tuple[str, str | None]]) -> str:
    return ", ".join(f"{name} as {as_}" if as_ else name for name, as_ in names)


def _source(node: cst.BaseSmallStatement) -> str:
    return cst.Module([cst.SimpleStatementLine([node])]).code.strip()


def statement(text: str) -> cst.BaseSmallStatement:
    """The tree of a statement of one line."""
    line = cst.parse_statement(text)
    assert isinstance(line, cst.SimpleStatementLine)
    return line.body[0]
