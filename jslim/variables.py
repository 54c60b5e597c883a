"""Variables by TF-Slim's names: making them, and finding them by scope, suffix or pattern.

Inside a model function the `get_*` functions see the variables that this model has made so far.
Outside they take the variables tree as first argument. Either way they give `{name: array}`, and
such a dict is accepted wherever a set of variables is wanted. A name is the path of a leaf below
its collection, joined by '/': `vgg_16/conv1/conv1_1/weights`.
"""

import contextlib
import contextvars
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import flax.traverse_util
import jax
import jax.numpy as jnp

from jslim import model as _model
from jslim._arg_scope import add_arg_scope
from jslim._devices import parse_device
from jslim._errors import ScopeError, did_you_mean, nearest
from jslim.initializers import xavier_initializer, zeros_initializer

Variables = dict[str, Any]

GLOBAL = "variables"
TRAINABLE = "trainable_variables"
MODEL = "model_variables"
LOCAL = _model.LOCAL_VARIABLES


@add_arg_scope
def variable(
    name: str,
    shape: Sequence[int] | int | None = None,
    dtype: Any = jnp.float32,
    initializer: Callable[..., jax.Array] | Any = None,
    regularizer: Callable[[jax.Array], jax.Array | None] | None = None,
    trainable: bool = True,
    collections: Sequence[str] | None = None,
    *,
    device: Any = None,
) -> jax.Array:
    """Makes a variable of the current scope, or reads it where the model has it already.

    Differs from TF-Slim: it returns the array. Change it with `slim.assign(name, value)`.

    Args:
      name: Its name in the current `variable_scope`; `a/b` makes a scope on the way.
      shape: Its shape; may be left out when `initializer` is a value.
      dtype: Its type. Only floating variables can be trainable.
      initializer: `f(key, shape, dtype)`: one of jslim's or of `jax.nn.initializers`; or a
        number or array to start with. Default: Xavier (Glorot) uniform, zeros for other types.
      regularizer: `f(array) -> scalar`, counted once in the regularization losses, however often
        the variable is used.
      trainable: False stops its gradient and leaves it out of the trainable variables.
      collections: Further names under which `get_variables(collection=...)` and
        `apply(mutable=[name])` give it. As in TF-Slim a list replaces 'variables'. With
        'batch_stats' a variable that is not trainable lives in that Flax collection, where a
        training step can assign to it.
      device: Where it is kept: a JAX device or sharding, or TF's string. '/CPU:0' on an
        accelerator means host memory.

    Returns:
      The array, `[*shape]`.

    Raises:
      ScopeError: Outside a model function; it exists and `reuse` is not set, or the reverse;
        shapes differ; it is not among the variables that `apply` was given.
      ValueError: No shape; a trainable variable that is not floating; an unknown device.
    """
    tags = {GLOBAL} if collections is None else set(collections)
    return _make(name, shape, dtype, initializer, regularizer, trainable, tags, device)


@add_arg_scope
def model_variable(
    name: str,
    shape: Sequence[int] | int | None = None,
    dtype: Any = jnp.float32,
    initializer: Callable[..., jax.Array] | Any = None,
    regularizer: Callable[[jax.Array], jax.Array | None] | None = None,
    trainable: bool = True,
    collections: Sequence[str] | None = None,
    *,
    device: Any = None,
) -> jax.Array:
    """A `variable` that is part of the model: also one of `get_model_variables`.

    An `arg_scope` on `variable` reaches it as well, as in TF-Slim. Arguments, result and errors
    are those of `variable`.
    """
    tags = [GLOBAL, MODEL, *(collections or ())]
    keywords: dict[str, Any] = {"dtype": dtype, "trainable": trainable, "collections": tags}
    # What was not given is left to `variable`, so that a scope on `variable` still counts.
    for argument, value in (
        ("shape", shape),
        ("initializer", initializer),
        ("regularizer", regularizer),
        ("device", device),
    ):
        if value is not None:
            keywords[argument] = value
    return variable(name, **keywords)


