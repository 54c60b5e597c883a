"""Activations that are not kept for the backward pass: reversible layers, and recomputing.

Both trace the functions they are given once, as pure functions of the arrays and variables they
use: a moving statistic moves once, a regularizer counts once, and the backward pass sees the
dropout masks of the forward one. Losses, end points and summaries made within leave as usual.
"""

import contextlib
import functools
import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike

from jslim.core import checks
from jslim.core.access import frame, is_initializing, is_running
from jslim.core.names import AUTO_REUSE, Reuse
from jslim.core.pure import Pure, Tracing
from jslim.core.scopes import variable_scope
from jslim.layers._common import as_floating
from jslim.layers._lowering import on_platform

Function = Callable[..., Any]
Tree = Any  # of arrays
Result = TypeVar("Result")


def rev_block(
    x1: jax.Array,
    x2: jax.Array,
    f: Function | Sequence[Function],
    g: Function | Sequence[Function],
    num_layers: int = 1,
    f_side_input: Sequence[jax.Array] | None = None,
    g_side_input: Sequence[jax.Array] | None = None,
    is_training: bool = True,
) -> tuple[jax.Array, jax.Array]:
    """A series of reversible residual layers, whose activations are not kept.

    Each layer computes `y1 = x1 + f(x2)` and `y2 = x2 + g(y1)`. The backward pass finds
    `x2 = y2 - g(y1)` and `x1 = y1 - f(x2)` again from the outputs, so its memory does not grow
    with `num_layers`; it takes about one more forward pass. What is found again carries the
    rounding errors of the subtractions, which in bfloat16 are seen in the gradients.

    The variables are `revblock/revlayer_0/f/...`, `revblock/revlayer_0/g/...` and so on; a second
    block in the same scope is `revblock_1`.

    Differs from TF-Slim: `f` and `g` may close over arrays, which then have gradients as well;
    batch statistics within are updated once. Forward-mode differentiation (`jax.jvp`) needs
    `is_training=False`.

    Args:
      x1: Floating, any shape.
      x2: Floating. Commonly `x1` and `x2` are the halves of the channels.
      f: `f(x2)` gives an array of the shape and dtype of `x1`; called with the list
        `f_side_input` as second argument if there is one. Or a list, one for each layer.
      g: The same, of `y1`, with the shape and dtype of `x2`.
      num_layers: Number of layers, at least 1.
      f_side_input: Arrays for each `f`, with gradients.
      g_side_input: Arrays for each `g`.
      is_training: False keeps the activations, as usual; the values are the same.

    Returns:
      `(y1, y2)`, of the shapes and dtypes of `x1` and `x2`.

    Raises:
      ScopeError: Outside a model function, or a variable is updated by one of the functions and
        read by a later one.
      TypeError: An input is not floating, or `is_training` is not a bool.
      ValueError: `num_layers`, the lists or the result of a function do not fit.

    Source: Gomez et al., The Reversible Residual Network (2017), https://arxiv.org/abs/1707.04585
    """
    return RevBlock(f, g, num_layers, f_side_input, g_side_input, is_training).forward(x1, x2)


