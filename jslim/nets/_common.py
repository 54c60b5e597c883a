"""Shared by networks: types, docstrings, the check of images, the classifier."""

import functools
import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from jax import lax

from jslim.core import checks
from jslim.core.arg_scope import ArgScope, arg_scope
from jslim.core.names import Reuse, VariableScope
from jslim.core.scopes import variable_scope
from jslim.layers import avg_pool2d, batch_norm, conv2d, dropout

_F = TypeVar("_F", bound=Callable[..., object])

EndPoints = dict[str, jax.Array]
Outputs = tuple[jax.Array, EndPoints]  # logits or features, and the end points
Network = Callable[..., Outputs]
Function = Callable[..., jax.Array]  # a layer, a normalizer
Arguments = dict[str, Any]  # of a layer or a network, by name
Activation = Callable[[jax.Array], jax.Array] | None
Scope = str | VariableScope | None

LINEAR: Arguments = {"activation_fn": None, "normalizer_fn": None}  # of a linear layer


def with_image_size(size: int, *sources: object) -> Callable[[_F], _F]:
    """Gives a network its `default_image_size` in pixels, and completes its docstring.

    Args:
      size: Height and width of the images that the network was designed for.
      *sources: Functions that describe further arguments, as for `described`.
    """

    def decorate(network: _F) -> _F:
        network.default_image_size = size  # type: ignore[attr-defined]
        return described(*sources)(network)

    return decorate


def named(name: str, module: str) -> Callable[[_F], _F]:
    """Gives a function its name and its module, where another function made it."""

    def decorate(function: _F) -> _F:
        function.__name__ = function.__qualname__ = name
        function.__module__ = module
        return function

    return decorate


def without(*names: str) -> Callable[[Network], Network]:
    """Removes arguments from the signature of a network; they keep their defaults."""

    def decorate(network: Network) -> Network:
        if not names:
            return network
        signature = inspect.signature(network)
        parameters = [p for name, p in signature.parameters.items() if name not in names]
        kept = signature.replace(parameters=parameters)

        @functools.wraps(network)
        def narrowed(*args: object, **kwargs: object) -> Outputs:
            try:
                given = kept.bind(*args, **kwargs)
            except TypeError as error:
                raise TypeError(f"{network.__name__}() {error}") from None
            return network(**given.arguments)

        narrowed.__signature__ = kept  # type: ignore[attr-defined]
        return narrowed

    return decorate


@dataclass(frozen=True)
class Head:
    """The classifier of a network: from its features to its logits.

    Args:
      num_classes: Number of logits; None or 0 for the features.
      spatial_squeeze: Whether the logits lose their height and width, which then must be 1.
      global_pool: Whether to average the features over height and width, so that images of any
        size give one prediction.
      dropout_keep_prob: Share of the features that dropout keeps, in (0, 1].
      prediction_fn: Called as `prediction_fn(logits, scope='Predictions')`; its result is the end
        point 'Predictions'.
    """

    num_classes: int | None
    spatial_squeeze: bool = True
    global_pool: bool = False
    dropout_keep_prob: float = 1.0
    prediction_fn: Function | None = None

    def logits(self, net: jax.Array, where: str, scope: str, **arguments: Any) -> jax.Array:
        """The logits, by a 1x1 convolution with these further arguments."""
        arguments = {**LINEAR, **arguments}
        logits = conv2d(net, self.num_classes or 0, [1, 1], scope=scope, **arguments)
        return squeeze_logits(logits, where) if self.spatial_squeeze else logits

    def predict(self, logits: jax.Array, end_points: EndPoints) -> Outputs:
        """Adds the logits, and the result of `prediction_fn`, to the end points."""
        end_points["Logits"] = logits
        if self.prediction_fn is not None:
            end_points["Predictions"] = self.prediction_fn(logits, scope="Predictions")
        return logits, end_points

    def classify(
        self,
        net: jax.Array,
        end_points: EndPoints,
        where: str,
        size: int,
        layers: tuple[str, str, str] = ("AvgPool_1a_{}x{}", "Dropout_1b", "Conv2d_1c_1x1"),
        stride: int = 2,
        keeps_dropped: bool = False,
    ) -> Outputs:
        """Pooling, dropout and a linear classifier, in the variable scope `Logits`.

        Args:
          net: The features, `[batch, height, width, channels]`.
          end_points: Where the pooled features, 'Logits' and 'Predictions' are added.
          where: The full name of the network's variable scope, for the error.
          size: Height and width of the pooling windows, or less if the map is smaller.
          layers: The names of the layers. The first one is the end point of the pooled features,
            without '_{}x{}', which stands for the size of a window.
          stride: Step from one window to the next, in pixels.
          keeps_dropped: Whether the features after dropout are the end point 'PreLogits'.
        """
        pool, drop, last = layers
        with variable_scope("Logits"):
            if self.global_pool:
                net = end_points["global_pool"] = jnp.mean(net, (1, 2), keepdims=True)
            else:
                window = fit_window(net, size)
                net = avg_pool2d(net, window, stride, "VALID", scope=pool.format(*window))
                end_points[pool.removesuffix("_{}x{}")] = net
            if not self.num_classes:
                return net, end_points
            net = dropout(net, self.dropout_keep_prob, scope=drop)
            if keeps_dropped:
                end_points["PreLogits"] = net
            return self.predict(self.logits(net, where, last), end_points)


