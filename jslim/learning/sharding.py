"""The shardings of a training state, from rules on the names of variables."""

import re
from collections.abc import Callable, Mapping, Sequence

import jax
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jslim.core.errors import ScopeError
from jslim.core.run import VariableInfo
from jslim.core.trees import named
from jslim.learning.state import TrainState

# From a shape and the devices to the partition of a variable.
SpecOfShape = Callable[[tuple[int, ...], Mesh], PartitionSpec]
Rules = Sequence[tuple[str, PartitionSpec | SpecOfShape]]


def largest_axis(shape: tuple[int, ...], mesh: Mesh) -> PartitionSpec:
    """The rule that splits the largest axis that the mesh's first axis divides evenly, if any.

    >>> tuple(largest_axis((3, 8, 16), jax.make_mesh((1,), ("data",))))
    (None, None, 'data')
    """
    name = mesh.axis_names[0]
    sizes = [size if size % mesh.shape[name] == 0 else 0 for size in shape]
    if not any(sizes):
        return PartitionSpec()
    axis = int(np.argmax(sizes))
    return PartitionSpec(*(name if index == axis else None for index in range(len(shape))))


# Every device has the whole state: plain data parallelism.
DATA_PARALLEL: Rules = ((".*", PartitionSpec()),)

# Every device has a part of each variable, of the optimizer's state and of the moving averages
# (ZeRO stage 3: Rajbhandari et al., 2019, https://arxiv.org/abs/1910.02054).
FULLY_SHARDED: Rules = ((".*", largest_axis),)


def state_shardings(state: TrainState, rules: Rules, mesh: Mesh) -> TrainState:
    """The sharding of every leaf of a state.

    Args:
      state: A state of arrays or `jax.ShapeDtypeStruct`s.
      rules: `(pattern, spec)`; the first pattern that matches at the start of a variable's name
        decides. Optimizer state with the name and shape of a variable has its sharding; the rest
        is on every device.
      mesh: The devices.

    Returns:
      A `TrainState` of `NamedSharding`s.

    Raises:
      ScopeError: No rule matches a variable, or a rule does not fit its shape.
    """
    whole = NamedSharding(mesh, PartitionSpec())
    variables = {**named(state.params), **named(state.batch_stats)}
    for tree in state.extra.values():
        variables |= named(tree)
    shardings = {
        name: NamedSharding(mesh, _spec_of(name, leaf.shape, rules, mesh))
        for name, leaf in variables.items()
    }

    def place(path: tuple[object, ...], leaf: jax.Array) -> NamedSharding:
        # The name of a variable is made of the keys at the end of the path.
        keys = [getattr(key, "key", None) for key in path]
        while keys and None in keys:
            keys = keys[keys.index(None) + 1 :]
        for start in range(len(keys)):
            name = "/".join(map(str, keys[start:]))
            if name in variables and variables[name].shape == leaf.shape:
                return shardings[name]
        return whole

    return jax.tree_util.tree_map_with_path(place, state)


class Gathering:
    """How layers get whole variables of a state in parts (`core.context.Gather`).

    A layer that computes in bfloat16 first casts its part of a variable. So half the bytes are
    sent, of the variable to all devices and of its gradient back.

    Args:
      shapes: The shapes of a state.
      shardings: Its shardings.
      mesh: The devices.
    """

    def __init__(self, shapes: TrainState, shardings: TrainState, mesh: Mesh):
        self._whole = NamedSharding(mesh, PartitionSpec())
        parts = named(shardings.params)
        self._parts = {name: (x.shape, parts[name]) for name, x in named(shapes.params).items()}

    def __call__(self, name: str, value: jax.Array) -> jax.Array:
        shape, sharding = self._parts.get(name, (None, self._whole))
        if shape == value.shape:  # and no slice of it, as under a lifted scan
            value = jax.lax.with_sharding_constraint(value, sharding)
        return jax.lax.with_sharding_constraint(value, self._whole)

    def rest(self, state: TrainState, infos: Mapping[str, VariableInfo]) -> TrainState:
        """The state, with the variables that no layer gathers itself whole on every device."""
        variables = {"batch_stats": state.batch_stats, "extra": state.extra}
        gathered = jax.lax.with_sharding_constraint(variables, self._whole)
        params = flatten_dict(state.params)
        for path, leaf in params.items():
            info = infos.get("/".join(path))
            if info is None or info.is_linens:
                params[path] = jax.lax.with_sharding_constraint(leaf, self._whole)
        return state.replace(params=unflatten_dict(params), **gathered)


def _spec_of(name: str, shape: tuple[int, ...], rules: Rules, mesh: Mesh) -> PartitionSpec:
    for pattern, rule in rules:
        if re.match(pattern, name):
            spec = rule if isinstance(rule, PartitionSpec) else rule(shape, mesh)
            _check_spec(name, shape, spec, mesh)
            return spec
    raise ScopeError(
        f"sharding_rules: no rule matches the variable {name!r}; patterns are anchored at the "
        "start of the name; add ('.*', PartitionSpec()) as the last rule for all others"
    )


def _check_spec(name: str, shape: tuple[int, ...], spec: PartitionSpec, mesh: Mesh) -> None:
    if len(spec) > len(shape):
        raise ScopeError(
            f"sharding_rules: {spec} has {len(spec)} axes and the variable {name!r} has shape "
            f"{shape}"
        )
    for size, axes in zip(shape, spec, strict=False):
        names = () if axes is None else axes if isinstance(axes, tuple) else (axes,)
        unknown = [axis for axis in names if axis not in mesh.shape]
        if unknown:
            raise ScopeError(
                f"sharding_rules: {spec} for the variable {name!r} names the axis {unknown[0]!r}; "
                f"the mesh has {', '.join(mesh.axis_names)}"
            )
        parts = int(np.prod([mesh.shape[axis] for axis in names], dtype=int))
        if size % parts:
            raise ScopeError(
                f"sharding_rules: {spec} does not divide the variable {name!r} of shape {shape} "
                f"evenly: an axis of {size} over {parts} devices"
            )
