"""All that is done about loaders, in their order: see `_loaders` and `_callers`."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import libcst as cst
import libcst.matchers as m

from jslim.compat.port import _callers, _fed, _loaders
from jslim.compat.port._names import Aliases, dotted
from jslim.compat.port._nodes import keywords, plain
from jslim.compat.port._notes import Finding, Outcome
from jslim.compat.port._records import PROVIDER, READERS
from jslim.compat.port._tracking import Tracking


class Loading(NamedTuple):
    """A program whose loaders give batches.

    Attributes:
      tree: Its tree.
      findings: What was found.
      settled: The nodes that need no mark any more.
      functions: The names of functions that give batches.
    """

    tree: cst.Module
    findings: list[Finding]
    settled: set[cst.CSTNode]
    functions: Mapping[str, _loaders.Returned]


def converted(
    tree: cst.Module,
    aliases: Aliases,
    lines: dict[cst.CSTNode, int],
    is_local: Callable[[str], bool],
    read_module: _callers.ReadModule,
) -> Loading:
    """A program with `loaders.batches` where there was `tf.train.batch`.

    Args:
      tree: The tree of a file.
      aliases: What its names stand for.
      lines: The lines of nodes; those of new nodes are added.
      is_local: Whether a program has a module of its own of this name.
      read_module: Gives the text of such a module.
    """
    if not aliases.has_tensorflow:
        return Loading(tree, [], set(), {})
    rule = _loaders.Loaders(aliases, lines, tree)
    rule.settled |= _data_sets(tree, rule.call) | _ported_calls(tree, rule.call)
    if not rule.is_possible():
        return Loading(tree, [], rule.settled, {})
    tree = tree.visit(rule)
    functions = _callers.imported(tree, read_module, is_local) | rule.functions
    callers = _callers.Callers(lines, rule.settled, functions)
    if functions:
        tree = tree.visit(callers)
    findings = [*rule.findings, *callers.findings]
    if rule.is_used:
        uses = _Uses(rule.call, lines, rule.settled, tree)
        tree = tree.visit(uses)
        findings += [*uses.findings, Finding("loaders", Outcome.CONVERTED, 1, _loaders.IMPORT)]
        tree = tree.with_changes(body=_fed.with_import(tree.body, _loaders.IMPORT))
    if rule.feeds or callers.feeds:
        findings.append(Finding("sessions", Outcome.CONVERTED, 1, _fed.IMPORT))
        tree = tree.with_changes(body=_fed.with_import(tree.body))
    return Loading(tree, findings, rule.settled, functions)


class _Uses(Tracking):
    """Settles providers that `loaders` reads, and takes readers of queues out."""

    def __init__(
        self,
        call: Callable[[cst.BaseExpression], str],
        lines: dict[cst.CSTNode, int],
        settled: set[cst.CSTNode],
        tree: cst.Module,
    ) -> None:
        super().__init__(lines, settled)
        self.findings: list[Finding] = []
        self._call = call
        calls = m.findall(tree, m.Call())
        self._got = [_owners_of_get(tree)]  # of the functions around, the innermost last
        names = {call(found) for found in calls}  # type: ignore[arg-type]
        has_queues = "tf.train.string_input_producer" in names
        functions = [dotted(found.func) for found in calls]  # type: ignore[attr-defined]
        is_read = any(name in _FROM_FILES for name in functions)
        assigns = m.findall(tree, m.Assign(targets=[m.AssignTarget(target=m.Name())]))
        self._readers = {
            found.targets[0].target.value for found in assigns  # type: ignore[attr-defined]
            if call(found.value) in READERS and is_read and not has_queues  # type: ignore[attr-defined]
        }  # fmt: skip

    def visit_FunctionDef(self, node: cst.FunctionDef) -> None:
        self._got.append(_owners_of_get(node))

    def leave_FunctionDef(
        self, original_node: cst.FunctionDef, updated_node: cst.FunctionDef
    ) -> cst.FunctionDef:
        self._got.pop()
        return updated_node

    def visit_Assign(self, node: cst.Assign) -> None:
        text = dotted(node.targets[0].target)
        if self._call(node.value).endswith(PROVIDER) and text not in self._got[-1]:
            self.settled.add(node.value.func)  # type: ignore[attr-defined]

    def leave_Call(self, original_node: cst.Call, updated_node: cst.Call) -> cst.BaseExpression:
        func = original_node.func
        if not isinstance(func, cst.Attribute) or func.attr.value != "read":
            return updated_node
        if dotted(func.value) not in self._readers or len(original_node.args) != 1:
            return updated_node
        self._note(original_node, "reader.read(queue)", "the record itself")
        return updated_node.args[0].value

    def leave_SimpleStatementLine(
        self, original_node: cst.SimpleStatementLine, updated_node: cst.SimpleStatementLine
    ) -> cst.SimpleStatementLine | cst.RemovalSentinel:
        (small, *more) = original_node.body
        if more or not isinstance(small, cst.Assign) or self._call(small.value) not in READERS:
            return updated_node
        if dotted(small.targets[0].target) not in self._readers:
            return updated_node
        self._note(original_node, self._call(small.value), "nothing")
        return cst.RemoveFromParent()

    def _note(self, node: cst.CSTNode, name: str, what: str) -> None:
        self.findings.append(Finding(name, Outcome.CONVERTED, self.lines.get(node, 1), what))


def _data_sets(tree: cst.Module, call: Callable[[cst.BaseExpression], str]) -> set[cst.CSTNode]:
    """The names in calls of `slim.dataset.Dataset` whose reader is that of TFRecord files."""
    values: dict[str, list[cst.BaseExpression]] = {}
    for found in m.findall(tree, m.Assign(targets=[m.AssignTarget(target=m.Name())])):
        values.setdefault(found.targets[0].target.value, []).append(found.value)  # type: ignore[attr-defined]

    def is_known(node: cst.BaseExpression | None) -> bool:
        name = call(cst.Call(node)) if node is not None else ""
        if node is None or name == "tf.TFRecordReader" or m.matches(node, m.Name("None")):
            return True
        held = values.get(node.value, []) if isinstance(node, cst.Name) else []
        return bool(held) and all(_is_plain(v) and is_known(v) for v in held)

    settled: set[cst.CSTNode] = set()
    for made in m.findall(tree, m.Call()):
        assert isinstance(made, cst.Call)
        if call(made) in ("slim.dataset.Dataset", "tf.contrib.slim.dataset.Dataset"):
            given = plain(made)
            reader = keywords(made).get("reader") or (given[1].value if len(given) > 1 else None)
            if is_known(reader):
                settled.add(made.func)
    return settled


def _ported_calls(tree: cst.Module, call: Callable[[cst.BaseExpression], str]) -> set[cst.CSTNode]:
    """The names in calls that are jslim's already.

    Of providers that `loaders` reads, and of train ops that are made of a function.
    """
    functions = {found.name.value for found in m.findall(tree, m.FunctionDef())}  # type: ignore[attr-defined]
    with_name = m.Call(args=[m.Arg(value=m.Name()), m.ZeroOrMore()])
    of_function = {
        found.func for found in m.findall(tree, with_name)  # type: ignore[attr-defined]
        if call(found).endswith("learning.create_train_op")  # type: ignore[arg-type]
        and found.args[0].value.value in functions  # type: ignore[attr-defined]
    }  # fmt: skip
    items = m.Call(func=m.Attribute(m.Name("loaders"), m.Name("items")))
    read = {dotted(found.args[0].value) for found in m.findall(tree, items)}  # type: ignore[attr-defined]
    return of_function | {
        found.value.func for found in m.findall(tree, m.Assign(targets=[m.AssignTarget()]))  # type: ignore[attr-defined]
        if call(found.value).endswith(PROVIDER)  # type: ignore[attr-defined]
        and dotted(found.targets[0].target) in read  # type: ignore[attr-defined]
    }  # fmt: skip


def _is_plain(node: cst.BaseExpression) -> bool:
    return not isinstance(node, cst.Name) or node.value == "None"


def _owners_of_get(node: cst.CSTNode) -> set[str | None]:
    found = m.findall(node, m.Call(func=m.Attribute(attr=m.Name("get"))))
    return {dotted(call.func.value) for call in found}  # type: ignore[attr-defined]


_FROM_FILES = {f"loaders.{function}" for function in READERS.values()}