@contextmanager
def safe_arg_scope(funcs: Iterable[Callable[..., object]], **kwargs: object) -> Iterator[ArgScope]:
    """`slim.arg_scope` for the arguments that are not None; the others stay as they are."""
    given = {name: value for name, value in kwargs.items() if value is not None}
    with arg_scope(list(funcs) if given else [], **given) as scope:
        yield scope


@contextmanager
def network_scope(
    scope: Scope,
    default: str,
    reuse: Reuse = None,
    is_training: bool | None = None,
    layers: Sequence[Function] = (batch_norm, dropout),
) -> Iterator[VariableScope]:
    """Opens the variable scope of a network and sets the mode of its layers.

    Args:
      scope: The variable scope.
      default: Name of the scope if `scope` is None.
      reuse: Whether the variables exist already, as for `slim.variable_scope`.
      is_training: Whether to drop features and to normalize by the batch.
      layers: Layers with an argument `is_training`.
    """
    with (
        variable_scope(scope, default, reuse=reuse) as opened,
        safe_arg_scope(layers, is_training=is_training),
    ):
        yield opened


_ENTRY = re.compile(r"^  \*{0,2}(\w+):.*(?:\n    .*)*", re.MULTILINE)


def described(*sources: object) -> Callable[[_F], _F]:
    """Completes the section 'Args:' of a docstring.

    The description of a missing argument comes from the first of `sources` that has one, or from
    `Head` or `network_scope`.
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


def batch_norm_params(
    decay: float, epsilon: float, updates_collections: str | None, scale: bool
) -> dict[str, object]:
    """The arguments of `batch_norm` in the arg_scopes of Inception and ResNet."""
    return {
        "decay": decay,
        "epsilon": epsilon,
        "updates_collections": updates_collections,
        "fused": None,
        "scale": scale,
    }


def variant(network: Network, name: str, **defaults: object) -> Network:
    """Makes a network with other defaults and its own name."""
    partial: Any = functools.update_wrapper(functools.partial(network, **defaults), network)
    partial.__name__ = partial.__qualname__ = name
    del partial.__wrapped__  # whose signature has the defaults of the network
    return partial


def strides_and_rates(
    strides: Iterable[int], output_stride: int | None
) -> Iterator[tuple[int, int]]:
    """The stride and the rate of each layer, for a map of the size that `output_stride` asks for.

    As soon as the product of the strides is `output_stride`, later layers are dilated instead of
    strided: Chen et al. (2016), https://arxiv.org/abs/1606.00915.

    >>> list(strides_and_rates([2, 2, 1, 2, 1], 4))
    [(2, 1), (2, 1), (1, 1), (1, 1), (1, 2)]
    """
    current = rate = 1
    for stride in strides:
        if current == output_stride:
            yield 1, rate
            rate *= stride
        else:
            yield stride, 1
            current *= stride


def fixed_padding(kernel_size: Sequence[int], rate: int = 1) -> list[tuple[int, int]]:
    """The padding of a convolution that depends on the kernel only, not on the size of the input.

    >>> fixed_padding([3, 4], rate=2)
    [(2, 2), (3, 3)]
    """
    totals = [(size - 1) * rate for size in kernel_size]
    return [(total // 2, total - total // 2) for total in totals]


def fit_window(net: jax.Array, size: int) -> tuple[int, int]:
    """A square window, or a smaller one that fits the map."""
    height, width = net.shape[1:3]
    return min(height, size), min(width, size)


def check_images(images: jax.Array, network: str, smallest: int, remedy: str = "") -> None:
    """Refuses images without a batch axis, and images lower or narrower than `smallest` pixels."""
    hint = "add a batch axis (images[None])" if jnp.ndim(images) == 3 else ""
    checks.rank(network, "images", images, "[batch, height, width, channels]", hint)
    height, width = images.shape[1:3]
    if min(height, width) < smallest:
        raise ValueError(
            f"{network}: images of {height}x{width} are too small, it takes {smallest}x{smallest} "
            f"or more; resize them{remedy}"
        )


def squeeze_logits(
    logits: jax.Array, where: str, otherwise: str = "global_pool=True for one prediction per image"
) -> jax.Array:
    """Removes the height and width, which must be 1, of logits.

    Args:
      logits: `[batch, height, width, num_classes]`.
      where: The network, for the error.
      otherwise: The argument for one prediction per image, for the error.

    Raises:
      ValueError: The map of logits is larger than 1x1.
    """
    height, width = logits.shape[1:3]
    if (height, width) != (1, 1):
        raise ValueError(
            f"{where}: images of this size give a {height}x{width} map of logits, and "
            "spatial_squeeze can only remove a 1x1 one; pass spatial_squeeze=False to "
            f"have the map, or {otherwise}"
        )
    return lax.squeeze(logits, (1, 2))
