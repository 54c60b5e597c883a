"""Where loaders are called: `images, labels = load_batch(dataset)`."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import libcst as cst
import libcst.matchers as m

from jslim.compat.port import _marks, _python2
from jslim.compat.port._loaders import BATCHES, Loaders, Returned, fed_line, is_graph, trains
from jslim.compat.port._names import Aliases, dotted
from jslim.compat.port._notes import Finding, Outcome
from jslim.compat.port._records import names_of
from jslim.compat.port._tracking import Tracking

ReadModule = Callable[[str], str | None]  # the text of a module of the program, by its name

_SIGNS = re.compile(r"train\.(shuffle_)?batch\(|loaders\.batches\(")


class Callers(Tracking):
    """Gives the iterable of batches a name, and takes tensors out of the batch of a loss function.

    Args:
      lines: The lines of nodes; those of new nodes are added.
      settled: The nodes that need no mark any more.
      functions: What functions give that make batches, by the names that the file calls them.
    """

    def __init__(
        self,
        lines: dict[cst.CSTNode, int],
        settled: set[cst.CSTNode],
        functions: Mapping[str, Returned],
    ) -> None:
        super().__init__(lines, settled)
        self.findings: list[Finding] = []
        self.feeds = False
        self._functions = functions

    def leave_FunctionDef(
        self, original_node: cst.FunctionDef, updated_node: cst.FunctionDef
    ) -> cst.FunctionDef:
        body = updated_node.body
        if not isinstance(body, cst.IndentedBlock):
            return updated_node
        new = self._block(body.body, updated_node)
        return updated_node.with_changes(body=body.with_changes(body=new))

    def leave_Module(self, original_node: cst.Module, updated_node: cst.Module) -> cst.Module:
        return updated_node.with_changes(body=self._block(updated_node.body, updated_node))

    def _block(self, body: Sequence[Any], owner: cst.CSTNode) -> list[Any]:
        """The new statements of a block."""
        new: list[Any] = []
        is_fed = False
        for line in body:
            inner = line.body if isinstance(line, cst.With) else None
            if isinstance(inner, cst.IndentedBlock):
                made = self._block(inner.body, line if is_graph(line) else owner)
                if made != list(inner.body):
                    changed = line.with_changes(body=inner.with_changes(body=made))
                    self.lines.setdefault(changed, self.lines.get(line, 1))
                    line = changed
            if not isinstance(line, cst.SimpleStatementLine):
                new.append(line)
                continue
            found = self._called(line)
            fed = self._fed(line, found[0]) if len(found) == 1 and not is_fed else None
            if fed is not None:
                name, line_of_batches, line_of_fed = fed
                is_fed = self.feeds = True
                lines = [line_of_batches, line_of_fed]
                self.findings.append(
                    Finding(name, Outcome.CONVERTED, self.lines.get(line, 1), "batches")
                )
                if not trains(owner):
                    lines[1] = self._marked(lines[1], line, name)
                new += lines
            elif found:
                new.append(self._marked(line, line, found[0]))
            else:
                new.append(line)
        return new

    def _called(self, line: cst.CSTNode) -> list[str]:
        names = [dotted(call.func) or "" for call in m.findall(line, m.Call())]  # type: ignore[attr-defined]
        return [name for name in names if name in self._functions]

    def _fed(self, line: cst.SimpleStatementLine, name: str) -> tuple[str, Any, Any] | None:
        assign = line.body[0]
        if len(line.body) != 1 or not isinstance(assign, cst.Assign) or len(assign.targets) != 1:
            return None
        value, target = assign.value, assign.targets[0].target
        if not isinstance(value, cst.Call) or dotted(value.func) != name:
            return None
        targets = target.value if isinstance(target, cst.Name) else names_of(target)
        given, more = self._functions[name], list[str]()
        if given.more:
            if targets is None or isinstance(targets, str):
                return None
            targets, more = targets[: -given.more], targets[-given.more :]
        fed = None if targets is None else fed_line(targets, given)
        if fed is None:
            return None
        batches: cst.BaseAssignTargetExpression = cst.Name(BATCHES)
        if more:
            names = [cst.Element(cst.Name(text)) for text in (BATCHES, *more)]
            batches = cst.Tuple(names, lpar=[], rpar=[])
        made = assign.with_changes(targets=[cst.AssignTarget(batches)])
        first = line.with_changes(body=[made])
        for part in (first, fed):
            self.lines.setdefault(part, self.lines.get(line, 1))
        return name, first, fed

    def _marked(self, line: Any, old: cst.CSTNode, name: str) -> Any:
        sentence = _marks.batches_of(self._functions[name].keys)
        at = self.lines.get(old, 1)
        self.findings.append(Finding(name, Outcome.PERSON, at, sentence))
        above = _marks.with_marks(line.leading_lines, [f"{name}: {sentence}"])
        marked = line.with_changes(leading_lines=above)
        self.lines.setdefault(marked, at)
        return marked


def imported(
    tree: cst.Module, read_module: ReadModule, is_local: Callable[[str], bool]
) -> dict[str, Returned]:
    """What functions give that make batches, of the modules that a program imports from itself."""
    found: dict[str, Returned] = {}
    for node in m.findall(tree, m.ImportFrom() | m.Import()):
        if isinstance(node, cst.ImportFrom):
            if node.module is None or isinstance(node.names, cst.ImportStar):
                continue
            there = functions_in(read_module(dotted(node.module) or ""), is_local)
            for alias in node.names:
                name = dotted(alias.name) or ""
                asked = dotted(alias.asname.name) if alias.asname else name
                if name in there:
                    found[asked or name] = there[name]
        elif isinstance(node, cst.Import):
            for alias in node.names:
                name = dotted(alias.name) or ""
                asked = (dotted(alias.asname.name) if alias.asname else name) or name
                there = functions_in(read_module(name), is_local)
                found |= {f"{asked}.{inner}": given for inner, given in there.items()}
    return found


def functions_in(text: str | None, is_local: Callable[[str], bool]) -> dict[str, Returned]:
    """What the functions of a module give that make batches, before or after it was ported."""
    if text is None or not _SIGNS.search(text):
        return {}
    try:
        tree, _ = _python2.parsed(text, "a module")
    except (SyntaxError, ValueError):
        return {}
    aliases = Aliases(is_local)
    cst.visit_batched(tree, [aliases])
    if not aliases.has_tensorflow:
        return _of_ported(tree)
    rule = Loaders(aliases, {}, tree)
    if rule.is_possible():
        tree.visit(rule)
    return rule.functions


def _of_ported(tree: cst.Module) -> dict[str, Returned]:
    found: dict[str, Returned] = {}
    for function in tree.body:
        if not isinstance(function, cst.FunctionDef):
            continue
        last = function.body.body[-1] if function.body.body else None
        small = last.body[0] if isinstance(last, cst.SimpleStatementLine) else None
        value = small.value if isinstance(small, cst.Return) else None
        several = [part.value for part in value.elements] if isinstance(value, cst.Tuple) else []
        first = several[0] if several else value
        if not isinstance(first, cst.Call) or dotted(first.func) != "loaders.batches":
            continue
        dicts = [r.value for r in m.findall(function, m.Return(value=m.Dict()))]  # type: ignore[attr-defined]
        if dicts:
            keys = tuple(str(part.key.evaluated_value) for part in dicts[-1].elements)
            form = "tuple" if len(keys) > 1 or several else "one"
            found[function.name.value] = Returned(keys, form, max(0, len(several) - 1))
    return found
