"""One walk over the syntax tree of a file, in which all rules are applied."""

import functools
from collections.abc import Callable, Mapping, Sequence, Set
from typing import Any

import libcst as cst
import libcst.matchers as m
from libcst.metadata import MetadataWrapper, PositionProvider

from jslim.compat.port import _arguments, _marks, _moved, _placeholders, _python2, _training
from jslim.compat.port._imports import Imports, statement
from jslim.compat.port._names import Aliases, dotted, look_up
from jslim.compat.port._notes import Finding, Outcome
from jslim.compat.port._shapes import ShapeNames, Shapes

_Lines = cst.SimpleStatementLine | cst.BaseCompoundStatement


def ported(
    tree: cst.Module,
    is_local: Callable[[str], bool],
    is_python_2: bool,
    read_module: Callable[[str], str | None],
) -> tuple[cst.Module, list[Finding]]:
    """The tree for jslim, and what was found.

    Args:
      tree: The tree of a file, in Python 3's syntax.
      is_python_2: Whether something of Python 2 was converted already.
      is_local, read_module: As of `port_source`.
    """
    wrapper = MetadataWrapper(tree, unsafe_skip_copy=True)  # it was parsed just now
    places = wrapper.resolve(PositionProvider)
    lines = {node: place.start.line for node, place in places.items()}
    aliases, shapes, bound = Aliases(is_local), ShapeNames(), _python2.Bound()
    cst.visit_batched(tree, [aliases, shapes, bound])
    tree, findings, settled = _training.converted(tree, aliases, lines, is_local, read_module)
    walker = _Walker(aliases, shapes, bound.names, is_local, lines, settled)
    walker.is_python_2 = is_python_2
    return tree.visit(walker), [*findings, *walker.findings]


