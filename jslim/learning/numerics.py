"""Finding the first quantity of a training step that is NaN or infinite, and why it is."""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np

from jslim.core.trees import named
from jslim.learning.state import PyTree

# The value of `check_numerics` that checks all quantities.
EVERYTHING = "everything"
# The name of `first_nonfinite` in the outputs of a step.
FIRST_NONFINITE = "first_nonfinite"


def quantities_of_step(
    loss: jax.Array, gradients: PyTree, params: PyTree, batch_stats: PyTree
) -> dict[str, jax.Array]:
    """The quantities of a step in the order of their computation, by their names in errors."""
    return {
        "the loss": loss,
        **{
            f"the {kind} {name!r}": value
            for kind, tree in (
                ("gradient of", gradients),
                ("variable", params),
                ("statistic", batch_stats),
            )
            for name, value in named(tree).items()
        },
    }


def first_nonfinite(quantities: Mapping[str, jax.Array]) -> jax.Array:
    """The index of the first quantity with NaN or infinity, an int32 scalar; -1 if all are finite.

    Example:
      >>> int(first_nonfinite({"a": jnp.ones(2), "b": jnp.array([1.0, jnp.nan])}))
      1
    """
    bad = jnp.stack([jnp.logical_not(jnp.all(jnp.isfinite(x))) for x in quantities.values()])
    return jnp.where(jnp.any(bad), jnp.argmax(bad), -1).astype(jnp.int32)


def labels_of(batch: PyTree) -> PyTree:
    """A batch whose arrays are replaced by their shapes, but for labels and weights.

    Those have one number an example, or a map of whole numbers, as for segmentation.
    """

    def kept(leaf: PyTree) -> PyTree:
        shape = np.shape(leaf)
        is_map = len(shape) == 3 or (len(shape) == 4 and shape[-1] == 1)
        if shape[1:] in ((), (1,)) or (is_map and jnp.issubdtype(leaf.dtype, jnp.integer)):
            return leaf
        return jax.ShapeDtypeStruct(shape, jax.typeof(leaf).dtype)

    return jax.tree.map(kept, batch)


def fault_of_labels(function: Callable[[PyTree], object], labels: PyTree) -> str:
    """The error that a loss function has for the labels of a batch; `''` for none.

    A compiled step can raise nothing for a label that is out of range: its loss is NaN. So the
    function is traced once more with the labels as known values. What it computes of them alone,
    such as `jnp.where(labels == 255, 0, labels)`, is computed, and nothing else.

    Args:
      function: The loss function.
      labels: From `labels_of`.

    >>> import jslim as slim
    >>> def loss(batch):
    ...     return slim.losses.sparse_softmax_cross_entropy(batch["logits"], batch["label"])
    >>> labels = labels_of({"logits": np.zeros((2, 3), np.float32), "label": np.array([0, 3])})
    >>> print(fault_of_labels(loss, labels).partition(";")[0])
    sparse_softmax_cross_entropy: labels must be in [0, 3), got 3 at [1]
    """
    leaves, structure = jax.tree.flatten(labels)
    values = [None if isinstance(leaf, jax.ShapeDtypeStruct) else _value(leaf) for leaf in leaves]
    described = [leaf for leaf, value in zip(leaves, values, strict=True) if value is None]

    def with_values(traced: list[jax.Array]) -> object:
        rest = iter(traced)
        whole = [next(rest) if value is None else value for value in values]
        return function(jax.tree.unflatten(structure, whole))

    try:
        with jax.ensure_compile_time_eval():
            jax.eval_shape(with_values, described)
    except ValueError as error:
        return str(error)
    return ""


def _value(leaf: PyTree) -> np.ndarray | None:
    """The values of an array that is whole in this process."""
    return np.asarray(leaf) if getattr(leaf, "is_fully_addressable", True) else None
