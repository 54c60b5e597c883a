"""What a session needed and a train op does not: options, initializers, queues, graphs."""

import libcst as cst
import libcst.matchers as m

from jslim.compat.port._facts import LOOPS, Facts, Kind, Scope
from jslim.compat.port._names import dotted

NO_SESSION = "the state is made by the first step"
REASONS = {
    Kind.ALL: "a saver takes all variables by itself",
    Kind.CONFIG: "there are no options of a session",
    Kind.GRAPH: "there is no graph",
    Kind.INITIALIZER: NO_SESSION,
    Kind.QUEUES: "there are no queues",
}
QUEUE_RUNNERS = ("slim.queues.QueueRunners", "tf.contrib.slim.queues.QueueRunners")
# Arguments of `slim.learning.train` about sessions, graphs and parameter servers.
NO_LOOP_ARGUMENT = "there are no sessions, graphs and parameter servers"
_OF_SESSIONS = (
    "master", "is_chief", "graph", "global_step", "session_config", "session_wrapper",
    "startup_delay_steps", "init_op", "init_feed_dict", "local_init_op", "ready_op",
)  # fmt: skip


def is_of_session(arg: cst.Arg, facts: Facts) -> bool:
    """Whether an argument of `slim.learning.train` has no counterpart, and does nothing here."""
    word = arg.keyword.value if arg.keyword else ""
    if word == "summary_op":  # None would write none
        return facts.kind_of(arg.value) is Kind.SUMMARY
    return word in _OF_SESSIONS


class Drops(cst.CSTVisitor):
    """Finds statements and items of `with` that have no counterpart, of which nothing is left."""

    def __init__(self, facts: Facts) -> None:
        super().__init__()
        self._facts = facts
        # What may go, and the name that it is about.
        self._owners: dict[cst.CSTNode, tuple[Scope, str | None]] = {}
        self._without: set[cst.CSTNode] = set()  # names in arguments that go in any case
        self.chosen: set[cst.CSTNode] = set()  # variables that are given to savers

    def decided(self) -> set[cst.CSTNode]:
        """The statements and items to drop."""
        gone, before = set(self._owners), -1
        while len(gone) != before:
            before = len(gone)
            without = self._without.union(*(_names_in(node) for node in gone))
            gone = {node for node in gone if self._is_gone(*self._owners[node], without)}
        return gone

    def _is_gone(self, scope: Scope, text: str | None, without: set[cst.CSTNode]) -> bool:
        """Whether all uses of a name go."""
        return text is None or all(
            node in without
            for (where, used), nodes in self._facts.uses.items()
            if where is scope and (used == text or used.startswith(f"{text}."))
            for node in nodes
        )

    def visit_FunctionDef(self, node: cst.FunctionDef) -> None:
        self._facts.enter(node)

    def leave_FunctionDef(self, original_node: cst.FunctionDef) -> None:
        self._facts.exit(original_node)

    def visit_ClassDef(self, node: cst.ClassDef) -> None:
        self._facts.enter(node)

    def leave_ClassDef(self, original_node: cst.ClassDef) -> None:
        self._facts.exit(original_node)

    def visit_SimpleStatementLine(self, node: cst.SimpleStatementLine) -> None:
        if not self._facts.is_active():
            return
        found = self.about(node)
        if found is not None:
            self._owners[node] = (self._facts.scope, found[2])

    def about(self, node: cst.SimpleStatementLine) -> tuple[Kind, str, str | None] | None:
        """Why a statement can go: the kind, what to call it, and the name that it is about."""
        if len(node.body) != 1:
            return None
        (small,) = node.body
        facts = self._facts
        if isinstance(small, cst.Assign) and len(small.targets) == 1:
            target, kind = small.targets[0].target, facts.kind_of(small.value)
            text = dotted(target)
            if text is None:
                return None
            if isinstance(small.value, cst.Call) and kind in REASONS and facts.kind(target) is kind:
                return kind, facts.call(small.value) or text, text
            root = text.partition(".")[0]
            if facts.kind(cst.Name(root)) is Kind.CONFIG and root != text:
                return Kind.CONFIG, "tf.ConfigProto", root
            return None
        if not isinstance(small, cst.Expr) or not isinstance(small.value, cst.Call):
            return None
        call = small.value
        if facts.kind_of(call) is Kind.QUEUES:
            return Kind.QUEUES, facts.call(call), None
        if not isinstance(call.func, cst.Attribute):
            return None
        held, method = facts.kind(call.func.value), call.func.attr.value
        if held is Kind.QUEUES and method in ("join", "request_stop"):
            return Kind.QUEUES, f"coord.{method}", dotted(call.func.value)
        if held is Kind.WRITER and method == "add_graph":
            return Kind.GRAPH, ".add_graph", None
        if held is Kind.SESSION and method == "run" and len(call.args) == 1:
            value = call.args[0].value
            several = value.elements if isinstance(value, cst.List | cst.Tuple) else [call.args[0]]
            if all(facts.kind_of(part.value) is Kind.INITIALIZER for part in several):
                return Kind.INITIALIZER, "tf.global_variables_initializer", None
        text = dotted(call.func) or ""
        if method == "finalize" and (
            text.endswith(".graph.finalize")
            or facts.call(call.func.value) == "tf.get_default_graph"
        ):
            return Kind.GRAPH, ".finalize", None
        return None

    def visit_With(self, node: cst.With) -> None:
        if not self._facts.is_active():
            return
        for item in node.items:
            call = item.item
            held = self._facts.kind_of(call)
            if self._facts.call(call) in QUEUE_RUNNERS:
                self._owners[item] = (self._facts.scope, None)
                continue
            is_entered = m.matches(call, m.Call(func=m.Attribute(attr=m.Name("as_default"))))
            if not is_entered or held not in (Kind.GRAPH, Kind.SESSION):
                continue
            assert isinstance(call, cst.Call)
            assert isinstance(call.func, cst.Attribute)
            is_made_here = isinstance(call.func.value, cst.Call)
            if held is Kind.SESSION and is_made_here:
                continue
            name = dotted(item.asname.name) if item.asname else None
            owner = name or (None if is_made_here else dotted(call.func.value))
            if held is Kind.SESSION:
                owner = name
            self._owners[item] = (self._facts.scope, owner)

    def visit_Call(self, node: cst.Call) -> None:
        if not self._facts.is_active():
            return
        name = self._facts.call(node)
        if name in LOOPS:
            for arg in node.args:
                if is_of_session(arg, self._facts):
                    self._add(arg)
        if name in ("tf.Session", "tf.InteractiveSession", "tf.train.Supervisor"):
            for arg in node.args:
                if arg.keyword and arg.keyword.value in ("config", "graph", "target"):
                    self._add(arg)
        elif name in ("tf.summary.FileWriter", "tf.train.SummaryWriter"):
            for arg in node.args[1:]:
                self._add(arg)
        elif name in ("tf.train.Saver", "slim.assign_from_checkpoint_fn"):
            self.chosen.update(arg.value for arg in node.args)
            for arg in node.args:
                if self._facts.kind(arg.value) is Kind.ALL:
                    self._add(arg)
        elif isinstance(node.func, cst.Attribute) and node.func.attr.value == "managed_session":
            for arg in node.args:
                self._add(arg)

    def _add(self, node: cst.CSTNode) -> None:
        self._without |= _names_in(node)


def _names_in(node: cst.CSTNode) -> set[cst.CSTNode]:
    return set(m.findall(node, m.Name() | m.Attribute()))
