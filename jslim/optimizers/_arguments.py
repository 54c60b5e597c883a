"""Checks of the arguments of optimizers and learning rates."""

import math
import numbers
from collections.abc import Callable, Collection

from jslim.core import checks
from jslim.core.errors import did_you_mean

_Accepted = tuple[str, Callable[[float], bool]]
_POSITIVE: _Accepted = ("above 0.0", lambda value: value > 0)
_FRACTION: _Accepted = ("at least 0.0 and below 1.0", lambda value: 0 <= value < 1)
# The range of arguments by name, in every function; others must be at least 0.0.
_ACCEPTED: dict[str, _Accepted] = {
    "learning_rate_power": ("at most 0.0", lambda value: value <= 0),
    **dict.fromkeys(("decay_factor", "epsilon"), _POSITIVE),
    **dict.fromkeys(("beta1", "beta2", "decay", "momentum", "rho"), _FRACTION),
}


def check(where: str, **arguments: object) -> None:
    for name, value in arguments.items():
        words, holds = _ACCEPTED.get(name, ("at least 0.0", lambda value: value >= 0))
        if not isinstance(value, numbers.Real):
            raise TypeError(f"{where}: {name} must be a number {words}, got {value!r}")
        if not (math.isfinite(value) and holds(float(value))):
            raise ValueError(f"{where}: {name} must be {words}, got {value!r}")


def check_known(where: str, argument: str, name: str, known: Collection[str]) -> None:
    hint = did_you_mean(str(name).lower(), known).removeprefix("; ")
    checks.one_of(where, argument, name, sorted(known), hint=hint)
