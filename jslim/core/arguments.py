"""Errors for calls whose arguments do not fit the function."""

import functools
import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import ParamSpec, TypeVar

from jslim.core import checks
from jslim.core.other_names import meant_argument

P = ParamSpec("P")
T = TypeVar("T")

_BY_POSITION = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def has_no_argument(where: str, name: str, parameters: Collection[str]) -> str:
    """The sentence about an argument that a function does not have.

    >>> print(has_no_argument("conv2d", "filters", ["inputs", "num_outputs"]))
    conv2d has no argument 'filters'; did you mean 'num_outputs'? (it has inputs, num_outputs)
    """
    near = meant_argument(name, parameters)
    return f"{where} has no argument {name!r}{near} (it has {', '.join(parameters) or 'none'})"


def misfit(
    where: str, signature: inspect.Signature, args: Sequence[object], kwargs: Mapping[str, object]
) -> TypeError | None:
    """The error of a call whose arguments do not fit; None if they do.

    Args:
      where: The function.
      signature: Its signature.
      args, kwargs: The arguments of the call.
    """
    try:
        signature.bind(*args, **kwargs)
    except TypeError:
        return TypeError(_problem(where, signature, args, kwargs))
    return None


def _problem(
    where: str, signature: inspect.Signature, args: Sequence[object], kwargs: Mapping[str, object]
) -> str:
    parameters = signature.parameters.values()
    named = [p.name for p in parameters if p.kind in _BY_NAME]
    placed = [p.name for p in parameters if p.kind in _BY_POSITION]
    kinds = {p.kind for p in parameters}
    if inspect.Parameter.VAR_KEYWORD not in kinds:
        for name in kwargs:
            if name not in named:
                return has_no_argument(where, name, named)
    if len(args) > len(placed) and inspect.Parameter.VAR_POSITIONAL not in kinds:
        takes = f"at most {len(placed)}" if placed else "no"
        listed = f" ({', '.join(placed)})" if placed else ""
        return f"{where} takes {takes} arguments by position{listed}, got {len(args)}"
    given = placed[: len(args)]
    if twice := [name for name in given if name in kwargs]:
        return f"{where}: {', '.join(twice)} was given by position and again by name"
    missing = [
        p.name
        for p in parameters
        if p.default is p.empty and p.kind in (*_BY_POSITION, *_BY_NAME)
        if p.name not in given and p.name not in kwargs
    ]
    are = "is" if len(missing) == 1 else "are"
    return f"{where}: {' and '.join(missing)} {are} missing; call it as {where}{_usage(signature)}"


def _usage(signature: inspect.Signature) -> str:
    """The arguments that a call needs: `(inputs, num_outputs, kernel_size, ...)`."""
    needed = [
        p.name if p.kind in _BY_POSITION else f"{p.name}=..."
        for p in signature.parameters.values()
        if p.default is p.empty and p.kind in (*_BY_POSITION, *_BY_NAME)
    ]
    has_more = len(needed) < len(signature.parameters)
    return f"({', '.join([*needed, *(['...'] if has_more else [])])})"


def explained(
    function: Callable[P, T], where: str = "", *, are_checked: bool = False
) -> Callable[P, T]:
    """The function, with errors that explain a call whose arguments do not fit.

    An argument that is annotated as a switch, a number or a text must be one.

    Args:
      function: Any function. Other errors of it pass.
      where: Its name in errors; default `function.__name__`.
      are_checked: Whether the function checks such arguments itself.

    >>> scaled = explained(lambda inputs, factor=1.0: factor * inputs, "scaled")
    >>> scaled(factor=2.0)
    Traceback (most recent call last):
    TypeError: scaled: inputs is missing; call it as scaled(inputs, ...)
    """
    name, signature = where or function.__name__, inspect.signature(function)
    placed = [p.name for p in signature.parameters.values() if p.kind in _BY_POSITION]
    kinds = {} if are_checked else checks.annotated(signature.parameters.values())

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        for argument, value in (*zip(placed, args, strict=False), *kwargs.items()):
            if argument in kinds:
                checks.fits(name, argument, value, kinds[argument])
        try:
            return function(*args, **kwargs)
        except TypeError:
            if (error := misfit(name, signature, args, kwargs)) is not None:
                raise error from None
            raise

    return call
