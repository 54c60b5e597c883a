"""What is fetched from a session: names, train ops and functions of the step, nested."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from jslim.compat.tf._rates import GlobalStep
from jslim.core.errors import did_you_mean
from jslim.learning.train_op import TrainOp

SUMMARIES = "summaries"  # what `tf.summary.merge_all()` gave: all summaries of a step
GLOBAL_STEP = "global_step"


def leaves_of(fetches: Any) -> Iterator[Any]:
    if isinstance(fetches, Mapping):
        fetches = list(fetches.values())
    if isinstance(fetches, (list, tuple)):
        for fetch in fetches:
            yield from leaves_of(fetch)
    else:
        yield fetches


def mapped(fetches: Any, value: Callable[[Any], Any]) -> Any:
    if isinstance(fetches, Mapping):
        return {name: mapped(fetch, value) for name, fetch in fetches.items()}
    if isinstance(fetches, (list, tuple)):
        return type(fetches)(mapped(fetch, value) for fetch in fetches)
    return value(fetches)


def value_of(fetch: Any, values: Mapping[str, Any]) -> Any:
    if fetch is None:
        return None
    if isinstance(fetch, TrainOp):
        return values["loss"]
    if isinstance(fetch, GlobalStep):
        return values[GLOBAL_STEP]
    if callable(fetch):
        return fetch(values[GLOBAL_STEP])
    if fetch not in values:
        raise ValueError(
            f"TrainSession.run: the loss function gives no output {fetch!r}"
            f"{did_you_mean(str(fetch), list(values))}; it has {', '.join(values)}; return it from "
            "the loss function: (total_loss, {name: array})"
        )
    return values[fetch]
