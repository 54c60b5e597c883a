"""The ways in which convolutions and pools are computed, by platform.

The platform is that of the lowering: of the mesh or the arrays' devices, or each platform that
`jax.export` is asked for. It is not known while a function is traced, and the default platform of
the process plays no part.

`python -m benchmarks.lowerings` times each way against XLA's own operation on this machine. All
ways give the same numbers (tests/layers/test_lowering.py): the choice is about speed.
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import jax
from jax import lax

from jslim.core.context import changed_context, context

Result = TypeVar("Result")


@dataclass(frozen=True)
class Choices:
    """The operations that are computed in a way of our own, and up to which size."""

    product_for_1x1: bool = False  # a product of two matrices
    product_for_whole_maps: bool = False  # for a window as large as the map or larger
    product_for_blocks: bool = False  # for windows side by side
    most_pixels_for_product: int = 0  # of all images, for large kernels
    tiles_for_3x3: bool = False  # 4 products in place of 9, for suitable shapes (_winograd.py)
    products_for_few_outputs: bool = False  # one for each row of a window (_products.py)
    products_for_kernel_gradient: bool = False  # of a convolution, summed over blocks of images
    shifts_for_depthwise: bool = False  # shifted copies of the images, weighted and added
    block_for_depthwise: int = 0  # channels that share a kernel, mostly of zeros; 0 for one
    window_for_blocks: bool = False  # the largest of windows side by side, by XLA's operation
    most_shifts_for_max: int = 0  # of rows, then columns: the greatest sum of a window's sides
    places_for_max: bool = False  # a gradient by shifts keeps one place, not a mask for each
    most_shifts_for_sum: int = 0  # the greatest number of elements of a window
    one_pass_for_groups: bool = False  # a second pass for variances only if it is needed
    drops_barriers: bool = False  # XLA drops barriers, which keep two computations apart


# The CPU backend of jax 0.10 computes a convolution with few outputs on one core: 5x5 of 64 to 64
# channels on 16x16 pixels, batch 64, takes 42 ms on two cores, and 29 as products of rows. Followed
# by a max pool by XLA's operation it uses both: 32 to 64 on 14x14 pixels takes 12 ms, not 23.
# Python 3.11 has no later jax; these two choices can go when Python 3.11 does.
_IS_ON_ONE_CORE = jax.__version_info__ < (0, 11)

# XLA's CPU backend has a fast path for ordinary convolutions only. The time of XLA's operation,
# relative to ours, on two cores, batch 8 to 128, jax 0.10.2:
#
#                                               forward      with gradients
#   1x1 convolution                             1.2 to 2.8   1.3 to 5.6
#   convolution with the map as its window      1.0 to 8     2.9 to 9
#   convolution with a larger window            2.7 to 86    2.5 to 73
#   depthwise convolution, 3x3 to 7x7           10 to 33     11 to 51
#   max pool                                    0.7 to 24    1.2 to 15
#   sum or mean of windows up to 3x3            0.7 to 2.9   1.2 to 8
#   normalization of groups of channels         1.0 to 2.7   1.4 to 1.9
#
# The gradient of an ordinary convolution by its kernel takes XLA's operation 1.2 to 8 times as long
# on both 0.10.2 and 0.12.0.1 (3x3 and 5x5 on 4 to 128 pixels), 1.0 with a stride and 3 channels.
#
# If `_winograd.is_by_tiles`, XLA's 3x3 convolution takes 1.2 to 2.8 times as long on both (64
# channels on 56 and 64 pixels 1.0 on 0.12.0.1). With 512 channels on up to 128 pixels it takes 1.2
# to 2.2 times as long as the product, 2.0 to 4 for the gradient by the inputs.
#
# For larger windows the gradient of a sum by shifts costs more than it saves, and dozens of shifts
# take long to trace.
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
    # By the compilers (benchmarks.aot), without a device. For a max pool XLA's GPU compiler makes a
    # reduction that also returns the places, and a scatter to them for the gradient: 1.08 to 1.5
    # times the bytes of a whole step, and sums in no fixed order. By shifts it keeps masks for the
    # gradient, of a byte a number; places in place of them save 0.4 % of ResNet-50's bytes.
    "gpu": Choices(most_shifts_for_max=32, places_for_max=True),
    # Milliseconds by the compiler's estimate for a v5e, 3x3, batch 128 in bfloat16, forward, with
    # one and with eight channels a group (the gradient by the inputs is alike): 32 channels on 112
    # pixels 2.43, 0.62; 144 on 56 1.23, 0.70; 192 on 28 0.31, 0.24; with a stride on 112 pixels 64
    # channels 0.75, 0.70, and 96 1.09, 1.05. One is faster for multiples of 128: 128 on 56 1.15,
    # 1.97; 256 on 28 0.32, 0.79.
    "tpu": Choices(block_for_depthwise=8),
}
_OTHER_NAMES = {"cuda": "gpu", "rocm": "gpu"}


@contextlib.contextmanager
def lowered_for(platform: str) -> Iterator[None]:
    """Within it, functions are traced as for this platform, whatever they are lowered for.

    For comparisons on one machine; 'xla' is XLA's plain operations.
    """
    with changed_context(platform=platform):
        yield


def choices(platform: str | None) -> Choices:
    """The choices for a platform by any of its names; XLA's operations for an unknown one."""
    return CHOICES.get(_OTHER_NAMES.get(platform or "", platform or ""), Choices())


def on_platform(
    choice: str, ours: Callable[..., Result], xlas: Callable[..., Result], *arguments: object
) -> Result:
    """`ours(*arguments)` when lowered for a platform that makes that choice, else `xlas`.

    JAX traces both functions, and derivatives of both. So they should be small, or be within a
    function with derivatives of its own.
    """
    forced = context().platform
    if forced is not None:
        return (ours if getattr(choices(forced), choice) else xlas)(*arguments)
    names = ("cpu", "tpu", *_OTHER_NAMES)
    own = {name: ours for name in names if getattr(choices(name), choice)}
    result: Result = lax.platform_dependent(*arguments, default=xlas, **own)
    return result
