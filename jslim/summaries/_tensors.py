"""TF-Slim's `summarize_*`: summaries of whole sets of arrays, such as all variables.

TF takes the name of the operation that made a tensor. Arrays have no such name: a variable has its
own name, an output that a layer adds to `outputs_collections` has the name of the layer's scope,
and any other array needs `tag`.
"""

import re
from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jslim.core.access import collected
from jslim.core.selection import get_variables
from jslim.summaries._recording import histogram, scalar
from jslim.summaries._slim import named_tensors, tag_of

Summarizer = Callable[[ArrayLike, str | None], None]


def summarize_tensor(tensor: ArrayLike, tag: str | None = None) -> None:
    """Records a scalar as a scalar, and any other array as a histogram; booleans not at all.

    Args:
      tensor: An array of numbers of any shape.
      tag: The name of the summary; default the name of the variable and `_summary`.

    Raises:
      ScopeError: Outside a model function.
      ValueError: There is no tag, and the tensor is not a variable.
    """
    array = jnp.asarray(tensor)
    if array.dtype == jnp.bool_:
        return
    tag = tag or f"{tag_of('summarize_tensor', tensor, None, None)}_summary"
    (histogram if array.ndim else scalar)(tag, tensor)


def summarize_activation(
    op: ArrayLike, tag: str | None = None, activation_fn: Callable[..., jax.Array] | None = None
) -> None:
    """Records the histogram `TAG/activation` of a layer's output.

    Differs from TF-Slim: an array does not know which activation made it. If `activation_fn` is
    called relu, softplus or relu6, the share of inputs below 0 is recorded too, as `TAG/zeros`, and
    for relu6 the share of inputs above 6, as `TAG/sixes`.

    Args:
      op: The output of the activation, or with `activation_fn` its input.
      tag: The name of the summaries.
      activation_fn: The activation, which is then applied here.

    Raises:
      ScopeError: Outside a model function.
      ValueError: There is no tag, and the array is not a variable.
    """
    name = tag_of("summarize_activation", op, tag, None)
    outputs = inputs = jnp.asarray(op)
    if activation_fn is not None:
        outputs = activation_fn(inputs)
        kind = getattr(activation_fn, "__name__", "")
        if kind in ("relu", "softplus", "relu6"):
            scalar(f"{name}/zeros", jnp.mean((inputs < 0).astype(jnp.float32)))
        if kind == "relu6":
            scalar(f"{name}/sixes", jnp.mean((inputs > 6).astype(jnp.float32)))
    histogram(f"{name}/activation", outputs)


def summarize_tensors(
    tensors: Mapping[str, ArrayLike] | Sequence[ArrayLike],
    summarizer: Summarizer = summarize_tensor,
) -> None:
    """`summarizer(tensor, tag)` for each of `{name: tensor}`, or of a sequence of variables.

    Args:
      tensors: The arrays. The tag of an array in a dict is its name; for `summarize_tensor` it is
        the name and `_summary`, as in TF-Slim.
      summarizer: A function that records one array.
    """
    for name, tensor in named_tensors(tensors):
        is_named = name is not None and summarizer is summarize_tensor
        summarizer(tensor, f"{name}_summary" if is_named else name)


def summarize_collection(
    collection: str, name_filter: str | None = None, summarizer: Summarizer = summarize_tensor
) -> None:
    """Records the variables and the layers' outputs of a collection.

    Args:
      collection: The name of a collection, as given to `variables_collections` or
        `outputs_collections`.
      name_filter: A regular expression that a name must begin with.
      summarizer: A function that records one array.

    Raises:
      ScopeError: Outside a model function.
    """
    members: dict[str, jax.Array] = {
        **get_variables(collection=collection),
        **collected(collection),
    }
    chosen = {
        name: value
        for name, value in members.items()
        if name_filter is None or re.match(name_filter, name)
    }
    summarize_tensors(chosen, summarizer)


def summarize_variables(
    name_filter: str | None = None, summarizer: Summarizer = summarize_tensor
) -> None:
    """`summarize_collection` of all variables."""
    summarize_collection("variables", name_filter, summarizer)


def summarize_weights(
    name_filter: str | None = None, summarizer: Summarizer = summarize_tensor
) -> None:
    """`summarize_collection` of 'weights', to which the `legacy_*` layers add theirs."""
    summarize_collection("weights", name_filter, summarizer)


def summarize_biases(
    name_filter: str | None = None, summarizer: Summarizer = summarize_tensor
) -> None:
    """`summarize_collection` of 'biases', to which the `legacy_*` layers add theirs."""
    summarize_collection("biases", name_filter, summarizer)


def summarize_activations(
    name_filter: str | None = None, summarizer: Summarizer = summarize_activation
) -> None:
    """`summarize_collection` of 'activations', to which the `legacy_*` layers add their outputs."""
    summarize_collection("activations", name_filter, summarizer)
