"""jslim: TF-Slim as it would be written today, on JAX.

All names are imported at their first use, so that a program that needs few starts soon: JAX takes
seconds, and `jslim --help` does without it.
"""

import typing

from jslim.core import later as _later
from jslim.core import tf_slim_names as _tf_slim_names

if typing.TYPE_CHECKING:
    from jslim._later import *  # noqa: F403

    summary = summaries  # noqa: F405

__version__ = "0.1.0"

_LATER = _later.names_in("jslim._later") | {"summary": ("jslim", "summaries")}
# What an unknown name is compared with: that of a loss or a metric is offered too.
_COMPARED = ("layers", "losses", "metrics", "summaries")

if not typing.TYPE_CHECKING:  # so that type checkers find misspelt names
    __all__ = sorted(_LATER)

    def __getattr__(name):
        if name in _LATER:
            value = globals()[name] = _later.imported(*_LATER[name])
            return value
        if not name.startswith("_"):
            for module in _COMPARED:
                _later.imported("jslim", module)
        return _tf_slim_names.look_up(__name__, name)


def __dir__() -> list[str]:
    return sorted({*_LATER, "__version__"})
