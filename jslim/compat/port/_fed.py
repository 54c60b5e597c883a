"""Placeholders that become `sessions.fed('images', tf.float32)`."""

from collections.abc import Sequence
from typing import Any

import libcst as cst
import libcst.matchers as m

from jslim.compat.port._facts import Facts
from jslim.compat.port._names import dotted
from jslim.compat.port._nodes import arg_of, call_of, keywords, name_of, plain
from jslim.compat.port._notes import Finding, Outcome
from jslim.compat.port._tracking import Tracking

IMPORT = "from jslim.compat import sessions"


def of(text: str, call: cst.BaseExpression) -> cst.Call | None:
    """What takes the place of a placeholder; None if its type cannot be that of an array.

    A bool is mostly `is_training`, which is no array here.

    Args:
      text: The name that holds it, the last part of which is that of what is fed.
      call: The call of `tf.placeholder`.
    """
    assert isinstance(call, cst.Call)
    dtype = keywords(call).get("dtype") or next((arg.value for arg in plain(call)), None)
    if dtype is None or (dotted(dtype) or "").endswith((".bool", ".string")):
        return None
    return call_of("sessions.fed", [arg_of(name_of(text)), arg_of(dtype)])


def with_import(body: Sequence[Any], text: str = IMPORT) -> list[Any]:
    """The statements of a module with an import, below that of TensorFlow."""
    new = cst.parse_statement(text)
    if any(isinstance(line, cst.BaseStatement) and line.deep_equals(new) for line in body):
        return list(body)
    place = next(i for i, line in enumerate(body) if _imports_tensorflow(line))
    return [*body[: place + 1], new, *body[place + 1 :]]


class Attributes(Tracking):
    """Converts the placeholders that a class keeps, in a file that neither trains nor runs it.

    Args:
      facts: What the names hold.
      lines: The lines of nodes; those of new nodes are added.
      settled: Nodes that need no mark.
    """

    def __init__(
        self, facts: Facts, lines: dict[cst.CSTNode, int], settled: set[cst.CSTNode]
    ) -> None:
        super().__init__(lines, settled)
        self.findings: list[Finding] = []
        self._facts = facts

    def leave_Assign(self, original_node: cst.Assign, updated_node: cst.Assign) -> cst.Assign:
        text = dotted(original_node.targets[0].target) or ""
        value = original_node.value
        is_one = self._facts.call(value) == "tf.placeholder" and len(original_node.targets) == 1
        new = of(text, value) if is_one and text.startswith("self.") else None
        if new is None:
            return updated_node
        line = self.lines.get(original_node, 1)
        self.findings.append(
            Finding("tf.placeholder", Outcome.CONVERTED, line, "what is fed under its name")
        )
        return updated_node.with_changes(value=new)

    def leave_Module(self, original_node: cst.Module, updated_node: cst.Module) -> cst.Module:
        if not self.findings:
            return updated_node
        self.findings.append(Finding("sessions", Outcome.CONVERTED, 1, IMPORT))
        return updated_node.with_changes(body=with_import(updated_node.body))


def _imports_tensorflow(line: cst.CSTNode) -> bool:
    words = m.findall(line, m.ImportFrom() | m.Import())
    return any(
        (dotted(getattr(found, "module", None) or found.names[0].name) or "").partition(".")[0]  # type: ignore[attr-defined]
        in ("tensorflow", "tf_slim")
        for found in words
    )
