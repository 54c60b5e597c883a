"""What the names of a training script hold: sessions, train ops, savers and the like."""

import enum
from collections.abc import Collection

import libcst as cst
import libcst.matchers as m

from jslim.compat.port import _marks
from jslim.compat.port._names import Aliases, dotted
from jslim.compat.port._nodes import keywords, plain


class Kind(enum.Enum):
    """What a name holds, wherever a file assigns it."""

    ALL = "all variables"
    BATCHES = "an iterable of batches"
    CONFIG = "options of a session"
    GRAPH = "a graph"
    INITIALIZER = "an operation that initializes"
    OP = "a train op"
    QUEUES = "a coordinator or its threads"
    RATE = "a learning rate of the step"
    SAVER = "a saver"
    SESSION = "a session"
    STEP = "the global step"
    SUMMARY = "merged summaries"
    SUPERVISOR = "a supervisor"
    VARIABLES = "a choice of variables"
    WRITER = "a writer of summaries"


_OF_CALLS = {
    **dict.fromkeys(("tf.global_variables", "tf.all_variables"), Kind.ALL),
    **dict.fromkeys(("tf.ConfigProto", "tf.GPUOptions", "tf.OptimizerOptions"), Kind.CONFIG),
    "tf.Graph": Kind.GRAPH,
    **dict.fromkeys(
        ("tf.global_variables_initializer", "tf.local_variables_initializer",
         "tf.initialize_all_variables", "tf.initialize_local_variables", "tf.tables_initializer"),
        Kind.INITIALIZER,
    ),
    **dict.fromkeys(
        ("slim.learning.create_train_op", "slim.training.create_train_op", "slim.optimize_loss",
         "tf.contrib.slim.learning.create_train_op", "tf.contrib.layers.optimize_loss"),
        Kind.OP,
    ),
    **dict.fromkeys(("tf.train.Coordinator", "tf.train.start_queue_runners"), Kind.QUEUES),
    "tf.train.Saver": Kind.SAVER,
    **dict.fromkeys(("tf.Session", "tf.InteractiveSession"), Kind.SESSION),
    **dict.fromkeys(("tf.summary.merge_all", "tf.summary.merge", "tf.merge_all_summaries"),
                    Kind.SUMMARY),
    "tf.train.Supervisor": Kind.SUPERVISOR,
    **dict.fromkeys(
        ("slim.get_variables_to_restore", "slim.get_model_variables",
         "slim.get_trainable_variables", "tf.trainable_variables"),
        Kind.VARIABLES,
    ),
    **dict.fromkeys(("tf.summary.FileWriter", "tf.train.SummaryWriter"), Kind.WRITER),
    **{
        f"{root}.{name}": Kind.STEP
        for root in ("tf.train", "slim", "tf.contrib.slim", "tf.contrib.framework")
        for name in ("get_or_create_global_step", "create_global_step", "get_global_step")
    },
    **{
        f"tf.train.{name}": Kind.RATE
        for name in ("exponential_decay", "natural_exp_decay", "inverse_time_decay",
                     "polynomial_decay", "piecewise_constant", "cosine_decay",
                     "cosine_decay_restarts", "linear_cosine_decay")
    },
}  # fmt: skip
LOOPS = ("slim.learning.train", "tf.contrib.slim.learning.train")
_STEP_METHODS = ("minimize", "apply_gradients")


Scope = cst.CSTNode | None  # a class or function of a module; None for the module itself