def local_variable(initial_value: Any, validate_shape: bool = True, name: str | None = None) -> Any:
    """A variable that belongs to a run and not to the model: not trained, not restored.

    It lives in the Flax collection 'local_variables', and starts from `initial_value` in every
    `apply` that is not given that collection.

    Args:
      initial_value: A number or array.
      validate_shape: Ignored: shapes are always known.
      name: Default `Variable`, made unique.

    Returns:
      The array.

    Raises:
      ScopeError: As for `variable`.
    """
    del validate_shape
    name = name or _unnumbered(_model.unique_op_name("Variable"))
    value = jnp.asarray(initial_value)
    return _make(name, None, value.dtype, value, None, False, {LOCAL}, None)


def global_variable(
    initial_value: Any, validate_shape: bool = True, name: str | None = None
) -> jax.Array:
    """A variable outside the model that checkpoints keep: not trained, in `get_variables`.

    Args, result and errors are those of `local_variable`; it lives in 'batch_stats'.
    """
    del validate_shape
    name = name or _unnumbered(_model.unique_op_name("Variable"))
    value = jnp.asarray(initial_value)
    tags = {GLOBAL, _model.BATCH_STATS}
    return _make(name, None, value.dtype, value, None, False, tags, None)


def _unnumbered(full_name: str) -> str:
    return full_name.rpartition("/")[2]


def _make(
    name: str,
    shape: Sequence[int] | int | None,
    dtype: Any,
    initializer: Any,
    regularizer: Any,
    trainable: bool,
    tags: set[str],
    device: Any,
) -> jax.Array:
    if initializer is not None and not callable(initializer):
        initial_value = jnp.asarray(initializer, dtype)
        shape = initial_value.shape if shape is None else shape

        def initializer(key: Any, shape: tuple[int, ...], dtype: Any) -> jax.Array:
            return (
                jnp.broadcast_to(initial_value, shape) if not initial_value.ndim else initial_value
            )

    if shape is None:
        raise ValueError(
            f"variable {name!r}: shape is missing; give shape=[...], or a number or array as "
            "initializer"
        )
    shape = (shape,) if isinstance(shape, int) else tuple(int(d) for d in shape)
    # jnp.issubdtype and not NumPy's: only it knows bfloat16.
    is_floating = jnp.issubdtype(dtype, jnp.floating)
    if trainable and not is_floating:
        raise ValueError(
            f"variable {name!r}: a trainable variable must be floating, got "
            f"{jnp.dtype(dtype).name}; pass trainable=False"
        )
    if initializer is None:
        initializer = xavier_initializer() if is_floating else zeros_initializer()
    collection = _model.PARAMS
    if not trainable:
        if LOCAL in tags:
            collection = LOCAL
        elif _model.BATCH_STATS in tags or not is_floating:
            collection = _model.BATCH_STATS
    return _model.get_or_create(
        name,
        shape,
        dtype,
        initializer,
        regularizer=regularizer,
        trainable=trainable,
        collection=collection,
        tags=frozenset(tags | ({TRAINABLE} if trainable else set())),
        placement=parse_device(device, f"variable {name!r}"),
    )


def add_model_variable(var: str | jax.Array) -> None:
    """Counts an existing variable among the model variables.

    Args:
      var: Its full name, or the array that `variable` returned.

    Raises:
      ScopeError: Not a variable of the running model.
    """
    run = _model.frame("add_model_variable").run
    name = var if isinstance(var, str) else _name_of(run, var)
    if name not in run.variables:
        raise ScopeError(
            f"add_model_variable: there is no variable {name!r}"
            f"{did_you_mean(str(name), run.variables)}; create it first with slim.variable"
        )
    run.add_tag(name, MODEL)


def _name_of(run: Any, array: Any) -> str:
    for name in run.variables:
        if run.read(name) is array:
            return name
    raise ScopeError(
        f"an array of shape {jnp.shape(array)} is not itself a variable of this model (a result "
        "computed from one is not); pass the variable's name"
    )


# Finding variables -----------------------------------------------------------------------------


