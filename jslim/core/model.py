"""`Model`: a plain function of arrays as a Flax Linen module."""

import contextlib
import contextvars
import dataclasses
import functools
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jslim.core import checks, reprs
from jslim.core.access import FRAME, Frame, frame
from jslim.core.context import changed_context
from jslim.core.errors import ScopeError, did_you_mean
from jslim.core.names import VariableScope, user_site
from jslim.core.run import ONLY_INITIALIZERS_COMPUTE, Run
from jslim.core.scopes import variable_scope
from jslim.core.store import Store
from jslim.core.trees import check_kept

_RECORDS: contextvars.ContextVar[list[Run] | None] = contextvars.ContextVar("records", default=None)


class Model(nn.Module):
    """A function of arrays as a Linen module: `Model(fn).init` and `.apply` are pure.

    `fn` makes or reads variables under their TF-Slim names by calling layers, `variable_scope`
    and `model_variable`. `init(rng, *args)` returns `{'params': ..., 'batch_stats': ...}` as
    plain nested dicts; `apply(variables, *args)` returns the result of `fn`. With
    `mutable=['batch_stats']` `apply` also returns the new moving statistics. `mutable` may also
    name 'losses', 'regularization_losses', 'summaries' and any collection of
    `outputs_collections` or `variables_collections`: `apply` returns each as `{name: value}`.

    Transform it as a whole: `jax.jit`, `grad`, `vmap`, `checkpoint` of its `apply`, or Flax's
    lifted `nn.remat(Model)`, `nn.scan(Model, ...)`. A transformation that is started inside `fn`
    cannot reach variables; put the code that it covers into a Model of its own, and call that by
    `call_linen`.

    TF-Slim has no such class: there, a function built a graph that owned the variables.

    Attributes:
      fn: The model function. Its arguments are those of `init` and `apply`.

    >>> import jax, jslim as slim
    >>> def model(inputs):
    ...     ones = slim.ones_initializer()
    ...     return slim.linear(inputs, 2, scope="fc", weights_initializer=ones)
    >>> images = slim.ones_initializer()(None, [1, 3])
    >>> variables = Model(model).init(jax.random.key(0), images)
    >>> jax.tree.map(lambda leaf: leaf.shape, variables)
    {'params': {'fc': {'biases': (2,), 'weights': (3, 2)}}}
    >>> Model(model).apply(variables, images).tolist()
    [[3.0, 3.0]]
    """

    fn: Callable[..., Any]

    def __post_init__(self) -> None:
        hint = "give the function itself, and its arguments to init and apply"
        checks.function("Model", "fn", self.fn, "of arrays", hint)
        super().__post_init__()

    def __repr__(self) -> str:
        return f"<Model of {reprs.call_of(self.fn)}>"

    @nn.nowrap
    def apply(self, variables: Any, *args: Any, **kwargs: Any) -> Any:
        """Calls the function with variables; `mutable` and `rngs` are those of Linen's `apply`.

        Args:
          variables: The tree that `init` returned.
          *args, **kwargs: The arguments of the function. `mutable=['batch_stats']` also returns
            that collection; `rngs={'dropout': key}` gives random keys.

        Raises:
          TypeError: `variables` is something else.
          ValueError: They were given to a training step, which has used up their memory.
        """
        if not isinstance(variables, Mapping):
            accepted = "the tree {'params': ..., 'batch_stats': ...} that init returned"
            hint = "call it as model.apply(variables, inputs)"
            if hasattr(variables, "variables"):
                hint = "give state.variables"
            got = _shown(variables)
            raise checks.refusal("Model.apply", "variables", accepted, got, hint, TypeError)
        try:
            return super().apply(variables, *args, **kwargs)
        except RuntimeError:
            check_kept("Model.apply", variables)
            raise

    @nn.nowrap
    def init(self, rngs: Any, *args: Any, **kwargs: Any) -> Any:
        """Makes the variables: `{'params': ..., 'batch_stats': ...}`, plain nested dicts.

        The initializers compute; of the function only shapes are worked out, by a trace as under
        `jit`. A function that looks at its arguments, or makes variables of them, fails there:
        then it runs again, operation by operation. The variables are the same.

        Args:
          rngs: A random key, or keys by stream, `{'params': key, 'dropout': key}`.
          *args, **kwargs: The arguments of the function; `jax.ShapeDtypeStruct`s will do where it
            needs no values.

        Raises:
          TypeError: `rngs` is no key.
        """
        _check_key("Model.init", rngs)
        init = functools.partial(super().init, rngs)
        made = _made_by_shapes(init, rngs, args, kwargs)
        return init(*args, **kwargs) if made is None else made

    @nn.nowrap
    def init_with_output(self, rngs: Any, *args: Any, **kwargs: Any) -> Any:
        """`init` with the result of the function before the variables."""
        _check_key("Model.init_with_output", rngs)
        return super().init_with_output(rngs, *args, **kwargs)

    @nn.compact
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        scope = self.scope
        assert scope is not None
        run = Run(Store(scope))
        around = FRAME.get()
        is_part = around is not None and run.store.is_below(around.run.store)
        token = FRAME.set(Frame(run, VariableScope("")))
        try:
            output = self.fn(*args, **kwargs)
            run.settle()
            if run.store.is_initializing:
                run.add_linen_variables("", lambda name: True)
            elif around is None or not is_part:
                run.collect_facts()
                run.export()
            elif not run.store.is_in_tree_of(around.run.store):  # under a lifted transformation
                run.export()
        finally:
            FRAME.reset(token)
        if around is not None and is_part:
            around.run.parts.append(run)
        elif around is None and (records := _RECORDS.get()) is not None:
            prefix = "".join(f"{part}/" for part in scope.path)
            infos = [dataclasses.replace(i, name=prefix + i.name) for i in run.variables.values()]
            run.variables = {info.name: info for info in infos}
            records.append(run)
        return output


