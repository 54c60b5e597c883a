"""Variables of other frameworks' networks under TF-Slim's names, in TF-Slim's layout."""

import functools
import logging
import math
import re
from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jslim.core.errors import RestoreError, did_you_mean
from jslim.core.model import Model, shapes_of
from jslim.core.selection import get_variables
from jslim.core.text import some_of
from jslim.nets import nets_factory
from jslim.weights import _keras, _timm
from jslim.weights._rules import Names

logger = logging.getLogger("jslim")

Framework = Literal["timm", "keras"]
_NETWORKS = {"timm": _timm.NETWORKS, "keras": _keras.NETWORKS}
# The ends of the names of a batch normalization's scale and shift.
_ENDS = {"timm": (".weight", ".bias"), "keras": ("/gamma", "/beta")}


class Foreign(NamedTuple):
    """A network of another framework.

    Attributes:
      framework: timm or Keras.
      model: Its name there, such as `inception_v4` or `MobileNetV2`.
    """

    framework: Framework
    model: str

    def __str__(self) -> str:
        return f"{self.framework}/{self.model}"

    @property
    def names(self) -> Names:
        """The names of its layers."""
        return _NETWORKS[self.framework][self.model]

    @property
    def network(self) -> str:
        """The network of `jslim.nets`."""
        return self.names.network


def foreign_networks() -> list[Foreign]:
    """All networks that can be translated."""
    return [Foreign("timm", m) for m in _timm.NETWORKS] + [
        Foreign("keras", m) for m in _keras.NETWORKS
    ]


class _Variable(NamedTuple):
    """A variable of TF-Slim, and its name elsewhere; None where it has none."""

    scope: str
    leaf: str
    shape: tuple[int, ...]
    theirs: str | None


def _shapes(network: str, num_classes: int) -> dict[str, tuple[int, ...]]:
    row = nets_factory.get_network(network)
    model = Model(nets_factory.get_network_fn(network, num_classes))
    images = jax.ShapeDtypeStruct((1, row.image_size, row.image_size, 3), jnp.float32)
    shapes = shapes_of(model.init, jax.random.key(0), images)
    return {name: leaf.shape for name, leaf in get_variables(shapes).items()}


@functools.lru_cache(maxsize=64)
def _variables(foreign: Foreign, num_classes: int) -> dict[str, _Variable]:
    """`{name of TF-Slim: variable}` of a network with so many classes."""
    shapes = _shapes(foreign.network, num_classes)
    # The scope of the network, where all its variables have one.
    roots = {name.split("/")[0] for name in shapes}
    root = f"{roots.pop()}/" if len(roots) == 1 else ""
    places: dict[str, tuple[str, str]] = {}
    for name in shapes:
        scope, _, leaf = name.removeprefix(root).rpartition("/")
        places[name] = scope, leaf
    if foreign.framework == "keras":
        names = _keras.names_of(foreign.model, places.values())
    else:
        names = _timm.names_of(foreign.model, places.values())
    return {
        name: _Variable(*place, shapes[name], names.get(place)) for name, place in places.items()
    }


def fits(foreign: Foreign, shapes: Mapping[str, tuple[int, ...]]) -> bool:
    """Whether arrays of these shapes, by the framework's names, are of this network."""
    held = _held(foreign, shapes)
    head = held.get(_head(foreign))
    if head is None:
        return False
    return all(
        variable.theirs is None
        or (
            (theirs := held.get(_key(foreign, variable.theirs))) is not None
            and math.prod(shapes[theirs]) == math.prod(variable.shape)
        )
        for variable in _variables(foreign, shapes[head][0]).values()
    )


def _head(foreign: Foreign) -> str:
    """The name of the biases of the head, as a key of `_held`."""
    return foreign.names.head + ("/bias" if foreign.framework == "keras" else ".bias")


def _key(foreign: Foreign, theirs: str) -> str:
    """A framework's name as a key of `_held`: Keras's files differ in capital letters."""
    return theirs.lower() if foreign.framework == "keras" else theirs


def _held(foreign: Foreign, names: Iterable[str]) -> dict[str, str]:
    """`{key: name in the file}` of variables."""
    if foreign.framework == "keras":
        return _keras.plain_names(names, foreign.model)
    return {name: name for name in names if not name.endswith("num_batches_tracked")}


