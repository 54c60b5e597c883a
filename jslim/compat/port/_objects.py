"""What is made beside a session: savers, writers, supervisors."""

from collections.abc import Sequence

import libcst as cst
import libcst.matchers as m

from jslim.compat.port._facts import Facts, Kind, Scope
from jslim.compat.port._names import dotted
from jslim.compat.port._nodes import arg_of, call_of, keywords, plain
from jslim.compat.port._tracking import Tracking

_CHOICES = (
    "slim.get_variables_to_restore", "slim.get_model_variables", "slim.get_trainable_variables",
)  # fmt: skip
IN_INIT = (*_CHOICES, "tf.trainable_variables", "slim.assign_from_checkpoint_fn")
_KEPT_BY_TRAIN = ("train_op", "logdir", "number_of_steps", "log_every_n_steps", "init_fn",
                  "save_summaries_secs", "save_interval_secs", "saver")  # fmt: skip
_KEPT_BY_SUPERVISOR = ("logdir", "init_fn", "saver", "save_model_secs", "summary_op",
                       "save_summaries_secs")  # fmt: skip
_DROPPED_BY_SAVER = ("name", "write_version", "sharded", "allow_empty")


class Objects:
    """Converts the calls that make them; each gives None for what it does not know.

    Args:
      facts: What the names hold.
      tracking: What is known of nodes.

    Attributes:
      chosen: The names of variables that are only given to savers and the like.
    """

    def __init__(self, facts: Facts, tracking: Tracking) -> None:
        self._facts, self._lines, self._settled = facts, tracking.lines, tracking.settled
        self.chosen: set[tuple[Scope, str]] = set()

    def session(self, original: cst.Call, updated: cst.Call) -> cst.Call | None:
        words = keywords(original)
        if not set(words) <= {"config", "graph", "target"} or len(plain(original)) > 1:
            return None
        return call_of("sessions.TrainSession", self.op_here(original))

    def op_here(self, original: cst.CSTNode) -> list[cst.Arg]:
        """The train op that the function has made above, as an argument."""
        facts = self._facts
        line = self._lines.get(original, 0)
        made = [
            text for text in facts.named(Kind.OP)
            if facts.made_in.get((facts.scope, text)) is facts.function
            and self._lines.get(facts.made_by[facts.scope, text][0], line) < line
        ]  # fmt: skip
        if len(made) != 1:
            return []
        batches = self.batches_here(original)
        several = made if batches is None else [made[0], batches]
        return [arg_of(cst.parse_expression(text)) for text in several]

    def batches_here(self, original: cst.CSTNode) -> str | None:
        """The name of the batches that the function has made above."""
        facts = self._facts
        line = self._lines.get(original, 0)
        made = [
            text for text in facts.named(Kind.BATCHES)
            if facts.made_in.get((facts.scope, text)) is facts.function
            and self._lines.get(facts.made_by[facts.scope, text][0], 0) < line
        ]  # fmt: skip
        return made[0] if len(made) == 1 else None

    def saver(self, original: cst.Call, updated: cst.Call) -> cst.Call | None:
        words = keywords(original)
        given = [arg.value for arg in plain(original)]
        if len(given) > 1 or not set(words) <= {"var_list", "max_to_keep", *_DROPPED_BY_SAVER}:
            return None
        args = []
        chosen = words.get("var_list") or (given[0] if given else None)
        if chosen is not None and self._facts.kind_of(chosen) is not Kind.ALL:
            later = self.later(chosen)
            if later is None:
                return None
            args.append(arg_of(later))
        if "max_to_keep" in words:
            args.append(arg_of(words["max_to_keep"], "max_to_keep"))
        return call_of("sessions.Saver", args)

    def later(self, chosen: cst.BaseExpression) -> cst.BaseExpression | None:
        """Variables of a state that is yet to be made, for a choice of those of the graph."""
        name = self._facts.call(chosen)
        if not isinstance(chosen, cst.Call):
            return chosen if (self._facts.scope, dotted(chosen) or "") in self.chosen else None
        if name == "tf.trainable_variables" and not chosen.args:
            return cst.parse_expression("sessions.Later(sessions.get_trainable_variables)")
        if name in _CHOICES:
            self._settled.add(chosen.func)
            return call_of("sessions.Later", [arg_of(chosen.func), *chosen.args])
        return None

    def assign_fn(self, original: cst.Call, updated: cst.Call) -> cst.Call | None:
        given = plain(original)
        words = keywords(original)
        chosen = words.get("var_list") or (given[1].value if len(given) > 1 else None)
        later = self.later(chosen) if chosen is not None else None
        if later is None:
            return None
        args = [
            arg.with_changes(value=later) if arg.value is chosen else arg for arg in original.args
        ]
        return call_of("sessions.assign_from_checkpoint_fn", args)

    def train(self, original: cst.Call, args: Sequence[cst.Arg]) -> cst.Call | None:
        """`sessions.train(train_op, batches, logdir, ...)`, with what is left of the arguments."""
        batches = self.batches_here(original)
        names = [arg.keyword.value if arg.keyword else "" for arg in args]
        if batches is None or not set(names) <= {"", *_KEPT_BY_TRAIN} or not args:
            return None
        if any(arg.star for arg in args) or names.count("") > 2:
            return None
        value = arg_of(cst.Name(batches), None if names[0] == "" else "batches")
        several = [args[0], value.with_changes(whitespace_after_arg=cst.SimpleWhitespace(""))]
        space = args[0].comma
        comma = space if isinstance(space, cst.Comma) else cst.Comma()
        several[1] = several[1].with_changes(comma=comma)
        return cst.Call(cst.parse_expression("sessions.train"), [*several, *args[1:]])

    def in_init(self, original: cst.Call, updated: cst.Call) -> cst.Call:
        """A choice of variables, and what restores it, in a function that gives an `init_fn`."""
        name = self._facts.call(original).rpartition(".")[2]
        name = {"trainable_variables": "get_trainable_variables"}.get(name, name)
        return updated.with_changes(func=cst.parse_expression(f"sessions.{name}"))

    def summaries(
        self, original: cst.SimpleStatementLine, updated: cst.SimpleStatementLine
    ) -> list[cst.SimpleStatementLine] | None:
        """`merged = tf.summary.merge([tf.summary.scalar(...)])`: the calls stand alone."""
        assign = original.body[0]
        made = m.Call(args=[m.Arg(value=m.List())])
        if not m.matches(assign, m.Assign(targets=[m.AssignTarget()], value=made)):
            return None
        assert isinstance(assign, cst.Assign)
        if self._facts.call(assign.value) != "tf.summary.merge":
            return None
        values = [part.value for part in assign.value.args[0].value.elements]  # type: ignore[attr-defined]
        calls = [value for value in values if isinstance(value, cst.Call)]
        if not calls or any(m.findall(value, m.Call()) for value in values if value not in calls):
            return None
        merged = assign.with_changes(value=cst.parse_expression("sessions.SUMMARIES"))
        lines = [cst.SimpleStatementLine([part]) for part in (*map(cst.Expr, calls), merged)]
        lines[0] = lines[0].with_changes(leading_lines=updated.leading_lines)
        for line in lines:
            self._lines[line] = self._lines.get(original, 1)
        return lines

    def supervisor(self, original: cst.Call, updated: cst.Call) -> cst.Call | None:
        words = keywords(updated)
        is_quiet = m.matches(words.get("summary_op", cst.Name("x")), m.Name("None")) or m.matches(
            words.get("save_summaries_secs", cst.Name("x")), m.Integer("0")
        )
        if plain(original) or "logdir" not in words or not is_quiet:
            return None
        kept = [
            arg_of(words[name], name) for name in words
            if name in _KEPT_BY_SUPERVISOR[:4]
        ]  # fmt: skip
        op = self.op_here(original)
        return call_of("sessions.Supervisor", [*op, *kept])

    def writer(self, original: cst.Call, updated: cst.Call) -> cst.Call | None:
        given = plain(updated)
        words = keywords(updated)
        folder = given[0].value if given else words.get("logdir") or words.get("log_dir")
        if folder is None:
            return None
        return call_of("sessions.FileWriter", [arg_of(folder)])

    def summary(self, original: cst.Call, updated: cst.Call) -> cst.BaseExpression | None:
        if any(m.findall(arg.value, m.Call()) for arg in original.args):
            return None  # they record something
        return cst.parse_expression("sessions.SUMMARIES")
