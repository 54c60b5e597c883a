"""Putting values of a checkpoint, or given ones, into the variables of a model."""

import dataclasses
import logging
import math
import os
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

import jax
import numpy as np
from numpy.typing import ArrayLike

from jslim.checkpoints import _trees
from jslim.checkpoints._differences import MAX_LINES, Difference, RestoreReport, lines_of
from jslim.checkpoints._format import Leaf
from jslim.checkpoints._names import variable_names
from jslim.checkpoints._readers import CheckpointReader, open_checkpoint
from jslim.core.errors import RestoreError, did_you_mean
from jslim.core.text import some_of
from jslim.core.trees import PyTree, Variables, as_mapping

_logger = logging.getLogger("jslim")

Assign = Callable[[PyTree, Mapping[str, ArrayLike]], PyTree]


@dataclasses.dataclass(eq=False)
class InitFn:
    """Puts the values of a checkpoint into a training state or a variables tree.

    Attributes:
      report: The `RestoreReport` of the last call, None before it.
    """

    _reader: CheckpointReader
    _sources: dict[str, str]
    _reshape: bool
    _excused: Mapping[str, Sequence[str] | None]
    report: RestoreReport | None = None

    def __call__(self, state: PyTree) -> PyTree:
        """`state` with the values of the checkpoint.

        Args:
          state: A training state (with `params`, `batch_stats` and `replace`), or a variables
            tree; its other parts come back as they are.

        Raises:
          RestoreError: A variable is missing in the checkpoint or in the model, or has another
            shape or dtype; an array of the checkpoint is not read; and no pattern excuses that. Or
            a pattern excuses nothing. The error lists all problems, and nothing was read.
        """
        held = self._reader.get_variable_to_shape_map()
        dtypes = self._reader.get_variable_to_dtype_map()
        wanted = dict.fromkeys(self._sources.values())
        present = {v: name for v, name in self._sources.items() if name in held}
        given = {v: Leaf(name, held[name], dtypes[name]) for v, name in present.items()}
        misfits = _misfits(_variables(state), given, "checkpoint", reshape=self._reshape)
        self.report = RestoreReport(
            path=self._reader.path,
            loaded=tuple(v for v in present if v not in misfits),
            missing=tuple(name for name in wanted if name not in held),
            unused=tuple(name for name in held if name not in wanted),
            mismatched=misfits,
        )
        kind = "that are not read"
        found = {
            "missing": _missing(self.report.missing, held),
            "mismatched": _mismatched(misfits),
            "unused": [Difference(n, kind, f"{n} is not read") for n in self.report.unused],
        }
        problems = _without_excused(found, self._excused)
        if problems:
            raise RestoreError(
                f"{self.report}; leave out what shall not be read, for example with "
                f"get_variables_to_restore(exclude=[...]):\n  " + "\n  ".join(problems)
            )
        loaded = {v: present[v] for v in self.report.loaded}
        values = self._reader.get_tensors(dict.fromkeys(loaded.values()))
        return _assigned(state, {v: values[name] for v, name in loaded.items()})


def _without_excused(
    found: dict[str, list[Difference]], excused: Mapping[str, Sequence[str] | None]
) -> list[str]:
    """Lines for the problems that no pattern excuses, and for patterns that excuse none."""
    left: list[Difference] = []
    lines: list[str] = []
    for kind, problems in found.items():
        patterns = excused[kind]
        if kind == "unused" and patterns is None:
            continue
        names = [problem.name for problem in problems]
        allowed = {p: {name for name in names if re.match(p, name)} for p in patterns or ()}
        left += [
            problem for problem in problems if problem.name not in set().union(*allowed.values())
        ]
        lines += [
            f"allow_{kind} has {pattern!r}, and nothing {kind} starts like that"
            f"{did_you_mean(pattern, names)}"
            for pattern, matches in allowed.items()
            if not matches
        ]
    return [*lines_of(left), *lines]


