"""What networks share: the check of their images, and the classifier made of a convolution."""

import functools
import inspect
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from jax import lax

from jslim.core.arg_scope import arg_scope
from jslim.core.names import Reuse, VariableScope
from jslim.core.scopes import variable_scope
from jslim.layers import avg_pool2d, batch_norm, conv2d, dropout

_F = TypeVar("_F", bound=Callable[..., object])

EndPoints = dict[str, jax.Array]


def with_image_size(size: int) -> Callable[[_F], _F]:
    """Gives a network its `default_image_size`, the height and width that it was designed for."""

    def decorate(network: _F) -> _F:
        network.default_image_size = size  # type: ignore[attr-defined]
        return network

    return decorate


def named(name: str, module: str) -> Callable[[_F], _F]:
    """Gives a function that another one made a name and a module of its own."""

    def decorate(function: _F) -> _F:
        function.__name__ = function.__qualname__ = name
        function.__module__ = module
        return function

    return decorate


@dataclass(frozen=True)
class Head:
    """How a network goes from its features to its logits.

    Args:
      num_classes: How many logits to give; None or 0 for the features.
      spatial_squeeze: Whether the logits lose their height and width, which then must be 1.
      global_pool: Whether to average the features over height and width, so that images of any
        size give one prediction.
      dropout_keep_prob: The share of features that dropout keeps, in (0, 1].
      prediction_fn: Makes the end point 'Predictions' of `(logits, scope='Predictions')`.
    """

    num_classes: int | None
    spatial_squeeze: bool = True
    global_pool: bool = False
    dropout_keep_prob: float = 1.0
    prediction_fn: Callable[..., jax.Array] | None = None

    def pool(
        self,
        net: jax.Array,
        end_points: EndPoints,
        name: str,
        window: Sequence[int],
        **options: Any,
    ) -> jax.Array:
        """The mean of the map, end point 'global_pool', or of windows in it, end point `name`."""
        if self.global_pool:
            name, pooled = "global_pool", jnp.mean(net, (1, 2), keepdims=True)
        else:
            pooled = avg_pool2d(net, window, padding="VALID", **options)
        end_points[name] = pooled
        return pooled

    def logits(self, net: jax.Array, where: str, scope: str, **arguments: Any) -> jax.Array:
        """The logits, by a 1x1 convolution with these further arguments."""
        plain: dict[str, Any] = {"activation_fn": None, "normalizer_fn": None, **arguments}
        logits = conv2d(net, self.num_classes or 0, [1, 1], scope=scope, **plain)
        return squeeze_logits(logits, where) if self.spatial_squeeze else logits

    def predict(self, logits: jax.Array, end_points: EndPoints) -> tuple[jax.Array, EndPoints]:
        """Adds the logits and what `prediction_fn` makes of them to the end points."""
        end_points["Logits"] = logits
        if self.prediction_fn is not None:
            end_points["Predictions"] = self.prediction_fn(logits, scope="Predictions")
        return logits, end_points


@contextmanager
def network_scope(
    scope: str | VariableScope | None,
    default: str,
    reuse: Reuse = None,
    is_training: bool | None = None,
    layers: Sequence[Callable[..., object]] = (batch_norm, dropout),
) -> Iterator[VariableScope]:
    """The variable scope of a network, and the mode of its layers.

    Args:
      scope: The variable scope.
      default: Its name where `scope` is None.
      reuse: Whether the variables exist already, as for `slim.variable_scope`.
      is_training: Whether to drop features and to normalize by the batch.
      layers: The layers that have a mode.
    """
    mode = {} if is_training is None else {"is_training": is_training}
    with (
        variable_scope(scope, default, reuse=reuse) as opened,
        arg_scope(list(layers), **mode),
    ):
        yield opened


_ENTRY = re.compile(r"^  \*{0,2}(\w+):.*(?:\n    .*)*", re.MULTILINE)


def described(*sources: object) -> Callable[[_F], _F]:
    """Completes the section 'Args:' of a docstring from those of other functions.

    An argument that the docstring leaves out is described as in the first source that has it,
    or as in `Head` and `network_scope`.
    """

    def decorate(function: _F) -> _F:
        if function.__doc__ is None:  # python -OO
            return function
        entries: dict[str, str] = {}
        for source in (function, *sources, Head, network_scope):
            section = inspect.cleandoc(source.__doc__ or "").partition("Args:\n")[2]
            for entry in _ENTRY.finditer(section.partition("\n\n")[0]):
                entries.setdefault(entry[1], entry[0])
        names = [name for name in inspect.signature(function).parameters if name in entries]
        before, title, after = inspect.cleandoc(function.__doc__).partition("Args:\n")
        rest = after.partition("\n\n")[2]
        arguments = "\n".join(entries[name] for name in names)
        function.__doc__ = f"{before}{title}{arguments}\n\n{rest}"
        return function

    return decorate


def variant(network: Callable[..., Any], name: str, **defaults: Any) -> Callable[..., Any]:
    """The network with other defaults, under a name of its own."""
    partial: Any = functools.update_wrapper(functools.partial(network, **defaults), network)
    partial.__name__ = partial.__qualname__ = name
    del partial.__wrapped__  # whose signature has the defaults of the network
    return partial


def fixed_padding(kernel_size: Sequence[int], rate: int = 1) -> list[tuple[int, int]]:
    """The padding of a convolution that depends on its kernel alone, and not on the inputs."""
    totals = [(size - 1) * rate for size in kernel_size]
    return [(total // 2, total - total // 2) for total in totals]


def check_images(images: jax.Array, network: str, smallest: int, remedy: str = "") -> None:
    """Refuses images that are not a batch, or smaller than `smallest` pixels in a direction."""
    shape = jnp.shape(images)
    if len(shape) != 4:
        hint = "; add a batch axis (images[None])" if len(shape) == 3 else ""
        raise ValueError(
            f"{network}: images must be [batch, height, width, channels], got shape {shape}{hint}"
        )
    height, width = shape[1:3]
    if min(height, width) < smallest:
        raise ValueError(
            f"{network}: images of {height}x{width} are too small, it takes {smallest}x{smallest} "
            f"or more; resize them{remedy}"
        )


def squeeze_logits(
    logits: jax.Array,
    where: str,
    otherwise: str = "global_pool=True for one prediction per image",
) -> jax.Array:
    """Logits `[batch, 1, 1, num_classes]` without their height and width.

    Args:
      logits: `[batch, height, width, num_classes]`.
      where: The network, for the error.
      otherwise: What to pass to have one prediction an image, for the error.

    Raises:
      ValueError: They are a larger map than 1x1.
    """
    height, width = logits.shape[1:3]
    if (height, width) != (1, 1):
        raise ValueError(
            f"{where}: images of this size give a {height}x{width} map of logits, and "
            "spatial_squeeze can only remove a 1x1 one; pass spatial_squeeze=False to "
            f"have the map, or {otherwise}"
        )
    return lax.squeeze(logits, (1, 2))
