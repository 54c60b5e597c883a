"""`tf.test`: what a program asks of the machine. Tests themselves are Python's unittest."""

import jax

from jslim.compat.tf import _missing


def is_gpu_available(
    cuda_only: bool = False, min_cuda_compute_capability: tuple[int, int] | None = None
) -> bool:
    """Whether JAX computes on a GPU."""
    return jax.default_backend() == "gpu"


is_built_with_cuda = is_built_with_gpu_support = is_gpu_available


def gpu_device_name() -> str:
    """'/device:GPU:0'; an empty text without a GPU."""
    return "/device:GPU:0" if is_gpu_available() else ""


__getattr__ = _missing.answering("tf.test", __name__)
