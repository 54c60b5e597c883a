"""Which way a convolution or a pool is computed on which backend: the one place that says so.

`python -m benchmarks.lowerings` times each way against XLA's own operation, on whatever it runs on.
The ways give the same numbers (tests/layers/test_lowering.py), so that a choice is one of speed.
"""

import contextlib
import contextvars
from collections.abc import Iterator
from dataclasses import dataclass

import jax


@dataclass(frozen=True)
class Choices:
    """For each operation whether, or up to which size, it is computed in a way of our own."""

    product_for_1x1: bool = False  # a product of two matrices
    product_for_whole_maps: bool = False  # likewise, where a window is as large as the map or more
    shifts_for_depthwise: bool = False  # shifted copies of the images, weighted and added
    derivatives_for_transposed: bool = False  # those of the convolution it is the transpose of
    most_shifts_for_max: int = 0  # of rows, then columns; up to this sum of a window's sides
    most_shifts_for_sum: int = 0  # up to this many elements of a window
    one_pass_for_groups: bool = False  # variances by a second pass only where that is needed


# XLA's CPU backend has a fast path for ordinary convolutions only. How many times as long XLA's
# operation takes, on two cores, batch 8 to 128, jax 0.10.2:
#
#                                               forward      with gradients
#   1x1 convolution                             1.2 to 2.8   1.3 to 5.6
#   one whose window is all of the map          1.0 to 8     2.9 to 9
#   one whose window is larger than the map     2.7 to 86    2.5 to 73
#   depthwise convolution, 3x3 to 7x7           10 to 33     11 to 51
#   transposed convolution                      1.0          50
#   max pool                                    0.7 to 24    1.2 to 15
#   sum or mean of windows up to 3x3            0.7 to 2.9   1.2 to 8
#   normalization of groups of channels         1.0 to 2.7   1.4 to 1.9
#
# For larger windows the gradient of a sum by shifts costs more than it saves, and shifts by the
# dozen take long to trace.
CHOICES = {
    "cpu": Choices(
        product_for_1x1=True,
        product_for_whole_maps=True,
        shifts_for_depthwise=True,
        derivatives_for_transposed=True,
        most_shifts_for_max=32,
        most_shifts_for_sum=9,
        one_pass_for_groups=True,
    ),
    # Not measured yet on these: XLA's operations.
    "gpu": Choices(),
    "tpu": Choices(),
}


_platform: contextvars.ContextVar[str | None] = contextvars.ContextVar("platform", default=None)


@contextlib.contextmanager
def lowered_for(platform: str) -> Iterator[None]:
    """What is traced within it is computed as on this platform, 'cpu', 'gpu' or 'tpu'.

    For what runs elsewhere than it is traced, and to have XLA's plain operations ('tpu').
    """
    token = _platform.set(platform)
    try:
        yield
    finally:
        _platform.reset(token)


def choices(backend: str | None = None) -> Choices:
    """Those for a backend, by default that of `lowered_for`, or else JAX's default one.

    Asking for the platform that a trace is lowered for would trace every layer once per platform.
    """
    return CHOICES.get(backend or _platform.get() or jax.default_backend(), Choices())
