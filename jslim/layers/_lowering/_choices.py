"""Which way a convolution or a pool is computed on which platform: the one place that says so.

The platform is that of the lowering: of the mesh, of the arrays' devices, or each of those that
`jax.export` is asked for. It is not known while a function is traced, and never the process's own.

`python -m benchmarks.lowerings` times each way against XLA's own operation, on whatever it runs on.
The ways give the same numbers (tests/layers/test_lowering.py), so that a choice is one of speed.
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import jax
from jax import lax

from jslim.core.context import changed_context, context


@dataclass(frozen=True)
class Choices:
    """For each operation whether, or up to which size, it is computed in a way of our own."""

    product_for_1x1: bool = False  # a product of two matrices
    product_for_whole_maps: bool = False  # where a window is as large as the map or more
    product_for_blocks: bool = False  # where windows lie side by side
    most_pixels_for_product: int = 0  # for up to as many of all images, large kernels
    tiles_for_3x3: bool = False  # 4 products in place of 9, where shapes allow (_winograd.py)
    products_for_few_outputs: bool = False  # one for each row of a window (_row_products.py)
    products_for_kernel_gradient: bool = False  # of a convolution, summed over blocks of images
    shifts_for_depthwise: bool = False  # shifted copies of the images, weighted and added
    window_for_blocks: bool = False  # the largest of windows side by side, by XLA's operation
    most_shifts_for_max: int = 0  # of rows, then columns; up to this sum of a window's sides
    most_shifts_for_sum: int = 0  # up to this many elements of a window
    one_pass_for_groups: bool = False  # variances by a second pass only where that is needed
    drops_barriers: bool = False  # of XLA's, that keep two computations apart


# The CPU backend of jax 0.10 computes a convolution with few outputs on one core: 5x5 of 64 to 64
# channels on 16x16 pixels, batch 64, takes 42 ms on two cores, and 29 as products of rows. With a
# max pool right behind it, by XLA's operation, it uses both: 32 to 64 on 14x14 pixels takes 12 ms,
# not 23. Python 3.11 has no later jax; these two choices go with it.
_IS_ON_ONE_CORE = jax.__version_info__ < (0, 11)

# XLA's CPU backend has a fast path for ordinary convolutions only. How many times as long XLA's
# operation takes, on two cores, batch 8 to 128, jax 0.10.2:
#
#                                               forward      with gradients
#   1x1 convolution                             1.2 to 2.8   1.3 to 5.6
#   one whose window is all of the map          1.0 to 8     2.9 to 9
#   one whose window is larger than the map     2.7 to 86    2.5 to 73
#   depthwise convolution, 3x3 to 7x7           10 to 33     11 to 51
#   max pool                                    0.7 to 24    1.2 to 15
#   sum or mean of windows up to 3x3            0.7 to 2.9   1.2 to 8
#   normalization of groups of channels         1.0 to 2.7   1.4 to 1.9
#
# The gradient of an ordinary convolution by its kernel takes XLA's operation 1.2 to 8 times as long
# on both 0.10.2 and 0.12.0.1 (3x3 and 5x5 on 4 to 128 pixels), 1.0 with a stride and 3 channels.
#
# Where `_winograd.is_by_tiles`, XLA's 3x3 convolution takes 1.2 to 2.8 times as long on both (64
# channels on 56 and 64 pixels 1.0 on 0.12.0.1). Where it has 512 channels and there are up to 128
# pixels, it takes 1.2 to 2.2 times as long as the product, 2.0 to 4 for the gradient by the inputs.
#
# For larger windows the gradient of a sum by shifts costs more than it saves, and shifts by the
# dozen take long to trace.
CHOICES = {
    "cpu": Choices(
        product_for_1x1=True,
        product_for_whole_maps=True,
        product_for_blocks=True,
        most_pixels_for_product=128,
        tiles_for_3x3=True,
        products_for_few_outputs=_IS_ON_ONE_CORE,
        products_for_kernel_gradient=True,
        shifts_for_depthwise=True,
        window_for_blocks=_IS_ON_ONE_CORE,
        most_shifts_for_max=32,
        most_shifts_for_sum=9,
        one_pass_for_groups=True,
        drops_barriers=True,
    ),
    # By the compilers (benchmarks.aot), without a device. XLA's GPU compiler makes a reduction of a
    # max pool that also gives the places, and a scatter of them for its gradient: 1.08 to 1.5 times
    # the bytes of a whole step, and sums whose order is not said.
    "gpu": Choices(most_shifts_for_max=32),
    "tpu": Choices(),
}
_OTHER_NAMES = {"cuda": "gpu", "rocm": "gpu"}


@contextlib.contextmanager
def lowered_for(platform: str) -> Iterator[None]:
    """What is traced within it is computed as on this platform, whatever it is lowered for.

    To compare the ways on one machine; 'tpu' is XLA's plain operations.
    """
    with changed_context(platform=platform):
        yield


def forced_platform() -> str | None:
    """That of `lowered_for`."""
    return context().platform


def choices(platform: str | None) -> Choices:
    """Those for a platform by any of its names; where it is unknown, XLA's operations."""
    return CHOICES.get(_OTHER_NAMES.get(platform or "", platform or ""), Choices())


def on_platform(
    choice: str, ours: Callable[..., Any], xlas: Callable[..., Any], *arguments: Any
) -> Any:
    """`ours(*arguments)` when lowered for a platform that makes that choice, else `xlas`.

    JAX traces both functions, and derivatives of both: for what is small, or has derivatives of its
    own around it.
    """
    forced = forced_platform()
    if forced is not None:
        return (ours if getattr(choices(forced), choice) else xlas)(*arguments)
    names = ("cpu", "tpu", *_OTHER_NAMES)
    own = {name: ours for name in names if getattr(choices(name), choice)}
    return lax.platform_dependent(*arguments, default=xlas, **own)