def shapes_of(init: Callable[..., Any], *args: Any) -> Any:
    """`jax.eval_shape(init, *args)`, in which no random numbers are drawn: half of such a trace.

    >>> shapes_of(Model(jnp.sin).init, jax.random.key(0), jnp.ones([1, 3]))
    {}
    """
    with changed_context(draws=False):
        return jax.eval_shape(init, *args)


def _made_by_shapes(init: Callable[..., Any], rngs: Any, args: Any, kwargs: Any) -> Any:
    """The variables of `init(*args, **kwargs)`, or None if shapes are not enough to make them."""
    leaves, tree = jax.tree.flatten((args, kwargs))
    # Other values, such as numbers, may decide what the function does.
    arrays = {
        at: leaf
        for at, leaf in enumerate(leaves)
        if isinstance(leaf, jax.Array | np.ndarray | jax.ShapeDtypeStruct)
    }
    if any(isinstance(x, jax.core.Tracer) for x in (*jax.tree.leaves(rngs), *leaves, jnp.empty(0))):
        return None  # under a transformation, which has a trace of its own
    records, made = _RECORDS.get(), []
    known = len(records or ())

    def trace(arrays: dict[int, jax.Array]) -> None:
        args, kwargs = jax.tree.unflatten(tree, [arrays.get(at, x) for at, x in enumerate(leaves)])
        made.append(init(*args, **kwargs))

    token = ONLY_INITIALIZERS_COMPUTE.set(True)
    # Whatever goes wrong, the function runs again and says it itself.
    with contextlib.suppress(Exception):
        jax.eval_shape(trace, arrays)
    ONLY_INITIALIZERS_COMPUTE.reset(token)
    if made and not any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(made)):
        return made[0]
    if records is not None:
        del records[known:]
    return None


