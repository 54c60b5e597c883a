"""Towers: gradients of parts of a batch that are averaged are those of the mean of the losses.

for i in range(num_gpus):
    ...
    grads = opt.compute_gradients(loss)
    tower_grads.append(grads)                    tower_grads.append(loss)
grads = average_gradients(tower_grads)           mean_loss = tf.reduce_mean(tower_grads)
op = opt.apply_gradients(grads, global_step)     op = opt.minimize(mean_loss, ...)
"""

from collections.abc import Sequence
from typing import NamedTuple

import libcst as cst
import libcst.matchers as m

from jslim.compat.port._facts import Facts, Kind
from jslim.compat.port._names import dotted
from jslim.compat.port._nodes import arg_of, call_of, keywords, plain
from jslim.compat.port._tracking import Tracking

_MEAN = "mean_loss"


class Averaged(NamedTuple):
    """The statements that average gradients in a block.

    Attributes:
      towers: The name of the list of gradients.
      gradients: The name of the gradients of one tower.
      loss: The name of its loss.
      mean: The place of the call of `average_gradients`.
      apply: The place of that of `apply_gradients`.
      op: The name of what it gives.
    """

    towers: str
    gradients: str
    loss: str
    mean: int
    apply: int
    op: str


def with_mean_loss(
    body: Sequence[cst.BaseStatement], facts: Facts, tf: str | None, tracking: Tracking
) -> list[cst.BaseStatement] | None:
    """A block with a mean of losses in place of one of gradients; None if it has none."""
    found = _averaged(body, facts)
    if found is None or tf is None or _MEAN in facts.bound:
        return None
    new: list[cst.BaseStatement] = []
    for place, line in enumerate(body):
        if place == found.mean:
            value = call_of(f"{tf}.reduce_mean", [arg_of(cst.Name(found.towers))])
            new.append(_assigned(line, cst.Name(_MEAN), value))
        elif place == found.apply:
            new.append(_minimized(line))
        elif _waits_for(line, found.op, facts):
            assert isinstance(line, cst.With)
            inner = line.body.body[0]
            target = inner.body[0].targets[0].target  # type: ignore[union-attr]
            made = _assigned(inner, target, cst.Name(found.op))  # type: ignore[arg-type]
            new.append(made.with_changes(leading_lines=line.leading_lines))
        else:
            changed = line.visit(_Losses(found, tracking))
            assert isinstance(changed, cst.BaseStatement)
            new.append(changed)
    return new


def _averaged(body: Sequence[cst.BaseStatement], facts: Facts) -> Averaged | None:
    computed = [call for line in body for call in _assigns(line, "compute_gradients")]
    averaged = {place: found for place, line in enumerate(body) for found in _top(line)}
    means = {
        place: found for place, found in averaged.items()
        if m.matches(found.value, m.Call(func=m.Name("average_gradients"), args=[m.Arg()]))
    }  # fmt: skip
    applied = {
        place: found for place, found in averaged.items()
        if m.matches(found.value, m.Call(func=m.Attribute(attr=m.Name("apply_gradients"))))
    }  # fmt: skip
    if not len(computed) == len(means) == len(applied) == 1:
        return None
    ((mean, average),), ((apply, application),) = means.items(), applied.items()
    gradients, loss = _names(computed[0].targets[0].target, computed[0].value)
    mean_name, towers = _names(average.targets[0].target, average.value)
    op, given = _names(application.targets[0].target, application.value)
    optimizers = {dotted(found.value.func.value) for found in (computed[0], application)}  # type: ignore[attr-defined]
    words = keywords(application.value)  # type: ignore[arg-type]
    step = words.get("global_step")
    is_counted = step is None or facts.kind_of(step) is Kind.STEP
    if given != mean_name or len(optimizers) > 1 or set(words) - {"global_step"} or not is_counted:
        return None
    if gradients is None or loss is None or towers is None or op is None:
        return None
    keys = [(facts.scope, name or "") for name in (gradients, towers, mean_name)]
    uses = {name: len(facts.uses.get(key, ())) for key, name in zip(keys, "gtm", strict=True)}
    # The gradients are given on, and to nothing else.
    same = gradients == mean_name
    if uses["t"] != 2 or uses["g"] != (2 if same else 1) or uses["m"] != (2 if same else 1):
        return None
    return Averaged(towers, gradients, loss, mean, apply, op)


