"""Less memory for more time: functions and ops that run again for the backward pass."""

import contextlib
import functools
import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import jax
from jax.extend.core import Primitive

from jslim.core import checks
from jslim.core.access import is_initializing, is_running
from jslim.core.context import changed_context, context
from jslim.core.errors import ScopeError, did_you_mean
from jslim.core.pure import Pure, Tracing
from jslim.core.scopes import get_variable_scope
from jslim.core.selection import compile_pattern
from jslim.layers._lowering._barriers import after, together
from jslim.layers._lowering._primitives import is_own
from jslim.layers.reversible import Function, Tree


def recompute_grad(
    fn: Function | None = None, use_data_dep: bool | None = None, tupleize_grads: bool = False
) -> Function:
    """Wraps a function so that its activations are computed again for the backward pass.

    `@slim.recompute_grad` or `@slim.recompute_grad(tupleize_grads=True)`. It does what
    `jax.checkpoint` does, in a model function: layers within keep their names, and the values and
    gradients are those of `fn`. Forward-mode differentiation is not possible. Outside a model
    function it is `jax.checkpoint` itself.

    Differs from TF-Slim: `fn` may close over arrays, which have gradients too. It runs once as
    Python: batch statistics are updated once, and dropout has one mask. `is_recomputing` is given
    if `fn` takes it, and is always False, since nothing has to be left out.

    Args:
      fn: A function of arrays, all positional, that returns arrays.
      use_data_dep: Whether the inputs of the second computation wait for the gradients by a branch
        that XLA cannot foresee, so that XLA cannot merge it with the first. Default: on the CPU
        only. Elsewhere a barrier does the same; the CPU backend drops barriers, and there
        `jax.checkpoint` saves no memory.
      tupleize_grads: Whether none of the gradients is used before all are computed.

    Returns:
      The wrapped function; without `fn` a decorator.

    Raises:
      TypeError: `fn` is not a function.
      ValueError: An argument of the wrapped function is not an array.
      ScopeError: It is called inside a JAX transformation that began in the model function.

    Source: Chen et al., Training Deep Nets with Sublinear Memory Cost (2016),
    https://arxiv.org/abs/1604.06174

    >>> jax.grad(recompute_grad(lambda x: x**3))(2.0).item()
    12.0
    """
    if fn is None:
        return functools.partial(
            recompute_grad, use_data_dep=use_data_dep, tupleize_grads=tupleize_grads
        )
    checks.function("recompute_grad", "fn", fn)
    name = getattr(fn, "__name__", type(fn).__name__)
    takes_it = "is_recomputing" in inspect.signature(fn).parameters
    call = functools.partial(fn, is_recomputing=False) if takes_it else fn

    @functools.wraps(fn)
    def wrapped(*args: Tree) -> Tree:
        for index, arg in enumerate(args):
            if not hasattr(arg, "shape") or not hasattr(arg, "dtype"):
                raise ValueError(
                    f"recompute_grad: argument {index} of {name} must be an array, got "
                    f"{type(arg).__name__}; fix other arguments with functools.partial first"
                )
        if not is_running():
            return jax.checkpoint(call)(*args)
        if is_initializing():
            return call(*args)
        tracing = Tracing(f"recompute_grad of {name}")
        pure = tracing.trace(call, *args)
        output, left = _recomputing(pure, use_data_dep, tupleize_grads)(pure.consts, *args)
        tracing.leave(pure, left)
        return output

    return wrapped


def _recomputing(pure: Pure, use_data_dep: bool | None, tupleize_grads: bool) -> Function:
    """The function as one whose gradient needs its inputs and no activations."""

    def forward(*inputs: Tree) -> Tree:
        return pure(*inputs), inputs

    def backward(inputs: Tree, cotangents: Tree) -> Tree:
        # To be computed again only when the gradients are there: otherwise XLA may begin with all
        # such functions at once, and hold their results.
        (consts, *args), cotangents = together((inputs, cotangents))
        args = after(cotangents[0], args, use_data_dep)
        gradients = jax.vjp(pure, consts, *args)[1](cotangents)
        return together(gradients) if tupleize_grads else gradients

    function = jax.custom_vjp(lambda *inputs: pure(*inputs))
    function.defvjp(forward, backward)
    return function


# Primitives whose results cost more to compute again than to keep, or are small.
_COSTLY = ("conv_general_dilated", "dot_general", "ragged_dot_general", "gather", "sort", "top_k")
_SMALL = ("reduce_", "arg", "cum", "psum", "all_", "sharding_constraint")


def recompute_elementwise(fn: Function) -> Function:
    """Wraps a function so that its gradient keeps the results of convolutions, products and sums.

    What lies between them, such as batch normalization, activations and residual additions, is
    computed again: its activations are not kept. It is `jax.checkpoint` with that policy; values
    and gradients do not change. On a CPU XLA drops the barriers, and saves no memory.

    Args:
      fn: A pure function of arrays.
    """

    def is_kept(primitive: Primitive, *_: object, **__: object) -> bool:
        name = primitive.name
        return is_own(primitive) or name in _COSTLY or name.startswith(_SMALL)

    return jax.checkpoint(fn, policy=is_kept)


# The patterns in force, with one of them that has matched. A function that JAX has traced before is
# not traced again, and its ops are not seen then.
_MATCHED: set[tuple[tuple[str, ...], str]] = set()


@dataclass(frozen=True)
class _Recompute:
    """Calls the ops within `recompute_scopes`."""

    patterns: tuple[str, ...]
    seen: list[str] = field(compare=False)  # the names of the ops that were called

    def __call__(
        self, op: Function, args: tuple[Tree, ...], kwargs: dict[str, object], /
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

    The patterns are matched with the names of all ops that an `arg_scope` can set: layers, and the
    units of networks, such as residual units and MobileNet's blocks. The name of an op is the scope
    around it with its own `scope`, or with the name of its function if it has none:
    `resnet_v1_50/block1/unit_1/bottleneck`. If nested ops match, the outermost runs again as a
    whole. Values and gradients do not change; see `recompute_grad`.

    A jitted function is traced again for other patterns. Nested blocks add their patterns.

    TF-Slim has only `recompute_grad`.

    Args:
      *patterns: Regular expressions, anchored at the start of the name.

    Raises:
      ScopeError: A pattern is not a regular expression. At the end: a pattern has matched no op,
        neither now nor earlier under the same patterns.
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