class _Walker(cst.CSTTransformer):
    def __init__(
        self,
        aliases: Aliases,
        shapes: ShapeNames,
        bound: set[str],
        is_local: Callable[[str], bool],
        lines: Mapping[cst.CSTNode, int],
        settled: Set[cst.CSTNode],
    ) -> None:
        super().__init__()
        self._lines = lines
        self.findings: list[Finding] = []
        self.is_python_2 = False
        self._aliases = aliases
        self._bound = bound
        roots = aliases.roots
        self._tf = next((name for name, root in roots.items() if root.name == "tf"), None)
        self._slim = next((name for name, root in roots.items() if root.name == "slim"), None)
        self._called: set[cst.CSTNode] = set()
        self._is_old = aliases.has_tensorflow
        self._imports = Imports(aliases.uses, is_local)
        self._shapes = Shapes(shapes, self._tf)
        self._owners: list[cst.CSTNode] = []  # the statements around, the innermost last
        # By statement and sentence, the names that it is about.
        self._marks: dict[cst.CSTNode, dict[str, list[str]]] = {}
        self._held: dict[str, str] = {}  # names of sessions and the like, and their sentences
        self._quiet = set(settled)  # and parts of names that were looked up already
        self._module: cst.Module | None = None
        self._divisions: list[tuple[int, cst.CSTNode]] = []
        self._has_division = False
        self._functions: list[dict[str, str]] = []  # arguments that take a placeholder's place

    def _line(self, node: cst.CSTNode) -> int:
        places = (place for place in (node, *reversed(self._owners)) if place in self._lines)
        return self._lines[place] if (place := next(places, None)) else 1

    def _note(self, node: cst.CSTNode, name: str, outcome: Outcome, what: str = "") -> None:
        what = what.removeprefix(f"{name}: ")
        self.findings.append(Finding(name, outcome, self._line(node), what))
        # What is ported already has its marks, but for those that a person has dealt with.
        if outcome in (Outcome.PERSON, Outcome.UNKNOWN) and self._is_old and self._owners:
            names = self._marks.setdefault(self._owners[-1], {}).setdefault(what, [])
            if name not in names:
                names.append(name)

    def _converted(self, node: cst.CSTNode) -> Callable[[str, str], None]:
        return lambda name, what: self._note(node, name, Outcome.CONVERTED, what)

    # Statements.

    def on_visit(self, node: cst.CSTNode) -> bool:
        if isinstance(node, _Lines):
            self._owners.append(node)
        return super().on_visit(node)

    def on_leave(
        self, original_node: cst.CSTNodeT, updated_node: cst.CSTNodeT
    ) -> Any:  # as the tree may hold there
        updated: Any = super().on_leave(original_node, updated_node)
        if not isinstance(original_node, _Lines):
            return updated
        self._owners.pop()
        if isinstance(original_node, cst.SimpleStatementLine):
            assert isinstance(updated, cst.SimpleStatementLine)
            return self._line_of(original_node, updated)
        assert isinstance(updated, cst.CSTNode)
        return self._with_marks(original_node, updated)

    def _with_marks(self, original: cst.CSTNode, updated: cst.CSTNode) -> cst.CSTNode:
        marks = self._marks.get(original)
        if not marks:
            return updated
        sentences = [f"{', '.join(names)}: {what}" for what, names in marks.items()]
        module = self._module
        header = module.header if module and module.body and module.body[0] is original else ()
        lines = _marks.with_marks(updated.leading_lines, sentences, header)  # type: ignore[attr-defined]
        return updated.with_changes(leading_lines=lines)

    def _line_of(
        self, original: cst.SimpleStatementLine, updated: cst.SimpleStatementLine
    ) -> cst.CSTNode | cst.FlattenSentinel[cst.CSTNode] | cst.RemovalSentinel:
        self._owners.append(original)
        groups = [
            self._small(old, new) for old, new in zip(original.body, updated.body, strict=True)
        ]
        self._owners.pop()
        if all(group is None for group in groups):
            return self._with_marks(original, updated)
        body = [
            statement
            for new, group in zip(updated.body, groups, strict=True)
            for statement in ([new] if group is None else group)
        ]
        if not body:
            if not any(line.comment for line in updated.leading_lines):
                return cst.RemoveFromParent()
            body = [cst.Pass()]
        body = [part.with_changes(semicolon=cst.MaybeSentinel.DEFAULT) for part in body]
        lines = [cst.SimpleStatementLine([part]) for part in body]
        lines[0] = lines[0].with_changes(leading_lines=updated.leading_lines)
        lines[-1] = lines[-1].with_changes(trailing_whitespace=updated.trailing_whitespace)
        lines[0] = self._with_marks(original, lines[0])  # type: ignore[call-overload]
        return cst.FlattenSentinel(lines)

    def _small(
        self, original: cst.BaseSmallStatement, updated: cst.BaseSmallStatement
    ) -> Sequence[cst.BaseSmallStatement] | None:
        """The statements in place of one; None leaves it as it is."""
        if isinstance(updated, cst.Import | cst.ImportFrom):
            return self._imports.converted(updated, functools.partial(self._note, original))
        if self._is_old and self._shapes.is_dropped(updated, self._converted(original)):
            return []
        if (new := _python2.printed(updated, self._python_2(original))) is not updated:
            return [new]
        if isinstance(updated, cst.Expr) and isinstance(updated.value, cst.Call):
            found = self._aliases.found(dotted(updated.value.func) or "")
            if found and self._is_old and found[0] in _moved.DROPPED:
                self._forget(original, found[0])
                self._note(original, found[0], Outcome.CONVERTED, _moved.DROPPED[found[0]])
                return []
        if m.matches(updated, m.Assign(targets=[m.AssignTarget(target=m.Name())])):
            assert isinstance(updated, cst.Assign)
            found = self._aliases.found(dotted(updated.value) or "")
            target = dotted(updated.targets[0].target)
            if found and found[0] == "tf.contrib.slim":
                text = f"import jslim as {target}"
                self._note(original, "tf.contrib.slim", Outcome.CONVERTED, text)
                return [statement(text)]
            if self._becomes_argument(original, updated):
                return []
        return None

    def _becomes_argument(self, original: cst.BaseSmallStatement, node: cst.Assign) -> bool:
        """Whether `is_training = tf.placeholder(tf.bool)` became an argument of its function."""
        target, call = dotted(node.targets[0].target) or "", node.value
        is_inside = len(self._owners) > 1 and isinstance(self._owners[-2], cst.FunctionDef)
        is_settled = getattr(original, "value", None) in self._quiet or not self._is_old
        if not is_inside or is_settled or not isinstance(call, cst.Call):
            return False
        found = self._aliases.found(dotted(call.func) or "")
        default = _placeholders.default_of(found[0], target, call) if found else None
        if found is None or default is None:
            return False
        self._functions[-1][target] = default
        self._forget(original, found[0])
        self._note(original, found[0], Outcome.CONVERTED, f"the argument {target} of the function")
        return True

    def _forget(self, node: cst.CSTNode, name: str) -> None:
        """Takes back what was noted about a name in a statement that is not left to a person."""
        self._marks.pop(self._owners[-1], None)
        line = self._line(node)
        self.findings = [f for f in self.findings if (f.line, f.name) != (line, name)]

    def visit_FunctionDef(self, node: cst.FunctionDef) -> None:
        self._functions.append({})

    def leave_FunctionDef(
        self, original_node: cst.FunctionDef, updated_node: cst.FunctionDef
    ) -> cst.FunctionDef:
        return _placeholders.with_arguments(updated_node, self._functions.pop())

    def visit_Module(self, node: cst.Module) -> None:
        self._module = node

    def leave_Module(self, original_node: cst.Module, updated_node: cst.Module) -> cst.Module:
        if self.is_python_2 and not self._has_division:
            for line, _ in self._divisions:
                self.findings.append(Finding("/", Outcome.PERSON, line, _marks.DIVISION))
        return updated_node

    # Names.

    def visit_ImportFrom(self, node: cst.ImportFrom) -> bool:
        if dotted(node.module or cst.Name("_")) == "__future__" and not isinstance(
            node.names, cst.ImportStar
        ):
            self._has_division |= any(dotted(a.name) == "division" for a in node.names)
        return False

    def visit_Import(self, node: cst.Import) -> bool:
        return False

    def visit_Attribute(self, node: cst.Attribute) -> None:
        if node not in self._quiet:
            self._look(node)
        self._quiet.update({node.value, node.attr})

    def visit_Name(self, node: cst.Name) -> None:
        if node not in self._quiet:
            self._look(node)

    def visit_Call(self, node: cst.Call) -> None:
        self._called.add(node.func)

    def visit_Arg(self, node: cst.Arg) -> None:
        if node.keyword is not None:
            self._quiet.add(node.keyword)
            is_feed = node.keyword.value == "feed_dict" and node not in self._quiet
            if is_feed and self._is_old:
                self._note(node, "feed_dict", Outcome.PERSON, _marks.FEED)

    def visit_Param(self, node: cst.Param) -> None:
        self._quiet.add(node.name)

    def visit_With(self, node: cst.With) -> None:
        for item in node.items:
            if item.asname:
                self._hold(item.asname.name, item.item)

    def visit_Assign(self, node: cst.Assign) -> None:
        for target in node.targets:
            self._quiet.add(target.target)
            self._hold(target.target, node.value)

    def _hold(self, target: cst.BaseExpression, value: cst.BaseExpression) -> None:
        """Remembers the name of a session, and that it is no use of one."""
        name = dotted(target)
        found = (
            self._aliases.found(dotted(value.func) or "") if isinstance(value, cst.Call) else None
        )
        if name and found and found[0].removesuffix(".as_default") in _marks.HELD:
            self._held[name] = found[0]
            self._quiet.add(target)

    def _look(self, node: cst.Name | cst.Attribute) -> None:
        text = dotted(node)
        if text is None:
            self._look_at_method(node)
            return
        found = self._aliases.found(text)
        if found is None:
            self._look_at_method(node)
            return
        name, root, rest = found
        if name == "tf.contrib.slim":
            return
        path = ".".join(filter(None, (root.member, rest)))
        if not root.holders:
            answer_outcome, what = Outcome.UNKNOWN, "jslim has no such module"
        else:
            answer = look_up(root.holders, path)
            parts = path.split(".") if path else []
            dropped = len(parts) - answer.length
            if dropped:
                name = ".".join(name.split(".")[:-dropped])
            answer_outcome, what = answer.outcome, answer.what
        new = _arguments.renamed(name)
        if new and look_up(("jslim.compat.tf",), new.removeprefix("tf.")).outcome is Outcome.SAME:
            return  # it gets today's name
        if self._is_old and _moved.place(name, self._slim, node in self._called):
            return  # it gets its place in jslim
        sentence = _marks.of_slim(name) if self._is_old else None
        if sentence:
            answer_outcome, what = Outcome.PERSON, sentence
        if self._is_old or answer_outcome is not Outcome.UNKNOWN:
            self._note(node, name, answer_outcome, what)

    def _look_at_method(self, node: cst.Name | cst.Attribute) -> None:
        text = dotted(node) or ""
        if isinstance(node, cst.Attribute) and self._is_old:
            method = node.attr.value
            before = node.value.attr.value if isinstance(node.value, cst.Attribute) else ""
            for name in (method, f"{before}.{method}"):
                if name in _marks.OF_VALUES:
                    self._note(node, f".{name}", Outcome.PERSON, _marks.OF_VALUES[name])
        for held, origin in self._held.items():
            if text == held or text.startswith(f"{held}."):
                outcome = look_up(("jslim.compat.tf",), origin.removeprefix("tf."))
                if outcome.outcome is Outcome.PERSON:
                    self._note(node, origin, Outcome.PERSON, outcome.what)
                return
        owner, _, method = text.rpartition(".")
        if self._is_old and method == "run" and owner in _marks.SESSIONS:
            what = look_up(("jslim.compat.tf",), "Session").what
            self._note(node, "tf.Session", Outcome.PERSON, what)
        if text == "reduce" and text not in self._bound:
            self._note(node, "reduce", Outcome.PERSON, _marks.REDUCE)

    def leave_Name(self, original_node: cst.Name, updated_node: cst.Name) -> cst.BaseExpression:
        if original_node in self._quiet:
            return updated_node
        return _python2.name(updated_node, self._bound, self._python_2(original_node))

    def leave_Attribute(
        self, original_node: cst.Attribute, updated_node: cst.Attribute
    ) -> cst.BaseExpression:
        if not self._is_old:
            return _python2.attribute(updated_node, self._converted(original_node))
        text = dotted(original_node) or ""
        if self._tf and text == f"{self._tf}.compat.v1":
            self._note(original_node, "tf.compat.v1", Outcome.CONVERTED, self._tf)
            return cst.Name(self._tf)
        found = self._aliases.found(text)
        new = _arguments.renamed(found[0]) if found else None
        if found and new and look_up(("jslim.compat.tf",), new[3:]).outcome is Outcome.SAME:
            self._note(original_node, found[0], Outcome.CONVERTED, new)
            root = text.partition(".")[0]
            return cst.parse_expression(f"{root}.{new[3:]}")
        called = original_node in self._called
        place = _moved.place(found[0], self._slim, called) if found else None
        if found and place:
            self._note(original_node, found[0], Outcome.CONVERTED, place)
            return cst.parse_expression(place)
        node = self._shapes.attribute(updated_node, self._converted(original_node))
        if isinstance(node, cst.Attribute):
            node = _python2.attribute(node, self._converted(original_node))
        return node

    def leave_Call(self, original_node: cst.Call, updated_node: cst.Call) -> cst.BaseExpression:
        if not self._is_old:
            return _python2.call(updated_node, self._python_2(original_node))
        note = self._converted(original_node)
        found = self._aliases.found(dotted(original_node.func) or "")
        name = found[0] if found else dotted(original_node.func) or "..."
        if found:
            today = _arguments.renamed(name) or name
            updated_node = _arguments.call(today, updated_node, lambda what: note(name, what))
        elif isinstance(original_node.func, cst.Attribute):
            method = f".{original_node.func.attr.value}()"
            updated_node = _arguments.method(
                updated_node, self._tf, lambda what: note(method, what)
            )
        new = self._shapes.call(updated_node, note)
        if isinstance(new, cst.Call):
            new = _python2.call(new, self._python_2(original_node))
        return new

    def leave_Subscript(
        self, original_node: cst.Subscript, updated_node: cst.Subscript
    ) -> cst.BaseExpression:
        node: cst.BaseExpression = updated_node
        if self._is_old:
            node = self._shapes.subscript(updated_node, self._converted(original_node))
        if isinstance(node, cst.Subscript):
            node = _python2.subscript(node, self._converted(original_node))
        return node

    def leave_BinaryOperation(
        self, original_node: cst.BinaryOperation, updated_node: cst.BinaryOperation
    ) -> cst.BaseExpression:
        if isinstance(updated_node.operator, cst.Divide) and _may_be_whole(updated_node):
            self._divisions.append((self._line(original_node), original_node))
        return _python2.sum_of_lists(updated_node, self._converted(original_node))

    def _python_2(self, node: cst.CSTNode) -> Callable[[str, str], None]:
        def note(name: str, what: str) -> None:
            self.is_python_2 = True
            self._note(node, name, Outcome.CONVERTED, what)

        return note


def _may_be_whole(node: cst.BinaryOperation) -> bool:
    """Whether both sides of a division can be whole numbers, as far as one sees."""
    return not (m.findall(node, m.Float()) or m.findall(node, m.Call(func=m.Name("float"))))
