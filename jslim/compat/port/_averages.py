"""Moving averages of all variables: `create_train_op(..., moving_average_decay=d)`."""

from collections.abc import Sequence
from typing import NamedTuple

import libcst as cst
import libcst.matchers as m

from jslim.compat.port._facts import Facts, Kind
from jslim.compat.port._names import dotted
from jslim.compat.port._nodes import arg_of, plain

AVERAGE = "tf.train.ExponentialMovingAverage"


class Averages(NamedTuple):
    """Moving averages of all variables: the places of what makes them, and arguments for them."""

    places: set[int]
    args: list[cst.Arg]


def averages_of(
    body: Sequence[cst.BaseStatement], places: set[int], facts: Facts
) -> Averages | None:
    """`average = tf.train.ExponentialMovingAverage(d, step)`, `op = average.apply(...)`.

    None where variables are averaged in another way: inside of the function they are those before
    the step.
    """
    inside = {
        place for place in places if m.findall(body[place], m.Attribute(attr=m.Name("apply")))
    }
    if not inside:
        return Averages(set(), [])
    made: dict[str | None, tuple[int, cst.Call]] = {}
    for place in places:
        line = body[place]
        value = line.body[0].value if _is_assign(line) else None  # type: ignore[attr-defined]
        if value is not None and facts.call(value) == AVERAGE:
            made[dotted(line.body[0].targets[0].target)] = (place, value)  # type: ignore[attr-defined]
    found = [place for place in inside if _is_assign(body[place])]
    if len(made) != 1 or len(inside) != 1 or len(found) != 1:
        return None
    ((name, (origin, call)),) = made.items()
    applied = body[found[0]].body[0].value  # type: ignore[attr-defined]
    all_variables = m.Call(args=[m.Arg(value=m.Call(args=[]))])
    given = plain(call)
    is_known = (
        m.matches(applied, all_variables)
        and dotted(applied.func) == f"{name}.apply"
        and facts.call(applied.args[0].value) == "tf.trainable_variables"
        and len(given) == len(call.args) == 2
        and facts.kind_of(given[1].value) is Kind.STEP
        and len(facts.uses.get((facts.scope, name or ""), ())) == 1
    )
    if not is_known:
        return None
    word = arg_of(given[0].value, "moving_average_decay")
    return Averages({origin, found[0]}, [word])


def _is_assign(line: cst.BaseStatement) -> bool:
    one = m.SimpleStatementLine(body=[m.Assign(targets=[m.AssignTarget()])])
    return m.matches(line, one)
