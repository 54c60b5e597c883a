"""Which names of TensorFlow and TF-Slim a file uses, and whether jslim has them."""

import functools
import importlib
import types
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import libcst as cst

from jslim.compat import rules
from jslim.compat.port._notes import Outcome
from jslim.compat.tf import _missing

_TENSORFLOW = ("tensorflow", "tf_slim")
LOCAL = (*rules.SCRIPTS, "deployment")  # found in a program's own folders first
_SHORT = (
    ("tensorflow.compat.v1", "tf"),
    ("tensorflow.contrib.slim", "slim"),
    ("tensorflow", "tf"),
    ("tf_slim", "slim"),
    ("jslim.compat.tf", "tf"),
    ("jslim", "slim"),
)


class Root(NamedTuple):
    """What a name that a file imports stands for.

    Attributes:
      name: In TensorFlow, as one writes it: `slim.nets.vgg`.
      holders: The modules of jslim that have its names; none if there is none.
      member: Its name in one of them; empty for a module itself.
    """

    name: str
    holders: tuple[str, ...]
    member: str = ""


def is_old(module: str) -> bool:
    """Whether a module is TensorFlow's, TF-Slim's or research/slim's."""
    return module.partition(".")[0] in (*_TENSORFLOW, *LOCAL)


def short(name: str) -> str:
    """A dotted name with the usual imports.

    >>> short("tensorflow.contrib.slim.nets"), short("tensorflow.compat.v1.nn")
    ('slim.nets', 'tf.nn')
    """
    for long, brief in _SHORT:
        if name == long or name.startswith(f"{long}."):
            return brief + name.removeprefix(long)
    return name


@functools.cache
def holders_of(module: str) -> tuple[str, ...]:
    """The modules of jslim for an old one, the first one first; none if there is none."""
    if module in rules.MODULES:
        # Programs of people do not import what is private.
        return tuple(place for place in rules.MODULES[module] if "._" not in place)
    for folder, places in rules.FOLDERS.items():
        if module == folder or module.startswith(f"{folder}."):
            for place in places:
                full = place + module.removeprefix(folder)
                if _imported(full) is not None:
                    return (full,)
    return ()


def holder_with(holders: tuple[str, ...], names: Iterable[str]) -> str:
    """The module that has most of the names, the first one of several."""

    def number(holder: str) -> int:
        return sum(look_up((holder,), name).outcome is Outcome.SAME for name in names)

    return max(holders, key=number)


class Answer(NamedTuple):
    """Whether jslim has a name.

    Attributes:
      outcome: SAME, PERSON if something else takes its place, or UNKNOWN.
      what: Then the sentence that says so.
      length: How many parts of the name were looked at; what follows are attributes of a value.
    """

    outcome: Outcome
    what: str
    length: int


@functools.cache
def look_up(holders: tuple[str, ...], name: str) -> Answer:
    """Looks for a dotted name in modules of jslim."""
    answers = [_look_up_in(holder, name.split(".") if name else []) for holder in holders]
    return min(answers, key=lambda answer: _ORDER.index(answer.outcome))


_ORDER = (Outcome.SAME, Outcome.PERSON, Outcome.UNKNOWN)


def _look_up_in(holder: str, parts: Sequence[str]) -> Answer:
    held: object = _imported(holder)
    for count, part in enumerate(parts, start=1):
        below = f"{held.__name__}.{part}" if isinstance(held, types.ModuleType) else ""
        try:
            held = getattr(held, part)
        except _missing.NotInJslim as refusal:
            return Answer(Outcome.PERSON, str(refusal), count)
        except (AttributeError, KeyError):
            module = _imported(below) if below else None
            if module is not None:
                held = module
            elif isinstance(held, types.ModuleType | type | _missing.Part):
                return Answer(Outcome.UNKNOWN, f"{holder} has no such name", count)
            else:
                break
    return Answer(Outcome.SAME, "", len(parts))


@functools.cache
def _imported(module: str) -> types.ModuleType | None:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError:
        return None


def dotted(node: cst.BaseExpression) -> str | None:
    """The text of a name or of attributes of one: `tf.nn.relu`; None for anything else."""
    if isinstance(node, cst.Name):
        return node.value
    if isinstance(node, cst.Attribute):
        left = dotted(node.value)
        return left and f"{left}.{node.attr.value}"
    return None