class RevBlock:
    """`rev_block` as an object, which can also be run backward. See there.

    Within one call of a model function, all calls of one object share its variables.

    Args:
      f, g, num_layers, f_side_input, g_side_input: As for `rev_block`.
      use_efficient_backprop: `is_training` of `rev_block`.
      name: The variable scope, made unique.

    Raises:
      TypeError, ValueError: As for `rev_block`.
    """

    def __init__(
        self,
        f: Function | Sequence[Function],
        g: Function | Sequence[Function],
        num_layers: int = 1,
        f_side_input: Sequence[jax.Array] | None = None,
        g_side_input: Sequence[jax.Array] | None = None,
        use_efficient_backprop: bool = True,
        name: str = "revblock",
    ):
        where = f"rev_block {name!r}"
        if not isinstance(use_efficient_backprop, bool):
            raise TypeError(
                f"{where}: is_training (use_efficient_backprop) must be True or False, got "
                f"{type(use_efficient_backprop).__name__}; it decides how the program is built"
            )
        self.name = name
        self.num_layers = checks.positive_integer(where, "num_layers", num_layers)
        self.use_efficient_backprop = use_efficient_backprop
        self.f = _functions(where, "f", f, self.num_layers)
        self.g = _functions(where, "g", g, self.num_layers)
        self.f_side_input = _side_input(where, "f_side_input", f_side_input)
        self.g_side_input = _side_input(where, "g_side_input", g_side_input)

    def forward(self, x1: jax.Array, x2: jax.Array) -> tuple[jax.Array, jax.Array]:
        """`(y1, y2)` from `(x1, x2)`, as `rev_block`."""
        where = f"rev_block {self.name!r}"
        x1, x2 = as_floating(where, x1), as_floating(where, x2)
        with self._scope():
            if self.use_efficient_backprop and not is_initializing():
                return self._forward_by_tracing(x1, x2)
            for index in range(self.num_layers):
                x1 = lax.add(x1, self._call("f", index, x1, x2, self.f_side_input))
                x2 = lax.add(x2, self._call("g", index, x2, x1, self.g_side_input))
        return x1, x2

    def backward(self, y1: jax.Array, y2: jax.Array) -> tuple[jax.Array, jax.Array]:
        """`(x1, x2)` from `(y1, y2)`: the inverse of `forward`, with the same variables.

        It is differentiated as usual, with its activations kept.
        """
        where = f"rev_block {self.name!r}"
        y1, y2 = as_floating(where, y1), as_floating(where, y2)
        with self._scope():
            for index in reversed(range(self.num_layers)):
                y2 = lax.sub(y2, self._call("g", index, y2, y1, self.g_side_input))
                y1 = lax.sub(y1, self._call("f", index, y1, y2, self.f_side_input))
        return y1, y2

    def _forward_by_tracing(self, x1: jax.Array, x2: jax.Array) -> tuple[jax.Array, jax.Array]:
        tracing = Tracing(f"rev_block {self.name!r}")
        layers = []
        for index in range(self.num_layers):
            call_f = functools.partial(self._call, "f", index, x1)
            call_g = functools.partial(self._call, "g", index, x2)
            f = tracing.trace(call_f, x2, self.f_side_input)
            layers.append((f, tracing.trace(call_g, x1, self.g_side_input)))
        consts = [(f.consts, g.consts) for f, g in layers]
        block = _reversible(layers)
        outputs, left = block(consts, x1, x2, self.f_side_input, self.g_side_input)
        for functions, left_by_them in zip(layers, left, strict=True):
            for function, values in zip(functions, left_by_them, strict=True):
                tracing.leave(function, values)
        return outputs

    def _call(
        self, which: str, index: int, like: jax.Array, inputs: jax.Array, side: list[jax.Array]
    ) -> jax.Array:
        function = (self.f if which == "f" else self.g)[index]
        with variable_scope(f"revlayer_{index}/{which}") as scope:
            result = function(inputs, side) if side else function(inputs)
            array = jnp.asarray(result)
        if (array.shape, array.dtype) != (like.shape, like.dtype):
            raise ValueError(
                f"rev_block: the result of {which} at {scope.name!r} is added to an array of shape "
                f"{like.shape} and dtype {like.dtype.name}, and must have these, got "
                f"{array.shape} and {array.dtype.name}"
            )
        return array

    @contextlib.contextmanager
    def _scope(self) -> Iterator[None]:
        run, around, _ = frame(f"rev_block {self.name!r}")
        if (entered := run.blocks.get(self)) is not None:
            reuse: Reuse = entered.reuse or AUTO_REUSE
            opened = variable_scope(entered, reuse=reuse)
        elif around.reuse:
            opened = variable_scope(self.name)
        else:
            opened = variable_scope(None, self.name)
        with opened as scope:
            run.blocks.setdefault(self, scope)
            yield


def _functions(where: str, which: str, given: object, num_layers: int) -> list[Function]:
    several = given if isinstance(given, (list, tuple)) else [given] * num_layers
    functions = [function for function in several if callable(function)]
    if not len(functions) == len(several) == num_layers:
        raise ValueError(
            f"{where}: {which} must be a function, or a list of as many as num_layers="
            f"{num_layers}, got {given!r}"
        )
    return functions