def assign_from_checkpoint_fn(
    model_path: str | os.PathLike[str],
    var_list: PyTree,
    ignore_missing_vars: bool = False,
    reshape_variables: bool = False,
    *,
    name_fn: Callable[[str], str] | None = None,
    allow_missing: Sequence[str] | None = None,
    allow_mismatched: Sequence[str] | None = None,
    allow_unused: Sequence[str] | None = None,
) -> InitFn | None:
    """Makes an `init_fn` for `learning.train` that reads variables of a checkpoint.

    The checkpoint is jslim's, TensorFlow's of version V1 or V2, or a safetensors file. Only these
    variables are read from the disk.

    Differs from TF-Slim: `init_fn(state)` returns the new state; a different dtype is an error,
    like a different shape; all problems are raised at once.

    Args:
      model_path: A checkpoint, or a training directory, whose newest whole checkpoint is read; for
        TensorFlow, as `tf_checkpoint.load_checkpoint` takes it.
      var_list: What to read: `{name: leaf}` as from `get_variables_to_restore`, a list of names, a
        variables tree, or `{name in the checkpoint: variable name, or several}`.
      ignore_missing_vars: Whether variables that the checkpoint lacks stay as they are, with a
        warning; otherwise they are an error.
      reshape_variables: Whether to read arrays of another shape with as many elements.
      name_fn: Maps the name of a variable in `var_list` to its name in the checkpoint.
      allow_missing: Patterns, anchored at the start of the name, for names that the checkpoint may
        lack; their variables stay as they are. Each pattern must match some.
      allow_mismatched: Patterns for variables that may differ in shape or dtype.
      allow_unused: Patterns for names in the checkpoint that are not read. None allows all, since
        optimizer slots and heads are usually left over; an empty list allows none.

    Returns:
      A function with an attribute `report`, a `RestoreReport` of its last call. None if
      `ignore_missing_vars` is set and the checkpoint has none of the variables.

    Raises:
      ValueError: `var_list` is empty, or reads one variable from two names.
      RestoreError: There is no such checkpoint, or it is broken.
    """
    sources = _sources(var_list) if var_list else {}
    if not sources:
        raise ValueError("var_list cannot be empty")
    if name_fn is not None:
        sources = {variable: name_fn(name) for variable, name in sources.items()}
    excused = {"missing": allow_missing, "mismatched": allow_mismatched, "unused": allow_unused}
    for kind, patterns in excused.items():
        if isinstance(patterns, str):
            raise TypeError(f"allow_{kind} must be a list of patterns, got {patterns!r}.")
    reader = open_checkpoint(model_path)
    if ignore_missing_vars:
        sources = _without_missing(reader, sources)
        if not sources:
            return None
    return InitFn(reader, sources, reshape_variables, excused)


def assign_from_checkpoint(
    model_path: str | os.PathLike[str], var_list: PyTree, ignore_missing_vars: bool = False
) -> tuple[Assign, dict[str, np.ndarray]]:
    """Reads variables of a checkpoint, for `state = assign(state, values)`.

    Differs from TF-Slim: there `session.run(assign_op, feed_dict)` assigns.

    Args:
      model_path: As for `assign_from_checkpoint_fn`.
      var_list: As for `assign_from_checkpoint_fn`; may be empty.
      ignore_missing_vars: As for `assign_from_checkpoint_fn`.

    Returns:
      `(assign, values)`; `values` is `{variable name: array}`.

    Raises:
      RestoreError: The checkpoint lacks a variable, or cannot be read.
    """
    reader = open_checkpoint(model_path)
    sources = _sources(var_list)
    if ignore_missing_vars:
        sources = _without_missing(reader, sources)
    missing = [name for name in sources.values() if not reader.has_tensor(name)]
    if missing:
        problems = _missing(dict.fromkeys(missing), reader.get_variable_to_shape_map())
        what = f"checkpoint {reader.path} is missing {len(missing)} variables"
        raise RestoreError(_listed(what, problems))
    tensors = reader.get_tensors(dict.fromkeys(sources.values()))

    def assign(state: PyTree, values: Mapping[str, ArrayLike]) -> PyTree:
        given = {name: _trees.describe(name, value) for name, value in values.items()}
        misfits = _misfits(_variables(state), given, "checkpoint", reshape=False)
        if misfits:
            what = f"checkpoint {reader.path} does not fit the model"
            raise RestoreError(_listed(what, _mismatched(misfits)))
        return _assigned(state, values)

    return assign, {variable: tensors[name] for variable, name in sources.items()}


def assign_from_values(
    var_names_to_values: Mapping[str, ArrayLike],
) -> tuple[Assign, dict[str, np.ndarray]]:
    """Prepares values of variables, for `state = assign(state, values)`.

    Differs from TF-Slim: there `session.run(assign_op, feed_dict)` assigns, and a name may be a
    prefix of several variables. Here each name is the full name of one variable.

    Args:
      var_names_to_values: `{variable name: array}`; an array takes the dtype and the shape of the
        variable, which must have as many elements.

    Returns:
      `(assign, values)`. `assign` raises ValueError if there is no such variable, or if the value
      has another size or kind.

    Example:
      >>> import numpy as np
      >>> assign, values = assign_from_values({"w": [1, 2]})
      >>> assign({"params": {"w": np.zeros(2)}}, values)["params"]["w"].tolist()
      [1.0, 2.0]
    """

    def assign(state: PyTree, values: Mapping[str, ArrayLike]) -> PyTree:
        leaves = _variables(state)
        arrays = {}
        for name, value in values.items():
            arrays[name] = np.asarray(value)
            dtype = leaves[name].dtype if name in leaves else arrays[name].dtype
            if np.can_cast(arrays[name].dtype, dtype, "same_kind"):
                arrays[name] = arrays[name].astype(dtype)
        given = {name: _trees.describe(name, array) for name, array in arrays.items()}
        misfits = _misfits(leaves, given, "values", reshape=True)
        if misfits:
            what = "assign_from_values: these values cannot be assigned"
            raise ValueError(_listed(what, _mismatched(misfits)))
        return _assigned(state, arrays)

    return assign, {name: np.asarray(value) for name, value in var_names_to_values.items()}