def _refusing_unbound(call: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(call)
    def checked(self: Model, *args: Any, **kwargs: Any) -> Any:
        if self.scope is None:
            raise ScopeError(
                "Model: a model is called with arrays, but it holds no variables; make them by "
                "variables = model.init(jax.random.key(0), inputs), and compute by "
                "model.apply(variables, inputs)"
            )
        return call(self, *args, **kwargs)

    return checked


# Around Linen's own wrapper of the method, which would refuse such a call in its own words.
setattr(Model, "__call__", _refusing_unbound(Model.__call__))  # noqa: B010 (it is a method)


def _check_key(where: str, rngs: object) -> None:
    """Refuses what is no random key in the place of one."""
    if isinstance(rngs, Mapping):
        return
    dtype = getattr(rngs, "dtype", None)
    if dtype is not None and (jnp.issubdtype(dtype, jax.dtypes.prng_key) or dtype == jnp.uint32):
        return
    hint = "call it as model.init(jax.random.key(0), inputs)"
    raise checks.refusal(where, "rngs", "a random key", _shown(rngs), hint, TypeError)


def _shown(value: object) -> str:
    shape = getattr(value, "shape", None)
    if shape is not None:
        return f"an array of shape {shape}"
    return repr(value) if isinstance(value, (int, float, str)) else type(value).__name__


@contextlib.contextmanager
def recorded() -> Iterator[list[Run]]:
    """Collects the runs of the models called in the body, for their static facts.

    Names are those of the whole tree, also if a Linen module calls the Model. A Model that is
    called within another one belongs to the outer run.
    """
    records: list[Run] = []
    token = _RECORDS.set(records)
    try:
        yield records
    finally:
        _RECORDS.reset(token)


def call_linen(module: nn.Module, *args: Any, scope: str | None = None, **kwargs: Any) -> Any:
    """Calls a Linen module inside a model function, under the current variable scope.

    The module may be a lifted Model: `call_linen(nn.remat(slim.Model)(block), net, scope='b1')`
    recomputes `block` in the backward pass. A direct call of a Linen layer also works, but then
    Flax chooses the name and puts the variables at the root of the Model, outside any
    `variable_scope`, and the `get_*` functions do not see them. New in jslim.

    Args:
      module: An unbound Linen module, such as `nn.Dense(7)`.
      *args, **kwargs: The arguments of the module.
      scope: Its variable scope; by default the module's `name` or class name, made unique.

    Returns:
      The result of the module; its variables count as model variables (`scope/kernel`, ...).

    Raises:
      ScopeError: A module was called under that scope before, and `reuse` is not set; or `reuse`
        is True, and no module was called.

    >>> import jax
    >>> def model(inputs):
    ...     return call_linen(nn.Dense(2), inputs, scope="fc")
    >>> variables = Model(model).init(jax.random.key(0), jax.numpy.ones([1, 3]))
    >>> jax.tree.map(lambda leaf: leaf.shape, variables)
    {'params': {'fc': {'bias': (2,), 'kernel': (3, 2)}}}
    """
    run = frame("call_linen").run
    if not isinstance(module, nn.Module):
        name = getattr(module, "__name__", type(module).__name__)
        got, hint = name, "a function of arrays becomes one by slim.Model(fn)"
        if isinstance(module, type):
            got, hint = f"the class {name}", f"give an object of it, {name}(...)"
        accepted = "a Linen module such as nn.Dense(7)"
        raise checks.refusal("call_linen", "module", accepted, got, hint, TypeError)
    kind = type(module).__name__
    # Linen itself numbers the modules that are made within another: `Dense_7` is not a given name.
    given = module.name and not re.fullmatch(rf"{kind}_\d+", module.name)
    with variable_scope(scope or (module.name if given else None), kind) as opened:
        run.check_trace(f"Linen module {opened.name!r} is called")
        before = run.linen_sites.get(opened.name)
        if before is not None and not opened.reuse:
            raise ScopeError(
                f"call_linen: a module was called in scope {opened.name!r} at {before}, and again "
                f"at {user_site()}; to share its variables enter the scope around with "
                "reuse=True, otherwise give the two modules different scopes"
            )
        if before is None and opened.reuse is True:
            raise ScopeError(
                f"call_linen: no module was called in scope {opened.name!r} yet, but it was "
                f"entered with reuse=True{did_you_mean(opened.name, run.linen_sites)}"
            )
        run.linen_sites.setdefault(opened.name, user_site())
        flax_scope = run.store.scope(opened.name).rewound()
        output = module.clone(parent=flax_scope, name=None)(*args, **kwargs)
        run.settle()
        run.add_linen_variables(opened.name, flax_scope.name_reserved)
    return output