def _side_input(where: str, which: str, given: object) -> list[jax.Array]:
    if given is not None and not isinstance(given, (list, tuple)):
        raise ValueError(
            f"{where}: {which} must be a list of arrays, got {type(given).__name__}; write [array] "
            "for one"
        )
    return [jnp.asarray(array) for array in given or ()]


def _reversible(layers: list[tuple[Pure, Pure]]) -> Function:
    """The layers as one function whose gradient needs its outputs and no activations."""

    def compute(consts: Tree, x1: Tree, x2: Tree, f_side: Tree, g_side: Tree) -> Tree:
        left = []
        for (f, g), (f_consts, g_consts) in zip(layers, consts, strict=True):
            fx, f_left = f(f_consts, x2, f_side)
            x1 = lax.add(x1, fx)
            gx, g_left = g(g_consts, x1, g_side)
            x2 = lax.add(x2, gx)
            left.append((f_left, g_left))
        return (x1, x2), left

    def forward(*inputs: Tree) -> Tree:
        outputs, left = compute(*inputs)
        return (outputs, left), (inputs[0], outputs, inputs[3:])

    def backward(kept: Tree, cotangents: Tree) -> Tree:
        consts, (y1, y2), (f_side, g_side) = kept
        (c1, c2), left = cotangents
        by_consts, by_f_side, by_g_side = [], None, None
        for index in reversed(range(len(layers))):
            (f, g), (f_consts, g_consts) = layers[index], consts[index]
            f_left, g_left = left[index]
            (gx, _), pull_g = jax.vjp(g, g_consts, y1, g_side)
            x2 = lax.sub(y2, gx)
            (fx, _), pull_f = jax.vjp(f, f_consts, x2, f_side)
            x1 = lax.sub(y1, fx)
            by_g, by_y1, g_part = pull_g((c2, g_left))
            c1 = lax.add(c1, by_y1)
            by_f, by_x2, f_part = pull_f((c1, f_left))
            c2 = lax.add(c2, by_x2)
            by_f_side = f_part if by_f_side is None else _sum(by_f_side, f_part)
            by_g_side = g_part if by_g_side is None else _sum(by_g_side, g_part)
            # Done with this layer before the next begins: otherwise XLA may find all the inputs
            # again first, and then hold them all.
            done = _together(((x1, x2), (c1, c2), (by_f, by_g), (by_f_side, by_g_side)))
            (y1, y2), (c1, c2), by_layer, (by_f_side, by_g_side) = done
            y1, y2 = _after(by_layer, [y1, y2], None)
            by_consts.append(by_layer)
        return by_consts[::-1], c1, c2, by_f_side, by_g_side

    block = jax.custom_vjp(compute)
    block.defvjp(forward, backward)
    return block


def _has_values(cotangent: jax.Array) -> bool:
    return cotangent.dtype != jax.dtypes.float0


def _sum(first: Tree, second: Tree) -> Tree:
    return jax.tree.map(lambda a, b: lax.add(a, b) if _has_values(a) else a, first, second)


def _together(cotangents: Result) -> Result:
    """The cotangents, none of which can be used before all are computed; integers have none."""
    leaves, tree = jax.tree.flatten(cotangents)
    ready = iter(lax.optimization_barrier([leaf for leaf in leaves if _has_values(leaf)]))
    return jax.tree.unflatten(tree, [next(ready) if _has_values(x) else x for x in leaves])


def _after(cotangents: Tree, arrays: list[Tree], everywhere: bool | None) -> list[Tree]:
    """The arrays, which XLA can have only when it has the cotangents.

    Everywhere, nowhere, or (None) on platforms where XLA drops its barriers.
    """
    if everywhere is False:
        return arrays
    sign: ArrayLike = np.int32(0)
    for leaf in jax.tree.leaves(cotangents):
        if _has_values(leaf) and leaf.size:
            first = lax.reshape(lax.slice(leaf, (0,) * leaf.ndim, (1,) * leaf.ndim), ())
            bits = lax.bitcast_convert_type(lax.convert_element_type(first, np.float32), np.int32)
            # The sign bit: 0 or -1 for any number, infinite ones and NaN included.
            sign = lax.bitwise_or(sign, lax.shift_right_arithmetic(bits, np.int32(31)))
    # XLA does not know that this never is. A sum with a zero made of the cotangents would not do:
    # it would be fused with all such sums into one operation at the end.
    never = lax.lt(np.int32(0), sign)

    def kept(arrays: list[Tree]) -> list[Tree]:
        return lax.cond(never, lambda given: [lax.full_like(x, 0) for x in given], list, arrays)

    if everywhere:
        return kept(arrays)
    return on_platform("drops_barriers", kept, list, arrays)