def named(variables: Any) -> Variables:
    """`{name: leaf}` of a variables tree, in the tree's own order.

    Args:
      variables: `{'params': {...}, 'batch_stats': {...}}`, one of those collections alone, a
        `TrainState`, or a dict that maps names to leaves already.

    Raises:
      ScopeError: One name stands in two collections.
      TypeError: Not a tree of variables.
    """
    if hasattr(variables, "params") and hasattr(variables, "batch_stats"):
        variables = {
            _model.PARAMS: variables.params,
            _model.BATCH_STATS: variables.batch_stats,
        }
    if not isinstance(variables, Mapping):
        raise TypeError(
            "the variables must be a tree such as Model.init returns, or {name: leaf}; got "
            f"{type(variables).__name__}"
        )
    if _model.PARAMS in variables or _model.BATCH_STATS in variables:
        collections = [variables[c] for c in variables if c != _model.LOCAL_VARIABLES]
    else:
        collections = [variables]
    flat: Variables = {}
    for collection in collections:
        for name, leaf in flax.traverse_util.flatten_dict(_plain(collection), sep="/").items():
            if name in flat:
                raise ScopeError(f"variable {name!r} stands in two collections of the tree")
            flat[name] = leaf
    return flat


def _plain(tree: Any) -> Any:
    return {k: _plain(v) for k, v in tree.items()} if isinstance(tree, Mapping) else tree


def _select(
    arguments: tuple[Any, ...], scope: Any, suffix: str | None, tag: str, what: str
) -> Variables:
    """The variables with `tag` that match, of the running model or of a tree given first."""
    tree = None
    if arguments and (isinstance(arguments[0], Mapping) or hasattr(arguments[0], "params")):
        tree, *rest = arguments
        arguments = tuple(rest)
    scope, suffix = (*arguments, *(scope, suffix)[len(arguments) :])
    if tree is None:
        if not _model.is_running():
            raise ScopeError(
                f"{what}: outside a model function the variables tree comes first: "
                f"{what}(variables, ...)"
            )
        run = _model.frame(what).run
        names = [name for name, info in run.variables.items() if tag in info.tags]
        read: Callable[[str], Any] = run.read
    else:
        held = named(_tagged(tree, tag, what))
        names, read = list(held), held.__getitem__
    pattern = _pattern(scope, suffix)
    return {name: read(name) for name in names if pattern.match(name + ":0")}


def _tagged(tree: Any, tag: str, what: str) -> Any:
    """The part of a variables tree that holds the variables with `tag`."""
    if tag in (GLOBAL, MODEL):
        return tree
    collection = _model.PARAMS if tag == TRAINABLE else tag
    tree = vars(tree) if hasattr(tree, "params") else tree
    if collection in tree:
        return tree[collection]
    if tag in (TRAINABLE, LOCAL):
        return tree if tag == TRAINABLE else {}
    raise ScopeError(
        f"{what}: the variables tree has no collection {tag!r} (it has {sorted(tree)}); ask for "
        f"it inside the model function, or by apply(..., mutable=[{tag!r}])"
    )


def _pattern(scope: Any, suffix: str | None) -> re.Pattern[str]:
    scope = getattr(scope, "name", scope) or ""
    if suffix is not None:
        # TF's variables are called `name:0`, and its patterns are matched against that.
        scope += ".*" + (suffix if ":" in suffix else suffix + ":")
    return re.compile(scope)


def get_variables(
    *args: Any, scope: Any = None, suffix: str | None = None, collection: str = GLOBAL
) -> Variables:
    """The variables whose full name matches, in creation order.

    Inside a model function `get_variables(scope=None, suffix=None, collection='variables')`;
    outside `get_variables(variables, scope=None, suffix=None)`.

    Args:
      *args: The variables tree where no model function is running, then scope and suffix.
      scope: A regular expression anchored at the start of the full name ('conv1' also finds
        'conv10/weights'; 'conv1/' does not), or a `VariableScope`.
      suffix: What the name ends in ('weights' also finds 'my_weights').
      collection: The TF collection to look in, or a name from `variables_collections`.

    Returns:
      `{name: array}`; empty where nothing matches.

    Raises:
      ScopeError: Outside a model function without a tree.
    """
    return _select(args, scope, suffix, collection, "get_variables")


