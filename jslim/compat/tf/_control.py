"""What decides, repeats or groups operations."""

import builtins
import contextlib
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from jslim.compat.tf._op import Values, array, is_static, op
from jslim.core import checks
from jslim.core.errors import ScopeError

T = TypeVar("T")
_GUIDE = "see docs/migration.md"


def truth(where: str, pred: Any) -> bool | None:
    """Whether a condition holds; None if it depends on the inputs of a compiled function."""
    if callable(pred):
        hint = "the condition comes first, then what to do"
        raise checks.refusal(where, "pred", "a condition", "a function", hint, TypeError)
    return None if isinstance(pred, jax.core.Tracer) else bool(np.asarray(pred).reshape(()))


def cond(
    pred: Any,
    true_fn: Callable[[], T] | None = None,
    false_fn: Callable[[], T] | None = None,
    strict: bool = False,
    name: str | None = None,
    fn1: Callable[[], T] | None = None,
    fn2: Callable[[], T] | None = None,
) -> T:
    """The result of one function if the condition holds, and of the other one if not.

    A condition that is known (`is_training`) calls only its own function. One that depends on the
    inputs calls both, as TensorFlow builds both, and picks each element of the result.
    """
    where = "tf.cond"
    first = checks.given(where, "true_fn", true_fn or fn1)
    second = checks.given(where, "false_fn", false_fn or fn2)
    is_true = truth(where, pred)
    if is_true is not None:
        return first() if is_true else second()
    holds = array(pred)
    return jax.tree.map(lambda a, b: jnp.where(holds, array(a), array(b)), first(), second())


def case(
    pred_fn_pairs: Any,
    default: Callable[[], T] | None = None,
    exclusive: bool = False,
    strict: bool = False,
    name: str = "case",
) -> T:
    """The result of the first function whose condition holds, or of `default`."""
    pairs = list(pred_fn_pairs.items() if isinstance(pred_fn_pairs, dict) else pred_fn_pairs)
    (pred, function), *others = pairs
    if not others and default is None:
        return function()
    rest = (
        (lambda: case(others, default)) if others else checks.given("tf.case", "default", default)
    )
    return cond(pred, function, rest)


def while_loop(
    cond: Callable[..., Any],
    body: Callable[..., Any],
    loop_vars: Any,
    shape_invariants: object = None,
    parallel_iterations: int = 10,
    back_prop: bool = True,
    swap_memory: bool = False,
    name: str | None = None,
    maximum_iterations: int | None = None,
    return_same_structure: bool = False,
) -> Any:
    """Repeats `body` while `cond` holds, by `jax.lax.while_loop`; shapes stay as they are.

    It has no gradient in reverse. A loop whose variables are known is run while tracing.
    """
    state = builtins.tuple(loop_vars)
    if is_static(state):
        count = 0
        while bool(cond(*state)) and count != maximum_iterations:
            following = body(*state)
            state = (
                builtins.tuple(following)
                if isinstance(following, (list, builtins.tuple))
                else (following,)
            )
            count += 1
        return state[0] if len(state) == 1 and not return_same_structure else list(state)

    def step(held: Any) -> Any:
        count, values = held
        following = body(*values)
        result = following if isinstance(following, (list, builtins.tuple)) else (following,)
        return count + 1, builtins.tuple(
            array(v, w.dtype) for v, w in zip(result, values, strict=True)
        )

    def goes_on(held: Any) -> Any:
        count, values = held
        holds = array(cond(*values)).reshape(())
        return holds if maximum_iterations is None else holds & (count < maximum_iterations)

    start = (jnp.zeros((), jnp.int32), builtins.tuple(map(array, state)))
    values = jax.lax.while_loop(goes_on, step, start)[1]
    return values[0] if len(values) == 1 and not return_same_structure else list(values)


def map_fn(
    fn: Callable[[Any], Any],
    elems: Any,
    dtype: object = None,
    parallel_iterations: int | None = None,
    back_prop: bool = True,
    swap_memory: bool = False,
    infer_shape: bool = True,
    name: str | None = None,
    fn_output_signature: object = None,
) -> Any:
    """`fn` of each part along the first axis, with the results in one array, by `jax.lax.map`.

    `fn` cannot make variables. Parts that are known are mapped while tracing.
    """
    if is_static(elems):
        leaves = jax.tree.leaves(elems)
        results = [
            fn(jax.tree.map(lambda leaf: np.asarray(leaf)[i], elems))  # noqa: B023 (called at once)
            for i in range(len(leaves[0]))
        ]
        return jax.tree.map(
            lambda *parts: op(lambda p: jnp.stack(list(map(array, p))))(parts), *results
        )
    return jax.lax.map(fn, jax.tree.map(array, elems))


