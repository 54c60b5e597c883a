"""The contract of a checkpoint, completed by what `load` is given and by what the network says."""

from collections.abc import Iterable, Mapping

import jax
import jax.numpy as jnp

from jslim.checkpoints import CheckpointReader
from jslim.checkpoints import contract as _contract
from jslim.core.errors import RestoreError, did_you_mean
from jslim.core.model import Model, shapes_of
from jslim.core.selection import get_variables
from jslim.core.trees import Variables
from jslim.host.limits import numbers_as_names
from jslim.host.schema import Invalid
from jslim.nets import nets_factory
from jslim.preprocessing import preprocessing_factory

# The keys of a contract that can be given for a checkpoint without them.
_KEYS = (
    "model_name",
    "class_names",
    "image_size",
    "preprocessing_name",
    "num_channels",
    "apply_exif_orientation",
)


def check_names(names: Iterable[str]) -> None:
    """Refuses what is no key that can be given."""
    for name in names:
        if name not in _KEYS:
            raise TypeError(f"load: there is no argument {name!r}{did_you_mean(name, _KEYS)}")


def completed_contract(
    reader: CheckpointReader, given: Mapping[str, object]
) -> tuple[_contract.Values, Variables]:
    """The whole contract of a checkpoint, and the variables of its network, as shapes.

    Args:
        reader: The checkpoint.
        given: The keys that `load` was given.

    Raises:
        RestoreError, ValueError: As for `load`.
    """
    held = reader.contract
    for name, value in given.items():
        if held.get(name, value) != value:
            raise ValueError(
                f"load: {name} is {value!r}, but checkpoint {reader.path} was made with "
                f"{held[name]!r}; leave it out"
            )
    for key, known in (
        ("model_name", nets_factory.get_network),
        ("preprocessing_name", preprocessing_factory.get_preprocessing),
    ):
        try:
            if key in held:
                known(held[key])
        except ValueError as error:
            raise RestoreError(f"checkpoint {reader.path} cannot be used: {error}") from error
    try:
        whole = _completed(_contract.checked({**held, **given}), reader)
    except Invalid as error:
        raise ValueError(f"load: {reader.path} cannot be used: {error}") from None
    if "num_channels" not in whole:
        whole["num_channels"] = _channels(_shapes(whole, 3), reader, 3)
    try:
        shapes = _shapes(whole, whole["num_channels"])
    except ValueError as error:  # of images that are too small
        raise ValueError(f"load: {reader.path} cannot be used: {error}") from error
    return whole, shapes


def _shapes(contract: _contract.Values, channels: int) -> Variables:
    """The variables of the network, as shapes."""
    model = Model(nets_factory.get_network_fn(contract["model_name"], contract["num_classes"]))
    size = contract["image_size"]
    images = jax.ShapeDtypeStruct((1, size, size, channels), jnp.float32)
    return shapes_of(model.init, jax.random.key(0), images)


def _channels(shapes: Variables, reader: CheckpointReader, assumed: int) -> int:
    """The number of channels of the kernel in the checkpoint that differs only in this."""
    held = reader.get_variable_to_shape_map()
    for name, leaf in get_variables(shapes).items():
        theirs = held.get(name, leaf.shape)
        is_kernel = len(theirs) == leaf.ndim >= 3 and theirs != leaf.shape
        if is_kernel and leaf.shape == (*theirs[:-2], assumed, theirs[-1]):
            return theirs[-2]
    return assumed


def _completed(contract: _contract.Values, reader: CheckpointReader) -> _contract.Values:
    """The contract, completed from the network and the biases of its head."""
    if "model_name" not in contract:
        raise ValueError(
            f"load: checkpoint {reader.path} does not say which network it is of; give "
            "model_name, one of slim.nets.list_networks()"
        )
    network = nets_factory.get_network(contract["model_name"])
    heads = tuple(f"{scope}/" for scope in network.main_heads)
    lengths = {
        shape[0]
        for name, shape in reader.get_variable_to_shape_map().items()
        if name.startswith(heads) and name.endswith("/biases") and len(shape) == 1
    }
    of_head = lengths.pop() if len(lengths) == 1 else None
    count = contract.setdefault("num_classes", of_head)
    if count is None:
        raise RestoreError(
            f"checkpoint {reader.path} has no head {' or '.join(network.head)} that says how many "
            "classes there are; is it of another network?"
        )
    if of_head not in (None, count):
        raise RestoreError(
            f"checkpoint {reader.path} has a head of {of_head} classes, and says that it has "
            f"{count}; it is damaged, or was made by hand"
        )
    if "class_names" not in contract:
        contract["class_names"] = numbers_as_names(count, f"checkpoint {reader.path}")
    contract.setdefault("image_size", network.image_size)
    contract.setdefault("preprocessing_name", network.preprocessing)
    contract.setdefault("labels_offset", 0)
    if len(contract["class_names"]) != count:
        raise ValueError(
            f"load: {len(contract['class_names'])} class_names were given, but checkpoint "
            f"{reader.path} has {count} classes; ImageNet's networks have 1000 or, with the "
            "background first, 1001"
        )
    return contract
