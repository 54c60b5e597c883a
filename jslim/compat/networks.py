"""A network of an old file: `FILE.py:FUNCTION`, with jslim under the names that it imports."""

import inspect
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

import jax

from jslim import layers
from jslim.compat import _rewriting, rules
from jslim.compat._install import install
from jslim.core import checks
from jslim.core.arg_scope import ArgScope, arg_scope
from jslim.core.errors import did_you_mean
from jslim.nets import nets_factory
from jslim.regularizers import l2_regularizer

Network = Callable[..., Any]
_WITH_WEIGHTS = [layers.conv2d, layers.fully_connected, layers.separable_conv2d]


def function_of(place: str) -> Network:
    """The function at `FILE.py:FUNCTION`, after `install()`.

    Raises:
      ValueError: The place is not written so, or the file has no such function.
      FileNotFoundError: There is no such file.
      SyntaxError: The file is in Python 2's syntax, or in none.
    """
    path, colon, name = place.rpartition(":")
    if not colon or not name or not path.endswith(".py"):
        raise ValueError(f"a network must be given as FILE.py:FUNCTION, got {place!r}")
    install()
    return _member(_rewriting.module_of(path), path, name)


def _member(module: Any, path: str, name: str) -> Network:
    held = module
    for part in name.split("."):
        members = dict(inspect.getmembers(held, callable))
        if part not in members:
            own = [n for n in members if not n.startswith("_") and n not in rules.BUILTINS]
            hint = did_you_mean(part, own) or f"; it has {', '.join(own[:10]) or 'none'}"
            raise ValueError(f"{os.path.basename(path)} has no function {name!r}{hint}")
        held = members[part]
    network: Network = held
    return network


def network_of(
    place: str, keywords: Mapping[str, Any] | None = None, scope: str | None = None
) -> Network:
    """The function at `FILE.py:FUNCTION`, with arguments that are always given.

    Args:
      place: `FILE.py:FUNCTION`, or `FILE.py:CLASS.FUNCTION`.
      keywords: Arguments for it.
      scope: The name of a function of the file that gives the arg_scope to call it in.

    Returns:
      A model function: of images, and of the arguments that are left.

    Raises:
      ValueError, FileNotFoundError, SyntaxError: As for `function_of`.
    """
    function = function_of(place)
    given = dict(keywords or {})
    defaults: ArgScope | None = None
    if scope is not None:
        path = place.rpartition(":")[0]
        defaults = function_of(f"{path}:{scope}")()

    def network(*args: Any, **more: Any) -> Any:
        if defaults is None:
            return function(*args, **{**given, **more})
        with arg_scope(defaults):
            return function(*args, **{**given, **more})

    network.__name__ = getattr(function, "__name__", "network")
    return network


def row_of(place: str) -> tuple[str, nets_factory.Network]:
    """The name and the row of a classifier in an old file, for `nets_factory.add_network`.

    The function takes images and `num_classes`, and gives logits, alone or with end points. Where
    it takes `is_training` or `phase_train`, that is given too. `FUNCTION_arg_scope` of the file is
    its arg_scope; without one the weights of layers have an L2 penalty.

    Args:
      place: `FILE.py:FUNCTION`.

    Returns:
      `('FILE.py:FUNCTION', row)`, the file without its folder.

    Raises:
      ValueError: The function does not take `num_classes`.
      ValueError, FileNotFoundError, SyntaxError: As for `function_of`.
    """
    function = function_of(place)
    path, _, member = place.rpartition(":")
    name = f"{os.path.basename(path)}:{member}"
    parameters = inspect.signature(function).parameters
    if "num_classes" not in parameters:
        accepted = "a function of images and num_classes"
        raise checks.refusal("", name, accepted, f"one of {', '.join(parameters)}")
    mode = next((n for n in ("is_training", "phase_train") if n in parameters), None)

    def build(images: jax.Array, num_classes: int, is_training: bool, **more: Any) -> Any:
        given = {mode: is_training} if mode else {}
        return _as_outputs(name, function(images, num_classes=num_classes, **given, **more))

    build.default_image_size = getattr(  # type: ignore[attr-defined]
        function, "default_image_size", 224
    )
    scopes = vars(sys.modules[os.path.basename(path).removesuffix(".py")])
    scope = scopes.get(f"{member}_arg_scope", _penalty)
    if "weight_decay" not in inspect.signature(scope).parameters:
        scope = _penalty
    return name, nets_factory.Network(build, scope, "inception", 0, ())


def _penalty(weight_decay: float = 0.00004) -> ArgScope:
    with arg_scope(_WITH_WEIGHTS, weights_regularizer=l2_regularizer(weight_decay)) as scope:
        return scope


def _as_outputs(name: str, result: Any) -> tuple[jax.Array, Mapping[str, jax.Array]]:
    """Logits and end points of what an old network gave."""
    if isinstance(result, jax.Array):
        return result, {}
    if isinstance(result, (tuple, list)) and isinstance(result[0], jax.Array):
        points = [part for part in result[1:] if isinstance(part, Mapping)]
        arrays = points[0] if points else {}
        return result[0], {key: v for key, v in arrays.items() if isinstance(v, jax.Array)}
    accepted, got = "logits, or logits and end points", type(result).__name__
    raise checks.refusal("", f"the result of {name}", accepted, got)
