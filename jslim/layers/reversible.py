"""Reversible layers: the backward pass finds their activations again from their outputs.

A block traces its functions once, as pure functions of the arrays and variables that they use: a
moving statistic moves once, a regularizer counts once, and the backward pass sees the dropout masks
of the forward pass. Losses, end points and summaries made within leave the block as usual.
"""

import contextlib
import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jslim.core import checks
from jslim.core.access import frame, is_initializing
from jslim.core.names import AUTO_REUSE
from jslim.core.pure import Pure, Tracing
from jslim.core.scopes import variable_scope
from jslim.layers._common import as_floating
from jslim.layers._lowering._barriers import after, has_values, together

Function = Callable[..., Any]
Tree = Any  # of arrays


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
    with `num_layers`. It takes about one more forward pass. The inputs found again carry the
    rounding errors of the subtractions; in bfloat16 these show in the gradients.

    The variables are `revblock/revlayer_0/f/...`, `revblock/revlayer_0/g/...` and so on; a second
    block in the same scope is `revblock_1`.

    Differs from TF-Slim: `f` and `g` may close over arrays, which then have gradients as well;
    batch statistics within are updated once. Forward-mode differentiation (`jax.jvp`) needs
    `is_training=False`.

    Args:
      x1: Floating, any shape.
      x2: Floating. Commonly `x1` and `x2` are the halves of the channels.
      f: `f(x2)` returns an array of the shape and dtype of `x1`. With `f_side_input` it is called
        with that list as second argument. Or a list of functions, one for each layer.
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

    >>> import jslim as slim
    >>> model = slim.Model(lambda x: rev_block(x, x, lambda x: x + 1, lambda y: 10 * y))
    >>> [half.tolist() for half in model.apply({}, jnp.array([1.0]))]
    [[3.0], [31.0]]
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
        self._where = where = f"rev_block {name!r}"
        hint = "it decides how the program is built"
        argument = "is_training (use_efficient_backprop)"
        checks.instance(where, argument, use_efficient_backprop, bool, "True or False", hint)
        self.name = name
        self.num_layers = checks.positive_integer(where, "num_layers", num_layers)
        self.use_efficient_backprop = use_efficient_backprop
        self.f = _functions(where, "f", f, self.num_layers)
        self.g = _functions(where, "g", g, self.num_layers)
        self.f_side_input = _side_input(where, "f_side_input", f_side_input)
        self.g_side_input = _side_input(where, "g_side_input", g_side_input)

    def forward(self, x1: jax.Array, x2: jax.Array) -> tuple[jax.Array, jax.Array]:
        """`(y1, y2)` from `(x1, x2)`, as `rev_block`."""
        x1, x2 = as_floating(self._where, x1), as_floating(self._where, x2)
        with self._scope():
            if self.use_efficient_backprop and not is_initializing():
                return self._forward_by_tracing(x1, x2)
            for index in range(self.num_layers):
                x1 = lax.add(x1, self._call("f", index, x1, x2, self.f_side_input))
                x2 = lax.add(x2, self._call("g", index, x2, x1, self.g_side_input))
        return x1, x2

    def backward(self, y1: jax.Array, y2: jax.Array) -> tuple[jax.Array, jax.Array]:
        """`(x1, x2)` from `(y1, y2)`: the inverse of `forward`, with the same variables.

        Its own derivative is the usual one and keeps the activations.
        """
        y1, y2 = as_floating(self._where, y1), as_floating(self._where, y2)
        with self._scope():
            for index in reversed(range(self.num_layers)):
                y2 = lax.sub(y2, self._call("g", index, y2, y1, self.g_side_input))
                y1 = lax.sub(y1, self._call("f", index, y1, y2, self.f_side_input))
        return y1, y2

    def _forward_by_tracing(self, x1: jax.Array, x2: jax.Array) -> tuple[jax.Array, jax.Array]:
        tracing = Tracing(self._where)
        layers = []
        for index in range(self.num_layers):
            call_f = functools.partial(self._call, "f", index, x1)
            call_g = functools.partial(self._call, "g", index, x2)
            f = tracing.trace(call_f, x2, self.f_side_input)
            layers.append((f, tracing.trace(call_g, x1, self.g_side_input)))
        consts = [(f.consts, g.consts) for f, g in layers]
        sides = (self.f_side_input, self.g_side_input)
        outputs, left = _reversible(layers)(consts, x1, x2, sides)
        functions, values = itertools.chain(*layers), itertools.chain(*left)
        for function, left_by_it in zip(functions, values, strict=True):
            tracing.leave(function, left_by_it)
        return outputs

    def _call(
        self, which: str, index: int, like: jax.Array, inputs: jax.Array, side: list[jax.Array]
    ) -> jax.Array:
        function = (self.f if which == "f" else self.g)[index]
        with variable_scope(f"revlayer_{index}/{which}") as scope:
            array = jnp.asarray(function(inputs, side) if side else function(inputs))
        if (array.shape, array.dtype) != (like.shape, like.dtype):
            raise ValueError(
                f"rev_block: the result of {which} at {scope.name!r} must have shape {like.shape} "
                f"and dtype {like.dtype.name} of the array that it is added to, got {array.shape} "
                f"and {array.dtype.name}"
            )
        return array

    @contextlib.contextmanager
    def _scope(self) -> Iterator[None]:
        run, around, _ = frame(self._where)
        if (entered := run.blocks.get(self)) is not None:
            opened = variable_scope(entered, reuse=entered.reuse or AUTO_REUSE)
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
        accepted = f"a function, or a list of as many as num_layers={num_layers}"
        raise checks.refusal(where, which, accepted, repr(given))
    return functions