def scan(
    fn: Callable[[Any, Any], Any],
    elems: Any,
    initializer: Any = None,
    parallel_iterations: int = 10,
    back_prop: bool = True,
    swap_memory: bool = False,
    infer_shape: bool = True,
    reverse: bool = False,
    name: str | None = None,
) -> Any:
    """All results of `fn(result before, part)` along the first axis, by `jax.lax.scan`.

    `fn` cannot make variables. Without an initializer the first part is the first result.
    """
    parts = jax.tree.map(array, elems)
    if initializer is None:
        first = -1 if reverse else 0
        start = jax.tree.map(lambda part: part[first], parts)
        rest = jax.tree.map(lambda part: part[:-1] if reverse else part[1:], parts)
    else:
        start, rest = jax.tree.map(array, initializer), parts

    def step(before: Any, part: Any) -> builtins.tuple[Any, Any]:
        result = jax.tree.map(lambda r, b: array(r).astype(b.dtype), fn(before, part), before)
        return result, result

    _, results = jax.lax.scan(step, start, rest, reverse=reverse)
    if initializer is not None:
        return results

    def with_start(first: Any, others: Any) -> jax.Array:
        both = [others, first[None]] if reverse else [first[None], others]
        return jnp.concatenate(both)

    return jax.tree.map(with_start, start, results)


def foldl(
    fn: Callable[[Any, Any], Any],
    elems: Any,
    initializer: Any = None,
    parallel_iterations: int = 10,
    back_prop: bool = True,
    swap_memory: bool = False,
    name: str | None = None,
) -> Any:
    """The last result of `scan`."""
    return jax.tree.map(lambda results: results[-1], scan(fn, elems, initializer))


def foldr(
    fn: Callable[[Any, Any], Any],
    elems: Any,
    initializer: Any = None,
    parallel_iterations: int = 10,
    back_prop: bool = True,
    swap_memory: bool = False,
    name: str | None = None,
) -> Any:
    """The last result of `scan` from the end to the start."""
    return jax.tree.map(lambda results: results[0], scan(fn, elems, initializer, reverse=True))


def group(*inputs: object, **kwargs: object) -> None:
    """Nothing: what a graph would run later has happened here."""


def no_op(name: str | None = None) -> None:
    """Nothing."""


def tuple(
    tensors: Sequence[Any], name: str | None = None, control_inputs: object = None
) -> list[Any]:
    """The arrays as they are: what a graph would run before has happened here."""
    return list(tensors)


def control_dependencies(control_inputs: object) -> contextlib.AbstractContextManager[None]:
    """Nothing: what a graph would run before has happened here."""
    return contextlib.nullcontext()


def device(device_name_or_function: object) -> contextlib.AbstractContextManager[None]:
    """Nothing: a mesh and its shardings place a model; `slim.variable(device=...)` one variable."""
    return contextlib.nullcontext()


def colocate_with(
    op: object, ignore_existing: bool = False
) -> contextlib.AbstractContextManager[None]:
    """Nothing, as `device`."""
    return contextlib.nullcontext()


def Print(
    input_: Values,
    data: Sequence[Values],
    message: str | None = None,
    first_n: int | None = None,
    summarize: int | None = None,
    name: str | None = None,
) -> jax.Array:
    """The input; whenever it is computed, `data` is printed, by `jax.debug.print`."""
    text = "".join(f"[{{{i}}}]" for i in range(len(data)))
    escaped = (message or "").replace("{", "{{").replace("}", "}}")
    jax.debug.print(f"{escaped}{text}", *map(array, data))
    return array(input_)


def py_func(
    func: Callable[..., Any],
    inp: Sequence[Any],
    Tout: Any,
    stateful: bool = True,
    name: str | None = None,
) -> Any:
    """Calls a function of NumPy arrays. Its arguments must be known: it is called at once.

    Raises:
      ScopeError: They depend on the inputs of a compiled function.
    """
    if any(isinstance(value, jax.core.Tracer) for value in jax.tree.leaves(list(inp))):
        raise ScopeError(
            "tf.py_func: the function would run within the compiled program, which must know the "
            "shape of its result; call jax.pure_callback(func, jax.ShapeDtypeStruct(shape, dtype), "
            f"...); {_GUIDE}"
        )
    results = func(*(np.asarray(value) for value in inp))
    if not isinstance(Tout, (list, builtins.tuple)):
        return _typed(results, Tout)
    several = results if isinstance(results, (list, builtins.tuple)) else [results]
    return [_typed(value, kind) for value, kind in zip(several, Tout, strict=True)]


def _typed(value: Any, kind: Any) -> Any:
    return op(lambda held: array(held, kind))(np.asarray(value))


def py_function(
    func: Callable[..., Any], inp: Sequence[Any], Tout: Any, name: str | None = None
) -> Any:
    """`py_func`."""
    return py_func(func, inp, Tout)