def to_tf_slim(
    foreign: Foreign, arrays: Mapping[str, np.ndarray], where: str
) -> dict[str, np.ndarray]:
    """The variables of a network, by TF-Slim's names; auxiliary heads that it lacks are left out.

    A scale of a batch normalization that TF-Slim's network does not have goes into the kernel and
    the moving mean before it: inference is equal. In training it is not, if a scale is not 1, and
    the log says so.

    Args:
      foreign: The network.
      arrays: `{name: array}` of the framework: timm's as in its state dict, Keras's as
        `layer/variable`.
      where: The file, for errors.

    Raises:
      RestoreError: A variable is missing, or has another shape, or there are variables that the
        network does not have.
    """
    held = _held(foreign, arrays)
    head = held.get(_head(foreign))
    if head is None:
        raise RestoreError(
            f"{where} is of {foreign.model} without its head, {foreign.names.head}; give the file "
            "with the classes"
        )
    variables = _variables(foreign, len(arrays[head]))
    sources = {name: _key(foreign, v.theirs) for name, v in variables.items() if v.theirs}
    if missing := [key for key in sources.values() if key not in held]:
        raise RestoreError(
            f"{where} lacks {some_of(missing, 3)} of {foreign.model}; is it of another network?"
        )
    found = {}
    for name, key in sources.items():
        array, variable = arrays[held.pop(key)], variables[name]
        try:
            found[name] = _laid_out(foreign, variable, array)
        except ValueError:
            raise RestoreError(
                f"{variable.theirs} in {where} has shape {array.shape}, which does not fit {name} "
                f"of {foreign.network}, {variable.shape}; is it of another network?"
            ) from None
    scales = _fold_scales(foreign, sources, found, held, arrays)
    if held:
        raise RestoreError(
            f"{where} holds {some_of(list(held), 3)}, which {foreign.model} does not have; is it "
            "of another network?"
        )
    if scales:
        logger.warning(
            "%s has scales of batch normalizations that %s lacks, %s: they are now part of the "
            "kernels; predictions are equal, but training starts from other gradients",
            where,
            foreign.network,
            some_of(scales, 2),
        )
    return found


def _laid_out(foreign: Foreign, variable: _Variable, array: np.ndarray) -> np.ndarray:
    if foreign.framework == "timm":
        return _timm.to_tf_slim(array, variable.leaf, variable.shape)
    is_first_of_vgg = variable.scope == "conv1/conv1_1" and variable.leaf == "weights"
    return _keras.to_tf_slim(array, variable.shape, is_first_of_vgg=is_first_of_vgg)


def _fold_scales(
    foreign: Foreign,
    sources: Mapping[str, str],
    found: dict[str, np.ndarray],
    held: dict[str, str],
    arrays: Mapping[str, np.ndarray],
) -> list[str]:
    """Multiplies kernels by scales that have no variable; returns the names of those not 1."""
    scale_end, shift_end = _ENDS[foreign.framework]
    shifts = {key: name for name, key in sources.items() if name.endswith("/BatchNorm/beta")}
    changing = []
    for key in [key for key in held if key.endswith(scale_end)]:
        shift = shifts.get(key.removesuffix(scale_end) + shift_end)
        if shift is None:
            continue
        scale = arrays[held.pop(key)]
        if (scale != 1).any():
            layer = shift.removesuffix("/BatchNorm/beta")
            for name in (f"{layer}/weights", f"{layer}/BatchNorm/moving_mean"):
                found[name] = found[name] * scale
            changing.append(key)
    return changing


def from_tf_slim(
    framework: Framework, model: str, variables: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """The reverse of `resolve`: the variables of a network by another framework's names.

    Scales that TF-Slim's network does not have are 1. Auxiliary heads are left out. Keras's layers
    that it numbers are numbered as in a new process: `conv2d`, `conv2d_1`.

    Args:
      framework: `'timm'` or `'keras'`.
      model: The network's name there: `'inception_v4'`, `'MobileNetV2'`.
      variables: `{name of TF-Slim: array}`, as from `slim.get_variables`.

    Returns:
      `{name: array}`: for timm its state dict, less `num_batches_tracked`; for Keras
      `layer/variable`.

    Raises:
      ValueError: There is no such network.
      RestoreError: A variable of the network is missing.
    """
    foreign = Foreign(framework, model)
    known = [str(other) for other in foreign_networks()]
    if str(foreign) not in known:
        raise ValueError(
            f"from_tf_slim: there is no {foreign}{did_you_mean(str(foreign), known)}; there are "
            f"{', '.join(known)}"
        )
    heads = nets_factory.get_network(foreign.network).main_heads
    biases = [a for n, a in variables.items() if n.startswith(heads) and n.endswith("/biases")]
    if len(biases) != 1:
        raise RestoreError(
            f"from_tf_slim: the variables have no head {' or '.join(heads)} of {foreign.network}"
        )
    rows = _variables(foreign, len(biases[0]))
    scale_end, shift_end = _ENDS[foreign.framework]
    found: dict[str, np.ndarray] = {}
    for name, variable in rows.items():
        theirs = variable.theirs
        if theirs is None:
            continue
        if name not in variables:
            raise RestoreError(f"from_tf_slim: {name} of {foreign.network} is missing")
        array = np.asarray(variables[name])
        is_head = re.split(r"[./]", theirs)[0] == foreign.names.head
        if framework == "timm":
            found[theirs] = _timm.from_tf_slim(array, variable.leaf, is_head=is_head)
            has_scale = f"{name.removesuffix('beta')}gamma" in rows
            if variable.leaf == "beta" and not has_scale:
                found[theirs.removesuffix(shift_end) + scale_end] = np.ones_like(array)
        else:
            layer, _, leaf = theirs.partition("/")
            found[f"{_keras.numbered(layer)}/{leaf}"] = _keras.from_tf_slim(
                array, model, variable.scope, variable.leaf, is_head=is_head
            )
    return found