def _assigns(line: cst.CSTNode, method: str) -> list[cst.Assign]:
    pattern = m.Assign(
        targets=[m.AssignTarget()],
        value=m.Call(func=m.Attribute(attr=m.Name(method)), args=[m.Arg(keyword=None)]),
    )
    return list(m.findall(line, pattern))  # type: ignore[arg-type]


def _top(line: cst.BaseStatement) -> list[cst.Assign]:
    """The assignment that a statement of one line is."""
    if not isinstance(line, cst.SimpleStatementLine) or len(line.body) != 1:
        return []
    (assign,) = line.body
    return [assign] if isinstance(assign, cst.Assign) and len(assign.targets) == 1 else []


def _names(target: cst.BaseExpression, call: cst.BaseExpression) -> tuple[str | None, str | None]:
    """The names of a target and of the first argument."""
    assert isinstance(call, cst.Call)
    given = plain(call)
    first = given[0].value if given else None
    return (
        target.value if isinstance(target, cst.Name) else None,
        first.value if isinstance(first, cst.Name) else None,
    )


def _assigned(
    line: cst.BaseStatement, target: cst.BaseAssignTargetExpression, value: cst.BaseExpression
) -> cst.SimpleStatementLine:
    assert isinstance(line, cst.SimpleStatementLine)
    return line.with_changes(body=[cst.Assign([cst.AssignTarget(target)], value)])


def _minimized(line: cst.BaseStatement) -> cst.BaseStatement:
    assert isinstance(line, cst.SimpleStatementLine)
    (assign,) = line.body
    assert isinstance(assign, cst.Assign)
    call = assign.value
    assert isinstance(call, cst.Call)
    assert isinstance(call.func, cst.Attribute)
    args = [call.args[0].with_changes(value=cst.Name(_MEAN)), *call.args[1:]]
    func = call.func.with_changes(attr=cst.Name("minimize"))
    new = assign.with_changes(value=call.with_changes(func=func, args=args))
    return line.with_changes(body=[new])


def _waits_for(line: cst.BaseStatement, op: str, facts: Facts) -> bool:
    """Whether it is `with tf.control_dependencies([op, ...]): train_op = tf.no_op()`."""
    if not isinstance(line, cst.With) or not isinstance(line.body, cst.IndentedBlock):
        return False
    if [facts.call(item.item) for item in line.items] != ["tf.control_dependencies"]:
        return False
    names = {name.value for name in m.findall(line.items[0], m.Name())}  # type: ignore[attr-defined]
    inside = [found for part in line.body.body for found in _top(part)]
    is_one = len(line.body.body) == len(inside) == 1
    return op in names and is_one and facts.call(inside[0].value) == "tf.no_op"


class _Losses(Tracking):
    """Collects losses where gradients were collected."""

    def __init__(self, found: Averaged, tracking: Tracking) -> None:
        super().__init__(tracking.lines, tracking.settled)
        self._found = found

    def leave_SimpleStatementLine(
        self, original_node: cst.SimpleStatementLine, updated_node: cst.SimpleStatementLine
    ) -> cst.SimpleStatementLine | cst.RemovalSentinel:
        if _assigns(original_node, "compute_gradients"):
            return cst.RemoveFromParent()
        return updated_node

    def leave_Call(self, original_node: cst.Call, updated_node: cst.Call) -> cst.Call:
        if dotted(original_node.func) != f"{self._found.towers}.append":
            return updated_node
        return updated_node.with_changes(args=[arg_of(cst.Name(self._found.loss))])
