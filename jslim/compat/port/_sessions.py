"""Training scripts: a loop around `tf.Session` becomes one around `jslim.compat.sessions`.

Runs before the other rules, on files that train: a train op is made or fetched beside a session.
"""

from collections.abc import Sequence
from typing import Any, TypeVar

import libcst as cst
import libcst.matchers as m

from jslim.compat.port import _fed, _outputs
from jslim.compat.port._drops import (
    NO_LOOP_ARGUMENT,
    NO_SESSION,
    QUEUE_RUNNERS,
    REASONS,
    Drops,
    is_of_session,
)
from jslim.compat.port._facts import LOOPS, Facts, Kind
from jslim.compat.port._fetches import Fetches
from jslim.compat.port._losses import Losses
from jslim.compat.port._names import dotted
from jslim.compat.port._nodes import arg_of, call_of, keywords
from jslim.compat.port._notes import Finding, Outcome
from jslim.compat.port._objects import IN_INIT, Objects
from jslim.compat.port._tracking import Replaced, Tracking

_Whole = TypeVar("_Whole", cst.FunctionDef, cst.Module)


class Sessions(Tracking):
    """Converts sessions, and what goes with them.

    Args:
      facts: What the names hold.
      lines: The lines of nodes; those of new nodes are added.
      tf, slim: What the file calls TensorFlow and slim.
      settled: Nodes that need no mark.
    """

    def __init__(
        self,
        facts: Facts,
        lines: dict[cst.CSTNode, int],
        tf: str | None,
        slim: str | None,
        settled: set[cst.CSTNode],
    ) -> None:
        super().__init__(lines, settled)
        self.findings: list[Finding] = []
        self._facts, self._tf = facts, tf
        self._fetches, self._objects = Fetches(facts), Objects(facts, self)
        self._is_used = False
        self._dropped: set[cst.CSTNode] = set()
        self._choices: set[cst.CSTNode] = set()
        self._losses = Losses(facts, tf, slim, self, self.findings)
        self._gone: set[cst.CSTNode] = set()  # of what only the comments above are left
        self._inits: dict[cst.BaseExpression, str] = {}  # calls of what gives an `init_fn`
        self._graphs: dict[cst.CSTNode, list[Any]] = {}  # of the module, and what is around each
        self._in_init = 0  # functions around that give one

    # What is dropped is known before anything is converted.

    def prepare(self, module: cst.Module) -> None:
        """Finds what can be dropped: names of which nothing is left."""
        drops = Drops(self._facts)
        module.visit(drops)
        self._dropped = drops.decided()
        facts = self._facts
        self._inits = facts.init_calls()
        self._graphs = {
            line: [*module.body[:place], *module.body[place + 1 :]]
            for place, line in enumerate(module.body) if isinstance(line, cst.With)
        }  # fmt: skip
        for (scope, text), kind in facts.kinds.items():
            uses = facts.uses.get((scope, text), [])
            if kind is Kind.VARIABLES and uses and all(node in drops.chosen for node in uses):
                self._objects.chosen.add((scope, text))
                self._choices.update(facts.made_by[scope, text])

    def _note(self, node: cst.CSTNode, name: str, outcome: Outcome, what: str) -> None:
        self.findings.append(Finding(name, outcome, self.lines.get(node, 1), what))

    def visit_FunctionDef(self, node: cst.FunctionDef) -> None:
        self._facts.enter(node)
        self._in_init += node.name.value in self._inits.values()
        found = m.findall(node.params, m.Param())
        self._fetches.params.append({param.name.value for param in found})  # type: ignore[attr-defined]

    def leave_FunctionDef(
        self, original_node: cst.FunctionDef, updated_node: cst.FunctionDef
    ) -> cst.FunctionDef:
        if self._facts.function is original_node and self._facts.is_active():
            self._losses.build(updated_node.body)
            new = updated_node.visit(Replaced(self._losses.blocks, self))
            assert isinstance(new, cst.FunctionDef)
            updated_node = self._marked(new)
        self._in_init -= original_node.name.value in self._inits.values()
        self._facts.exit(original_node)
        self._fetches.params.pop()
        return updated_node

    def _marked(self, whole: _Whole) -> _Whole:
        """A function or the module, with marks where what is fetched is no output."""
        rule = _outputs.Marked(self._facts, self, self._fetches.names, self._losses.outputs)
        new = whole.visit(rule)
        self.findings += rule.findings
        self._losses.outputs = None
        assert isinstance(new, type(whole))
        return new

    def visit_ClassDef(self, node: cst.ClassDef) -> None:
        self._facts.enter(node)

    def leave_ClassDef(
        self, original_node: cst.ClassDef, updated_node: cst.ClassDef
    ) -> cst.ClassDef:
        self._facts.exit(original_node)
        return updated_node

    def leave_Module(self, original_node: cst.Module, updated_node: cst.Module) -> cst.Module:
        body = self._without_gone(updated_node.body)
        updated_node = updated_node.with_changes(body=body)
        if self._facts.is_active():
            self._losses.build(updated_node)
            body = self._losses.blocks.get(updated_node, body)
            body = list(self._marked(updated_node.with_changes(body=body)).body)
        if not self._is_used:
            return updated_node.with_changes(body=body)
        self._note(original_node, "sessions", Outcome.CONVERTED, _fed.IMPORT)
        return updated_node.with_changes(body=_fed.with_import(body))

    # Statements.

    def leave_SimpleStatementLine(
        self, original_node: cst.SimpleStatementLine, updated_node: cst.SimpleStatementLine
    ) -> cst.BaseStatement | cst.FlattenSentinel[cst.BaseStatement] | cst.RemovalSentinel:
        if original_node not in self._dropped:
            return self._with_summaries(original_node, updated_node)
        found = Drops(self._facts).about(original_node)
        assert found is not None
        kind, name, _ = found
        self._note(original_node, name, Outcome.DROPPED, REASONS.get(kind, NO_SESSION))
        if any(line.comment for line in updated_node.leading_lines):
            new = updated_node.with_changes(body=[cst.Pass()])
            self._gone.add(new)
            return new
        return cst.RemoveFromParent()

    def _with_summaries(
        self, original: cst.SimpleStatementLine, updated: cst.SimpleStatementLine
    ) -> cst.BaseStatement | cst.FlattenSentinel[cst.BaseStatement]:
        lines = self._objects.summaries(original, updated) if self._facts.is_active() else None
        if lines is None:
            return updated
        self._note(original, "tf.summary.merge", Outcome.CONVERTED, "sessions.SUMMARIES")
        self._is_used = True
        return cst.FlattenSentinel(lines)

    def leave_IndentedBlock(
        self, original_node: cst.IndentedBlock, updated_node: cst.IndentedBlock
    ) -> cst.IndentedBlock:
        body = self._without_gone(updated_node.body)
        if not body:
            body = list(updated_node.body[:1]) or [cst.SimpleStatementLine([cst.Pass()])]
        return updated_node.with_changes(body=body)

    def _without_gone(self, body: Sequence[cst.CSTNode]) -> list[Any]:
        """The statements of a block; comments above what is gone go to the next one."""
        left: list[Any] = []
        lines: list[cst.EmptyLine] = []
        for line in body:
            if line in self._gone:
                lines += line.leading_lines  # type: ignore[attr-defined]
                continue
            if lines:
                line = line.with_changes(leading_lines=[*lines, *line.leading_lines])  # type: ignore[attr-defined]
                lines = []
            left.append(line)
        return left

    def leave_With(
        self, original_node: cst.With, updated_node: cst.With
    ) -> cst.BaseStatement | cst.FlattenSentinel[cst.BaseStatement]:
        items = [
            new
            for old, new in zip(original_node.items, updated_node.items, strict=True)
            if old not in self._dropped
        ]
        if len(items) == len(updated_node.items):
            return updated_node
        for old in original_node.items:
            if old in self._dropped:
                name = self._facts.call(old.item)
                if name in QUEUE_RUNNERS:
                    self._note(original_node, name, Outcome.DROPPED, REASONS[Kind.QUEUES])
                else:
                    self._note(original_node, ".as_default", Outcome.DROPPED, REASONS[Kind.GRAPH])
        if items:
            items[-1] = items[-1].with_changes(comma=cst.MaybeSentinel.DEFAULT)
            return updated_node.with_changes(items=items)
        if not isinstance(updated_node.body, cst.IndentedBlock):
            return updated_node
        body = list(updated_node.body.body)
        if original_node in self._graphs:  # of the module, which may have several
            body = self._losses.built(body, self._graphs[original_node]) or body
        before = (*updated_node.leading_lines, *body[0].leading_lines)  # type: ignore[attr-defined]
        body[0] = body[0].with_changes(leading_lines=before)
        return cst.FlattenSentinel(body)

    def leave_Assign(self, original_node: cst.Assign, updated_node: cst.Assign) -> cst.Assign:
        target = original_node.targets[0].target
        text = dotted(target)
        if isinstance(target, cst.Subscript) and self._facts.is_active():
            return self._item(target, updated_node)
        if text is None or len(original_node.targets) > 1 or not self._facts.is_active():
            return updated_node
        called = self._facts.call(original_node.value)
        if called in ("tf.Variable", "tf.get_variable") and self._facts.kind(target) is Kind.STEP:
            name = f"{self._tf}.train.get_or_create_global_step"
            self._note(original_node, called, Outcome.CONVERTED, f"{name}()")
            return updated_node.with_changes(value=call_of(name, []))
        if called in ("tf.assign", "tf.assign_add") and self._facts.counts(original_node.value):
            assert isinstance(updated_node.value, cst.Call)
            self._note(original_node, called, Outcome.CONVERTED, "the train op counts the steps")
            return updated_node.with_changes(value=updated_node.value.args[0].value)
        if called == "tf.placeholder":
            return self._fed(text, original_node, updated_node)
        return updated_node

    def _fed(self, text: str, original: cst.Assign, updated: cst.Assign) -> cst.Assign:
        new = _fed.of(text, original.value)
        if new is None:
            self.settled.add(updated.value)  # it does not become an argument
            return updated
        self._note(original, "tf.placeholder", Outcome.CONVERTED, "what is fed under its name")
        self._is_used = True
        return updated.with_changes(value=new)

    # Expressions.

    def leave_Call(self, original_node: cst.Call, updated_node: cst.Call) -> cst.BaseExpression:
        if original_node in self._inits:
            maker = self._inits[original_node]
            self._note(original_node, f"{maker}()", Outcome.CONVERTED, "sessions.init_later(...)")
            self._is_used = True
            args = [arg_of(updated_node.func), *updated_node.args]
            return call_of("sessions.init_later", args)
        if self._in_init and self._facts.call(original_node) in IN_INIT:
            return self._objects.in_init(original_node, updated_node)
        if not self._facts.is_active():
            return updated_node
        name = self._facts.call(original_node)
        convert = {
            "tf.Session": self._objects.session,
            "tf.InteractiveSession": self._objects.session,
            "tf.train.Saver": self._objects.saver,
            "tf.train.Supervisor": self._objects.supervisor,
            "tf.summary.FileWriter": self._objects.writer,
            "tf.train.SummaryWriter": self._objects.writer,
            "tf.summary.merge_all": self._objects.summary,
            "tf.merge_all_summaries": self._objects.summary,
            "tf.summary.merge": self._objects.summary,
            "slim.assign_from_checkpoint_fn": self._objects.assign_fn,
        }.get(name)
        new = convert(original_node, updated_node) if convert else None
        if original_node in self._choices:
            new = self._objects.later(updated_node)
        if name in LOOPS:
            return self._loop(original_node, updated_node)
        if new is not None:
            made = new.func if isinstance(new, cst.Call) else new
            self._note(original_node, name, Outcome.CONVERTED, dotted(made) or "")
        elif not name and isinstance(original_node.func, cst.Attribute):
            new = self._method(original_node.func, original_node, updated_node)
        if new is None:
            return updated_node
        self._is_used = True
        return new

    def _loop(self, original: cst.Call, updated: cst.Call) -> cst.Call:
        """`slim.learning.train` without what only a session needs.

        Where the batches are not known a person gives them.
        """
        args: list[cst.Arg] = []
        for old, new in zip(original.args, updated.args, strict=True):
            if is_of_session(old, self._facts):
                word = f"{old.keyword.value}=" if old.keyword else ""
                self._note(old, word, Outcome.DROPPED, NO_LOOP_ARGUMENT)
            else:
                args.append(new)
        if args and len(args) < len(updated.args):
            args[-1] = args[-1].with_changes(
                comma=cst.MaybeSentinel.DEFAULT,
                whitespace_after_arg=updated.args[-1].whitespace_after_arg,
            )
        made = self._objects.train(original, args)
        if made is None:
            return updated.with_changes(args=args)
        self._is_used = True
        self._note(original, "slim.learning.train", Outcome.CONVERTED, "sessions.train")
        return made.with_changes(whitespace_before_args=updated.whitespace_before_args)

    def _method(
        self, func: cst.Attribute, original: cst.Call, updated: cst.Call
    ) -> cst.BaseExpression | None:
        """`sess.run(...)`, and `tensor.eval(session=sess)`."""
        method = func.attr.value
        words = keywords(original)
        if method == "managed_session" and self._facts.kind(func.value) is Kind.SUPERVISOR:
            return updated.with_changes(args=[])
        if method == "eval" and self._facts.kind(words.get("session", func)) is Kind.SESSION:
            fetch = self._fetches.fetch(func.value)
            feed = self._fetches.feed(words["feed_dict"]) if "feed_dict" in words else None
            if fetch is None or (feed is None and "feed_dict" in words):
                return None
            self._note(original, ".eval()", Outcome.CONVERTED, "sess.run(...)")
            name = f"{dotted(words['session'])}.run"
            return self._run(name, [arg_of(fetch), *([arg_of(feed, "feed_dict")] if feed else [])])
        if method != "run" or self._facts.kind(func.value) is not Kind.SESSION:
            return None
        if not set(words) <= {"feed_dict", "fetches"} or len(original.args) > 2:
            return None
        args = []
        for place, arg in enumerate(updated.args):
            is_feed = place == 1 or (arg.keyword is not None and arg.keyword.value == "feed_dict")
            value = self._fetches.feed(arg.value) if is_feed else self._fetches.fetch(arg.value)
            if value is None:
                return None
            args.append(arg.with_changes(value=value))
        self._note(original, "sess.run", Outcome.CONVERTED, "outputs by name")
        return self._run(dotted(func) or "", args, updated)

    def _run(
        self, name: str, args: Sequence[cst.Arg], updated: cst.Call | None = None
    ) -> cst.BaseExpression:
        new = call_of(name, args) if updated is None else updated.with_changes(args=args)
        self.settled.add(new.func)
        self.settled.update(arg for arg in new.args if arg.keyword)
        return new

    def _display(self, original: cst.BaseExpression, updated: cst.BaseExpression) -> Any:
        """A display that a session is given under a name."""
        facts = self._facts
        for (scope, text), is_feed in facts.is_feed.items():
            if scope is not facts.scope or original not in facts.literals.get((scope, text), ()):
                continue
            if facts.is_active() and self._fetches.is_display(cst.parse_expression(text), is_feed):
                return (self._fetches.feed if is_feed else self._fetches.fetch)(updated) or updated
        return updated

    def leave_List(self, original_node: cst.List, updated_node: cst.List) -> Any:
        return self._display(original_node, updated_node)

    def leave_Tuple(self, original_node: cst.Tuple, updated_node: cst.Tuple) -> Any:
        return self._display(original_node, updated_node)

    def leave_Dict(self, original_node: cst.Dict, updated_node: cst.Dict) -> Any:
        return self._display(original_node, updated_node)

    def _item(self, target: cst.Subscript, updated: cst.Assign) -> cst.Assign:
        """`fetches['loss'] = total_loss`, and `feed_dict[images] = values`."""
        key = (self._facts.scope, dotted(target.value) or "")
        is_feed = self._facts.is_feed.get(key)
        if is_feed is None or not self._fetches.is_display(target.value, is_feed):
            return updated
        if is_feed:
            new = cst.AssignTarget(self._fetches.key(target) or target)
            return updated.with_changes(targets=[new])
        return updated.with_changes(value=self._fetches.fetch(updated.value) or updated.value)
