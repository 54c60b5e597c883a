"""The cells of NASNet and PNASNet, which a search over networks found.

The inputs of a cell are the outputs of the two cells before it. A cell makes five more arrays, each
the sum of two operations on earlier arrays, and joins the arrays that no operation uses.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jslim.core import checks
from jslim.core.access import make_rng
from jslim.core.arg_scope import add_arg_scope
from jslim.core.global_step import get_or_create_global_step
from jslim.core.scopes import variable_scope
from jslim.layers import avg_pool2d, batch_norm, conv2d, max_pool2d, separable_conv2d

_CAP = 6.0


@dataclass(frozen=True)
class Config:
    """The configuration of a network of cells; `dataclasses.replace` changes a field.

    Differs from TF-Slim: there it is an `HParams`, which can be changed in place.
    """

    num_cells: int  # without the reduction cells and the cells of the stem
    num_conv_filters: int  # of the first cell
    stem_multiplier: float  # the filters of the first convolution, in units of 32
    drop_path_keep_prob: float  # share of paths that the last cell keeps at the end of training
    dense_dropout_keep_prob: float  # share of features that dropout keeps before the classifier
    total_training_steps: int  # the share of dropped paths grows up to this step
    skip_reduction_layer_input: bool = False
    filter_scaling_rate: float = 2.0  # factor of the number of filters at each reduction
    num_reduction_layers: int = 2
    use_aux_head: bool = True
    data_format: str = "NHWC"  # of the maps inside the network; images are NHWC
    use_bounded_activation: bool = False

    def __post_init__(self) -> None:
        checks.one_of("Config", "data_format", self.data_format, ("NHWC", "NCHW"))
        for name in ("drop_path_keep_prob", "dense_dropout_keep_prob"):
            checks.number("Config", name, getattr(self, name), above=0, at_most=1)

    def activate(self, net: jax.Array) -> jax.Array:
        return jax.nn.relu6(net) if self.use_bounded_activation else jax.nn.relu(net)

    def cap(self, net: jax.Array) -> jax.Array:
        return jax.nn.relu6(net) if self.use_bounded_activation else net

    def bound(self, net: jax.Array) -> jax.Array:
        return net.clip(-_CAP, _CAP) if self.use_bounded_activation else net

    @property
    def channel_axis(self) -> int:
        return self.data_format.index("C")

    @property
    def map_axes(self) -> tuple[int, int]:
        return self.data_format.index("H"), self.data_format.index("W")

    @property
    def reductions(self) -> list[int]:
        """The cells before which the map becomes smaller, from 0."""
        return calc_reduction_layers(self.num_cells, self.num_reduction_layers)

    def channels(self, net: jax.Array) -> int:
        return net.shape[self.channel_axis]

    def map_size(self, net: jax.Array) -> tuple[int, int]:
        height, width = self.map_axes
        return net.shape[height], net.shape[width]


def calc_reduction_layers(num_cells: int, num_reduction_layers: int) -> list[int]:
    """The cells before which the map becomes smaller, from 0, at equal distances.

    >>> calc_reduction_layers(18, 2)
    [6, 12]
    """
    count = num_reduction_layers + 1
    return [int(float(index) / count * num_cells) for index in range(1, count)]


def normalized_1x1(
    net: jax.Array, filters: int, stride: int = 1, scope: str = "1x1", bn_scope: str = "bn_1"
) -> jax.Array:
    """A 1x1 convolution and batch normalization."""
    return batch_norm(conv2d(net, filters, 1, stride, scope=scope), scope=bn_scope)


def factorized_reduction(
    net: jax.Array, output_filters: int, stride: int, config: Config
) -> jax.Array:
    """Makes a map smaller by two 1x1 convolutions, one for even and one for odd pixels.

    Each convolution makes half of the filters.

    Args:
      net: `[batch, height, width, channels]`, or with channels second by `config`.
      output_filters: Number of filters.
      stride: Step from one pixel to the next; 1 for one plain convolution.
      config: The configuration of the network.

    Returns:
      `[batch, ceil(height / stride), ceil(width / stride), output_filters]`, or with channels
      second.
    """
    if stride == 1:
        return normalized_1x1(net, output_filters, 1, "path_conv", "path_bn")
    path1 = avg_pool2d(net, [1, 1], stride, "VALID")
    path1 = conv2d(path1, output_filters // 2, 1, scope="path1_conv")
    # Moved up and left by one pixel, with zeros at the other sides.
    shift = [(-1, 1, 0) if axis in config.map_axes else (0, 0, 0) for axis in range(4)]
    path2 = lax.pad(net, np.zeros((), net.dtype), shift)
    path2 = avg_pool2d(path2, [1, 1], stride, "VALID")
    path2 = conv2d(path2, output_filters - output_filters // 2, 1, scope="path2_conv")
    net = lax.concatenate([path1, path2], config.channel_axis)
    return batch_norm(net, scope="final_path_bn")


@add_arg_scope
def drop_path(net: jax.Array, keep_prob: float | jax.Array, is_training: bool = True) -> jax.Array:
    """Sets random examples to zero and scales up the others.

    Larsson et al. (2016), https://arxiv.org/abs/1605.07648.

    Args:
      net: `[batch, ...]`.
      keep_prob: Probability that an example is kept, in (0, 1].
      is_training: Whether to drop; if not, `net` is returned unchanged.

    Returns:
      An array of the shape of `net`.

    Raises:
      ScopeError: In training, the running model has no random key for 'dropout'.
    """
    if not is_training:
        return net
    shape = (net.shape[0], *[1] * (net.ndim - 1))
    keep = jnp.asarray(keep_prob, jnp.float32)
    is_kept = jax.random.bernoulli(make_rng("dropout", "drop_path"), keep, shape)
    factor = jnp.where(is_kept, 1 / keep, jnp.zeros_like(keep)).astype(net.dtype)
    return lax.mul(net, jnp.broadcast_to(factor, net.shape))


def path_keep_prob(
    config: Config,
    layer_ratio: float,
    current_step: jax.Array | int,
    drop_connect_version: str = "v3",
) -> jax.Array | float:
    """The share of paths that a cell keeps at a training step.

    Args:
      config: The last cell reaches its `drop_path_keep_prob` after `total_training_steps`.
      layer_ratio: Number of the cell divided by the number of cells: 1.0 for the last.
      current_step: The training step.
      drop_connect_version: 'v1' drops less in early steps, 'v2' in early cells, 'v3' in both.

    Raises:
      ValueError: The version is unknown.

    >>> config = Config(18, 32, 3.0, 0.6, 1.0, total_training_steps=1000)
    >>> round(float(path_keep_prob(config, layer_ratio=0.5, current_step=1000)), 4)
    0.8
    """
    checks.one_of("", "drop_connect_version", drop_connect_version, ("v1", "v2", "v3"))
    keep: jax.Array | float = config.drop_path_keep_prob
    if drop_connect_version in ("v2", "v3"):
        keep = 1 - layer_ratio * (1 - keep)
    if drop_connect_version in ("v1", "v3"):
        step = jnp.asarray(current_step, jnp.float32)
        ratio = jnp.minimum(step / config.total_training_steps, jnp.ones_like(step))
        keep = 1 - ratio * (1 - keep)
    return keep


@add_arg_scope
def apply_drop_path(
    net: jax.Array,
    config: Config,
    layer_ratio: float,
    current_step: jax.Array | int | None = None,
    drop_connect_version: str = "v3",
) -> jax.Array:
    """`drop_path` with the `path_keep_prob` of a cell at a step."""
    if config.drop_path_keep_prob == 1.0:
        return net
    step = get_or_create_global_step() if current_step is None else current_step
    return drop_path(net, path_keep_prob(config, layer_ratio, step, drop_connect_version))


@dataclass(frozen=True)
class CellSpec:
    """A cell that a search found."""

    operations: tuple[str, ...]  # two for each of the five sums
    hiddenstate_indices: tuple[
        int, ...
    ]  # the input of each operation; 0 and 1 are those of the cell
    used_hiddenstates: tuple[bool, ...]  # whether an operation uses this input or sum


# NASNet-A's cell that keeps the size of its input.
NASNET_A_NORMAL = CellSpec(
    operations=(
        *("separable_5x5_2", "separable_3x3_2"),
        *("separable_5x5_2", "separable_3x3_2"),
        *("avg_pool_3x3", "none"),
        *("avg_pool_3x3", "avg_pool_3x3"),
        *("separable_3x3_2", "none"),
    ),
    hiddenstate_indices=(0, 1, 1, 1, 0, 1, 1, 1, 0, 0),
    used_hiddenstates=(True, False, False, False, False, False, False),
)
# NASNet-A's cell that halves it.
NASNET_A_REDUCTION = CellSpec(
    operations=(
        *("separable_5x5_2", "separable_7x7_2"),
        *("max_pool_3x3", "separable_7x7_2"),
        *("avg_pool_3x3", "separable_5x5_2"),
        *("none", "avg_pool_3x3"),
        *("separable_3x3_2", "max_pool_3x3"),
    ),
    hiddenstate_indices=(0, 1, 0, 1, 0, 1, 3, 2, 2, 0),
    used_hiddenstates=(True, True, True, False, False, False, False),
)
# PNASNet-5's cell, which does both.
PNASNET_5 = CellSpec(
    operations=(
        *("separable_5x5_2", "max_pool_3x3"),
        *("separable_7x7_2", "max_pool_3x3"),
        *("separable_5x5_2", "separable_3x3_2"),
        *("separable_3x3_2", "max_pool_3x3"),
        *("separable_3x3_2", "none"),
    ),
    hiddenstate_indices=(1, 1, 0, 0, 0, 0, 4, 0, 1, 0),
    used_hiddenstates=(True, True, False, False, False, False, False),
)


@dataclass(frozen=True)
class Cell:
    """A cell as a layer of a network."""

    spec: CellSpec
    config: Config
    total_num_cells: int  # the share of dropped paths grows up to this cell
    current_step: jax.Array | int | None = None

    def __call__(
        self,
        net: jax.Array,
        scope: str,
        filter_scaling: float,
        stride: int,
        prev_layer: jax.Array | None,
        cell_num: int,
    ) -> jax.Array:
        """Applies the cell.

        Args:
          net: The output of the last cell, `[batch, height, width, channels]` or with channels
            second.
          scope: The variable scope.
          filter_scaling: Factor of the number of filters.
          stride: Factor by which height and width become smaller.
          prev_layer: The output of the cell before the last, possibly a larger map; None for `net`.
          cell_num: Number of the cell, from 0.

        Returns:
          The joined arrays that no operation of the cell uses.
        """
        config, spec = self.config, self.spec
        filters = int(config.num_conv_filters * filter_scaling)
        ratio = (cell_num + 1) / self.total_num_cells
        with variable_scope(scope):
            previous = self._match(net if prev_layer is None else prev_layer, net, filters)
            net = config.activate(net)
            states = [normalized_1x1(net, filters, 1, "1x1", "beginning_bn"), previous]
            operations = iter(zip(spec.operations, spec.hiddenstate_indices, strict=True))
            for index in range(len(spec.operations) // 2):
                with variable_scope(f"comb_iter_{index}"):
                    results = []
                    for side in ("left", "right"):
                        operation, state = next(operations)
                        # The arrays of the cell itself have the smaller size already.
                        step = stride if state < 2 else 1
                        with variable_scope(side):
                            net = self._operate(states[state], operation, step, filters, ratio)
                            results.append(net)
                    states.append(config.cap(lax.add(*results)))
            with variable_scope("cell_output"):
                return self._join(states)

    def _match(self, previous: jax.Array, net: jax.Array, filters: int) -> jax.Array:
        """The output of the cell before the last, in the size of `net`."""
        config = self.config
        if previous is net:
            return net
        if config.map_size(previous) != config.map_size(net):
            return factorized_reduction(config.activate(previous), filters, 2, config)
        if config.channels(previous) != filters:
            return normalized_1x1(config.activate(previous), filters, 1, "prev_1x1", "prev_bn")
        return previous

    def _operate(
        self, net: jax.Array, operation: str, stride: int, filters: int, ratio: float
    ) -> jax.Array:
        config = self.config
        match operation.split("_"):
            case ["none"]:
                net = config.cap(net)
                if stride > 1 or config.channels(net) != filters:
                    net = config.bound(normalized_1x1(config.activate(net), filters, stride))
                return net
            case ["separable", size, repetitions]:
                for index in range(1, int(repetitions) + 1):
                    net, name = config.activate(net), f"{size}_{index}"
                    net = separable_conv2d(
                        net, filters, int(size[0]), 1, stride, scope=f"separable_{name}"
                    )
                    net = batch_norm(net, scope=f"bn_sep_{name}")
                    stride = 1
            case [kind, "pool", size]:
                pool = avg_pool2d if kind == "avg" else max_pool2d
                net = pool(config.cap(net), int(size[0]), stride, "SAME")
                if config.channels(net) != filters:
                    net = normalized_1x1(net, filters)
        return apply_drop_path(config.bound(net), config, ratio, current_step=self.current_step)

    def _join(self, states: list[jax.Array]) -> jax.Array:
        config, last = self.config, states[-1]
        joined = []
        for index, (state, is_used) in enumerate(
            zip(states, self.spec.used_hiddenstates, strict=True)
        ):
            if is_used:
                continue
            is_larger = config.map_size(state) != config.map_size(last)
            if is_larger or config.channels(state) != config.channels(last):
                with variable_scope(f"reduction_{index}"):
                    stride = 2 if is_larger else 1
                    state = factorized_reduction(state, config.channels(last), stride, config)
            joined.append(state)
        return lax.concatenate(joined, config.channel_axis)
