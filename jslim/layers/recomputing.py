"""Less memory for more time, by the names of scopes: which ops run again for the backward pass."""

import contextlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from jslim.core.access import is_running
from jslim.core.context import changed_context, context
from jslim.core.errors import ScopeError, did_you_mean
from jslim.core.scopes import get_variable_scope
from jslim.core.selection import compile_pattern
from jslim.layers.reversible import recompute_grad

# The patterns in force, with the one of them that matched. A function that JAX has traced before
# is not traced again, and then its ops are not seen.
_MATCHED: set[tuple[tuple[str, ...], str]] = set()


@dataclass(frozen=True)
class _Recompute:
    """Calls the ops within `recompute_scopes`."""

    patterns: tuple[str, ...]
    seen: list[str] = field(compare=False)  # the names of the ops that were called

    def __call__(
        self, op: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, object], /
    ) -> object:
        scope = kwargs.get("scope")
        own = scope if isinstance(scope, str) else op.__name__
        around = get_variable_scope().name if is_running() else ""
        name = "/".join(filter(None, (around, own)))
        self.seen.append(name)
        matching = [pattern for pattern in self.patterns if re.match(pattern, name)]
        _MATCHED.update((self.patterns, pattern) for pattern in matching)
        if not matching or not args or not hasattr(args[0], "dtype"):
            return op(*args, **kwargs)
        with changed_context(around_ops=None):
            return recompute_grad(lambda inputs: op(inputs, *args[1:], **kwargs))(args[0])


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

    A jitted function is traced again where the patterns are others. Within each other, all of the
    patterns count.

    TF-Slim has `recompute_grad` alone.

    Args:
      *patterns: Regular expressions, anchored at the start of the name.

    Raises:
      ScopeError: One is not a regular expression; at the end, if one has matched none of the ops
        that were called, neither now nor under the same patterns before.
    """
    for pattern in patterns:
        compile_pattern("recompute_scopes", pattern)
    around = context().around_ops
    outer = around.patterns if isinstance(around, _Recompute) else ()
    recompute = _Recompute(outer + patterns, [])
    with changed_context(around_ops=recompute):
        yield
    if isinstance(around, _Recompute):
        around.seen.extend(recompute.seen)
        _MATCHED.update((outer, p) for p in outer if (recompute.patterns, p) in _MATCHED)
    unused = [p for p in patterns if (recompute.patterns, p) not in _MATCHED]
    if unused and recompute.seen:
        raise ScopeError(
            f"recompute_scopes: the pattern {unused[0]!r} matches no op; patterns are anchored at "
            f"the start of the name{did_you_mean(unused[0], recompute.seen)}"
        )
