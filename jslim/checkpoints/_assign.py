"""Puts values of a checkpoint, or given ones, into the variables of a model."""

import dataclasses
import functools
import logging
import math
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence

import jax
import numpy as np
from numpy.typing import ArrayLike

from jslim.checkpoints import _trees
from jslim.checkpoints._differences import MAX_LINES, Difference, RestoreReport, lines_of
from jslim.checkpoints._format import MODEL_COLLECTIONS, Leaf, variable_names
from jslim.checkpoints._readers import CheckpointReader, open_checkpoint
from jslim.core.errors import RestoreError, did_you_mean
from jslim.core.text import some_of
from jslim.core.trees import PyTree, Variables

_logger = logging.getLogger("jslim")

Assign = Callable[[PyTree, Mapping[str, ArrayLike]], PyTree]


@dataclasses.dataclass(eq=False)
class InitFn:
    """Gives a training state, or a variables tree, the values of a checkpoint.

    Attributes:
        report: the `RestoreReport` of the last call, None before it.
    """

    _reader: CheckpointReader
    _sources: dict[str, str]
    _reshape: bool
    _excused: Mapping[str, Sequence[str] | None]
    report: RestoreReport | None = None

    def __call__(self, state: PyTree) -> PyTree:
        """Returns `state` with the variables read; all that does not fit is named at once.

        Args:
            state: a training state (with `params`, `batch_stats` and `replace`), or a variables
                tree; its other parts come back as they are.

        Raises:
            RestoreError: a variable is missing in the checkpoint or has another shape there, the
                model does not have it, or the checkpoint has what nothing is read from, and no
                pattern excuses that; or a pattern excuses nothing. Nothing was read.
        """
        leaves = _variables(state)
        held = self._reader.get_variable_to_shape_map()
        dtypes = self._reader.get_variable_to_dtype_map()
        wanted = dict.fromkeys(self._sources.values())
        present = {v: name for v, name in self._sources.items() if name in held}
        given = {v: Leaf(name, held[name], dtypes[name], 0) for v, name in present.items()}
        misfits = _misfits(leaves, given, "checkpoint", reshape=self._reshape)
        self.report = RestoreReport(
            path=self._reader.path,
            loaded=tuple(v for v in present if v not in misfits),
            missing=tuple(name for name in wanted if name not in held),
            unused=tuple(name for name in held if name not in wanted),
            mismatched=misfits,
        )
        problems = _without_excused(
            {
                "missing": _missing(self.report.missing, held),
                "mismatched": _mismatched(misfits),
                "unused": [
                    Difference(name, "that are not read", f"{name} is not read".__str__)
                    for name in self.report.unused
                ],
            },
            self._excused,
        )
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
    """The lines of what no pattern excuses, and of the patterns that excuse nothing."""
    left: list[Difference] = []
    lines: list[str] = []
    for kind, problems in found.items():
        patterns = excused[kind]
        if patterns is None:  # which for what is unused means that it does not matter
            left += [] if kind == "unused" else problems
            continue
        left += [
            problem
            for problem in problems
            if not any(re.match(pattern, problem.name) for pattern in patterns)
        ]
        for pattern in patterns:
            if not any(re.match(pattern, problem.name) for problem in problems):
                lines.append(
                    f"allow_{kind} has {pattern!r}, and nothing {kind} starts like that"
                    f"{did_you_mean(pattern, [problem.name for problem in problems])}"
                )
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
    """Returns an `init_fn` for `learning.train` that reads variables of a checkpoint.

    The checkpoint is jslim's or TensorFlow's, of version V1 or V2; no more of it is read from the
    disk than these variables.

    Differs from TF-Slim: `init_fn(state)` returns the new state; a dtype that differs is an
    error like a shape that does; all problems are raised at once.

    Args:
        model_path: a checkpoint, or a training directory (its newest whole checkpoint is read);
            of TensorFlow's, what `tf_checkpoint.load_checkpoint` takes.
        var_list: what to read: `{name: leaf}` as `get_variables_to_restore` gives it, a list of
            names, a variables tree, or `{name in the checkpoint: variable name, or several}`.
        ignore_missing_vars: leaves variables as they are that the checkpoint does not have, with
            a warning, instead of raising.
        reshape_variables: also reads an array of another shape with as many elements.
        name_fn: gives the name in the checkpoint for the name of a variable in `var_list`.
        allow_missing: patterns, anchored at the start of the name as everywhere, for names that
            the checkpoint may lack; each must excuse some. Their variables stay as they are.
        allow_mismatched: patterns for variables that may have another shape or dtype in it.
        allow_unused: patterns for names in it that nothing is read from. None, and not an empty
            list, allows all: optimizer slots and heads are left over as a rule.

    Returns:
        The function, whose `report` says afterwards what was read; None when `var_list` names
        nothing that the checkpoint has and `ignore_missing_vars` is set.

    Raises:
        ValueError: `var_list` is empty, or reads one variable from two names.
        RestoreError: there is no such checkpoint, or it is broken.
    """
    sources = _sources(var_list) if var_list else {}
    if not sources:
        raise ValueError("var_list cannot be empty")
    if name_fn is not None:
        sources = {variable: name_fn(name) for variable, name in sources.items()}
    excused = {
        "missing": allow_missing,
        "mismatched": allow_mismatched,
        "unused": allow_unused,
    }
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
    """Reads variables of a checkpoint, and gives the function that assigns them.

    Differs from TF-Slim: instead of `session.run(assign_op, feed_dict)` write
    `state = assign(state, values)`.

    Args:
        model_path: as for `assign_from_checkpoint_fn`.
        var_list: as for `assign_from_checkpoint_fn`; may be empty.
        ignore_missing_vars: as for `assign_from_checkpoint_fn`.

    Returns:
        `assign` and `values`, `{variable name: array}`.

    Raises:
        RestoreError: the checkpoint is missing a variable, or cannot be read.
    """
    reader = open_checkpoint(model_path)
    sources = _sources(var_list)
    if ignore_missing_vars:
        sources = _without_missing(reader, sources)
    missing = [name for name in sources.values() if not reader.has_tensor(name)]
    if missing:
        held = reader.get_variable_to_shape_map()
        raise RestoreError(
            f"checkpoint {reader.path} is missing {len(missing)} variables:\n  "
            + "\n  ".join(lines_of(_missing(dict.fromkeys(missing), held)))
        )
    tensors = reader.get_tensors(dict.fromkeys(sources.values()))

    def assign(state: PyTree, values: Mapping[str, ArrayLike]) -> PyTree:
        leaves = _variables(state)
        given = {name: _trees.describe(name, value) for name, value in values.items()}
        misfits = _misfits(leaves, given, "checkpoint", reshape=False)
        if misfits:
            raise RestoreError(
                f"checkpoint {reader.path} does not fit the model:\n  "
                + "\n  ".join(lines_of(_mismatched(misfits)))
            )
        return _assigned(state, values)

    return assign, {variable: tensors[name] for variable, name in sources.items()}


