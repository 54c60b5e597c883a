"""Code that builds a graph, as the loss function of a batch.

    images = sessions.fed('images', tf.float32)           def compute_loss(batch):
    logits = slim.conv2d(images, 10, 1)                       images = tf.cast(batch['images'], ...)
    loss = tf.losses.log_loss(labels, logits)                 ...
    train_op = optimizer.minimize(loss)                       return loss, {'logits': logits}

Only straight-line code of one block is taken; where something is not certain, all stays as it is.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import libcst as cst
import libcst.matchers as m

from jslim.compat.port._averages import AVERAGE, averages_of
from jslim.compat.port._facts import Facts, Kind
from jslim.compat.port._flow import flow_of
from jslim.compat.port._names import dotted
from jslim.compat.port._nodes import keywords, plain
from jslim.compat.port._outputs import fetched
from jslim.compat.port._tracking import Tracking

# What stays outside: options, files, optimizers, data.
_HOST = (
    "tf.app", "tf.flags", "tf.gfile", "tf.logging", "tf.train", "tf.GraphKeys", "tf.device",
    "tf.ConfigProto", "tf.Session", "tf.summary.FileWriter", "tf.python_io", "tf.io", "tf.errors",
    "tf.set_random_seed", "tf.reset_default_graph", "tf.Graph", "tf.get_default_graph",
    "tf.name_scope", "tf.variable_scope", "tf.control_dependencies", "tf.get_variable_scope",
    "tf.test", "tf.contrib.framework", "tf.FixedLenFeature", "tf.TFRecordReader", "tf.saved_model",
    "slim.arg_scope", "slim.learning", "slim.training", "slim.evaluation", "slim.data",
    "slim.dataset", "slim.dataset_data_provider", "slim.tfexample_decoder", "slim.prefetch_queue",
    "slim.get_or_create_global_step", "slim.create_global_step", "slim.get_global_step",
    "slim.assign_from_checkpoint_fn", "slim.assign_from_checkpoint",
    "slim.get_variables_to_restore", "slim.queues",
)  # fmt: skip
_NAME = "compute_loss"
_CREATORS = tuple(
    f"{root}.{room}.create_train_op"
    for root in ("slim", "tf.contrib.slim")
    for room in ("learning", "training")
)
_KEPT = ("clip_gradient_norm", "summarize_gradients", "gradient_multipliers")
_LOOPS = {f"{root}.learning.train" for root in ("slim", "tf.contrib.slim")}
_RUNS = {Kind.SESSION, Kind.SAVER, Kind.WRITER, Kind.SUPERVISOR, Kind.OP}


class Step(NamedTuple):
    """The statement that makes a train op.

    Attributes:
      place: Where it is in its block.
      assign: The assignment.
      loss: The name of the loss.
      optimizer: The expression of the optimizer.
      rest: Further arguments of `create_train_op`.
    """

    place: int
    assign: cst.Assign
    loss: str
    optimizer: cst.BaseExpression
    rest: Sequence[cst.Arg]


class Built(NamedTuple):
    """A block with a loss function.

    Attributes:
      body: Its statements.
      op: The name of the train op.
      loss: The name of the loss.
      outputs: The names of what else the function gives.
    """

    body: list[cst.BaseStatement]
    op: str
    loss: str
    outputs: Sequence[str]


def with_function(
    body: Sequence[cst.BaseStatement],
    facts: Facts,
    slim: str | None,
    tf: str | None,
    used_around: set[str],
    tracking: Tracking,
) -> Built | None:
    """A block whose train op is made of a function; None where it is not certain how.

    Args:
      body: The statements of a block.
      facts: What the names hold.
      slim, tf: What the file calls slim and TensorFlow.
      used_around: Names that are used around the block.
      tracking: What is known of nodes.
    """
    if tf is None or facts.bound & {_NAME, "batch"}:
        return None
    steps = steps_of(body, facts)
    others = [place for place, line in enumerate(body) if _makes_ops(line, facts)]
    if len(steps) != 1 or others != [steps[0].place]:
        return None
    (step,) = steps
    block = _Block(body, step, facts)
    places = block.building()
    if places is None or block.written(places) & used_around:
        return None
    averages = averages_of(body, places, facts)
    if averages is None:
        return None
    inside: list[cst.BaseStatement] = [
        body[place].visit(_Inside(facts, tf, tracking))  # type: ignore[misc]
        for place in sorted(places - averages.places)
    ]
    outputs = [name for name in block.fetched() if name in block.written(places)]
    inside.append(_line(cst.Return(_returned(step.loss, outputs))))
    function = cst.FunctionDef(
        cst.Name(_NAME),
        cst.Parameters([cst.Param(cst.Name("batch"))]),
        cst.IndentedBlock(inside),
        leading_lines=[cst.EmptyLine(indent=False)],
        lines_after_decorators=[],
    )
    new: list[cst.BaseStatement] = []
    for place, statement in enumerate(body):
        if place == step.place:
            above = statement.leading_lines  # type: ignore[attr-defined]
            blank = () if above and not above[0].comment else [cst.EmptyLine(indent=False)]
            step = step._replace(rest=[*step.rest, *averages.args])
            assign = _made(step, slim or f"{tf}.contrib.slim")
            tracking.settled.add(assign.value.func)  # type: ignore[attr-defined]
            new += [function, _line(assign).with_changes(leading_lines=[*blank, *above])]
        elif place not in places:
            new.append(statement)
    return Built(new, dotted(step.assign.targets[0].target) or "", step.loss, outputs)


def steps_of(body: Sequence[cst.BaseStatement], facts: Facts) -> list[Step]:
    """The statements of a block that make train ops of losses."""
    return [step for place, line in enumerate(body) if (step := _step(place, line, facts))]


def _step(place: int, line: cst.BaseStatement, facts: Facts) -> Step | None:
    """The statement that makes a train op of a loss, if it is one."""
    if isinstance(line, cst.With) and isinstance(line.body, cst.IndentedBlock):
        waits = [facts.call(item.item) for item in line.items] == ["tf.control_dependencies"]
        if waits and len(line.body.body) == 1:
            return _step(place, line.body.body[0], facts)
        return None
    if not isinstance(line, cst.SimpleStatementLine) or len(line.body) != 1:
        return None
    (assign,) = line.body
    if not isinstance(assign, cst.Assign) or len(assign.targets) != 1:
        return None
    call = assign.value
    if not isinstance(call, cst.Call) or any(arg.star for arg in call.args):
        return None
    words, given = keywords(call), [arg.value for arg in plain(call)]
    if facts.call(call) in _CREATORS:
        words |= dict(zip(("total_loss", "optimizer"), given, strict=False))
        loss, optimizer = words.get("total_loss"), words.get("optimizer")
        kept: tuple[str, ...] = _KEPT
    elif m.matches(call.func, m.Attribute(attr=m.Name("minimize"))):
        assert isinstance(call.func, cst.Attribute)
        words |= dict(zip(("loss",), given, strict=False))
        loss, optimizer, kept = words.get("loss"), call.func.value, ()
    else:
        return None
    known = {"total_loss", "optimizer", "loss", "name", "global_step", *kept}
    step = words.get("global_step")
    is_counted = step is None or facts.kind_of(step) is Kind.STEP
    if len(given) > 2 or set(words) - known or not is_counted or optimizer is None:
        return None
    if not isinstance(loss, cst.Name):
        return None
    rest = [arg for arg in call.args if arg.keyword and arg.keyword.value in kept]
    return Step(place, assign, loss.value, optimizer, rest)


def _makes_ops(line: cst.BaseStatement, facts: Facts) -> bool:
    calls = m.findall(line, m.Call())
    return any(facts.kind_of(call) is Kind.OP for call in calls)  # type: ignore[arg-type]


class _Block:
    """The statements around a step: which build what it needs, and which do not."""

    def __init__(self, body: Sequence[cst.BaseStatement], step: Step, facts: Facts) -> None:
        self._body, self._step, self._facts = body, step, facts
        self._flows = [flow_of(line) for line in body]

    def building(self) -> set[int] | None:
        """The places of the statements that build; None where that is not certain."""
        places = {place for place, line in enumerate(self._body) if self._builds(place, line)}
        before: set[int] = set()
        while places != before:
            before = set(places)
            tainted: set[str] = set()
            for place, flow in enumerate(self._flows):
                if place in places or (flow.reads & tainted and self._can_build(place)):
                    places.add(place)
                    tainted |= flow.writes | (flow.changes & self._local())
            for place, flow in enumerate(self._flows[: self._step.place]):
                if flow.writes & tainted and self._can_build(place):
                    places.add(place)
        fed = any(_is_fed(self._body[place]) for place in places)
        is_found = self._step.loss in self.written(places)
        return places if fed and is_found and self._is_closed(places) else None

    def written(self, places: Iterable[int]) -> set[str]:
        """The names that statements bind."""
        return set[str]().union(*(self._flows[place].writes for place in places))

    def fetched(self) -> list[str]:
        """The names of outputs that a session is asked for."""
        names = [name for line in self._body for name in fetched(line, self._facts)]
        return list(dict.fromkeys(names))

    def _local(self) -> set[str]:
        """Names that the block itself binds."""
        return self.written(range(len(self._body)))

    def _builds(self, place: int, line: cst.BaseStatement) -> bool:
        if not self._can_build(place):
            return False
        names = [self._facts.call(call) for call in m.findall(line, m.Call())]  # type: ignore[arg-type]
        return any(map(_is_of_graph, names)) or _is_fed(line)

    def _can_build(self, place: int) -> bool:
        line, flow = self._body[place], self._flows[place]
        if place == self._step.place or isinstance(line, cst.FunctionDef | cst.ClassDef):
            return False
        if flow.leaves or m.findall(line, m.Import() | m.ImportFrom()):
            return False
        held = {self._facts.kind(node) for node in m.findall(line, m.Name() | m.Attribute())}  # type: ignore[arg-type]
        names = {self._facts.call(call) for call in m.findall(line, m.Call())}  # type: ignore[arg-type]
        uses_sessions = "sessions" in flow.reads and not _is_fed(line)
        return not (held & _RUNS or names & _LOOPS or uses_sessions)

    def _is_closed(self, places: set[int]) -> bool:
        """Whether the function sees what the statements saw, and nothing else needs their names."""
        written = self.written(places)
        first_read: dict[str, int] = {}
        for place in sorted(places):
            flow = self._flows[place]
            if flow.changes - written:
                return False  # what is changed outside would be changed at each trace
            for name in flow.reads - written:
                first_read.setdefault(name, place)
        rebound: set[str] = set()
        for place, flow in enumerate(self._flows):
            if place in places:
                continue
            reads = self._step_reads() if place == self._step.place else flow.reads | flow.changes
            if reads & written - rebound:
                return False
            for name in flow.writes:
                # What is read must not change afterwards; what is bound later, but once.
                if name in first_read and place > first_read[name]:
                    times = sum(name in other.writes for other in self._flows)
                    if times > 1 or not isinstance(self._body[place], cst.SimpleStatementLine):
                        return False
            rebound |= flow.writes
        return True

    def _step_reads(self) -> set[str]:
        parts = (self._step.optimizer, *self._step.rest)
        return set[str]().union(*(flow_of(part).reads for part in parts))


class _Inside(Tracking):
    """What is fed, and learning rates, inside of the function."""

    def __init__(self, facts: Facts, tf: str, tracking: Tracking) -> None:
        super().__init__(tracking.lines, tracking.settled)
        self._facts, self._tf = facts, tf
        self._bound: set[cst.CSTNode] = set()

    def visit_AssignTarget(self, node: cst.AssignTarget) -> None:
        self._bound.add(node.target)

    def visit_Arg(self, node: cst.Arg) -> None:
        if node.keyword is not None:
            self._bound.add(node.keyword)

    def visit_Attribute(self, node: cst.Attribute) -> None:
        self._bound.update((node.attr, node.value))

    def leave_Call(self, original_node: cst.Call, updated_node: cst.Call) -> cst.BaseExpression:
        if dotted(original_node.func) != "sessions.fed":
            return updated_node
        name, *dtypes = (arg.value for arg in original_node.args)
        item = cst.Subscript(cst.Name("batch"), [cst.SubscriptElement(cst.Index(name))])
        if not dtypes:  # it comes out of a loader, as what it is
            return item
        comma = cst.Comma(whitespace_after=cst.SimpleWhitespace(" "))
        cast = cst.Attribute(cst.Name(self._tf), cst.Name("cast"))
        return cst.Call(cast, [cst.Arg(item, comma=comma), cst.Arg(dtypes[0])])

    def leave_Name(self, original_node: cst.Name, updated_node: cst.Name) -> cst.BaseExpression:
        is_rate = self._facts.kind(original_node) is Kind.RATE
        if original_node in self._bound or not is_rate:
            return updated_node
        text = f"{updated_node.value}({self._tf}.train.get_or_create_global_step())"
        return cst.parse_expression(text)


def _is_of_graph(name: str) -> bool:
    if name.startswith(AVERAGE):
        return True
    is_known = name.startswith(("tf.", "slim.", "nets."))
    return is_known and not any(name == host or name.startswith(f"{host}.") for host in _HOST)


def _is_fed(line: cst.CSTNode) -> bool:
    return bool(m.findall(line, m.Call(func=m.Attribute(m.Name("sessions"), m.Name("fed")))))


def _line(statement: cst.BaseSmallStatement) -> cst.SimpleStatementLine:
    return cst.SimpleStatementLine([statement])


def _returned(loss: str, outputs: Sequence[str]) -> cst.BaseExpression:
    if not outputs:
        return cst.Name(loss)
    items = ", ".join(f"{name!r}: {name}" for name in outputs)
    return cst.parse_expression(f"({loss}, {{{items}}})").with_changes(lpar=[], rpar=[])


def _made(step: Step, slim: str) -> cst.Assign:
    """`train_op = slim.learning.create_train_op(compute_loss, optimizer)`."""
    comma = cst.Comma(whitespace_after=cst.SimpleWhitespace(" "))
    args = [cst.Arg(cst.Name(_NAME)), cst.Arg(step.optimizer), *step.rest]
    last = len(args) - 1
    args = [
        arg.with_changes(comma=comma if place < last else cst.MaybeSentinel.DEFAULT)
        for place, arg in enumerate(args)
    ]
    call = cst.Call(cst.parse_expression(f"{slim}.learning.create_train_op"), args)
    return step.assign.with_changes(value=call)
