"""The functions of TF-Slim's `summaries`: the tensor first, its name optional.

TF takes the name of the operation that made a tensor. Arrays have no such name: a variable of the
running model has its own name, the plural forms also take `{name: tensor}` such as end points, and
any other array needs `name`.
"""

from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike as Tensor

from jslim.core.access import frame, is_running
from jslim.core.errors import ScopeError
from jslim.summaries._recording import SUMMARIES, do_when_due, histogram, image, scalar
from jslim.variables import get_variable_full_name

Tensors = Mapping[str, Tensor] | Sequence[Tensor]


def add_scalar_summary(
    tensor: Tensor, name: str | None = None, prefix: str | None = None, print_summary: bool = False
) -> None:
    """Records a scalar: `scalar([prefix/]name, tensor)`.

    Args:
      tensor: A scalar.
      name: Its name; may be left out for a variable of the running model.
      prefix: Goes before the name.
      print_summary: Whether to print the value each time that summaries are computed.

    Raises:
      ScopeError: Outside a model function.
      ValueError: There is no name, or the tensor is not a scalar.
    """
    name = tag_of("add_scalar_summary", tensor, name, prefix)
    scalar(name, tensor)
    if print_summary:
        _print(name, tensor)


def add_histogram_summary(
    tensor: Tensor, name: str | None = None, prefix: str | None = None
) -> None:
    """Records a histogram: `histogram([prefix/]name, tensor)`.

    Args:
      tensor: An array of any shape.
      name: Its name; may be left out for a variable of the running model.
      prefix: Goes before the name.

    Raises:
      ScopeError: Outside a model function.
      ValueError: There is no name.
    """
    histogram(tag_of("add_histogram_summary", tensor, name, prefix), tensor)


def add_image_summary(
    tensor: Tensor, name: str | None = None, prefix: str | None = None, print_summary: bool = False
) -> None:
    """Records three images: `image([prefix/]name, tensor)`.

    Args:
      tensor: `[batch, height, width, channels]`.
      name: Its name; may be left out for a variable of the running model.
      prefix: Goes before the name.
      print_summary: Whether to print the pixels each time that summaries are computed.

    Raises:
      ScopeError: Outside a model function.
      ValueError: There is no name, or the tensor is not a batch of images.
    """
    name = tag_of("add_image_summary", tensor, name, prefix)
    image(name, tensor)
    if print_summary:
        _print(name, tensor)


def add_zero_fraction_summary(
    tensor: Tensor, name: str | None = None, prefix: str | None = None, print_summary: bool = False
) -> None:
    """Records the share of zeros in an array as `[prefix/]name/Fraction_of_Zero_Values`.

    Arguments and errors are those of `add_scalar_summary`, with an array of any shape.
    """
    name = tag_of("add_zero_fraction_summary", tensor, name, prefix)
    fraction = jnp.mean(jnp.asarray(tensor) == 0, dtype=jnp.float32)
    add_scalar_summary(fraction, f"{name}/Fraction_of_Zero_Values", print_summary=print_summary)


def add_scalar_summaries(
    tensors: Tensors, prefix: str | None = None, print_summary: bool = False
) -> None:
    """`add_scalar_summary` for each of `{name: tensor}`, or of a sequence of variables."""
    for name, tensor in named_tensors(tensors):
        add_scalar_summary(tensor, name, prefix, print_summary)


def add_histogram_summaries(tensors: Tensors, prefix: str | None = None) -> None:
    """`add_histogram_summary` for each of `{name: tensor}`, or of a sequence of variables.

    `add_histogram_summaries(slim.get_model_variables())` shows all weights, and
    `add_histogram_summaries(end_points)` what a network computed.
    """
    for name, tensor in named_tensors(tensors):
        add_histogram_summary(tensor, name, prefix)


def add_image_summaries(tensors: Tensors, prefix: str | None = None) -> None:
    """`add_image_summary` for each of `{name: tensor}`, or of a sequence of variables."""
    for name, tensor in named_tensors(tensors):
        add_image_summary(tensor, name, prefix)


def add_zero_fraction_summaries(tensors: Tensors, prefix: str | None = None) -> None:
    """`add_zero_fraction_summary` for each of `{name: tensor}`, or of a sequence of variables."""
    for name, tensor in named_tensors(tensors):
        add_zero_fraction_summary(tensor, name, prefix)


def named_tensors(tensors: Tensors) -> list[tuple[str | None, Tensor]]:
    if isinstance(tensors, Mapping):
        return list(tensors.items())
    return [(None, tensor) for tensor in tensors]


def tag_of(what: str, tensor: Tensor, name: str | None, prefix: str | None) -> str:
    if not name:
        try:
            name = get_variable_full_name(tensor)  # type: ignore[arg-type]
        except ScopeError as error:
            if not is_running():
                raise
            raise ValueError(
                f"{what}: name is missing, and only a variable has a name of its own; give "
                "name=..., or for several tensors a dict {name: tensor}"
            ) from error
    return f"{prefix}/{name}" if prefix else name


def _print(name: str, value: Tensor) -> None:
    run = frame("print_summary").run
    if run.store.is_mutable(SUMMARIES) and not run.store.is_initializing:
        do_when_due(lambda: jax.debug.callback(lambda value: print(f"{name} = {value}"), value))