def assign_from_values(
    var_names_to_values: Mapping[str, ArrayLike],
) -> tuple[Assign, dict[str, np.ndarray]]:
    """Gives the function that assigns values to variables, and the values as arrays.

    Differs from TF-Slim: instead of `session.run(assign_op, feed_dict)` write
    `state = assign(state, values)`, and a name is that of one variable, never the start of one.

    Args:
        var_names_to_values: `{variable name: array}`; an array is given the variable's dtype
            and shape, which must have as many elements.

    Returns:
        `assign` and `values`. `assign` raises ValueError for a variable that is not there, and
        for a value of another size or kind.
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
            raise ValueError(
                "assign_from_values: these values cannot be assigned:\n  "
                + "\n  ".join(lines_of(_mismatched(misfits)))
            )
        return _assigned(state, arrays)

    return assign, {name: np.asarray(value) for name, value in var_names_to_values.items()}


def assign_from_values_fn(
    var_names_to_values: Mapping[str, ArrayLike],
) -> Callable[[PyTree], PyTree]:
    """Returns an `init_fn` for `learning.train` that assigns these values.

    Args:
        var_names_to_values: as for `assign_from_values`.
    """
    assign, values = assign_from_values(var_names_to_values)
    return lambda state: assign(state, values)


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
        if isinstance(value, list | tuple):
            several = list(value)
        else:  # A leaf, as in get_variables_to_restore's {name: leaf}, stands for its own name.
            several = [value if isinstance(value, str) else name]
        for variable in several:
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


def _missing(names: Iterable[str], held: Mapping[str, object]) -> list[Difference]:
    def line(name: str) -> str:
        return f"{name} is not in the checkpoint{did_you_mean(name, held)}"

    kind = "that are not in the checkpoint"
    return [Difference(name, kind, functools.partial(line, name)) for name in names]


def _mismatched(lines: Mapping[str, str]) -> list[Difference]:
    return [Difference(name, "that do not fit", line.__str__) for name, line in lines.items()]


def _collections(state: PyTree) -> dict[str, PyTree]:
    return {collection: getattr(state, collection) for collection in MODEL_COLLECTIONS}


def _variables(state: PyTree) -> Variables:
    """`{variable name: leaf}` of a training state or a variables tree."""
    if hasattr(state, "params"):
        state = _collections(state)
    leaves = _trees.named_leaves(state)
    return {name: leaves[leaf_name] for name, leaf_name in variable_names(leaves).items()}


def _misfits(
    leaves: Variables, given: Mapping[str, Leaf], source: str, *, reshape: bool
) -> dict[str, str]:
    """For each variable that cannot take what is given for it, a line that says why."""
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
    """A copy of `state` where these variables have these values."""
    if hasattr(state, "params"):
        variables = _assigned(_collections(state), values)
        # A TrainState's also starts the moving averages anew.
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