def _side_input(where: str, which: str, given: object) -> list[jax.Array]:
    if given is not None and not isinstance(given, (list, tuple)):
        hint = "write [array] for one"
        raise checks.refusal(where, which, "a list of arrays", type(given).__name__, hint)
    return [jnp.asarray(array) for array in given or ()]


def _reversible(layers: list[tuple[Pure, Pure]]) -> Function:
    """The layers as one function, whose gradient needs its outputs and no activations."""

    def compute(consts: Tree, x1: Tree, x2: Tree, sides: Tree) -> Tree:
        left = []
        for (f, g), (f_consts, g_consts) in zip(layers, consts, strict=True):
            fx, f_left = f(f_consts, x2, sides[0])
            x1 = lax.add(x1, fx)
            gx, g_left = g(g_consts, x1, sides[1])
            x2 = lax.add(x2, gx)
            left.append((f_left, g_left))
        return (x1, x2), left

    def forward(consts: Tree, x1: Tree, x2: Tree, sides: Tree) -> Tree:
        outputs, left = compute(consts, x1, x2, sides)
        return (outputs, left), (consts, outputs, sides)

    def backward(kept: Tree, cotangents: Tree) -> Tree:
        consts, (y1, y2), (f_side, g_side) = kept
        (c1, c2), left = cotangents
        by_consts: list[Tree] = []
        by_sides: Tree = None
        last_first = reversed(list(zip(layers, consts, left, strict=True)))
        for (f, g), (f_consts, g_consts), (f_left, g_left) in last_first:
            (gx, _), pull_g = jax.vjp(g, g_consts, y1, g_side)
            x2 = lax.sub(y2, gx)
            (fx, _), pull_f = jax.vjp(f, f_consts, x2, f_side)
            x1 = lax.sub(y1, fx)
            by_g, by_y1, by_g_side = pull_g((c2, g_left))
            c1 = lax.add(c1, by_y1)
            by_f, by_x2, by_f_side = pull_f((c1, f_left))
            c2 = lax.add(c2, by_x2)
            of_layer = (by_f_side, by_g_side)
            by_sides = of_layer if by_sides is None else jax.tree.map(_add, by_sides, of_layer)
            # Done with this layer before the next begins: otherwise XLA may find all the inputs
            # again first, and then hold them all.
            done = together(((x1, x2), (c1, c2), (by_f, by_g), by_sides))
            (y1, y2), (c1, c2), by_layer, by_sides = done
            y1, y2 = after(by_layer, [y1, y2])
            by_consts.append(by_layer)
        return by_consts[::-1], c1, c2, by_sides

    block = jax.custom_vjp(compute)
    block.defvjp(forward, backward)
    return block


def _add(first: jax.Array, second: jax.Array) -> jax.Array:
    return lax.add(first, second) if has_values(first) else first
