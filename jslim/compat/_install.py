"""`install()`: old programs find jslim under the names that they import."""

import functools
import logging
import sys
import threading
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jslim.compat import _modules, _rewriting
from jslim.compat.tf._op import array, check_shape
from jslim.compat.tf._shapes import TensorShape

_logger = logging.getLogger("jslim.compat")
_LOCK = threading.Lock()


_OPERATORS = tuple(
    f"__{side}{name}__"
    for name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow")
    for side in ("", "r")
)


def _taking_lists(operator: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """An operator of arrays that takes lists of numbers too, as TensorFlow's does."""

    @functools.wraps(operator)
    def applied(self: Any, other: Any) -> Any:
        return operator(self, array(other) if isinstance(other, (list, tuple)) else other)

    return applied


def install() -> None:
    """Lets programs for TensorFlow 1 and TF-Slim run on jslim as they are, in this process.

    From then on `import tensorflow as tf`, `tensorflow.compat.v1`, `tensorflow.contrib.slim`,
    `tensorflow.contrib.framework`, `tf_slim`, and `nets.*` where the program has no folder of this
    name, give jslim's names. Arrays and tracers answer `get_shape()` and `set_shape`, and take
    lists in arithmetic. Files that are imported later are read with TensorFlow 1's and Python 2's
    attributes: `.shape[0].value`, `.as_list()`, `dict.iteritems`, `xrange`.

    A second call does nothing. One line of the log says what was done.

    Raises:
      RuntimeError: TensorFlow or TF-Slim itself is loaded.
    """
    with _LOCK:
        if any(isinstance(finder, _modules.Finder) for finder in sys.meta_path):
            return
        loaded = [name for name in ("tensorflow", "tf_slim") if name in sys.modules]
        if loaded:
            raise RuntimeError(
                f"jslim.compat.install: {loaded[0]} itself is loaded in this process; call install "
                "before anything imports it, or in a process of its own"
            )
        first = [_modules.Finder(is_last=False), _rewriting.Rewriter()]
        sys.meta_path[:0] = first
        sys.meta_path.append(_modules.Finder(is_last=True))
        for kind in (jax.core.Tracer, type(jnp.zeros(()))):
            kind.get_shape = lambda self: TensorShape(self.shape)  # type: ignore[attr-defined]
            kind.set_shape = check_shape  # type: ignore[attr-defined]
            for name in _OPERATORS:
                setattr(kind, name, _taking_lists(getattr(kind, name)))
    _logger.info(
        "jslim.compat: in this process import tensorflow, tf_slim and nets give jslim's names, and "
        "arrays answer get_shape()"
    )
