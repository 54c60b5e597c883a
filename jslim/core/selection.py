"""Finding variables by scope, name, suffix or pattern, and masks over their tree.

Inside a model function the `get_*` functions see the variables that this model has made so far.
Outside they take the variables tree as first argument. In both cases they return `{name: array}`;
all functions that take a set of variables accept such a dict.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import jax

from jslim.core import checks
from jslim.core.access import frame, is_running
from jslim.core.errors import ScopeError, given_more_than_once, nearest
from jslim.core.model import Model, recorded, shapes_of
from jslim.core.names import GLOBAL, LOCAL_VARIABLES, MODEL, PARAMS, TRAINABLE, VariableScope
from jslim.core.run import VariableInfo
from jslim.core.trees import PyTree, Variables, as_mapping, has_collections, is_tree, named

Scope = str | VariableScope | None


def _arguments(what: str, args: tuple[object, ...], **keywords: Any) -> tuple[Any, list[Any]]:
    """The variables tree, if it was given first, and the values of the other arguments."""
    tree = None
    if args and is_tree(args[0]):
        tree, args = args[0], args[1:]
    elif not is_running():
        raise ScopeError(
            f"{what}: outside a model function the variables tree comes first: "
            f"{what}(variables, ...)"
        )
    twice = [name for name, _ in zip(keywords, args, strict=False) if keywords[name] is not None]
    if twice or len(args) > len(keywords):
        raise given_more_than_once(what, "variables", keywords, len(args), twice)
    return tree, [*args, *list(keywords.values())[len(args) :]]


def _select(
    what: str,
    tree: object,
    tag: str,
    scope: Scope = None,
    suffix: str | None = None,
    model: object = None,
    inputs: Sequence[object] = (),
) -> Variables:
    """The variables of the running model or of a tree that have `tag` and match."""
    read: Callable[[str], object]
    if tree is None:
        run = frame(what).run
        names = [name for name, info in run.known_variables().items() if tag in info.tags]
        read = run.read
    elif model is not None:
        infos, held = _infos_of(what, model, inputs), named(tree)
        names = [name for name in held if name in infos and tag in infos[name].tags]
        read = held.__getitem__
    else:
        held = named(_tagged(what, as_mapping(tree), tag))
        names, read = list(held), held.__getitem__
    pattern = "" if scope is None else _pattern_of(scope)
    if suffix is not None:
        # TF's variables are called `name:0`, and its patterns are matched against that.
        pattern += ".*" + (suffix if ":" in suffix else suffix + ":")
    return {name: read(name) for name in _matching(what, pattern, names)}


def _infos_of(what: str, model: object, inputs: Sequence[object]) -> Mapping[str, VariableInfo]:
    """The facts of the variables that a model makes for such inputs; nothing is computed."""
    infos = getattr(model, "variable_infos", None)  # a train op's
    if infos is None:
        made = checks.instance(what, "model", model, Model, "a slim.Model or a train op")
        with recorded() as runs:
            shapes_of(made.init, jax.random.key(0), *inputs)
        infos = {name: info for run in runs for name, info in run.variables.items()}
    return infos


def _tagged(what: str, tree: Mapping[str, object], tag: str) -> object:
    """The part of a variables tree that holds the variables with `tag`."""
    if tag in (GLOBAL, MODEL):
        return tree
    if tag == TRAINABLE:
        return tree.get(PARAMS, {}) if has_collections(tree) else tree
    if tag in tree or tag == LOCAL_VARIABLES:
        return tree.get(tag, {})
    raise ScopeError(
        f"{what}: the variables tree has no collection {tag!r} (it has {sorted(tree)}); ask for "
        f"it inside the model function, or by apply(..., mutable=[{tag!r}])"
    )


def _pattern_of(scope: str | VariableScope) -> str:
    return scope.name if isinstance(scope, VariableScope) else scope


def _matching(what: str, pattern: str, names: Iterable[str]) -> list[str]:
    matches = compile_pattern(what, pattern).match
    return [name for name in names if matches(f"{name}:0")]


def compile_pattern(what: str, pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise ScopeError(
            f"{what}: {pattern!r} is not a regular expression: {error}; escape special "
            "characters with a backslash"
        ) from None


def get_variables(
    *args: object,
    scope: Scope = None,
    suffix: str | None = None,
    collection: str | None = None,
    model: object = None,
    inputs: Sequence[object] = (),
) -> Variables:
    """`get_variables([variables,] scope=None, suffix=None, collection='variables')`: by name.

    A tree alone does not tell which of its variables are model variables, trainable, or in a
    collection of `variables_collections`. The model that made the tree tells: give `model`.

    Args:
      *args: Outside a model function the variables tree, then the other arguments by position.
      scope: A regular expression anchored at the start of the full name ('conv1' also finds
        'conv10/weights'; 'conv1/' does not), or a `VariableScope`.
      suffix: The end of the name ('weights' also finds 'my_weights').
      collection: The TF collection to look in, or a name from `variables_collections`.
      model: With a tree, the model that made it: a `slim.Model`, or a train op after its `init`.
      inputs: The arguments of that `slim.Model`, as arrays or as shapes.

    Returns:
      `{name: array}`, in creation order, or in the tree's order; empty if nothing matches.

    Raises:
      ScopeError: The call is outside a model function and without a tree; the tree has no such
        collection.

    >>> get_variables({"conv1/weights": 1, "conv1/biases": 2, "fc/weights": 3}, "conv1")
    {'conv1/weights': 1, 'conv1/biases': 2}
    """
    what = "get_variables"
    tree, found = _arguments(what, args, scope=scope, suffix=suffix, collection=collection)
    scope, suffix, collection = found
    return _select(what, tree, collection or GLOBAL, scope, suffix, model, inputs)


def get_model_variables(
    *args: object,
    scope: Scope = None,
    suffix: str | None = None,
    model: object = None,
    inputs: Sequence[object] = (),
) -> Variables:
    """The variables that belong to the model, as those of layers do.

    The arguments are those of `get_variables`. A tree without `model` gives all its variables.
    """
    tree, (scope, suffix) = _arguments("get_model_variables", args, scope=scope, suffix=suffix)
    return _select("get_model_variables", tree, MODEL, scope, suffix, model, inputs)


def get_trainable_variables(
    *args: object,
    scope: Scope = None,
    suffix: str | None = None,
    model: object = None,
    inputs: Sequence[object] = (),
) -> Variables:
    """The variables that an optimizer may change.

    The arguments are those of `get_variables`. A tree without `model` gives all its params,
    including those of layers with `trainable=False`, which a tree cannot tell apart.
    `get_trainable_variables(variables, model=model, inputs=(images,))` and
    `get_trainable_variables(state, model=train_op)` leave these out.
    """
    tree, (scope, suffix) = _arguments("get_trainable_variables", args, scope=scope, suffix=suffix)
    return _select("get_trainable_variables", tree, TRAINABLE, scope, suffix, model, inputs)


def get_local_variables(*args: object, scope: Scope = None, suffix: str | None = None) -> Variables:
    """The variables that `local_variable` made."""
    tree, found = _arguments("get_local_variables", args, scope=scope, suffix=suffix)
    return _select("get_local_variables", tree, LOCAL_VARIABLES, *found)


def get_variables_by_suffix(
    *args: object, suffix: str | None = None, scope: Scope = None
) -> Variables:
    """`get_variables_by_suffix([variables,] suffix, scope=None)`: names that end in `suffix`.

    >>> get_variables_by_suffix({"conv1/weights": 1, "conv1/biases": 2}, "biases")
    {'conv1/biases': 2}
    """
    tree, (suffix, scope) = _arguments("get_variables_by_suffix", args, suffix=suffix, scope=scope)
    return _select("get_variables_by_suffix", tree, GLOBAL, scope, suffix)


def get_variables_by_name(
    *args: object, given_name: str | None = None, scope: Scope = None
) -> Variables:
    """`get_variables_by_name([variables,] given_name, scope=None)`: by the last part of the name.

    Differs from TF-Slim: `scope` also restricts top-level variables; TF-Slim finds 'v1' under any
    scope.

    >>> get_variables_by_name({"conv1/weights": 1, "conv1/my_weights": 2}, "weights")
    {'conv1/weights': 1}
    """
    what = "get_variables_by_name"
    tree, (given_name, scope) = _arguments(what, args, given_name=given_name, scope=scope)
    found = _select(what, tree, GLOBAL, scope)
    return {n: v for n, v in found.items() if f"/{n}".endswith(f"/{given_name}")}


def get_unique_variable(*args: object, var_op_name: str | None = None) -> Any:
    """`get_unique_variable([variables,] var_op_name)`: the variable of that full name.

    Raises:
      ScopeError: No variable has that name.

    >>> get_unique_variable({"conv1/weights": 1, "conv1/biases": 2}, "conv1/biases")
    2
    """
    tree, (name,) = _arguments("get_unique_variable", args, var_op_name=var_op_name)
    found = _select("get_unique_variable", tree, GLOBAL)
    if name not in found:
        starting = [n for n in found if n.startswith(str(name))]
        problem = "does not uniquely identify a variable" if starting else "is not a variable"
        near = nearest(str(name), found) or list(found)[:3]
        raise ScopeError(
            f"get_unique_variable: {name!r} {problem}; the nearest names are "
            f"{', '.join(map(repr, near)) or 'none'}"
        )
    return found[name]


def get_variables_to_restore(
    *args: object, include: Sequence[str] | None = None, exclude: Sequence[str] | None = None
) -> Variables:
    """`get_variables_to_restore([variables,] include=None, exclude=None)`.

    Differs from TF-Slim: a pattern that matches nothing is an error that offers the nearest
    names. (In TF-Slim `exclude=['fc8']` silently does not exclude `vgg_16/fc8/weights`.)

    Args:
      *args: Outside a model function the variables tree, then `include` and `exclude`.
      include: Patterns as for `get_variables(scope)`; None means all.
      exclude: Patterns of variables to leave out.

    Returns:
      `{name: array}`, in the order of `include`, without repeats.

    Raises:
      TypeError: `include` or `exclude` is not a list or tuple.
      ScopeError: A pattern matches nothing.

    >>> tree = {"net/conv1/weights": 1, "net/fc8/weights": 2, "net/fc8/biases": 3}
    >>> get_variables_to_restore(tree, exclude=["net/fc8"])
    {'net/conv1/weights': 1}
    """
    what = "get_variables_to_restore"
    tree, (include, exclude) = _arguments(what, args, include=include, exclude=exclude)
    for argument, patterns in (("include", include), ("exclude", exclude)):
        if patterns is not None and not isinstance(patterns, (list, tuple)):
            accepted = "a list or tuple of patterns"
            raise checks.refusal(what, argument, accepted, repr(patterns), kind=TypeError)
    found = _select(what, tree, GLOBAL)
    chosen = found if include is None else match(found, include, "include")
    excluded = match(found, exclude, "exclude") if exclude else {}
    return {name: leaf for name, leaf in chosen.items() if name not in excluded}


def _check_not_text(what: str, patterns: object) -> None:
    if isinstance(patterns, str):
        accepted = "given as a list"
        raise checks.refusal(what, "patterns", accepted, repr(patterns), kind=TypeError)


def match(variables: object, patterns: Iterable[str | VariableScope], what: str) -> Variables:
    """The variables that one of the patterns matches, pattern by pattern, without repeats.

    Args:
      variables: A tree or `{name: leaf}`.
      patterns: Regular expressions anchored at the start of the full name, or `VariableScope`s.
      what: The name of the patterns in the error: 'exclude', '--trainable_scopes'.

    Raises:
      TypeError: `patterns` is one string.
      ScopeError: A pattern matches nothing; the error offers the nearest names.

    >>> match({"conv1/weights": 1, "fc/weights": 2, "fc/biases": 3}, ["fc", ".*weights"], "scopes")
    {'fc/weights': 2, 'fc/biases': 3, 'conv1/weights': 1}
    """
    _check_not_text(what, patterns)
    held = named(variables)
    chosen: Variables = {}
    for pattern in map(_pattern_of, patterns):
        found = {name: held[name] for name in _matching(what, pattern, held)}
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
    var_list: object,
    include_patterns: Sequence[str] | None = None,
    exclude_patterns: Sequence[str] | None = None,
    reg_search: bool = True,
) -> Variables:
    """The variables that some include pattern finds and no exclude pattern finds.

    Args:
      var_list: A variables tree or `{name: leaf}`.
      include_patterns: Regular expressions; None keeps all.
      exclude_patterns: Regular expressions; None drops none.
      reg_search: Whether a pattern may match anywhere in the name (`re.search`), or only at its
        start (`re.match`). The name that is matched ends in ':0', as in TF-Slim.

    Returns:
      `{name: leaf}`, in order.

    Raises:
      TypeError: `include_patterns` or `exclude_patterns` is one string.

    >>> filter_variables({"conv1/weights": 1, "fc/weights": 2, "fc/biases": 3}, ["weights"], ["fc"])
    {'conv1/weights': 1}
    """

    def finders(what: str, patterns: Sequence[str] | None) -> list[Callable[[str], object]]:
        _check_not_text(f"filter_variables: {what}", patterns)
        compiled = [compile_pattern("filter_variables", pattern) for pattern in patterns or ()]
        return [pattern.search if reg_search else pattern.match for pattern in compiled]

    included = finders("include_patterns", include_patterns)
    excluded = finders("exclude_patterns", exclude_patterns)
    return {
        name: leaf
        for name, leaf in named(var_list).items()
        if (include_patterns is None or any(find(f"{name}:0") for find in included))
        and not any(find(f"{name}:0") for find in excluded)
    }


def select(held: Variables, chosen: Iterable[str], what: str) -> list[str]:
    """The names of `held` that are chosen, each once.

    Args:
      held: `{name: leaf}`.
      chosen: Full names, also with ':0' at the end, and patterns as for `match`.
      what: As for `match`, as are the errors.
    """
    _check_not_text(what, chosen)
    names: dict[str, None] = {}
    for name in chosen:
        exact = str(name).removesuffix(":0")
        names |= dict.fromkeys([exact] if exact in held else match(held, [name], what))
    return list(names)


def mask(tree: PyTree, chosen: Iterable[str], what: str = "variables") -> PyTree:
    """A tree of bools shaped like `tree`, True for chosen variables: a mask for optax.

    Args:
      tree: A params tree, or a whole variables tree.
      chosen: A `{name: leaf}` dict, or full names and patterns (as for `match`).
      what: The name of `chosen` in the error.

    Raises:
      TypeError: `chosen` is one string.
      ScopeError: A name or pattern matches nothing in `tree`.

    >>> mask({"conv1": {"weights": 1.0}, "fc": {"weights": 2.0}}, ["fc"])
    {'conv1': {'weights': False}, 'fc': {'weights': True}}
    """
    names = set(select(named(tree), chosen, what))
    depth = 1 if has_collections(as_mapping(tree)) else 0

    def is_chosen(path: Sequence[jax.tree_util.DictKey], leaf: object) -> bool:
        return "/".join(entry.key for entry in path[depth:]) in names

    return jax.tree_util.tree_map_with_path(
        is_chosen, tree, is_leaf=lambda node: not isinstance(node, Mapping)
    )