def _recomputing(pure: Pure, use_data_dep: bool | None, tupleize_grads: bool) -> Function:
    """The function as one whose gradient needs its inputs and no activations."""

    def forward(*inputs: Tree) -> Tree:
        return pure(*inputs), inputs

    def backward(inputs: Tree, cotangents: Tree) -> Tree:
        # To be computed again only when the gradients are there: otherwise XLA may begin with all
        # such functions at once, and hold what they give.
        (consts, *args), cotangents = _together((inputs, cotangents))
        args = _after(cotangents[0], args, use_data_dep)
        gradients = jax.vjp(pure, consts, *args)[1](cotangents)
        return _together(gradients) if tupleize_grads else gradients

    function = jax.custom_vjp(lambda *inputs: pure(*inputs))
    function.defvjp(forward, backward)
    return function


def recompute_grad(
    fn: Function | None = None, use_data_dep: bool | None = None, tupleize_grads: bool = False
) -> Function:
    """Wraps a function so that its activations are computed again for the backward pass.

    `@slim.recompute_grad` or `@slim.recompute_grad(tupleize_grads=True)`. It does what
    `jax.checkpoint` does, in a model function: layers within keep their names, and the values and
    gradients are those of `fn`; forward-mode differentiation is not possible. Outside a model
    function it is `jax.checkpoint` itself.

    Differs from TF-Slim: `fn` may close over arrays, which have gradients too. It runs once as
    Python: batch statistics are updated once, dropout has one mask, and `is_recomputing`, which
    is given if `fn` takes it, is always False, since nothing has to be left out.

    Args:
      fn: A function of arrays, all positional, that returns arrays.
      use_data_dep: Whether the inputs of the second computation get a zero added that comes from
        the gradients, so that XLA cannot merge it with the first. By default on the CPU only,
        where XLA drops the barrier that does this elsewhere, and `jax.checkpoint` saves no
        memory.
      tupleize_grads: Whether none of the gradients is used before all are computed.

    Returns:
      The wrapped function; without `fn` a decorator.

    Raises:
      TypeError: `fn` is not a function.
      ValueError: An argument of the wrapped function is not an array.
      ScopeError: It is called inside a JAX transformation that began in the model function.

    Source: Chen et al., Training Deep Nets with Sublinear Memory Cost (2016),
    https://arxiv.org/abs/1604.06174
    """
    if fn is None:
        return functools.partial(
            recompute_grad, use_data_dep=use_data_dep, tupleize_grads=tupleize_grads
        )
    if not callable(fn):
        raise TypeError(f"recompute_grad: fn must be a function, got {type(fn).__name__}")
    name = getattr(fn, "__name__", type(fn).__name__)
    keywords = {}
    if "is_recomputing" in inspect.signature(fn).parameters:
        keywords["is_recomputing"] = False

    def wrapped(*args: Tree) -> Tree:
        for index, arg in enumerate(args):
            if not hasattr(arg, "shape") or not hasattr(arg, "dtype"):
                raise ValueError(
                    f"recompute_grad: argument {index} of {name} must be an array, got "
                    f"{type(arg).__name__}; fix other arguments with functools.partial first"
                )
        call = functools.partial(fn, **keywords)
        if is_running() and is_initializing():
            return call(*args)
        if not is_running():
            return jax.checkpoint(call)(*args)
        tracing = Tracing(f"recompute_grad of {name}")
        pure = tracing.trace(call, *args)
        output, left = _recomputing(pure, use_data_dep, tupleize_grads)(pure.consts, *args)
        tracing.leave(pure, left)
        return output

    return functools.wraps(fn)(wrapped) if hasattr(fn, "__name__") else wrapped
