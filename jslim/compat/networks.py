"""A network of an old file: `FILE.py:FUNCTION`, with jslim under the names that it imports."""

import inspect
import os
from collections.abc import Callable, Mapping
from typing import Any

from jslim.compat import _rewriting
from jslim.compat._install import install
from jslim.core.arg_scope import ArgScope, arg_scope
from jslim.core.errors import did_you_mean

Network = Callable[..., Any]


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
            known = [n for n in members if not n.startswith("_")]
            file = os.path.basename(path)
            raise ValueError(f"{file} has no function {name!r}{did_you_mean(part, known)}")
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