def get_model_variables(*args: Any, scope: Any = None, suffix: str | None = None) -> Variables:
    """Those of `get_variables` that belong to the model (layers make such)."""
    return _select(args, scope, suffix, MODEL, "get_model_variables")


def get_trainable_variables(*args: Any, scope: Any = None, suffix: str | None = None) -> Variables:
    """Those of `get_variables` that an optimizer may change; of a tree, all its params."""
    return _select(args, scope, suffix, TRAINABLE, "get_trainable_variables")


def get_local_variables(*args: Any, scope: Any = None, suffix: str | None = None) -> Variables:
    """The variables that `local_variable` made."""
    return _select(args, scope, suffix, LOCAL, "get_local_variables")


def get_variables_by_suffix(*args: Any, suffix: str | None = None, scope: Any = None) -> Variables:
    """`get_variables_by_suffix([variables,] suffix, scope=None)`: names that end in `suffix`."""
    tree, (suffix, scope) = _split(args, (suffix, scope))
    return get_variables(*tree, scope=scope, suffix=suffix)


def get_variables_by_name(
    *args: Any, given_name: str | None = None, scope: Any = None
) -> Variables:
    """`get_variables_by_name([variables,] given_name, scope=None)`: the last part is that name.

    Differs from TF-Slim: `scope` holds for top-level variables too; there 'v1' was found under
    any scope.
    """
    tree, (given_name, scope) = _split(args, (given_name, scope))
    found = get_variables(*tree, scope=scope)
    return {n: v for n, v in found.items() if f"/{n}".endswith(f"/{given_name}")}


def get_unique_variable(*args: Any, var_op_name: str | None = None) -> Any:
    """`get_unique_variable([variables,] name)`: the one variable of that full name.

    Raises:
      ScopeError: No variable has that name.
    """
    tree, (name,) = _split(args, (var_op_name,))
    found = get_variables(*tree)
    if name not in found:
        starting = [n for n in found if n.startswith(str(name))]
        problem = "does not uniquely identify a variable" if starting else "is not a variable"
        raise ScopeError(f"get_unique_variable: {name!r} {problem}{did_you_mean(str(name), found)}")
    return found[name]


def get_variable_full_name(var: jax.Array) -> str:
    """The full name of an array that `variable` returned in this run of the model.

    Raises:
      ScopeError: Not a variable of the running model.
    """
    return _name_of(_model.frame("get_variable_full_name").run, var)


def get_variables_to_restore(
    *args: Any, include: Sequence[str] | None = None, exclude: Sequence[str] | None = None
) -> Variables:
    """`get_variables_to_restore([variables,] include=None, exclude=None)`.

    Differs from TF-Slim: a pattern that matches nothing is an error that offers the nearest
    names (there `exclude=['fc8']` silently excluded nothing of `vgg_16/fc8/weights`).

    Args:
      *args: The variables tree where no model function is running, then include and exclude.
      include: Patterns as for `get_variables(scope)`; None means all.
      exclude: Patterns of what to leave out.

    Returns:
      `{name: array}`, in order, without repeats.

    Raises:
      TypeError: A pattern list is neither list nor tuple.
      ScopeError: A pattern matches nothing.
    """
    tree, (include, exclude) = _split(args, (include, exclude))
    for what, patterns in (("include", include), ("exclude", exclude)):
        if patterns is not None and not isinstance(patterns, (list, tuple)):
            raise TypeError(
                f"get_variables_to_restore: {what} must be a list or tuple of patterns, got "
                f"{patterns!r}"
            )
    found = get_variables(*tree)
    chosen = found if include is None else match(found, include, "include")
    excluded = match(found, exclude, "exclude") if exclude else {}
    return {name: leaf for name, leaf in chosen.items() if name not in excluded}


def _split(
    args: tuple[Any, ...], keywords: tuple[Any, ...]
) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """The tree, if it was given first, and then the other arguments by position or keyword."""
    tree: tuple[Any, ...] = ()
    if args and (isinstance(args[0], Mapping) or hasattr(args[0], "params")):
        tree, args = args[:1], args[1:]
    return tree, (*args, *keywords[len(args) :])


