"""Names that are fetched and no outputs of the loss function: a person decides where they go."""

from collections.abc import Collection
from typing import Any

import libcst as cst
import libcst.matchers as m

from jslim.compat.port import _marks
from jslim.compat.port._facts import Facts, Kind
from jslim.compat.port._flow import flow_of
from jslim.compat.port._names import dotted
from jslim.compat.port._notes import Finding, Outcome
from jslim.compat.port._tracking import Tracking

_OF_VARIABLES = (Kind.ALL, Kind.VARIABLES)


def of_variables(text: str, facts: Facts, seen: frozenset[str] = frozenset()) -> bool:
    """Whether a name holds what was computed from variables, and from nothing of a batch."""
    values = facts.values.get((facts.scope, text), [])
    is_any = False
    for value in values:
        calls = [facts.kind_of(call) for call in m.findall(value, m.Call())]  # type: ignore[arg-type]
        is_any |= any(kind in _OF_VARIABLES for kind in calls)
        for name in flow_of(value).reads - seen - {text}:
            if name not in facts.bound and (facts.scope, name) not in facts.values:
                continue  # a module, or Python's own
            is_choice = facts.kind(cst.Name(name)) in _OF_VARIABLES
            if not is_choice and not of_variables(name, facts, seen | {text}):
                return False
            is_any = True
    return is_any


class Marked(Tracking):
    """Marks the statements that fetch what is no output.

    Args:
      facts: What the names hold.
      tracking: What is known of nodes.
      names: The outputs that are fetched, and the names of their tensors.
      outputs: What loss functions give that were made here; None where none was.
    """

    def __init__(
        self,
        facts: Facts,
        tracking: Tracking,
        names: dict[str, str],
        outputs: Collection[str] | None,
    ) -> None:
        super().__init__(tracking.lines, tracking.settled)
        self.findings: list[Finding] = []
        self._facts, self._names, self._outputs = facts, names, outputs
        self._found: list[list[str]] = []  # by statement around, the innermost last

    def _is_output(self, name: str) -> bool:
        if self._outputs is not None:
            return name in self._outputs
        return name not in self._names or not of_variables(self._names[name], self._facts)

    def leave_Call(self, original_node: cst.Call, updated_node: cst.Call) -> cst.Call:
        self._look(original_node)
        return updated_node

    def leave_Assign(self, original_node: cst.Assign, updated_node: cst.Assign) -> cst.Assign:
        self._look(original_node)
        return updated_node

    def _look(self, node: cst.Call | cst.Assign) -> None:
        for name in _fetched_by(node, self._facts) if self._found else ():
            if not self._is_output(name) and name not in self._found[-1]:
                self._found[-1].append(name)
                line = self.lines.get(node, 1)
                self.findings.append(
                    Finding(f"sess.run({name!r})", Outcome.PERSON, line, _marks.NO_OUTPUT)
                )

    def on_visit(self, node: cst.CSTNode) -> bool:
        if hasattr(node, "leading_lines"):
            self._found.append([])
        return super().on_visit(node)

    def on_leave(self, original_node: Any, updated_node: Any) -> Any:
        new = super().on_leave(original_node, updated_node)
        if hasattr(original_node, "leading_lines"):
            names = self._found.pop()
            sentences = [f"{name!r}: {_marks.NO_OUTPUT}" for name in names]
            if sentences and isinstance(new, cst.CSTNode):
                lines = _marks.with_marks(updated_node.leading_lines, sentences)
                marked = new.with_changes(leading_lines=lines)
                self.lines.setdefault(marked, self.lines.get(original_node, 1))
                return marked
        return new


def fetched(node: cst.CSTNode, facts: Facts) -> list[str]:
    """The names of outputs that sessions are asked for below a node."""
    parts = m.findall(node, m.Call() | m.Assign())
    names = [name for part in parts for name in _fetched_by(part, facts)]
    return list(dict.fromkeys(names))


def _fetched_by(node: cst.CSTNode, facts: Facts) -> list[str]:
    """The names in a call of a session, or in a display that one is given under a name."""
    values: list[cst.BaseExpression] = []
    if isinstance(node, cst.Call) and m.matches(node.func, m.Attribute(attr=m.Name("run"))):
        is_session = facts.kind(node.func.value) is Kind.SESSION  # type: ignore[attr-defined]
        values = [arg.value for arg in node.args[:1] if is_session]
    elif isinstance(node, cst.Assign):
        (first, *more) = (target.target for target in node.targets)
        owner = first.value if isinstance(first, cst.Subscript) else first
        is_given = facts.is_feed.get((facts.scope, dotted(owner) or "")) is False
        values = [node.value] if is_given and not more else []
    return [name for value in values for name in _strings(value)]


def _strings(node: cst.BaseExpression) -> list[str]:
    """The strings in what is fetched; of a dict those of its values."""
    if isinstance(node, cst.SimpleString):
        return [str(node.evaluated_value)]
    parts: list[cst.BaseExpression] = []
    if isinstance(node, cst.Dict | cst.List | cst.Tuple):
        parts = [part.value for part in node.elements]
    elif isinstance(node, cst.BinaryOperation):
        parts = [node.left, node.right]
    return [name for part in parts for name in _strings(part)]