class Aliases(cst.BatchableCSTVisitor):
    """Collects what the names stand for that a file imports, or sets to modules of TensorFlow."""

    def __init__(self, is_local: Callable[[str], bool]) -> None:
        self._is_local = is_local
        self.roots: dict[str, Root] = {}
        self.uses: dict[str, set[str]] = {}  # the attributes that are asked of each name
        self.has_tensorflow = False  # whether it imports TensorFlow or TF-Slim

    def visit_Import(self, node: cst.Import) -> None:
        for alias in node.names:
            module = dotted(alias.name) or ""
            self.has_tensorflow |= module.partition(".")[0] in _TENSORFLOW
            if self._is_known(module):
                if alias.asname is None:
                    module = module.partition(".")[0]
                self._bind(as_name(alias) or module, module)

    def visit_ImportFrom(self, node: cst.ImportFrom) -> None:
        module = dotted(node.module) if node.module else None
        if module is None or node.relative:
            return
        self.has_tensorflow |= module.partition(".")[0] in _TENSORFLOW
        if isinstance(node.names, cst.ImportStar):
            return
        if not self._is_known(module):
            return
        for alias in node.names:
            name = dotted(alias.name) or ""
            if is_module(module, name):
                self._bind(as_name(alias) or name, f"{module}.{name}")
            else:
                root = Root(f"{_brief(module)}.{name}", _own_or_old(module), name)
                self.roots[as_name(alias) or name] = root

    def visit_Assign(self, node: cst.Assign) -> None:
        target, value = node.targets[0].target, dotted(node.value)
        if len(node.targets) == 1 and isinstance(target, cst.Name) and value:
            root, _, rest = value.partition(".")
            if root in self.roots and self.roots[root].name == "tf" and rest:
                for base in ("tensorflow", "tensorflow.compat.v1"):
                    if module_exists(f"{base}.{rest}"):
                        self._bind(target.value, f"{base}.{rest}")

    def visit_Attribute(self, node: cst.Attribute) -> None:
        if isinstance(node.value, cst.Name):
            self.uses.setdefault(node.value.value, set()).add(node.attr.value)

    def leave_Module(self, original_node: cst.Module) -> None:
        for name, root in self.roots.items():
            if len(root.holders) > 1 and not root.member:
                holder = holder_with(root.holders, self.uses.get(name, ()))
                self.roots[name] = root._replace(holders=(holder,))

    def _bind(self, name: str, module: str) -> None:
        self.roots[name] = Root(_brief(module), _own_or_old(module))

    def _is_known(self, module: str) -> bool:
        top = module.partition(".")[0]
        return top == "jslim" or (is_old(module) and not (top in LOCAL and self._is_local(top)))

    def found(self, text: str) -> tuple[str, Root, str] | None:
        """For `a.b.c` of an imported `a`: its full name, what `a` is, and `b.c`."""
        first, _, rest = text.partition(".")
        if first not in self.roots:
            return None
        root = self.roots[first]
        if root.name == "tf":
            rest = rest.removeprefix("compat.v1.")
        return ".".join(filter(None, (root.name, rest))), root, rest


def _brief(module: str) -> str:
    """The short name of a module; of TensorFlow's internal ones that of what is public."""
    holders = holders_of(module) if module.startswith("tensorflow.python.") else ()
    return short(holders[0] if holders else module)


def as_name(alias: cst.ImportAlias) -> str | None:
    """The name after `as`."""
    return dotted(alias.asname.name) if alias.asname else None


def module_exists(module: str) -> bool:
    """Whether a module, an old one or jslim's own, is there."""
    return any(_imported(holder) is not None for holder in _own_or_old(module))


def is_module(module: str, name: str) -> bool:
    """Whether `from module import name` gives a module.

    A function of this name comes first, but in folders, which hold modules.
    """
    full = f"{module}.{name}"
    is_folder = full.startswith(rules.PARTS_FIRST) and module_exists(full)
    for holder in () if is_folder else _own_or_old(module):
        value = getattr(_imported(holder), name, None)
        if value is not None and not isinstance(value, types.ModuleType):
            return False
    return module_exists(full)


def _own_or_old(module: str) -> tuple[str, ...]:
    if module.partition(".")[0] == "jslim":
        return (module,) if _imported(module) is not None else ()
    return holders_of(module)