def match(variables: Any, patterns: Iterable[str], what: str) -> Variables:
    """The variables that one of the patterns matches, pattern by pattern, without repeats.

    Args:
      variables: A tree or `{name: leaf}`.
      patterns: Regular expressions anchored at the start of the full name.
      what: What the patterns are, for the error: 'exclude', '--trainable_scopes'.

    Raises:
      ScopeError: A pattern matches nothing; it offers the nearest names.
    """
    held = named(variables)
    chosen: Variables = {}
    for pattern in patterns:
        found = {name: leaf for name, leaf in held.items() if re.match(pattern, name + ":0")}
        if not found:
            scopes = {"/".join(n.split("/")[:i]) for n in held for i in range(1, n.count("/") + 2)}
            near = nearest(pattern, sorted(scopes, key=len)) or sorted(held)[:3]
            raise ScopeError(
                f"{what}: {pattern!r} matches none of the {len(held)} variables; patterns are "
                "regular expressions that start where the full name starts; the nearest names "
                f"are {', '.join(map(repr, near)) or 'none'}"
            )
        chosen |= found
    return chosen


def filter_variables(
    var_list: Any,
    include_patterns: Sequence[str] | None = None,
    exclude_patterns: Sequence[str] | None = None,
    reg_search: bool = True,
) -> Variables:
    """The variables that any include pattern finds and no exclude pattern does.

    Args:
      var_list: A variables tree or `{name: leaf}`.
      include_patterns: Regular expressions; None keeps all.
      exclude_patterns: Regular expressions; None drops none.
      reg_search: Whether a pattern may match anywhere in the name (`re.search`), or only at its
        start (`re.match`). As in TF-Slim names end in ':0' for this.

    Returns:
      `{name: leaf}`, in order.
    """
    found = re.search if reg_search else re.match

    def matches(name: str, patterns: Sequence[str]) -> bool:
        return any(found(pattern, f"{name}:0") for pattern in patterns)

    return {
        name: leaf
        for name, leaf in named(var_list).items()
        if (include_patterns is None or matches(name, include_patterns))
        and not (exclude_patterns and matches(name, exclude_patterns))
    }


def mask(tree: Any, chosen: Iterable[str], what: str = "variables") -> Any:
    """A tree of bools shaped like `tree`, True where a variable is chosen: for optax's masks.

    Args:
      tree: A params tree, or a whole variables tree.
      chosen: A `{name: leaf}` dict, or full names and patterns (as for `match`).
      what: What `chosen` is, for the error.

    Raises:
      ScopeError: A name or pattern matches nothing in `tree`.
    """
    held = named(tree)
    names = set()
    for name in chosen:
        names |= {name} if name in held else set(match(held, [name], what))
    has_collections = _model.PARAMS in tree or _model.BATCH_STATS in tree

    def is_chosen(path: Any, leaf: Any) -> bool:
        keys = [entry.key for entry in path]
        return "/".join(keys[1:] if has_collections else keys) in names

    return jax.tree_util.tree_map_with_path(is_chosen, tree)


# The global step ------------------------------------------------------------------------------

_GLOBAL_STEP: contextvars.ContextVar[jax.Array | None] = contextvars.ContextVar(
    "global_step", default=None
)


@contextlib.contextmanager
def global_step_is(step: jax.Array) -> Iterator[None]:
    """Makes `step` the global step of the model functions called in the body."""
    token = _GLOBAL_STEP.set(step)
    try:
        yield
    finally:
        _GLOBAL_STEP.reset(token)


def get_global_step() -> jax.Array | None:
    """The number of the training step that runs, int32 scalar; None outside of one.

    Differs from TF-Slim: the step belongs to the `TrainState` and is counted by the train op.
    """
    return _GLOBAL_STEP.get()


def get_or_create_global_step() -> jax.Array:
    """The number of the training step that runs, int32 scalar; 0 outside of one."""
    step = _GLOBAL_STEP.get()
    return jnp.zeros((), jnp.int32) if step is None else step