def assign_from_values_fn(
    var_names_to_values: Mapping[str, ArrayLike],
) -> Callable[[PyTree], PyTree]:
    """Makes an `init_fn` for `learning.train` that assigns these values.

    Args:
      var_names_to_values: As for `assign_from_values`.
    """
    assign, values = assign_from_values(var_names_to_values)
    return lambda state: assign(state, values)


def _listed(what: str, problems: Sequence[Difference]) -> str:
    return "\n  ".join([f"{what}:", *lines_of(problems)])


def _sources(var_list: PyTree) -> dict[str, str]:
    """`{variable name: name in the checkpoint}` for every form of `var_list`."""
    is_nested = isinstance(var_list, Mapping) and any(
        isinstance(value, Mapping) for value in var_list.values()
    )
    if is_nested or hasattr(var_list, "params"):
        var_list = _variables(var_list)
    if isinstance(var_list, Mapping):
        entries = list(var_list.items())
    elif isinstance(var_list, list | tuple):
        entries = [(name, name) for name in var_list]
    else:
        raise TypeError(
            f"var_list must be a list of names, a variables tree or a dict, got {var_list!r}."
        )
    sources: dict[str, str] = {}
    for name, value in entries:
        # A leaf, as in get_variables_to_restore's {name: leaf}, stands for its own name.
        one = value if isinstance(value, str) else name
        for variable in value if isinstance(value, list | tuple) else [one]:
            if not isinstance(variable, str):
                raise TypeError(
                    f"var_list must name variables, got a {type(variable).__name__}; give names, "
                    f"{{name: leaf}}, or {{name in the checkpoint: variable name}}."
                )
            if sources.setdefault(variable, name) != name:
                raise ValueError(
                    f"var_list reads variable {variable!r} from both {sources[variable]!r} and "
                    f"{name!r}; keep one."
                )
    return sources


def _without_missing(reader: CheckpointReader, sources: dict[str, str]) -> dict[str, str]:
    missing = [name for name in dict.fromkeys(sources.values()) if not reader.has_tensor(name)]
    if missing:
        _logger.warning(
            "checkpoint %s does not have %d of the variables, which stay as they are: %s",
            reader.path,
            len(missing),
            some_of(missing, MAX_LINES),
        )
    return {variable: name for variable, name in sources.items() if name not in missing}


def _missing(names: Iterable[str], held: Collection[str]) -> list[Difference]:
    kind = "that are not in the checkpoint"
    return [Difference(name, kind, f"{name} is not in the checkpoint", held) for name in names]


def _mismatched(lines: Mapping[str, str]) -> list[Difference]:
    return [Difference(name, "that do not fit", line) for name, line in lines.items()]


def _variables(state: PyTree) -> Variables:
    """`{variable name: leaf}` of a training state or a variables tree."""
    leaves = _trees.named_leaves(as_mapping(state))
    return {name: leaves[leaf_name] for name, leaf_name in variable_names(leaves).items()}


def _misfits(
    leaves: Variables, given: Mapping[str, Leaf], source: str, *, reshape: bool
) -> dict[str, str]:
    """For each value that does not fit its variable, a line that says why."""
    lines: dict[str, str] = {}
    for name, leaf in given.items():
        if name not in leaves:
            near = did_you_mean(name, leaves) if len(lines) < MAX_LINES else ""
            lines[name] = f"{name} is not a variable of the model{near}"
            continue
        wanted = _trees.describe(name, leaves[name])
        same_size = reshape and math.prod(leaf.shape) == math.prod(wanted.shape)
        if leaf.dtype != wanted.dtype or not (leaf.shape == wanted.shape or same_size):
            lines[name] = f"{name} is {wanted} in the model, {leaf} in the {source}"
    return lines


def _assigned(state: PyTree, values: Mapping[str, ArrayLike]) -> PyTree:
    """A copy of `state` with these values of variables."""
    if hasattr(state, "params"):
        variables = _assigned(as_mapping(state), values)
        # That of a TrainState also starts the moving averages anew.
        replace_variables = getattr(state, "replace_variables", lambda new: state.replace(**new))
        return replace_variables(variables)
    leaves = _trees.named_leaves(state)
    names = {leaf_name: name for name, leaf_name in variable_names(leaves).items()}
    new_leaves = [
        _trees.place(np.reshape(values[names[leaf_name]], leaf.shape), None, leaf, None)
        if names[leaf_name] in values
        else leaf
        for leaf_name, leaf in leaves.items()
    ]
    return jax.tree.unflatten(jax.tree.structure(state), new_leaves)
