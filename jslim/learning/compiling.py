"""How programs are compiled, and what is shown meanwhile."""

import contextlib
import os

import jax
import numpy as np

from jslim.core.trees import PyTree
from jslim.host import display

_LEVEL = "xla_backend_optimization_level"


def options_of_one_run(platform: str) -> dict[str, int] | None:
    """The compiler's options for a program that runs once, whose compilation takes longer than it.

    On a CPU less optimization cuts that by a third. A level in `XLA_FLAGS` stays.
    """
    is_given = _LEVEL in os.environ.get("XLA_FLAGS", "")
    return {_LEVEL: 1} if platform == "cpu" and not is_given else None


class Compilations:
    """Knows when a jitted function is compiled: when it is called with new shapes.

    Args:
      what: The function in words, such as `the training step`.
    """

    def __init__(self, what: str):
        self._what = what
        self._seen: set[tuple[object, ...]] = set()

    def shown(self, batch: PyTree) -> contextlib.AbstractContextManager[None]:
        """For the body, which calls the function on `batch`: shows that it is compiled."""
        shapes = tuple((np.shape(x), getattr(x, "dtype", None)) for x in jax.tree.leaves(batch))
        if shapes in self._seen:
            return contextlib.nullcontext()
        self._seen.add(shapes)
        return display.status(f"compiling {self._what}", done=f"compiled {self._what}")
