"""What NASNet and PNASNet are made of: cells, that a search over networks found.

A cell sees the outputs of the two cells before it. It makes five more arrays, each the sum of two
operations on earlier ones, and joins those that nothing else uses.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jslim.core import checks
from jslim.core.access import make_rng
from jslim.core.arg_scope import add_arg_scope
from jslim.core.scopes import variable_scope
from jslim.layers import avg_pool2d, batch_norm, conv2d, max_pool2d, separable_conv2d
from jslim.variables import get_or_create_global_step

_CAP = 6.0


@dataclass(frozen=True)
class Config:
    """What a network of cells is built by; `dataclasses.replace` changes a field.

    Differs from TF-Slim, where it is an `HParams` that can be changed in place.
    """

    num_cells: int  # beside those that make the map smaller, and the stem's
    num_conv_filters: int  # of the first cell
    stem_multiplier: float  # the filters of the first convolution, in units of 32
    drop_path_keep_prob: float  # the share of paths that is kept in the last cell at the end
    dense_dropout_keep_prob: float  # the share of features that is kept before the classifier
    total_training_steps: int  # until paths are dropped in full
    skip_reduction_layer_input: bool = False
    filter_scaling_rate: float = 2.0  # of the filters, where the map becomes smaller
    num_reduction_layers: int = 2
    use_aux_head: bool = True
    data_format: str = "NHWC"  # what is computed in; images are NHWC
    use_bounded_activation: bool = False

    def __post_init__(self) -> None:
        checks.one_of("Config", "data_format", self.data_format, ("NHWC", "NCHW"))
        for name in ("drop_path_keep_prob", "dense_dropout_keep_prob"):
            share = getattr(self, name)
            if not 0 < share <= 1:
                raise ValueError(f"Config: {name} must be above 0 and at most 1, got {share}")

    def activate(self, net: jax.Array) -> jax.Array:
        return jax.nn.relu6(net) if self.use_bounded_activation else jax.nn.relu(net)

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
        """Before which cells the map becomes smaller."""
        return calc_reduction_layers(self.num_cells, self.num_reduction_layers)

    def channels(self, net: jax.Array) -> int:
        return net.shape[self.channel_axis]

    def map_size(self, net: jax.Array) -> tuple[int, int]:
        height, width = self.map_axes
        return net.shape[height], net.shape[width]


def calc_reduction_layers(num_cells: int, num_reduction_layers: int) -> list[int]:
    """Before which cells the map becomes smaller: at equal distances.

    >>> calc_reduction_layers(18, 2)
    [6, 12]
    """
    count = num_reduction_layers + 1
    return [int(float(index) / count * num_cells) for index in range(1, count)]


def factorized_reduction(
    net: jax.Array, output_filters: int, stride: int, config: Config
) -> jax.Array:
    """Makes a map smaller by 1x1 convolutions that between them see every other pixel twice.

    One half of the filters is of the pixels at even places and one of those at odd places.

    Args:
      net: `[batch, height, width, channels]`, or with channels second by `config`.
      output_filters: Number of filters.
      stride: Step from one pixel to the next; 1 makes a plain convolution.
      config: The network's.

    Returns:
      `[batch, ceil(height / stride), ceil(width / stride), output_filters]`, or with channels
      second.
    """
    if stride == 1:
        net = conv2d(net, output_filters, 1, scope="path_conv")
        return batch_norm(net, scope="path_bn")
    pixels = [1, 1]
    path1 = avg_pool2d(net, pixels, stride=stride, padding="VALID")
    path1 = conv2d(path1, output_filters // 2, 1, scope="path1_conv")
    # By one pixel up and to the left, with zeros at the other sides.
    shift = [(-1, 1, 0) if axis in config.map_axes else (0, 0, 0) for axis in range(4)]
    path2 = lax.pad(net, np.zeros((), net.dtype), shift)
    path2 = avg_pool2d(path2, pixels, stride=stride, padding="VALID")
    path2 = conv2d(path2, output_filters - output_filters // 2, 1, scope="path2_conv")
    net = lax.concatenate([path1, path2], config.channel_axis)
    return batch_norm(net, scope="final_path_bn")


@add_arg_scope
def drop_path(net: jax.Array, keep_prob: float | jax.Array, is_training: bool = True) -> jax.Array:
    """Sets whole examples to zero, and scales up the others.

    Larsson et al. (2016), https://arxiv.org/abs/1605.07648.

    Args:
      net: `[batch, ...]`.
      keep_prob: The share of examples that is kept, in (0, 1].
      is_training: Whether to drop; otherwise `net` is returned as it is.

    Returns:
      An array of the shape of `net`.

    Raises:
      ScopeError: In training the model that runs was given no randomness for 'dropout'.
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
    """The share of paths to keep in a cell at a step.

    Args:
      config: Its `drop_path_keep_prob` is reached in the last cell after `total_training_steps`.
      layer_ratio: Which of the cells it is, as a share of all: 1.0 for the last.
      current_step: The training step.
      drop_connect_version: 'v1' for less dropping in early steps, 'v2' in early cells, 'v3' both.

    Raises:
      ValueError: There is no such version.
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
    """`drop_path` as far as a cell and a step want it."""
    if config.drop_path_keep_prob == 1.0:
        return net
    step = get_or_create_global_step() if current_step is None else current_step
    return drop_path(net, path_keep_prob(config, layer_ratio, step, drop_connect_version))


@dataclass(frozen=True)
class CellSpec:
    """A cell that a search found."""

    operations: tuple[str, ...]  # two for each of five sums
    hiddenstate_indices: tuple[int, ...]  # what each is applied to: 0 and 1 are the inputs
    used_hiddenstates: tuple[bool, ...]  # whether each input and sum is used by another


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
    total_num_cells: int  # that the share of dropped paths grows over
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
          net: The output of the cell before, `[batch, height, width, channels]` or with channels
            second.
          scope: The variable scope.
          filter_scaling: What the number of filters is multiplied by.
          stride: How many times smaller the map becomes.
          prev_layer: The output of the cell before that, which may be of a larger map; None for
            `net`.
          cell_num: Which of all cells it is, from 0.

        Returns:
          The arrays that nothing in the cell uses, joined.
        """
        config, spec = self.config, self.spec
        filters = int(config.num_conv_filters * filter_scaling)
        ratio = (cell_num + 1) / self.total_num_cells
        with variable_scope(scope):
            previous = self._match(net if prev_layer is None else prev_layer, net, filters)
            first = conv2d(config.activate(net), filters, 1, scope="1x1")
            states = [batch_norm(first, scope="beginning_bn"), previous]
            for index in range(len(spec.operations) // 2):
                with variable_scope(f"comb_iter_{index}"):
                    results = []
                    for side, place in (("left", 2 * index), ("right", 2 * index + 1)):
                        state = spec.hiddenstate_indices[place]
                        # The cell's own arrays are small already.
                        step = stride if state < 2 else 1
                        with variable_scope(side):
                            results.append(
                                self._operate(
                                    states[state], spec.operations[place], step, filters, ratio
                                )
                            )
                    total = lax.add(*results)
                    states.append(jax.nn.relu6(total) if config.use_bounded_activation else total)
            with variable_scope("cell_output"):
                return self._join(states)

    def _match(self, previous: jax.Array, net: jax.Array, filters: int) -> jax.Array:
        """The output of the cell before the last in the size of the last one's."""
        config = self.config
        if previous is net:
            return net
        if config.map_size(previous) != config.map_size(net):
            return factorized_reduction(config.activate(previous), filters, 2, config)
        if config.channels(previous) != filters:
            previous = conv2d(config.activate(previous), filters, 1, scope="prev_1x1")
            previous = batch_norm(previous, scope="prev_bn")
        return previous

    def _operate(
        self, net: jax.Array, operation: str, stride: int, filters: int, ratio: float
    ) -> jax.Array:
        config = self.config
        kind, _, rest = operation.partition("_")
        if kind == "none":
            if config.use_bounded_activation:
                net = jax.nn.relu6(net)
            if stride > 1 or config.channels(net) != filters:
                net = self._fit(config.activate(net), filters, stride)
                net = config.bound(net)
            return net
        if kind == "separable":
            size, _, repetitions = rest.partition("_")
            net = self._separable(net, int(size[0]), int(repetitions), stride, filters)
        else:
            pool = {"avg": avg_pool2d, "max": max_pool2d}[kind]
            window = int(rest.rpartition("x")[2])
            channels = config.channels(net)
            net = jax.nn.relu6(net) if config.use_bounded_activation else net
            net = pool(net, window, stride=stride, padding="SAME")
            if channels != filters:
                net = self._fit(net, filters, 1)
        return apply_drop_path(config.bound(net), config, ratio, current_step=self.current_step)

    def _fit(self, net: jax.Array, filters: int, stride: int) -> jax.Array:
        return batch_norm(conv2d(net, filters, 1, stride=stride, scope="1x1"), scope="bn_1")

    def _separable(
        self, net: jax.Array, size: int, repetitions: int, stride: int, filters: int
    ) -> jax.Array:
        for index in range(1, repetitions + 1):
            name = f"{size}x{size}_{index}"
            net = separable_conv2d(
                self.config.activate(net),
                filters,
                size,
                depth_multiplier=1,
                scope=f"separable_{name}",
                stride=stride,
            )
            net = batch_norm(net, scope=f"bn_sep_{name}")
            stride = 1
        return net

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