class Facts(cst.BatchableCSTVisitor):
    """Collects what each name of a file holds, by scope and text: `sess`, `self.train_op`.

    A name that holds things of several kinds has none.

    Args:
      aliases: What the names of the file stand for.
      loaders: The names of functions that give batches.
    """

    def __init__(self, aliases: Aliases, loaders: Collection[str] = ()) -> None:
        self._aliases = aliases
        self._loaders = {*loaders, "loaders.batches"}
        self.scope: Scope = None  # of the statement that is visited or converted
        self.function: cst.FunctionDef | None = None  # the outermost one around it
        self.kinds: dict[tuple[Scope, str], Kind | None] = {}
        # What names of displays are set to, and the names that are set to anything else.
        self.literals: dict[tuple[Scope, str], list[cst.BaseExpression]] = {}
        self.items: dict[tuple[Scope, str], list[tuple[cst.Subscript, cst.BaseExpression]]] = {}
        # Names that a session is given whole, and whether as what is fed.
        self.is_feed: dict[tuple[Scope, str], bool] = {}
        # Of names that hold something: the function, and the expressions.
        self.made_in: dict[tuple[Scope, str], cst.FunctionDef | None] = {}
        self.made_by: dict[tuple[Scope, str], list[cst.BaseExpression]] = {}
        self.others: set[tuple[Scope, str]] = set()
        self.values: dict[tuple[Scope, str], list[cst.BaseExpression]] = {}  # what names are set to
        self.uses: dict[tuple[Scope, str], list[cst.BaseExpression]] = {}  # where names are read
        self.bound: set[str] = set()
        self.defined: set[str] = set()  # functions and classes of the file
        # Of functions: which have train ops, which are given sessions, and what is called with one.
        self._with_ops: set[cst.FunctionDef | None] = set()
        self._given: set[cst.FunctionDef | None] = set()
        self._own: set[cst.FunctionDef | None] = set()
        self._called_with_session: set[str] = set()
        self._loops: list[cst.Call] = []
        # Functions of the file whose result is an `init_fn`, and the calls of them.
        self._init_fns: list[tuple[Scope, cst.BaseExpression]] = []
        self._gives_session: dict[cst.FunctionDef | None, set[str]] = {}  # what each calls so
        self._targets: set[cst.CSTNode] = set()
        self._inside: list[cst.With] = []
        self._depth = 0

    def kind(self, node: cst.BaseExpression) -> Kind | None:
        """What an expression holds, if it is a name."""
        text = dotted(node) or ""
        own = self.kinds.get((self.scope, text))
        return own or self.kinds.get((None, text))

    def named(self, kind: Kind) -> list[str]:
        """The names that hold something of a kind in the scope."""
        return [name for (scope, name), held in self.kinds.items()
                if held is kind and scope is self.scope]  # fmt: skip

    def is_active(self) -> bool:
        """Whether the function around trains, or is given the session of one that does."""
        function = self.function
        trains = self._trains()
        if self.scope not in trains and None not in trains:
            gives = self._gives_session.get(function, set()) & self.defined
            if not trains or not (function in self._given or gives):
                return False
        if function in self._with_ops or function is None:
            return True
        if self._gives_session.get(function, set()) & self.defined:
            return True
        if function in self._given:
            return function.name.value in self._called_with_session
        holds = any(text.startswith("self.") for text in self.named(Kind.SESSION))
        return function in self._own and holds

    def _trains(self) -> set[Scope]:
        return {scope for (scope, _), kind in self.kinds.items() if kind is Kind.OP}

    def displays(self, node: cst.BaseExpression) -> list[cst.BaseExpression]:
        """The displays that a name holds, if it holds nothing else."""
        key = (self.scope, dotted(node) or "")
        return [] if key in self.others else self.literals.get(key, [])

    def init_calls(self) -> dict[cst.BaseExpression, str]:
        """The calls of functions of the file that give an `init_fn`, and their names."""
        found: dict[cst.BaseExpression, str] = {}
        for scope, given in self._init_fns:
            values = (
                self.values.get((scope, given.value), []) if isinstance(given, cst.Name) else []
            )
            for value in [given, *values]:
                name = dotted(value.func) if isinstance(value, cst.Call) else None
                if name in self.defined:
                    found[value] = name or ""
        return found

    def trains_by_loop(self) -> bool:
        """Whether the file calls `slim.learning.train`, which has a loop and a session inside."""
        return bool(self._loops)

    def call(self, node: cst.BaseExpression) -> str:
        """The full name of what an expression calls; empty for anything else."""
        if not isinstance(node, cst.Call):
            return ""
        found = self._aliases.found(dotted(node.func) or "")
        return found[0] if found else ""

    def counts(self, node: cst.BaseExpression) -> bool:
        """Whether an assignment adds 1 to the global step."""
        assert isinstance(node, cst.Call)
        if len(node.args) < 2 or self.kind(node.args[0].value) is not Kind.STEP:
            return False
        value = node.args[1].value
        one = m.Integer("1")
        if self.call(node) == "tf.assign_add":
            return m.matches(value, one)
        return m.matches(value, m.BinaryOperation(operator=m.Add(), right=one)) and (
            dotted(value.left) == dotted(node.args[0].value)  # type: ignore[attr-defined]
        )

    def kind_of(self, node: cst.BaseExpression) -> Kind | None:
        """What an expression gives."""
        if not isinstance(node, cst.Call):
            return self.kind(node)
        name = self.call(node)
        if not name and dotted(node.func) in self._loaders:
            return Kind.BATCHES
        if name == "tf.group":
            kinds = {self.kind_of(arg.value) for arg in node.args if not arg.keyword}
            if Kind.OP in kinds:
                return Kind.OP
            return Kind.INITIALIZER if kinds == {Kind.INITIALIZER} else None
        if name in ("tf.no_op", "tf.identity") and any(map(self._waits_for_op, self._inside)):
            return Kind.OP
        if name:
            return _OF_CALLS.get(name)
        if isinstance(node.func, cst.Attribute):
            method = node.func.attr.value
            if method in _STEP_METHODS:
                return Kind.OP
            if method == "managed_session" and self.kind(node.func.value) is Kind.SUPERVISOR:
                return Kind.SESSION
            if method == "as_default":
                return self.kind_of(node.func.value)
        return None

    def _waits_for_op(self, node: cst.With) -> bool:
        names = m.Name() | m.Attribute()
        return any(
            self.call(item.item) == "tf.control_dependencies"
            and any(self.kind(found) is Kind.OP  # type: ignore[arg-type]
                    for found in m.findall(item.item, names))
            for item in node.items
        )  # fmt: skip

    # Where one is.

    def visit_FunctionDef(self, node: cst.FunctionDef) -> None:
        self.enter(node)
        self.bound.add(node.name.value)
        self.defined.add(node.name.value)

    def leave_FunctionDef(self, original_node: cst.FunctionDef) -> None:
        self.exit(original_node)

    def visit_ClassDef(self, node: cst.ClassDef) -> None:
        self.enter(node)
        self.defined.add(node.name.value)

    def leave_ClassDef(self, original_node: cst.ClassDef) -> None:
        self.exit(original_node)

    def enter(self, node: cst.FunctionDef | cst.ClassDef) -> None:
        """Goes into a function or class."""
        if self.scope is None:
            self.scope = node
        if isinstance(node, cst.FunctionDef) and self.function is None:
            self.function = node

    def exit(self, node: cst.FunctionDef | cst.ClassDef) -> None:
        """Comes out of it."""
        if self.scope is node:
            self.scope = None
        if self.function is node:
            self.function = None

    # What names hold.

    def visit_With(self, node: cst.With) -> None:
        self._inside.append(node)
        for item in node.items:
            if item.asname:
                self._set(item.asname.name, item.item)

    def leave_With(self, original_node: cst.With) -> None:
        self._inside.pop()

    def visit_Param(self, node: cst.Param) -> None:
        name = node.name.value
        self.bound.add(name)
        self.others.add((self.scope, name))
        self._targets.add(node.name)
        if name in _marks.SESSIONS:
            self._hold(name, Kind.SESSION)
            self._given.add(self.function)

    def visit_AugAssign(self, node: cst.AugAssign) -> None:
        self._other(dotted(node.target) or "", node.value)

    def visit_For(self, node: cst.For) -> None:
        for found in m.findall(node.target, m.Name()):
            self._other(found.value, node.iter)  # type: ignore[attr-defined]

    def visit_Assign(self, node: cst.Assign) -> None:
        for target in node.targets:
            self._set(target.target, node.value)

    def visit_Call(self, node: cst.Call) -> None:
        if isinstance(node.func, cst.Attribute) and node.func.attr.value in ("run", "eval"):
            for place, arg in enumerate(node.args):
                word = arg.keyword.value if arg.keyword else ("fetches", "feed_dict")[place > 0]
                if (text := dotted(arg.value)) and word in ("fetches", "feed_dict"):
                    self.is_feed[self.scope, text] = word == "feed_dict"
        if self.call(node) in LOOPS:
            self._loops.append(node)
            given = keywords(node).get("init_fn")
            if given is not None:
                self._init_fns.append((self.scope, given))
        if self.kind_of(node) is Kind.OP:
            self._with_ops.add(self.function)
        if any(self.kind(arg.value) is Kind.SESSION for arg in node.args):
            name = (dotted(node.func) or "").rpartition(".")[2]
            self._called_with_session.add(name)
            self._gives_session.setdefault(self.function, set()).add(name)

    def _set(self, target: cst.BaseExpression, value: cst.BaseExpression) -> None:
        text = dotted(target)
        if isinstance(target, cst.Subscript) and (name := dotted(target.value)):
            self.items.setdefault((self.scope, name), []).append((target, value))
        if text is None:
            if isinstance(target, cst.Tuple | cst.List):
                for place, element in enumerate(target.elements):
                    name = dotted(element.value) or ""
                    self._other(name, value)
                    if not place and self.kind_of(value) is Kind.BATCHES:
                        self._made(name, Kind.BATCHES, value)
            return
        self.values.setdefault((self.scope, text), []).append(value)
        self._targets.add(target)
        self.bound.add(text)
        kind = self.kind_of(value)
        called = self.call(value)
        if is_step(value, text, called):
            kind = Kind.STEP
        elif kind is None and isinstance(value, cst.Call) and text.endswith("train_op"):
            kind = Kind.OP
        elif called in ("tf.assign", "tf.assign_add") and self.counts(value):
            kind = Kind.STEP
        self._made(text, kind, value)
        if isinstance(value, cst.List | cst.Tuple | cst.Dict):
            self.literals.setdefault((self.scope, text), []).append(value)
        else:
            self.others.add((self.scope, text))

    def _made(self, text: str, kind: Kind | None, value: cst.BaseExpression) -> None:
        self._hold(text, kind)
        if kind is not None:
            self.made_in[self.scope, text] = self.function
            self.made_by.setdefault((self.scope, text), []).append(value)

    def _other(self, text: str, value: cst.BaseExpression) -> None:
        self.others.add((self.scope, text))
        self.values.setdefault((self.scope, text), []).append(value)

    def _hold(self, name: str, kind: Kind | None) -> None:
        key = (self.scope, name)
        self.kinds[key] = kind if self.kinds.get(key, kind) is kind else None

    def visit_Attribute(self, node: cst.Attribute) -> None:
        self._use(node)

    def visit_Name(self, node: cst.Name) -> None:
        self._use(node)

    def _use(self, node: cst.Name | cst.Attribute) -> None:
        text = dotted(node)
        if text is None or node in self._targets:
            return
        self.uses.setdefault((self.scope, text), []).append(node)
        kind = self.kind(node)
        if kind is Kind.OP:
            self._with_ops.add(self.function)
        elif kind is Kind.SESSION:
            self._own.add(self.function)


def is_step(node: cst.BaseExpression, target: str, called: str) -> bool:
    """Whether an expression makes the variable of the global step.

    Args:
      node: The expression.
      target: The name that is to hold it.
      called: The full name of what is called.
    """
    if called not in ("tf.Variable", "tf.get_variable") or not isinstance(node, cst.Call):
        return False
    words = keywords(node)
    name = words.get("name")
    if called == "tf.get_variable" and plain(node):
        name = plain(node)[0].value
    is_named = isinstance(name, cst.SimpleString) and name.evaluated_value == "global_step"
    is_called_so = name is None and target.rpartition(".")[2] == "global_step"
    return (is_named or is_called_so) and m.matches(
        words.get("trainable", cst.Name("True")), m.Name("False")
    )
