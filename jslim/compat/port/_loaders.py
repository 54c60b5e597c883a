"""Loaders: code from a provider or queue to `tf.train.batch` becomes `loaders.batches`.

Runs before the other rules. A function that returned tensors of a batch returns the iterable of
batches, and where tensors were, there is what a loss function takes out of its batch:

    images, labels = load_batch(dataset)       batches = load_batch(dataset)
                                               images, labels = sessions.fed('image'), ...
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import libcst as cst
import libcst.matchers as m

from jslim.compat.port import _marks, _records
from jslim.compat.port._flow import flow_of
from jslim.compat.port._names import Aliases, dotted
from jslim.compat.port._nodes import arg_of, call_of, name_of
from jslim.compat.port._notes import Finding, Outcome
from jslim.compat.port._records import LOAD_RECORD, PROVIDER, READERS, Segment
from jslim.compat.port._tracking import Tracking

BATCHES, FINISH = "batches", "finish_batch"
IMPORT = "from jslim.compat import loaders"
_STEPS = ("minimize", "apply_gradients", "create_train_op", "optimize_loss")


class Returned(NamedTuple):
    """What a function gives that makes batches.

    Attributes:
      keys: The names of the arrays of a batch, in the order in which the script unpacks them.
      form: `'tuple'`, `'one'` for a single array, `'dict'`.
      more: How many other values come after them.
    """

    keys: tuple[str, ...]
    form: str
    more: int = 0


class Loaders(Tracking):
    """Converts loaders.

    Args:
      aliases: What the names of the file stand for.
      lines: The lines of nodes; those of new nodes are added.
      tree: The tree of the file.

    Attributes:
      findings: What was found.
      functions: What functions of the file give that make batches.
      feeds: Whether `sessions.fed` was written.
    """

    def __init__(self, aliases: Aliases, lines: dict[cst.CSTNode, int], tree: cst.Module) -> None:
        super().__init__(lines, set())
        self.findings: list[Finding] = []
        self.functions: dict[str, Returned] = {}
        self.is_used = False
        self.feeds = False
        self._aliases = aliases
        self._providers = {
            dotted(found.targets[0].target) or ""  # type: ignore[attr-defined]
            for found in m.findall(tree, m.Assign(targets=[m.AssignTarget()]))
            if self.call(found.value).endswith(PROVIDER)  # type: ignore[attr-defined]
        }
        called = [self.call(found) for found in m.findall(tree, m.Call())]  # type: ignore[arg-type]
        readers = {READERS[name] for name in called if name in READERS}
        self._reader = readers.pop() if len(readers) == 1 else None
        self._taken = {found.value for found in m.findall(tree, m.Name())}  # type: ignore[attr-defined]
        self._depth = 0

    def call(self, node: cst.BaseExpression) -> str:
        """The full name of what an expression calls; empty for anything else."""
        if not isinstance(node, cst.Call):
            return ""
        found = self._aliases.found(dotted(node.func) or "")
        return found[0] if found else ""

    def is_possible(self) -> bool:
        """Whether the names that are written are free."""
        return not self._taken & {LOAD_RECORD, FINISH, BATCHES, "loaders", "sessions"}

    def visit_ClassDef(self, node: cst.ClassDef) -> None:
        self._depth += 1

    def visit_FunctionDef(self, node: cst.FunctionDef) -> None:
        self._depth += 1

    def leave_ClassDef(
        self, original_node: cst.ClassDef, updated_node: cst.ClassDef
    ) -> cst.ClassDef:
        self._depth -= 1
        return updated_node

    def leave_FunctionDef(
        self, original_node: cst.FunctionDef, updated_node: cst.FunctionDef
    ) -> cst.FunctionDef:
        self._depth -= 1
        body = updated_node.body
        if not isinstance(body, cst.IndentedBlock):
            return updated_node
        new, returned = self._block(body.body, [], updated_node, not trains(updated_node))
        if returned is not None and self._depth == 0:
            self.functions[updated_node.name.value] = returned
        return updated_node.with_changes(body=body.with_changes(body=new))

    def leave_Module(self, original_node: cst.Module, updated_node: cst.Module) -> cst.Module:
        new, _ = self._block(updated_node.body, [], updated_node, False)
        return updated_node.with_changes(body=new)

    def _block(
        self,
        body: Sequence[Any],
        after: Sequence[Any],
        owner: cst.CSTNode,
        can_return: bool,
    ) -> tuple[list[Any], Returned | None]:
        """The new statements of a block, and what it returns if it returns batches."""
        new, returned = list(body), None
        for place, line in enumerate(body):
            inner = line.body if isinstance(line, cst.With) else None
            if isinstance(inner, cst.IndentedBlock):
                rest = [*body[place + 1 :], *after]
                inside = line if is_graph(line) else owner
                made, given = self._block(inner.body, rest, inside, can_return and not rest)
                returned = returned or given
                if made != list(inner.body):
                    new[place] = line.with_changes(body=inner.with_changes(body=made))
                    self._keep_line(new[place], line)
        segment = self._segment(body, after)
        if segment is None:
            return new, returned
        name = self.call(segment.sink.call)
        if can_return:
            made, given = self._returning(new, segment, name)
            if given is not None:
                return made, given
        return self._fed(new, segment, name, trains(owner)), returned

    def _segment(self, body: Sequence[Any], after: Sequence[Any]) -> Segment | None:
        """The first segment of a block: a train op has one iterable of batches."""
        sinks = [
            sink for place, line in enumerate(body)
            if (sink := _records.sink_of(place, line, self.call))
        ]  # fmt: skip
        sources = [
            source for place, line in enumerate(body)
            if (source := _records.source_of(place, line, self.call, self._providers, self._reader))
        ]  # fmt: skip
        before = [source for source in sources if sinks and source.place < sinks[0].place]
        found = [_records.segment_of(body, source, sinks[0], after) for source in before]
        segments = [segment for segment in found if segment is not None]
        return segments[0] if len(segments) == 1 else None

    # A function that returns what a batch is.

    def _returning(
        self, body: list[Any], segment: Segment, name: str
    ) -> tuple[list[Any], Returned | None]:
        sink = segment.sink
        if sink.targets is None:
            form = "dict" if segment.is_dict else "tuple" if len(segment.keys) > 1 else "one"
            return self._with_batches(body, segment, name, list(segment.keys), [], True), Returned(
                tuple(segment.keys), form
            )
        last = body[-1]
        value = _value_returned(last)
        inner = body[sink.place + 1 : -1]
        if value is None or any(flow_of(line).leaves for line in inner):
            return body, None
        keys = dict(zip(sink.targets, segment.keys, strict=False)) if not sink.is_one else {}
        is_whole = sink.is_one and m.matches(value, m.Name(sink.targets[0]))
        if is_whole and not inner:
            chosen = list(segment.keys)
            form = "dict" if segment.is_dict else "tuple" if len(chosen) > 1 else "one"
            return self._with_batches(body, segment, name, chosen, [], True), Returned(
                tuple(chosen), form
            )
        if sink.is_one:
            return body, None
        batched = set(sink.targets).union(*(flow_of(line).writes for line in inner))
        value, more = _without_others(value, batched)
        items, form = self._items_of(value, keys)
        if not items or len({key for key, _ in items}) < len(items):
            return body, None
        if not all(flow_of(part).reads & batched for _, part in items):
            return body, None
        given = Returned(tuple(key for key, _ in items), form, len(more))
        is_plain = not inner and all(
            isinstance(part, cst.Name) and keys.get(part.value) == key for key, part in items
        )
        if is_plain:
            return self._with_batches(body, segment, name, list(given.keys), [], True, more), given
        finish = [_unpacked(keys, inner, value), *inner]
        finish.append(cst.SimpleStatementLine([cst.Return(_records.dict_of(items))]))
        made = self._with_batches(body, segment, name, list(segment.keys), finish, True, more)
        return made, given

    def _items_of(
        self, value: cst.BaseExpression, keys: Mapping[str, str]
    ) -> tuple[list[tuple[str, cst.BaseExpression]], str]:
        """What is returned, by the names of arrays; nothing where it may be no array."""
        if isinstance(value, cst.Dict):
            parts = [part for part in value.elements if isinstance(part, cst.DictElement)]
            if not all(isinstance(part.key, cst.SimpleString) for part in parts):
                return [], "dict"
            return [(str(part.key.evaluated_value), part.value) for part in parts], "dict"  # type: ignore[attr-defined]
        is_several = isinstance(value, cst.Tuple | cst.List)
        values = [part.value for part in value.elements] if is_several else [value]  # type: ignore[attr-defined]
        items = []
        for part in values:
            reads = [name for name in keys if name in flow_of(part).reads]
            name = part.value if isinstance(part, cst.Name) else reads[0] if reads else ""
            if not isinstance(part, cst.Name) and not self.call(part).startswith(("tf.", "slim.")):
                return [], "tuple"
            items.append((keys.get(name, name), part))
        return ([] if any(not key for key, _ in items) else items), (
            "tuple" if is_several else "one"
        )

    def _with_batches(
        self,
        body: list[Any],
        segment: Segment,
        name: str,
        keys: Sequence[str],
        finish: Sequence[Any],
        returns: bool,
        more: Sequence[cst.BaseExpression] = (),
    ) -> list[Any]:
        """The block with the function of a record and the call that makes batches of it."""
        call = _records.call_for(segment, name, FINISH if finish else None)
        if call is None:
            return body
        used = {segment.source.place, segment.sink.place, *segment.places}
        new = [line for place, line in enumerate(body[: segment.sink.place]) if place not in used]
        function = _records.function_of(body, segment, keys)
        function = _below(function, body[segment.source.place].leading_lines)
        new.append(function if new else function.with_changes(leading_lines=[]))
        if finish:
            blank = [cst.EmptyLine(indent=False)]
            param = cst.Parameters([cst.Param(cst.Name("batch"))])
            new.append(cst.FunctionDef(
                cst.Name(FINISH), param, cst.IndentedBlock(finish),
                leading_lines=blank, lines_after_decorators=[],
            ))  # fmt: skip
        call = _records.in_lines(call, [LOAD_RECORD])
        value: cst.BaseExpression = call
        if more:
            value = cst.Tuple([cst.Element(part) for part in (call, *more)], lpar=[], rpar=[])
        made: cst.BaseSmallStatement = cst.Return(value) if returns else _assigned(BATCHES, call)
        lead = segment.sink.line.leading_lines
        if not lead or lead[0].comment:
            lead = [cst.EmptyLine(indent=False), *lead]
        line = cst.SimpleStatementLine([made], leading_lines=lead)
        new.append(line)
        self._note(segment, name, new)
        return new if returns else [*new, *body[segment.sink.place + 1 :]]

    def _note(self, segment: Segment, name: str, new: Sequence[Any]) -> None:
        self.is_used = True
        at = self.lines.get(segment.sink.line, 1)
        for line in new:
            self.lines.setdefault(line, at)
        self.findings.append(Finding(name, Outcome.CONVERTED, at, "loaders.batches(...)"))

    # Where tensors were.

    def _fed(self, body: list[Any], segment: Segment, name: str, is_training: bool) -> list[Any]:
        sink = segment.sink
        if sink.targets is None:
            return body
        new = self._with_batches(body, segment, name, list(segment.keys), [], False)
        if new is body:
            return body
        targets = None if sink.is_one else sink.targets
        form = "dict" if segment.is_dict else "tuple" if len(segment.keys) > 1 else "one"
        fed = fed_line(targets or sink.targets[0], Returned(tuple(segment.keys), form))
        if fed is None:
            return body
        place = next(i for i, line in enumerate(new) if _makes_batches(line)) + 1
        self.feeds = True
        self._keep_line(fed, sink.line)
        if not is_training:
            sentence = _marks.batches_of(segment.keys)
            at = self.lines.get(sink.line, 1)
            self.findings.append(Finding(name, Outcome.PERSON, at, sentence))
            above = _marks.with_marks(fed.leading_lines, [f"{name}: {sentence}"])
            fed = fed.with_changes(leading_lines=above)
        return [*new[:place], fed, *new[place:]]

    def _keep_line(self, new: cst.CSTNode, old: cst.CSTNode) -> None:
        self.lines.setdefault(new, self.lines.get(old, 1))


def trains(node: cst.CSTNode) -> bool:
    """Whether code makes a train op."""
    calls = m.findall(node, m.Call(func=m.Attribute()))
    return any(found.func.attr.value in _STEPS for found in calls)  # type: ignore[attr-defined]


def _below(function: cst.FunctionDef, above: Sequence[cst.EmptyLine]) -> cst.FunctionDef:
    """A function with the comments that stood above the statement that gave a record."""
    first, *rest = function.body.body
    assert isinstance(first, cst.BaseStatement)
    lines = [*above, *first.leading_lines]  # type: ignore[attr-defined]
    while lines and not lines[0].comment:
        lines = lines[1:]
    inside = [first.with_changes(leading_lines=lines), *rest]
    return function.with_changes(body=cst.IndentedBlock(inside))


def is_graph(line: cst.With) -> bool:
    """Whether it is `with tf.Graph().as_default():`, around code of its own."""
    entered = m.Call(func=m.Attribute(attr=m.Name("as_default")))
    return any(m.matches(item.item, entered) for item in line.items)


def fed_line(targets: Sequence[str] | str, given: Returned) -> cst.SimpleStatementLine | None:
    """`images, labels = sessions.fed('image'), sessions.fed('label')`; None if they do not fit."""
    fed = {key: call_of("sessions.fed", [arg_of(name_of(key))]) for key in given.keys}
    values = [fed[key] for key in given.keys]
    if isinstance(targets, str):
        if given.form == "one":
            return cst.SimpleStatementLine([_assigned(targets, values[0])])
        if given.form == "dict":
            return cst.SimpleStatementLine(
                [_assigned(targets, _records.dict_of(list(fed.items())))]
            )
        several = cst.Tuple([cst.Element(value) for value in values], lpar=[], rpar=[])
        return cst.SimpleStatementLine([_assigned(targets, several)])
    if given.form == "dict" or len(targets) != len(values):
        return None
    pairs = [(t, v) for t, v in zip(targets, values, strict=True) if t != "_"]
    if len(pairs) == 1:
        return cst.SimpleStatementLine([_assigned(*pairs[0])])
    left = cst.Tuple([cst.Element(cst.Name(t)) for t, _ in pairs], lpar=[], rpar=[])
    right = cst.Tuple([cst.Element(v) for _, v in pairs], lpar=[], rpar=[])
    return cst.SimpleStatementLine([cst.Assign([cst.AssignTarget(left)], right)])


def _assigned(name: str, value: cst.BaseExpression) -> cst.Assign:
    return cst.Assign([cst.AssignTarget(cst.Name(name))], value)


def _makes_batches(line: cst.CSTNode) -> bool:
    made = m.Assign(value=m.Call(func=m.Attribute(m.Name("loaders"), m.Name("batches"))))
    return m.matches(line, m.SimpleStatementLine(body=[made]))


def _value_returned(line: cst.CSTNode) -> cst.BaseExpression | None:
    if isinstance(line, cst.SimpleStatementLine) and len(line.body) == 1:
        (small,) = line.body
        return small.value if isinstance(small, cst.Return) else None
    return None


def _without_others(
    value: cst.BaseExpression, batched: set[str]
) -> tuple[cst.BaseExpression, list[cst.BaseExpression]]:
    """What is returned of a batch, and the other values, which come after it."""
    if not isinstance(value, cst.Tuple | cst.List):
        return value, []
    parts = [part.value for part in value.elements]
    count = len(parts)
    while count and not flow_of(parts[count - 1]).reads & batched:
        count -= 1
    return value.with_changes(elements=value.elements[:count]), parts[count:]


def _unpacked(
    keys: Mapping[str, str], inner: Sequence[cst.CSTNode], value: cst.BaseExpression
) -> cst.SimpleStatementLine:
    """`images, labels = batch['image'], batch['label']`, of those that are read."""
    read = flow_of(value).reads.union(*(flow_of(line).reads for line in inner))
    pairs = [(name, key) for name, key in keys.items() if name in read]
    items = [cst.parse_expression(f"batch[{key!r}]") for _, key in pairs]
    if len(pairs) == 1:
        return cst.SimpleStatementLine([_assigned(pairs[0][0], items[0])])
    left = cst.Tuple([cst.Element(cst.Name(name)) for name, _ in pairs], lpar=[], rpar=[])
    right = cst.Tuple([cst.Element(item) for item in items], lpar=[], rpar=[])
    return cst.SimpleStatementLine([cst.Assign([cst.AssignTarget(left)], right)])
