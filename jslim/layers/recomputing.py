"""Less memory for more time, by the names of scopes: which ops run again for the backward pass."""

import contextlib
import re
from collections.abc import Callable, Iterator
from typing import Any

from jslim import model
from jslim._around_ops import around_ops
from jslim._errors import ScopeError, did_you_mean
from jslim.layers.reversible import recompute_grad


@contextlib.contextmanager
def recompute_scopes(*patterns: str) -> Iterator[None]:
    """Within it, ops in matching scopes keep no activations, but run again for the gradients.

        with slim.recompute_scopes('resnet_v1_50/block.*/unit_.*'):
            logits, end_points = resnet_v1.resnet_v1_50(images, 1000, is_training=True)

    Every op that an `arg_scope` can set is looked at, layers as well as the units that networks are
    made of, such as residual units and MobileNet's blocks. Its name is that of the scope that it is
    called in with its own `scope`, or else the name of its function:
    `resnet_v1_50/block1/unit_1/bottleneck`. Of ops within each other the outermost that matches
    counts. Values and gradients stay what they are; see `recompute_grad`.

    TF-Slim has `recompute_grad` alone.

    Args:
      *patterns: Regular expressions, anchored at the start of the name.

    Raises:
      ScopeError: At the end, if a pattern has matched nothing.
    """
    compiled = {pattern: re.compile(pattern) for pattern in patterns}
    unused = set(patterns)
    seen: list[str] = []

    def around(op: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        scope = kwargs.get("scope")
        own = scope if isinstance(scope, str) else op.__name__
        name = "/".join(filter(None, (model.get_variable_scope().name, own)))
        seen.append(name)
        matching = {pattern for pattern, one in compiled.items() if one.match(name)}
        unused.difference_update(matching)
        if not matching or not args or not hasattr(args[0], "dtype"):
            return op(*args, **kwargs)
        with around_ops(None):
            return recompute_grad(lambda inputs: op(inputs, *args[1:], **kwargs))(args[0])

    with around_ops(around):
        yield
    if unused:
        pattern = sorted(unused)[0]
        raise ScopeError(
            f"recompute_scopes: the pattern {pattern!r} matches no op; patterns are anchored at "
            f"the start of the name{did_you_mean(pattern, seen)}"
        )
